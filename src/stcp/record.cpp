#include "stcp/detail/record.hpp"

namespace sealine::stcp::detail {
namespace {

/// Whether a record of this type may have so much data. FINISH is judged where it is expected:
/// elsewhere it is out of its place whatever its data.
bool size_fits(RecordType type, std::size_t data_bytes) {
  switch (type) {
    case RecordType::data:
    case RecordType::finish:
      return true;
    case RecordType::close:
      return data_bytes == kCloseDataBytes;
    case RecordType::rekey:
      return data_bytes == 0 || data_bytes == kRekeyShareBytes;
    case RecordType::ping:
      return data_bytes == 0;
    case RecordType::pin_update:
      return data_bytes == kPinDataBytes;
  }
  return false;  // no type that is defined
}

}  // namespace

Result<RecordTrailer> parse_trailer(FixedView<kRecordTrailerBytes> trailer,
                                    std::size_t plaintext_bytes) {
  const std::size_t pad_bytes =
      (std::size_t{trailer[1]} << 16U) | (std::size_t{trailer[2]} << 8U) | std::size_t{trailer[3]};
  const std::size_t room = plaintext_bytes - kRecordTrailerBytes;
  if (pad_bytes > room) return fail(Errc::bad_trailer);
  const auto type = static_cast<RecordType>(trailer[0]);
  if (!size_fits(type, room - pad_bytes)) return fail(Errc::bad_trailer);
  return RecordTrailer{type, pad_bytes};
}

}  // namespace sealine::stcp::detail
