#include "stcp/detail/handshake_record.hpp"

#include "stcp/detail/settings.hpp"
#include "support/hex.hpp"

#include <gtest/gtest.h>

namespace sealine::stcp::detail {
namespace {

constexpr ModeSet kAllModes = {Mode::anonymous, Mode::tofu, Mode::mutual, Mode::psk};

HandshakeHead with(HandshakeHead head, std::size_t at, std::uint8_t value) {
  head[at] = value;
  return head;
}

Errc code_of(const Result<HelloHead>& result) { return result ? Errc{} : result.error().code; }

// SPEC stcp.md#handshake
TEST(StcpHandshakeHead, layout) {
  EXPECT_EQ(test::to_hex(encode_head(Mode::tofu, Step::hello)),
            "000000000000004253544350010101010000000000000000");
  EXPECT_EQ(test::to_hex(encode_head(Mode::mutual, Step::auth)),
            "000000000000004053544350010304010000000000000000");
  EXPECT_EQ(test::to_hex(encode_head(Mode::psk, Step::hello, {1, 2, 3, 4, 5, 6, 7, 8})),
            "000000000000003253544350010105010102030405060708");
}

// SPEC stcp.md#handshake
TEST(StcpHandshakeHead, n_is_a_function_of_mode_and_step) {
  EXPECT_EQ(message_bytes(Mode::anonymous, Step::hello), 66U);
  EXPECT_EQ(message_bytes(Mode::anonymous, Step::answer), 82U);
  EXPECT_EQ(message_bytes(Mode::tofu, Step::hello), 66U);
  EXPECT_EQ(message_bytes(Mode::tofu, Step::answer), 130U);
  EXPECT_EQ(message_bytes(Mode::mutual, Step::hello), 66U);
  EXPECT_EQ(message_bytes(Mode::mutual, Step::answer), 130U);
  EXPECT_EQ(message_bytes(Mode::mutual, Step::auth), 64U);
  EXPECT_EQ(message_bytes(Mode::psk, Step::hello), 50U);
  EXPECT_EQ(message_bytes(Mode::psk, Step::answer), 50U);
  EXPECT_EQ(message_bytes(Mode::tofu, Step::auth), 0U);
}

// SPEC stcp.md#faults
TEST(StcpHandshakeHead, each_byte_of_a_hello_has_its_fault) {
  const HandshakeHead good = encode_head(Mode::tofu, Step::hello);
  ASSERT_TRUE(parse_hello_head(good, kAllModes));
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      if (value == good[at]) continue;
      const auto parsed =
          parse_hello_head(with(good, at, static_cast<std::uint8_t>(value)), kAllModes);
      Errc expected{};
      if (at < 8) expected = Errc::bad_length;
      if (at >= 8 && at < 14) expected = Errc::bad_record_head;
      if (at == 14 && (value == 0 || value == 4)) {
        EXPECT_TRUE(parsed);  // another mode with the same N
        continue;
      }
      if (at == 14) expected = value == 5 ? Errc::bad_length : Errc::mode_refused;
      if (at == 15) expected = Errc::mode_refused;
      if (at >= 16) expected = Errc::unknown_hint;
      EXPECT_EQ(code_of(parsed), expected) << at << " " << value;
    }
  }
}

// SPEC stcp.md#faults
TEST(StcpHandshakeHead, faults_come_in_their_order) {
  HandshakeHead head = encode_head(Mode::tofu, Step::hello);
  head[16] = 1;  // a hint where there is none
  EXPECT_EQ(code_of(parse_hello_head(head, kAllModes)), Errc::unknown_hint);
  head[0] = 1;  // and another N
  EXPECT_EQ(code_of(parse_hello_head(head, kAllModes)), Errc::bad_length);
  head[15] = 2;  // and another suite
  EXPECT_EQ(code_of(parse_hello_head(head, kAllModes)), Errc::mode_refused);
  head[13] = 2;  // and another step
  EXPECT_EQ(code_of(parse_hello_head(head, kAllModes)), Errc::bad_record_head);
}

// SPEC stcp.md#modes
TEST(StcpHandshakeHead, a_mode_outside_of_the_allow_list_is_refused) {
  for (const Mode mode : {Mode::anonymous, Mode::tofu, Mode::mutual, Mode::psk}) {
    const HandshakeHead head = encode_head(mode, Step::hello);
    for (const Mode allowed : {Mode::anonymous, Mode::tofu, Mode::mutual, Mode::psk}) {
      EXPECT_EQ(parse_hello_head(head, {allowed}).has_value(), mode == allowed);
    }
  }
}

// SPEC stcp.md#handshake
TEST(StcpHandshakeHead, later_heads_are_constants) {
  for (const Step step : {Step::answer, Step::auth}) {
    const HandshakeHead good = encode_head(Mode::mutual, step);
    EXPECT_TRUE(check_head(good, Mode::mutual, step));
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
      HandshakeHead bad = good;
      bad[bit / 8] = static_cast<std::uint8_t>(bad[bit / 8] ^ (1U << (bit % 8)));
      const auto checked = check_head(bad, Mode::mutual, step);
      ASSERT_FALSE(checked);
      EXPECT_EQ(checked.error().code, Errc::bad_record_head);
    }
  }
}

// SPEC stcp.md#handshake
TEST(StcpSettings, anything_but_a_defined_value_is_refused) {
  for (int log2 = 0; log2 < 256; ++log2) {
    for (int flags = 0; flags < 256; ++flags) {
      const ByteArray<2> bytes{static_cast<std::uint8_t>(log2), static_cast<std::uint8_t>(flags)};
      const auto settings = parse_settings(bytes);
      EXPECT_EQ(settings.has_value(), log2 >= 12 && log2 <= 24 && flags == 0);
      if (settings) {
        EXPECT_EQ(encode(*settings), bytes);
      } else {
        EXPECT_EQ(settings.error().code, Errc::bad_settings);
      }
    }
  }
}

}  // namespace
}  // namespace sealine::stcp::detail
