#pragma once

#include "sealine/scp/channel.hpp"
#include "tests/sim/base/inbox.hpp"
#include "tests/sim/base/wire.hpp"

#include <cstdint>
#include <optional>
#include <utility>

namespace sealine::sim {

/// A server's handshake on a connection, until that belongs to a channel.
class ScpAnswering {
 public:
  /// `allowed_key`: of the client, where it shows one; none: any.
  ScpAnswering(scp::ServerHandshake handshake, std::optional<crypto::PublicKey> allowed_key)
      : handshake_(std::move(handshake)), allowed_key_(allowed_key) {}

  /// Goes on with what came. What opens is given back; nothing: more bytes are needed; an error:
  /// the connection is to be closed, without a word.
  [[nodiscard]] std::optional<Result<scp::Opening>> go_on(Inbox& inbox, Wire& wire);

  /// Bytes that the handshake took so far.
  [[nodiscard]] std::uint64_t consumed() const { return consumed_; }

 private:
  scp::ServerHandshake handshake_;
  std::optional<crypto::PublicKey> allowed_key_;
  std::uint64_t consumed_ = 0;
};

}  // namespace sealine::sim
