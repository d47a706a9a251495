// Frames of STT and the bodies of their control messages: what parses has one encoding.
//
//   byte 0   even: the rest is a datagram of frames
//            odd: the rest is the body of a CONTROL frame (bit 1: of a STREAM_CONTROL frame)
#include "sealine/base/assert.hpp"
#include "sealine/stt/control.hpp"
#include "sealine/stt/frame.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace {

using namespace sealine;

void check_datagram(ByteView input) {
  std::vector<std::uint8_t> bytes(input.begin(), input.end());
  MutableBytes rest(bytes);
  while (!rest.empty()) {
    const auto frame = stt::parse_frame(rest);
    if (!frame) return;
    SEALINE_ASSERT(frame->frame_bytes <= rest.size());
    std::array<std::uint8_t, stt::kMaxHeaderBytes> header{};
    const std::size_t header_length = stt::encode_header(frame->head, header);
    SEALINE_ASSERT(std::ranges::equal(ByteView(header).first(header_length), frame->header));
    SEALINE_ASSERT(header_length == stt::header_bytes(frame->head));
    std::array<std::uint8_t, stt::kMaxMetaBytes> meta{};
    const std::size_t meta_length = stt::encode_meta(frame->head, meta);
    SEALINE_ASSERT(std::ranges::equal(ByteView(meta).subspan(1, meta_length - 1), frame->meta));
    SEALINE_ASSERT(frame->frame_bytes == header_length + frame->payload.size() + meta_length);
    rest = rest.subspan(frame->frame_bytes);
  }
}

// The known messages of a body, written again; nothing if the body is broken.
std::vector<std::uint8_t> rewritten(stt::FrameType type, ByteView body) {
  stt::ControlReader reader(type, body);
  std::vector<std::uint8_t> out((2 * body.size()) + 64);
  stt::ControlWriter writer(out);
  while (true) {
    const auto message = reader.next();
    if (!message) return {};
    if (!*message) break;
    if (const auto* ack = std::get_if<stt::Ack>(&**message)) {
      SEALINE_ASSERT(ack->range_count > 0 && ack->range_count <= stt::kMaxAckRanges);
      for (std::size_t i = 0; i < ack->range_count; ++i) {
        SEALINE_ASSERT(ack->ranges[i].first <= ack->ranges[i].last);
        SEALINE_ASSERT(i == 0 || ack->ranges[i].last + 1 < ack->ranges[i - 1].first);
      }
    }
    SEALINE_ASSERT(writer.put(**message));
  }
  const ByteView again = writer.finish();
  return {again.begin(), again.end()};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  if (input.empty()) return 0;
  if ((input[0] & 1U) == 0) {
    check_datagram(input.subspan(1));
    return 0;
  }
  const auto type = (input[0] & 2U) == 0 ? stt::FrameType::control : stt::FrameType::stream_control;
  // Unknown messages are passed over, so only the second time is the body what it was.
  const auto once = rewritten(type, input.subspan(1));
  if (!once.empty()) {
    const auto twice = rewritten(type, once);
    SEALINE_ASSERT(std::ranges::equal(once, twice));
  }
  return 0;
}
