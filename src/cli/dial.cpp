#include "cli/dial.hpp"

#include "cli/exit_code.hpp"
#include "cli/report.hpp"
#include "cli/units.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/io/known_peers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace sealine::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kFirstPause{250};
constexpr std::chrono::milliseconds kLongestPause{10'000};

/// Whether another attempt may end better: nobody was reached.
bool may_try_again(const Error& error) {
  static constexpr std::array kTransient{Errc::unreachable, Errc::connection_refused,
                                         Errc::connect_timeout, Errc::name_not_found};
  return std::ranges::find(kTransient, error.code) != kTransient.end();
}

/// Between three and five quarters of `pause`, so that many clients do not come at once.
Clock::duration with_jitter(std::chrono::milliseconds pause) {
  std::array<std::uint8_t, 1> byte{};
  io::system_rng().fill(byte);
  return pause * (384 + byte[0]) / 512;
}

}  // namespace

Retry::Retry(Duration retry, std::string name, Output& output)
    : retry_(retry),
      name_(std::move(name)),
      output_(&output),
      deadline_(Clock::now() + std::chrono::duration_cast<Clock::duration>(retry)),
      pause_(kFirstPause) {}

net::awaitable<std::optional<Failure>> Retry::after(Failure why) {
  if (retry_ == Duration::zero() || !may_try_again(why.error)) co_return why;
  if (Clock::now() >= deadline_) {
    co_return Failure{{Errc::gave_up},
                      fmt::format("{} could not be reached for {}", name_, format_duration(retry_)),
                      {"last: " + sentence(why)},
                      "the same command may be run again",
                      kExitGivenUp};
  }
  if (is_first_) {
    output_->say(fmt::format("{}, trying for {}", sentence(why), format_duration(retry_)));
    is_first_ = false;
  }
  net::steady_timer timer(co_await net::this_coro::executor);
  timer.expires_at(std::min(deadline_, Clock::now() + with_jitter(pause_)));
  pause_ = std::min(pause_ * 2, kLongestPause);
  error_code ec;
  co_await timer.async_wait(net::redirect_error(net::use_awaitable, ec));
  co_return std::nullopt;
}

Dialer::Dialer(HostPort peer, ClientSetup setup, Duration retry, std::filesystem::path state_dir,
               Output& output)
    : peer_(std::move(peer)),
      setup_(std::move(setup)),
      retry_(retry),
      state_dir_(std::move(state_dir)),
      output_(&output),
      name_(to_text(peer_)) {
  if (auto name = io::peer_name(peer_.host, peer_.port)) name_ = *name;
}

Failure Dialer::failure_of(const Error& error, const io::stcp::Stream& stream) const {
  return dial_failure(error, stream, name_, setup_, state_dir_);
}

net::awaitable<Outcome<io::stcp::Stream>> Dialer::dial() {
  const auto executor = co_await net::this_coro::executor;
  Retry retry(retry_, name_, *output_);
  for (;;) {
    io::stcp::Stream stream(executor, setup_.options);
    error_code ec;
    co_await stream.async_connect(peer_.host, peer_.port,
                                  net::redirect_error(net::use_awaitable, ec));
    if (!ec) co_return stream;
    if (auto end = co_await retry.after(failure_of(io::to_error(ec), stream))) {
      co_return std::unexpected(std::move(*end));
    }
  }
}

}  // namespace sealine::cli
