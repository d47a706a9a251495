#include "sealine/io/stcp_stream.hpp"

#include "io/stcp_fixture.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sealine::io::stcp {

namespace {

using io::test::Loopback;

TEST(StcpStream, carries_bytes_both_ways) {
  Loopback net;
  auto [client, server] = net.pair();
  EXPECT_EQ(net.transfer(client, server, 1), "ok");
  EXPECT_EQ(net.transfer(server, client, 100), "ok");
  EXPECT_EQ(net.transfer(client, server, 3'000'000), "ok");
  EXPECT_EQ(net.transfer(server, client, 3'000'000), "ok");
}

}  // namespace

}  // namespace sealine::io::stcp
