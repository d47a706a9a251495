#pragma once

#include "sealine/base/bytes.hpp"
#include "support/options.hpp"
#include "support/pattern.hpp"
#include "support/process.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <concepts>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

/// The work that every contestant does, written once over its connections, so that all are measured
/// alike.
///
/// One process is the server, one the client. Where data flows in one direction the client sends:
/// first a warm-up whose SHA-256 the server answers with, then until its time is over; the server
/// counts to the end of the stream and says how much that was. The time is the receiver's.
namespace sealine::bench {

/// One connection of a contestant. Failures are exceptions.
template <class T>
concept ChannelLike = requires(T& channel, ByteView bytes, MutableBytes into) {
  { channel.write(bytes) };                                  // all of it; may wait in a buffer
  { channel.flush() };                                       // sends what waits
  { channel.read_some(into) } -> std::same_as<std::size_t>;  // 0 at the authenticated end
  { channel.end_writing() };                                 // the peer still may write
  { channel.expect_bulk() };                                 // from here on only bulk data comes in
  { channel.reset_on_close() };                              // as Socket::reset_on_close
};

/// What a contestant brings: how its connections are made.
template <class T>
concept ContestantLike =
    ChannelLike<typename T::Channel> && requires(T& contestant, const nlohmann::json& hello) {
      { contestant.listen() } -> std::same_as<nlohmann::json>;       // server: at least {"port": n}
      { contestant.accept() } -> std::same_as<typename T::Channel>;  // server: handshake done
      { contestant.learn(hello) };                                   // client: what listen() gave
      { contestant.connect() } -> std::same_as<typename T::Channel>;  // client: handshake done
    };

inline constexpr std::size_t kReadBytes = std::size_t{256} * 1024;
inline constexpr std::size_t kWarmUpBytes = std::size_t{4} * 1024 * 1024;
inline constexpr std::size_t kSmallestMessage = 16;

struct Work {
  std::string name;
  std::size_t size_bytes = 0;
  double time_s = 0;
  bool flush_each = false;
  std::size_t connection_count = 0;
  std::uint64_t total_bytes = 0;
  double settle_s = 0;

  static Work from(const Options& options) {
    return {.name = options.text("work", "bulk"),
            .size_bytes = options.number("size", 65536),
            .time_s = options.seconds("seconds", 0.5),
            .flush_each = options.flag("flush"),
            .connection_count = options.number("connections", 1),
            .total_bytes = options.number("bytes", 0),
            .settle_s = options.seconds("settle", 0.3)};
  }
};

template <ChannelLike Channel>
void read_exactly(Channel& channel, MutableBytes into) {
  while (!into.empty()) {
    const std::size_t count = channel.read_some(into);
    if (count == 0) {
      throw std::runtime_error("the stream ended early");
    }
    into = into.subspan(count);
  }
}

template <ChannelLike Channel>
void write_now(Channel& channel, ByteView bytes) {
  channel.write(bytes);
  channel.flush();
}

/// Message n begins with n; the receiver checks each.
inline void number_message(MutableBytes message, std::uint64_t number) {
  std::memcpy(message.data(), &number, sizeof number);
}

inline std::uint64_t number_of_message(ByteView message) {
  std::uint64_t number = 0;
  std::memcpy(&number, message.data(), sizeof number);
  return number;
}

// --- one direction, client to server
// ------------------------------------------------------------------------

template <ChannelLike Channel>
void send_warm_up(Channel& channel, std::size_t write_bytes) {
  Pattern pattern(write_bytes);
  Checksum checksum;
  std::vector<std::uint8_t> buffer(write_bytes);
  for (std::size_t left = kWarmUpBytes; left > 0;) {
    const MutableBytes piece = MutableBytes(buffer).first(std::min(left, write_bytes));
    pattern.fill(piece);
    checksum.add(piece);
    channel.write(piece);
    left -= piece.size();
  }
  channel.flush();
  Digest answer{};
  read_exactly(channel, answer);
  if (answer != checksum.finish()) {
    throw std::runtime_error("the receiver has other bytes than were sent");
  }
}

template <ChannelLike Channel>
void receive_warm_up(Channel& channel, MutableBytes buffer) {
  Checksum checksum;
  for (std::size_t left = kWarmUpBytes; left > 0;) {
    const std::size_t count = channel.read_some(buffer.first(std::min(left, buffer.size())));
    if (count == 0) {
      throw std::runtime_error("the stream ended in the warm-up");
    }
    checksum.add(buffer.first(count));
    left -= count;
  }
  channel.expect_bulk();
  write_now(channel, checksum.finish());
}

/// Ends the stream and compares counts with the receiver.
template <ChannelLike Channel>
void confirm_count(Channel& channel, std::uint64_t sent) {
  channel.end_writing();
  ByteArray<sizeof sent> answer{};
  read_exactly(channel, answer);
  if (number_of_message(answer) != sent) {
    throw std::runtime_error("sent " + std::to_string(sent) + " bytes, received " +
                             std::to_string(number_of_message(answer)));
  }
}

template <ChannelLike Channel>
void answer_count(Channel& channel, std::uint64_t received) {
  ByteArray<sizeof received> answer{};
  number_message(answer, received);
  write_now(channel, answer);
  channel.end_writing();
}

inline nlohmann::json transfer_report(std::uint64_t bytes, double wall_s, double cpu_used_s) {
  return {{"bytes", bytes}, {"seconds", wall_s}, {"cpu_s", cpu_used_s}};
}

template <ChannelLike Channel>
nlohmann::json send_bulk(Channel channel, const Work& work) {
  send_warm_up(channel, work.size_bytes);
  std::vector<std::uint8_t> buffer(work.size_bytes);
  Pattern(1).fill(buffer);
  const Stopwatch watch;
  const double end_s = now_s() + work.time_s;
  std::uint64_t sent = 0;
  do {
    channel.write(buffer);
    sent += buffer.size();
  } while (now_s() < end_s);
  confirm_count(channel, sent);
  return transfer_report(sent, watch.wall_s(), watch.cpu_used_s());
}

template <ChannelLike Channel>
nlohmann::json receive_bulk(Channel channel, const Work&) {
  std::vector<std::uint8_t> buffer(kReadBytes);
  receive_warm_up(channel, buffer);
  const Stopwatch watch;
  std::uint64_t received = 0;
  while (const std::size_t count = channel.read_some(buffer)) {
    received += count;
  }
  const nlohmann::json report = transfer_report(received, watch.wall_s(), watch.cpu_used_s());
  answer_count(channel, received);
  return report;
}

template <ChannelLike Channel>
nlohmann::json send_messages(Channel channel, const Work& work) {
  send_warm_up(channel, work.size_bytes);
  std::vector<std::uint8_t> message(std::max(work.size_bytes, kSmallestMessage));
  Pattern(1).fill(message);
  const Stopwatch watch;
  const double end_s = now_s() + work.time_s;
  constexpr std::uint64_t kMessagesPerClock = 64;
  std::uint64_t count = 0;
  do {
    for (const std::uint64_t stop = count + kMessagesPerClock; count < stop; ++count) {
      number_message(message, count);
      channel.write(message);
      if (work.flush_each) {
        channel.flush();
      }
    }
  } while (now_s() < end_s);
  confirm_count(channel, count * message.size());
  return transfer_report(count * message.size(), watch.wall_s(), watch.cpu_used_s());
}

template <ChannelLike Channel>
nlohmann::json receive_messages(Channel channel, const Work& work) {
  const std::size_t message_bytes = std::max(work.size_bytes, kSmallestMessage);
  std::vector<std::uint8_t> storage(kReadBytes);
  const MutableBytes buffer(storage);
  receive_warm_up(channel, buffer);
  const Stopwatch watch;
  std::uint64_t received = 0;
  std::uint64_t expected = 0;
  std::size_t kept = 0;
  while (const std::size_t count = channel.read_some(buffer.subspan(kept))) {
    received += count;
    ByteView rest = buffer.first(kept + count);
    for (; rest.size() >= message_bytes; rest = rest.subspan(message_bytes)) {
      if (number_of_message(rest) != expected++) {
        throw std::runtime_error("a message is lost or out of order");
      }
    }
    kept = rest.size();
    std::memmove(buffer.data(), rest.data(), kept);
  }
  const nlohmann::json report = transfer_report(received, watch.wall_s(), watch.cpu_used_s());
  answer_count(channel, received);
  return report;
}

// --- over a path, for a time
// -----------------------------------------------------------------------------------------

/// What arrives in `time_s` once `settle_s` are over: what a congestion control makes of a path.
/// Both count from the first byte.
template <ChannelLike Channel>
nlohmann::json receive_for_a_time(Channel channel, const Work& work) {
  std::vector<std::uint8_t> buffer(kReadBytes);
  const auto receive_until = [&](double end_s) {
    std::uint64_t received = 0;
    do {
      const std::size_t count = channel.read_some(buffer);
      if (count == 0) throw std::runtime_error("the stream ended early");
      received += count;
    } while (now_s() < end_s);
    return received;
  };
  receive_until(0);
  receive_until(now_s() + work.settle_s);
  channel.expect_bulk();
  const Stopwatch watch;
  const std::uint64_t received = receive_until(now_s() + work.time_s);
  return transfer_report(received, watch.wall_s(), watch.cpu_used_s());
}

/// Sends until the receiver has seen enough: that ends the connection, or whoever runs this.
template <ChannelLike Channel>
nlohmann::json send_without_end(Channel channel, const Work& work) {
  std::vector<std::uint8_t> buffer(work.size_bytes);
  Pattern(1).fill(buffer);
  const Stopwatch watch;
  std::uint64_t sent = 0;
  try {
    for (;; sent += buffer.size()) channel.write(buffer);
  } catch (const std::exception&) {
    if (watch.wall_s() < work.settle_s + work.time_s) throw;
  }
  return transfer_report(sent, watch.wall_s(), watch.cpu_used_s());
}

// --- there and back
// -----------------------------------------------------------------------------------------

template <ChannelLike Channel>
nlohmann::json ask(Channel channel, const Work& work) {
  std::vector<std::uint8_t> message(std::max(work.size_bytes, kSmallestMessage));
  std::vector<std::uint8_t> answer(message.size());
  Pattern(1).fill(message);
  std::vector<double> times_s;
  constexpr std::size_t kWarmUpRounds = 500;
  const Stopwatch watch;
  double end_s = 0;
  double before_s = now_s();
  for (std::uint64_t number = 0; end_s == 0 || before_s < end_s; ++number) {
    number_message(message, number);
    write_now(channel, message);
    read_exactly(channel, answer);
    if (answer != message) {
      throw std::runtime_error("the answer differs from the question");
    }
    const double after_s = now_s();
    if (end_s != 0) {
      times_s.push_back(after_s - before_s);
    } else if (number == kWarmUpRounds) {
      end_s = after_s + work.time_s;
    }
    before_s = after_s;
  }
  channel.end_writing();
  if (channel.read_some(answer) != 0) {
    throw std::runtime_error("more answers than questions");
  }
  std::ranges::nth_element(times_s,
                           times_s.begin() + static_cast<std::ptrdiff_t>(times_s.size() / 2));
  return {{"count", times_s.size()},
          {"round_trip_s", times_s.at(times_s.size() / 2)},
          {"cpu_s", watch.cpu_used_s()}};
}

template <ChannelLike Channel>
nlohmann::json echo(Channel channel, const Work& work) {
  std::vector<std::uint8_t> message(std::max(work.size_bytes, kSmallestMessage));
  std::uint64_t count = 0;
  while (const std::size_t first = channel.read_some(message)) {
    read_exactly(channel, MutableBytes(message).subspan(first));
    write_now(channel, message);
    ++count;
  }
  channel.end_writing();
  return {{"count", count}};
}

// --- connections
// --------------------------------------------------------------------------------------------

inline constexpr std::uint8_t kGoOn = 'a';
inline constexpr std::uint8_t kLast = 'z';

/// A byte there and back: only then have both ends confirmed the handshake.
template <ChannelLike Channel>
void confirm_connection(Channel& channel, std::uint8_t token) {
  write_now(channel, ByteView(&token, 1));
  std::uint8_t answer = 0;
  read_exactly(channel, MutableBytes(&answer, 1));
  if (answer != token) {
    throw std::runtime_error("the connection answers with another byte");
  }
}

template <ChannelLike Channel>
std::uint8_t answer_connection(Channel& channel) {
  std::uint8_t token = 0;
  read_exactly(channel, MutableBytes(&token, 1));
  write_now(channel, ByteView(&token, 1));
  return token;
}

/// Connections one after another: connect, handshake, a byte there and back, reset.
template <ContestantLike Contestant>
nlohmann::json make_handshakes(Contestant& contestant, const Work& work) {
  const auto once = [&](std::uint8_t token) {
    auto channel = contestant.connect();
    channel.reset_on_close();
    confirm_connection(channel, token);
  };
  once(kGoOn);
  const Stopwatch watch;
  const double end_s = now_s() + work.time_s;
  std::uint64_t count = 0;
  double after_s = 0;
  do {
    once(kGoOn);
    ++count;
    after_s = now_s();
  } while (after_s < end_s);
  const nlohmann::json report = {
      {"count", count}, {"seconds", watch.wall_s()}, {"cpu_s", watch.cpu_used_s()}};
  once(kLast);
  return report;
}

template <ContestantLike Contestant>
nlohmann::json take_handshakes(Contestant& contestant, const Work&) {
  const Stopwatch watch;
  std::uint64_t count = 0;
  std::uint8_t token = kGoOn;
  while (token != kLast) {
    auto channel = contestant.accept();
    token = answer_connection(channel);
    ++count;
  }
  return {{"count", count}, {"cpu_s", watch.cpu_used_s()}};
}

/// Opens many connections and holds them until the last has been measured.
template <ContestantLike Contestant>
nlohmann::json hold_connections(Contestant& contestant, const Work& work) {
  std::vector<typename Contestant::Channel> channels;
  channels.reserve(work.connection_count);
  std::uint64_t before = 0;
  for (std::size_t index = 0; index <= work.connection_count; ++index) {
    channels.push_back(contestant.connect());
    channels.back().reset_on_close();
    confirm_connection(channels.back(), kGoOn);
    if (index == 0) {
      before = resident_bytes();
    }
  }
  const std::uint64_t grown = resident_bytes() - before;
  // The server writes once it has measured.
  std::uint8_t done = 0;
  read_exactly(channels.front(), MutableBytes(&done, 1));
  return {{"count", work.connection_count}, {"memory_bytes", grown}};
}

/// The first connection is the warm-up that pays for what all share.
template <ContestantLike Contestant>
nlohmann::json keep_connections(Contestant& contestant, const Work& work) {
  std::vector<typename Contestant::Channel> channels;
  channels.reserve(work.connection_count + 1);
  std::uint64_t before = 0;
  for (std::size_t index = 0; index <= work.connection_count; ++index) {
    channels.push_back(contestant.accept());
    answer_connection(channels.back());
    if (index == 0) {
      before = resident_bytes();
    }
  }
  const std::uint64_t grown = resident_bytes() - before;
  write_now(channels.front(), ByteView(&kLast, 1));
  std::uint8_t end = 0;
  try {
    static_cast<void>(channels.front().read_some(MutableBytes(&end, 1)));
  } catch (const std::exception&) {
    end = 0;  // the client resets
  }
  return {{"count", work.connection_count}, {"memory_bytes", grown}};
}

// --- which work
// -----------------------------------------------------------------------------------------------

template <ContestantLike Contestant>
nlohmann::json serve(Contestant& contestant, const Work& work) {
  if (work.name == "bulk") return receive_bulk(contestant.accept(), work);
  if (work.name == "messages") return receive_messages(contestant.accept(), work);
  if (work.name == "path") return receive_for_a_time(contestant.accept(), work);
  if (work.name == "round-trips") return echo(contestant.accept(), work);
  if (work.name == "handshakes") return take_handshakes(contestant, work);
  if (work.name == "idle") return keep_connections(contestant, work);
  throw std::invalid_argument("no such work: " + work.name);
}

template <ContestantLike Contestant>
nlohmann::json request(Contestant& contestant, const Work& work) {
  if (work.name == "bulk") return send_bulk(contestant.connect(), work);
  if (work.name == "messages") return send_messages(contestant.connect(), work);
  if (work.name == "path") return send_without_end(contestant.connect(), work);
  if (work.name == "round-trips") return ask(contestant.connect(), work);
  if (work.name == "handshakes") return make_handshakes(contestant, work);
  if (work.name == "idle") return hold_connections(contestant, work);
  throw std::invalid_argument("no such work: " + work.name);
}

}  // namespace sealine::bench
