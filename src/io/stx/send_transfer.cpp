#include "io/stx/send_transfer.hpp"

#include "io/detail/clock.hpp"
#include "sealine/base/errc.hpp"
#include "sealine/io/engine.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace sealine::io::stx {

using io::detail::now;

namespace {

constexpr std::chrono::milliseconds kFirstPause{250};
constexpr std::chrono::seconds kLongestPause{30};
constexpr std::chrono::minutes kDefaultRetry{10};
constexpr std::chrono::seconds kFirstReach{10};
constexpr unsigned kMaxRefusals = 3;

/// pause * 2^k, 30 s at most, +-50 %.
Duration pause_of(unsigned k) {
  const Duration base = std::min<Duration>(kFirstPause * (1U << std::min(k, 10U)), kLongestPause);
  ByteArray<2> random{};
  system_rng().fill(random);
  const double share = (random[0] * 256 + random[1]) / 65535.0;
  return std::chrono::duration_cast<Duration>(base * (0.5 + share));
}

}  // namespace

SendTransfer::SendTransfer(const net::any_io_executor& executor, std::shared_ptr<SendShared> shared,
                           std::shared_ptr<LaneTarget> target)
    : executor_(executor),
      shared_(std::move(shared)),
      target_(std::move(target)),
      timer_(executor) {}

void SendTransfer::start(Done done) {
  done_ = std::move(done);
  began_ = attempts_since_ = now();
  net::co_spawn(executor_, [self = shared_from_this()] { return self->run(); }, net::detached);
}

void SendTransfer::stop() {
  if (!running_ || stopping_) return;
  stopping_ = true;
  timer_.cancel();
  if (dialling_) dialling_->stop();
  if (session_) session_->stop();
}

void SendTransfer::stream_supplied() {
  net::post(executor_, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self && self->session_) self->session_->stream_supplied();
  });
}

void SendTransfer::finish(Result<> result) {
  running_ = false;
  result_ = std::move(result);
  net::post(executor_, [done = std::move(done_)]() mutable {
    if (done) io::detail::complete(std::move(done), error_code());
  });
}

net::awaitable<void> SendTransfer::run() {
  const auto self = shared_from_this();
  for (;;) {
    Error error{Errc::cancelled};
    Next next = Next::over;
    if (!stopping_) {
      dialling_ = std::make_shared<HandshakeStop>(executor_);
      auto opened = co_await dial_lane(target_, 0, dialling_);
      dialling_ = nullptr;
      if (stopping_) co_return finish(fail(Errc::cancelled));
      if (!opened) {
        error = opened.error();
        next = judge_failed_handshake(error);
      } else {
        const SendSessionEnd end = co_await run_session(std::move(*opened));
        if (end.error.code == Errc{}) co_return finish({});
        error = end.error;
        next = judge_session(end);
      }
    }
    if (stopping_) error = {Errc::cancelled};
    if (next == Next::over || stopping_) co_return finish(std::unexpected(error));
    const Next after = co_await pause(error);
    if (stopping_) co_return finish(fail(Errc::cancelled));
    if (after == Next::over) {
      // A tampered connection is told as such; else what counts is that the same call resumes.
      const bool altered = error.code == Errc::tag_mismatch;
      co_return finish(reached_ && !altered ? fail(Errc::gave_up) : std::unexpected(error));
    }
  }
}

net::awaitable<SendSessionEnd> SendTransfer::run_session(OpenedLane lane) {
  reached_ = true;
  refusals_ = 0;
  shared_->book->session_began(lane.connected);
  error_code ec;
  const auto endpoint = lane.socket.remote_endpoint(ec);
  // Further lanes go where this one went, whatever the name has become meanwhile.
  auto further = std::make_shared<LaneTarget>(*target_);
  if (!ec) further->address = endpoint.address().to_string();

  SendSessionEnd end;
  const auto ended = std::make_shared<net::steady_timer>(executor_);
  ended->expires_at(std::chrono::steady_clock::time_point::max());
  const auto server = lane.keys.server;
  session_ = std::make_shared<SendSession>(executor_, shared_, std::move(further), server);
  bool is_over = false;
  session_->start(std::move(lane), [&end, &is_over, ended](const SendSessionEnd& how) {
    end = how;
    is_over = true;
    ended->cancel();
  });
  if (stopping_) session_->stop();
  while (!is_over) {
    co_await ended->async_wait(net::redirect_error(net::use_awaitable, ec));
  }
  session_ = nullptr;
  co_return end;
}

SendTransfer::Next SendTransfer::judge_failed_handshake(const Error& error) {
  switch (describe(error.code).fault) {
    case Fault::authentication:
      if (error.code == Errc::peer_key_changed || error.code == Errc::peer_key_refused) {
        return Next::over;
      }
      [[fallthrough]];
    case Fault::peer_malformed:
    case Fault::peer_misbehaved:
      // Damage on the line looks the same; who has been let in before is not refused now.
      if (reached_) return Next::again;
      return ++refusals_ < kMaxRefusals ? Next::again : Next::over;
    case Fault::api_misuse:
      return Next::over;
    case Fault::limit:
      return Next::again;
    case Fault::environment:
      refusals_ = 0;
      if (error.code == Errc::name_not_found && !reached_ && !shared_->options->retry) {
        return Next::over;
      }
      return Next::again;
  }
  return Next::over;
}

SendTransfer::Next SendTransfer::judge_session(const SendSessionEnd& end) {
  return end.retry == sealine::stx::Retry::never ? Next::over : Next::again;
}

net::awaitable<SendTransfer::Next> SendTransfer::pause(Error error) {
  const TimePoint progress = shared_->book->last_progress();
  if (progress > attempts_since_) {
    attempts_since_ = progress;
    attempt_ = 0;
  }
  const Duration limit =
      shared_->options->retry.value_or(reached_ ? Duration(kDefaultRetry) : Duration(kFirstReach));
  const Duration spent = now() - attempts_since_;
  if (spent >= limit) co_return Next::over;
  const Duration delay = std::min(pause_of(attempt_), limit - spent);
  ++attempt_;
  if (shared_->options->on_retry) {
    shared_->options->on_retry({error, delay, attempt_, limit - spent});
  }
  timer_.expires_after(delay);
  error_code ignored;
  co_await timer_.async_wait(net::redirect_error(net::use_awaitable, ignored));
  co_return Next::again;
}

}  // namespace sealine::io::stx
