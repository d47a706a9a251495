#include "stt/detail/send_stream.hpp"

#include <algorithm>

namespace sealine::stt::detail {

std::size_t SendStream::writable_bytes() const noexcept {
  const std::size_t used =
      mode_ == StreamMode::ordered ? static_cast<std::size_t>(written_ - sent_) : waiting_bytes_;
  return used >= buffer_bytes_ ? 0 : buffer_bytes_ - used;
}

std::size_t SendStream::write(ByteView data, std::optional<TimePoint> deadline) {
  if (mode_ == StreamMode::ordered) {
    const std::size_t taken = std::min(data.size(), writable_bytes());
    buffer_.write(written_, data.first(taken));
    written_ += taken;
    return taken;
  }
  // One message is always taken where none waits, whatever its size.
  const std::size_t cost = data.size() + kMessageCreditBytes;
  if (cost > writable_bytes() && has_unsent()) return 0;
  Message& message = messages_.emplace_back();
  message.id = next_id_++;
  message.bytes.assign(data.begin(), data.end());
  message.deadline = deadline;
  waiting_bytes_ += cost;
  return data.size();
}

void SendStream::reset() noexcept {
  over_ = true;
  finishing_ = true;
  buffer_.release();
  there_.clear();
  lost_.clear();
  messages_.clear();
  with_losses_.clear();
  waiting_bytes_ = 0;
  sent_ = written_;
  next_unsent_ = next_id_;
}

std::optional<std::size_t> SendStream::index_of(std::uint64_t id) const noexcept {
  if (messages_.empty() || id < messages_.front().id) return std::nullopt;
  const std::uint64_t index = id - messages_.front().id;
  if (index >= messages_.size()) return std::nullopt;
  return static_cast<std::size_t>(index);
}

bool SendStream::has_losses(std::uint64_t id) const noexcept {
  const auto at = index_of(id);
  return at && (!messages_[*at].lost.is_empty() || messages_[*at].end_is_lost);
}

void SendStream::trim_losses() {
  while (!with_losses_.empty() && !has_losses(with_losses_.front())) with_losses_.pop_front();
}

std::optional<Outgoing> SendStream::next(std::size_t room, std::uint64_t credit) const {
  if (over_) return std::nullopt;
  return mode_ == StreamMode::ordered ? next_bytes(room, credit) : next_message(room, credit);
}

std::optional<Outgoing> SendStream::next_bytes(std::size_t room, std::uint64_t credit) const {
  Outgoing frame;
  if (!lost_.is_empty()) {
    const Span& span = lost_.front();
    frame.offset = span.begin;
    frame.bytes = buffer_.piece(span.begin, std::min(span.end, span.begin + room));
    frame.is_repeat = true;
  } else {
    const std::uint64_t most = std::min<std::uint64_t>({written_ - sent_, room, credit});
    frame.offset = sent_;
    frame.bytes = buffer_.piece(sent_, sent_ + most);
    frame.credit = frame.bytes.size();
  }
  frame.fin = finishing_ && frame.offset + frame.bytes.size() == written_ && fin_ != Fin::there;
  if (frame.bytes.empty() && !(frame.fin && fin_ == Fin::waiting)) return std::nullopt;
  return frame;
}

std::optional<Outgoing> SendStream::next_lost_fragment(std::size_t room) const {
  if (with_losses_.empty()) return std::nullopt;
  const Message& message = messages_[index_of(with_losses_.front()).value()];
  Outgoing frame;
  frame.id = message.id;
  frame.is_repeat = true;
  if (message.lost.is_empty()) {
    frame.offset = message.bytes.size();
  } else {
    const Span& span = message.lost.front();
    frame.offset = span.begin;
    frame.bytes = ByteView(message.bytes)
                      .subspan(static_cast<std::size_t>(span.begin),
                               std::min(room, static_cast<std::size_t>(span.end - span.begin)));
  }
  frame.message_end = frame.offset + frame.bytes.size() == message.bytes.size();
  return frame;
}

// A message is begun only when all of it has credit, and takes it at once: only whole messages can
// be read, and only reading gives credit back, so that many begun ones could wait for ever.
std::uint64_t SendStream::credit_to_begin(const Message& message) const noexcept {
  return uses_credit() && !message.is_begun ? kMessageCreditBytes + message.bytes.size() : 0;
}

std::optional<Outgoing> SendStream::next_message(std::size_t room, std::uint64_t credit) const {
  if (auto again = next_lost_fragment(room)) return again;
  Outgoing frame;
  if (!has_unsent()) {
    if (!finishing_ || fin_ != Fin::waiting) return std::nullopt;
    frame.id = next_id_;
    frame.fin = true;
    return frame;
  }
  const Message* message = &messages_[index_of(next_unsent_).value()];
  if (mode_ == StreamMode::unordered && message->id >= messages_.front().id + kMessageIdWindow) {
    return std::nullopt;  // until the oldest is there
  }
  const std::uint64_t cost = credit_to_begin(*message);
  if (credit < cost) return std::nullopt;
  const std::uint64_t most = std::min<std::uint64_t>(message->bytes.size() - message->sent, room);
  frame.id = message->id;
  frame.offset = message->sent;
  frame.bytes = ByteView(message->bytes).subspan(message->sent, static_cast<std::size_t>(most));
  frame.message_end = message->sent + most == message->bytes.size();
  // A message of mode unreliable is one frame or nothing.
  if (mode_ == StreamMode::unreliable && !frame.message_end) return std::nullopt;
  if (frame.bytes.empty() && !frame.message_end) return std::nullopt;
  frame.credit = cost;
  return frame;
}

void SendStream::sent(const Outgoing& frame) {
  if (frame.fin) {
    fin_ = Fin::on_its_way;
    over_ = retention_ == Retention::until_sent;
  }
  if (mode_ != StreamMode::ordered) {
    if (!frame.fin) sent_message(frame);
    return;
  }
  const std::uint64_t end = frame.offset + frame.bytes.size();
  if (frame.is_repeat) {
    lost_.remove({.begin = frame.offset, .end = end});
    return;
  }
  sent_ = end;
  if (keeps()) return;
  buffer_.drop_below(sent_);
  if (sent_ == written_) buffer_.release();
}

void SendStream::sent_message(const Outgoing& frame) {
  Message& message = messages_[index_of(frame.id).value()];
  if (frame.is_repeat) {
    message.lost.remove({.begin = frame.offset, .end = frame.offset + frame.bytes.size()});
    if (frame.message_end) message.end_is_lost = false;
    trim_losses();
    return;
  }
  message.is_begun = true;
  message.sent += frame.bytes.size();
  if (!frame.message_end) return;
  message.is_sent = true;
  waiting_bytes_ -= message.bytes.size() + kMessageCreditBytes;
  next_unsent_ = message.id + 1;
  if (!keeps()) messages_.pop_front();
}

void SendStream::acked(const SentFrame& frame) {
  if (over_) return;
  if (frame.fin) fin_ = Fin::there;
  const Span span{.begin = frame.offset, .end = frame.offset + frame.bytes};
  if (mode_ == StreamMode::ordered) {
    there_.add({.begin = std::max(span.begin, buffer_.base()), .end = span.end});
    lost_.remove(span);
    const std::uint64_t base = there_.contiguous_end(buffer_.base());
    buffer_.drop_below(base);
    there_.drop_below(base);
    if (base == written_) buffer_.release();
  } else if (const auto at = index_of(frame.message); at && !frame.fin) {
    Message& message = messages_[*at];
    message.there.add(span);
    message.lost.remove(span);
    if (frame.message_end) {
      message.end_is_there = true;
      message.end_is_lost = false;
    }
    while (!messages_.empty() && messages_.front().is_whole()) drop_front();
    trim_losses();
  }
  settle();
}

void SendStream::lost(const SentFrame& frame) {
  if (over_) return;
  if (frame.fin && fin_ == Fin::on_its_way) fin_ = Fin::waiting;
  const Span span{.begin = frame.offset, .end = frame.offset + frame.bytes};
  if (mode_ == StreamMode::ordered) {
    lost_.add({.begin = std::max(span.begin, buffer_.base()), .end = span.end});
    lost_.remove(there_);
    return;
  }
  const auto at = index_of(frame.message);
  if (!at || frame.fin || !keeps()) return;
  Message& message = messages_[*at];
  message.lost.add(span);
  message.lost.remove(message.there);
  if (frame.message_end && !message.end_is_there) message.end_is_lost = true;
  with_losses_.push_back(message.id);
  trim_losses();
}

void SendStream::drop_front() {
  const Message& front = messages_.front();
  if (!front.is_sent) waiting_bytes_ -= front.bytes.size() + kMessageCreditBytes;
  next_unsent_ = std::max(next_unsent_, front.id + 1);
  messages_.pop_front();
}

void SendStream::drop_message() {
  if (!messages_.empty()) drop_front();
}

// All is there, and the peer knows that this was all.
void SendStream::settle() {
  if (fin_ != Fin::there) return;
  over_ = mode_ == StreamMode::ordered ? buffer_.base() == written_ : messages_.empty();
}

std::optional<std::uint64_t> SendStream::expire(TimePoint now) {
  std::optional<std::uint64_t> up_to;
  while (!messages_.empty() && messages_.front().deadline && *messages_.front().deadline <= now) {
    up_to = messages_.front().id + 1;
    drop_front();
  }
  trim_losses();
  if (up_to) settle();
  return up_to;
}

std::optional<TimePoint> SendStream::next_deadline() const noexcept {
  return messages_.empty() ? std::nullopt : messages_.front().deadline;
}

bool SendStream::has_waiting() const noexcept {
  if (over_) return false;
  if (finishing_ && fin_ == Fin::waiting) return true;
  return mode_ == StreamMode::ordered ? written_ > sent_ || !lost_.is_empty()
                                      : has_unsent() || !with_losses_.empty();
}

bool SendStream::is_blocked(std::uint64_t credit) const noexcept {
  if (over_ || !uses_credit()) return false;
  if (mode_ == StreamMode::ordered) return lost_.is_empty() && written_ > sent_ && credit == 0;
  if (!has_unsent() || !with_losses_.empty()) return false;
  const Message& message = messages_[index_of(next_unsent_).value()];
  return credit < credit_to_begin(message);
}

}  // namespace sealine::stt::detail
