#include "sealine/stcp/connection.hpp"
#include "support/stcp_pair.hpp"
#include "support/stcp_rogue.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <string_view>

// R0 to R3, when they start, and what becomes of them when they cross a CLOSE.

namespace sealine::stcp {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using test::Bytes;
using test::StcpEnd;
using test::StcpPair;
using test::StcpRogue;

struct Joined : StcpPair {
  explicit Joined(Options options = {.mode = Mode::tofu}) : StcpPair(std::move(options)) {
    run();
    EXPECT_TRUE(both_encrypted());
  }

  /// Application bytes of one end arrive at the other.
  void expect_talk(StcpEnd& from) {
    const std::size_t before = other(from).received.size();
    send(from, Bytes(33, 5));
    run();
    EXPECT_EQ(other(from).received.size(), before + 33);
  }

  void expect_epochs(unsigned c2s, unsigned s2c) {
    EXPECT_EQ(client.machine->statistics().epoch_sent, c2s);
    EXPECT_EQ(server.machine->statistics().epoch_received, c2s);
    EXPECT_EQ(server.machine->statistics().epoch_sent, s2c);
    EXPECT_EQ(client.machine->statistics().epoch_received, s2c);
  }
};

// SPEC stcp.md#rekey
TEST(StcpRekey, started_by_the_client) {
  Joined pair;
  pair.client.machine->request_rekey(pair.now);
  pair.run();
  pair.expect_epochs(1, 1);
  ASSERT_TRUE(pair.client.find<Rekeyed>());
  ASSERT_TRUE(pair.server.find<Rekeyed>());
  EXPECT_EQ(pair.client.find<Rekeyed>()->epoch, 1);
  EXPECT_EQ(pair.server.find<Rekeyed>()->epoch, 1);
  pair.expect_talk(pair.client);
  pair.expect_talk(pair.server);
  // seq is not reset, h and the exporter stay.
  EXPECT_EQ(pair.client.machine->statistics().records_sent, 4U);
}

// SPEC stcp.md#rekey
TEST(StcpRekey, asked_for_by_the_server) {
  Joined pair;
  pair.server.machine->request_rekey(pair.now);
  pair.run();
  pair.expect_epochs(1, 1);
  pair.expect_talk(pair.client);
  pair.expect_talk(pair.server);
  EXPECT_EQ(pair.server.machine->statistics().records_sent, 3U);  // R0, R2, DATA
}

// SPEC stcp.md#rekey
TEST(StcpRekey, both_at_once_make_one) {
  Joined pair;
  pair.server.machine->request_rekey(pair.now);
  pair.client.machine->request_rekey(pair.now);
  const Bytes r0 = pair.take_output(pair.server);
  const Bytes r1 = pair.take_output(pair.client);
  pair.deliver(pair.client, r0);  // covered by the one that runs
  pair.deliver(pair.server, r1);
  pair.run();
  pair.expect_epochs(1, 1);
  pair.advance(seconds(10));
  pair.expect_epochs(1, 1);
}

// SPEC stcp.md#rekey
TEST(StcpRekey, a_server_asks_once_until_the_next_r3) {
  Joined pair;
  pair.server.machine->request_rekey(pair.now);
  const Bytes r0 = pair.take_output(pair.server);
  EXPECT_EQ(r0.size(), 44U);
  pair.server.machine->request_rekey(pair.now);
  EXPECT_FALSE(pair.server.machine->has_transmit());
  pair.deliver(pair.client, r0);
  pair.run();
  pair.expect_epochs(1, 1);
  pair.now += seconds(1);
  pair.server.machine->request_rekey(pair.now);
  EXPECT_TRUE(pair.server.machine->has_transmit());
}

// SPEC stcp.md#rekey
TEST(StcpRekey, r0_not_yet_sent_is_covered_by_an_r1_that_comes) {
  Joined pair;
  pair.server.machine->request_rekey(pair.now);
  pair.client.machine->request_rekey(pair.now);
  pair.deliver(pair.server, pair.take_output(pair.client));
  pair.run();
  pair.expect_epochs(1, 1);
  EXPECT_EQ(pair.server.machine->statistics().records_sent, 1U);  // R2
}

// SPEC stcp.md#rekey
TEST(StcpRekey, other_records_may_stand_between) {
  Joined pair;
  const auto data = [&](StcpEnd& from) {
    pair.send(from, Bytes(11, 6));
    return pair.take_output(from);
  };
  pair.client.machine->request_rekey(pair.now);
  const Bytes r1 = pair.take_output(pair.client);
  const Bytes after_r1 = data(pair.client);
  const Bytes before_r2 = data(pair.server);
  pair.deliver(pair.server, r1);
  pair.deliver(pair.server, after_r1);
  const Bytes r2 = pair.take_output(pair.server);
  const Bytes after_r2 = data(pair.server);
  // Between R2 and R3 the epochs of the directions differ.
  EXPECT_EQ(pair.server.machine->statistics().epoch_sent, 1);
  EXPECT_EQ(pair.server.machine->statistics().epoch_received, 0);
  pair.deliver(pair.client, before_r2);
  const Bytes before_r3 = data(pair.client);
  pair.deliver(pair.client, r2);
  pair.deliver(pair.client, after_r2);
  const Bytes r3 = pair.take_output(pair.client);
  const Bytes after_r3 = data(pair.client);
  pair.deliver(pair.server, before_r3);
  pair.deliver(pair.server, r3);
  pair.deliver(pair.server, after_r3);
  pair.expect_epochs(1, 1);
  EXPECT_EQ(pair.server.received.size(), 33U);
  EXPECT_EQ(pair.client.received.size(), 22U);
}

// SPEC stcp.md#rekey
TEST(StcpRekey, r3_goes_before_data_that_wait) {
  Joined pair;
  pair.client.machine->request_rekey(pair.now);
  pair.deliver(pair.server, pair.take_output(pair.client));
  pair.deliver(pair.client, pair.take_output(pair.server));
  Bytes wire(300);
  const auto sealed = pair.client.machine->seal(Bytes(10), wire, pair.now);
  ASSERT_TRUE(sealed);
  EXPECT_EQ(sealed->written, 44U + 54U);
  EXPECT_EQ(pair.client.machine->statistics().epoch_sent, 1);
  // Where it does not fit, nothing overtakes it.
  pair.now += seconds(2);
  pair.client.machine->request_rekey(pair.now);
  wire.resize(75);
  const auto none = pair.client.machine->seal(Bytes(10), wire, pair.now);
  ASSERT_TRUE(none);
  EXPECT_EQ(none->written, 0U);
  EXPECT_EQ(none->taken, 0U);
}

// SPEC stcp.md#rekey
TEST(StcpRekey, by_bytes_of_both_directions) {
  StcpPair::Options options{.mode = Mode::tofu};
  options.client_limits.rekey_bytes = 10'000;
  Joined pair(options);
  pair.send(pair.client, Bytes(4'900));
  pair.send(pair.server, Bytes(4'900));
  pair.run();
  pair.expect_epochs(0, 0);
  pair.send(pair.server, Bytes(200));
  pair.run();
  pair.expect_epochs(1, 1);
  EXPECT_TRUE(pair.client.find<Rekeyed>());
}

// SPEC stcp.md#rekey
TEST(StcpRekey, by_time_at_the_client_or_twice_that_at_the_server) {
  StcpPair::Options options{.mode = Mode::tofu};
  options.client_limits.ping_interval = seconds(25);
  options.client_limits.idle_timeout = options.server_limits.idle_timeout = Duration{};
  Joined by_client(options);
  by_client.advance(hours(1) - seconds(1));
  by_client.expect_epochs(0, 0);
  by_client.advance(seconds(1));
  by_client.expect_epochs(1, 1);
  by_client.advance(hours(3));
  by_client.expect_epochs(4, 4);

  options.client_limits.rekey_after = hours(100);
  Joined by_server(options);
  by_server.advance(hours(2) - seconds(1));
  by_server.expect_epochs(0, 0);
  by_server.advance(seconds(1));
  by_server.expect_epochs(1, 1);
}

// SPEC stcp.md#rekey
TEST(StcpRekey, twice_the_bytes_at_the_server) {
  StcpPair::Options options{.mode = Mode::tofu};
  options.server_limits.rekey_bytes = 10'000;
  Joined pair(options);
  pair.send(pair.server, Bytes(19'000));
  pair.run();
  pair.expect_epochs(0, 0);
  pair.send(pair.server, Bytes(1'000));
  pair.run();
  pair.expect_epochs(1, 1);
}

// SPEC stcp.md#rekey
TEST(StcpRekey, a_client_starts_none_within_a_second_or_a_mebibyte_of_the_last) {
  Joined pair;
  pair.client.machine->request_rekey(pair.now);
  pair.run();
  pair.expect_epochs(1, 1);
  pair.client.machine->request_rekey(pair.now);
  pair.run();
  pair.expect_epochs(1, 1);
  pair.now += milliseconds(999);
  pair.client.machine->request_rekey(pair.now);
  pair.run();
  pair.expect_epochs(1, 1);
  pair.now += milliseconds(1);
  pair.client.machine->request_rekey(pair.now);
  pair.run();
  pair.expect_epochs(2, 2);
  // A mebibyte c2s is as good as a second.
  pair.send(pair.client, Bytes(1U << 20U));
  pair.run();
  pair.client.machine->request_rekey(pair.now);
  pair.run();
  pair.expect_epochs(3, 3);
  // s2c it is not.
  pair.send(pair.server, Bytes(2U << 20U));
  pair.run();
  pair.client.machine->request_rekey(pair.now);
  pair.run();
  pair.expect_epochs(3, 3);
}

// SPEC stcp.md#rekey
TEST(StcpRekey, asked_too_early_the_client_comes_back_to_it) {
  Joined pair;
  pair.client.machine->request_rekey(pair.now);
  pair.run();
  pair.server.machine->request_rekey(pair.now);
  pair.run();
  pair.expect_epochs(1, 1);
  pair.advance(milliseconds(999));
  pair.expect_epochs(1, 1);
  pair.advance(milliseconds(1));
  pair.expect_epochs(2, 2);
}

// SPEC stcp.md#rekey
TEST(StcpRekey, many_under_load_never_meet_the_servers_limit) {
  StcpPair::Options options{.mode = Mode::psk};
  options.client_limits.rekey_bytes = 1'000;
  options.max_chunk_bytes = 7'000;
  Joined pair(options);
  for (int i = 0; i < 100; ++i) {
    pair.send(pair.client, Bytes(50'000, 1));
    pair.send(pair.server, Bytes(50'000, 2));
    pair.advance(milliseconds(300));
    ASSERT_TRUE(pair.both_encrypted());
  }
  EXPECT_EQ(pair.server.received.size(), 5'000'000U);
  EXPECT_EQ(pair.client.received.size(), 5'000'000U);
  EXPECT_GT(pair.client.machine->statistics().epoch_sent, 25);
}

// --- CLOSE and REKEY

// SPEC stcp.md#close
TEST(StcpRekeyAndClose, nobody_starts_one_on_a_half_closed_connection) {
  for (const bool client_closes : {true, false}) {
    Joined pair;
    (client_closes ? pair.client : pair.server).machine->close(pair.now);
    pair.run();
    pair.client.machine->request_rekey(pair.now);
    pair.server.machine->request_rekey(pair.now);
    pair.run();
    pair.expect_epochs(0, 0);
    pair.expect_talk(client_closes ? pair.server : pair.client);
  }
}

// SPEC stcp.md#close
TEST(StcpRekeyAndClose, r1_asked_for_and_close_before_it_was_sent) {
  Joined pair;
  pair.client.machine->request_rekey(pair.now);
  pair.client.machine->close(pair.now);
  pair.run();
  pair.expect_epochs(0, 0);
  EXPECT_EQ(pair.client.machine->statistics().records_sent, 2U);  // FINISH, CLOSE
  pair.expect_talk(pair.server);
}

// SPEC stcp.md#close
TEST(StcpRekeyAndClose, r0_asked_for_and_close_before_it_was_sent) {
  Joined pair;
  pair.server.machine->request_rekey(pair.now);
  pair.server.machine->ping(pair.now);
  pair.server.machine->close(pair.now);
  pair.run();
  pair.expect_epochs(0, 0);
  EXPECT_EQ(pair.server.machine->statistics().records_sent, 1U);  // CLOSE
  EXPECT_EQ(pair.client.machine->statistics().records_sent, 1U);  // FINISH
}

// SPEC stcp.md#close
TEST(StcpRekeyAndClose, r1_crosses_the_servers_close) {
  Joined pair;
  pair.client.machine->request_rekey(pair.now);
  const Bytes r1 = pair.take_output(pair.client);
  pair.server.machine->close(pair.now);
  const Bytes close = pair.take_output(pair.server);
  pair.deliver(pair.server, r1);  // left unanswered
  EXPECT_FALSE(pair.server.machine->has_transmit());
  pair.deliver(pair.client, close);  // forgets it
  pair.run();
  pair.expect_epochs(0, 0);
  pair.expect_talk(pair.client);
  pair.client.machine->close(pair.now);
  pair.run();
  EXPECT_EQ(pair.client.state(), State::closed);
  EXPECT_EQ(pair.server.state(), State::closed);
}

// SPEC stcp.md#close
TEST(StcpRekeyAndClose, r1_then_the_clients_close_in_one_go) {
  Joined pair;
  pair.client.machine->request_rekey(pair.now);
  Bytes wire = pair.take_output(pair.client);
  pair.client.machine->close(pair.now);
  const Bytes close = pair.take_output(pair.client);
  wire.insert(wire.end(), close.begin(), close.end());
  pair.deliver(pair.server, wire);
  pair.run();
  pair.expect_epochs(0, 0);
  pair.expect_talk(pair.server);
  pair.server.machine->close(pair.now);
  pair.run();
  EXPECT_EQ(pair.client.state(), State::closed);
}

// SPEC stcp.md#close
TEST(StcpRekeyAndClose, r2_crosses_the_clients_close) {
  Joined pair;
  pair.client.machine->request_rekey(pair.now);
  pair.deliver(pair.server, pair.take_output(pair.client));
  const Bytes r2 = pair.take_output(pair.server);
  pair.client.machine->close(pair.now);
  const Bytes close = pair.take_output(pair.client);
  pair.deliver(pair.client, r2);  // mixes s2c, sends no R3
  EXPECT_FALSE(pair.client.machine->has_transmit());
  pair.deliver(pair.server, close);  // erases x
  pair.run();
  pair.expect_epochs(0, 1);
  pair.expect_talk(pair.server);
  EXPECT_FALSE(pair.client.find<Rekeyed>());
  EXPECT_FALSE(pair.server.find<Rekeyed>());
}

// SPEC stcp.md#close
TEST(StcpRekeyAndClose, r3_crosses_the_servers_close) {
  Joined pair;
  pair.client.machine->request_rekey(pair.now);
  pair.deliver(pair.server, pair.take_output(pair.client));
  Bytes wire = pair.take_output(pair.server);  // R2
  pair.server.machine->close(pair.now);
  const Bytes close = pair.take_output(pair.server);
  wire.insert(wire.end(), close.begin(), close.end());
  pair.deliver(pair.client, wire);
  pair.run();  // R3 is still sent: the client has not closed
  pair.expect_epochs(1, 1);
  pair.expect_talk(pair.client);
}

// SPEC stcp.md#close
TEST(StcpRekeyAndClose, close_asked_for_with_r3_due) {
  Joined pair;
  pair.client.machine->request_rekey(pair.now);
  pair.deliver(pair.server, pair.take_output(pair.client));
  pair.deliver(pair.client, pair.take_output(pair.server));
  pair.client.machine->close(pair.now);  // R3 goes first
  pair.run();
  pair.expect_epochs(1, 1);
  EXPECT_TRUE(pair.server.find<DataEnded>());
  pair.expect_talk(pair.server);
}

// SPEC stcp.md#close
TEST(StcpRekeyAndClose, close_asked_for_with_r2_due) {
  Joined pair;
  pair.client.machine->request_rekey(pair.now);
  pair.deliver(pair.server, pair.take_output(pair.client));
  pair.server.machine->close(pair.now);  // R2 goes first
  pair.run();
  pair.expect_epochs(1, 1);
  pair.expect_talk(pair.client);
}

// SPEC stcp.md#close
TEST(StcpRekeyAndClose, an_abort_sends_no_more_of_it) {
  Joined pair;
  pair.client.machine->request_rekey(pair.now);
  pair.deliver(pair.server, pair.take_output(pair.client));
  const Bytes r2 = pair.take_output(pair.server);
  pair.client.machine->abort(9, pair.now);
  pair.deliver(pair.client, r2);  // is opened all the same: what follows is under it
  pair.run();
  EXPECT_EQ(pair.client.state(), State::closed);
  EXPECT_EQ(pair.server.state(), State::closed);
  EXPECT_EQ(pair.server.fault(), Errc::aborted);
  EXPECT_FALSE(pair.client.fault());
}

// SPEC stcp.md#rekey
TEST(StcpRekeyAndClose, a_second_r1_after_an_unanswered_one_is_out_of_place) {
  StcpPair pair(Mode::tofu);
  StcpRogue rogue(pair.client_config, *pair.engine, pair.rng);
  ASSERT_TRUE(rogue.shake_hands(*pair.server.machine, pair.now));
  pair.server.machine->close(pair.now);
  static_cast<void>(pair.take_output(pair.server));
  const auto share = crypto::KeyPair::generate(*pair.engine, pair.rng).public_key;
  pair.deliver(pair.server, rogue.seal(2, share.bytes));
  EXPECT_FALSE(pair.server.fault());
  pair.deliver(pair.server, rogue.seal(2, share.bytes));
  EXPECT_EQ(pair.server.fault(), Errc::wrong_state);
}

// SPEC stcp.md#rekey
TEST(StcpRekey, the_last_epoch) {
  if (const char* scale = std::getenv("SEALINE_TEST_SCALE");
      scale == nullptr || std::string_view(scale) != "full") {
    GTEST_SKIP() << "SKIPPED: 65535 rekeys, with SEALINE_TEST_SCALE=full";
  }
  Joined pair;
  for (int i = 0; i < 65'535; ++i) {
    pair.now += seconds(1);
    pair.client.machine->request_rekey(pair.now);
    pair.send(pair.client, Bytes(1));
    pair.run();
  }
  pair.expect_epochs(65'535, 65'535);
  pair.now += hours(3);
  pair.client.machine->request_rekey(pair.now);
  pair.server.machine->request_rekey(pair.now);
  pair.run();
  pair.expect_epochs(65'535, 65'535);
  pair.expect_talk(pair.client);
}

}  // namespace
}  // namespace sealine::stcp
