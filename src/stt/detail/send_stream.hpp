#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/stt/limits.hpp"
#include "sealine/stt/session.hpp"
#include "stt/detail/credit.hpp"
#include "stt/detail/sent_frame.hpp"
#include "stt/detail/stream_buffer.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace sealine::stt::detail {

/// What the next DATA frame of a stream holds, behind its INIT parameters.
struct Outgoing {
  std::uint64_t id = 0;
  std::uint64_t offset = 0;
  ByteView bytes;  ///< good until the stream's next call
  bool fin = false;
  bool message_end = false;
  bool is_repeat = false;    ///< was sent before: costs no credit
  std::uint64_t credit = 0;  ///< that it uses
};

/// How long a stream keeps what it sent.
enum class Retention : std::uint8_t {
  until_sent,   ///< the transport below loses nothing
  until_acked,  ///< and sends it again until then
};

/// Our direction of a stream: what the application wrote, until it is on its way, or there.
class SendStream {
 public:
  SendStream(StreamMode mode, Retention retention, std::size_t buffer_bytes,
             RingPool* rings = nullptr)
      : mode_(mode), retention_(retention), buffer_bytes_(buffer_bytes), buffer_(rings) {}

  /// Bytes taken: mode ordered what there is room for, else all or nothing.
  [[nodiscard]] std::size_t write(ByteView data, std::optional<TimePoint> deadline);

  void finish() noexcept { finishing_ = true; }

  /// Drops what waits; RESET's final size is the credit that was used.
  void reset() noexcept;

  /// The next frame's content, of at most `room` body bytes and `credit` bytes of credit: first
  /// what was lost, then what was never sent.
  [[nodiscard]] std::optional<Outgoing> next(std::size_t room, std::uint64_t credit) const;
  /// It was put into a frame.
  void sent(const Outgoing& frame);
  /// What became of it (Retention::until_acked).
  void acked(const SentFrame& frame);
  void lost(const SentFrame& frame);
  /// Mode unreliable: the next message is not sent at all.
  void drop_message();
  /// Mode partial: messages whose deadline has passed are given up: ABANDON up to the result.
  [[nodiscard]] std::optional<std::uint64_t> expire(TimePoint now);

  [[nodiscard]] std::optional<TimePoint> next_deadline() const noexcept;
  /// Room for what waits; what is on its way is bounded by credit.
  [[nodiscard]] std::size_t writable_bytes() const noexcept;
  /// Something waits, credit or not.
  [[nodiscard]] bool has_waiting() const noexcept;
  /// What waits needs more credit than that.
  [[nodiscard]] bool is_blocked(std::uint64_t credit) const noexcept;

  [[nodiscard]] bool is_finishing() const noexcept { return finishing_; }

  /// Nothing is left to be done for it: FIN is on its way (or there), or it was reset.
  [[nodiscard]] bool is_over() const noexcept { return over_; }

 private:
  enum class Fin : std::uint8_t { waiting, on_its_way, there };

  struct Message {
    std::uint64_t id = 0;
    std::vector<std::uint8_t> bytes;
    std::size_t sent = 0;
    bool is_begun = false;
    bool is_sent = false;  ///< its end was
    bool end_is_there = false;
    bool end_is_lost = false;
    SpanSet there;
    SpanSet lost;
    std::optional<TimePoint> deadline;

    [[nodiscard]] bool is_whole() const noexcept {
      return end_is_there && there.contiguous_end(0) == bytes.size();
    }
  };

  [[nodiscard]] bool uses_credit() const noexcept { return mode_ <= StreamMode::unordered; }

  [[nodiscard]] bool keeps() const noexcept {
    return retention_ == Retention::until_acked && mode_ != StreamMode::unreliable;
  }

  [[nodiscard]] std::optional<Outgoing> next_bytes(std::size_t room, std::uint64_t credit) const;
  [[nodiscard]] std::optional<Outgoing> next_message(std::size_t room, std::uint64_t credit) const;
  [[nodiscard]] std::optional<Outgoing> next_lost_fragment(std::size_t room) const;
  [[nodiscard]] std::optional<std::size_t> index_of(std::uint64_t id) const noexcept;

  [[nodiscard]] bool has_unsent() const noexcept { return next_unsent_ < next_id_; }

  [[nodiscard]] std::uint64_t credit_to_begin(const Message& message) const noexcept;
  [[nodiscard]] bool has_losses(std::uint64_t id) const noexcept;
  void sent_message(const Outgoing& frame);
  void trim_losses();
  void drop_front();
  void settle();

  StreamMode mode_;
  Retention retention_;
  std::size_t buffer_bytes_;
  bool finishing_ = false;
  bool over_ = false;
  Fin fin_ = Fin::waiting;

  // mode ordered
  StreamBuffer buffer_;  ///< from the first byte that is still needed
  std::uint64_t written_ = 0;
  std::uint64_t sent_ = 0;
  SpanSet there_;
  SpanSet lost_;

  // messages: ids without a gap
  std::deque<Message> messages_;
  std::deque<std::uint64_t> with_losses_;  ///< ids; some of them perhaps in order again
  std::size_t waiting_bytes_ = 0;  ///< of messages that were not sent whole, with their cost
  std::uint64_t next_id_ = 0;
  std::uint64_t next_unsent_ = 0;
};

}  // namespace sealine::stt::detail
