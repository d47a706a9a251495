#pragma once

#include "sealine/stt/session.hpp"
#include "tests/sim/content.hpp"
#include "tests/sim/dice.hpp"
#include "tests/sim/violation.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sealine::sim {

using stt::StreamId;
using stt::StreamMode;

/// What one end has written to a stream and read from it.
struct StreamBook {
  stt::StreamOptions options;
  std::uint64_t key = 0;  ///< of what this end writes there

  // what this end writes
  std::uint64_t written = 0;                 ///< mode ordered: bytes
  std::vector<std::uint32_t> message_bytes;  ///< other modes: of each message
  bool has_finished = false;
  bool has_reset = false;  ///< by itself, or because the peer said STOP

  // what it reads
  std::uint64_t read = 0;
  std::vector<bool> delivered;  ///< messages
  std::vector<std::uint8_t> partial;
  bool saw_finish = false;
  bool saw_reset = false;
  bool has_stopped = false;  ///< it wants no more

  bool is_closed = false;

  [[nodiscard]] bool is_ordered() const { return options.mode == StreamMode::ordered; }

  [[nodiscard]] bool is_writing() const { return !has_finished && !has_reset && !is_closed; }
};

/// One end: a session, an application that writes, reads and gives up, and what it must not see.
class End {
 public:
  End(stt::SessionConfig config, stt::Established established, crypto::Engine& engine,
      crypto::Rng& rng, Dice dice, TimePoint now)
      : config_(config),
        role_(established.role),
        dice_(dice),
        session_(std::make_unique<stt::Session>(config, std::move(established), engine, rng, now)) {
  }

  [[nodiscard]] stt::Session& session() { return *session_; }

  [[nodiscard]] stt::Role role() const { return role_; }

  [[nodiscard]] bool is_initiator() const { return role_ == stt::Role::initiator; }

  [[nodiscard]] bool is_over() const { return closed_.has_value(); }

  [[nodiscard]] const std::optional<stt::SessionClosed>& closed() const { return closed_; }

  [[nodiscard]] std::optional<stt::PathId> path_changed() {
    return std::exchange(path_changed_, std::nullopt);
  }

  // --- the application

  void open(TimePoint now) {
    constexpr StreamMode kModes[] = {StreamMode::ordered, StreamMode::ordered,
                                     StreamMode::unordered, StreamMode::partial,
                                     StreamMode::unreliable};
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

  /// Something to a stream that takes it.
  void write(TimePoint now) {
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

  void finish(TimePoint now) {
    StreamBook* book = nullptr;
    const StreamId id = some_stream(book, [](const StreamBook& b) { return b.is_writing(); });
    if (book != nullptr) finish(id, *book, now);
  }

  void reset(TimePoint now) {
    StreamBook* book = nullptr;
    const StreamId id =
        some_stream(book, [](const StreamBook& b) { return !b.has_reset && !b.is_closed; });
    if (book == nullptr) return;
    if (session_->reset(id, 300, now)) book->has_reset = true;
  }

  void stop(TimePoint now) {
    StreamBook* book = nullptr;
    const StreamId id =
        some_stream(book, [](const StreamBook& b) { return !b.has_stopped && !b.is_closed; });
    if (book == nullptr) return;
    if (session_->stop(id, 301, now)) book->has_stopped = true;
  }

  void finish_all(TimePoint now) {
    for (auto& [id, book] : streams_) {
      if (book.is_writing()) finish(id, book, now);
    }
  }

  /// Of some streams, or of all.
  void read(const End& peer, bool is_slow, TimePoint now) {
    for (auto& [id, book] : streams_) {
      if (book.is_closed || book.saw_finish || book.saw_reset || book.has_stopped) continue;
      if (is_slow && dice_.chance(70)) continue;
      read_stream(id, book, peer.book_of(id), is_slow, now);
    }
  }

  void ping(TimePoint now) { session_->ping(now); }

  void rotate(TimePoint now) { session_->rotate(now); }

  void close(std::uint16_t code, TimePoint now) {
    close_code_ = code;
    session_->close(code, "enough", now);
  }

  void drain(TimePoint now) {
    if (is_draining_) return;
    is_draining_ = true;
    session_->drain(now);
  }

  [[nodiscard]] const std::optional<std::uint16_t>& close_code() const { return close_code_; }

  // --- what the session says

  void take_events(const End& peer, TimePoint now) {
    while (auto event = session_->poll_event()) {
      ++events;
      std::visit([&](const auto& e) { handle(e, peer, now); }, *event);
    }
  }

  // --- what is asked of it

  [[nodiscard]] bool all_streams_closed() const {
    return std::ranges::all_of(streams_, [](const auto& each) { return each.second.is_closed; });
  }

  [[nodiscard]] std::size_t open_streams() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(streams_, [](const auto& each) { return !each.second.is_closed; }));
  }

  /// What waits to be read stays within the windows.
  void check_windows() const {
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

  /// All that the other end wrote has come, unless somebody gave up.
  void check_complete(const End& peer) const {
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

  void print(const char* name) const {
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
      std::printf("    closed: code %u by %s, %s\n", closed_->code,
                  closed_->by_peer ? "peer" : "us",
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

  void forget_session() { session_.reset(); }

  std::uint64_t streams_opened = 0;
  std::uint64_t bytes_read = 0;
  std::uint64_t messages_read = 0;
  std::uint64_t rotations = 0;
  std::uint64_t events = 0;

 private:
  static constexpr std::size_t kMessageHead = 4;

  [[nodiscard]] const StreamBook* find(StreamId id) const {
    const auto at = streams_.find(id);
    return at == streams_.end() ? nullptr : &at->second;
  }

  /// One without anything where the stream has not reached this end yet.
  [[nodiscard]] const StreamBook& book_of(StreamId id) const {
    static const StreamBook kNothing;
    const StreamBook* book = find(id);
    return book == nullptr ? kNothing : *book;
  }

  StreamBook& add(StreamId id, const stt::StreamOptions& options) {
    StreamBook& book = streams_[id];
    book.options = options;
    book.key = std::uint64_t{id} * 2 + (is_initiator() ? 1 : 0);
    return book;
  }

  template <class Fits>
  StreamId some_stream(StreamBook*& book, Fits fits) {
    if (streams_.empty()) return 0;
    auto at = streams_.begin();
    std::advance(at, static_cast<std::ptrdiff_t>(dice_.below(streams_.size())));
    for (std::size_t i = 0; i < streams_.size(); ++i) {
      if (fits(at->second)) {
        book = &at->second;
        return at->first;
      }
      if (++at == streams_.end()) at = streams_.begin();
    }
    return 0;
  }

  void finish(StreamId id, StreamBook& book, TimePoint now) {
    if (session_->finish(id, now)) book.has_finished = true;
  }

  void write_failed(StreamBook& book, Error error) const {
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

  /// The index, then what belongs to it.
  static void fill_message(const StreamBook& book, std::uint32_t index, MutableBytes out) {
    for (std::size_t i = 0; i < kMessageHead; ++i) {
      out[i] = static_cast<std::uint8_t>(index >> (8 * i));
    }
    Content::fill(book.key ^ (std::uint64_t{index} << 20U), kMessageHead,
                  out.subspan(kMessageHead));
  }

  void read_stream(StreamId id, StreamBook& book, const StreamBook& theirs, bool is_slow,
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

  void take_message(StreamBook& book, const StreamBook& theirs) {
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

  static std::size_t delivered_count(const StreamBook& book) {
    return static_cast<std::size_t>(std::ranges::count(book.delivered, true));
  }

  // --- events

  void handle(const stt::StreamOpened& e, const End& peer, TimePoint) {
    require(find(e.stream) == nullptr, "a stream is opened once");
    const StreamBook* theirs = peer.find(e.stream);
    require(theirs != nullptr, "a stream has somebody who opened it");
    require(theirs->options.mode == e.options.mode &&
                theirs->options.priority == e.options.priority &&
                theirs->options.deadline_ms == e.options.deadline_ms,
            "a stream has the options of its opener");
    add(e.stream, e.options);
  }

  void handle(const stt::StreamReadable& e, const End&, TimePoint) {
    require(find(e.stream) != nullptr, "a readable stream is known");
  }

  void handle(const stt::StreamWritable& e, const End&, TimePoint) {
    require(find(e.stream) != nullptr, "a writable stream is known");
  }

  void handle(const stt::StreamReset& e, const End& peer, TimePoint) {
    StreamBook& book = known(e.stream);
    require(peer.book_of(e.stream).has_reset, "a reset has somebody who gave up");
    require(e.code == 300 || e.code == 301, "a reset has the code of who gave up");
    require(!book.saw_finish, "what has ended is not given up");
    book.saw_reset = true;
  }

  void handle(const stt::StreamStopped& e, const End& peer, TimePoint) {
    require(peer.book_of(e.stream).has_stopped, "a stop has somebody who wants no more");
    require(e.code == 301, "a stop has its code");
    known(e.stream).has_reset = true;
  }

  void handle(const stt::StreamClosed& e, const End&, TimePoint) {
    StreamBook& book = known(e.stream);
    require(!book.is_closed, "a stream closes once");
    require(book.has_finished || book.has_reset, "a stream closes when its writer has ended");
    require(book.saw_finish || book.saw_reset || book.has_stopped,
            "a stream closes when all is read");
    book.is_closed = true;
  }

  void handle(const stt::KeysRotated& e, const End&, TimePoint) {
    ++rotations;
    const bool is_ours = e.sender == role_;
    stt::Epoch& last = is_ours ? epoch_sent_ : epoch_received_;
    require(e.epoch == last + 1, "epochs come one by one");
    last = e.epoch;
  }

  void handle(const stt::PathChanged& e, const End&, TimePoint) {
    require(!is_initiator(), "the initiator alone moves");
    path_changed_ = e.path;
  }

  void handle(const stt::SessionClosed& e, const End&, TimePoint) {
    require(!closed_, "a session closes once");
    closed_ = e;
  }

  StreamBook& known(StreamId id) {
    const auto at = streams_.find(id);
    require(at != streams_.end(), "an event is about a stream that is known");
    return at->second;
  }

  stt::SessionConfig config_;
  stt::Role role_;
  Dice dice_;
  std::unique_ptr<stt::Session> session_;
  std::map<StreamId, StreamBook> streams_;
  std::optional<stt::SessionClosed> closed_;
  std::optional<std::uint16_t> close_code_;
  std::optional<stt::PathId> path_changed_;
  std::vector<std::uint8_t> buffer_;
  stt::Epoch epoch_sent_ = 0;
  stt::Epoch epoch_received_ = 0;
  bool is_draining_ = false;
};

}  // namespace sealine::sim
