#include "sealine/scp/message.hpp"

#include "sealine/base/reader.hpp"
#include "sealine/base/writer.hpp"

namespace sealine::scp {

ByteArray<kHeadBytes> encode(const Head& head) noexcept {
  ByteArray<kHeadBytes> bytes{};
  Writer writer(bytes);
  writer.be(Head::kVersion)
      .be(static_cast<std::uint8_t>(head.type))
      .be(head.sequence)
      .be(head.payload_bytes);
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
