#pragma once

#include "sealine/crypto/x25519.hpp"
#include "sealine/scp/limits.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace sealine::scp {

/// How the two ends know each other; the numbers on the wire. spec: scp.md#handshake
enum class Mode : std::uint8_t {
  anonymous = 0,   ///< NN
  pinned = 3,      ///< IK: the server's key is known beforehand
  mutual = 4,      ///< XX (default): pinned at first contact
  psk = 5,         ///< NNpsk0
  pinned_psk = 6,  ///< IKpsk2
};

/// "NN", "IK", "XX", "NNpsk0", "IKpsk2".
[[nodiscard]] SEALINE_API std::string_view pattern_name(Mode mode) noexcept;

/// What a client decides before it connects. Outlives its channels; read only.
struct ClientConfig {
  Mode mode = Mode::mutual;
  std::shared_ptr<const crypto::KeyPair> identity;  ///< modes pinned, mutual, pinned_psk
  std::optional<crypto::PublicKey> server_key;      ///< modes pinned, pinned_psk
  std::shared_ptr<const crypto::Psk> psk;           ///< modes psk, pinned_psk
  bool reconnect = false;
  Limits limits;
};

/// What a server decides before it listens. Outlives its channels; read only.
struct ServerConfig {
  std::vector<Mode> modes = {Mode::mutual, Mode::pinned};
  std::shared_ptr<const crypto::KeyPair> identity;       ///< modes pinned, mutual, pinned_psk
  std::vector<std::shared_ptr<const crypto::Psk>> psks;  ///< at most kMaxPsks, tried in order
  bool reconnect = true;
  Limits limits;
};

inline constexpr std::size_t kMaxPsks = 64;

/// Who is at the other end, as far as the mode proves it.
struct Peer {
  Mode mode{};
  std::optional<crypto::PublicKey> key;
  std::size_t psk_index = 0;  ///< at a server: which of its secrets

  friend bool operator==(const Peer&, const Peer&) = default;
};

}  // namespace sealine::scp
