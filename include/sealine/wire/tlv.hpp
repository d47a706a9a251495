#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/reader.hpp"
#include "sealine/base/writer.hpp"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The tagged values of STT/1: one value, one encoding.                        spec: stt.md#tlv
namespace sealine::wire {

enum class Tag : std::uint8_t {
  null = 0x00,
  no = 0x01,
  yes = 0x02,
  i8 = 0x10,
  i16 = 0x11,
  i32 = 0x12,
  i64 = 0x13,
  u8 = 0x14,
  u16 = 0x15,
  u32 = 0x16,
  u64 = 0x17,
  f32 = 0x20,
  f64 = 0x21,
  bytes = 0x30,
  text = 0x31,
  list = 0x40,
  dict = 0x41,
};

inline constexpr std::size_t kMaxDepth = 16;      ///< containers around a container
inline constexpr std::size_t kMaxValues = 65536;  ///< of one input; keys count

/// A value with its tag. A decoded value encodes to the bytes it came from.
class SEALINE_API Value {
 public:
  struct Member;

  /// null
  Value() = default;

  [[nodiscard]] static Value boolean(bool value);
  /// A plain integer: the smallest signed type that holds it; u64 above 2^63 - 1.
  [[nodiscard]] static Value integer(std::int64_t value);
  [[nodiscard]] static Value integer(std::uint64_t value);
  /// With the tag of its type, as the messages of a protocol fix it.
  [[nodiscard]] static Value u8(std::uint8_t value);
  [[nodiscard]] static Value u16(std::uint16_t value);
  [[nodiscard]] static Value u32(std::uint32_t value);
  [[nodiscard]] static Value u64(std::uint64_t value);
  /// float64; every NaN is the same one.
  [[nodiscard]] static Value number(double value);
  [[nodiscard]] static Value bytes(ByteView value);
  /// `value` is valid UTF-8.
  [[nodiscard]] static Value text(std::string_view value);
  [[nodiscard]] static Value list(std::vector<Value> items);
  /// In any order; keys are valid UTF-8 and differ.
  [[nodiscard]] static Value dict(std::vector<Member> members);

  /// Strict: every rule of the format. Errors: input_too_short, trailing_bytes, bad_encoding;
  /// detail = offset.
  [[nodiscard]] static Result<Value> decode(ByteView input);
  [[nodiscard]] std::vector<std::uint8_t> encode() const;

  [[nodiscard]] Tag tag() const noexcept { return tag_; }

  /// The bits of a number, sign-extended to 64; of a float as IEEE 754 has them.
  [[nodiscard]] std::uint64_t bits() const noexcept { return bits_; }

  /// Of bytes and text.
  [[nodiscard]] ByteView run() const noexcept { return run_; }

  [[nodiscard]] const std::vector<Value>& items() const noexcept { return items_; }

  /// Of a dict, by rising key.
  [[nodiscard]] const std::vector<std::string>& keys() const noexcept { return keys_; }

  /// A member's value; null where there is none of that key.
  [[nodiscard]] const Value* find(std::string_view key) const noexcept;

  friend bool operator==(const Value&, const Value&) = default;

 private:
  friend class ValueDecoder;

  Value(Tag tag, std::uint64_t bits) : tag_(tag), bits_(bits) {}

  void append_to(std::vector<std::uint8_t>& out) const;

  Tag tag_ = Tag::null;
  std::uint64_t bits_ = 0;
  std::vector<std::uint8_t> run_;
  std::vector<Value> items_;       ///< of a list, or a dict's values
  std::vector<std::string> keys_;  ///< of a dict, beside items_
};

struct Value::Member {
  std::string key;
  Value value;
};

/// Reads one input value by value, without making any: for messages whose shape is known.
/// Errors: input_too_short, trailing_bytes, bad_encoding; detail = offset.
class SEALINE_API Cursor {
 public:
  explicit Cursor(ByteView input) : reader_(input) {}

  /// The tag that comes next; nothing is used up.
  [[nodiscard]] Result<Tag> peek() const;
  /// A list's count, at most the bytes that are left.
  [[nodiscard]] Result<std::uint32_t> list();

  /// A number with exactly the tag of U.
  template <std::unsigned_integral U>
  [[nodiscard]] Result<U> number() {
    constexpr Tag tag = sizeof(U) == 1   ? Tag::u8
                        : sizeof(U) == 2 ? Tag::u16
                        : sizeof(U) == 4 ? Tag::u32
                                         : Tag::u64;
    SEALINE_TRY(bits, unsigned_number(tag, sizeof(U)));
    return static_cast<U>(bits);
  }

  [[nodiscard]] Result<ByteView> bytes();
  [[nodiscard]] Result<std::string_view> text();
  /// Whether a null comes next, which is then used up.
  [[nodiscard]] bool take_null();
  /// Over one value of any kind, checked as strictly as decode.
  [[nodiscard]] Result<> skip();

  [[nodiscard]] Result<> finish() const { return reader_.finish(); }

 private:
  [[nodiscard]] Result<std::uint64_t> unsigned_number(Tag tag, std::size_t bytes);
  [[nodiscard]] Result<> expect(Tag tag);
  [[nodiscard]] Result<ByteView> run(Tag tag);
  [[nodiscard]] Result<> count_value();

  Reader reader_;
  std::size_t values_ = 0;
};

/// Writes values one after another, for messages whose shape is known. Counts are the caller's:
/// `list(2)` is followed by two values.
class SEALINE_API TlvWriter {
 public:
  explicit TlvWriter(Writer& writer) : writer_(&writer) {}

  TlvWriter& list(std::uint32_t count);
  /// Followed by `count` times a text and a value, by rising text.
  TlvWriter& dict(std::uint32_t count);
  TlvWriter& u8(std::uint8_t value);
  TlvWriter& u16(std::uint16_t value);
  TlvWriter& u32(std::uint32_t value);
  TlvWriter& u64(std::uint64_t value);
  TlvWriter& bytes(ByteView value);
  TlvWriter& text(std::string_view value);
  TlvWriter& null();

 private:
  Writer* writer_;
};

}  // namespace sealine::wire
