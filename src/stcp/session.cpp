#include "stcp/detail/session.hpp"

#include "sealine/base/assert.hpp"
#include "sealine/crypto/constant_time.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <utility>

namespace sealine::stcp::detail {
namespace {

constexpr std::uint16_t kLastEpoch = std::numeric_limits<std::uint16_t>::max();
constexpr Duration kRekeyPause = std::chrono::seconds(1);
constexpr std::uint64_t kRekeyPauseBytes = std::uint64_t{1} << 20U;
constexpr std::uint64_t kNeverBytes = std::numeric_limits<std::uint64_t>::max();
/// Up to here a copy is cheaper than a seal in two pieces (head from the caller, trailer in place).
constexpr std::size_t kCopiedBytes = 1024;
/// A server waits for so many times what makes a client act by itself.
constexpr int kServerPatience = 2;

}  // namespace

// --- start

void Session::install(const KeySchedule& keys, Mode mode, std::uint8_t max_record_log2) {
  mode_ = mode;
  max_record_bytes_ = std::size_t{1} << max_record_log2;
  const bool is_client = role_ == Role::client;
  send_.start(is_client ? keys.client_to_server : keys.server_to_client);
  receive_.start(is_client ? keys.server_to_client : keys.client_to_server);
  exporter_ = keys.exporter.clone();
  h_ = keys.h;
}

void Session::start(TimePoint now) {
  encrypted_at_ = now;
  receive_budget_.start(now);
  send_budget_.start(now);
  rekeyed(now);
  if (limits_->idle_timeout > Duration{}) timers_.set(Timer::idle, now + limits_->idle_timeout);
  if (limits_->ping_interval > Duration{}) timers_.set(Timer::ping, now + limits_->ping_interval);
  set_padding(padding_, now);
}

void Session::seal_finish(ByteView data, Outbox& outbox) {
  const std::size_t written = seal_record(RecordType::finish, data, outbox.room(), TimePoint{});
  SEALINE_ASSERT(written != 0);
  outbox.add(written);
}

Result<Session::FinishOpened> Session::open_finish(MutableBytes in, std::size_t data_bytes) {
  const std::size_t length = data_bytes + kMinRecordLength;
  if (in.size() < kRecordHeadBytes) return FinishOpened{};
  const ByteView head = in.first(kRecordHeadBytes);
  if (load_be64(head.data()) != length) return fail(Errc::bad_length);
  receive_.prepare(*engine_);
  // From here on everything is the one error of FINISH.
  if (!crypto::ct_equal(receive_.iv(), head.subspan(8))) return fail(Errc::finish_not_authentic);
  if (in.size() < kRecordHeadBytes + length) return FinishOpened{0, kRecordHeadBytes + length, {}};

  const MutableBytes sealed = in.subspan(kRecordHeadBytes, length);
  if (!engine_->gcm_open(receive_.key(), receive_.nonce(), head, sealed, {})) {
    return fail(Errc::finish_not_authentic);
  }
  receive_.advance();
  const std::size_t plaintext_bytes = length - kRecordTagBytes;
  const auto trailer =
      parse_trailer(sealed.subspan(data_bytes).first<kRecordTrailerBytes>(), plaintext_bytes);
  if (!trailer || trailer->type != RecordType::finish || trailer->pad_bytes != 0) {
    return fail(Errc::finish_not_authentic);
  }
  ++statistics_.records_received;
  statistics_.wire_bytes_received += kRecordHeadBytes + length;
  return FinishOpened{kRecordHeadBytes + length, kRecordHeadBytes, sealed.first(data_bytes)};
}

void Session::wipe() noexcept {
  send_.wipe();
  receive_.wipe();
  exporter_.wipe();
  secure_wipe(h_);
  rekey_.wipe();
  timers_.cancel_all();
  due_ = 0;
}

// --- receiving

OpenedRecords Session::open(MutableBytes in, MutableBytes out, TimePoint now) {
  OpenedRecords run;
  Opened& done = run.opened;
  const bool had_room = !out.empty();

  while (true) {
    const MutableBytes rest = in.subspan(done.consumed);
    if (receive_state_ == ReceiveState::closed) {
      if (!rest.empty() && !is_closed()) run.fault = Errc::wrong_state;
      return run;
    }
    if (rest.size() < kRecordHeadBytes) {
      run.record_is_partial = true;
      return run;
    }
    const Result<std::size_t> length = check_record_head(rest.first(kRecordHeadBytes));
    if (!length) [[unlikely]] {
      run.fault = length.error().code;
      return run;
    }
    run.wanted = kRecordHeadBytes + *length;
    if (rest.size() < run.wanted) {
      run.record_is_partial = true;
      return run;
    }
    const MutableBytes room = out.subspan(done.delivered);
    if (had_room && room.empty()) return run;

    const Result<OpenedRecord> record = open_record(rest.first(run.wanted), room, now);
    if (!record) [[unlikely]] {
      run.fault = record.error().code;
      return run;
    }
    if (record->brings_data()) [[likely]] {
      receive_budget_.brought_data(now);
      if (receive_state_ == ReceiveState::open) deliver(*record, room, done);
    } else {
      run.fault = handle_record(*record, now);
      if (run.fault) [[unlikely]] {
        secure_wipe(record->front);
        return run;
      }
    }
    done.consumed += run.wanted;
    run.wanted = kRecordHeadBytes;
    if (!done.spill.empty() || !events_.empty()) return run;
  }
}

/// Length (F1), then IV (F11), both before the body is there.
Result<std::size_t> Session::check_record_head(ByteView head) {
  const std::uint64_t length = load_be64(head.data());
  if (length < kMinRecordLength || length > max_record_bytes_ + kMinRecordLength) [[unlikely]] {
    return fail(Errc::bad_length);
  }
  if (receive_.sequence() >= limits_->max_sequence) [[unlikely]] {
    return fail(Errc::too_many_empty);
  }
  receive_.prepare(*engine_);
  if (!crypto::ct_equal(receive_.iv(), head.subspan(8))) [[unlikely]] {
    return fail(Errc::record_out_of_place);
  }
  return static_cast<std::size_t>(length);
}

/// Tag (F12), then pad, type and size of the data (F13).
Result<Session::OpenedRecord> Session::open_record(MutableBytes wire, MutableBytes room,
                                                   TimePoint now) {
  const std::size_t length = wire.size() - kRecordHeadBytes;
  OpenedRecord record{.sealed = wire.subspan(kRecordHeadBytes), .front = {}, .trailer = {}};
  // The front of a long plaintext goes straight to the caller, whatever it turns out to be.
  const bool is_long = length > kCopiedBytes + kMinRecordLength;
  if (is_long && receive_state_ == ReceiveState::open) {
    record.front = room.first(std::min(room.size(), length - kMinRecordLength));
  }
  if (!engine_->gcm_open(receive_.key(), receive_.nonce(), wire.first(kRecordHeadBytes),
                         record.sealed, record.front)) [[unlikely]] {
    return fail(Errc::record_not_authentic);
  }
  receive_.advance();

  const std::size_t plaintext_bytes = length - kRecordTagBytes;
  const std::size_t trailer_at = plaintext_bytes - kRecordTrailerBytes;
  const auto trailer = parse_trailer(record.sealed.subspan(trailer_at).first<kRecordTrailerBytes>(),
                                     plaintext_bytes);
  if (!trailer) [[unlikely]] {
    secure_wipe(record.front);
    return std::unexpected(trailer.error());
  }
  record.trailer = *trailer;
  record.data_bytes = trailer_at - trailer->pad_bytes;

  ++statistics_.records_received;
  statistics_.wire_bytes_received += wire.size();
  add_to_rekey(length, now);
  if (limits_->idle_timeout > Duration{}) timers_.set(Timer::idle, now + limits_->idle_timeout);
  return record;
}

void Session::deliver(const OpenedRecord& record, MutableBytes room, Opened& done) {
  std::size_t fitted = std::min(record.front.size(), record.data_bytes);
  if (record.front.empty()) {
    fitted = std::min(room.size(), record.data_bytes);
    if (fitted != 0) std::memcpy(room.data(), record.sealed.data(), fitted);
  }
  done.delivered += fitted;
  done.spill = record.sealed.subspan(fitted, record.data_bytes - fitted);
  statistics_.data_bytes_received += record.data_bytes;
}

std::optional<Errc> Session::handle_record(const OpenedRecord& record, TimePoint now) {
  // Its few data may lie in both places.
  ByteArray<kMaxControlDataBytes> kept{};
  const std::size_t kept_bytes = std::min(record.data_bytes, kept.size());
  const std::size_t in_front = std::min(record.front.size(), kept_bytes);
  std::ranges::copy(record.front.first(in_front), kept.begin());
  std::ranges::copy(record.sealed.subspan(in_front, kept_bytes - in_front),
                    kept.begin() + static_cast<std::ptrdiff_t>(in_front));
  const ByteView data = ByteView(kept).first(kept_bytes);
  const RecordTrailer& trailer = record.trailer;
  std::optional<Errc> fault;
  // F14 comes before F15: what is out of its place is never acted on, nor what is one too many.
  switch (trailer.type) {
    case RecordType::finish:
      return Errc::wrong_state;
    case RecordType::pin_update:
      if (role_ != Role::client || mode_ == Mode::anonymous || mode_ == Mode::psk)
        return Errc::wrong_state;
      break;
    case RecordType::rekey:
      fault = check_rekey(data);
      if (fault) return fault;
      break;
    case RecordType::data:
    case RecordType::close:
    case RecordType::ping:
      break;
  }
  if (!receive_budget_.take_empty(now)) return Errc::too_many_empty;
  switch (trailer.type) {
    case RecordType::close:
      handle_close(data[0]);
      break;
    case RecordType::rekey:
      return handle_rekey(data, now);
    case RecordType::pin_update:
      if (receive_state_ != ReceiveState::discarding) {
        std::ranges::copy(data, next_pin_.bytes.begin());
        events_.push(EventKind::pin_updated);
      }
      break;
    case RecordType::data:
    case RecordType::ping:
    case RecordType::finish:
      break;
  }
  return std::nullopt;
}

void Session::handle_close(std::uint8_t reason) {
  const bool answers_ours = receive_state_ == ReceiveState::discarding;
  receive_state_ = ReceiveState::closed;
  static_cast<void>(rekey_.handle(RekeyEvent::close_opened, own_half()));
  clear_due(Due::ask_rekey);
  timers_.cancel(Timer::abort_answer);
  if (answers_ours) return;
  if (reason == 0) {
    events_.push(EventKind::data_ended);
    return;
  }
  aborted_by_peer_ = reason;
  events_.push(EventKind::aborted);
  close(reason);
  if (send_state_ == SendState::close_due) close_reason_ = reason;
}

// --- rekey

std::optional<Errc> Session::check_rekey(ByteView data) const {
  const bool has_share = !data.empty();
  if (role_ == Role::client && !has_share) return std::nullopt;  // R0 is never out of its place
  RekeyEvent event = RekeyEvent::r2_opened;
  if (role_ == Role::server) event = has_share ? RekeyEvent::r1_opened : RekeyEvent::r3_opened;
  if (!next_rekey_state(rekey_.state(), event, own_half())) return Errc::wrong_state;
  return std::nullopt;
}

std::optional<Errc> Session::handle_rekey(ByteView data, TimePoint now) {
  if (data.empty()) {
    if (role_ == Role::client) {  // R0
      want_rekey(now);
      return std::nullopt;
    }
    // R3
    rekey_.mix_into(receive_, *engine_);
    statistics_.epoch_received = receive_.epoch();
    static_cast<void>(rekey_.handle(RekeyEvent::r3_opened, own_half()));
    rekeyed(now);
    if (receive_state_ == ReceiveState::open) events_.push(EventKind::rekeyed);
    return std::nullopt;
  }
  crypto::PublicKey share;
  std::ranges::copy(data, share.bytes.begin());
  if (role_ == Role::server) return handle_r1(share, now);

  // R2
  if (!rekey_.take_r2(*engine_, h_, share)) return Errc::dh_all_zero;
  rekey_.mix_into(receive_, *engine_);
  statistics_.epoch_received = receive_.epoch();
  static_cast<void>(rekey_.handle(RekeyEvent::r2_opened, own_half()));
  return std::nullopt;
}

std::optional<Errc> Session::handle_r1(const crypto::PublicKey& share, TimePoint now) {
  if (receive_.epoch() == kLastEpoch) return Errc::too_many_empty;
  if (!rekey_budget_.take(now - encrypted_at_, lengths_received())) return Errc::too_many_empty;
  clear_due(Due::ask_rekey);  // covered by this one
  if (own_half() == OwnHalf::open && !rekey_.take_r1(*engine_, *rng_, h_, share))
    return Errc::dh_all_zero;
  static_cast<void>(rekey_.handle(RekeyEvent::r1_opened, own_half()));
  return std::nullopt;
}

bool Session::rekey_is_allowed(TimePoint now) const noexcept {
  if (is_half_closed() || rekey_.state() != RekeyState::idle || send_.epoch() == kLastEpoch)
    return false;
  if (role_ == Role::server || send_.epoch() == 0) return true;
  return now - last_rekey_at_ >= kRekeyPause ||
         lengths_sent() - lengths_sent_at_rekey_ >= kRekeyPauseBytes;
}

void Session::want_rekey(TimePoint now) {
  bytes_to_rekey_ = kNeverBytes;  // until this one is done
  if (role_ == Role::server) {
    if (!rekey_is_allowed(now) || rekey_asked_) return;
    rekey_asked_ = true;
    set_due(Due::ask_rekey);
    return;
  }
  if (rekey_is_allowed(now)) {
    timers_.cancel(Timer::rekey_allowed);
    static_cast<void>(rekey_.handle(RekeyEvent::wanted, own_half()));
  } else if (!is_half_closed() && rekey_.state() == RekeyState::idle &&
             send_.epoch() != kLastEpoch) {
    timers_.set(Timer::rekey_allowed, last_rekey_at_ + kRekeyPause);
  }
}

void Session::rekeyed(TimePoint now) {
  const bool is_client = role_ == Role::client;
  rekey_asked_ = false;
  bytes_to_rekey_ = is_client ? limits_->rekey_bytes : limits_->rekey_bytes * kServerPatience;
  last_rekey_at_ = now;
  lengths_sent_at_rekey_ = lengths_sent();
  timers_.set(Timer::rekey,
              now + (is_client ? limits_->rekey_after : limits_->rekey_after * kServerPatience));
}

void Session::request_rekey(TimePoint now) {
  if (rekey_is_allowed(now)) want_rekey(now);
}

// --- sending

bool Session::may_seal(RecordType type) const noexcept {
  if (send_state_ == SendState::closed) return false;
  // The last sequence number is kept for CLOSE.
  return send_.sequence() + (type == RecordType::close ? 0U : 1U) < limits_->max_sequence;
}

std::size_t Session::padded(std::size_t data_bytes) const {
  if (!pads_) return data_bytes;
  return std::max(data_bytes, padded_size(padding_, data_bytes, max_record_bytes_));
}

std::size_t Session::data_that_fits(std::size_t data_bytes, std::size_t room) const {
  if (room < kRecordOverheadBytes) return 0;
  room -= kRecordOverheadBytes;
  std::size_t most = std::min({data_bytes, max_record_bytes_, room});
  if (!pads_) return most;
  if (const auto* rate = std::get_if<PadConstantRate>(&padding_)) {
    most = std::min<std::size_t>(most, rate->record_bytes);
  }
  if (padded(most) <= room) return most;
  // padded() never falls when its argument grows.
  std::size_t fits = 0;
  while (fits < most) {
    const std::size_t middle = fits + (most - fits + 1) / 2;
    if (padded(middle) <= room) {
      fits = middle;
    } else {
      most = middle - 1;
    }
  }
  return fits;
}

std::size_t Session::seal_record(RecordType type, ByteView data, MutableBytes out, TimePoint now) {
  const std::size_t body_bytes = type == RecordType::finish ? data.size() : padded(data.size());
  const std::size_t length = body_bytes + kMinRecordLength;
  const std::size_t wire_bytes = kRecordHeadBytes + length;
  if (out.size() < wire_bytes) return 0;

  send_.prepare(*engine_);
  const MutableBytes head = out.first(kRecordHeadBytes);
  store_be64(length, head.data());
  std::memcpy(head.data() + 8, send_.iv().data(), kIvBytes);
  const MutableBytes sealed = out.subspan(kRecordHeadBytes, length);
  const std::size_t pad_bytes = body_bytes - data.size();
  if (pad_bytes != 0) std::memset(sealed.data() + data.size(), 0, pad_bytes);
  encode_trailer({type, pad_bytes}, sealed.subspan(body_bytes).first<kRecordTrailerBytes>());
  ByteView from_caller = data;
  if (data.size() <= kCopiedBytes) {
    if (!data.empty()) std::memcpy(sealed.data(), data.data(), data.size());
    from_caller = {};
  }
  engine_->gcm_seal(send_.key(), send_.nonce(), head, from_caller, sealed);
  send_.advance();

  ++statistics_.records_sent;
  statistics_.wire_bytes_sent += wire_bytes;
  if (type == RecordType::finish) return wire_bytes;
  if (data.empty() || type != RecordType::data) static_cast<void>(send_budget_.take_empty(now));
  sent_one(length, now);
  return wire_bytes;
}

void Session::sent_one(std::size_t length, TimePoint now) {
  add_to_rekey(length, now);
  if (limits_->idle_timeout > Duration{}) timers_.set(Timer::idle, now + limits_->idle_timeout);
  if (limits_->ping_interval > Duration{}) timers_.set(Timer::ping, now + limits_->ping_interval);
  if (const auto* rate = std::get_if<PadConstantRate>(&padding_)) [[unlikely]] {
    turn_has_come_ = false;
    next_turn_ += rate->interval;
    if (next_turn_ <= now) next_turn_ = now + rate->interval;  // late: no burst makes up for it
    timers_.set(Timer::pace, next_turn_);
  }
}

bool Session::take_turn(TimePoint now) {
  if (!is_paced()) [[likely]]
    return true;
  if (timers_.take_due(Timer::pace, now)) turn_has_come_ = true;
  return turn_has_come_;
}

Result<Sealed> Session::seal(ByteView plaintext, MutableBytes out, TimePoint now) {
  if (send_state_ != SendState::open) return fail(Errc::already_closed);
  Sealed done;
  if (due_ != 0 || rekey_.is_due()) [[unlikely]] {
    done.written = seal_waiting(out, now);
    if (due_ != 0 || rekey_.is_due()) return done;  // nothing overtakes what waits
  }
  while (done.taken < plaintext.size()) {
    if (!may_seal(RecordType::data)) [[unlikely]] {
      if (done.written != 0) break;
      return fail(Errc::sequence_exhausted);
    }
    if (!take_turn(now)) break;
    const MutableBytes room = out.subspan(done.written);
    const std::size_t chunk = data_that_fits(plaintext.size() - done.taken, room.size());
    if (chunk == 0) break;
    done.written += seal_record(RecordType::data, plaintext.subspan(done.taken, chunk), room, now);
    done.taken += chunk;
    statistics_.data_bytes_sent += chunk;
    send_budget_.brought_data(now);
  }
  return done;
}

std::size_t Session::seal_waiting(MutableBytes out, TimePoint now) {
  std::size_t written = 0;
  while (has_waiting()) {
    const std::size_t more = seal_one_waiting(out.subspan(written), now);
    if (more == 0) break;
    written += more;
  }
  return written;
}

std::size_t Session::seal_filler(MutableBytes out, TimePoint now) {
  if (!is_paced() || send_state_ != SendState::open || !take_turn(now)) return 0;
  if (!may_seal(RecordType::data)) return 0;
  return seal_record(RecordType::data, {}, out, now);
}

bool Session::has_waiting() const noexcept {
  if (send_state_ == SendState::closed) return false;
  return due_ != 0 || rekey_.is_due() || send_state_ == SendState::close_due;
}

std::size_t Session::seal_one_waiting(MutableBytes out, TimePoint now) {
  if (!take_turn(now)) return 0;
  const bool only_close = aborts() || !may_seal(RecordType::ping);
  if (!only_close && rekey_.is_due()) return seal_rekey(out, now);

  std::size_t written = 0;
  if (!only_close && is_due(Due::ask_rekey)) {  // R0
    written = seal_record(RecordType::rekey, {}, out, now);
    if (written != 0) clear_due(Due::ask_rekey);
  } else if (!only_close && is_due(Due::pin_update)) {
    written = seal_record(RecordType::pin_update, next_pin_.bytes, out, now);
    if (written != 0) clear_due(Due::pin_update);
  } else if (!only_close && is_due(Due::ping)) {
    written = seal_record(RecordType::ping, {}, out, now);
    if (written != 0) clear_due(Due::ping);
  } else if (send_state_ == SendState::close_due && may_seal(RecordType::close)) {
    const ByteArray<kCloseDataBytes> reason = {close_reason_};
    written = seal_record(RecordType::close, reason, out, now);
    if (written != 0) close_sealed(now);
  }
  return written;
}

std::size_t Session::seal_rekey(MutableBytes out, TimePoint now) {
  const bool is_r3 = rekey_.state() == RekeyState::r3_due;
  const std::size_t data_bytes = is_r3 ? 0 : kRekeyShareBytes;
  if (out.size() < kRecordOverheadBytes + padded(data_bytes)) return 0;  // before any key is made

  std::size_t written = 0;
  switch (rekey_.state()) {
    case RekeyState::r1_due: {
      const crypto::PublicKey share = rekey_.make_r1(*engine_, *rng_);
      written = seal_record(RecordType::rekey, share.bytes, out, now);
      static_cast<void>(rekey_.handle(RekeyEvent::r1_sealed, own_half()));
      break;
    }
    case RekeyState::r2_due:
      written = seal_record(RecordType::rekey, rekey_.r2_share().bytes, out, now);
      rekey_.mix_into(send_, *engine_);
      static_cast<void>(rekey_.handle(RekeyEvent::r2_sealed, own_half()));
      break;
    case RekeyState::r3_due:
      written = seal_record(RecordType::rekey, {}, out, now);
      rekey_.mix_into(send_, *engine_);
      static_cast<void>(rekey_.handle(RekeyEvent::r3_sealed, own_half()));
      rekeyed(now);
      if (receive_state_ != ReceiveState::discarding) events_.push(EventKind::rekeyed);
      break;
    case RekeyState::idle:
    case RekeyState::r2_awaited:
    case RekeyState::r3_awaited:
    case RekeyState::r1_unanswered:
      break;
  }
  statistics_.epoch_sent = send_.epoch();
  return written;
}

void Session::close_sealed(TimePoint now) {
  send_state_ = SendState::closed;
  due_ = 0;
  timers_.cancel(Timer::ping);
  timers_.cancel(Timer::pace);
  timers_.cancel(Timer::rekey);
  timers_.cancel(Timer::rekey_allowed);
  if (receive_state_ == ReceiveState::discarding) {
    timers_.set(Timer::abort_answer, now + limits_->abort_answer_timeout);
  }
}

// --- commands

void Session::close(std::uint8_t reason) {
  if (send_state_ != SendState::open) return;
  send_state_ = SendState::close_due;
  close_reason_ = reason;
  clear_due(Due::ask_rekey);
  clear_due(Due::ping);
  static_cast<void>(rekey_.handle(RekeyEvent::closing, OwnHalf::open));
}

void Session::abort(std::uint8_t reason, TimePoint now) {
  if (send_state_ == SendState::open) close(reason);
  if (send_state_ == SendState::close_due) close_reason_ = reason;
  due_ = 0;
  if (receive_state_ == ReceiveState::open) {
    receive_state_ = ReceiveState::discarding;
    timers_.set(Timer::abort_answer, now + limits_->abort_answer_timeout);
  }
}

void Session::ping(TimePoint now) {
  if (send_state_ == SendState::open && send_budget_.has_room(now)) set_due(Due::ping);
}

Result<> Session::announce_next_key(const crypto::PublicKey& next) {
  const bool has_place = role_ == Role::server && (mode_ == Mode::tofu || mode_ == Mode::mutual);
  if (!has_place || send_state_ != SendState::open) return fail(Errc::wrong_state);
  next_pin_ = next;
  set_due(Due::pin_update);
  return {};
}

void Session::set_padding(const Padding& padding, TimePoint now) {
  padding_ = padding;
  pads_ = !std::holds_alternative<PadNone>(padding);
  turn_has_come_ = false;
  timers_.cancel(Timer::pace);
  if (const auto* rate = std::get_if<PadConstantRate>(&padding)) {
    next_turn_ = now + rate->interval;
    timers_.set(Timer::pace, next_turn_);
  }
}

// --- time

Session::TimeoutResult Session::handle_timeout(TimePoint now) {
  if (timers_.take_due(Timer::abort_answer, now)) return TimeoutResult::abort_over;
  if (timers_.take_due(Timer::idle, now)) return TimeoutResult::idle;
  if (timers_.take_due(Timer::ping, now)) ping(now);
  if (timers_.take_due(Timer::rekey, now)) want_rekey(now);
  if (timers_.take_due(Timer::rekey_allowed, now)) want_rekey(now);
  if (timers_.take_due(Timer::pace, now)) turn_has_come_ = true;
  return TimeoutResult::nothing;
}

}  // namespace sealine::stcp::detail
