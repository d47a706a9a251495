#pragma once

#include "sealine/stt/session.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/watching_engine.hpp"
#include "tests/sim/base/wire.hpp"

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
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
class SttEnd {
 public:
  SttEnd(stt::SessionConfig config, stt::Established established, crypto::Engine& engine,
         crypto::Rng& rng, Dice dice, TimePoint now);

  [[nodiscard]] stt::Session& session() { return *session_; }

  [[nodiscard]] stt::Role role() const { return role_; }

  [[nodiscard]] bool is_initiator() const { return role_ == stt::Role::initiator; }

  [[nodiscard]] bool is_over() const { return closed_.has_value(); }

  [[nodiscard]] const std::optional<stt::SessionClosed>& closed() const { return closed_; }

  [[nodiscard]] std::optional<stt::PathId> path_changed();

  [[nodiscard]] std::optional<TimePoint> deadline() const { return session_->poll_timeout(); }

  void timeout(TimePoint now) { session_->handle_timeout(now); }

  /// Writes what it has to say to a wire of whole messages.
  void transmit(Wire& wire, KeyBook& book, TimePoint now);

  // --- the application

  void open(TimePoint now);
  /// Something to a stream that takes it.
  void write(TimePoint now);
  void finish(TimePoint now);
  void reset(TimePoint now);
  void stop(TimePoint now);
  void finish_all(TimePoint now);
  /// Of some streams, or of all.
  void read(const SttEnd& peer, bool is_slow, TimePoint now);

  void ping(TimePoint now) { session_->ping(now); }

  void rotate(TimePoint now) { session_->rotate(now); }

  void close(std::uint16_t code, TimePoint now);
  void drain(TimePoint now);

  [[nodiscard]] const std::optional<std::uint16_t>& close_code() const { return close_code_; }

  // --- what the session says

  void take_events(const SttEnd& peer, TimePoint now);

  // --- what is asked of it

  [[nodiscard]] bool all_streams_closed() const;
  [[nodiscard]] std::size_t open_streams() const;
  /// What waits to be read stays within the windows.
  void check_windows() const;
  /// All that the other end wrote has come, unless somebody gave up.
  void check_complete(const SttEnd& peer) const;
  void print(const char* name) const;

  void forget_session() { session_.reset(); }

  std::uint64_t streams_opened = 0;
  std::uint64_t bytes_read = 0;
  std::uint64_t messages_read = 0;
  std::uint64_t rotations = 0;
  std::uint64_t events = 0;

 private:
  static constexpr std::size_t kMessageHead = 4;

  [[nodiscard]] const StreamBook* find(StreamId id) const;
  /// One without anything where the stream has not reached this end yet.
  [[nodiscard]] const StreamBook& book_of(StreamId id) const;
  StreamBook& add(StreamId id, const stt::StreamOptions& options);

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

  void finish(StreamId id, StreamBook& book, TimePoint now);
  void write_failed(StreamBook& book, Error error) const;
  /// The index, then what belongs to it.
  static void fill_message(const StreamBook& book, std::uint32_t index, MutableBytes out);
  void read_stream(StreamId id, StreamBook& book, const StreamBook& theirs, bool is_slow,
                   TimePoint now);
  void take_message(StreamBook& book, const StreamBook& theirs);
  static std::size_t delivered_count(const StreamBook& book);

  // --- events

  void handle(const stt::StreamOpened& e, const SttEnd& peer, TimePoint);
  void handle(const stt::StreamReadable& e, const SttEnd&, TimePoint);
  void handle(const stt::StreamWritable& e, const SttEnd&, TimePoint);
  void handle(const stt::StreamReset& e, const SttEnd& peer, TimePoint);
  void handle(const stt::StreamStopped& e, const SttEnd& peer, TimePoint);
  void handle(const stt::StreamClosed& e, const SttEnd&, TimePoint);
  void handle(const stt::KeysRotated& e, const SttEnd&, TimePoint);
  void handle(const stt::PathChanged& e, const SttEnd&, TimePoint);
  void handle(const stt::SessionClosed& e, const SttEnd&, TimePoint);
  StreamBook& known(StreamId id);

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

  // Scratch of all calls; ends are used by one thread at a time.
  inline static std::vector<std::uint8_t> message_ = std::vector<std::uint8_t>(262'144);
};

}  // namespace sealine::sim
