#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/time.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/stt/control.hpp"
#include "sealine/stt/datagram.hpp"
#include "sealine/stt/frame.hpp"
#include "sealine/stt/handshake.hpp"
#include "sealine/stt/limits.hpp"
#include "sealine/stt/recovery_options.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace sealine::stt {

/// Reliability is a property of a stream, of both its directions.         spec: stt.md#streams
enum class StreamMode : std::uint8_t {
  ordered = 0,     ///< RELIABLE_ORDERED: a byte stream
  unordered = 1,   ///< RELIABLE_UNORDERED: whole messages as they complete
  partial = 2,     ///< messages that are given up at their deadline
  unreliable = 3,  ///< messages of one frame, never sent twice
};

struct StreamOptions {
  StreamMode mode = StreamMode::ordered;
  std::uint8_t priority = 128;    ///< 0 first
  std::uint32_t deadline_ms = 0;  ///< mode partial; 0: none
};

/// Which padding hides the size of frames.                                 spec: stt.md#padding
enum class Padding : std::uint8_t {
  none,
  fixed_128,
  fixed_256,
  fixed_512,
  fixed_1024,
  full,  ///< the datagram's rest; on WebSocket the next 128 x 2^k, at most 65,536
};

struct SessionConfig {
  Transport transport = Transport::websocket;
  Padding padding = Padding::none;
  Limits limits;
  // UDP alone:
  RecoveryOptions recovery;
  std::size_t largest_datagram_bytes = 1472;  ///< probed for (IPv6: 1452; loopback: no more either)
  bool probe_mtu = true;                      ///< false: datagrams have largest_datagram_bytes
};

/// INIT and HANDSHAKE belong to Initiator and Responder.                    spec: stt.md#states
enum class SessionState : std::uint8_t {
  active,
  key_rotating,  ///< active, with a rotation of ours under way
  closing,       ///< our CLOSE is to be sent
  closed,
};

struct StreamOpened {  ///< by the peer
  StreamId stream = 0;
  StreamOptions options;
};

struct StreamReadable {  ///< bytes, a message, or the end
  StreamId stream = 0;
};

struct StreamWritable {  ///< after a write that took less than all
  StreamId stream = 0;
};

struct StreamReset {  ///< the peer gave up its direction; what was not read is gone
  StreamId stream = 0;
  std::uint16_t code = 0;
};

struct StreamStopped {  ///< the peer wants no more of ours; the direction is reset with the code
  StreamId stream = 0;
  std::uint16_t code = 0;
};

struct StreamClosed {  ///< both directions are over; the id is forgotten
  StreamId stream = 0;
};

struct KeysRotated {
  Role sender{};  ///< whose direction
  Epoch epoch = 0;
};

struct PathChanged {  ///< UDP: the peer answers from another address, and proved it
  PathId path = 0;
};

struct SessionClosed {
  std::uint16_t code = 0;
  std::string reason;  ///< the peer's words: quote them before they are shown
  bool by_peer = false;
  Error fault{};  ///< what exactly, where a fault of the peer was the reason
};

/// Counts since the session began.
struct SessionStatistics {
  std::uint64_t frames_sent = 0;
  std::uint64_t frames_received = 0;
  std::uint64_t frames_dropped = 0;  ///< UDP: faults before the tag verified
  std::uint64_t bytes_sent = 0;      ///< of applications
  std::uint64_t bytes_received = 0;
  std::uint64_t frames_lost = 0;  ///< UDP, with those whose ACK came late
  std::uint64_t frames_lost_wrongly = 0;
  std::uint64_t probe_timeouts = 0;
  std::size_t window_bytes = 0;  ///< of congestion control
  std::size_t in_flight_bytes = 0;
  std::size_t datagram_bytes = 0;  ///< what the path takes
  Duration round_trip{};           ///< smoothed
  std::size_t streams_open = 0;
  Epoch epoch_sent = 0;
  Epoch epoch_received = 0;
};

/// What a read gave.
struct Read {
  std::size_t bytes = 0;
  bool message_end = false;  ///< modes 1 to 3: the message is whole; else its rest comes next
  bool finished = false;     ///< nothing more will come: the peer's FIN
};

/// Many streams over one handshake: an STT/1 session without socket, clock or file. spec: stt.md
///
/// Frames, streams and credits know no transport: what differs is in SessionConfig::transport.
/// After any input or command: poll_transmit until it gives nothing (sending each as one datagram
/// or binary message, in order), then poll_timeout, then poll_event until it gives nothing. Time
/// never goes backwards. One thread. Engine and rng outlive it. Movable.
class SEALINE_API Session {
 public:
  Session(SessionConfig config, Established established, crypto::Engine& engine, crypto::Rng& rng,
          TimePoint now);
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  // --- inputs

  /// One datagram or binary message: whole session frames with our id, opened in place, handled in
  /// order. Faults before a tag verified: dropped (UDP) or an error, upon which the connection is
  /// closed with 1002 (WebSocket). Faults after it end the session with a CLOSE: see SessionClosed.
  /// After a batch of datagrams that came together, one poll_transmit decides on one ACK for all.
  [[nodiscard]] Result<> handle_datagram(MutableBytes datagram, TimePoint now);
  /// UDP: with the path it came on.
  [[nodiscard]] Result<> handle_datagram(MutableBytes datagram, const Arrival& from, TimePoint now);
  /// The connection below is gone (WebSocket): the session is over, without a word to the peer.
  void handle_disconnected(TimePoint now);
  void handle_timeout(TimePoint now);

  // --- commands

  /// Errors: already_closed, stream_limit (32,767 a side, or 1,024 open at once).
  [[nodiscard]] Result<StreamId> open(const StreamOptions& options, TimePoint now);

  /// Mode ordered: takes as many bytes as the send buffer has room for, 0 is no error (see
  /// StreamWritable). The other modes: all of it, as one message, or window_full.
  /// Errors: stream_unknown, already_closed, message_too_large, window_full, stream_stopped.
  [[nodiscard]] Result<std::size_t> write(StreamId stream, ByteView data, TimePoint now);
  /// FIN after all that was written. Errors: stream_unknown.
  [[nodiscard]] Result<> finish(StreamId stream, TimePoint now);
  /// Gives up our direction: what was not sent is dropped. Errors: stream_unknown.
  [[nodiscard]] Result<> reset(StreamId stream, std::uint16_t code, TimePoint now);
  /// Wants no more of the peer's direction; what is unread is dropped. Errors: stream_unknown.
  [[nodiscard]] Result<> stop(StreamId stream, std::uint16_t code, TimePoint now);

  /// The next bytes, in order (mode ordered), or of the oldest whole message. 0 bytes and neither
  /// message_end nor finished: nothing there now. Errors: stream_unknown, stream_reset.
  [[nodiscard]] Result<Read> read(StreamId stream, MutableBytes out, TimePoint now);
  /// Mode ordered: the next read of this stream will be into `place`, and until then the bytes that
  /// come next in order are put there at once, not kept first. `place` must stand until that read,
  /// or until it is taken back by an empty one, which loses nothing. An unknown stream: nothing.
  void offer(StreamId stream, MutableBytes place);
  /// Bytes that read would give at once.
  [[nodiscard]] std::size_t readable_bytes(StreamId stream) const noexcept;
  /// Bytes that write would take at once.
  [[nodiscard]] std::size_t writable_bytes(StreamId stream) const noexcept;

  /// Waits for the streams to end, then CLOSE{0}.
  void drain(TimePoint now);
  /// CLOSE at once; code 0, or 256 and above. `reason` is shown to the peer.
  void close(std::uint16_t code, std::string_view reason, TimePoint now);
  /// Fresh keys for our direction.
  void rotate(TimePoint now);
  void ping(TimePoint now);

  // --- outputs

  /// The next datagram or message; 0: nothing waits or may be sent. `out` takes 2 * 65,536 bytes on
  /// WebSocket: one call packs frames until about limits.frame_bytes are full.
  [[nodiscard]] std::size_t poll_transmit(MutableBytes out, TimePoint now);
  /// UDP: the next datagram and its path. `out` takes largest_datagram_bytes; a whole train is
  /// called for one by one, each straight into its place. Nothing: see poll_timeout, which tells
  /// of pacing too.
  [[nodiscard]] Departure poll_datagram(MutableBytes out, TimePoint now);
  [[nodiscard]] std::optional<TimePoint> poll_timeout() const;
  using Event = std::variant<StreamOpened, StreamReadable, StreamWritable, StreamReset,
                             StreamStopped, StreamClosed, KeysRotated, PathChanged, SessionClosed>;
  [[nodiscard]] std::optional<Event> poll_event();

  // --- getters

  [[nodiscard]] SessionState state() const noexcept;
  [[nodiscard]] Role role() const noexcept;
  [[nodiscard]] const SessionId& id() const noexcept;
  [[nodiscard]] bool has_forward_secrecy() const noexcept;
  [[nodiscard]] SessionStatistics statistics() const noexcept;

 private:
  struct Machine;
  std::unique_ptr<Machine> machine_;
};

}  // namespace sealine::stt
