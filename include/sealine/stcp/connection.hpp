#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/time.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/crypto/x25519.hpp"
#include "sealine/stcp/config.hpp"
#include "sealine/stcp/limits.hpp"
#include "sealine/stcp/mode.hpp"
#include "sealine/stcp/padding.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace sealine::stcp {

/// What a call to handle_bytes did.
struct Opened {
  std::size_t consumed = 0;   ///< bytes of `in` that are used up; the rest stays with the caller
  std::size_t delivered = 0;  ///< application bytes written to the front of `out`
  MutableBytes spill;  ///< more application bytes, where `out` was too small: a view into `in`,
                       ///< behind `delivered`
};

/// What a call to seal did.
struct Sealed {
  std::size_t taken = 0;    ///< application bytes used up
  std::size_t written = 0;  ///< wire bytes at the front of `out`
};

/// The peer has shown its key and waits for accept_peer_key() or refuse_peer_key().
struct PeerKeyShown {
  crypto::PublicKey key;
};

struct Established {};  ///< ENCRYPTED is reached

struct DataEnded {};  ///< the peer's CLOSE with reason 0: clean end of its data

struct Aborted {  ///< the peer's CLOSE with another reason
  std::uint8_t reason;
};

/// The server's next public key, authenticated by the present one.
struct PinUpdated {
  crypto::PublicKey next_key;
};

struct Rekeyed {  ///< both directions are under fresh keys
  std::uint16_t epoch;
};

using Event = std::variant<PeerKeyShown, Established, DataEnded, Aborted, PinUpdated, Rekeyed>;

/// Who is at the other end, as far as the mode proves it.
struct Peer {
  Mode mode{};
  std::optional<crypto::PublicKey> key;  ///< modes tofu (at the client) and mutual
  std::size_t psk_index = 0;             ///< mode psk at a server: which of its secrets
  std::optional<std::uint32_t> sas;      ///< modes 0, 1, 4: 0..999999, for two people to compare
};

/// Counts since the connection began.
struct Statistics {
  std::uint64_t records_sent = 0;
  std::uint64_t records_received = 0;
  std::uint64_t data_bytes_sent = 0;
  std::uint64_t data_bytes_received = 0;
  std::uint64_t wire_bytes_sent = 0;
  std::uint64_t wire_bytes_received = 0;
  std::uint16_t epoch_sent = 0;
  std::uint16_t epoch_received = 0;
};

/// One end of an STCP/1 connection, without socket, clock or file.        spec: stcp.md
///
///     INIT --start--> KEY_EXCHANGE --step 2 / FINISH--> ENCRYPTED --CLOSE both ways--> CLOSED
///                         `--------- any fault ---------> ERROR --fault taken---> CLOSED
///
/// How to drive it: after any input or command call poll_transmit until it gives nothing, then
/// poll_timeout, then poll_event until it gives nothing. Wire bytes must be sent in the order in
/// which seal and poll_transmit gave them. Time never goes backwards. Views that a call returns are
/// good until the next call of handle_bytes.
///
/// Once ENCRYPTED, nothing here allocates (but libcrypto, for the Diffie-Hellman of a rekey). A
/// fault is silent: state() is ERROR, keys are wiped, nothing more is sent, fault() says what it
/// was. What had been delivered before stays delivered.
///
/// One thread. Config, engine and rng must outlive the connection. Movable.
class SEALINE_API Connection {
 public:
  Connection(Connection&&) noexcept;
  Connection& operator=(Connection&&) noexcept;
  ~Connection();

  // --- inputs

  /// Takes bytes from the wire, in any split. `in` begins where the last call stopped consuming;
  /// whole messages and records are consumed and opened: application bytes go straight to `out`
  /// (which must not overlap `in`), and what does not fit is left in place as `spill`. Stops at a
  /// spill, at an event of the handshake, at the end of `out` or of the whole records. `out` may be
  /// empty: then each record's data is a spill.
  ///
  /// A fault found after data was delivered is returned by the next call, with state() ERROR at
  /// once. While PeerKeyShown has no answer nothing is consumed. Any event ends the run: call again
  /// if bytes are left.
  [[nodiscard]] Result<Opened> handle_bytes(MutableBytes in, MutableBytes out, TimePoint now);

  /// How many bytes `in` must hold, at least, for the next handle_bytes to get further. Never more
  /// than one record. Call handle_bytes with every arrival all the same: so it sees progress.
  [[nodiscard]] std::size_t wanted_bytes() const noexcept;

  /// The byte stream has ended. Truncation, unless the peer has sent CLOSE. Takes a connection in
  /// ERROR to CLOSED.
  void handle_end_of_stream(TimePoint now);

  /// Some deadline may have passed.
  void handle_timeout(TimePoint now);

  /// The caller reads no more from the wire for now (nobody takes the data): a record that is
  /// partly here is not the peer's slowness until the next handle_bytes.
  void pause_receiving();

  // --- commands

  /// Seals application bytes into as many records as `out` takes, behind waiting control records.
  /// {0, 0} if not even one byte fits, or if a constant rate has its next record later (see
  /// poll_timeout). With a constant rate, call this for data that wait before poll_transmit, which
  /// otherwise fills the turn with an empty record. Errors: not_encrypted, already_closed,
  /// sequence_exhausted, or the fault.
  [[nodiscard]] Result<Sealed> seal(ByteView plaintext, MutableBytes out, TimePoint now);

  /// Computes the keys of the next record of each direction ahead of need. Optional: call it when
  /// there is nothing better to do, after a write and before a wait, to take the ratchet off the
  /// way of the next record.
  void run_ahead();

  /// The answer to PeerKeyShown.
  void accept_peer_key(TimePoint now);
  void refuse_peer_key(Errc why);

  /// Ends our direction after all that was sealed so far; the peer may go on. Once; later calls do
  /// nothing.
  void close(TimePoint now);
  /// Ends both directions with an error for the peer. reason != 0.
  void abort(std::uint8_t reason, TimePoint now);

  /// Asks for fresh keys (client: starts a rekey; server: asks the client to). Does nothing where
  /// section 5 forbids one at the moment.
  void request_rekey(TimePoint now);
  void ping(TimePoint now);
  /// Server, modes tofu and mutual: tells the client the next key. Errors: wrong_state.
  [[nodiscard]] Result<> announce_next_key(const crypto::PublicKey& next);
  /// Another padding policy from the next record on. Errors: bad_configuration.
  [[nodiscard]] Result<> set_padding(const Padding& padding, TimePoint now);

  // --- outputs

  /// Writes waiting handshake messages and control records into `out` (at least 256 bytes, and at
  /// least sealed_size(32), as control records are padded too) and returns how many bytes; 0 when
  /// nothing waits or what waits does not fit.
  [[nodiscard]] std::size_t poll_transmit(MutableBytes out, TimePoint now);
  [[nodiscard]] std::optional<TimePoint> poll_timeout() const;
  [[nodiscard]] std::optional<Event> poll_event();

  // --- getters

  [[nodiscard]] State state() const noexcept;
  /// Why the connection failed. `aborted` and `truncated` count as failures too.
  [[nodiscard]] std::optional<Error> fault() const noexcept;
  [[nodiscard]] bool can_send() const noexcept;      ///< ENCRYPTED and our CLOSE not yet asked for
  [[nodiscard]] bool can_receive() const noexcept;   ///< ENCRYPTED and no CLOSE seen
  [[nodiscard]] bool has_transmit() const noexcept;  ///< poll_transmit would give something
  [[nodiscard]] const Peer& peer() const noexcept;  ///< complete from PeerKeyShown / Established on
  [[nodiscard]] Statistics statistics() const noexcept;
  /// M of this connection: the most data one record takes.
  [[nodiscard]] std::size_t max_record_bytes() const noexcept;
  /// Wire bytes of records that carry `data_bytes` under the padding policy.
  [[nodiscard]] std::size_t sealed_size(std::size_t data_bytes) const noexcept;
  /// L(exp, label, ctx, out.size()): keys for the application or for another protocol, equal at
  /// both ends. Labels that begin with "stcp1 " are taken. Errors: not_encrypted,
  /// bad_configuration.
  [[nodiscard]] Result<> export_key(std::string_view label, ByteView context,
                                    MutableBytes out) const;

 protected:
  struct Machine;
  explicit Connection(std::unique_ptr<Machine> machine) noexcept;
  std::unique_ptr<Machine> machine_;
};

/// The end that dialled.
class SEALINE_API ClientConnection final : public Connection {
 public:
  /// A connection in KEY_EXCHANGE whose first message waits in poll_transmit. Errors:
  /// bad_configuration.
  static Result<ClientConnection> create(const ClientConfig& config, crypto::Engine& engine,
                                         crypto::Rng& rng, TimePoint now);

 private:
  using Connection::Connection;
};

/// The end that listened.
class SEALINE_API ServerConnection final : public Connection {
 public:
  /// Errors: bad_configuration.
  static Result<ServerConnection> create(const ServerConfig& config, crypto::Engine& engine,
                                         crypto::Rng& rng, TimePoint now);

 private:
  using Connection::Connection;
};

}  // namespace sealine::stcp
