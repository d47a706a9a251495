#include "sealine/scp/message.hpp"

#include "sealine/base/reader.hpp"
#include "sealine/base/writer.hpp"

#include <algorithm>

namespace sealine::scp {

void encode(const Head& head, FixedBytes<kHeadBytes> out) noexcept {
  out[0] = Head::kVersion;
  out[1] = static_cast<std::uint8_t>(head.type);
  std::ranges::copy(be_bytes(head.sequence), out.subspan<2, 8>().begin());
  std::ranges::copy(be_bytes(head.payload_bytes), out.subspan<10, 4>().begin());
}

ByteArray<kHeadBytes> encode(const Head& head) noexcept {
  ByteArray<kHeadBytes> bytes;
  encode(head, bytes);
  return bytes;
}

Result<Head> parse_head(FixedView<kHeadBytes> bytes, const Expected& expected) {
  Reader reader(bytes);
  SEALINE_TRY(version, reader.be<std::uint8_t>());
  SEALINE_TRY(type, reader.be<std::uint8_t>());
  SEALINE_TRY(sequence, reader.be<std::uint64_t>());
  SEALINE_TRY(length, reader.be<std::uint32_t>());
  if (version != Head::kVersion) return fail(Errc::version_refused);
  if (sequence != expected.sequence) return fail(Errc::record_out_of_place);
  const bool known = type >= static_cast<std::uint8_t>(Type::init) &&
                     type <= static_cast<std::uint8_t>(Type::close);
  const bool welcome = expected.any_type || type == static_cast<std::uint8_t>(expected.type);
  if (!known || !welcome) return fail(Errc::wrong_state);
  if (length < expected.min_payload_bytes || length > expected.max_payload_bytes) {
    return fail(Errc::bad_length);
  }
  return Head{.type = static_cast<Type>(type), .sequence = sequence, .payload_bytes = length};
}

}  // namespace sealine::scp
