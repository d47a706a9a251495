#pragma once

#include <optional>
#include <utility>

namespace sealine::stt::detail {

/// A control message that has to arrive: due, on its way, due again if it was lost, until the peer
/// acknowledged it.                                                  spec: stt.md#retransmission
template <class Message>
class Pledge {
 public:
  void promise(Message message) {
    message_ = std::move(message);
    due_ = true;
  }

  [[nodiscard]] bool is_due() const noexcept { return due_; }

  /// Due, or on its way.
  [[nodiscard]] bool is_open() const noexcept { return message_.has_value(); }

  /// Only of an open one.
  [[nodiscard]] const Message& message() const { return *message_; }

  /// It is in a frame; `is_kept`: one that may be lost.
  void handle_sent(bool is_kept) noexcept {
    due_ = false;
    if (!is_kept) message_.reset();
  }

  void handle_acked() noexcept {
    due_ = false;
    message_.reset();
  }

  void handle_lost() noexcept { due_ = message_.has_value(); }

 private:
  std::optional<Message> message_;
  bool due_ = false;
};

}  // namespace sealine::stt::detail
