#include "sealine/scp/link.hpp"

#include "sealine/base/assert.hpp"
#include "sealine/base/writer.hpp"
#include "sealine/crypto/constant_time.hpp"
#include "sealine/crypto/kdf.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace sealine::scp {

namespace {

// Behind these the receiving keys change: the server's RESPONSE and the client's ACK of a rotation.
bool turns_keys(const Head& head) {
  return head.type == Type::response ||
         (head.type == Type::ack && head.payload_bytes == crypto::kTagBytes);
}

}  // namespace

DirectionKeys DirectionKeys::derive(crypto::Engine& engine, FixedView<32> k, FixedView<32> hash) {
  DirectionKeys keys;
  Secret<32, struct ScpSealKeyTag> seal_key;
  Secret<32, struct ScpMacKeyTag> mac_key;
  crypto::labelled(engine, k, "scp1 key", hash, seal_key.writable());
  crypto::labelled(engine, k, "scp1 iv", hash, keys.iv_.writable());
  crypto::labelled(engine, k, "scp1 mac", hash, mac_key.writable());
  crypto::labelled(engine, k, "scp1 next", hash, keys.next_key_.writable());
  keys.mac_key_ = crypto::HmacKey(mac_key.expose());
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
  // iv xor (0^4 || BE64 sequence), in one word of the machine that no narrower write stands before.
  const FixedView<12> iv = iv_.expose();
  ByteArray<12> nonce;
  std::memcpy(nonce.data(), iv.data(), 4);
  std::uint64_t word = 0;
  std::memcpy(&word, iv.data() + 4, sizeof word);
  word ^= std::bit_cast<std::uint64_t>(be_bytes(sequence));
  std::memcpy(nonce.data() + 4, &word, sizeof word);
  return nonce;
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
  const ByteView message = seal_payload(type, first, second, clear, out);
  ByteArray<kMacBytes> mac;
  engine_->hmac_many(sent_.keys.mac_key(), std::span(&message, 1), std::span(&mac, 1));
  std::ranges::copy(mac, out.data() + message.size());
  return message.size() + kMacBytes;
}

Result<> Link::seal(Type type, ByteView first, ByteView second, SealRun& run) {
  if (sent_.sequence >= kMaxSequence) return fail(Errc::sequence_exhausted);
  if (run.unsigned_count_ == kRunMessages) finish(run);
  const ByteView message = seal_payload(type, first, second, {}, run.out_.subspan(run.used_));
  run.unsigned_[run.unsigned_count_++] = message;
  run.used_ += message.size() + kMacBytes;
  return {};
}

void Link::finish(SealRun& run) const {
  std::array<ByteArray<kMacBytes>, kRunMessages> macs{};
  const auto messages = std::span<const ByteView>(run.unsigned_).first(run.unsigned_count_);
  engine_->hmac_many(sent_.keys.mac_key(), messages, std::span(macs).first(messages.size()));
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const auto end = messages[i].data() + messages[i].size() - run.out_.data();
    std::ranges::copy(macs[i], run.out_.data() + end);
  }
  run.unsigned_count_ = 0;
}

// Plaintext that stands in one piece is sealed from where it stands.
ByteView Link::seal_payload(Type type, ByteView first, ByteView second, ByteView clear,
                            MutableBytes out) {
  const std::size_t plaintext_bytes = first.size() + second.size();
  const std::size_t payload_bytes = clear.size() + plaintext_bytes + crypto::kTagBytes;
  SEALINE_ASSERT(out.size() >= kHeadBytes + payload_bytes + kMacBytes);

  const Head head{.type = type,
                  .sequence = sent_.sequence,
                  .payload_bytes = static_cast<std::uint32_t>(payload_bytes)};
  encode(head, out.first<kHeadBytes>());
  std::ranges::copy(clear, out.data() + kHeadBytes);
  const MutableBytes sealed =
      out.subspan(kHeadBytes + clear.size(), plaintext_bytes + crypto::kTagBytes);
  ByteView whole = first.empty() ? second : first;
  if (!first.empty() && !second.empty()) {
    std::ranges::copy(first, sealed.data());
    std::ranges::copy(second, sealed.data() + first.size());
    whole = {};
  }
  sent_.keys.aead().seal(sent_.keys.nonce(sent_.sequence), out.first(kHeadBytes), whole, sealed);
  ++sent_.sequence;
  sent_.payload_bytes += payload_bytes;
  return out.first(kHeadBytes + payload_bytes);
}

Result<Head> Link::check_head(FixedView<kHeadBytes> bytes) const {
  return parse_head(bytes, {.sequence = received_.sequence,
                            .min_payload_bytes = kMinPayloadBytes,
                            .max_payload_bytes = kMaxPayloadBytes,
                            .any_type = true});
}

Result<MutableBytes> Link::open(const Head& head, MutableBytes message, std::size_t clear_bytes) {
  SEALINE_ASSERT(message.size() == head.message_bytes());
  const ByteView signed_part = message.first(kHeadBytes + head.payload_bytes);
  ByteArray<kMacBytes> mac{};
  engine_->hmac_many(received_.keys.mac_key(), std::span(&signed_part, 1), std::span(&mac, 1));
  if (!crypto::ct_equal(mac, message.last(kMacBytes))) return fail(Errc::mac_mismatch);
  return open_payload(head, message, clear_bytes, {});
}

std::size_t Link::verify(ByteView in, std::span<Arrived> run) {
  std::array<ByteView, kRunMessages> signed_parts;
  std::array<ByteArray<kMacBytes>, kRunMessages> macs{};
  const std::size_t most = std::min(run.size(), kRunMessages);
  std::size_t count = 0;
  std::size_t known = 0;  // the first of them were verified by an earlier call
  std::size_t at = 0;
  while (count < most && in.size() - at >= kHeadBytes) {
    const auto head =
        parse_head(in.subspan(at).first<kHeadBytes>(), {.sequence = received_.sequence + count,
                                                        .min_payload_bytes = kMinPayloadBytes,
                                                        .max_payload_bytes = kMaxPayloadBytes,
                                                        .any_type = true});
    if (!head || in.size() - at < head->message_bytes()) break;
    run[count] = {.head = *head, .authentic = true};
    signed_parts[count] = in.subspan(at, kHeadBytes + head->payload_bytes);
    ++count;
    at += head->message_bytes();
    if (at <= verified_bytes_) known = count;
    if (turns_keys(*head)) break;
  }
  const auto fresh = std::span<const ByteView>(signed_parts).subspan(known, count - known);
  engine_->hmac_many(received_.keys.mac_key(), fresh, std::span(macs).first(fresh.size()));
  bool all = true;
  for (std::size_t i = 0; i < fresh.size(); ++i) {
    Arrived& arrived = run[known + i];
    const ByteView mac{fresh[i].data() + fresh[i].size(), kMacBytes};
    arrived.authentic = crypto::ct_equal(macs[i], mac);
    all = all && arrived.authentic;
    if (all) verified_bytes_ += arrived.head.message_bytes();
  }
  return count;
}

Result<MutableBytes> Link::open(const Arrived& arrived, MutableBytes message, MutableBytes to) {
  SEALINE_ASSERT(arrived.head.sequence == received_.sequence &&
                 message.size() == arrived.head.message_bytes());
  if (!arrived.authentic) return fail(Errc::mac_mismatch);
  verified_bytes_ -= message.size();
  return open_payload(arrived.head, message, 0, to);
}

Result<MutableBytes> Link::open_payload(const Head& head, MutableBytes message,
                                        std::size_t clear_bytes, MutableBytes to) {
  if (received_.sequence >= kMaxSequence) return fail(Errc::sequence_exhausted);
  const MutableBytes sealed =
      message.subspan(kHeadBytes + clear_bytes, head.payload_bytes - clear_bytes);
  const MutableBytes plaintext = sealed.first(sealed.size() - crypto::kTagBytes);
  SEALINE_ASSERT(to.empty() || to.size() == plaintext.size());
  if (!received_.keys.aead().open(received_.keys.nonce(head.sequence), message.first(kHeadBytes),
                                  sealed, to)) {
    return fail(Errc::record_not_authentic);
  }
  ++received_.sequence;
  received_.payload_bytes += head.payload_bytes;
  return to.empty() ? plaintext : to;
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

void Link::switch_sending(SealRun& run) {
  finish(run);
  turn(sent_);
  if (received_.next == nullptr) ++rotations_;
}

void Link::switch_receiving() {
  SEALINE_ASSERT(verified_bytes_ == 0);  // nothing behind the turn was looked at under the old keys
  turn(received_);
  if (sent_.next == nullptr) ++rotations_;
}

void Link::export_key(std::string_view label, ByteView context, MutableBytes out) const {
  crypto::labelled(*engine_, exporter_.expose(), label, context, out);
}

}  // namespace sealine::scp
