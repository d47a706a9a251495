#include "stt/detail/send_stream.hpp"

#include <algorithm>

namespace sealine::stt::detail {

std::size_t SendStream::writable_bytes() const noexcept {
  const std::size_t used =
      mode_ == StreamMode::ordered ? static_cast<std::size_t>(written_ - sent_) : message_bytes_;
  return used >= buffer_bytes_ ? 0 : buffer_bytes_ - used;
}

std::size_t SendStream::write(ByteView data, std::optional<TimePoint> deadline) {
  if (mode_ == StreamMode::ordered) {
    const std::size_t taken = std::min(data.size(), writable_bytes());
    buffer_.write(written_, data.first(taken));
    written_ += taken;
    return taken;
  }
  // One message is always taken by an empty buffer, whatever its size.
  const std::size_t cost = data.size() + kMessageCreditBytes;
  if (cost > writable_bytes() && !messages_.empty()) return 0;
  messages_.push_back({.id = next_id_++,
                       .bytes = {data.begin(), data.end()},
                       .sent = 0,
                       .is_begun = false,
                       .deadline = deadline});
  message_bytes_ += cost;
  return data.size();
}

void SendStream::reset() noexcept {
  over_ = true;
  finishing_ = true;
  buffer_.release();
  messages_.clear();
  message_bytes_ = 0;
  sent_ = written_;
}

std::optional<Outgoing> SendStream::next(std::size_t room, std::uint64_t credit) const {
  if (over_) return std::nullopt;
  Outgoing frame;
  if (mode_ == StreamMode::ordered) {
    const std::uint64_t most = std::min<std::uint64_t>({written_ - sent_, room, credit});
    frame.offset = sent_;
    frame.bytes = buffer_.piece(sent_, sent_ + most);
    frame.credit = frame.bytes.size();
    frame.fin = finishing_ && sent_ + frame.bytes.size() == written_;
    if (frame.bytes.empty() && !frame.fin) return std::nullopt;
    return frame;
  }
  if (messages_.empty()) {
    if (!finishing_) return std::nullopt;
    frame.id = next_id_;
    frame.fin = true;
    return frame;
  }
  const Message& message = messages_.front();
  const std::uint64_t fixed = uses_credit() && !message.is_begun ? kMessageCreditBytes : 0;
  std::uint64_t most = std::min<std::uint64_t>(message.bytes.size() - message.sent, room);
  if (uses_credit()) {
    if (credit < fixed) return std::nullopt;
    most = std::min(most, credit - fixed);
  }
  frame.id = message.id;
  frame.offset = message.sent;
  frame.bytes = ByteView(message.bytes).subspan(message.sent, static_cast<std::size_t>(most));
  frame.message_end = message.sent + most == message.bytes.size();
  // A message of mode unreliable is one frame or nothing.
  if (mode_ == StreamMode::unreliable && !frame.message_end) return std::nullopt;
  if (frame.bytes.empty() && !frame.message_end) return std::nullopt;
  frame.credit = uses_credit() ? fixed + most : 0;
  return frame;
}

void SendStream::sent(const Outgoing& frame) {
  if (frame.fin) over_ = true;
  if (mode_ == StreamMode::ordered) {
    sent_ += frame.bytes.size();
    buffer_.drop_below(sent_);
    if (sent_ == written_) buffer_.release();
    return;
  }
  if (frame.fin) return;
  Message& message = messages_.front();
  message.is_begun = true;
  message.sent += frame.bytes.size();
  if (frame.message_end) {
    message_bytes_ -= message.bytes.size() + kMessageCreditBytes;
    messages_.pop_front();
  }
}

std::optional<std::uint64_t> SendStream::expire(TimePoint now) {
  std::optional<std::uint64_t> up_to;
  while (!messages_.empty() && messages_.front().deadline && *messages_.front().deadline <= now) {
    up_to = messages_.front().id + 1;
    message_bytes_ -= messages_.front().bytes.size() + kMessageCreditBytes;
    messages_.pop_front();
  }
  return up_to;
}

std::optional<TimePoint> SendStream::next_deadline() const noexcept {
  return messages_.empty() ? std::nullopt : messages_.front().deadline;
}

bool SendStream::has_waiting() const noexcept {
  if (over_) return false;
  return finishing_ || (mode_ == StreamMode::ordered ? written_ > sent_ : !messages_.empty());
}

bool SendStream::is_blocked(std::uint64_t credit) const noexcept {
  if (over_ || !uses_credit()) return false;
  if (mode_ == StreamMode::ordered) return written_ > sent_ && credit == 0;
  if (messages_.empty()) return false;
  return credit <= (messages_.front().is_begun ? 0 : kMessageCreditBytes);
}

}  // namespace sealine::stt::detail
