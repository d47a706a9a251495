// sealine stt listen | connect: streams to standard input and output, to commands, to targets, or
// back to where they came from. stt forward is in stt_forward.cpp.
#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "cli/msg_child.hpp"
#include "cli/process.hpp"
#include "cli/signals.hpp"
#include "cli/stdio.hpp"
#include "cli/stt_dial.hpp"
#include "cli/stt_forward.hpp"
#include "cli/stt_relay.hpp"
#include "cli/stt_report.hpp"
#include "cli/stt_seed.hpp"
#include "cli/stt_server.hpp"
#include "cli/units.hpp"

#include <fmt/format.h>

#include <csignal>
#include <memory>
#include <optional>
#include <utility>

namespace sealine::cli {
namespace {

using Role = SttOptions::Role;
using Work = SttOptions::Work;
using io::stt::Session;
using io::stt::Stream;

constexpr std::size_t kConnectPieceBytes = std::size_t{256} << 10U;
constexpr std::uint16_t kGoingAway = 257;

class Stt final {
 public:
  Stt(const SttOptions& options, Output& output)
      : options_(options),
        output_(&output),
        up_(options.network.limit_rate),
        down_(options.network.limit_rate),
        signals_(context_, options.role != Role::connect, [this](int n) { on_signal(n); }) {}

  int run() {
    if (options_.role != Role::connect) raise_descriptor_limit();
    net::co_spawn(context_, work(), [this](const std::exception_ptr& thrown) {
      signals_.stop();
      context_.stop();  // nothing that still waits has anybody to wait for it
      if (thrown) std::rethrow_exception(thrown);
    });
    context_.run();
    endpoint_.reset();  // its threads end before what they work for
    if (!code_) code_ = kExitFailure;
    output_->done(*code_, {{"bytes_in", counts_.bytes_in.load()},
                           {"bytes_out", counts_.bytes_out.load()},
                           {"streams", counts_.streams.load()}});
    return *code_;
  }

 private:
  SttShared shared() { return {up_, down_, counts_}; }

  net::awaitable<void> work() {
    const int code = co_await choose();
    if (!code_) code_ = code;
  }

  net::awaitable<int> choose() {
    auto seed = load_seed(options_.seed, *output_);
    if (!seed) co_return fail(seed.error());
    auto settings = endpoint_options(std::move(*seed), options_.network, options_.padding);
    settings.web.origins = options_.origins;
    settings.session.recovery.congestion = options_.congestion;
    settings.mtu_bytes = options_.mtu_bytes;
    settings.workers = options_.workers;
    endpoint_ = std::make_unique<io::stt::Endpoint>(context_.get_executor(), std::move(settings));
    switch (options_.role) {
      case Role::connect:
        co_return co_await connect();
      case Role::forward:
        co_return co_await forward();
      case Role::listen:
        break;
    }
    co_return co_await serve();
  }

  int fail(const Failure& failure) {
    output_->fail(failure);
    return failure.exit.value_or(exit_code(failure.error, Phase::start, Proof::none));
  }

  // --- dialling ----------------------------------------------------------------------------------

  net::awaitable<int> connect() {
    auto session =
        co_await dial_session(*endpoint_, options_.url, options_.network.retry, *output_);
    if (!session) co_return fail(session.error());
    session_ = std::make_shared<Session>(std::move(*session));
    auto stream = session_->open();
    if (!stream) co_return fail({stream.error(), {}, {}, {}, {}});
    co_return co_await converse(std::move(*stream));
  }

  net::awaitable<int> forward() {
    forwarder_ = std::make_unique<SttForwarder>(*endpoint_, options_, shared(), *output_);
    if (const auto listening = forwarder_->listen(); !listening) co_return fail(listening.error());
    const auto ended = co_await forwarder_->run();
    co_return ended ? kExitDone : fail(ended.error());
  }

  // --- listening ---------------------------------------------------------------------------------

  net::awaitable<int> serve() {
    server_ = std::make_unique<SttServer>(*endpoint_, options_, shared(), *output_);
    if (const auto listening = server_->listen(); !listening) co_return fail(listening.error());
    if (options_.work != Work::standard) {
      co_await server_->serve();
      co_return kExitDone;
    }
    auto first = co_await server_->first();
    if (!first) co_return kExitDone;  // told to stop; on_signal has set the code
    session_ = std::move(first->session);
    co_return co_await converse(std::move(first->stream));
  }

  // --- one stream on standard input and output, or on a command ---------------------------------

  net::awaitable<int> converse(Stream stream) {
    const std::uint64_t id = stream.id();
    output_->event("stream", {{"id", id}, {"state", "opened"}});
    StandardInput input(context_.get_executor());
    StandardOutput data_out(context_.get_executor());
    StandardLines lines(input, data_out);
    std::unique_ptr<Child> command;
    if (!options_.command.empty()) {
      auto started = Child::start(context_.get_executor(), options_.command);
      if (!started) {
        stream = {};
        co_return fail({started.error(), "the command was not started", {}, {}, {}});
      }
      command = std::move(*started);
    }
    LineEnds& ends = command ? static_cast<LineEnds&>(*command) : lines;
    SttRelay relay(std::move(stream), ends, command.get(), shared(), kConnectPieceBytes);
    if (!command && input.is_terminal()) relay.end_input_with_peer();
    relay_ = &relay;
    co_await relay.run();
    relay_ = nullptr;
    const bool is_clean = !relay.local_error() && !relay.network_error();
    output_->event("stream", {{"id", id}, {"state", is_clean ? "closed" : "failed"}});
    error_code ec;
    co_await session_->async_drain(net::redirect_error(net::use_awaitable, ec));
    co_return tell_end(relay);
  }

  int tell_end(const SttRelay& relay) {
    if (is_told_to_stop_) return kExitFailure;  // on_signal has set the code
    if (const auto local = relay.local_error()) {
      if (is_closed_output(*local) && !relay.status()) return kExitLocal;  // our reader has enough
      if (local->code == Errc::command_failed) {
        return fail(
            {*local, fmt::format("the command ended with status {}", *relay.status()), {}, {}, {}});
      }
      return fail({*local, "standard input or output failed", {}, {}, {}});
    }
    const auto session = stt_session_failure(*session_);
    if (const auto error = relay.network_error()) {
      return fail(session ? *session : stt_stream_failure(*error, peer_text(*session_)));
    }
    return session ? fail(*session) : kExitDone;
  }

  // --- signals -----------------------------------------------------------------------------------

  /// Serves until told to stop.
  [[nodiscard]] bool drains() const {
    return options_.role == Role::forward ||
           (options_.role == Role::listen && options_.work != Work::standard);
  }

  void on_signal(int number) {
    if (number == SIGUSR1) return show_status();
    if (number == SIGHUP) return;  // the seed belongs to an endpoint for its life
    const bool is_serving = server_ || (forwarder_ && forwarder_->has_session());
    if (drains() && !is_draining_ && is_serving) {
      is_draining_ = true;
      const std::size_t under_way = forwarder_ ? forwarder_->connections() : server_->sessions();
      if (under_way > 0) {
        output_->say(fmt::format("draining {} {}; a second signal ends them at once", under_way,
                                 forwarder_ ? "connections" : "sessions"));
      }
      return forwarder_ ? forwarder_->drain() : server_->drain();
    }
    code_ = exit_code_of_signal(number);
    if (relay_ != nullptr && !is_told_to_stop_) {
      is_told_to_stop_ = true;
      session_->close(kGoingAway, "told to stop");
      return relay_->abort();
    }
    context_.stop();
  }

  void show_status() {
    output_->warn(fmt::format("{} sessions, {} streams so far, {} in, {} out",
                              server_ ? server_->sessions() : std::size_t{session_ ? 1U : 0U},
                              counts_.streams.load(), format_bytes(counts_.bytes_in),
                              format_bytes(counts_.bytes_out)));
  }

  net::io_context context_{1};
  const SttOptions& options_;
  Output* output_;
  RateLimit up_;
  RateLimit down_;
  SttTotals counts_;
  std::unique_ptr<io::stt::Endpoint> endpoint_;
  std::unique_ptr<SttServer> server_;
  std::unique_ptr<SttForwarder> forwarder_;
  std::shared_ptr<Session> session_;
  SttRelay* relay_ = nullptr;
  Signals signals_;
  std::optional<int> code_;
  bool is_draining_ = false;
  bool is_told_to_stop_ = false;
};

}  // namespace

int run_stt(const SttOptions& options, const CommonOptions& /*common*/, Output& output) {
  Stt stt(options, output);
  return stt.run();
}

}  // namespace sealine::cli
