#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/time.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/stc/stc.hpp"
#include "sealine/stt/frame.hpp"
#include "sealine/stt/keys.hpp"
#include "sealine/stt/session_ids.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sealine::stt {

/// A node belongs to one endpoint: 32 random bytes, the same for what it dials and what it listens
/// to. That a node refuses its own id is what keeps it from being made to talk to itself.
using NodeId = ByteArray<32>;

enum class Transport : std::uint8_t { udp, websocket };

inline constexpr std::size_t kMinHelloDatagramBytes = 1200;
/// Room for any datagram or message of the handshake.
inline constexpr std::size_t kMaxHandshakeFrameBytes = kMaxHandshakePayloadBytes + 64;

struct HandshakeLimits {
  Duration dial_timeout = std::chrono::seconds(10);
  Duration first_repeat = std::chrono::milliseconds(250);  ///< UDP; doubled each time
  Duration half_open_timeout = std::chrono::seconds(10);
  Duration hello_memory = std::chrono::seconds(240);
  Duration cookie_change = std::chrono::seconds(120);
  Duration clock_tolerance = std::chrono::seconds(120);
  std::size_t half_open = 4096;
  std::size_t hello_memory_entries = 65536;
  std::uint32_t hellos_per_second = 50;  ///< of an address, before it must show a cookie
  unsigned response_repeats = 3;
};

/// What an endpoint knows before any handshake. Outlives them; read only.
struct HandshakeConfig {
  stc::SeedKey seed_key;
  NodeId node_id{};
  std::vector<std::string>
      capabilities;               ///< at most 16 of 32 bytes; they inform and decide nothing
  bool ephemeral = true;          ///< initiator: offers forward secrecy
  bool demand_ephemeral = false;  ///< responder: refuses a HELLO without
  HandshakeLimits limits;
  /// Responder: how ids are chosen where workers or servers share an address; none: at random.
  std::optional<SessionIdPlan> session_ids;
};

/// A finished handshake: what a session begins with.
struct Established {
  Role role{};
  SessionId session_id{};
  DirectionKey initiator_key;  ///< K[I2R,0]
  DirectionKey responder_key;  ///< K[R2I,0]
  bool forward_secrecy = false;
  NodeId peer{};
  std::vector<std::string> peer_capabilities;
};

/// The side that dials: HELLO, (RETRY, HELLO,) RESPONSE, AUTH_PROOF, FINAL.  spec: stt.md#handshake
///
/// After any input poll_transmit until it gives nothing, then poll_timeout. Over UDP what is wrong
/// is ignored and the wait goes on; the errors of handle_frame then only say why. Over WebSocket an
/// error ends the dial. Once is_done(), take() the result; the frames that follow belong to the
/// session. One thread. Config, engine and rng outlive it.
class SEALINE_API Initiator {
 public:
  Initiator(const HandshakeConfig& config, Transport transport, crypto::Engine& engine,
            crypto::Rng& rng, UnixMillis unix_ms, TimePoint now);
  Initiator(Initiator&&) noexcept;
  Initiator& operator=(Initiator&&) noexcept;
  ~Initiator();

  /// A HANDSHAKE or AUTH frame. Errors: bad_handshake_message, own_node, answer_not_authentic,
  /// dh_all_zero, wrong_state.
  [[nodiscard]] Result<> handle_frame(const FrameView& frame, TimePoint now);
  void handle_timeout(TimePoint now);

  /// One datagram or message; 0: nothing waits. `out` takes kMaxHandshakeFrameBytes.
  [[nodiscard]] std::size_t poll_transmit(MutableBytes out);
  [[nodiscard]] std::optional<TimePoint> poll_timeout() const;

  /// The proof is out: session frames may be sent from keys(), and none be taken until FINAL.
  [[nodiscard]] bool has_proved() const noexcept;
  [[nodiscard]] bool is_done() const noexcept;
  /// The dial's time is over: nobody answered, or none who knows the seed.
  [[nodiscard]] bool has_failed() const noexcept;
  /// Something came that was no more than noise, or not authentic: for the report of a failure.
  [[nodiscard]] const std::optional<Error>& last_fault() const noexcept;
  [[nodiscard]] Established take() &&;

 private:
  struct Machine;
  std::unique_ptr<Machine> machine_;
};

/// Where a frame came from.
struct Origin {
  ByteView address;  ///< in any fixed form, then two bytes of port
  Transport transport{};
  std::size_t datagram_bytes = 0;
};

/// What a responder does with a frame.
struct Reply {
  std::size_t reply_bytes = 0;             ///< at the front of `out`: send it back
  std::optional<Established> established;  ///< a session stands; the reply is its FINAL
};

/// The side that is dialled: one for all who dial an endpoint, on whatever transport. Every fault
/// is silence (UDP) or the end of the connection (WebSocket): the error only says why. spec:
/// stt.md#responder
class SEALINE_API Responder {
 public:
  Responder(const HandshakeConfig& config, crypto::Engine& engine, crypto::Rng& rng, TimePoint now);
  Responder(Responder&&) noexcept;
  Responder& operator=(Responder&&) noexcept;
  ~Responder();

  /// A HANDSHAKE or AUTH frame. `out` takes kMaxHandshakeFrameBytes.
  /// Errors: bad_handshake_message, hello_not_authentic, mode_refused, own_node, half_open_full,
  /// too_many_handshakes, dh_all_zero, answer_not_authentic, wrong_state (repeats among them).
  [[nodiscard]] Result<Reply> handle_frame(const FrameView& frame, const Origin& origin,
                                           UnixMillis unix_ms, TimePoint now, MutableBytes out);
  void handle_timeout(TimePoint now);
  [[nodiscard]] std::optional<TimePoint> poll_timeout() const;

  /// A session of ours is over: its id is free again.
  void release(const SessionId& session);
  [[nodiscard]] std::size_t half_open_count() const noexcept;

 private:
  struct Machine;
  std::unique_ptr<Machine> machine_;
};

}  // namespace sealine::stt
