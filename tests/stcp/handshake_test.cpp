#include "sealine/stcp/connection.hpp"
#include "support/stcp_pair.hpp"
#include "support/stcp_rogue.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <map>

// What a handshake gives, mode by mode, and what a bad configuration gives.

namespace sealine::stcp {
namespace {

using std::chrono::seconds;
using test::Bytes;
using test::StcpPair;
using test::Verdict;

class StcpHandshake : public testing::TestWithParam<Mode> {
 protected:
  [[nodiscard]] static bool shows_server_key() {
    return GetParam() == Mode::tofu || GetParam() == Mode::mutual;
  }

  [[nodiscard]] static bool has_sas() { return GetParam() != Mode::psk; }
};

Bytes exported(const Connection& end) {
  Bytes key(32);
  EXPECT_TRUE(end.export_key("a test", as_bytes("context"), key));
  return key;
}

// SPEC stcp.md#handshake
TEST_P(StcpHandshake, both_ends_agree) {
  StcpPair pair(GetParam());
  EXPECT_EQ(pair.client.state(), State::key_exchange);
  EXPECT_EQ(pair.server.state(), State::key_exchange);
  pair.run();
  ASSERT_TRUE(pair.both_encrypted());
  EXPECT_TRUE(pair.client.find<Established>());
  EXPECT_TRUE(pair.server.find<Established>());
  EXPECT_EQ(exported(*pair.client.machine), exported(*pair.server.machine));
  const Peer& seen_by_client = pair.client.machine->peer();
  const Peer& seen_by_server = pair.server.machine->peer();
  EXPECT_EQ(seen_by_client.mode, GetParam());
  EXPECT_EQ(seen_by_server.mode, GetParam());
  EXPECT_EQ(seen_by_client.key.has_value(), shows_server_key());
  if (shows_server_key()) {
    EXPECT_EQ(*seen_by_client.key, pair.server_config.identity->public_key);
  }
  EXPECT_EQ(seen_by_server.key.has_value(), GetParam() == Mode::mutual);
  if (GetParam() == Mode::mutual) {
    EXPECT_EQ(*seen_by_server.key, pair.client_config.identity->public_key);
  }
  EXPECT_EQ(seen_by_client.sas.has_value(), has_sas());
  EXPECT_EQ(seen_by_client.sas, seen_by_server.sas);
  if (has_sas()) {
    EXPECT_LT(*seen_by_client.sas, 1'000'000U);
  }
}

// SPEC stcp.md#finish
TEST_P(StcpHandshake, data_may_follow_finish_in_one_write) {
  StcpPair pair(GetParam());
  const Bytes data = test::counting(200);
  const Bytes hello = pair.take_output(pair.client);
  pair.deliver(pair.server, hello);
  const Bytes answer = pair.take_output(pair.server);
  pair.deliver(pair.client, answer);
  ASSERT_TRUE(pair.client.is_encrypted());
  // seal() writes step 3, FINISH and the data behind each other.
  Bytes flight(1024);
  const auto sealed = pair.client.machine->seal(data, flight, pair.now);
  ASSERT_TRUE(sealed);
  EXPECT_EQ(sealed->taken, data.size());
  const std::size_t finish = 24U + 20U + (has_sas() ? 32U : 0U);
  const std::size_t step_3 = GetParam() == Mode::mutual ? 24U + 64U : 0U;
  EXPECT_EQ(sealed->written, step_3 + finish + 44U + data.size());
  flight.resize(sealed->written);
  pair.deliver(pair.server, flight);
  EXPECT_TRUE(pair.server.is_encrypted());
  EXPECT_EQ(pair.server.received, data);
}

// SPEC stcp.md#finish
TEST_P(StcpHandshake, server_sends_and_delivers_nothing_before_finish) {
  StcpPair pair(GetParam());
  pair.deliver(pair.server, pair.take_output(pair.client));
  pair.deliver(pair.client, pair.take_output(pair.server));
  Bytes flight(1024);
  const auto sealed = pair.client.machine->seal(Bytes(10, 7), flight, pair.now);
  ASSERT_TRUE(sealed);
  flight.resize(sealed->written);
  const std::size_t finish_ends = flight.size() - 54;
  for (std::size_t i = 0; i < finish_ends - 1; ++i) {
    pair.deliver(pair.server, ByteView(flight).subspan(i, 1));
    EXPECT_EQ(pair.server.state(), State::key_exchange);
    EXPECT_EQ(pair.server.machine->seal(Bytes(1), flight, pair.now).error().code,
              Errc::not_encrypted);
    pair.server.machine->ping(pair.now);
    EXPECT_FALSE(pair.server.machine->has_transmit());
    EXPECT_TRUE(pair.server.received.empty());
  }
  pair.deliver(pair.server, ByteView(flight).subspan(finish_ends - 1));
  EXPECT_TRUE(pair.server.is_encrypted());
  EXPECT_EQ(pair.server.received, Bytes(10, 7));
}

// SPEC stcp.md#sas
TEST_P(StcpHandshake, nothing_moves_while_a_verdict_is_awaited) {
  if (!shows_server_key()) GTEST_SKIP() << "SKIPPED: this mode shows no key";
  StcpPair pair(GetParam());
  pair.client.verdict = Verdict::wait;
  pair.run();
  ASSERT_TRUE(pair.client.find<PeerKeyShown>());
  EXPECT_EQ(pair.client.state(), State::key_exchange);
  EXPECT_FALSE(pair.client.machine->has_transmit());
  EXPECT_EQ(pair.client.sent_wire.size(), 90U);
  Bytes in(100);
  Bytes out(100);
  const auto opened = pair.client.machine->handle_bytes(in, out, pair.now);
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->consumed, 0U);
  EXPECT_FALSE(pair.client.machine->seal(in, out, pair.now));
  pair.client.machine->accept_peer_key(pair.now);
  EXPECT_TRUE(pair.client.is_encrypted());
  pair.run();
  EXPECT_TRUE(pair.both_encrypted());
}

// SPEC stcp.md#sas
TEST(StcpHandshakeVerdicts, a_server_waits_for_its_verdict_on_the_client) {
  StcpPair pair(Mode::mutual);
  pair.server.verdict = Verdict::wait;
  pair.send(pair.client, Bytes(30, 1));
  pair.run();
  EXPECT_TRUE(pair.client.is_encrypted());
  EXPECT_EQ(pair.server.state(), State::key_exchange);
  EXPECT_TRUE(pair.server.received.empty());
  EXPECT_EQ(pair.server.inbox.size(), 76U + 74U);  // FINISH and the data stay with the caller
  pair.server.machine->accept_peer_key(pair.now);
  EXPECT_EQ(pair.server.state(), State::key_exchange);
  pair.deliver(pair.server, {});
  EXPECT_TRUE(pair.server.is_encrypted());
  EXPECT_EQ(pair.server.received, Bytes(30, 1));
}

TEST_P(StcpHandshake, a_verdict_out_of_time_changes_nothing) {
  StcpPair pair(GetParam());
  pair.client.machine->accept_peer_key(pair.now);
  pair.client.machine->refuse_peer_key(Errc::peer_key_refused);
  pair.server.machine->accept_peer_key(pair.now);
  pair.server.machine->refuse_peer_key(Errc::peer_key_refused);
  pair.run();
  ASSERT_TRUE(pair.both_encrypted());
  pair.client.machine->refuse_peer_key(Errc::peer_key_refused);
  EXPECT_TRUE(pair.both_encrypted());
}

// SPEC stcp.md#handshake
TEST_P(StcpHandshake, the_smaller_record_limit_counts_for_both) {
  for (const auto& [client, server] : {std::pair{12, 24}, {24, 12}, {13, 13}, {16, 14}}) {
    StcpPair::Options options{.mode = GetParam()};
    options.client_limits.max_record_log2 = static_cast<std::uint8_t>(client);
    options.server_limits.max_record_log2 = static_cast<std::uint8_t>(server);
    StcpPair pair(options);
    pair.run();
    ASSERT_TRUE(pair.both_encrypted());
    const std::size_t m = std::size_t{1} << static_cast<unsigned>(std::min(client, server));
    EXPECT_EQ(pair.client.machine->max_record_bytes(), m);
    EXPECT_EQ(pair.server.machine->max_record_bytes(), m);
    const Bytes data(m + 1, 3);
    pair.send(pair.client, data);
    pair.send(pair.server, data);
    pair.run();
    EXPECT_EQ(pair.server.received, data);
    EXPECT_EQ(pair.client.received, data);
    EXPECT_EQ(pair.client.machine->statistics().records_sent, 3U);  // FINISH, M, 1
    EXPECT_EQ(pair.server.machine->statistics().records_sent, 2U);
  }
}

// SPEC stcp.md#state-machine
TEST_P(StcpHandshake, application_data_is_refused_outside_of_encrypted) {
  StcpPair pair(GetParam());
  Bytes out(1000);
  for (auto* end : {&pair.client, &pair.server}) {
    EXPECT_FALSE(end->machine->can_send());
    EXPECT_FALSE(end->machine->can_receive());
    const auto sealed = end->machine->seal(Bytes(5), out, pair.now);
    ASSERT_FALSE(sealed);
    EXPECT_EQ(sealed.error().code, Errc::not_encrypted);
    Bytes key(32);
    EXPECT_EQ(end->machine->export_key("x", {}, key).error().code, Errc::not_encrypted);
  }
}

TEST_P(StcpHandshake, close_asked_for_early_is_sent_once_it_may_be) {
  StcpPair pair(GetParam());
  pair.client.machine->close(pair.now);
  pair.server.machine->close(pair.now);
  pair.run();
  EXPECT_EQ(pair.client.state(), State::closed);
  EXPECT_EQ(pair.server.state(), State::closed);
  EXPECT_FALSE(pair.client.fault());
  EXPECT_FALSE(pair.server.fault());
}

TEST_P(StcpHandshake, abort_in_the_handshake_is_silent) {
  StcpPair pair(GetParam());
  pair.client.machine->abort(9, pair.now);
  EXPECT_EQ(pair.client.fault(), Errc::cancelled);
  EXPECT_EQ(pair.client.state(), State::error);
  EXPECT_FALSE(pair.client.machine->has_transmit());
}

// SPEC stcp.md#key-schedule
TEST_P(StcpHandshake, every_connection_has_keys_of_its_own) {
  StcpPair pair(GetParam());
  pair.run();
  const Bytes first = exported(*pair.client.machine);
  pair.restart();
  pair.run();
  EXPECT_NE(exported(*pair.client.machine), first);
}

// SPEC stcp.md#key-schedule
TEST_P(StcpHandshake, exporter_separates_by_label_context_and_length) {
  StcpPair pair(GetParam());
  pair.run();
  const auto get = [&](std::string_view label, std::string_view context, std::size_t n) {
    Bytes key(n);
    EXPECT_TRUE(pair.client.machine->export_key(label, as_bytes(context), key));
    Bytes other(n);
    EXPECT_TRUE(pair.server.machine->export_key(label, as_bytes(context), other));
    EXPECT_EQ(key, other);
    return key;
  };
  EXPECT_NE(get("a", "", 32), get("b", "", 32));
  EXPECT_NE(get("a", "", 32), get("a", "x", 32));
  EXPECT_NE(get("ab", "c", 32), get("a", "bc", 32));
  const Bytes longer = get("a", "", 64);
  EXPECT_NE(Bytes(longer.begin(), longer.begin() + 32), get("a", "", 32));
  Bytes key(32);
  const Connection& end = *pair.client.machine;
  EXPECT_EQ(end.export_key("stcp1 x", {}, key).error().code, Errc::bad_configuration);
  EXPECT_EQ(end.export_key("stcp1 ", {}, key).error().code, Errc::bad_configuration);
  EXPECT_TRUE(end.export_key("stcp1", {}, key));
  EXPECT_TRUE(end.export_key(std::string(255, 'a'), Bytes(255), key));
  EXPECT_EQ(end.export_key(std::string(256, 'a'), {}, key).error().code, Errc::bad_configuration);
  EXPECT_EQ(end.export_key("a", Bytes(256), key).error().code, Errc::bad_configuration);
  Bytes most(255 * 32);
  EXPECT_TRUE(end.export_key("a", {}, most));
  most.push_back(0);
  EXPECT_EQ(end.export_key("a", {}, most).error().code, Errc::bad_configuration);
}

INSTANTIATE_TEST_SUITE_P(modes, StcpHandshake,
                         testing::Values(Mode::anonymous, Mode::tofu, Mode::mutual, Mode::psk),
                         [](const auto& param) { return std::string(pattern_name(param.param)); });

// SPEC stcp.md#handshake
TEST(StcpPsk, the_hint_picks_the_secret_among_many) {
  StcpPair pair({.mode = Mode::psk, .psk_count = 20});
  for (const std::size_t index : {0U, 1U, 7U, 19U}) {
    pair.client_config.psk =
        std::make_shared<crypto::Psk>(pair.server_config.psks[index].psk.clone());
    pair.restart();
    pair.run();
    ASSERT_TRUE(pair.both_encrypted());
    EXPECT_EQ(pair.server.machine->peer().psk_index, index);
  }
}

// SPEC stcp.md#handshake
TEST(StcpPsk, the_first_of_two_equal_secrets_is_taken) {
  StcpPair pair({.mode = Mode::psk, .psk_count = 3});
  pair.server_config.psks[1] =
      ServerPsk::make(*pair.engine, pair.server_config.psks[2].psk.clone());
  pair.restart();
  pair.run();
  EXPECT_EQ(pair.server.machine->peer().psk_index, 1U);
}

// SPEC stcp.md#handshake
TEST(StcpPsk, a_replayed_step_1_is_answered_like_a_fresh_one_and_dies_at_finish) {
  StcpPair pair(Mode::psk);
  pair.run();
  const Bytes captured = pair.client.sent_wire;
  auto again = ServerConnection::create(pair.server_config, *pair.engine, pair.rng, pair.now);
  ASSERT_TRUE(again);
  Bytes in = captured;
  Bytes out(1000);
  const auto opened = again->handle_bytes(in, out, pair.now);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::finish_not_authentic);
}

// SPEC stcp.md#sas
TEST(StcpSas, a_man_in_the_middle_makes_them_differ) {
  // Two handshakes, one on each side of him: he owns the keys of both, and the users compare.
  for (const Mode mode : {Mode::anonymous, Mode::tofu, Mode::mutual}) {
    StcpPair left(mode);
    StcpPair right({.mode = mode, .seed = 2});
    left.run();
    right.run();
    EXPECT_NE(left.client.machine->peer().sas, right.server.machine->peer().sas);
  }
}

// SPEC stcp.md#sas
TEST(StcpSas, the_commitment_covers_the_clients_static_key) {
  // A client that commits with one key and, having seen nB, shows another in step 3.
  StcpPair pair(Mode::mutual);
  const auto identity =
      std::make_shared<crypto::KeyPair>(crypto::KeyPair::generate(*pair.engine, pair.rng));
  pair.client_config.identity = identity;
  for (const bool lies : {false, true}) {
    pair.restart();
    test::StcpRogue client(pair.client_config, *pair.engine, pair.rng);
    pair.deliver(pair.server, client.hello());
    if (lies) *identity = crypto::KeyPair::generate(*pair.engine, pair.rng);
    pair.deliver(pair.server, client.take_answer(pair.take_output(pair.server)));
    EXPECT_EQ(pair.server.find<PeerKeyShown>()->key, identity->public_key);
    pair.deliver(pair.server, client.finish());
    EXPECT_EQ(pair.server.is_encrypted(), !lies);
    if (lies) {
      EXPECT_EQ(pair.server.fault(), Errc::finish_not_authentic);
    }
  }
}

// --- configuration

Errc client_error(const ClientConfig& config) {
  static auto engine = std::move(*crypto::make_engine());
  static test::SeededRng rng(1);
  const auto made = ClientConnection::create(config, *engine, rng, TimePoint{});
  return made ? Errc{} : made.error().code;
}

Errc server_error(const ServerConfig& config) {
  static auto engine = std::move(*crypto::make_engine());
  static test::SeededRng rng(1);
  const auto made = ServerConnection::create(config, *engine, rng, TimePoint{});
  return made ? Errc{} : made.error().code;
}

TEST(StcpConfiguration, what_a_mode_needs_must_be_there) {
  ClientConfig client;
  EXPECT_EQ(client_error(client), Errc{});
  client.mode = Mode::mutual;
  EXPECT_EQ(client_error(client), Errc::bad_configuration);
  client.mode = Mode::psk;
  EXPECT_EQ(client_error(client), Errc::bad_configuration);
  client.mode = static_cast<Mode>(2);
  EXPECT_EQ(client_error(client), Errc::bad_configuration);
  ServerConfig server;
  EXPECT_EQ(server_error(server), Errc::bad_configuration);  // no identity
  server.modes = {};
  EXPECT_EQ(server_error(server), Errc::bad_configuration);
  server.modes = {Mode::anonymous, Mode::psk};
  EXPECT_EQ(server_error(server), Errc{});
}

TEST(StcpConfiguration, limits_have_bounds) {
  const auto with = [](auto change) {
    ClientConfig config;
    change(config.limits);
    return client_error(config);
  };
  for (const int log2 : {0, 11, 25, 255}) {
    EXPECT_EQ(with([&](Limits& l) { l.max_record_log2 = static_cast<std::uint8_t>(log2); }),
              Errc::bad_configuration);
  }
  EXPECT_EQ(with([](Limits& l) { l.max_sequence = (std::uint64_t{1} << 48U) + 1; }),
            Errc::bad_configuration);
  EXPECT_EQ(with([](Limits& l) { l.max_sequence = 1; }), Errc::bad_configuration);
  EXPECT_EQ(with([](Limits& l) { l.rekey_bytes = 0; }), Errc::bad_configuration);
  EXPECT_EQ(with([](Limits& l) { l.rekey_after = Duration{}; }), Errc::bad_configuration);
  EXPECT_EQ(with([](Limits& l) { l.rekey_after = Duration::max(); }), Errc::bad_configuration);
  EXPECT_EQ(with([](Limits& l) { l.handshake_timeout = Duration{}; }), Errc::bad_configuration);
  EXPECT_EQ(with([](Limits& l) { l.min_progress_window = Duration{}; }), Errc::bad_configuration);
  EXPECT_EQ(with([](Limits& l) { l.idle_timeout = seconds(-1); }), Errc::bad_configuration);
  EXPECT_EQ(with([](Limits& l) { l.idle_timeout = Duration{}; }), Errc{});
  ClientConfig config;
  config.padding = PadToMultiple{100};
  EXPECT_EQ(client_error(config), Errc::bad_configuration);
}

TEST(StcpConfiguration, names) {
  EXPECT_EQ(pattern_name(Mode::anonymous), "NN");
  EXPECT_EQ(pattern_name(Mode::tofu), "NX");
  EXPECT_EQ(pattern_name(Mode::mutual), "XX");
  EXPECT_EQ(pattern_name(Mode::psk), "NNpsk0");
  EXPECT_EQ(to_string(State::init), "INIT");
  EXPECT_EQ(to_string(State::key_exchange), "KEY_EXCHANGE");
  EXPECT_EQ(to_string(State::encrypted), "ENCRYPTED");
  EXPECT_EQ(to_string(State::error), "ERROR");
  EXPECT_EQ(to_string(State::closed), "CLOSED");
}

}  // namespace
}  // namespace sealine::stcp
