#include "sealine/stx/frame.hpp"

#include "sealine/base/assert.hpp"
#include "sealine/base/reader.hpp"
#include "sealine/base/writer.hpp"
#include "sealine/crypto/xaes.hpp"
#include "sealine/wire/crc32.hpp"

namespace sealine::stx {
namespace {

constexpr std::size_t kCrcBytes = 4;

// N24 = BE64(ctr) || 0^16
ByteArray<crypto::kXaesNonceBytes> nonce_of(std::uint64_t counter) {
  SEALINE_ASSERT(counter < kMaxFrames);
  ByteArray<crypto::kXaesNonceBytes> nonce{};
  Writer(nonce).be(counter);
  return nonce;
}

/// BE32 seq || BE32 size, and for data the item: so a block whose SELECT was lost opens nowhere.
struct AssociatedData {
  ByteArray<kFrameHeadBytes + sizeof(ItemId)> bytes{};
  std::size_t size = kFrameHeadBytes;

  AssociatedData(FrameHead head, ItemId item) {
    Writer(bytes).be(head.sequence).be(head.size_bytes).be(item);
    if (!head.is_control()) size = bytes.size();
  }

  [[nodiscard]] ByteView view() const { return ByteView(bytes).first(size); }
};

FrameHead read_head(FixedView<kFrameHeadBytes> bytes) {
  Reader reader(bytes);
  const std::uint32_t sequence = reader.be<std::uint32_t>().value();
  const std::uint32_t size_bytes = reader.be<std::uint32_t>().value();
  return {.sequence = sequence, .size_bytes = size_bytes};
}

}  // namespace

Result<FrameHead> parse_frame_head(FixedView<kFrameHeadBytes> bytes, Side from) {
  const FrameHead head = read_head(bytes);
  if (head.size_bytes > kMaxFrameBytes) return fail(Errc::protocol_broken);
  if (head.is_control()) {
    if (!is_sent_by(head.type(), from)) return fail(Errc::protocol_broken);
  } else if (from == Side::server || head.size_bytes == 0) {
    return fail(Errc::protocol_broken);
  }
  return head;
}

void seal_frame(crypto::Engine& engine, const FrameKey& key, std::uint64_t counter, FrameHead head,
                ItemId item, MutableBytes frame) {
  SEALINE_ASSERT(frame.size() == head.frame_bytes() && head.size_bytes <= kMaxFrameBytes);
  Writer(frame).be(head.sequence).be(head.size_bytes);
  const AssociatedData aad(head, item);
  crypto::xaes_seal(engine, key.expose(), nonce_of(counter), aad.view(), {},
                    frame.subspan(kFrameHeadBytes, head.size_bytes + crypto::kTagBytes));
  const std::size_t covered = frame.size() - kCrcBytes;
  Writer(frame.subspan(covered)).be(wire::crc32(frame.first(covered)));
}

bool has_valid_crc(ByteView frame) noexcept {
  if (frame.size() < kFrameOverheadBytes) return false;
  const std::size_t covered = frame.size() - kCrcBytes;
  return Reader(frame.subspan(covered)).be<std::uint32_t>() == wire::crc32(frame.first(covered));
}

Result<MutableBytes> open_frame(crypto::Engine& engine, const FrameKey& key, std::uint64_t counter,
                                ItemId item, MutableBytes frame) {
  SEALINE_ASSERT(frame.size() >= kFrameOverheadBytes);
  const FrameHead head = read_head(frame.first<kFrameHeadBytes>());
  SEALINE_ASSERT(frame.size() == head.frame_bytes());
  const AssociatedData aad(head, item);
  SEALINE_TRY(crypto::xaes_open(engine, key.expose(), nonce_of(counter), aad.view(),
                                frame.subspan(kFrameHeadBytes, head.size_bytes + crypto::kTagBytes),
                                {}));
  return frame.subspan(kFrameHeadBytes, head.size_bytes);
}

}  // namespace sealine::stx
