#include "sealine/wire/tlv.hpp"

#include "sealine/base/assert.hpp"
#include "sealine/wire/utf8.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>

namespace sealine::wire {
namespace {

constexpr std::uint64_t kNotANumber = 0x7FF8000000000000U;
constexpr std::size_t kMinMemberBytes = 6;  // an empty key (5) and a value (1)

std::optional<Tag> tag_of(std::uint8_t byte) noexcept {
  const bool known = byte <= 0x02 || (byte >= 0x10 && byte <= 0x17) || byte == 0x20 ||
                     byte == 0x21 || byte == 0x30 || byte == 0x31 || byte == 0x40 || byte == 0x41;
  if (!known) return std::nullopt;
  return static_cast<Tag>(byte);
}

// Bytes behind the tag of a value of fixed size.
std::size_t fixed_bytes(Tag tag) noexcept {
  using enum Tag;
  if (tag == i8 || tag == u8) return 1;
  if (tag == i16 || tag == u16) return 2;
  if (tag == i32 || tag == u32 || tag == f32) return 4;
  if (tag == i64 || tag == u64 || tag == f64) return 8;
  return 0;
}

bool is_signed(Tag tag) noexcept { return tag >= Tag::i8 && tag <= Tag::i64; }

Tag smallest_signed(std::int64_t value) noexcept {
  const auto fits = [value]<class T>(T /*type*/) {
    return value >= std::numeric_limits<T>::min() && value <= std::numeric_limits<T>::max();
  };
  if (fits(std::int8_t{})) return Tag::i8;
  if (fits(std::int16_t{})) return Tag::i16;
  if (fits(std::int32_t{})) return Tag::i32;
  return Tag::i64;
}

std::uint64_t sign_extended(std::uint64_t bits, std::size_t bytes) noexcept {
  const std::size_t shift = 64 - (8 * bytes);
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(bits << shift) >>
                                    static_cast<int>(shift));
}

Result<std::uint64_t> read_bits(Reader& reader, std::size_t bytes) {
  SEALINE_TRY(raw, reader.bytes(bytes));
  std::uint64_t bits = 0;
  for (const std::uint8_t byte : raw) bits = (bits << 8U) | byte;
  return bits;
}

template <class Out>
void put_be(Out& out, std::uint64_t bits, std::size_t bytes) {
  for (std::size_t i = bytes; i-- > 0;) out.push_back(static_cast<std::uint8_t>(bits >> (8 * i)));
}

std::uint32_t at(const Reader& reader) noexcept {
  return static_cast<std::uint32_t>(reader.offset());
}

}  // namespace

// Walks an input value by value; `Sink` makes values of it, or nothing.
class ValueDecoder {
 public:
  explicit ValueDecoder(Reader& reader, std::size_t& values) : reader_(&reader), values_(&values) {}

  /// `out` is null where the value is only checked.
  Result<> value(Value* out, std::size_t depth) {
    const std::uint32_t start = at(*reader_);
    SEALINE_TRY(byte, reader_->be<std::uint8_t>());
    const std::optional<Tag> tag = tag_of(byte);
    if (!tag) return fail(Errc::bad_encoding, start);
    if (++*values_ > kMaxValues) return fail(Errc::bad_encoding, start);
    if (out != nullptr) out->tag_ = *tag;
    if (*tag == Tag::bytes || *tag == Tag::text) return run(*tag, out);
    if (*tag == Tag::list || *tag == Tag::dict) {
      if (depth >= kMaxDepth) return fail(Errc::bad_encoding, start);
      return *tag == Tag::list ? list(out, depth) : dict(out, depth);
    }
    const std::size_t bytes = fixed_bytes(*tag);
    SEALINE_TRY(bits, read_bits(*reader_, bytes));
    if (out != nullptr) out->bits_ = is_signed(*tag) ? sign_extended(bits, bytes) : bits;
    return {};
  }

 private:
  Result<ByteView> counted_run() {
    SEALINE_TRY(length, reader_->be<std::uint32_t>());
    return reader_->bytes(length);
  }

  Result<> run(Tag tag, Value* out) {
    SEALINE_TRY(bytes, counted_run());
    if (tag == Tag::text && !is_utf8(bytes)) {
      return fail(Errc::bad_encoding, at(*reader_) - static_cast<std::uint32_t>(bytes.size()));
    }
    if (out != nullptr) out->run_.assign(bytes.begin(), bytes.end());
    return {};
  }

  Result<std::uint32_t> count(std::size_t least_bytes) {
    const std::uint32_t start = at(*reader_);
    SEALINE_TRY(count, reader_->be<std::uint32_t>());
    if (count > reader_->remaining() / least_bytes) return fail(Errc::bad_encoding, start);
    return count;
  }

  Result<> list(Value* out, std::size_t depth) {
    SEALINE_TRY(items, count(1));
    for (std::uint32_t i = 0; i < items; ++i) {
      if (out != nullptr) out->items_.emplace_back();
      SEALINE_TRY(value(out != nullptr ? &out->items_.back() : nullptr, depth + 1));
    }
    return {};
  }

  Result<> dict(Value* out, std::size_t depth) {
    SEALINE_TRY(members, count(kMinMemberBytes));
    std::optional<ByteView> last;
    for (std::uint32_t i = 0; i < members; ++i) {
      const std::uint32_t start = at(*reader_);
      SEALINE_TRY(tag, reader_->be<std::uint8_t>());
      if (tag != static_cast<std::uint8_t>(Tag::text)) return fail(Errc::bad_encoding, start);
      if (++*values_ > kMaxValues) return fail(Errc::bad_encoding, start);
      SEALINE_TRY(key, counted_run());
      if (!is_utf8(key) || (last && !std::ranges::lexicographical_compare(*last, key))) {
        return fail(Errc::bad_encoding, start);
      }
      last = key;
      if (out != nullptr) {
        out->keys_.emplace_back(as_text(key));
        out->items_.emplace_back();
      }
      SEALINE_TRY(value(out != nullptr ? &out->items_.back() : nullptr, depth + 1));
    }
    return {};
  }

  Reader* reader_;
  std::size_t* values_;
};

Value Value::boolean(bool value) { return {value ? Tag::yes : Tag::no, 0}; }

Value Value::integer(std::int64_t value) {
  return {smallest_signed(value), static_cast<std::uint64_t>(value)};
}

Value Value::integer(std::uint64_t value) {
  if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return {Tag::u64, value};
  }
  return integer(static_cast<std::int64_t>(value));
}

Value Value::u8(std::uint8_t value) { return {Tag::u8, value}; }

Value Value::u16(std::uint16_t value) { return {Tag::u16, value}; }

Value Value::u32(std::uint32_t value) { return {Tag::u32, value}; }

Value Value::u64(std::uint64_t value) { return {Tag::u64, value}; }

Value Value::number(double value) {
  return {Tag::f64, std::isnan(value) ? kNotANumber : std::bit_cast<std::uint64_t>(value)};
}

Value Value::bytes(ByteView value) {
  Value out(Tag::bytes, 0);
  out.run_.assign(value.begin(), value.end());
  return out;
}

Value Value::text(std::string_view value) {
  SEALINE_ASSERT(is_utf8(as_bytes(value)));
  Value out = bytes(as_bytes(value));
  out.tag_ = Tag::text;
  return out;
}

Value Value::list(std::vector<Value> items) {
  Value out(Tag::list, 0);
  out.items_ = std::move(items);
  return out;
}

Value Value::dict(std::vector<Member> members) {
  // std::string compares as unsigned bytes, which is the order of the format.
  std::ranges::sort(members, {}, &Member::key);
  Value out(Tag::dict, 0);
  for (Member& member : members) {
    SEALINE_ASSERT(out.keys_.empty() || out.keys_.back() < member.key);
    SEALINE_ASSERT(is_utf8(as_bytes(member.key)));
    out.keys_.push_back(std::move(member.key));
    out.items_.push_back(std::move(member.value));
  }
  return out;
}

Result<Value> Value::decode(ByteView input) {
  Reader reader(input);
  std::size_t values = 0;
  Value out;
  SEALINE_TRY(ValueDecoder(reader, values).value(&out, 0));
  SEALINE_TRY(reader.finish());
  return out;
}

void Value::append_to(std::vector<std::uint8_t>& out) const {
  out.push_back(static_cast<std::uint8_t>(tag_));
  if (tag_ == Tag::bytes || tag_ == Tag::text) {
    put_be(out, run_.size(), 4);
    out.insert(out.end(), run_.begin(), run_.end());
  } else if (tag_ == Tag::list || tag_ == Tag::dict) {
    put_be(out, items_.size(), 4);
    for (std::size_t i = 0; i < items_.size(); ++i) {
      if (tag_ == Tag::dict) text(keys_[i]).append_to(out);
      items_[i].append_to(out);
    }
  } else {
    put_be(out, bits_, fixed_bytes(tag_));
  }
}

std::vector<std::uint8_t> Value::encode() const {
  std::vector<std::uint8_t> out;
  append_to(out);
  return out;
}

const Value* Value::find(std::string_view key) const noexcept {
  const auto place = std::ranges::lower_bound(keys_, key);
  if (place == keys_.end() || *place != key) return nullptr;
  return &items_[static_cast<std::size_t>(place - keys_.begin())];
}

Result<Tag> Cursor::peek() const {
  Reader ahead = reader_;
  SEALINE_TRY(byte, ahead.be<std::uint8_t>());
  const std::optional<Tag> tag = tag_of(byte);
  if (!tag) return fail(Errc::bad_encoding, at(reader_));
  return *tag;
}

Result<> Cursor::count_value() {
  if (++values_ > kMaxValues) return fail(Errc::bad_encoding, at(reader_));
  return {};
}

Result<> Cursor::expect(Tag tag) {
  SEALINE_TRY(found, peek());
  if (found != tag) return fail(Errc::bad_encoding, at(reader_));
  SEALINE_TRY(count_value());
  SEALINE_TRY(byte, reader_.be<std::uint8_t>());
  static_cast<void>(byte);
  return {};
}

Result<std::uint32_t> Cursor::list() {
  SEALINE_TRY(expect(Tag::list));
  const std::uint32_t start = at(reader_);
  SEALINE_TRY(count, reader_.be<std::uint32_t>());
  if (count > reader_.remaining()) return fail(Errc::bad_encoding, start);
  return count;
}

Result<std::uint64_t> Cursor::unsigned_number(Tag tag, std::size_t bytes) {
  SEALINE_TRY(expect(tag));
  return read_bits(reader_, bytes);
}

Result<ByteView> Cursor::run(Tag tag) {
  SEALINE_TRY(expect(tag));
  SEALINE_TRY(length, reader_.be<std::uint32_t>());
  return reader_.bytes(length);
}

Result<ByteView> Cursor::bytes() { return run(Tag::bytes); }

Result<std::string_view> Cursor::text() {
  SEALINE_TRY(bytes, run(Tag::text));
  if (!is_utf8(bytes)) return fail(Errc::bad_encoding, at(reader_));
  return as_text(bytes);
}

bool Cursor::take_null() {
  const Result<Tag> next = peek();
  return next && *next == Tag::null && expect(Tag::null).has_value();
}

Result<> Cursor::skip() { return ValueDecoder(reader_, values_).value(nullptr, 0); }

TlvWriter& TlvWriter::list(std::uint32_t count) {
  writer_->be(static_cast<std::uint8_t>(Tag::list)).be(count);
  return *this;
}

TlvWriter& TlvWriter::dict(std::uint32_t count) {
  writer_->be(static_cast<std::uint8_t>(Tag::dict)).be(count);
  return *this;
}

TlvWriter& TlvWriter::u8(std::uint8_t value) {
  writer_->be(static_cast<std::uint8_t>(Tag::u8)).be(value);
  return *this;
}

TlvWriter& TlvWriter::u16(std::uint16_t value) {
  writer_->be(static_cast<std::uint8_t>(Tag::u16)).be(value);
  return *this;
}

TlvWriter& TlvWriter::u32(std::uint32_t value) {
  writer_->be(static_cast<std::uint8_t>(Tag::u32)).be(value);
  return *this;
}

TlvWriter& TlvWriter::u64(std::uint64_t value) {
  writer_->be(static_cast<std::uint8_t>(Tag::u64)).be(value);
  return *this;
}

TlvWriter& TlvWriter::bytes(ByteView value) {
  writer_->be(static_cast<std::uint8_t>(Tag::bytes))
      .be(static_cast<std::uint32_t>(value.size()))
      .bytes(value);
  return *this;
}

TlvWriter& TlvWriter::text(std::string_view value) {
  writer_->be(static_cast<std::uint8_t>(Tag::text))
      .be(static_cast<std::uint32_t>(value.size()))
      .bytes(as_bytes(value));
  return *this;
}

TlvWriter& TlvWriter::null() {
  writer_->be(static_cast<std::uint8_t>(Tag::null));
  return *this;
}

}  // namespace sealine::wire
