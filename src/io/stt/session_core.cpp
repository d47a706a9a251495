#include "io/stt/session_core.hpp"

#include "io/detail/clock.hpp"
#include "io/detail/core_guard.hpp"
#include "io/stt/datagram_wire.hpp"
#include "io/stt/websocket_wire.hpp"
#include "sealine/io/engine.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace sealine::io::stt {

namespace {

constexpr std::chrono::microseconds kGatherTime{250};
constexpr std::chrono::seconds kLastWords{5};  ///< for what a session has to say at its end

std::string text_of(const net::ip::tcp::endpoint& client) {
  const std::string host = client.address().to_string();
  return (client.address().is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(client.port());
}

}  // namespace

SessionCore::SessionCore(std::shared_ptr<EndpointCore> endpoint)
    : endpoint_(std::move(endpoint)), timer_(*this) {}

// --- beginning
// ------------------------------------------------------------------------------------

void SessionCore::dial(const Url& url, Given done) {
  given_ = std::move(done);
  url_ = url;
  connected_ = {.peer = url.host + ":" + std::to_string(url.port), .scheme = url.scheme};
  if (url.scheme == Scheme::ws || url.scheme == Scheme::wss) return dial_websocket(url);
  connected_.scheme = Scheme::udp;
  auto wire = std::make_unique<DatagramWire>(*this);
  DatagramWire& dialling = *wire;
  wire_ = std::move(wire);
  dialling.dial(url);
  drive();
}

void SessionCore::fall_back() {
  wire_->close();
  former_wire_ = std::move(wire_);
  Url url = url_;
  url.scheme = Scheme::ws;
  connected_.scheme = Scheme::ws;
  dial_websocket(url);
}

void SessionCore::dial_websocket(const Url& url) {
  auto wire = std::make_unique<WebSocketWire>(*this);
  WebSocketWire& dialling = *wire;
  wire_ = std::move(wire);
  dialling.dial(url);
}

void SessionCore::answer(net::ip::tcp::socket socket, const net::ip::tcp::endpoint& client,
                         std::uint64_t number) {
  number_ = number;
  connected_ = {.peer = text_of(client), .scheme = Scheme::ws};
  auto wire = std::make_unique<WebSocketWire>(*this);
  WebSocketWire& answering = *wire;
  wire_ = std::move(wire);
  answering.answer(std::move(socket), client);
  drive();
}

DatagramWire& SessionCore::answer(const net::ip::tcp::endpoint& client) {
  connected_ = {.peer = text_of(client), .scheme = Scheme::udp};
  auto wire = std::make_unique<DatagramWire>(*this);
  DatagramWire& answering = *wire;
  wire_ = std::move(wire);
  return answering;
}

void SessionCore::establish(::sealine::stt::Established result, SessionConfig config) {
  connected_.forward_secrecy = result.forward_secrecy;
  session_.emplace(std::move(config), std::move(result), thread_engine(), system_rng(),
                   detail::now());
  phase_ = Phase::open;
  if (given_) {
    net::post(executor(), [done = std::move(given_), self = shared_from_this()]() mutable {
      detail::complete(std::move(done), error_code(), self->handle());
    });
  } else if (const auto number = std::exchange(number_, std::nullopt)) {
    endpoint_->handshake_over(*number, std::nullopt);
  }
}

// --- the loop
// -------------------------------------------------------------------------------------

void SessionCore::drive() {
  // What ends an operation may call us again from within.
  if (driving_) {
    drive_again_ = true;
    return;
  }
  driving_ = true;
  gathered_bytes_ = 0;
  do {
    drive_again_ = false;
    bool moved = true;
    while (moved && phase_ != Phase::closed) {
      moved = take_events();
      moved = wire_->transmit() || moved;
    }
  } while (drive_again_);
  driving_ = false;
  if (phase_ == Phase::closing && wire_->is_done()) end();
  if (phase_ == Phase::closed) return;
  wire_->arm();
  arm_timer();
}

TimePoint SessionCore::next_deadline() const {
  TimePoint next = TimePoint::max();
  const auto sooner = [&next](const std::optional<TimePoint>& when) {
    if (when) next = std::min(next, *when);
  };
  if (wire_) sooner(wire_->poll_timeout());
  if (session_) sooner(session_->poll_timeout());
  sooner(linger_until_);
  return next;
}

void SessionCore::arm_timer() {
  const TimePoint next = next_deadline();
  if (next == TimePoint::max()) return timer_.disarm();
  timer_.arm(next);
}

SessionCore::Timer::Timer(SessionCore& owner)
    : Timers::Timer(owner.endpoint_->timers()), core(owner) {}

void SessionCore::Timer::expired() {
  if (const auto keep = core.weak_from_this().lock()) keep->timer_expired();
}

void SessionCore::timer_expired() {
  if (phase_ == Phase::closed) return;
  const TimePoint now = detail::now();
  if (linger_until_ && now >= *linger_until_) return end();
  if (session_) session_->handle_timeout(now);
  wire_->handle_timeout(now);
  drive();
}

// --- ending
// ---------------------------------------------------------------------------------------

/// Before a session stands: the dial has failed.
void SessionCore::fail(const Error& error) {
  if (phase_ != Phase::beginning) return;
  wire_->refuse();
  if (given_) {
    net::post(executor(), [done = std::move(given_), error]() mutable {
      detail::complete(std::move(done), to_error_code(error), Session());
    });
  }
  const auto number = std::exchange(number_, std::nullopt);
  end();
  if (number) endpoint_->handshake_over(*number, error);
}

void SessionCore::release() {
  phase_ = Phase::closing;
  linger_until_ = detail::now() + kLastWords;
  if (const auto number = std::exchange(number_, std::nullopt)) {
    endpoint_->handshake_over(*number, std::nullopt);
  }
}

void SessionCore::lost() {
  if (session_) session_->handle_disconnected(detail::now());
  take_events();
  if (phase_ == Phase::open) phase_ = Phase::closing;
  if (!linger_until_) linger_until_ = detail::now() + kLastWords;
}

void SessionCore::end() {
  if (phase_ == Phase::closed) return;
  phase_ = Phase::closed;
  linger_until_.reset();
  wire_->close();
  timer_.disarm();
  give_session_up();
}

// The way is gone: whoever waits is told.
void SessionCore::give_session_up() {
  if (session_) {
    session_->handle_disconnected(detail::now());
    take_events();
    endpoint_->responder().release(session_->id());
  }
  if (!outcome_) return;
  end_operations(end_error());
  if (drain_) {
    const bool is_clean = outcome_->code == 0 && outcome_->fault.code == Errc{};
    finish(std::move(drain_), is_clean ? error_code() : to_error_code(end_error()));
  }
}

void SessionCore::drop_operations() {
  phase_ = Phase::closed;  // what goes with them may call, and finds nothing to do
  const Given given = std::move(given_);
  const Accepted accept = std::move(accept_);
  const Done drain = std::move(drain_);
  const auto streams = std::exchange(streams_, {});
}

void SessionCore::after_call() {
  if (phase_ != Phase::closed) drive();
}

// What the application writes leaves in one piece: at the end of this turn of its loop, or of the
// next one in which it writes nothing. Bounded in bytes, for the cache, and in time, for those who
// compute between two writes.
void SessionCore::after_write(std::size_t bytes) {
  if (gathered_bytes_ == 0) gathered_since_ = detail::now();
  gathered_bytes_ += bytes;
  if (gathered_bytes_ >= wire_->gather_bytes()) return after_call();
  if (is_gathering_) return;
  is_gathering_ = true;
  seen_bytes_ = gathered_bytes_;
  net::post(executor(),
            [guard = detail::CoreGuard(shared_from_this())]() mutable { guard.take()->gather(); });
}

void SessionCore::gather() {
  is_gathering_ = false;
  if (gathered_bytes_ == 0) return;
  const bool goes_on = gathered_bytes_ > seen_bytes_;
  if (!goes_on || detail::now() - gathered_since_ >= kGatherTime) return after_call();
  after_write(0);
}

void SessionCore::close(std::uint16_t code, std::string_view reason) {
  if (gathered_bytes_ > 0) after_call();  // what was written before goes before
  if (session_) session_->close(code, reason, detail::now());
  after_call();
}

void SessionCore::rotate() {
  if (session_) session_->rotate(detail::now());
  after_call();
}

void SessionCore::abandon() {
  cancel_accept();
  opened_.clear();
  if (gathered_bytes_ > 0) after_call();
  if (phase_ == Phase::open && session_) {
    session_->close(0, {}, detail::now());
    drive();
  }
}

void SessionCore::let_go() {
  endpoint_->run_with_sessions([self = shared_from_this()] { self->abandon(); });
}

void SessionCore::let_stream_go(StreamId id) {
  endpoint_->run_with_sessions([self = shared_from_this(), id] { self->abandon_stream(id); });
}

SessionStatistics SessionCore::statistics() const {
  return session_ ? session_->statistics() : SessionStatistics{};
}

}  // namespace sealine::io::stt
