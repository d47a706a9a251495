#include "sealine/crypto/rng.hpp"

#include "support/fixed_rng.hpp"
#include "support/hex.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sys/wait.h>
#include <unistd.h>

namespace sealine::crypto {
namespace {

using test::Bytes;

TEST(SystemRng, never_gives_the_same_twice) {
  SystemRng rng;
  std::set<Bytes> seen;
  for (int i = 0; i < 1000; ++i) {
    Bytes some(16);
    rng.fill(some);
    EXPECT_TRUE(seen.insert(some).second);
  }
}

TEST(SystemRng, fills_any_length) {
  SystemRng rng;
  rng.fill({});
  Bytes large(200'000);
  rng.fill(large);
  for (std::size_t at = 0; at + 32 <= large.size(); at += 32) {
    EXPECT_FALSE(std::ranges::all_of(ByteView(large).subspan(at, 32),
                                     [](std::uint8_t byte) { return byte == 0; }));
  }
}

TEST(SystemRng, differs_after_a_fork) {
  SystemRng rng;
  Bytes warm(32);
  rng.fill(warm);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  Bytes ours(32);
  rng.fill(ours);
  if (child == 0) _exit(write(ends[1], ours.data(), ours.size()) == 32 ? 0 : 1);
  Bytes theirs(32);
  ASSERT_EQ(read(ends[0], theirs.data(), theirs.size()), 32);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_NE(ours, theirs);
  close(ends[0]);
  close(ends[1]);
}

TEST(SeededRng, is_a_function_of_its_seed) {
  test::SeededRng one(5);
  test::SeededRng two(5);
  test::SeededRng other(6);
  Bytes a(100);
  Bytes b(100);
  Bytes c(100);
  one.fill(a);
  for (std::size_t at = 0; at < b.size(); at += 10) two.fill(MutableBytes(b).subspan(at, 10));
  other.fill(c);
  EXPECT_EQ(a, b);
  EXPECT_NE(a, c);
}

}  // namespace
}  // namespace sealine::crypto
