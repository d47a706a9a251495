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
  const auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(retry_);
  auto pause = kFirstPause;
  for (bool is_first = true;; is_first = false) {
    io::stcp::Stream stream(executor, setup_.options);
    error_code ec;
    co_await stream.async_connect(peer_.host, peer_.port,
                                  net::redirect_error(net::use_awaitable, ec));
    if (!ec) co_return stream;
    const Error error = io::to_error(ec);
    Failure why = failure_of(error, stream);
    if (retry_ == Duration::zero() || !may_try_again(error)) co_return std::unexpected(why);
    if (Clock::now() >= deadline) {
      Failure out{{Errc::gave_up},
                  fmt::format("{} could not be reached for {}", name_, format_duration(retry_)),
                  {"last: " + sentence(why)},
                  "the same command may be run again",
                  kExitGivenUp};
      co_return std::unexpected(out);
    }
    if (is_first) {
      output_->say(fmt::format("{}, trying for {}", sentence(why), format_duration(retry_)));
    }
    net::steady_timer timer(executor);
    timer.expires_at(std::min(deadline, Clock::now() + with_jitter(pause)));
    pause = std::min(pause * 2, kLongestPause);
    co_await timer.async_wait(net::redirect_error(net::use_awaitable, ec));
  }
}

}  // namespace sealine::cli
