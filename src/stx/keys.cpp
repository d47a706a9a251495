#include "stx/detail/keys.hpp"

#include "sealine/crypto/kdf.hpp"
#include "sealine/stx/handshake.hpp"

#include <algorithm>
#include <array>

namespace sealine::stx {
namespace detail {
namespace {

using ProofKey = Secret<32, struct StxProofKeyTag>;
using HintKey = Secret<32, struct StxHintKeyTag>;
using MasterSecret = Secret<32, struct StxMasterSecretTag>;

Mac proof(crypto::Engine& engine, const Root& root, std::string_view label, const Transcript& th1,
          const Transcript& over) {
  const auto key = crypto::derive<ProofKey>(engine, root.expose(), label, th1);
  Mac mac{};
  engine.hmac_sha256(key.expose(), {ByteView(over)}, mac);
  return mac;
}

}  // namespace

Root root_of(crypto::Engine& engine, const crypto::Psk& psk) {
  Root root;
  const std::array<ByteView, 1> ikm{psk.expose()};
  crypto::hkdf_extract(engine, as_bytes("STX-1"), ikm, root.writable());
  return root;
}

Hint make_hint(crypto::Engine& engine, const Root& root, FixedView<32> nonce_s,
               FixedView<32> nonce_c) {
  const auto key = crypto::derive<HintKey>(engine, root.expose(), "stx1 hint");
  ByteArray<crypto::kHashBytes> mac{};
  engine.hmac_sha256(key.expose(), {ByteView(nonce_s), ByteView(nonce_c)}, mac);
  Hint hint{};
  std::copy_n(mac.begin(), hint.size(), hint.begin());
  return hint;
}

Transcript transcript(crypto::Engine& engine, std::initializer_list<ByteView> parts) {
  Transcript hash{};
  engine.sha256(parts, hash);
  return hash;
}

Mac client_proof(crypto::Engine& engine, const Root& root, const Transcript& th1) {
  return proof(engine, root, "stx1 ca", th1, th1);
}

Mac server_proof(crypto::Engine& engine, const Root& root, const Transcript& th1,
                 const Transcript& th2) {
  return proof(engine, root, "stx1 sa", th1, th2);
}

HandshakeKey client_handshake_key(crypto::Engine& engine, const Root& root, const Transcript& th3) {
  return crypto::derive<HandshakeKey>(engine, root.expose(), "stx1 c hs", th3);
}

HandshakeKey server_handshake_key(crypto::Engine& engine, const Root& root, const Transcript& th3) {
  return crypto::derive<HandshakeKey>(engine, root.expose(), "stx1 s hs", th3);
}

LaneKeys lane_keys(crypto::Engine& engine, const Root& root, const Transcript& th3,
                   const crypto::SharedSecret& dh, const Transcript& th5) {
  const auto salt = crypto::derive<MasterSecret>(engine, root.expose(), "stx1 d", th3);
  MasterSecret master;
  const std::array<ByteView, 1> ikm{dh.expose()};
  crypto::hkdf_extract(engine, salt.expose(), ikm, master.writable());
  return {.client_to_server = crypto::derive<FrameKey>(engine, master.expose(), "stx1 c2s", th5),
          .server_to_client = crypto::derive<FrameKey>(engine, master.expose(), "stx1 s2c", th5)};
}

}  // namespace detail

PeerId peer_id_of(crypto::Engine& engine, const crypto::Psk& psk) {
  PeerId id{};
  const detail::Root root = detail::root_of(engine, psk);
  crypto::labelled(engine, root.expose(), "stx1 id", {}, id);
  return id;
}

PeerId peer_id_of(crypto::Engine& engine, const crypto::PublicKey& key) {
  ByteArray<crypto::kHashBytes> hash{};
  engine.sha256({as_bytes("stx1 id"), ByteView(key.bytes)}, hash);
  PeerId id{};
  std::copy_n(hash.begin(), id.size(), id.begin());
  return id;
}

}  // namespace sealine::stx
