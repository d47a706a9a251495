#pragma once

#include "support/workload.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

/// Whole messages, the same work for every contestant that has them, or has a stream to put them
/// in.
///
/// Message n begins with n and goes on with bytes that both ends know. The receiver compares whole
/// messages in the warm-up, numbers after it, and times what comes behind. The last message is a
/// short one that says how many there were.
namespace sealine::bench {

/// One connection of a contestant. Failures are exceptions.
template <class T>
concept MessageChannelLike = requires(T& channel, ByteView message) {
  { channel.send(message) };           // may wait in a buffer
  { channel.send_and_wait(message) };  // until the other end has said that it has it
  { channel.finish() };                // sends what waits, and waits until it has arrived
  { channel.receive() } -> std::same_as<std::optional<ByteView>>;  // nothing at the end
  { channel.acknowledge() };  // receiver: what send_and_wait waits for, where it is its own to send
};

inline constexpr std::size_t kLengthBytes = 4;

/// Messages in a stream: a length of 4 bytes before each, written with it in one go.
template <ChannelLike Stream>
class Framed {
 public:
  explicit Framed(Stream stream) : stream_(std::move(stream)), storage_(kReadBytes) {}

  void send(ByteView message) {
    frame_.resize(kLengthBytes + message.size());
    const auto length = static_cast<std::uint32_t>(message.size());
    std::memcpy(frame_.data(), &length, kLengthBytes);
    std::ranges::copy(message, frame_.begin() + kLengthBytes);
    stream_.write(frame_);
  }

  void send_and_wait(ByteView message) {
    send(message);
    stream_.flush();
    if (!receive()) throw std::runtime_error("no acknowledgement came");
  }

  void finish() {
    stream_.flush();
    stream_.end_writing();
    std::uint8_t nothing = 0;
    while (stream_.read_some(MutableBytes(&nothing, 1)) != 0) {
    }
  }

  std::optional<ByteView> receive() {
    for (;;) {
      const std::size_t held = end_ - begin_;
      std::uint32_t length = 0;
      if (held >= kLengthBytes) {
        std::memcpy(&length, storage_.data() + begin_, kLengthBytes);
        if (length > storage_.size() - kLengthBytes) throw std::runtime_error("a wrong length");
        if (held >= kLengthBytes + length) {
          const ByteView message(storage_.data() + begin_ + kLengthBytes, length);
          begin_ += kLengthBytes + length;
          return message;
        }
      }
      if (storage_.size() - begin_ < kLengthBytes + length || held == 0) {
        std::memmove(storage_.data(), storage_.data() + begin_, held);
        begin_ = 0;
        end_ = held;
      }
      const std::size_t count = stream_.read_some(MutableBytes(storage_).subspan(end_));
      if (count == 0) return std::nullopt;
      end_ += count;
    }
  }

  void acknowledge() {
    const ByteArray<sizeof(std::uint64_t)> count{};
    send(count);
    stream_.flush();
  }

  /// The other end ends first: with its end unread, closing would cut it off in the middle of that.
  void end_writing() {
    while (receive()) {
    }
    stream_.end_writing();
  }

 private:
  Stream stream_;
  std::vector<std::uint8_t> frame_;
  std::vector<std::uint8_t> storage_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

inline std::size_t warm_up_count(std::size_t message_bytes) {
  return std::max<std::size_t>(64, kWarmUpBytes / message_bytes);
}

inline std::vector<std::uint8_t> pattern_message(const Work& work) {
  std::vector<std::uint8_t> message(std::max(work.size_bytes, kSmallestMessage + 1));
  Pattern(1).fill(message);
  return message;
}

inline constexpr std::uint64_t kNoNumber = ~std::uint64_t{0};

/// Says that `count` messages were sent: shorter than any of them.
inline ByteArray<kSmallestMessage> last_message(std::uint64_t count) {
  ByteArray<kSmallestMessage> message{};
  number_message(message, kNoNumber);
  number_message(MutableBytes(message).subspan(sizeof count), count);
  return message;
}

template <MessageChannelLike Channel>
nlohmann::json stream_messages(Channel& channel, const Work& work) {
  std::vector<std::uint8_t> message = pattern_message(work);
  const std::uint64_t warm_up = warm_up_count(message.size());
  std::uint64_t count = 0;
  const auto send_one = [&] {
    number_message(message, count++);
    channel.send(message);
  };
  while (count < warm_up) send_one();
  const Stopwatch watch;
  const double end_s = now_s() + work.time_s;
  const std::uint64_t between_clocks = message.size() < 4096 ? 64 : 4;
  do {
    for (std::uint64_t i = 0; i < between_clocks; ++i) send_one();
  } while (now_s() < end_s);
  channel.send(last_message(count));
  channel.finish();
  return transfer_report((count - warm_up) * message.size(), watch.wall_s(), watch.cpu_used_s());
}

template <MessageChannelLike Channel>
nlohmann::json take_messages(Channel& channel, const Work& work) {
  std::vector<std::uint8_t> expected = pattern_message(work);
  const std::uint64_t warm_up = warm_up_count(expected.size());
  std::uint64_t count = 0;
  std::optional<Stopwatch> watch;
  for (;;) {
    const auto message = channel.receive();
    if (!message) throw std::runtime_error("the messages ended early");
    if (message->size() == kSmallestMessage) {
      if (!std::ranges::equal(*message, last_message(count))) {
        throw std::runtime_error("messages are lost");
      }
      break;
    }
    if (message->size() != expected.size() || number_of_message(*message) != count) {
      throw std::runtime_error("a message is lost or out of order");
    }
    if (count++ < warm_up) {
      number_message(expected, count - 1);
      if (!std::ranges::equal(*message, expected)) {
        throw std::runtime_error("a message is not what was sent");
      }
      if (count == warm_up) watch.emplace();
    }
  }
  return transfer_report((count - warm_up) * expected.size(), watch.value().wall_s(),
                         watch.value().cpu_used_s());
}

template <MessageChannelLike Channel>
nlohmann::json wait_for_each(Channel& channel, const Work& work) {
  std::vector<std::uint8_t> message = pattern_message(work);
  std::vector<double> times_s;
  constexpr std::uint64_t kWarmUpMessages = 300;
  const Stopwatch watch;
  double end_s = 0;
  double before_s = now_s();
  std::uint64_t count = 0;
  while (end_s == 0 || before_s < end_s) {
    number_message(message, count);
    channel.send_and_wait(message);
    const double after_s = now_s();
    if (end_s != 0) times_s.push_back(after_s - before_s);
    if (++count == kWarmUpMessages) end_s = after_s + work.time_s;
    before_s = after_s;
  }
  channel.send(last_message(count));
  channel.finish();
  const auto middle = times_s.begin() + static_cast<std::ptrdiff_t>(times_s.size() / 2);
  std::ranges::nth_element(times_s, middle);
  return {{"count", times_s.size()},
          {"round_trip_s", *middle},
          {"size", message.size()},
          {"cpu_s", watch.cpu_used_s()}};
}

template <MessageChannelLike Channel>
nlohmann::json acknowledge_each(Channel& channel, const Work&) {
  std::uint64_t count = 0;
  for (;;) {
    const auto message = channel.receive();
    if (!message) throw std::runtime_error("the messages ended early");
    if (message->size() == kSmallestMessage) break;
    if (number_of_message(*message) != count++) {
      throw std::runtime_error("a message is lost or out of order");
    }
    channel.acknowledge();
  }
  return {{"count", count}};
}

/// The work of a receiver, if it is one with messages; `connection()` makes the channel.
template <class Connection>
std::optional<nlohmann::json> serve_messages(const Work& work, Connection connection) {
  if (work.name != "whole-messages" && work.name != "receipts") return std::nullopt;
  auto channel = connection();
  const bool streams = work.name == "whole-messages";
  nlohmann::json report = streams ? take_messages(channel, work) : acknowledge_each(channel, work);
  if constexpr (requires { channel.end_writing(); }) channel.end_writing();
  return report;
}

template <class Connection>
std::optional<nlohmann::json> request_messages(const Work& work, Connection connection) {
  if (work.name != "whole-messages" && work.name != "receipts") return std::nullopt;
  auto channel = connection();
  return work.name == "whole-messages" ? stream_messages(channel, work)
                                       : wait_for_each(channel, work);
}

}  // namespace sealine::bench
