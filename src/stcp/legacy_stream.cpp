#include "sealine/stcp/legacy_stream.hpp"

#include "sealine/base/assert.hpp"
#include "sealine/base/errc.hpp"
#include "sealine/base/reader.hpp"
#include "sealine/base/writer.hpp"

#include <cstdint>

namespace sealine::stcp {

ByteArray<kLegacyFrameHeadBytes> encode_legacy_frame_head(std::size_t packet_bytes,
                                                          std::size_t iv_size) {
  SEALINE_ASSERT(packet_bytes >= iv_size + kMinLegacySealedBytes);
  SEALINE_ASSERT(packet_bytes - iv_size <= kMaxLegacySealedBytes);
  return be_bytes(std::uint64_t{packet_bytes - iv_size});
}

Result<std::size_t> parse_legacy_frame_head(FixedView<kLegacyFrameHeadBytes> head,
                                            std::size_t iv_size) {
  SEALINE_TRY(length, Reader(head).be<std::uint64_t>());
  if (length < kMinLegacySealedBytes || length > kMaxLegacySealedBytes) {
    return fail(Errc::bad_length);
  }
  return iv_size + static_cast<std::size_t>(length);
}

void LegacyStreamReader::append(ByteView bytes) {
  buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(used_));
  used_ = 0;
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

Result<std::optional<MutableBytes>> LegacyStreamReader::next_packet() {
  const MutableBytes rest = MutableBytes(buffer_).subspan(used_);
  if (rest.size() < kLegacyFrameHeadBytes) return std::optional<MutableBytes>();
  SEALINE_TRY(packet_bytes, parse_legacy_frame_head(rest.first<kLegacyFrameHeadBytes>(), iv_size_));
  if (rest.size() - kLegacyFrameHeadBytes < packet_bytes) return std::optional<MutableBytes>();
  used_ += kLegacyFrameHeadBytes + packet_bytes;
  return std::optional(rest.subspan(kLegacyFrameHeadBytes, packet_bytes));
}

Result<> LegacyStreamReader::finish() const {
  if (used_ != buffer_.size()) return fail(Errc::truncated);
  return {};
}

}  // namespace sealine::stcp
