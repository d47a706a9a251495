#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/time.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/scp/code.hpp"
#include "sealine/scp/config.hpp"
#include "sealine/scp/handshake.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <variant>

namespace sealine::scp {

/// The life of a channel. With reconnecting it outlives its connections.                 spec:
/// scp.md#states
///
///   handshake --> (confirming -->) open --> closing --> draining --> closed
///        ^                          |  `--> answering ---------------^
///        `----- lost <--------------'
enum class State : std::uint8_t {
  handshake,   ///< INIT, RESPONSE, ACK under way
  confirming,  ///< client that may reconnect: waits for the server's first message
  open,
  closing,    ///< CLOSE follows when all has its receipt
  answering,  ///< CLOSE came: one ACK, then the end
  draining,   ///< CLOSE is written; input is dropped until its end
  lost,       ///< no connection; another may take the channel up
  closed,
};

/// How a channel ended.
struct Outcome {
  Code code{};
  bool by_peer = false;
  Error error{};                ///< what exactly, where the code came from a fault
  std::uint64_t receipted = 0;  ///< messages of ours that have their receipt
  std::uint64_t unknown = 0;    ///< messages of ours whose fate is not known
};

struct KeyShown {  ///< accept_peer_key() or refuse_peer_key()
  crypto::PublicKey key;
};

struct Opened {
  bool resumed = false;
};

struct Receipts {  ///< all messages below this number have their receipt
  std::uint64_t up_to = 0;
};

struct MessageReady {};  ///< front() has something

struct PeerEnded {};  ///< the other end sends no more; after the last message

struct ConnectionLost {};

struct ReconnectDue {};  ///< client: dial again and call begin_connection, or handle_disconnected

struct Rotated {
  std::uint32_t rotations = 0;
};

struct Closed {
  Outcome outcome;
};

using Event = std::variant<KeyShown, Opened, Receipts, MessageReady, PeerEnded, ConnectionLost,
                           ReconnectDue, Rotated, Closed>;

/// One end of an SCP/1 channel, without socket, clock or file.                          spec:
/// scp.md
///
/// How to drive it: after any input or command call poll_transmit until it gives nothing (sending
/// what it gives, in order), then poll_timeout, then poll_event until it gives nothing. Time never
/// goes backwards. One thread. Config, engine and rng must outlive the channel. Movable.
class SEALINE_API ChannelEnd {
 public:
  /// A client's channel whose INIT waits in poll_transmit. Errors: bad_configuration.
  static Result<ChannelEnd> connect(const ClientConfig& config, crypto::Engine& engine,
                                    crypto::Rng& rng, TimePoint now);
  /// A server's new channel, behind a finished handshake that asked for no other.
  static ChannelEnd accept(const ServerConfig& config, Opening opening, crypto::Engine& engine,
                           crypto::Rng& rng, TimePoint now);
  ChannelEnd(ChannelEnd&&) noexcept;
  ChannelEnd& operator=(ChannelEnd&&) noexcept;
  ~ChannelEnd();

  // --- inputs
  // ---------------------------------------------------------------------------------------------------
  /// Takes bytes from the wire, in any split, opens them in place and returns how many are used up:
  /// whole messages, at most about 256 KiB of them a call, so that receipts go out in between.
  /// Stops at KeyShown. Never fails: a fault shows in state() and in Closed or ConnectionLost.
  std::size_t handle_bytes(MutableBytes in, TimePoint now);
  /// The connection has ended, whoever ended it.
  void handle_disconnected(TimePoint now);
  void handle_timeout(TimePoint now);

  // --- commands
  // -------------------------------------------------------------------------------------------------
  /// Client, lost: a new connection stands; its INIT waits in poll_transmit. Errors: wrong_state.
  Result<> begin_connection(TimePoint now);
  /// Server: a finished handshake asks to go on with this channel. The old connection, if any,
  /// counts as gone. Errors: channel_unknown, with `opening` untouched, so that refuse() can say
  /// so.
  Result<> resume(Opening& opening, TimePoint now);
  /// Writes the CLOSE that refuses a channel to a client; returns its length.
  static std::size_t refuse(Opening& opening, Code code, MutableBytes out);

  void accept_peer_key(TimePoint now);
  void refuse_peer_key(Errc why, TimePoint now);

  /// Takes a message to be sent; returns its number. Its copy is kept until it has its receipt.
  /// Errors: window_full (wait for Receipts), message_too_large, already_closed, not_encrypted.
  [[nodiscard]] Result<std::uint64_t> send(ByteView message);
  /// No more messages will be sent: END, after all of them.
  void end(TimePoint now);
  void close(TimePoint now);
  void abort(Code code, TimePoint now);
  /// The connection that stands is the channel's last: its loss ends the channel, as truncated. A
  /// channel that is lost already ends now.
  void forbid_resume();
  /// So many bytes that mean nothing (PAD) are written once, before what waits or behind it: which
  /// of the two is drawn. Only while a connection stands; counted by nobody, and never sent again.
  void pad(std::size_t bytes);
  /// Fresh keys now (client; a server's call does nothing).
  void rotate();

  /// The oldest message not taken; good until the next call of anything but a getter.
  [[nodiscard]] std::optional<ByteView> front() const;
  void pop();

  // --- outputs
  // --------------------------------------------------------------------------------------------------
  /// Writes waiting messages to `out` (at least kMaxWireMessageBytes); returns their length, 0 when
  /// nothing waits.
  [[nodiscard]] std::size_t poll_transmit(MutableBytes out, TimePoint now);
  /// A receipt waits to be written. (poll_transmit alone knows whether anything else does.)
  [[nodiscard]] bool has_receipt_due() const noexcept;
  [[nodiscard]] std::optional<TimePoint> poll_timeout() const;
  [[nodiscard]] std::optional<Event> poll_event();

  // --- getters
  // --------------------------------------------------------------------------------------------------
  [[nodiscard]] State state() const noexcept;
  [[nodiscard]] bool can_send() const noexcept;
  /// Everything was taken and the other end sends no more.
  [[nodiscard]] bool at_end() const noexcept;
  [[nodiscard]] const Peer& peer() const noexcept;
  [[nodiscard]] ByteArray<16> id() const noexcept;
  [[nodiscard]] bool can_reconnect() const noexcept;
  [[nodiscard]] std::uint64_t sent() const noexcept;
  [[nodiscard]] std::uint64_t receipted() const noexcept;
  [[nodiscard]] std::uint64_t received() const noexcept;
  [[nodiscard]] const std::optional<Outcome>& outcome() const noexcept;
  /// Errors: not_encrypted.
  [[nodiscard]] Result<> export_key(std::string_view label, ByteView context,
                                    MutableBytes out) const;

 private:
  struct Machine;
  explicit ChannelEnd(std::unique_ptr<Machine> machine) noexcept;
  std::unique_ptr<Machine> machine_;
};

}  // namespace sealine::scp
