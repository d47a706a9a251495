// Messages of both sides, and heads of frames: what parses has one encoding.
//
//   byte 0   the type (low 7 bits); bit 7: it comes from the server
//   then     the plaintext; its first 8 bytes also as the head of a frame
#include "sealine/base/assert.hpp"
#include "sealine/stx/frame.hpp"
#include "sealine/stx/message.hpp"

#include <algorithm>

namespace {

using namespace sealine;

void check_meta(const stx::Meta& meta) {
  SEALINE_ASSERT(!meta.entries.empty() && meta.entries.size() <= stx::kMaxPackEntries);
  const auto total = stx::total_bytes(meta);
  SEALINE_ASSERT(total && stx::block_count(*total, meta.block_log2));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  if (input.empty()) return 0;
  const std::uint8_t type = input[0] & 0x7FU;
  const stx::Side from = (input[0] & 0x80U) == 0 ? stx::Side::client : stx::Side::server;
  const ByteView plaintext = input.subspan(1);
  if (const auto message = stx::parse_message(type, plaintext, from)) {
    SEALINE_ASSERT(stx::type_of(*message) == type && stx::is_sent_by(type, from));
    SEALINE_ASSERT(stx::encoded_bytes(*message) == plaintext.size());
    SEALINE_ASSERT(std::ranges::equal(stx::encode(*message), plaintext));
    if (const auto* meta = std::get_if<stx::Meta>(&*message)) check_meta(*meta);
  }
  if (plaintext.size() >= stx::kFrameHeadBytes) {
    const auto head = stx::parse_frame_head(plaintext.first<stx::kFrameHeadBytes>(), from);
    if (head) {
      SEALINE_ASSERT(head->frame_bytes() <= stx::kMaxFrameBytes + stx::kFrameOverheadBytes);
      SEALINE_ASSERT(!head->is_control() || stx::is_sent_by(head->type(), from));
    }
  }
  return 0;
}
