// sealine tunnel: accepts on one side, connects on the other; one of the two is sealed.
#include "cli/commands.hpp"
#include "cli/dial.hpp"
#include "cli/exit_code.hpp"
#include "cli/gate.hpp"
#include "cli/plain_socket.hpp"
#include "cli/process.hpp"
#include "cli/relay.hpp"
#include "cli/report.hpp"
#include "cli/sealed_listener.hpp"
#include "cli/signals.hpp"
#include "cli/trust_setup.hpp"
#include "cli/units.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <utility>

namespace sealine::cli {
namespace {

/// A listener takes 32 half-open connections of one network (stcp.md, limits): fewer at once, and
/// none of ours is turned away.
constexpr std::size_t kHandshakesAtOnce = 24;

/// A tunnel's clients are few addresses with many connections each.
constexpr std::uint32_t kHandshakesPerSecond = 200;
constexpr std::uint32_t kHandshakeBurst = 400;

constexpr std::uint32_t kToldFailuresPerSecond = 5;

constexpr std::uint64_t kPatienceMs = 10'000;
constexpr std::chrono::milliseconds kFirstPause{50};
constexpr std::chrono::milliseconds kLongestPause{800};

class Tunnel final {
 public:
  Tunnel(const TunnelOptions& options, const CommonOptions& common, Output& output)
      : options_(options),
        common_(common),
        output_(&output),
        up_(options.network.limit_rate),
        down_(options.network.limit_rate),
        places_(context_.get_executor(), options.max_connections),
        handshakes_(context_.get_executor(), kHandshakesAtOnce),
        signals_(context_, true, [this](int number) { on_signal(number); }) {}

  int run() {
    raise_descriptor_limit();
    if (const auto started = start(); !started) {
      output_->fail(started.error());
      code_ = started.error().exit.value_or(
          exit_code(started.error().error, Phase::start, Proof::none));
    } else {
      context_.run();
    }
    output_->done(code_, {{"bytes_in", traffic_.bytes_opened},
                          {"bytes_out", traffic_.bytes_sealed},
                          {"connections", served_}});
    return code_;
  }

 private:
  Outcome<> start() {
    if (options_.listen.is_sealed) return start_sealed();
    SEALINE_TRY(setup, set_up_client(options_.trust, options_.network, common_, *output_));
    dialer_ = std::make_unique<Dialer>(std::get<HostPort>(options_.to.place), std::move(setup),
                                       options_.network.retry, common_.state_dir, *output_);
    plain_listener_ = std::make_unique<PlainListener>(context_.get_executor());
    SEALINE_TRY(
        plain_listener_->listen(options_.listen, options_.network.family, options_.unsafe_listen));
    for (const std::string& place : plain_listener_->places()) {
      output_->say("listening on " + place);
      output_->event("listening", {{"address", place}});
    }
    plain_listener_->start([this](PlainSocket socket) { return take_plain(std::move(socket)); });
    return {};
  }

  Outcome<> start_sealed() {
    SEALINE_TRY(setup, set_up_server(options_.trust, options_.network, common_));
    io::stcp::ListenerLimits limits;
    limits.connections = options_.max_connections;
    limits.handshakes_per_second = kHandshakesPerSecond;
    limits.handshake_burst = kHandshakeBurst;
    sealed_listener_ = std::make_unique<SealedListener>(context_.get_executor(), std::move(setup),
                                                        limits, *output_);
    SEALINE_TRY(sealed_listener_->listen(std::get<HostPort>(options_.listen.place),
                                         options_.network.family));
    net::co_spawn(context_, accept_sealed(), net::detached);
    return {};
  }

  net::awaitable<void> accept_sealed() {
    for (;;) {
      error_code ec;
      io::stcp::Stream stream =
          co_await (*sealed_listener_)->async_accept(net::redirect_error(net::use_awaitable, ec));
      if (ec == net::error::operation_aborted) co_return;
      if (ec) {
        output_->log(LogLevel::warning, "no connection can be accepted",
                     {{"reason", ec.message()}});
        continue;
      }
      co_await places_.enter();
      net::co_spawn(context_, serve_sealed(std::move(stream)), net::detached);
    }
  }

  /// A sealed client came: on to the plain target.
  net::awaitable<void> serve_sealed(io::stcp::Stream stream) {
    const Pass pass(places_);
    const std::uint64_t id = ++served_;
    {
      report_connected(stream, *output_);
      const std::string peer = peer_text(stream);
      auto target = co_await connect_plain(options_.to, options_.network.family);
      if (target) {
        co_await relay(id, peer, std::move(stream), std::move(*target));
      } else {
        output_->log(LogLevel::warning, "target not reached",
                     {{"conn", id},
                      {"target", to_text(options_.to)},
                      {"code", code_text(target.error().code)},
                      {"reason", sentence({target.error(), {}, {}, {}, {}})}});
        error_code ec;
        co_await stream.async_abort(static_cast<std::uint8_t>(io::stcp::CloseReason::application),
                                    net::redirect_error(net::use_awaitable, ec));
      }
    }
    ended();
  }

  /// The accept loop goes on when there is a place for the next one.
  net::awaitable<void> take_plain(PlainSocket socket) {
    co_await places_.enter();
    net::co_spawn(context_, serve_plain(std::move(socket)), net::detached);
  }

  /// A plain client came: on to the sealed peer.
  net::awaitable<void> serve_plain(PlainSocket socket) {
    const Pass pass(places_);
    const std::uint64_t id = ++served_;
    {
      auto stream = co_await dial_patiently();
      if (stream) {
        report_connected(*stream, *output_);
        co_await relay(id, dialer_->name(), std::move(*stream), std::move(socket));
      } else {
        tell(stream.error());
        error_code ec;
        static_cast<void>(socket.set_option(net::socket_base::linger(true, 0), ec));
        static_cast<void>(socket.close(ec));
      }
    }
    ended();
  }

  /// One who has answered before and is silent now has mostly met his limit of handshakes: again
  /// after a pause, for as long as a handshake may take. Never at a first contact, and never for a
  /// key or secret that was wrong from the beginning.
  net::awaitable<Outcome<io::stcp::Stream>> dial_patiently() {
    const auto deadline = steady_clock_ms() + kPatienceMs;
    for (auto pause = kFirstPause;; pause = std::min(pause * 2, kLongestPause)) {
      {
        co_await handshakes_.enter();
        const Pass pass(handshakes_);
        auto stream = co_await dialer_->dial();
        if (stream) has_answered_ = true;
        if (stream || !has_answered_ || !is_silence(stream.error().error.code) ||
            steady_clock_ms() >= deadline) {
          co_return stream;
        }
      }
      net::steady_timer timer(context_, pause);
      error_code ec;
      co_await timer.async_wait(net::redirect_error(net::use_awaitable, ec));
    }
  }

  static bool is_silence(Errc code) {
    return code == Errc::no_answer || code == Errc::peer_fell_silent;
  }

  net::awaitable<void> relay(std::uint64_t id, const std::string& peer, io::stcp::Stream stream,
                             PlainSocket socket) {
    Relay relay(std::move(stream), std::move(socket), {up_, down_, traffic_});
    co_await relay.run();
    const auto statistics = relay.sealed().statistics();
    Fields fields{{"conn", id},
                  {"peer", peer},
                  {"bytes_in", statistics.data_bytes_received},
                  {"bytes_out", statistics.data_bytes_sent}};
    if (const auto error = relay.error()) {
      fields.push_back({"code", code_text(error->code)});
      fields.push_back({"reason", sentence({*error, {}, {}, {}, {}})});
      output_->log(LogLevel::warning, "connection failed", fields);
    } else {
      output_->log(LogLevel::info, "connection ended", fields);
    }
  }

  /// Why a connection was not made: hundreds of the same are told a few times a second.
  void tell(const Failure& failure) {
    const std::uint64_t now = steady_clock_ms() / 1000;
    if (now != told_second_) told_ = 0;
    told_second_ = now;
    if (++told_ <= kToldFailuresPerSecond) output_->fail(failure);
  }

  /// Called while the connection still holds its place.
  void ended() {
    if (is_draining_ && places_.inside() <= 1) finish(kExitDone);
  }

  void finish(int code) {
    code_ = code;
    signals_.stop();
    context_.stop();
  }

  void on_signal(int number) {
    if (number == SIGUSR1) return show_status();
    if (number == SIGHUP) {
      if (sealed_listener_) sealed_listener_->reload_keys();
      return;
    }
    if (is_draining_) return finish(exit_code_of_signal(number));
    is_draining_ = true;
    if (sealed_listener_) (*sealed_listener_)->close();
    if (plain_listener_) plain_listener_->close();
    if (places_.inside() == 0) return finish(kExitDone);
    output_->say(fmt::format("draining {} connections; a second signal ends them at once",
                             places_.inside()));
  }

  void show_status() {
    std::string text =
        fmt::format("{} connections now, {} so far, {} in, {} out", places_.inside(), served_,
                    format_bytes(traffic_.bytes_opened), format_bytes(traffic_.bytes_sealed));
    if (sealed_listener_) {
      const auto statistics = (*sealed_listener_)->statistics();
      text += fmt::format(", {} handshakes failed, {} refused, {} under way", statistics.failed,
                          statistics.refused, statistics.half_open);
    }
    output_->warn(text);
  }

  net::io_context context_{1};
  const TunnelOptions& options_;
  const CommonOptions& common_;
  Output* output_;
  RateLimit up_;
  RateLimit down_;
  Traffic traffic_;
  Gate places_;
  Gate handshakes_;
  Signals signals_;
  std::unique_ptr<Dialer> dialer_;
  std::unique_ptr<PlainListener> plain_listener_;
  std::unique_ptr<SealedListener> sealed_listener_;
  std::uint64_t served_ = 0;
  std::uint64_t told_second_ = 0;
  std::uint32_t told_ = 0;
  bool has_answered_ = false;
  bool is_draining_ = false;
  int code_ = kExitFailure;
};

}  // namespace

int run_tunnel(const TunnelOptions& options, const CommonOptions& common, Output& output) {
  Tunnel tunnel(options, common, output);
  return tunnel.run();
}

}  // namespace sealine::cli
