// Tagged values, varints and UTF-8 of any bytes: what decodes has one encoding, the reader that
// makes no values takes exactly the same inputs, and text that comes in pieces is judged as a
// whole.
#include "sealine/base/assert.hpp"
#include "sealine/wire/tlv.hpp"
#include "sealine/wire/utf8.hpp"
#include "sealine/wire/varint.hpp"

#include <algorithm>
#include <array>

namespace {

using namespace sealine;

void check_value(ByteView input) {
  const auto value = wire::Value::decode(input);
  wire::Cursor cursor(input);
  const bool is_skipped = cursor.skip().has_value() && cursor.finish().has_value();
  SEALINE_ASSERT(is_skipped == value.has_value());
  if (!value) {
    SEALINE_ASSERT(value.error().detail <= input.size());
    return;
  }
  SEALINE_ASSERT(std::ranges::equal(value->encode(), input));
  SEALINE_ASSERT(std::ranges::is_sorted(value->keys()));
}

void check_varint(ByteView input) {
  Reader reader(input);
  const auto value = wire::read_varint(reader);
  if (!value) {
    SEALINE_ASSERT(reader.offset() == 0);
    return;
  }
  std::array<std::uint8_t, wire::kMaxVarintBytes> again{};
  Writer writer(again);
  wire::put_varint(writer, *value);
  SEALINE_ASSERT(writer.used() == reader.offset() && wire::varint_bytes(*value) == writer.used());
  SEALINE_ASSERT(
      std::ranges::equal(input.first(writer.used()), ByteView(again).first(writer.used())));
}

void check_text(ByteView input) {
  const std::size_t cut = input.empty() ? 0 : input[0] % input.size();
  wire::Utf8 text;
  const bool is_begun = text.feed(input.first(cut));
  const bool goes_on = text.feed(input.subspan(cut));
  SEALINE_ASSERT(is_begun || !goes_on);
  SEALINE_ASSERT(text.is_whole() == wire::is_utf8(input));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  check_value(input);
  check_varint(input);
  check_text(input);
  return 0;
}
