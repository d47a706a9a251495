// SCP/1 by this library, through its public interface, as a user would write it.
//   mode=nn|ik|xx|psk  the handshake: NN, IK, XX (the default of the protocol), NNpsk0
// role=about only names the engine. SEALINE_CRYPTO chooses the engine; the first line names the one
// that runs.
#include "support/messages.hpp"
#include "support/program.hpp"
#include <sealine/io/engine.hpp>
#include <sealine/io/scp.hpp>
#include <sealine/io/scp_blocking.hpp>

#include <chrono>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sealine::bench {
namespace {

namespace net = io::net;
using scp::Mode;

// Messages under way in all, however many channels there are.
constexpr std::uint64_t kUnderWay = 64;

Mode mode_of(const std::string& name) {
  if (name == "nn") return Mode::anonymous;
  if (name == "ik") return Mode::pinned;
  if (name == "xx") return Mode::mutual;
  if (name == "psk") return Mode::psk;
  throw std::invalid_argument("no such mode: " + name);
}

std::string engine_name() {
  if (!io::engine_choice_from_environment()) {
    throw std::runtime_error("the engine that SEALINE_CRYPTO names is not to be had here");
  }
  return std::string(io::thread_engine().name());
}

template <class T>
T good(Result<T> result) {
  if (!result) throw io::system_error(io::to_error_code(result.error()));
  return std::move(*result);
}

class ScpChannel {
 public:
  explicit ScpChannel(scp::blocking::Channel channel) : channel_(std::move(channel)) {}

  void send(ByteView message) { good(channel_.enqueue(message)); }

  void send_and_wait(ByteView message) { good(channel_.send(message)); }

  void finish() {
    if (channel_.close().code != scp::Code::normal) throw std::runtime_error("not closed well");
  }

  std::optional<ByteView> receive() {
    if (std::exchange(holds_one_, false)) channel_.pop();
    if (!good(channel_.wait())) return std::nullopt;
    holds_one_ = true;
    return channel_.front();
  }

  void acknowledge() {}

  /// The other end closes.
  void end_writing() {
    while (receive()) {
    }
    channel_.close();
  }

  void drop() { channel_.channel().drop(); }

 private:
  scp::blocking::Channel channel_;
  bool holds_one_ = false;
};

/// What both ends are given, since no two of them meet a second time here.
struct Keys {
  ByteArray<32> server{};
  ByteArray<32> client{};
  ByteArray<32> psk{};

  static Keys generate() {
    Keys keys;
    for (ByteArray<32>* bytes : {&keys.server, &keys.client, &keys.psk})
      io::system_rng().fill(*bytes);
    return keys;
  }

  static std::shared_ptr<const crypto::KeyPair> pair(const ByteArray<32>& secret) {
    return std::make_shared<const crypto::KeyPair>(crypto::KeyPair::from_secret(
        io::thread_engine(), crypto::PrivateKey(FixedView<32>(secret))));
  }

  [[nodiscard]] std::shared_ptr<const crypto::Psk> shared_psk() const {
    return std::make_shared<const crypto::Psk>(FixedView<32>(psk));
  }
};

std::shared_ptr<io::Trust> trust_in(const crypto::KeyPair& pair) {
  return std::make_shared<io::GivenKeyTrust>(std::vector{pair.public_key});
}

class Scp {
 public:
  explicit Scp(const Options& options)
      : mode_(mode_of(options.text("mode", "xx"))),
        has_many_(options.text("work", "") == "growth") {}

  nlohmann::json listen() {
    const Keys keys = Keys::generate();
    scp::ServerOptions server;
    server.protocol.modes = {mode_};
    server.protocol.identity = Keys::pair(keys.server);
    server.protocol.psks = {keys.shared_psk()};
    server.trust = trust_in(*Keys::pair(keys.client));
    // All clients here come from one address and in great numbers.
    server.limits.half_open_per_network = server.limits.half_open;
    server.limits.handshakes_per_second = 0;
    std::uint16_t port = 0;
    if (has_many_) {
      server_.emplace(std::move(server));
      if (!server_->bind(context_.get_executor(), "127.0.0.1", 0)) {
        throw std::runtime_error("no port to listen on");
      }
      port = server_->port();
    } else {
      listener_.emplace(good(scp::blocking::listen("127.0.0.1", 0, std::move(server))));
      port = listener_->port();
    }
    return {{"port", port},
            {"engine", engine_name()},
            {"server_key", keys.server},
            {"client_key", keys.client},
            {"psk", keys.psk}};
  }

  void learn(const nlohmann::json& hello) {
    if (engine_name() != hello.at("engine").get<std::string>()) {
      throw std::runtime_error("the client runs on another engine: " + engine_name());
    }
    hello.at("port").get_to(port_);
    const Keys keys{hello.at("server_key"), hello.at("client_key"), hello.at("psk")};
    auto client = std::make_shared<scp::ClientOptions>();
    client->protocol.mode = mode_;
    client->protocol.identity = Keys::pair(keys.client);
    client->protocol.server_key = Keys::pair(keys.server)->public_key;
    client->protocol.psk = keys.shared_psk();
    client->trust = trust_in(*Keys::pair(keys.server));
    options_ = std::move(client);
  }

  std::optional<nlohmann::json> serve_specially(const Work& work) {
    if (work.name == "handshakes") return take_handshakes();
    if (work.name == "idle") return keep_channels(work);
    if (work.name == "growth") return receive_in_turn(work);
    return serve_messages(work, [this] { return accept(); });
  }

  std::optional<nlohmann::json> request_specially(const Work& work) {
    if (work.name == "handshakes") return make_handshakes(work);
    if (work.name == "idle") return hold_channels(work);
    if (work.name == "growth") return send_in_turn(work);
    return request_messages(work, [this] { return connect(); });
  }

 private:
  ScpChannel accept() { return ScpChannel(check(good(listener_->accept()))); }

  ScpChannel connect() {
    auto made = scp::blocking::try_connect("127.0.0.1", port_, options_);
    if (!made) throw io::system_error(io::to_error_code(made.error().error));
    return ScpChannel(check(std::move(*made)));
  }

  scp::blocking::Channel check(scp::blocking::Channel channel) const {
    if (channel.channel().peer().mode != mode_) {
      throw std::runtime_error("another mode than was asked for");
    }
    return channel;
  }

  // --- handshakes: connect, a byte with its receipt, reset
  // ------------------------------------------------------------------------------------------

  nlohmann::json make_handshakes(const Work& work) {
    const auto once = [this](std::uint8_t token) {
      ScpChannel channel = connect();
      channel.send_and_wait(ByteView(&token, 1));
      channel.drop();
    };
    once(kGoOn);
    const Stopwatch watch;
    const double end_s = now_s() + work.time_s;
    std::uint64_t count = 0;
    do {
      once(kGoOn);
      ++count;
    } while (now_s() < end_s);
    const nlohmann::json report = {
        {"count", count}, {"seconds", watch.wall_s()}, {"cpu_s", watch.cpu_used_s()}};
    once(kLast);
    return report;
  }

  nlohmann::json take_handshakes() {
    const Stopwatch watch;
    std::uint64_t count = 0;
    std::uint8_t token = kGoOn;
    while (token != kLast) {
      ScpChannel channel = accept();
      const auto message = channel.receive();
      if (!message || message->size() != 1) throw std::runtime_error("another first message");
      token = (*message)[0];
      ++count;
    }
    return {{"count", count}, {"cpu_s", watch.cpu_used_s()}};
  }

  // --- idle: many channels, a message on each, and what they hold then
  // ------------------------------------------------------------------------------------------

  nlohmann::json keep_channels(const Work& work) {
    std::vector<ScpChannel> channels;
    channels.reserve(work.connection_count + 1);
    std::uint64_t before = 0;
    for (std::size_t index = 0; index <= work.connection_count; ++index) {
      channels.push_back(accept());
      const auto message = channels.back().receive();
      if (!message || message->size() != work.size_bytes) throw std::runtime_error("no message");
      // The first channel is the warm-up that pays for what all share.
      if (index == 0) before = resident_bytes();
    }
    const std::uint64_t grown = resident_bytes() - before;
    channels.front().send_and_wait(ByteView(&kLast, 1));
    return {{"count", work.connection_count}, {"memory_bytes", grown}};
  }

  nlohmann::json hold_channels(const Work& work) {
    std::vector<std::uint8_t> message(work.size_bytes);
    Pattern(1).fill(message);
    std::vector<ScpChannel> channels;
    channels.reserve(work.connection_count + 1);
    std::uint64_t before = 0;
    for (std::size_t index = 0; index <= work.connection_count; ++index) {
      channels.push_back(connect());
      channels.back().send_and_wait(message);
      if (index == 0) before = resident_bytes();
    }
    const std::uint64_t grown = resident_bytes() - before;
    if (!channels.front().receive()) throw std::runtime_error("the server has gone");
    return {{"count", work.connection_count}, {"memory_bytes", grown}};
  }

  // --- growth: the same messages, in turn over few or many channels
  // ------------------------------------------------------------------------------------------

  nlohmann::json receive_in_turn(const Work& work) {
    std::uint64_t received = 0;
    std::size_t ended = 0;
    std::optional<Stopwatch> watch;
    server_->on_connection([&](scp::Channel channel) -> scp::Task {
      while (co_await channel.wait()) {
        if (!watch) watch.emplace();
        while (const auto message = channel.front()) {
          received += message->size();
          channel.pop();
        }
      }
      ++ended;
    });
    while (ended < work.connection_count) context_.run_one();
    return transfer_report(received, watch.value().wall_s(), watch.value().cpu_used_s());
  }

  nlohmann::json send_in_turn(const Work& work) {
    std::optional<nlohmann::json> report;
    // A coroutine whose failure is the failure of the program.
    net::co_spawn(context_, send_all(work, report), [](const std::exception_ptr& failure) {
      if (failure) std::rethrow_exception(failure);
    });
    context_.run();
    return report.value();
  }

  net::awaitable<void> send_all(const Work& work, std::optional<nlohmann::json>& report) {
    std::vector<scp::Channel> channels;
    for (std::size_t index = 0; index < work.connection_count; ++index) {
      channels.push_back(co_await scp::connect("127.0.0.1", port_, options_));
    }
    std::vector<std::uint8_t> message(work.size_bytes);
    Pattern(1).fill(message);
    const Stopwatch watch;
    const std::uint64_t total = work.total_bytes / message.size();
    for (std::uint64_t number = 0; number < total; ++number) {
      if (number >= kUnderWay) {
        const std::uint64_t old = number - kUnderWay;
        auto& channel = channels[old % channels.size()];
        co_await channel.receipts(old / channels.size() + 1);
      }
      co_await channels[number % channels.size()].enqueue(message);
    }
    for (std::size_t index = 0; index < channels.size(); ++index) {
      co_await channels[index].receipts(channels[index].sent());
    }
    report = transfer_report(total * message.size(), watch.wall_s(), watch.cpu_used_s());
    for (auto& channel : channels) channel.end();
    for (auto& channel : channels) co_await channel.closed();
  }

  Mode mode_;
  bool has_many_;
  net::io_context context_{1};  ///< of the work that has many channels at once
  std::optional<scp::Server> server_;
  std::optional<scp::blocking::Listener> listener_;
  std::shared_ptr<const scp::ClientOptions> options_;
  std::uint16_t port_ = 0;
};

}  // namespace
}  // namespace sealine::bench

int main(int argc, char** argv) {
  using namespace sealine::bench;
  if (argc == 2 && std::string_view(argv[1]) == "role=about") {
    std::cout << nlohmann::json{{"engine", sealine::io::thread_engine().name()}}.dump()
              << std::endl;
    return 0;
  }
  return run_contestant<Scp>(argc, argv);
}
