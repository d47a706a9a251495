#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/secret.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/x25519.hpp"
#include "sealine/stx/frame.hpp"

#include <initializer_list>

namespace sealine::stx::detail {

using Transcript = ByteArray<32>;  ///< th1 .. th5
using Hint = ByteArray<8>;
using Mac = ByteArray<32>;  ///< CA, SA

/// PRK = HKDF-Extract("STX-1", PSK): all keys of the handshake come from it.
using Root = Secret<32, struct StxRootTag>;
/// What seals SKN, and what seals SKC.
using HandshakeKey = Secret<32, struct StxHandshakeKeyTag>;

[[nodiscard]] Root root_of(crypto::Engine& engine, const crypto::Psk& psk);

/// HMAC(L(PRK, "stx1 hint", ""), nonce_s || nonce_c)[0:8]: picks one of many secrets without naming
/// it.
[[nodiscard]] Hint make_hint(crypto::Engine& engine, const Root& root, FixedView<32> nonce_s,
                             FixedView<32> nonce_c);

/// thN = H(part || part ...).
[[nodiscard]] Transcript transcript(crypto::Engine& engine, std::initializer_list<ByteView> parts);

/// CA, over th1.
[[nodiscard]] Mac client_proof(crypto::Engine& engine, const Root& root, const Transcript& th1);
/// SA, under a key of th1 over th2: it answers this CA and is no CA itself.
[[nodiscard]] Mac server_proof(crypto::Engine& engine, const Root& root, const Transcript& th1,
                               const Transcript& th2);

[[nodiscard]] HandshakeKey client_handshake_key(crypto::Engine& engine, const Root& root,
                                                const Transcript& th3);
[[nodiscard]] HandshakeKey server_handshake_key(crypto::Engine& engine, const Root& root,
                                                const Transcript& th3);

struct LaneKeys {
  FrameKey client_to_server;
  FrameKey server_to_client;
};

/// MS = HKDF-Extract(L(PRK, "stx1 d", th3), DH); K_c and K_s from it and th5.
[[nodiscard]] LaneKeys lane_keys(crypto::Engine& engine, const Root& root, const Transcript& th3,
                                 const crypto::SharedSecret& dh, const Transcript& th5);

}  // namespace sealine::stx::detail
