#pragma once

#include "sealine/stt/session.hpp"
#include "stt/detail/credit.hpp"
#include "stt/detail/receive_stream.hpp"
#include "stt/detail/rotation.hpp"
#include "stt/detail/send_stream.hpp"

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace sealine::stt {

/// Everything a session knows. The files: session.cpp has the life, session_incoming.cpp what
/// comes, session_outgoing.cpp what goes.
struct Session::Machine {
  struct Stream {
    Stream(StreamId number, const StreamOptions& how, const Limits& limits);

    StreamId id;
    StreamOptions options;
    detail::SendStream sending;
    detail::ReceiveStream receiving;
    detail::SendCredit send_credit;
    detail::ReceiveCredit receive_credit;
    bool needs_init = false;      ///< our first frame of a stream that we opened
    bool wants_writable = false;  ///< a write took less than all
    bool is_queued = false;       ///< in the scheduler
    std::size_t deficit = 0;      ///< of its turn, in bytes
    std::optional<Reset> reset_due;
    std::optional<Stop> stop_due;
    bool credit_due = false;
    bool blocked_due = false;
    std::optional<std::uint64_t> abandon_due;
  };

  struct Closing {
    std::uint16_t code = 0;
    std::string reason;
    Error fault{};
  };

  Machine(SessionConfig how, Established established, crypto::Engine& engine, crypto::Rng& rng,
          TimePoint now);

  // --- session.cpp
  void end(std::uint16_t code, std::string reason, bool by_peer, Error fault);
  void fail_with(CloseCode code, Error fault);

  [[nodiscard]] bool is_over() const noexcept {
    return state == SessionState::closing || state == SessionState::closed;
  }

  [[nodiscard]] bool is_ours(StreamId id) const noexcept;
  [[nodiscard]] Stream* find(StreamId id) noexcept;
  Stream& add_stream(StreamId id, const StreamOptions& options);
  void forget_if_over(Stream& stream);
  void close_if_drained();
  void wake(Stream& stream);
  void consume(Stream& stream);

  // --- session_incoming.cpp
  [[nodiscard]] Result<> handle_frame(const FrameView& frame, TimePoint now);
  /// The stream a frame is about, opened by it if need be. Null: nothing to be done with the frame.
  [[nodiscard]] Result<Stream*> stream_of(const FrameHead& head, ByteView& body);
  void handle_data(Stream& stream, const FrameHead& head, ByteView body);
  void handle_control(FrameType type, Stream* stream, ByteView body, TimePoint now);
  void handle_session_message(const ControlMessage& message, TimePoint now);
  void handle_stream_message(Stream& stream, const ControlMessage& message);
  [[nodiscard]] bool take_credit(Stream& stream, const detail::ReceiveStream::Added& added);

  // --- session_outgoing.cpp
  [[nodiscard]] std::size_t fill(MutableBytes out, TimePoint now);
  [[nodiscard]] std::size_t put_frame(FrameHead head, ByteView prefix, ByteView body,
                                      MutableBytes out, TimePoint now);
  [[nodiscard]] std::size_t put_close(MutableBytes out, TimePoint now);
  [[nodiscard]] std::size_t put_control(MutableBytes out, TimePoint now);
  [[nodiscard]] std::size_t put_stream_control(MutableBytes out, TimePoint now);
  [[nodiscard]] std::size_t put_data(MutableBytes out, TimePoint now);
  [[nodiscard]] std::size_t put_data_of(Stream& stream, MutableBytes out, TimePoint now);
  [[nodiscard]] Stream* next_of_schedule();
  void end_turn(Stream& stream, bool goes_on);

  SessionConfig config;
  Role role;
  SessionId id;
  bool forward_secrecy;
  SessionState state = SessionState::active;
  detail::SendRotation sending;
  detail::ReceiveRotation receiving;
  PacketNumber next_sent = 0;
  PacketNumber next_received = 0;
  detail::SendCredit send_credit;
  detail::ReceiveCredit receive_credit;

  std::map<StreamId, std::unique_ptr<Stream>> streams;
  StreamId next_own;
  bool own_ids_used_up = false;
  std::bitset<32768> seen_of_peer;  ///< ids that the peer has opened once, halved
  std::size_t open_of_peer = 0;
  std::size_t open_of_ours = 0;

  std::map<std::uint8_t, std::deque<StreamId>> schedule;  ///< by priority; a turn each
  std::deque<StreamId> control_due;  ///< streams with STREAM_CONTROL to be sent
  std::optional<std::uint64_t> ping_due;
  std::optional<std::uint64_t> pong_due;
  bool session_credit_due = false;
  std::optional<Rotated> rotated_due;
  std::optional<Closing> closing;
  bool draining = false;

  struct Asked {
    std::uint64_t nonce = 0;
    TimePoint at{};
  };

  crypto::Rng* rng;
  std::optional<Asked> ping;
  Duration round_trip = std::chrono::milliseconds(50);  ///< until a PONG tells
  TimePoint last_heard;
  TimePoint last_pinged;
  std::vector<std::uint8_t> padded;  ///< a plaintext with its padding
  std::deque<Event> events;
  SessionStatistics statistics;
};

}  // namespace sealine::stt
