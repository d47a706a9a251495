#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/time.hpp"
#include "sealine/base/timer_table.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/stcp/connection.hpp"
#include "sealine/stcp/limits.hpp"
#include "sealine/stcp/mode.hpp"
#include "sealine/stcp/padding.hpp"
#include "stcp/detail/event_queue.hpp"
#include "stcp/detail/handshake.hpp"
#include "stcp/detail/key_schedule.hpp"
#include "stcp/detail/record.hpp"
#include "stcp/detail/record_budget.hpp"
#include "stcp/detail/record_ratchet.hpp"
#include "stcp/detail/rekey.hpp"
#include "stcp/detail/role.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace sealine::stcp::detail {

/// How far our own direction is.
enum class SendState : std::uint8_t {
  open,
  close_due,  ///< CLOSE waits to be sealed, nothing else is taken
  closed,     ///< CLOSE is out
};

/// How far the peer's direction is.
enum class ReceiveState : std::uint8_t {
  open,
  discarding,  ///< we have aborted: what still comes is thrown away
  closed,      ///< the peer's CLOSE has come
};

/// What a run over received bytes came to.
struct OpenedRecords {
  Opened opened;
  std::size_t wanted = kRecordHeadBytes;  ///< bytes that the next run needs
  bool record_is_partial = false;         ///< it stopped for want of bytes
  std::optional<Errc> fault;
};

/// The encrypted part of a connection: both directions of records, CLOSE, PING, REKEY and
/// PIN_UPDATE.
///
/// It reports faults and leaves their consequences to its owner. Same thread and lifetimes as
/// Connection.
class Session {
 public:
  Session(Role role, const Limits& limits, const Padding& padding, crypto::Engine& engine,
          crypto::Rng& rng)
      : engine_(&engine), rng_(&rng), limits_(&limits), padding_(padding), role_(role) {
    pads_ = !std::holds_alternative<PadNone>(padding);
  }

  // --- start

  /// The keys of the handshake; nothing may be sent yet.
  void install(const KeySchedule& keys, Mode mode, std::uint8_t max_record_log2);
  /// Client: writes FINISH, the first record.
  void seal_finish(ByteView data, Outbox& outbox);

  /// Server: opens FINISH at the front of `in`; its data are then the first `data_bytes` behind the
  /// head. Errors: bad_length, else finish_not_authentic.
  struct FinishOpened {
    std::size_t consumed = 0;  ///< 0: more bytes are needed
    std::size_t wanted = kRecordHeadBytes;
    ByteView data;
  };

  [[nodiscard]] Result<FinishOpened> open_finish(MutableBytes in, std::size_t data_bytes);
  /// ENCRYPTED: counts and timers begin.
  void start(TimePoint now);

  // --- inputs

  [[nodiscard]] OpenedRecords open(MutableBytes in, MutableBytes out, TimePoint now);

  // --- commands

  /// As many data records as fit, behind what waits.
  [[nodiscard]] Result<Sealed> seal(ByteView plaintext, MutableBytes out, TimePoint now);
  /// Waiting control records.
  [[nodiscard]] std::size_t seal_waiting(MutableBytes out, TimePoint now);
  /// Constant rate: an empty record, if its turn has come.
  [[nodiscard]] std::size_t seal_filler(MutableBytes out, TimePoint now);

  [[nodiscard]] bool has_filler() const noexcept {
    return turn_has_come_ && send_state_ == SendState::open;
  }

  void run_ahead() {
    if (may_seal(RecordType::data)) send_.prepare(*engine_);
    if (receive_state_ != ReceiveState::closed) receive_.prepare(*engine_);
  }

  void close(std::uint8_t reason);
  void abort(std::uint8_t reason, TimePoint now);
  void request_rekey(TimePoint now);
  void ping(TimePoint now);
  [[nodiscard]] Result<> announce_next_key(const crypto::PublicKey& next);
  void set_padding(const Padding& padding, TimePoint now);

  // --- time

  enum class TimeoutResult : std::uint8_t { nothing, idle, abort_over };
  [[nodiscard]] TimeoutResult handle_timeout(TimePoint now);

  [[nodiscard]] std::optional<TimePoint> poll_timeout() const { return timers_.earliest(); }

  // --- getters

  [[nodiscard]] bool has_waiting() const noexcept;

  [[nodiscard]] bool can_send() const noexcept { return send_state_ == SendState::open; }

  [[nodiscard]] SendState send_state() const noexcept { return send_state_; }

  [[nodiscard]] ReceiveState receive_state() const noexcept { return receive_state_; }

  [[nodiscard]] bool is_closed() const noexcept {
    return send_state_ == SendState::closed && receive_state_ == ReceiveState::closed;
  }

  /// The reason of the peer's CLOSE, if it was an abort that is not the answer to ours.
  [[nodiscard]] std::optional<std::uint8_t> aborted_by_peer() const noexcept {
    return aborted_by_peer_;
  }

  [[nodiscard]] const Statistics& statistics() const noexcept { return statistics_; }

  [[nodiscard]] std::size_t max_record_bytes() const noexcept { return max_record_bytes_; }

  [[nodiscard]] const ExporterKey& exporter() const noexcept { return exporter_; }

  [[nodiscard]] const TranscriptHash& transcript() const noexcept { return h_; }

  [[nodiscard]] const Padding& padding() const noexcept { return padding_; }

  [[nodiscard]] EventQueue& events() noexcept { return events_; }

  [[nodiscard]] const crypto::PublicKey& next_pin() const noexcept { return next_pin_; }

  [[nodiscard]] std::uint16_t epoch() const noexcept {
    return std::min(send_.epoch(), receive_.epoch());
  }

  [[nodiscard]] const Limits& limits() const noexcept { return *limits_; }

  [[nodiscard]] crypto::Engine& engine() const noexcept { return *engine_; }

  /// Erases every key and stops every timer.
  void wipe() noexcept;

 private:
  enum class Timer : std::uint8_t { idle, ping, abort_answer, rekey, rekey_allowed, pace, count_ };
  /// Small control records that wait; R1 to R3 and CLOSE are states of their own.
  enum class Due : std::uint8_t { ask_rekey = 1, pin_update = 2, ping = 4 };

  /// A record that has verified: its plaintext lies in `front` first and in `sealed` behind that.
  struct OpenedRecord {
    MutableBytes sealed;
    MutableBytes front;
    RecordTrailer trailer;
    std::size_t data_bytes = 0;

    [[nodiscard]] bool brings_data() const noexcept {
      return trailer.type == RecordType::data && data_bytes > 0;
    }
  };

  [[nodiscard]] Result<std::size_t> check_record_head(ByteView head);
  [[nodiscard]] Result<OpenedRecord> open_record(MutableBytes wire, MutableBytes room,
                                                 TimePoint now);
  void deliver(const OpenedRecord& record, MutableBytes room, Opened& done);
  [[nodiscard]] std::optional<Errc> handle_record(const OpenedRecord& record, TimePoint now);
  void handle_close(std::uint8_t reason);
  [[nodiscard]] std::optional<Errc> check_rekey(ByteView data) const;
  [[nodiscard]] std::optional<Errc> handle_rekey(ByteView data, TimePoint now);
  [[nodiscard]] std::optional<Errc> handle_r1(const crypto::PublicKey& share, TimePoint now);

  [[nodiscard]] std::size_t seal_record(RecordType type, ByteView data, MutableBytes out,
                                        TimePoint now);
  [[nodiscard]] std::size_t seal_one_waiting(MutableBytes out, TimePoint now);
  [[nodiscard]] std::size_t seal_rekey(MutableBytes out, TimePoint now);
  void close_sealed(TimePoint now);
  [[nodiscard]] std::size_t data_that_fits(std::size_t data_bytes, std::size_t room) const;
  [[nodiscard]] std::size_t padded(std::size_t data_bytes) const;
  [[nodiscard]] bool may_seal(RecordType type) const noexcept;

  [[nodiscard]] bool is_paced() const noexcept {
    return std::holds_alternative<PadConstantRate>(padding_);
  }

  [[nodiscard]] bool take_turn(TimePoint now);

  [[nodiscard]] bool aborts() const noexcept {
    return receive_state_ == ReceiveState::discarding || aborted_by_peer_.has_value();
  }

  [[nodiscard]] std::uint64_t lengths_sent() const noexcept {
    return statistics_.wire_bytes_sent - kRecordHeadBytes * statistics_.records_sent;
  }

  [[nodiscard]] std::uint64_t lengths_received() const noexcept {
    return statistics_.wire_bytes_received - kRecordHeadBytes * statistics_.records_received;
  }

  void sent_one(std::size_t length, TimePoint now);

  [[nodiscard]] bool is_half_closed() const noexcept {
    return send_state_ != SendState::open || receive_state_ != ReceiveState::open;
  }

  [[nodiscard]] OwnHalf own_half() const noexcept {
    return send_state_ == SendState::closed ? OwnHalf::closed : OwnHalf::open;
  }

  [[nodiscard]] bool rekey_is_allowed(TimePoint now) const noexcept;
  void want_rekey(TimePoint now);
  void rekeyed(TimePoint now);

  void add_to_rekey(std::size_t length, TimePoint now) {
    bytes_to_rekey_ -= std::min<std::uint64_t>(length, bytes_to_rekey_);
    if (bytes_to_rekey_ == 0) [[unlikely]]
      want_rekey(now);
  }

  void set_due(Due due) noexcept {
    due_ = static_cast<std::uint8_t>(due_ | static_cast<std::uint8_t>(due));
  }

  void clear_due(Due due) noexcept {
    due_ = static_cast<std::uint8_t>(due_ & ~static_cast<std::uint8_t>(due));
  }

  [[nodiscard]] bool is_due(Due due) const noexcept {
    return (due_ & static_cast<std::uint8_t>(due)) != 0;
  }

  crypto::Engine* engine_;
  crypto::Rng* rng_;
  const Limits* limits_;

  RecordRatchet send_;
  RecordRatchet receive_;
  Statistics statistics_;
  std::size_t max_record_bytes_ = 0;
  std::uint64_t bytes_to_rekey_ = 0;  ///< Length fields of both directions until the next
  Padding padding_;
  TimerTable<Timer> timers_;
  RecordBudget receive_budget_;
  RecordBudget send_budget_;

  SendState send_state_ = SendState::open;
  ReceiveState receive_state_ = ReceiveState::open;
  Role role_;
  Mode mode_{};
  std::uint8_t due_ = 0;
  std::uint8_t close_reason_ = 0;
  std::optional<std::uint8_t> aborted_by_peer_;
  bool pads_ = false;           ///< a policy other than none
  bool turn_has_come_ = false;  ///< constant rate: one record may be sent
  bool rekey_asked_ = false;    ///< server: R0 is out; client: one was wanted before it was allowed

  Rekey rekey_;
  RekeyBudget rekey_budget_;
  TimePoint encrypted_at_{};
  TimePoint last_rekey_at_{};
  std::uint64_t lengths_sent_at_rekey_ = 0;
  TimePoint next_turn_{};

  ExporterKey exporter_;
  TranscriptHash h_{};
  crypto::PublicKey next_pin_;  ///< server: to be told; client: told
  EventQueue events_;
};

}  // namespace sealine::stcp::detail
