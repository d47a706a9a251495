// STT/1 by this library, through its public interface, as a user would write it: one session, whose
// streams are what others have connections for.
//   udp=1         over UDP, in place of WebSocket
//   cc=NAME       its congestion control: cubic, bbr (cubic)
//   window=BYTES  of flow control at most, for paths that hold much (the library's own choice)
//   address=IP    the server's (127.0.0.1)
//   session=1     every connection of the work is a session of its own
// role=about only names the engine. SEALINE_CRYPTO chooses the engine; the first line names the one
// that runs.
#include "support/program.hpp"
#include <sealine/io/engine.hpp>
#include <sealine/io/stt.hpp>

#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sealine::bench {
namespace {

namespace net = io::net;
namespace stt = io::stt;
using io::error_code;

constexpr std::size_t kSeedBytes = 32;

std::string engine_name() {
  if (!io::engine_choice_from_environment()) {
    throw std::runtime_error("the engine that SEALINE_CRYPTO names is not to be had here");
  }
  return std::string(io::thread_engine().name());
}

void check(const error_code& code) {
  if (code) throw io::system_error(code);
}

void run_once(net::io_context& context) {
  if (context.run_one() == 0) throw std::logic_error("waits for what nothing will bring");
}

/// Runs the context until the operation that `begin(handler)` starts has ended. Gives what it
/// gave beside its error.
template <class Value, class Begin>
std::pair<error_code, Value> wait_for(net::io_context& context, Begin begin) {
  std::optional<std::pair<error_code, Value>> outcome;
  begin(
      [&outcome](const error_code& code, Value value) { outcome.emplace(code, std::move(value)); });
  while (!outcome) run_once(context);
  return std::move(*outcome);
}

template <class Begin>
error_code wait_for_end(net::io_context& context, Begin begin) {
  std::optional<error_code> outcome;
  begin([&outcome](const error_code& code) { outcome = code; });
  while (!outcome) run_once(context);
  return *outcome;
}

/// A stream, and the session that it must not outlive.
class SttChannel {
 public:
  /// `frames` gets the number of those that came after expect_bulk, once this goes.
  SttChannel(net::io_context& context, std::shared_ptr<stt::Session> session, stt::Stream stream,
             std::shared_ptr<std::uint64_t> frames)
      : context_(&context),
        session_(std::move(session)),
        stream_(std::move(stream)),
        frames_(std::move(frames)) {}

  SttChannel(SttChannel&&) = default;
  SttChannel& operator=(SttChannel&&) = default;

  /// Ends what was not ended: a reset would take back what is on its way.
  ~SttChannel() {
    if (!stream_) return;
    *frames_ = frames_received() - *frames_;
    stream_.async_shutdown(net::detached);
  }

  void write(ByteView bytes) {
    while (!bytes.empty()) {
      const auto [code, count] = wait_for<std::size_t>(*context_, [&](auto done) {
        stream_.async_write_some(net::buffer(bytes.data(), bytes.size()), std::move(done));
      });
      check(code);
      bytes = bytes.subspan(count);
    }
  }

  void flush() {}  // what was written leaves with the next turn of the loop

  std::size_t read_some(MutableBytes into) {
    const auto [code, count] = wait_for<std::size_t>(*context_, [&](auto done) {
      stream_.async_read_some(net::buffer(into.data(), into.size()), std::move(done));
    });
    if (code == net::error::eof) return 0;
    check(code);
    return count;
  }

  void end_writing() {
    check(wait_for_end(*context_, [&](auto done) { stream_.async_shutdown(std::move(done)); }));
    flush();
  }

  void expect_bulk() { *frames_ = frames_received(); }

  void reset_on_close() {}  // no port is held by a stream

  [[nodiscard]] stt::Session& session() const { return *session_; }

  /// Calls `received(count)` for whatever comes, and at the end with 0.
  template <class Received>
  void receive_all(MutableBytes into, Received received) {
    stream_.async_read_some(net::buffer(into.data(), into.size()),
                            [this, into, received](const error_code& code, std::size_t count) {
                              if (code && code != net::error::eof) check(code);
                              received(count);
                              if (!code) receive_all(into, received);
                            });
  }

 private:
  [[nodiscard]] std::uint64_t frames_received() const {
    return session_->statistics().frames_received;
  }

  net::io_context* context_;
  std::shared_ptr<stt::Session> session_;
  stt::Stream stream_;
  std::shared_ptr<std::uint64_t> frames_;
};

class Stt {
 public:
  using Channel = SttChannel;

  explicit Stt(const Options& options)
      : is_session_each_(options.flag("session")),
        url_{.scheme = options.flag("udp") ? stt::Scheme::udp : stt::Scheme::ws,
             .host = options.text("address", "127.0.0.1")} {
    stt::SessionConfig& session = options_.session;
    const std::string congestion = options.text("cc", "cubic");
    if (congestion == "bbr") {
      session.recovery.congestion = ::sealine::stt::CongestionControl::bbr;
    } else if (congestion != "cubic") {
      throw std::invalid_argument("no congestion control: " + congestion);
    }
    if (const std::uint64_t window_bytes = options.number("window", 0)) {
      session.limits.max_stream_window_bytes = window_bytes;
      session.limits.max_session_window_bytes = 2 * window_bytes;
    }
    // All clients here come from one address and in great numbers.
    options_.listener.half_open_per_network = options_.listener.half_open;
    options_.listener.handshakes_per_second = 0;
  }

  nlohmann::json listen() {
    ByteArray<kSeedBytes> seed{};
    io::system_rng().fill(seed);
    open_endpoint(seed);
    error_code code;
    endpoint_->listen(url_, code);
    check(code);
    return {{"port", endpoint_->local_endpoints().front().port()},
            {"engine", engine_name()},
            {"seed", seed}};
  }

  void learn(const nlohmann::json& hello) {
    if (engine_name() != hello.at("engine").get<std::string>()) {
      throw std::runtime_error("the client runs on another engine: " + engine_name());
    }
    hello.at("port").get_to(url_.port);
    open_endpoint(hello.at("seed").get<ByteArray<kSeedBytes>>());
  }

  Channel accept() {
    if (is_session_each_) accept_session();
    return accept_stream();
  }

  Channel connect() {
    if (is_session_each_ || !session_) connect_session();
    auto stream = session_->open();
    if (!stream && stream.error().code == Errc::stream_limit) {
      connect_session();  // an id is given once
      stream = session_->open();
    }
    if (!stream) check(io::to_error_code(stream.error()));
    return {context_, session_, std::move(*stream), frames_};
  }

  std::optional<nlohmann::json> serve_specially(const Work& work) {
    if (work.name == "growth") return receive_in_turn(work);
    nlohmann::json report = serve(*this, work);
    report["datagrams"] = *frames_;  // one of bulk data holds one frame
    if (!is_session_each_ && work.name != "path") await_end(*session_);
    return report;
  }

  std::optional<nlohmann::json> request_specially(const Work& work) {
    if (work.name == "growth") return send_in_turn(work);
    nlohmann::json report = request(*this, work);
    if (!is_session_each_ && work.name != "path") drain(*session_);
    return report;
  }

 private:
  void open_endpoint(const ByteArray<kSeedBytes>& seed) {
    options_.seed = std::make_shared<const stc::Seed>(seed);
    endpoint_.emplace(context_.get_executor(), options_);
  }

  Channel accept_stream() {
    for (;;) {
      if (!session_) accept_session();
      auto [code, stream] = wait_for<stt::Stream>(
          context_, [&](auto done) { session_->async_accept(std::move(done)); });
      if (!code) return {context_, session_, std::move(stream), frames_};
      if (code != net::error::eof) check(code);
      session_.reset();
    }
  }

  // The former session goes once the other end has the new one, and so has all of the former.
  void accept_session() {
    keep(wait_for<stt::Session>(context_,
                                [&](auto done) { endpoint_->async_accept(std::move(done)); }));
  }

  void connect_session() {
    keep(wait_for<stt::Session>(
        context_, [&](auto done) { endpoint_->async_connect(url_, std::move(done)); }));
    if (!session_->connected().forward_secrecy) throw std::runtime_error("no forward secrecy");
  }

  void keep(std::pair<error_code, stt::Session> made) {
    check(made.first);
    session_ = std::make_shared<stt::Session>(std::move(made.second));
  }

  /// The client closes once it has everything.
  void await_end(stt::Session& session) {
    const auto [code, stream] =
        wait_for<stt::Stream>(context_, [&](auto done) { session.async_accept(std::move(done)); });
    if (code != net::error::eof) throw std::runtime_error("not closed well");
  }

  void drain(stt::Session& session) {
    check(wait_for_end(context_, [&](auto done) { session.async_drain(std::move(done)); }));
  }

  /// Each once: channels of one session lie side by side.
  template <class Act>
  void for_each_session(const std::vector<Channel>& channels, Act act) {
    const stt::Session* former = nullptr;
    for (const Channel& channel : channels) {
      if (&channel.session() != former) act(channel.session());
      former = &channel.session();
    }
  }

  // --- growth: the same bytes, in turn over few or many streams
  // ------------------------------------------------------------------------------------------

  nlohmann::json receive_in_turn(const Work& work) {
    // What comes is counted and thrown away, so one buffer does for all.
    std::vector<std::uint8_t> buffer(kReadBytes);
    std::optional<Stopwatch> watch;
    std::uint64_t received = 0;
    std::size_t ended = 0;
    // A stream is there once it is written to: all sessions before the first of them.
    std::vector<std::shared_ptr<stt::Session>> sessions;
    for (std::size_t index = 0; is_session_each_ && index < work.connection_count; ++index) {
      accept_session();
      sessions.push_back(session_);
    }
    std::vector<Channel> channels;
    channels.reserve(work.connection_count);  // none of them moves while it reads
    for (std::size_t index = 0; index < work.connection_count; ++index) {
      if (is_session_each_) session_ = std::move(sessions[index]);
      channels.push_back(accept_stream());
      // At once: what nobody reads takes the credit of the session.
      channels.back().receive_all(buffer, [&](std::size_t count) {
        if (!watch) watch.emplace();
        received += count;
        if (count == 0) ++ended;
      });
    }
    while (ended < channels.size()) run_once(context_);
    nlohmann::json report =
        transfer_report(received, watch.value().wall_s(), watch.value().cpu_used_s());
    for (Channel& channel : channels) channel.end_writing();
    for_each_session(channels, [this](stt::Session& session) { await_end(session); });
    return report;
  }

  nlohmann::json send_in_turn(const Work& work) {
    std::vector<Channel> channels;
    channels.reserve(work.connection_count);
    for (std::size_t index = 0; index < work.connection_count; ++index) {
      channels.push_back(connect());
    }
    std::vector<std::uint8_t> message(work.size_bytes);
    Pattern(1).fill(message);
    const Stopwatch watch;
    const std::uint64_t total = work.total_bytes / message.size();
    for (std::uint64_t number = 0; number < total; ++number) {
      channels[number % channels.size()].write(message);
    }
    for (Channel& channel : channels) channel.end_writing();
    std::uint8_t nothing = 0;
    for (Channel& channel : channels) {
      if (channel.read_some(MutableBytes(&nothing, 1)) != 0) {
        throw std::runtime_error("an answer that nobody asked for");
      }
    }
    nlohmann::json report =
        transfer_report(total * message.size(), watch.wall_s(), watch.cpu_used_s());
    // All at once: on UDP each lingers for those of its last words that were lost.
    std::size_t draining = 0;
    for_each_session(channels, [&draining](stt::Session& session) {
      ++draining;
      session.async_drain([&draining](const error_code& code) {
        check(code);
        --draining;
      });
    });
    while (draining > 0) run_once(context_);
    return report;
  }

  bool is_session_each_;
  stt::Url url_;
  stt::EndpointOptions options_;
  net::io_context context_{1};
  std::optional<stt::Endpoint> endpoint_;
  std::shared_ptr<stt::Session> session_;
  std::shared_ptr<std::uint64_t> frames_ = std::make_shared<std::uint64_t>(0);
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
  return run_contestant<Stt>(argc, argv);
}
