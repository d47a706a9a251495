#include "tests/sim/stt/end.hpp"

#include "sealine/stt/session.hpp"
#include "tests/sim/base/content.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/violation.hpp"
#include "tests/sim/base/watching_engine.hpp"
#include "tests/sim/base/wire.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace sealine::sim {

SttEnd::SttEnd(stt::SessionConfig config, stt::Established established, crypto::Engine& engine,
               crypto::Rng& rng, Dice dice, TimePoint now)
    : config_(config),
      role_(established.role),
      dice_(dice),
      session_(std::make_unique<stt::Session>(config, std::move(established), engine, rng, now)) {}

std::optional<stt::PathId> SttEnd::path_changed() {
  return std::exchange(path_changed_, std::nullopt);
}

void SttEnd::transmit(Wire& wire, KeyBook& book, TimePoint now) {
  while (!wire.is_full()) {
    const bool was_over = session_->state() == stt::SessionState::closed;
    const std::size_t bytes = session_->poll_transmit(message_, now);
    require(bytes == 0 || !was_over, "no byte after the end of a session");
    if (bytes == 0) return;
    require(bytes <= message_.size(), "a message fits");
    write_sealed(wire, book, ByteView(message_).first(bytes));
  }
}

void SttEnd::open(TimePoint now) {
  constexpr StreamMode kModes[] = {StreamMode::ordered, StreamMode::ordered, StreamMode::unordered,
                                   StreamMode::partial, StreamMode::unreliable};
  const stt::StreamOptions options{.mode = dice_.pick(kModes),
                                   .priority = dice_.pick<std::uint8_t>({128, 128, 0, 200}),
                                   .deadline_ms = dice_.pick<std::uint32_t>({0, 20, 200, 3000})};
  const auto opened = session_->open(options, now);
  if (!opened) {
    require(is_over(), "a stream can be opened");
    return;
  }
  require(*opened % 2 == (is_initiator() ? 1 : 0), "ids have their opener's parity");
  add(*opened, options);
  ++streams_opened;
}

void SttEnd::write(TimePoint now) {
  StreamBook* book = nullptr;
  const StreamId id = some_stream(book, [](const StreamBook& b) { return b.is_writing(); });
  if (book == nullptr) return;
  if (book->is_ordered()) {
    const std::size_t most = dice_.pick({1UL, 100UL, 1000UL, 5000UL, 30'000UL});
    std::vector<std::uint8_t> bytes(dice_.between(1, most));
    Content::fill(book->key, book->written, bytes);
    const auto taken = session_->write(id, bytes, now);
    if (!taken) return write_failed(*book, taken.error());
    require(*taken <= bytes.size(), "no more is taken than was given");
    book->written += *taken;
    return;
  }
  const bool is_small = book->options.mode == StreamMode::unreliable;
  const std::size_t most = is_small ? dice_.pick({4UL, 100UL, 900UL})
                                    : dice_.pick({4UL, 100UL, 1200UL, 4000UL, 20'000UL});
  std::vector<std::uint8_t> bytes(dice_.between(4, most));
  const auto index = static_cast<std::uint32_t>(book->message_bytes.size());
  fill_message(*book, index, bytes);
  const auto taken = session_->write(id, bytes, now);
  if (!taken) return write_failed(*book, taken.error());
  require(*taken == bytes.size(), "a message is taken whole");
  book->message_bytes.push_back(static_cast<std::uint32_t>(bytes.size()));
}

void SttEnd::finish(TimePoint now) {
  StreamBook* book = nullptr;
  const StreamId id = some_stream(book, [](const StreamBook& b) { return b.is_writing(); });
  if (book != nullptr) finish(id, *book, now);
}

void SttEnd::reset(TimePoint now) {
  StreamBook* book = nullptr;
  const StreamId id =
      some_stream(book, [](const StreamBook& b) { return !b.has_reset && !b.is_closed; });
  if (book == nullptr) return;
  if (session_->reset(id, 300, now)) book->has_reset = true;
}

void SttEnd::stop(TimePoint now) {
  StreamBook* book = nullptr;
  const StreamId id =
      some_stream(book, [](const StreamBook& b) { return !b.has_stopped && !b.is_closed; });
  if (book == nullptr) return;
  if (session_->stop(id, 301, now)) book->has_stopped = true;
}

void SttEnd::finish_all(TimePoint now) {
  for (auto& [id, book] : streams_) {
    if (book.is_writing()) finish(id, book, now);
  }
}

void SttEnd::read(const SttEnd& peer, bool is_slow, TimePoint now) {
  for (auto& [id, book] : streams_) {
    if (book.is_closed || book.saw_finish || book.saw_reset || book.has_stopped) continue;
    if (is_slow && dice_.chance(70)) continue;
    read_stream(id, book, peer.book_of(id), is_slow, now);
  }
}

void SttEnd::close(std::uint16_t code, TimePoint now) {
  close_code_ = code;
  session_->close(code, "enough", now);
}

void SttEnd::drain(TimePoint now) {
  if (is_draining_) return;
  is_draining_ = true;
  session_->drain(now);
}

void SttEnd::take_events(const SttEnd& peer, TimePoint now) {
  while (auto event = session_->poll_event()) {
    ++events;
    std::visit([&](const auto& e) { handle(e, peer, now); }, *event);
  }
}

bool SttEnd::all_streams_closed() const {
  return std::ranges::all_of(streams_, [](const auto& each) { return each.second.is_closed; });
}

std::size_t SttEnd::open_streams() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(streams_, [](const auto& each) { return !each.second.is_closed; }));
}

void SttEnd::check_windows() const {
  std::uint64_t sum = 0;
  for (const auto& [id, book] : streams_) {
    if (book.is_closed) continue;
    const std::size_t readable = session_->readable_bytes(id);
    if (book.options.mode == StreamMode::partial || book.options.mode == StreamMode::unreliable) {
      require(readable <= stt::kDatagramQueueBytes, "a queue that drops is bounded");
      continue;
    }
    require(readable <= config_.limits.max_stream_window_bytes, "a stream stays in its window");
    sum += readable;
  }
  require(sum <= config_.limits.max_session_window_bytes, "a session stays in its window");
}

void SttEnd::check_complete(const SttEnd& peer) const {
  for (const auto& [id, book] : streams_) {
    const StreamBook& theirs = peer.book_of(id);
    if (book.has_stopped || book.saw_reset || theirs.has_reset) continue;
    if (book.is_ordered()) {
      require(book.read == theirs.written, "an ordered stream comes whole");
    } else if (book.options.mode == StreamMode::unordered) {
      require(delivered_count(book) == theirs.message_bytes.size(), "all messages come");
    }
  }
}

void SttEnd::print(const char* name) const {
  const auto s = session_->statistics();
  std::printf(
      "  %s: state %d, %zu of %zu streams open, frames %llu sent %llu received %llu dropped %llu "
      "lost, %llu probe timeouts, window %zu in flight %zu, datagram %zu, rtt %lld us, epochs "
      "%u/%u\n",
      name, static_cast<int>(session_->state()), open_streams(), streams_.size(),
      static_cast<unsigned long long>(s.frames_sent),
      static_cast<unsigned long long>(s.frames_received),
      static_cast<unsigned long long>(s.frames_dropped),
      static_cast<unsigned long long>(s.frames_lost),
      static_cast<unsigned long long>(s.probe_timeouts), s.window_bytes, s.in_flight_bytes,
      s.datagram_bytes, static_cast<long long>(s.round_trip.count() / 1000), s.epoch_sent,
      s.epoch_received);
  if (closed_) {
    std::printf("    closed: code %u by %s, %s\n", closed_->code, closed_->by_peer ? "peer" : "us",
                std::string(to_string(closed_->fault.code)).c_str());
  }
  for (const auto& [id, b] : streams_) {
    if (b.is_closed) continue;
    std::printf(
        "    stream %u mode %d: wrote %llu / %zu%s%s, read %llu / %zu%s%s%s, readable %zu\n", id,
        static_cast<int>(b.options.mode), static_cast<unsigned long long>(b.written),
        b.message_bytes.size(), b.has_finished ? " finished" : "", b.has_reset ? " reset" : "",
        static_cast<unsigned long long>(b.read), delivered_count(b),
        b.saw_finish ? " finished" : "", b.saw_reset ? " reset" : "",
        b.has_stopped ? " stopped" : "", session_->readable_bytes(id));
  }
}

const StreamBook* SttEnd::find(StreamId id) const {
  const auto at = streams_.find(id);
  return at == streams_.end() ? nullptr : &at->second;
}

const StreamBook& SttEnd::book_of(StreamId id) const {
  static const StreamBook kNothing;
  const StreamBook* book = find(id);
  return book == nullptr ? kNothing : *book;
}

StreamBook& SttEnd::add(StreamId id, const stt::StreamOptions& options) {
  StreamBook& book = streams_[id];
  book.options = options;
  book.key = std::uint64_t{id} * 2 + (is_initiator() ? 1 : 0);
  return book;
}

void SttEnd::finish(StreamId id, StreamBook& book, TimePoint now) {
  if (session_->finish(id, now)) book.has_finished = true;
}

void SttEnd::write_failed(StreamBook& book, Error error) const {
  if (error.code == Errc::window_full) return;
  if (error.code == Errc::message_too_large) {
    require(!book.is_ordered(), "bytes are never too many");
  } else if (error.code == Errc::stream_stopped) {
    require(book.has_reset, "only what was stopped is stopped");
  } else if (error.code == Errc::already_closed) {
    require(is_over(), "only a session that is over takes nothing");
  } else {
    throw Violation("a write failed: " + std::string(to_string(error.code)));
  }
}

void SttEnd::fill_message(const StreamBook& book, std::uint32_t index, MutableBytes out) {
  for (std::size_t i = 0; i < kMessageHead; ++i) {
    out[i] = static_cast<std::uint8_t>(index >> (8 * i));
  }
  Content::fill(book.key ^ (std::uint64_t{index} << 20U), kMessageHead, out.subspan(kMessageHead));
}

void SttEnd::read_stream(StreamId id, StreamBook& book, const StreamBook& theirs, bool is_slow,
                         TimePoint now) {
  std::vector<std::uint8_t>& buffer = buffer_;
  buffer.resize(is_slow ? dice_.between(1, 4000) : 40'000);
  for (int turns = 0; turns < 1000; ++turns) {
    const auto got = session_->read(id, buffer, now);
    if (!got) {
      require(got.error().code == Errc::stream_reset || is_over(),
              "a read fails for a reset alone");
      require(theirs.has_reset || is_over(), "nobody is told of a reset that was none");
      book.saw_reset = true;
      return;
    }
    const ByteView bytes = ByteView(buffer).first(got->bytes);
    if (book.is_ordered()) {
      require(!got->message_end, "bytes have no message");
      require(Content::is(theirs.key, book.read, bytes), "bytes come in order, as written");
      book.read += bytes.size();
      bytes_read += bytes.size();
      require(book.read <= theirs.written, "nothing comes that was not written");
    } else {
      book.partial.insert(book.partial.end(), bytes.begin(), bytes.end());
      if (got->message_end) take_message(book, theirs);
    }
    if (got->finished) {
      book.saw_finish = true;
      require(theirs.has_finished, "an end needs somebody who ends");
      require(!book.is_ordered() || book.read == theirs.written, "an end comes behind all bytes");
      require(book.options.mode != StreamMode::unordered ||
                  delivered_count(book) == theirs.message_bytes.size(),
              "an end comes behind all messages");
      require(book.partial.empty(), "an end is no middle of a message");
      return;
    }
    if (got->bytes == 0 && !got->message_end) return;
    if (is_slow && dice_.chance(50)) return;
  }
}

void SttEnd::take_message(StreamBook& book, const StreamBook& theirs) {
  require(book.partial.size() >= kMessageHead, "a message is whole");
  std::uint32_t index = 0;
  for (std::size_t i = 0; i < kMessageHead; ++i) {
    index |= static_cast<std::uint32_t>(book.partial[i]) << (8 * i);
  }
  require(index < theirs.message_bytes.size(), "a message is one that was written");
  require(book.partial.size() == theirs.message_bytes[index], "a message has its length");
  require(Content::is(theirs.key ^ (std::uint64_t{index} << 20U), kMessageHead,
                      ByteView(book.partial).subspan(kMessageHead)),
          "a message is as it was written");
  if (book.delivered.size() <= index) book.delivered.resize(index + 1);
  require(!book.delivered[index], "a message comes once");
  book.delivered[index] = true;
  ++messages_read;
  bytes_read += book.partial.size();
  book.partial.clear();
}

std::size_t SttEnd::delivered_count(const StreamBook& book) {
  return static_cast<std::size_t>(std::ranges::count(book.delivered, true));
}

void SttEnd::handle(const stt::StreamOpened& e, const SttEnd& peer, TimePoint) {
  require(find(e.stream) == nullptr, "a stream is opened once");
  const StreamBook* theirs = peer.find(e.stream);
  require(theirs != nullptr, "a stream has somebody who opened it");
  require(theirs->options.mode == e.options.mode &&
              theirs->options.priority == e.options.priority &&
              theirs->options.deadline_ms == e.options.deadline_ms,
          "a stream has the options of its opener");
  add(e.stream, e.options);
}

void SttEnd::handle(const stt::StreamReadable& e, const SttEnd&, TimePoint) {
  require(find(e.stream) != nullptr, "a readable stream is known");
}

void SttEnd::handle(const stt::StreamWritable& e, const SttEnd&, TimePoint) {
  require(find(e.stream) != nullptr, "a writable stream is known");
}

void SttEnd::handle(const stt::StreamReset& e, const SttEnd& peer, TimePoint) {
  StreamBook& book = known(e.stream);
  require(peer.book_of(e.stream).has_reset, "a reset has somebody who gave up");
  require(e.code == 300 || e.code == 301, "a reset has the code of who gave up");
  require(!book.saw_finish, "what has ended is not given up");
  book.saw_reset = true;
}

void SttEnd::handle(const stt::StreamStopped& e, const SttEnd& peer, TimePoint) {
  require(peer.book_of(e.stream).has_stopped, "a stop has somebody who wants no more");
  require(e.code == 301, "a stop has its code");
  known(e.stream).has_reset = true;
}

void SttEnd::handle(const stt::StreamClosed& e, const SttEnd&, TimePoint) {
  StreamBook& book = known(e.stream);
  require(!book.is_closed, "a stream closes once");
  require(book.has_finished || book.has_reset, "a stream closes when its writer has ended");
  require(book.saw_finish || book.saw_reset || book.has_stopped,
          "a stream closes when all is read");
  book.is_closed = true;
}

void SttEnd::handle(const stt::KeysRotated& e, const SttEnd&, TimePoint) {
  ++rotations;
  const bool is_ours = e.sender == role_;
  stt::Epoch& last = is_ours ? epoch_sent_ : epoch_received_;
  require(e.epoch == last + 1, "epochs come one by one");
  last = e.epoch;
}

void SttEnd::handle(const stt::PathChanged& e, const SttEnd&, TimePoint) {
  require(!is_initiator(), "the initiator alone moves");
  path_changed_ = e.path;
}

void SttEnd::handle(const stt::SessionClosed& e, const SttEnd&, TimePoint) {
  require(!closed_, "a session closes once");
  closed_ = e;
}

StreamBook& SttEnd::known(StreamId id) {
  const auto at = streams_.find(id);
  require(at != streams_.end(), "an event is about a stream that is known");
  return at->second;
}

}  // namespace sealine::sim
