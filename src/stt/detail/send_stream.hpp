#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/stt/limits.hpp"
#include "sealine/stt/session.hpp"
#include "stt/detail/credit.hpp"
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
  std::uint64_t credit = 0;
};

/// Our direction of a stream: what the application wrote, until it is on its way.
class SendStream {
 public:
  SendStream(StreamMode mode, std::size_t buffer_bytes)
      : mode_(mode), buffer_bytes_(buffer_bytes) {}

  /// Bytes taken: mode ordered what there is room for, else all or nothing.
  [[nodiscard]] std::size_t write(ByteView data, std::optional<TimePoint> deadline);

  void finish() noexcept { finishing_ = true; }

  /// Drops what waits; RESET's final size is the credit that was used.
  void reset() noexcept;

  /// The next frame's content, of at most `room` body bytes and `credit` bytes of credit.
  [[nodiscard]] std::optional<Outgoing> next(std::size_t room, std::uint64_t credit) const;
  /// It was put into a frame.
  void sent(const Outgoing& frame);
  /// Mode partial: messages whose deadline has passed are given up: ABANDON up to the result.
  [[nodiscard]] std::optional<std::uint64_t> expire(TimePoint now);

  [[nodiscard]] std::optional<TimePoint> next_deadline() const noexcept;
  [[nodiscard]] std::size_t writable_bytes() const noexcept;
  /// Something waits, credit or not.
  [[nodiscard]] bool has_waiting() const noexcept;
  /// Data wait that no credit is needed for, or FIN.
  [[nodiscard]] bool is_blocked(std::uint64_t credit) const noexcept;

  [[nodiscard]] bool is_finishing() const noexcept { return finishing_; }

  /// FIN or RESET is on its way and nothing else waits.
  [[nodiscard]] bool is_over() const noexcept { return over_; }

 private:
  struct Message {
    std::uint64_t id = 0;
    std::vector<std::uint8_t> bytes;
    std::size_t sent = 0;
    bool is_begun = false;
    std::optional<TimePoint> deadline;
  };

  [[nodiscard]] bool uses_credit() const noexcept { return mode_ <= StreamMode::unordered; }

  StreamMode mode_;
  std::size_t buffer_bytes_;
  bool finishing_ = false;
  bool over_ = false;

  StreamBuffer buffer_;
  std::uint64_t written_ = 0;
  std::uint64_t sent_ = 0;

  std::deque<Message> messages_;
  std::size_t message_bytes_ = 0;
  std::uint64_t next_id_ = 0;
};

}  // namespace sealine::stt::detail
