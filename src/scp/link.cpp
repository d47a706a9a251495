#include "sealine/scp/link.hpp"

#include "sealine/base/assert.hpp"
#include "sealine/base/writer.hpp"
#include "sealine/crypto/constant_time.hpp"
#include "sealine/crypto/kdf.hpp"

#include <algorithm>
#include <utility>

namespace sealine::scp {

DirectionKeys DirectionKeys::derive(crypto::Engine& engine, FixedView<32> k, FixedView<32> hash) {
  DirectionKeys keys;
  Secret<32, struct ScpSealKeyTag> seal_key;
  crypto::labelled(engine, k, "scp1 key", hash, seal_key.writable());
  crypto::labelled(engine, k, "scp1 iv", hash, keys.iv_.writable());
  crypto::labelled(engine, k, "scp1 mac", hash, keys.mac_key_.writable());
  crypto::labelled(engine, k, "scp1 next", hash, keys.next_key_.writable());
  keys.aead_ = engine.make_aead();
  keys.aead_->set_key(seal_key.expose());
  return keys;
}

DirectionKeys DirectionKeys::next(crypto::Engine& engine, const crypto::SharedSecret& x,
                                  FixedView<32> hash) const {
  Secret<32, struct ScpRotatedSecretTag> k;
  const ByteView ikm = x.expose();
  crypto::hkdf_extract(engine, next_key_.expose(), crypto::Parts(&ikm, 1), k.writable());
  return derive(engine, k.expose(), hash);
}

ByteArray<12> DirectionKeys::nonce(std::uint64_t sequence) const noexcept {
  ByteArray<12> nonce{};
  std::ranges::copy(iv_.expose(), nonce.begin());
  const ByteArray<8> counter = be_bytes(sequence);
  for (std::size_t i = 0; i < counter.size(); ++i) nonce[4 + i] ^= counter[i];
  return nonce;
}

void DirectionKeys::mac(crypto::Engine& engine, ByteView head_and_payload,
                        FixedBytes<32> out) const {
  engine.hmac_sha256(mac_key_.expose(), {head_and_payload}, out);
}

Link::Link(crypto::Engine& engine, DirectionKeys sending, DirectionKeys receiving)
    : engine_(&engine),
      sent_{.keys = std::move(sending), .next = nullptr},
      received_{.keys = std::move(receiving), .next = nullptr} {}

Link Link::begin(crypto::Engine& engine, Role role, FixedView<32> k_c2s, FixedView<32> k_s2c,
                 FixedView<32> handshake_hash) {
  DirectionKeys c2s = DirectionKeys::derive(engine, k_c2s, handshake_hash);
  DirectionKeys s2c = DirectionKeys::derive(engine, k_s2c, handshake_hash);
  if (role == Role::server) std::swap(c2s, s2c);
  Link link(engine, std::move(c2s), std::move(s2c));
  link.role_ = role;
  std::ranges::copy(handshake_hash, link.first_hash_.begin());
  link.hash_ = link.first_hash_;

  Secret<32, struct ScpExporterRootTag> root;
  const std::array<ByteView, 2> both{k_c2s, k_s2c};
  crypto::hkdf_extract(engine, handshake_hash, both, root.writable());
  crypto::labelled(engine, root.expose(), "scp1 exp", {}, link.exporter_.writable());
  return link;
}

Result<std::size_t> Link::seal(Type type, ByteView first, ByteView second, MutableBytes out,
                               ByteView clear) {
  if (sent_.sequence >= kMaxSequence) return fail(Errc::sequence_exhausted);
  const std::size_t plaintext_bytes = first.size() + second.size();
  const std::size_t payload_bytes = clear.size() + plaintext_bytes + crypto::kTagBytes;
  const std::size_t message_bytes = kHeadBytes + payload_bytes + kMacBytes;
  SEALINE_ASSERT(out.size() >= message_bytes);

  const Head head{.type = type,
                  .sequence = sent_.sequence,
                  .payload_bytes = static_cast<std::uint32_t>(payload_bytes)};
  const ByteArray<kHeadBytes> head_bytes = encode(head);
  Writer writer(out);
  writer.bytes(head_bytes).bytes(clear);
  const MutableBytes sealed = writer.reserve(plaintext_bytes + crypto::kTagBytes);
  std::ranges::copy(first, sealed.begin());
  std::ranges::copy(second, sealed.begin() + static_cast<std::ptrdiff_t>(first.size()));
  sent_.keys.aead().seal(sent_.keys.nonce(sent_.sequence), head_bytes, {}, sealed);
  sent_.keys.mac(*engine_, out.first(kHeadBytes + payload_bytes),
                 out.subspan(kHeadBytes + payload_bytes).first<kMacBytes>());
  ++sent_.sequence;
  sent_.payload_bytes += payload_bytes;
  return message_bytes;
}

Result<Head> Link::check_head(FixedView<kHeadBytes> bytes) const {
  return parse_head(bytes, {.sequence = received_.sequence,
                            .min_payload_bytes = kMinPayloadBytes,
                            .max_payload_bytes = kMaxPayloadBytes,
                            .any_type = true});
}

Result<Head> Link::check_ack_head(FixedView<kHeadBytes> bytes, std::uint32_t min_bytes,
                                  std::uint32_t max_bytes) const {
  return parse_head(bytes, {.sequence = received_.sequence,
                            .min_payload_bytes = min_bytes,
                            .max_payload_bytes = max_bytes,
                            .type = Type::ack});
}

Result<MutableBytes> Link::open(const Head& head, MutableBytes message, std::size_t clear_bytes) {
  SEALINE_ASSERT(message.size() == head.message_bytes());
  if (received_.sequence >= kMaxSequence) return fail(Errc::sequence_exhausted);
  const MutableBytes signed_part = message.first(kHeadBytes + head.payload_bytes);
  ByteArray<kMacBytes> mac{};
  received_.keys.mac(*engine_, signed_part, mac);
  if (!crypto::ct_equal(mac, message.last(kMacBytes))) return fail(Errc::mac_mismatch);

  const MutableBytes sealed = signed_part.subspan(kHeadBytes + clear_bytes);
  if (!received_.keys.aead().open(received_.keys.nonce(head.sequence), message.first(kHeadBytes),
                                  sealed, {})) {
    return fail(Errc::record_not_authentic);
  }
  ++received_.sequence;
  received_.payload_bytes += head.payload_bytes;
  return sealed.first(sealed.size() - crypto::kTagBytes);
}

void Link::prepare_rotation(const crypto::PublicKey& client, const crypto::PublicKey& server,
                            const crypto::SharedSecret& x) {
  ByteArray<32> hash{};
  engine_->sha256({ByteView(hash_), ByteView(client.bytes), ByteView(server.bytes)}, hash);
  hash_ = hash;
  sent_.next = std::make_unique<DirectionKeys>(sent_.keys.next(*engine_, x, hash_));
  received_.next = std::make_unique<DirectionKeys>(received_.keys.next(*engine_, x, hash_));
}

void Link::turn(Direction& direction) {
  SEALINE_ASSERT(direction.next != nullptr);
  direction.keys = std::move(*direction.next);
  direction.next.reset();
  direction.payload_bytes = 0;
}

void Link::switch_sending() {
  turn(sent_);
  if (received_.next == nullptr) ++rotations_;
}

void Link::switch_receiving() {
  turn(received_);
  if (sent_.next == nullptr) ++rotations_;
}

void Link::export_key(std::string_view label, ByteView context, MutableBytes out) const {
  crypto::labelled(*engine_, exporter_.expose(), label, context, out);
}

}  // namespace sealine::scp
