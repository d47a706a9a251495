#include "sealine/stt/keys.hpp"

#include "sealine/base/assert.hpp"
#include "sealine/base/writer.hpp"
#include "sealine/crypto/kdf.hpp"
#include "sealine/stc/stc.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

namespace sealine::stt {

EpochKeys::EpochKeys(crypto::Engine& engine, Epoch epoch, DirectionKey root)
    : engine_(&engine),
      epoch_(epoch),
      root_(std::move(root)),
      slots_(std::make_unique<std::array<Slot, kSlots>>()) {
  crypto::labelled(engine, root_.expose(), "stc1 iv", {}, iv_.writable());
}

EpochKeys EpochKeys::next(FixedView<32> nonce, ByteView x) const {
  const stc::RotationKey key = stc::rotate_session_key(*engine_, root_.expose(), nonce, x);
  return {*engine_, epoch_ + 1, DirectionKey(key.expose())};
}

crypto::Aead& EpochKeys::key_of(StreamId stream) {
  Slot& slot = (*slots_)[stream % kSlots];
  if (slot.aead != nullptr && slot.stream == stream) return *slot.aead;
  if (slot.aead == nullptr) slot.aead = engine_->make_aead();
  const auto key = crypto::derive<Secret<32, struct SttStreamKeyTag>>(
      *engine_, root_.expose(), "stc1 stream", be_bytes(std::uint32_t{stream}));
  slot.aead->set_key(key.expose());
  slot.stream = stream;
  return *slot.aead;
}

ByteArray<12> EpochKeys::nonce_of(PacketNumber number) const noexcept {
  // In one word: g++ 12 goes byte by byte otherwise, for each frame.
  ByteArray<12> nonce;
  std::memcpy(nonce.data(), iv_.expose().data(), nonce.size());
  const ByteArray<8> counter = be_bytes(number);
  std::uint64_t low = 0;
  std::uint64_t mask = 0;
  std::memcpy(&low, nonce.data() + 4, sizeof low);
  std::memcpy(&mask, counter.data(), sizeof mask);
  low ^= mask;
  std::memcpy(nonce.data() + 4, &low, sizeof low);
  return nonce;
}

std::size_t EpochKeys::seal(FrameHead head, ByteView prefix, ByteView body, MutableBytes out) {
  head.epoch = epoch_;
  const std::size_t plaintext_bytes = prefix.size() + body.size();
  head.payload_bytes = static_cast<std::uint32_t>(plaintext_bytes + crypto::kTagBytes);
  SEALINE_ASSERT(head.payload_bytes <= kMaxPayloadBytes);

  const std::size_t header_length = encode_header(head, out);
  const MutableBytes payload = out.subspan(header_length, head.payload_bytes);
  const MutableBytes meta = out.subspan(header_length + head.payload_bytes);
  const std::size_t meta_length = encode_meta(head, meta);

  // The associated data are the header and, without its length, Meta: not one run in the frame.
  ByteArray<kMaxHeaderBytes + kMaxMetaBytes> aad{};
  auto end = std::ranges::copy(out.first(header_length), aad.begin()).out;
  end = std::ranges::copy(meta.first(meta_length).subspan(1), end).out;
  const ByteView aad_view(aad.data(), static_cast<std::size_t>(end - aad.begin()));

  key_of(head.stream).seal_parts(nonce_of(head.number), aad_view, prefix, body, payload);
  return header_length + head.payload_bytes + meta_length;
}

Result<MutableBytes> EpochKeys::open(const FrameView& frame) {
  SEALINE_ASSERT(frame.header.size() <= kMaxHeaderBytes && frame.meta.size() < kMaxMetaBytes);
  ByteArray<kMaxHeaderBytes + kMaxMetaBytes> aad{};
  auto end = std::ranges::copy(frame.header, aad.begin()).out;
  end = std::ranges::copy(frame.meta, end).out;
  const ByteView aad_view(aad.data(), static_cast<std::size_t>(end - aad.begin()));
  crypto::Aead& aead = key_of(frame.head.stream);
  SEALINE_TRY(aead.open(nonce_of(frame.head.number), aad_view, frame.payload, {}));
  return frame.payload.first(frame.payload.size() - crypto::kTagBytes);
}

}  // namespace sealine::stt
