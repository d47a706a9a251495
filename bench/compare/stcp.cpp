// STCP/1 by this library, through its public interface, as a user would write it.
//   mode=nx|nn|xx|psk  the handshake: NX with a given server key, NN, XX, NNpsk0
//   record=16          log2 of the largest record
//   batching=1         small writes wait until a record is full, or for flush()
// role=about only names the engine.
// SEALINE_CRYPTO chooses the engine; the first line names the one that runs.
#include "support/program.hpp"
#include "support/socket.hpp"
#include <sealine/io/engine.hpp>
#include <sealine/io/stcp.hpp>

#include <algorithm>
#include <array>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace sealine::bench {
namespace {

namespace net = io::net;
using io::stcp::Mode;
using io::stcp::Stream;
using Tcp = net::ip::tcp;

constexpr std::size_t kTurnBytes = std::size_t{64} * 1024;
constexpr std::uint64_t kCreditBytes = std::uint64_t{4} * 1024 * 1024;
constexpr std::uint64_t kWindowBytes = 2 * kCreditBytes;

Mode mode_of(const std::string& name) {
  if (name == "nn") return Mode::anonymous;
  if (name == "nx") return Mode::tofu;
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

class StcpChannel {
 public:
  explicit StcpChannel(Stream stream) : stream_(std::move(stream)) {}

  void write(ByteView bytes) {
    while (!bytes.empty()) {
      bytes = bytes.subspan(stream_.write_some(net::buffer(bytes.data(), bytes.size())));
    }
  }

  void flush() { stream_.flush(); }

  std::size_t read_some(MutableBytes into) {
    io::error_code error;
    const std::size_t count = stream_.read_some(net::buffer(into.data(), into.size()), error);
    if (error && error != net::error::eof) {
      throw io::system_error(error);
    }
    return count;
  }

  void end_writing() { stream_.shutdown(); }

  void expect_bulk() {}

  void reset_on_close() { stream_.next_layer().set_option(Tcp::socket::linger(true, 0)); }

 private:
  Stream stream_;
};

/// What both ends are given, since no two of them meet a second time here.
class Keys {
 public:
  static Keys generate() {
    Keys keys;
    for (ByteArray<32>* bytes : {&keys.server_, &keys.client_, &keys.psk_}) {
      io::system_rng().fill(*bytes);
    }
    return keys;
  }

  static Keys from(const nlohmann::json& hello) {
    Keys keys;
    hello.at("server_key").get_to(keys.server_);
    hello.at("client_key").get_to(keys.client_);
    hello.at("psk").get_to(keys.psk_);
    return keys;
  }

  void put_into(nlohmann::json& hello) const {
    hello["server_key"] = server_;
    hello["client_key"] = client_;
    hello["psk"] = psk_;
  }

  [[nodiscard]] crypto::KeyPair server() const { return pair(server_); }

  [[nodiscard]] crypto::KeyPair client() const { return pair(client_); }

  [[nodiscard]] crypto::Psk psk() const { return crypto::Psk(FixedView<32>(psk_)); }

 private:
  static crypto::KeyPair pair(const ByteArray<32>& secret) {
    return crypto::KeyPair::from_secret(io::thread_engine(),
                                        crypto::PrivateKey(FixedView<32>(secret)));
  }

  ByteArray<32> server_{};
  ByteArray<32> client_{};
  ByteArray<32> psk_{};
};

std::shared_ptr<io::Trust> trust_in(const crypto::KeyPair& pair) {
  return std::make_shared<io::GivenKeyTrust>(std::vector{pair.public_key});
}

struct IdleSession;

struct IdleServer {
  std::vector<std::unique_ptr<IdleSession>> sessions;
  std::size_t open_count = 0;
};

/// Handshake, a byte there and back, and then a read that waits. Callbacks, since the frames of
/// coroutines would be measured with the connection.
struct IdleSession {
  explicit IdleSession(Stream connection) : stream(std::move(connection)) {}

  void start(IdleServer& server) {
    stream.async_handshake([this, &server](const io::error_code& failure) {
      if (failure) throw io::system_error(failure);
      read([this, &server](const io::error_code& no_byte, std::size_t) {
        if (no_byte) throw io::system_error(no_byte);
        stream.async_write_some(
            net::buffer(&token, 1), [this, &server](const io::error_code& unsent, std::size_t) {
              if (unsent) throw io::system_error(unsent);
              ++server.open_count;
              read([&server](const io::error_code&, std::size_t) { --server.open_count; });
            });
      });
    });
  }

  template <class Handler>
  void read(Handler handler) {
    stream.async_read_some(net::buffer(&token, 1), std::move(handler));
  }

  Stream stream;
  std::uint8_t token = 0;
};

class Stcp {
 public:
  using Channel = StcpChannel;

  explicit Stcp(const Options& options)
      : mode_(mode_of(options.text("mode", "nx"))),
        record_log2_(static_cast<std::uint8_t>(options.number("record", 16))),
        batching_(options.flag("batching")) {}

  nlohmann::json listen() {
    const Keys keys = Keys::generate();
    auto server = std::make_shared<io::stcp::ServerOptions>();
    server->protocol.modes = {mode_};
    server->protocol.identity = std::make_shared<const crypto::KeyPair>(keys.server());
    server->protocol.psks.push_back(io::stcp::ServerPsk::make(io::thread_engine(), keys.psk()));
    server->protocol.limits.max_record_log2 = record_log2_;
    server->trust = trust_in(keys.client());
    server->batching = batching_;
    server_options_ = std::move(server);
    acceptor_.emplace(context_, Tcp::endpoint(net::ip::address_v4::loopback(), 0));
    nlohmann::json hello = {{"port", acceptor_->local_endpoint().port()},
                            {"engine", engine_name()}};
    keys.put_into(hello);
    return hello;
  }

  Channel accept() {
    Stream stream(acceptor_->accept(), server_options_);
    stream.handshake();
    check(stream);
    return Channel(std::move(stream));
  }

  void learn(const nlohmann::json& hello) {
    if (engine_name() != hello.at("engine").get<std::string>()) {
      throw std::runtime_error("the client runs on another engine: " + engine_name());
    }
    hello.at("port").get_to(port_);
    const Keys keys = Keys::from(hello);
    auto client = std::make_shared<io::stcp::ClientOptions>();
    client->protocol.mode = mode_;
    client->protocol.identity = std::make_shared<const crypto::KeyPair>(keys.client());
    client->protocol.psk = std::make_shared<const crypto::Psk>(keys.psk());
    client->protocol.limits.max_record_log2 = record_log2_;
    client->trust = trust_in(keys.server());
    client->batching = batching_;
    client_options_ = std::move(client);
  }

  Channel connect() { return Channel(connect_stream()); }

  std::optional<nlohmann::json> serve_specially(const Work& work) {
    if (work.name == "idle") return keep_idle(work);
    if (work.name == "growth") return receive_in_turn(work);
    return std::nullopt;
  }

  std::optional<nlohmann::json> request_specially(const Work& work) {
    if (work.name == "growth") return send_in_turn(work);
    return std::nullopt;
  }

 private:
  Stream connect_stream() {
    Stream stream(context_.get_executor(), client_options_);
    stream.connect("127.0.0.1", port_);
    check(stream);
    return stream;
  }

  void check(const Stream& stream) const {
    if (stream.peer().mode != mode_) {
      throw std::runtime_error("another mode than was asked for");
    }
  }

  /// Runs a coroutine whose failure is the failure of the program.
  void spawn(net::awaitable<void> work) {
    net::co_spawn(context_, std::move(work), [](const std::exception_ptr& failure) {
      if (failure) std::rethrow_exception(failure);
    });
  }

  // --- idle: a server of coroutines, each of which waits for the next bytes of its client
  // ---------

  nlohmann::json keep_idle(const Work& work) {
    IdleServer server;
    accept_idle(server, work.connection_count + 1);
    // The first connection is the warm-up that pays for what all share.
    while (server.open_count < 1) context_.run_one();
    const std::uint64_t before = resident_bytes();
    while (server.open_count <= work.connection_count) context_.run_one();
    const double end_s = now_s() + work.settle_s;
    while (now_s() < end_s) context_.run_one_for(std::chrono::milliseconds(10));
    const std::uint64_t grown = resident_bytes() - before;
    if (server.open_count != work.connection_count + 1) {
      throw std::runtime_error("connections were lost");
    }
    server.sessions.front()->stream.write_some(net::buffer(&kLast, 1));
    while (server.open_count > 0) context_.run_one();
    return {{"count", work.connection_count}, {"memory_bytes", grown}};
  }

  void accept_idle(IdleServer& server, std::size_t count) {
    acceptor_->async_accept(
        [this, &server, count](const io::error_code& failure, Tcp::socket socket) {
          if (failure) throw io::system_error(failure);
          auto session = std::make_unique<IdleSession>(Stream(std::move(socket), server_options_));
          IdleSession& started = *session;
          server.sessions.push_back(std::move(session));
          started.start(server);
          if (count > 1) accept_idle(server, count - 1);
        });
  }

  // --- growth: the same bytes, in turn over few or many connections
  // -------------------------------
  //
  // A plain connection beside them carries a byte for each kCreditBytes that have arrived, so that
  // no more than kWindowBytes are under way, however many connections there are.

  nlohmann::json receive_in_turn(const Work& work) {
    Tcp::socket credit = acceptor_->accept();
    credit.set_option(Tcp::no_delay(true));
    for (std::size_t index = 0; index < work.connection_count; ++index) {
      Stream stream(acceptor_->accept(), server_options_);
      stream.handshake();
      check(stream);
      spawn(count_bytes(std::move(stream)));
    }
    net::write(credit, net::buffer(&kGoOn, 1));
    const Stopwatch watch;
    for (std::uint64_t next = kCreditBytes; next <= work.total_bytes; next += kCreditBytes) {
      while (received_bytes_ < next) context_.run_one();
      net::write(credit, net::buffer(&kGoOn, 1));
    }
    return transfer_report(received_bytes_, watch.wall_s(), watch.cpu_used_s());
  }

  net::awaitable<void> count_bytes(Stream stream) {
    std::vector<std::uint8_t> buffer(kTurnBytes);
    for (io::error_code ended; !ended;) {
      received_bytes_ += co_await stream.async_read_some(
          net::buffer(buffer), net::redirect_error(net::use_awaitable, ended));
    }
  }

  nlohmann::json send_in_turn(const Work& work) {
    if (work.total_bytes % kCreditBytes != 0) {
      throw std::invalid_argument("bytes is not a multiple of " + std::to_string(kCreditBytes));
    }
    const Socket credit = Socket::connect_to_loopback(port_);
    std::vector<Stream> streams;
    for (std::size_t index = 0; index < work.connection_count; ++index) {
      streams.push_back(connect_stream());
    }
    std::vector<std::uint8_t> buffer(kTurnBytes);
    Pattern(1).fill(buffer);
    const auto take_credit = [&] {
      std::uint8_t token = 0;
      if (credit.read_some(MutableBytes(&token, 1)) != 1) {
        throw std::runtime_error("the server has gone");
      }
    };
    take_credit();
    const Stopwatch watch;
    std::uint64_t acknowledged = 0;
    std::uint64_t sent = 0;
    for (std::size_t turn = 0; sent < work.total_bytes; ++turn) {
      net::write(streams[turn % streams.size()], net::buffer(buffer));
      sent += buffer.size();
      for (; sent - acknowledged > kWindowBytes; acknowledged += kCreditBytes) take_credit();
    }
    for (; acknowledged < sent; acknowledged += kCreditBytes) take_credit();
    return transfer_report(sent, watch.wall_s(), watch.cpu_used_s());
  }

  Mode mode_;
  std::uint8_t record_log2_;
  bool batching_;
  net::io_context context_{1};
  std::optional<Tcp::acceptor> acceptor_;
  std::shared_ptr<const io::stcp::ServerOptions> server_options_;
  std::shared_ptr<const io::stcp::ClientOptions> client_options_;
  std::uint16_t port_ = 0;
  std::uint64_t received_bytes_ = 0;  ///< of all connections in turn
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
  return run_contestant<Stcp>(argc, argv);
}
