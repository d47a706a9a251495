#pragma once

#include "sealine/stt/session.hpp"
#include "stt/detail/credit.hpp"
#include "stt/detail/datagrams.hpp"
#include "stt/detail/pledge.hpp"
#include "stt/detail/receive_stream.hpp"
#include "stt/detail/ring_pool.hpp"
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
/// comes, session_outgoing.cpp what goes, session_datagrams.cpp what UDP adds.
struct Session::Machine {
  static constexpr std::size_t kControlBytes = 2048;  ///< of one control frame's plaintext

  struct Stream {
    Stream(StreamId number, const StreamOptions& how, const SessionConfig& config,
           detail::RingPool& rings);

    StreamId id;
    StreamOptions options;
    detail::SendStream sending;
    detail::ReceiveStream receiving;
    detail::SendCredit send_credit;
    detail::ReceiveCredit receive_credit;
    bool needs_init = false;      ///< of a stream that we opened: until the peer knows of it
    bool wants_writable = false;  ///< a write took less than all
    bool is_queued = false;       ///< in the scheduler
    std::size_t deficit = 0;      ///< of its turn, in bytes
    detail::Pledge<Reset> reset;
    detail::Pledge<Stop> stop;
    detail::Pledge<Abandon> abandon;
    bool credit_due = false;
    bool blocked_due = false;
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
  void record(const FrameHead& head, TimePoint now);
  [[nodiscard]] Result<> handle_data(Stream& stream, const FrameHead& head, ByteView body);
  void handle_control(FrameType type, Stream* stream, ByteView body, TimePoint now);
  void handle_session_message(const ControlMessage& message, TimePoint now);
  void handle_stream_message(Stream& stream, const ControlMessage& message);
  [[nodiscard]] bool take_credit(Stream& stream, const detail::ReceiveStream::Added& added);

  // --- session_outgoing.cpp
  [[nodiscard]] std::size_t fill(MutableBytes out, TimePoint now);

  /// What a frame holds, and what recovery remembers of it.
  struct Content {
    ByteView prefix{};
    ByteView body{};
    detail::SentFrame sent{};
    bool fills_room = false;  ///< padded to the end of where it is put
  };

  [[nodiscard]] std::size_t payload_room(const FrameHead& head, MutableBytes out) const noexcept;
  [[nodiscard]] std::size_t least_room(std::size_t bytes) const noexcept;
  [[nodiscard]] std::size_t plaintext_room(const FrameHead& head, MutableBytes out) const noexcept;
  [[nodiscard]] std::size_t put_frame(FrameHead head, const Content& content, MutableBytes out,
                                      TimePoint now);
  [[nodiscard]] std::size_t put_close(MutableBytes out, TimePoint now);
  [[nodiscard]] bool has_control_due(TimePoint now) const noexcept;
  [[nodiscard]] std::size_t put_control(MutableBytes out, TimePoint now);
  [[nodiscard]] std::size_t put_stream_control(MutableBytes out, TimePoint now);
  [[nodiscard]] std::size_t put_data(MutableBytes out, TimePoint now);
  [[nodiscard]] std::size_t put_data_of(Stream& stream, MutableBytes out, TimePoint now);
  [[nodiscard]] Stream* next_of_schedule();
  void end_turn(Stream& stream, bool goes_on);
  [[nodiscard]] std::size_t turn_bytes() const noexcept;

  // --- session_datagrams.cpp
  struct Fates;

  [[nodiscard]] bool is_udp() const noexcept { return datagrams != nullptr; }

  /// The number may be that of a frame that was not handled yet.
  [[nodiscard]] bool is_expected(PacketNumber number) const noexcept;
  void begin_datagram(const Arrival& from, std::size_t bytes, TimePoint now);
  void record_datagram(const FrameHead& head, TimePoint now);
  void handle_datagram_timeout(TimePoint now);
  [[nodiscard]] std::optional<TimePoint> next_datagram_timeout() const;
  [[nodiscard]] std::size_t largest_unreliable() const noexcept;
  [[nodiscard]] bool has_waiting(TimePoint now) const noexcept;
  [[nodiscard]] Departure fill_datagram(MutableBytes out, TimePoint now);
  [[nodiscard]] std::size_t fill_path(MutableBytes out, TimePoint now);
  [[nodiscard]] std::size_t put_ack(MutableBytes out, TimePoint now);
  /// Puts the ACK in, as many ranges as fit.
  void add_ack(ControlWriter& writer, detail::SentFrame& sent, TimePoint now);
  [[nodiscard]] std::size_t put_probe(MutableBytes out, TimePoint now);
  [[nodiscard]] Departure put_mtu_probe(MutableBytes out, TimePoint now);
  [[nodiscard]] Departure put_path_challenge(MutableBytes out, TimePoint now);
  [[nodiscard]] Departure repeat_close(MutableBytes out);
  void judge_size(std::size_t bytes, bool is_probe, bool arrived);
  void handle_acked(const detail::SentFrame& frame);
  void handle_lost(const detail::SentFrame& frame);
  void handle_ack(const Ack& ack, TimePoint now);
  void choose_ack_frequency();
  void handle_path_response(const PathResponse& response, TimePoint now);
  void notice_path(PacketNumber number, TimePoint now);
  [[nodiscard]] Duration round_trip_now() const noexcept;

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

  detail::RingPool rings;  ///< of the streams: goes after them
  std::map<StreamId, std::unique_ptr<Stream>> streams;
  StreamId next_own;
  bool own_ids_used_up = false;
  std::bitset<32768> seen_of_peer;  ///< ids that the peer has opened once, halved
  std::size_t open_of_peer = 0;
  std::size_t open_of_ours = 0;
  std::size_t with_deadlines = 0;  ///< streams of mode partial

  std::map<std::uint8_t, std::deque<StreamId>> schedule;  ///< by priority; a turn each
  std::deque<StreamId> control_due;  ///< streams with STREAM_CONTROL to be sent
  std::optional<std::uint64_t> ping_due;
  std::optional<std::uint64_t> pong_due;
  bool session_credit_due = false;
  std::optional<Rotated> rotated_due;
  std::unique_ptr<detail::Datagrams> datagrams;  ///< UDP alone
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
