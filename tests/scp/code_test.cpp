#include "sealine/scp/code.hpp"

#include "sealine/scp/config.hpp"

#include <gtest/gtest.h>

#include <string_view>

namespace sealine::scp {
namespace {

struct Row {
  int number;
  std::string_view name;
  bool may_be_written;
  Errc error;
};

constexpr Row kRows[] = {
    {0, "normal", true, Errc::already_closed},
    {1, "protocol", true, Errc::protocol_broken},
    {2, "authentication", false, Errc::mac_mismatch},
    {3, "decrypt", false, Errc::record_not_authentic},
    {4, "sequence", false, Errc::record_out_of_place},
    {5, "too large", true, Errc::message_too_large},
    {6, "timeout", true, Errc::idle_timeout},
    {7, "rate limited", true, Errc::too_many_messages},
    {8, "version", false, Errc::version_refused},
    {9, "going away", true, Errc::peer_going_away},
    {10, "internal", true, Errc::peer_failed},
    {11, "unknown channel", true, Errc::channel_unknown},
    {12, "truncated", false, Errc::truncated},
};

// SPEC scp.md#codes
TEST(ScpCode, has_its_name_its_error_and_its_place) {
  for (const Row& row : kRows) {
    const auto code = static_cast<Code>(row.number);
    EXPECT_EQ(to_string(code), row.name);
    EXPECT_EQ(is_wire_code(code), row.may_be_written) << row.name;
    EXPECT_EQ(errc_of(code), row.error) << row.name;
  }
}

// SPEC scp.md#codes
TEST(ScpCode, beyond_the_table_is_never_written) {
  for (int number = 13; number < 256; ++number) {
    EXPECT_FALSE(is_wire_code(static_cast<Code>(number)));
    EXPECT_EQ(errc_of(static_cast<Code>(number)), Errc::protocol_broken);
    EXPECT_EQ(to_string(static_cast<Code>(number)), "protocol");
  }
}

// SPEC scp.md#handshake
TEST(ScpMode, is_named_by_its_pattern) {
  EXPECT_EQ(pattern_name(Mode::anonymous), "NN");
  EXPECT_EQ(pattern_name(Mode::pinned), "IK");
  EXPECT_EQ(pattern_name(Mode::mutual), "XX");
  EXPECT_EQ(pattern_name(Mode::psk), "NNpsk0");
  EXPECT_EQ(pattern_name(Mode::pinned_psk), "IKpsk2");
  EXPECT_EQ(pattern_name(static_cast<Mode>(7)), "?");
}

}  // namespace
}  // namespace sealine::scp
