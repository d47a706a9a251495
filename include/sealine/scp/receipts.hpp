#pragma once

#include "sealine/base/export.hpp"
#include "sealine/scp/message_queue.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sealine::scp {

/// Which of the messages that came may have their receipt, and what the sender may still begin.
/// Numbers count over the channel's life, across its connections. spec: scp.md#receipts
class SEALINE_API ReceiptBook {
 public:
  ReceiptBook(std::uint32_t window_messages, std::uint32_t window_bytes)
      : window_messages_(window_messages), window_bytes_(window_bytes) {}

  /// Whether the other end may begin a message now; if not, it overran its window.
  [[nodiscard]] bool may_begin() const noexcept;

  /// A message is held whole; `inbox` holds it and all others that were not taken.
  void on_whole(std::size_t message_bytes, const MessageQueue& inbox);
  /// The application took a message of that size; `inbox` holds the rest.
  void on_taken(std::size_t message_bytes, const MessageQueue& inbox);
  /// ACK{due()} was written.
  void on_written();

  /// n of the next ACK: messages that have their receipt.
  [[nodiscard]] std::uint64_t due() const noexcept { return eligible_; }

  [[nodiscard]] bool is_due() const noexcept { return eligible_ > written_; }

  /// Messages accepted whole: `have` of a resume.
  [[nodiscard]] std::uint64_t have() const noexcept { return whole_; }

 private:
  void advance(const MessageQueue& inbox);

  std::uint32_t window_messages_;
  std::uint32_t window_bytes_;
  std::uint64_t whole_ = 0;
  std::uint64_t taken_ = 0;
  std::uint64_t eligible_ = 0;
  std::uint64_t written_ = 0;
  std::size_t eligible_held_bytes_ = 0;
  /// Sizes of the messages written_ .. whole_, for the window as the sender sees it.
  std::vector<std::size_t> unwritten_;
  std::size_t unwritten_first_ = 0;
  std::size_t unwritten_bytes_ = 0;
};

}  // namespace sealine::scp
