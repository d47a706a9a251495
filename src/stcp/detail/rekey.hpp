#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/secret.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/crypto/x25519.hpp"
#include "stcp/detail/key_schedule.hpp"
#include "stcp/detail/record_ratchet.hpp"
#include "stcp/detail/role.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sealine::stcp::detail {

/// Fresh Diffie-Hellman inside a running connection.                              spec:
/// stcp.md#rekey
///
///     client                          server
///       | <------------- R0 {} --------- |   asks (optional)
///       | -- R1 {e'} ------------------> |
///       | <------------- R2 {e''} ------ |   then CK[s2c] is mixed, epoch[s2c] + 1
///       | -- R3 {} --------------------> |   then CK[c2s] is mixed, epoch[c2s] + 1
///
/// One value says where an end stands.
enum class RekeyState : std::uint8_t {
  idle,
  r1_due,         ///< client: R1 waits to be sealed
  r2_awaited,     ///< client: R1 is out
  r3_due,         ///< client: R2 was opened, s2c is mixed
  r2_due,         ///< server: R1 was opened
  r3_awaited,     ///< server: R2 is out, s2c is mixed
  r1_unanswered,  ///< server: R1 came after our CLOSE
};

enum class RekeyEvent : std::uint8_t {
  wanted,  ///< a client may and shall start
  r1_sealed,
  r2_sealed,
  r3_sealed,
  r1_opened,
  r2_opened,
  r3_opened,
  closing,       ///< our own CLOSE was asked for
  close_opened,  ///< the peer's has come
};

/// Whether our own CLOSE is out: whoever has sent it sends no R1, R2, R3.
enum class OwnHalf : std::uint8_t { open, closed };

struct RekeyEdge {
  RekeyState from;
  RekeyEvent on;
  OwnHalf half;
  RekeyState to;
};

/// Every edge of both roles. A record without an edge is in the wrong place (F14); any other event
/// without one changes nothing.
inline constexpr auto kRekeyEdges = std::to_array<RekeyEdge>({
    // client
    {RekeyState::idle, RekeyEvent::wanted, OwnHalf::open, RekeyState::r1_due},
    {RekeyState::r1_due, RekeyEvent::r1_sealed, OwnHalf::open, RekeyState::r2_awaited},
    {RekeyState::r1_due, RekeyEvent::closing, OwnHalf::open, RekeyState::idle},
    {RekeyState::r1_due, RekeyEvent::close_opened, OwnHalf::open, RekeyState::idle},
    {RekeyState::r2_awaited, RekeyEvent::r2_opened, OwnHalf::open, RekeyState::r3_due},
    {RekeyState::r2_awaited, RekeyEvent::r2_opened, OwnHalf::closed, RekeyState::idle},
    {RekeyState::r2_awaited, RekeyEvent::close_opened, OwnHalf::open, RekeyState::idle},
    {RekeyState::r2_awaited, RekeyEvent::close_opened, OwnHalf::closed, RekeyState::idle},
    {RekeyState::r3_due, RekeyEvent::r3_sealed, OwnHalf::open, RekeyState::idle},
    // server
    {RekeyState::idle, RekeyEvent::r1_opened, OwnHalf::open, RekeyState::r2_due},
    {RekeyState::idle, RekeyEvent::r1_opened, OwnHalf::closed, RekeyState::r1_unanswered},
    {RekeyState::r2_due, RekeyEvent::r2_sealed, OwnHalf::open, RekeyState::r3_awaited},
    {RekeyState::r2_due, RekeyEvent::close_opened, OwnHalf::open, RekeyState::idle},
    {RekeyState::r3_awaited, RekeyEvent::r3_opened, OwnHalf::open, RekeyState::idle},
    {RekeyState::r3_awaited, RekeyEvent::r3_opened, OwnHalf::closed, RekeyState::idle},
    {RekeyState::r3_awaited, RekeyEvent::close_opened, OwnHalf::open, RekeyState::idle},
    {RekeyState::r3_awaited, RekeyEvent::close_opened, OwnHalf::closed, RekeyState::idle},
    {RekeyState::r1_unanswered, RekeyEvent::close_opened, OwnHalf::closed, RekeyState::idle},
});

inline constexpr std::array kAllRekeyStates = {
    RekeyState::idle,   RekeyState::r1_due,     RekeyState::r2_awaited,    RekeyState::r3_due,
    RekeyState::r2_due, RekeyState::r3_awaited, RekeyState::r1_unanswered,
};
inline constexpr std::array kAllRekeyEvents = {
    RekeyEvent::wanted,    RekeyEvent::r1_sealed, RekeyEvent::r2_sealed,
    RekeyEvent::r3_sealed, RekeyEvent::r1_opened, RekeyEvent::r2_opened,
    RekeyEvent::r3_opened, RekeyEvent::closing,   RekeyEvent::close_opened,
};

[[nodiscard]] constexpr std::optional<RekeyState> next_rekey_state(RekeyState from, RekeyEvent on,
                                                                   OwnHalf half) {
  for (const RekeyEdge& edge : kRekeyEdges) {
    if (edge.from == from && edge.on == on && edge.half == half) return edge.to;
  }
  return std::nullopt;
}

[[nodiscard]] std::string_view to_string(RekeyState state) noexcept;
[[nodiscard]] std::string_view to_string(RekeyEvent event) noexcept;

/// Where a rekey stands, with the secrets of that moment and no others.
class Rekey {
 public:
  [[nodiscard]] RekeyState state() const noexcept { return state_; }

  /// Whether R1, R2 or R3 waits to be sealed.
  [[nodiscard]] bool is_due() const noexcept {
    return state_ == RekeyState::r1_due || state_ == RekeyState::r2_due ||
           state_ == RekeyState::r3_due;
  }

  /// Moves along the table; false if it has no such edge. Secrets that the new state has no use for
  /// are erased.
  bool handle(RekeyEvent event, OwnHalf half);

  /// Client, in r1_due: draws e' and returns its public half.
  [[nodiscard]] crypto::PublicKey make_r1(crypto::Engine& engine, crypto::Rng& rng);

  /// Server, before r1_opened moves the state: draws e'', computes x and hk. Errors: dh_all_zero.
  [[nodiscard]] Result<> take_r1(crypto::Engine& engine, crypto::Rng& rng, const TranscriptHash& h,
                                 const crypto::PublicKey& client_share);

  /// Server, in r2_due: the data of R2.
  [[nodiscard]] const crypto::PublicKey& r2_share() const noexcept { return share_; }

  /// Client, in r2_awaited: computes x and hk, erases the private key. Errors: dh_all_zero.
  [[nodiscard]] Result<> take_r2(crypto::Engine& engine, const TranscriptHash& h,
                                 const crypto::PublicKey& server_share);

  /// Mixes x and hk into one direction.
  void mix_into(RecordRatchet& ratchet, crypto::Engine& engine) { ratchet.mix(engine, x_, hk_); }

  void wipe() noexcept;

 private:
  RekeyState state_ = RekeyState::idle;
  crypto::PublicKey share_;  ///< our own public half, until it is in hk and on the wire
  /// Client in r2_awaited: the private key. From R1 (server) or R2 (client) on: x.
  SharedX x_;
  ByteArray<crypto::kHashBytes> hk_{};
};

}  // namespace sealine::stcp::detail
