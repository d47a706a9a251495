#pragma once

#include "sealine/crypto/engine.hpp"
#include "sealine/stcp/connection.hpp"
#include "stcp/detail/handshake.hpp"
#include "stcp/detail/record.hpp"
#include "stcp/detail/record_ratchet.hpp"
#include "stcp/detail/role.hpp"
#include "support/hex.hpp"

#include <cstdint>
#include <memory>
#include <optional>

namespace sealine::test {

/// What one record says.
struct PlainRecord {
  std::uint8_t type = 0;
  Bytes data;
  std::size_t pad = 0;
};

/// A peer that holds good keys and does with them what it likes: records of any type, size and
/// padding, at any time. So a test reaches what stands behind the tag.
class StcpRogue {
 public:
  StcpRogue(const stcp::ClientConfig& config, crypto::Engine& engine, crypto::Rng& rng);
  StcpRogue(const stcp::ServerConfig& config, crypto::Engine& engine, crypto::Rng& rng);

  /// Does the whole handshake with a machine of the other role; a client sends FINISH if
  /// `with_finish`. Verdicts are given. Returns false if the machine did not get so far.
  bool shake_hands(stcp::Connection& honest, TimePoint now, bool with_finish = true);

  /// Client: step 1.
  Bytes hello();
  /// Client: takes step 2 and gives step 3, if the mode has one. FINISH is not part of it.
  Bytes take_answer(ByteView answer);
  /// Client: the true FINISH.
  Bytes finish();
  /// Server: takes step 1 and gives step 2.
  Bytes take_hello(ByteView hello);
  /// Server: takes what follows step 2: step 3, where there is one, and FINISH.
  bool take_last_flight(ByteView flight);

  /// One record of anything. `length_change` is added to the true Length field.
  Bytes seal(std::uint8_t type, ByteView data = {}, std::size_t pad = 0,
             std::int64_t length_change = 0);
  /// A record whose trailer claims `claimed_pad`, whatever stands before it.
  Bytes seal_with_trailer(std::uint8_t type, ByteView body, std::uint32_t claimed_pad);
  /// Opens the record at the front of `wire`, if it is the next one, and cuts it off.
  std::optional<PlainRecord> open(Bytes& wire);

  stcp::detail::HandshakeContext context;
  stcp::detail::HandshakeStage stage;
  stcp::detail::Agreement agreement;
  stcp::detail::RecordRatchet send;
  stcp::detail::RecordRatchet receive;

 private:
  void take_keys();
  Bytes take_outbox();

  stcp::detail::Role role_;
};

}  // namespace sealine::test
