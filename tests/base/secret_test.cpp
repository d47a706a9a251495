#include "sealine/base/secret.hpp"

#include "support/hex.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <concepts>
#include <cstdlib>
#include <memory>
#include <new>
#include <ostream>
#include <type_traits>
#include <utility>

namespace sealine {
namespace {

using Key = Secret<32, struct KeyTag>;
using OtherKey = Secret<32, struct OtherKeyTag>;

bool is_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
}

Key filled() { return Key(test::hex_array<32>(test::to_hex(test::counting(32, 1)))); }

static_assert(!std::is_copy_constructible_v<Key> && !std::is_copy_assignable_v<Key>);
static_assert(std::is_nothrow_move_constructible_v<Key> && std::is_nothrow_move_assignable_v<Key>);
static_assert(!std::is_convertible_v<Key, OtherKey> && !std::is_constructible_v<OtherKey, Key>);
static_assert(!std::equality_comparable<Key>);
template <class T>
concept Printable = requires(std::ostream& out, const T& value) { out << value; };
static_assert(!Printable<Key> && !Printable<SecretBytes>);
template <class T>
concept ExposesTemporaries = requires(T&& value) { std::move(value).expose(); };
static_assert(!ExposesTemporaries<Key> && !ExposesTemporaries<SecretBytes>);
static_assert(!std::is_copy_constructible_v<SecretBytes>);

TEST(Secret, a_move_wipes_the_source) {
  Key source = filled();
  const Key target = std::move(source);
  EXPECT_TRUE(is_zero(source.expose()));  // NOLINT(bugprone-use-after-move): that is the claim
  EXPECT_EQ(test::to_hex(target.expose()), test::to_hex(test::counting(32, 1)));
}

TEST(Secret, an_assignment_wipes_the_source_and_not_itself) {
  Key source = filled();
  Key target;
  target = std::move(source);
  EXPECT_TRUE(is_zero(source.expose()));  // NOLINT(bugprone-use-after-move)
  EXPECT_FALSE(is_zero(target.expose()));
  Key& same = target;
  target = std::move(same);
  EXPECT_FALSE(is_zero(target.expose()));
}

TEST(Secret, death_wipes) {
  alignas(Key) ByteArray<sizeof(Key)> memory{};
  Key* const key = new (memory.data()) Key(filled());
  EXPECT_FALSE(is_zero(memory));
  std::destroy_at(key);
  EXPECT_TRUE(is_zero(memory));
}

TEST(Secret, wipes_on_request_and_clones_on_request) {
  Key key = filled();
  const Key copy = key.clone();
  key.wipe();
  EXPECT_TRUE(is_zero(key.expose()));
  EXPECT_FALSE(is_zero(copy.expose()));
}

TEST(SecretBytes, moves_and_wipes) {
  SecretBytes source(test::counting(10, 1));
  const ByteView place = source.expose();
  SecretBytes target = std::move(source);
  EXPECT_EQ(source.size(), 0U);  // NOLINT(bugprone-use-after-move)
  EXPECT_TRUE(source.expose().empty());
  EXPECT_EQ(target.expose().data(), place.data());
  target.wipe();
  EXPECT_TRUE(is_zero(target.expose()));
  EXPECT_EQ(target.size(), 10U);
  const SecretBytes none;
  EXPECT_EQ(none.size(), 0U);
}

TEST(SecretBytes, assignment_takes_over) {
  SecretBytes target(test::counting(4));
  SecretBytes source(test::counting(6, 9));
  target = std::move(source);
  EXPECT_EQ(test::to_hex(target.expose()), test::to_hex(test::counting(6, 9)));
  EXPECT_EQ(source.size(), 0U);  // NOLINT(bugprone-use-after-move)
}

TEST(SecureWipe, takes_any_run) {
  test::Bytes bytes = test::counting(9, 1);
  secure_wipe({});
  secure_wipe(MutableBytes(bytes).subspan(2, 5));
  EXPECT_EQ(test::to_hex(bytes), "010200000000000809");
}

}  // namespace
}  // namespace sealine
