#include "stt/detail/ecn_validator.hpp"

#include <gtest/gtest.h>

#include <optional>

namespace sealine::stt::detail {
namespace {

// Ten marked packets of a hundred sent, two of them CE: what a sound path tells first.
EcnValidator begun() {
  EcnValidator validator;
  EXPECT_EQ(validator.handle_ack(EcnCounts{.ect0 = 8, .ect1 = 0, .ce = 2}, 10, 100), 2U);
  return validator;
}

// SPEC stt.md#ecn
TEST(SttEcnValidator, TellsNewMarksOnce) {
  EcnValidator validator = begun();
  EXPECT_EQ(validator.handle_ack(EcnCounts{.ect0 = 9, .ect1 = 0, .ce = 2}, 1, 100), 0U);
  EXPECT_EQ(validator.handle_ack(EcnCounts{.ect0 = 9, .ect1 = 1, .ce = 5}, 4, 100), 3U);
}

// SPEC stt.md#ecn
TEST(SttEcnValidator, BelievesNothingMoreOfAPathThatCannotBeTrue) {
  struct Lie {
    const char* what;
    std::optional<EcnCounts> counts;
    std::uint64_t newly_acked;
    std::uint64_t sent;
  };

  const Lie lies[] = {
      {"no counts any more", std::nullopt, 1, 100},
      {"ECT(0) falls", EcnCounts{.ect0 = 7, .ect1 = 0, .ce = 10}, 1, 100},
      {"CE falls", EcnCounts{.ect0 = 20, .ect1 = 0, .ce = 1}, 1, 100},
      {"more ECT(0) than were sent", EcnCounts{.ect0 = 101, .ect1 = 0, .ce = 2}, 1, 100},
      {"more ECT(1) than were sent", EcnCounts{.ect0 = 8, .ect1 = 101, .ce = 2}, 1, 100},
      {"more CE than were sent", EcnCounts{.ect0 = 8, .ect1 = 0, .ce = 101}, 1, 100},
      {"more in all", EcnCounts{.ect0 = 50, .ect1 = 1, .ce = 50}, 1, 100},
      {"marks were cleared", EcnCounts{.ect0 = 8, .ect1 = 0, .ce = 2}, 1, 100},
      {"some were forgotten", EcnCounts{.ect0 = 9, .ect1 = 0, .ce = 3}, 3, 100},
  };
  for (const Lie& lie : lies) {
    SCOPED_TRACE(lie.what);
    EcnValidator validator = begun();
    EXPECT_EQ(validator.handle_ack(lie.counts, lie.newly_acked, lie.sent), 0U);
    // An honest report comes too late.
    EXPECT_EQ(validator.handle_ack(EcnCounts{.ect0 = 150, .ect1 = 150, .ce = 150}, 1, 1000), 0U);
  }
  EcnValidator falls;
  EXPECT_EQ(falls.handle_ack(EcnCounts{.ect0 = 0, .ect1 = 5, .ce = 0}, 5, 100), 0U);
  EXPECT_EQ(falls.handle_ack(EcnCounts{.ect0 = 0, .ect1 = 4, .ce = 9}, 1, 100), 0U);
  EXPECT_EQ(falls.handle_ack(EcnCounts{.ect0 = 0, .ect1 = 5, .ce = 20}, 1, 100), 0U);
}

// SPEC stt.md#ecn
TEST(SttEcnValidator, APathWithoutCountsIsNoLiarAndAnotherPathIsAnotherChance) {
  EcnValidator validator;
  EXPECT_EQ(validator.handle_ack(std::nullopt, 5, 100), 0U);
  EXPECT_EQ(validator.handle_ack(EcnCounts{.ect0 = 1, .ect1 = 0, .ce = 1}, 2, 100), 1U);
  EXPECT_EQ(validator.handle_ack(std::nullopt, 1, 100), 0U);
  validator.handle_new_path();
  EXPECT_EQ(validator.handle_ack(EcnCounts{.ect0 = 1, .ect1 = 0, .ce = 3}, 2, 100), 2U);
}

}  // namespace
}  // namespace sealine::stt::detail
