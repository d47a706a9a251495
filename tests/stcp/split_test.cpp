#include "sealine/stcp/connection.hpp"
#include "support/stcp_pair.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <string_view>

// A byte stream has no seams: any split gives the same events and bytes, any cut is seen, any
// flipped bit is fatal and silent.

namespace sealine::stcp {
namespace {

using std::chrono::seconds;
using test::Bytes;
using test::StcpEnd;
using test::StcpPair;

constexpr std::array kModes = {Mode::anonymous, Mode::tofu, Mode::mutual, Mode::psk};

bool is_full_scale() {
  const char* scale = std::getenv("SEALINE_TEST_SCALE");
  return scale != nullptr && std::string_view(scale) == "full";
}

struct Trace {
  Bytes client_wire, server_wire, client_received, server_received;
  std::vector<std::string> client_history, server_history;

  friend bool operator==(const Trace&, const Trace&) = default;
};

/// A session with everything in it.
Trace whole_session(StcpPair::Options options) {
  StcpPair pair(std::move(options));
  pair.run();
  pair.send(pair.client, test::counting(10));
  pair.send(pair.server, test::counting(50));
  pair.run();
  pair.client.machine->request_rekey(pair.now);
  pair.send(pair.client, test::counting(200));
  pair.client.machine->ping(pair.now);
  pair.run();
  crypto::PublicKey next;
  next.bytes.fill(7);
  static_cast<void>(pair.server.machine->announce_next_key(next));
  pair.send(pair.server, test::counting(30));
  pair.run();
  pair.now += seconds(2);
  pair.server.machine->request_rekey(pair.now);
  pair.run();
  pair.send(pair.client, test::counting(1));
  pair.run();
  pair.client.machine->close(pair.now);
  pair.run();
  pair.send(pair.server, test::counting(5));
  pair.run();
  pair.server.machine->close(pair.now);
  pair.run();
  return {pair.client.sent_wire, pair.server.sent_wire, pair.client.received,
          pair.server.received,  pair.client.history,   pair.server.history};
}

class StcpSplit : public testing::TestWithParam<Mode> {};

// SPEC stcp.md#record
TEST_P(StcpSplit, byte_by_byte) {
  const Trace whole = whole_session({.mode = GetParam()});
  EXPECT_EQ(whole.server_received.size(), 211U);
  EXPECT_EQ(whole.client_received.size(), 85U);
  EXPECT_EQ(whole.client_history.back(), "CLOSED");
  EXPECT_EQ(whole.server_history.back(), "CLOSED");
  EXPECT_EQ(whole_session({.mode = GetParam(), .max_chunk_bytes = 1}), whole);
}

// SPEC stcp.md#record
TEST_P(StcpSplit, at_every_prefix) {
  const Trace whole = whole_session({.mode = GetParam()});
  for (std::size_t at = 1; at < 330; ++at) {
    ASSERT_EQ(whole_session({.mode = GetParam(), .split_at = at}), whole) << at;
  }
}

// SPEC stcp.md#record
TEST_P(StcpSplit, at_random) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Trace whole = whole_session({.mode = GetParam(), .seed = seed});
    for (const std::size_t most : {2U, 5U, 24U, 100U}) {
      ASSERT_EQ(whole_session({.mode = GetParam(), .seed = seed, .max_chunk_bytes = most}), whole)
          << seed << " " << most;
    }
  }
}

// SPEC stcp.md#close
TEST_P(StcpSplit, a_cut_at_every_byte_of_a_session_of_three_records) {
  // The client's stream: step 1, (step 3,) FINISH, DATA, DATA, CLOSE.
  for (std::size_t cut = 0;; ++cut) {
    StcpPair pair(GetParam());
    std::size_t room = cut;
    bool was_cut = false;
    pair.client_to_server = [&](Bytes& wire) {
      if (wire.size() > room) {
        wire.resize(room);
        was_cut = true;
      }
      room -= wire.size();
    };
    pair.run();
    pair.send(pair.client, Bytes(10, 1));
    if (!was_cut) pair.run();
    pair.send(pair.client, Bytes(20, 2));
    if (!was_cut) pair.run();
    pair.client.machine->close(pair.now);
    if (!was_cut) pair.run();
    pair.end_stream(pair.client);
    if (!was_cut) {
      EXPECT_TRUE(pair.server.find<DataEnded>());
      EXPECT_FALSE(pair.server.fault());
      EXPECT_EQ(pair.server.received.size(), 30U);
      EXPECT_GT(cut, 250U);
      break;
    }
    ASSERT_EQ(pair.server.fault(), Errc::truncated) << cut;
    ASSERT_EQ(pair.server.state(), State::error);
    ASSERT_FALSE(pair.server.find<DataEnded>());
    Bytes sent(10, 1);
    sent.resize(30, 2);
    ASSERT_TRUE(
        std::ranges::equal(pair.server.received, ByteView(sent).first(pair.server.received.size())))
        << cut;
    ASSERT_FALSE(pair.server.machine->has_transmit());
  }
}

/// Flips one bit of the n-th flight from `from`, and gives both ends every chance.
struct Flipped {
  Flipped(Mode mode, bool from_client, int flight, std::size_t bit) : pair(mode) {
    int at = 0;
    auto tamper = [this, flight, bit, at](Bytes& wire) mutable {
      if (at++ != flight || bit / 8 >= wire.size()) return;
      wire[bit / 8] = static_cast<std::uint8_t>(wire[bit / 8] ^ (1U << (bit % 8)));
      happened = true;
    };
    (from_client ? pair.client_to_server : pair.server_to_client) = tamper;
    pair.send(pair.client, Bytes(10, 1));
    pair.run();
  }

  StcpPair pair;
  bool happened = false;
};

// SPEC stcp.md#faults
TEST_P(StcpSplit, every_flipped_bit_is_fatal_and_silent) {
  // Flights: step 1; step 2; (step 3,) FINISH and one DATA.
  const std::size_t stride =
      is_full_scale() ? 1 : 3;  // coprime to 8: every byte and every place in a byte

  struct Flight {
    bool from_client;
    int index;
  };

  std::size_t runs = 0;
  for (const Flight flight : {Flight{true, 0}, Flight{false, 0}, Flight{true, 1}}) {
    for (std::size_t bit = 0;; bit += stride) {
      Flipped run(GetParam(), flight.from_client, flight.index, bit);
      if (!run.happened) break;
      ++runs;
      StcpPair& pair = run.pair;
      StcpEnd& victim = flight.from_client ? pair.server : pair.client;
      StcpEnd& sender = pair.other(victim);
      // A Length that has grown waits for bytes that never come; then it is too slow.
      if (pair.both_encrypted()) pair.advance(seconds(31));
      ASSERT_FALSE(pair.both_encrypted()) << bit;
      ASSERT_TRUE(pair.server.received.empty()) << bit;
      ASSERT_TRUE(victim.machine->fault() || sender.machine->fault()) << bit;
      for (StcpEnd* end : {&victim, &sender}) {
        if (!end->machine->fault()) continue;
        ASSERT_EQ(end->state(), State::error);
        ASSERT_FALSE(end->machine->has_transmit());
        const Fault fault = describe(end->machine->fault()->code).fault;
        ASSERT_TRUE(fault == Fault::authentication || fault == Fault::peer_malformed ||
                    fault == Fault::peer_misbehaved || end->fault() == Errc::too_slow);
      }
    }
  }
  EXPECT_GT(runs, 1900U / stride);
}

INSTANTIATE_TEST_SUITE_P(modes, StcpSplit, testing::ValuesIn(kModes),
                         [](const auto& param) { return std::string(pattern_name(param.param)); });

}  // namespace
}  // namespace sealine::stcp
