#include "sealine/stcp/connection.hpp"
#include "support/stcp_pair.hpp"
#include "support/stcp_rogue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <malloc.h>

// What a connection leaves in memory: no key after any end, and little while it is idle.

namespace sealine::stcp {
namespace {

using std::chrono::seconds;
using test::Bytes;
using test::StcpEnd;
using test::StcpPair;
using test::StcpRogue;

/// The one block of memory that an idle connection has.
struct Peek : Connection {
  static Bytes memory(const Connection& connection) {
    const void* block = (connection.*(&Peek::machine_)).get();
    Bytes copy(malloc_usable_size(const_cast<void*>(block)));
    std::memcpy(copy.data(), block, copy.size());
    return copy;
  }
};

bool holds(const Bytes& memory, ByteView secret) {
  return std::search(memory.begin(), memory.end(), secret.begin(), secret.end()) != memory.end();
}

class StcpWipe : public testing::TestWithParam<Mode> {
 protected:
  StcpWipe() : pair_(GetParam()), rogue_(pair_.client_config, *pair_.engine, pair_.rng) {
    EXPECT_TRUE(rogue_.shake_hands(*pair_.server.machine, pair_.now));
    EXPECT_TRUE(pair_.server.is_encrypted());
    pair_.server.machine->run_ahead();
    rogue_.send.prepare(*pair_.engine);
    rogue_.receive.prepare(*pair_.engine);
    secrets_ = {test::copy_of(rogue_.agreement.keys.exporter.expose()),
                test::copy_of(rogue_.send.key()), test::copy_of(rogue_.receive.key())};
    for (const Bytes& secret : secrets_) {
      EXPECT_TRUE(holds(Peek::memory(*pair_.server.machine), secret));  // the test can tell
    }
  }

  void expect_wiped() {
    const Bytes memory = Peek::memory(*pair_.server.machine);
    for (const Bytes& secret : secrets_) EXPECT_FALSE(holds(memory, secret));
    // Nor any half of one.
    for (const Bytes& secret : secrets_) {
      EXPECT_FALSE(holds(memory, ByteView(secret).first(16)));
      EXPECT_FALSE(holds(memory, ByteView(secret).last(16)));
    }
  }

  StcpPair pair_;
  StcpRogue rogue_;
  std::vector<Bytes> secrets_;
};

// SPEC stcp.md#faults
TEST_P(StcpWipe, after_a_bad_record) {
  for (const std::size_t at : {0U}) {
    Bytes wire = rogue_.seal(0, Bytes(10));
    wire[at] ^= 1U;
    pair_.deliver(pair_.server, wire);
  }
  EXPECT_EQ(pair_.server.state(), State::error);
  expect_wiped();
}

// SPEC stcp.md#faults
TEST_P(StcpWipe, after_a_record_of_a_wrong_type) {
  pair_.deliver(pair_.server, rogue_.seal(99));
  EXPECT_EQ(pair_.server.state(), State::error);
  expect_wiped();
}

// SPEC stcp.md#state-machine
TEST_P(StcpWipe, after_truncation) {
  pair_.server.machine->handle_end_of_stream(pair_.now);
  EXPECT_EQ(pair_.server.state(), State::error);
  expect_wiped();
}

// SPEC stcp.md#state-machine
TEST_P(StcpWipe, after_both_have_closed) {
  pair_.server.machine->close(pair_.now);
  static_cast<void>(pair_.take_output(pair_.server));
  pair_.deliver(pair_.server, rogue_.seal(1, Bytes(1)));
  EXPECT_EQ(pair_.server.state(), State::closed);
  expect_wiped();
}

// SPEC stcp.md#state-machine
TEST_P(StcpWipe, after_an_abort_without_answer) {
  pair_.server.machine->abort(1, pair_.now);
  static_cast<void>(pair_.take_output(pair_.server));
  pair_.now += seconds(1);
  pair_.server.machine->handle_timeout(pair_.now);
  EXPECT_EQ(pair_.server.state(), State::closed);
  expect_wiped();
}

INSTANTIATE_TEST_SUITE_P(modes, StcpWipe,
                         testing::Values(Mode::anonymous, Mode::tofu, Mode::mutual, Mode::psk),
                         [](const auto& param) { return std::string(pattern_name(param.param)); });

// SPEC stcp.md#limits
TEST(StcpMemory, an_idle_connection_is_one_small_block) {
  StcpPair pair(Mode::tofu);
  pair.run();
  ASSERT_TRUE(pair.both_encrypted());
  EXPECT_LE(Peek::memory(*pair.server.machine).size(), 800U);
  EXPECT_LE(Peek::memory(*pair.client.machine).size(), 800U);
}

}  // namespace
}  // namespace sealine::stcp
