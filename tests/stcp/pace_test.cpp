#include "sealine/stcp/connection.hpp"
#include "support/stcp_pair.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace sealine::stcp {
namespace {

using namespace std::chrono_literals;

// SPEC stcp.md#padding
TEST(ConstantRate, begins_with_encrypted_and_not_before) {
  test::StcpPair pair({.mode = Mode::tofu,
                       .client_padding = PadConstantRate{64, 20ms},
                       .server_padding = PadConstantRate{64, 20ms}});
  // A driver that is told of a deadline in the past would spin until the handshake is over.
  for (const test::StcpEnd* end : {&pair.client, &pair.server}) {
    ASSERT_EQ(end->state(), State::key_exchange);
    EXPECT_EQ(end->machine->poll_timeout(), pair.now + 10s);
  }
  pair.run();
  ASSERT_TRUE(pair.both_encrypted());
  EXPECT_EQ(pair.client.machine->poll_timeout(), pair.now + 20ms);
}

TEST(ConstantRate, control_records_fit_into_a_sealed_size_of_32_bytes) {
  for (const Padding& padding : {Padding(PadConstantRate{1000, 20ms}), Padding(PadToMultiple{2048}),
                                 Padding(PadPadme{}), Padding(PadNone{})}) {
    test::StcpPair pair({.mode = Mode::tofu, .client_padding = padding});
    pair.run();
    ASSERT_TRUE(pair.both_encrypted());
    pair.client.machine->request_rekey(pair.now);
    pair.now += 1s;
    pair.client.machine->handle_timeout(pair.now);
    test::Bytes room(std::max<std::size_t>(256, pair.client.machine->sealed_size(32)));
    EXPECT_NE(pair.client.machine->poll_transmit(room, pair.now), 0U);  // R1: 32 bytes of data
  }
}

}  // namespace
}  // namespace sealine::stcp
