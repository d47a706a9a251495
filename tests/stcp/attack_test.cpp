#include "sealine/stcp/connection.hpp"
#include "support/stcp_pair.hpp"
#include "support/stcp_rogue.hpp"

#include <gtest/gtest.h>

#include <chrono>

// An attacker on the wire, with captures and with keys that have leaked.

namespace sealine::stcp {
namespace {

using test::Bytes;
using test::StcpEnd;
using test::StcpPair;
using test::StcpRogue;

constexpr std::array kModes = {Mode::anonymous, Mode::tofu, Mode::mutual, Mode::psk};

class StcpAttack : public testing::TestWithParam<Mode> {
 protected:
  StcpAttack() : pair_(GetParam()) {
    pair_.run();
    EXPECT_TRUE(pair_.both_encrypted());
  }

  Bytes record(StcpEnd& from, std::uint8_t fill) {
    pair_.send(from, Bytes(10, fill));
    return pair_.take_output(from);
  }

  void expect_out_of_place(StcpEnd& end) {
    EXPECT_EQ(end.fault(), Errc::record_out_of_place);
    EXPECT_EQ(end.state(), State::error);
    EXPECT_FALSE(end.machine->has_transmit());
  }

  StcpPair pair_;
};

// SPEC stcp.md#ratchet
TEST_P(StcpAttack, a_replayed_record) {
  const Bytes one = record(pair_.client, 1);
  pair_.deliver(pair_.server, one);
  pair_.deliver(pair_.server, one);
  EXPECT_EQ(pair_.server.received, Bytes(10, 1));
  expect_out_of_place(pair_.server);
}

// SPEC stcp.md#ratchet
TEST_P(StcpAttack, two_records_in_another_order) {
  const Bytes one = record(pair_.client, 1);
  const Bytes two = record(pair_.client, 2);
  pair_.deliver(pair_.server, two);
  EXPECT_TRUE(pair_.server.received.empty());
  expect_out_of_place(pair_.server);
}

// SPEC stcp.md#ratchet
TEST_P(StcpAttack, a_dropped_record) {
  const Bytes one = record(pair_.server, 1);
  const Bytes two = record(pair_.server, 2);
  const Bytes three = record(pair_.server, 3);
  pair_.deliver(pair_.client, one);
  pair_.deliver(pair_.client, three);
  EXPECT_EQ(pair_.client.received, Bytes(10, 1));
  expect_out_of_place(pair_.client);
}

// SPEC stcp.md#key-schedule
TEST_P(StcpAttack, reflection) {
  const Bytes own = record(pair_.client, 1);
  pair_.deliver(pair_.client, own);
  EXPECT_TRUE(pair_.client.received.empty());
  expect_out_of_place(pair_.client);
  pair_.deliver(pair_.server, record(pair_.server, 1));
  expect_out_of_place(pair_.server);
}

// SPEC stcp.md#key-schedule
TEST_P(StcpAttack, a_record_of_another_session) {
  const Bytes old = record(pair_.client, 1);
  const Bytes whole_flight = pair_.client.sent_wire;
  pair_.restart();
  pair_.run();
  pair_.deliver(pair_.server, old);
  EXPECT_TRUE(pair_.server.received.empty());
  expect_out_of_place(pair_.server);
  // And the whole of the old flight against a fresh server: dies at FINISH (mode 4: at step 3).
  pair_.restart();
  pair_.deliver(pair_.server, whole_flight);
  EXPECT_TRUE(pair_.server.received.empty());
  EXPECT_EQ(pair_.server.fault(), Errc::finish_not_authentic);
}

// SPEC stcp.md#handshake
TEST_P(StcpAttack, handshake_messages_sent_back_to_their_author) {
  pair_.restart();
  const Bytes hello = pair_.take_output(pair_.client);
  pair_.deliver(pair_.client, hello);
  EXPECT_EQ(pair_.client.fault(), Errc::bad_record_head);
  pair_.restart();
  pair_.deliver(pair_.server, pair_.take_output(pair_.client));
  pair_.deliver(pair_.server, pair_.take_output(pair_.server));
  EXPECT_TRUE(pair_.server.machine->fault());
  EXPECT_EQ(pair_.server.state(), State::error);
}

// SPEC stcp.md#record
TEST_P(StcpAttack, same_bytes_on_the_wire_whatever_the_fault) {
  // What a prober sees of F4, F5, F8, F11, F12, F13 is one thing: nothing.
  for (std::size_t at : {0U, 8U, 24U, 40U}) {
    pair_.restart();
    pair_.run();
    const std::size_t sent = pair_.server.sent_wire.size();
    Bytes wire = record(pair_.client, 1);
    wire[at] = static_cast<std::uint8_t>(wire[at] ^ 1U);
    pair_.deliver(pair_.server, wire);
    EXPECT_TRUE(pair_.take_output(pair_.server).empty());
    EXPECT_EQ(pair_.server.sent_wire.size(), sent);
    EXPECT_EQ(pair_.server.state(), State::error);
  }
}

/// Captured records of the client, and its chain as a rogue server sees it.
struct Captured {
  explicit Captured(Mode mode) : pair(mode), rogue(pair.server_config, *pair.engine, pair.rng) {
    EXPECT_TRUE(rogue.shake_hands(*pair.client.machine, pair.now));
    for (std::uint8_t i = 0; i < 30; ++i) {
      pair.send(pair.client, Bytes(20, i));
      records.push_back(pair.take_output(pair.client));
    }
  }

  /// Whether `key` opens a captured record, with the nonce that its IV tells.
  [[nodiscard]] bool opens(FixedView<32> key, const Bytes& record) const {
    Bytes wire = record;
    const ByteView iv = ByteView(record).subspan(8, 12);
    return pair.engine
        ->gcm_open(key, iv.first<12>(), ByteView(record).first(24), MutableBytes(wire).subspan(24),
                   {})
        .has_value();
  }

  StcpPair pair;
  StcpRogue rogue;
  std::vector<Bytes> records;  ///< sequence numbers 1, 2, ...
};

// SPEC stcp.md#ratchet
TEST_P(StcpAttack, a_leaked_record_key_opens_one_record) {
  const Captured captured(GetParam());
  detail::RecordRatchet chain;
  chain.start(captured.rogue.agreement.keys.client_to_server);
  chain.prepare(*captured.pair.engine);
  chain.advance();  // FINISH
  for (std::size_t n = 0; n < captured.records.size(); ++n) {
    chain.prepare(*captured.pair.engine);
    for (std::size_t i = 0; i < captured.records.size(); ++i) {
      ASSERT_EQ(captured.opens(chain.key(), captured.records[i]), i == n) << n << " " << i;
    }
    chain.advance();
  }
}

// SPEC stcp.md#ratchet
TEST_P(StcpAttack, a_leaked_chain_opens_nothing_of_the_past) {
  const Captured captured(GetParam());
  constexpr std::size_t kLeakAt = 15;
  detail::RecordRatchet chain;
  chain.start(captured.rogue.agreement.keys.client_to_server);
  for (std::size_t i = 0; i < 1 + kLeakAt; ++i) {
    chain.prepare(*captured.pair.engine);
    chain.advance();
  }
  // All that the chain, as it is now, will ever give.
  for (std::size_t n = kLeakAt; n < captured.records.size(); ++n) {
    chain.prepare(*captured.pair.engine);
    for (std::size_t i = 0; i < kLeakAt; ++i)
      ASSERT_FALSE(captured.opens(chain.key(), captured.records[i]));
    EXPECT_TRUE(captured.opens(chain.key(), captured.records[n]));  // the test can tell
    chain.advance();
  }
}

// SPEC stcp.md#rekey
TEST_P(StcpAttack, a_leaked_chain_opens_nothing_after_a_rekey) {
  // The attacker owns the whole state of both directions, and sees all of the wire.
  StcpPair pair(GetParam());
  StcpRogue rogue(pair.server_config, *pair.engine, pair.rng);
  ASSERT_TRUE(rogue.shake_hands(*pair.client.machine, pair.now));
  detail::RecordRatchet leaked;
  leaked.start(rogue.agreement.keys.client_to_server);
  leaked.prepare(*pair.engine);
  leaked.advance();

  pair.client.machine->request_rekey(pair.now);
  Bytes r1_wire = pair.take_output(pair.client);
  const auto r1 = rogue.open(r1_wire);
  ASSERT_TRUE(r1);
  const auto own = crypto::KeyPair::generate(*pair.engine, pair.rng);
  pair.deliver(pair.client, rogue.seal(2, own.public_key.bytes));
  Bytes r3_wire = pair.take_output(pair.client);
  ASSERT_TRUE(rogue.open(r3_wire));
  pair.send(pair.client, Bytes(20, 1));
  const Bytes after = pair.take_output(pair.client);

  for (int i = 0; i < 2; ++i) {  // R1, R3
    leaked.prepare(*pair.engine);
    leaked.advance();
  }
  const Captured helper(GetParam());
  for (int i = 0; i < 10; ++i) {
    leaked.prepare(*pair.engine);
    EXPECT_FALSE(helper.opens(leaked.key(), after));
    leaked.advance();
  }
}

// SPEC stcp.md#ratchet
TEST_P(StcpAttack, every_head_on_the_wire_is_another) {
  std::set<Bytes> ivs;
  for (int session = 0; session < 5; ++session) {
    pair_.restart();
    pair_.run();
    for (int i = 0; i < 50; ++i) {
      for (StcpEnd* end : {&pair_.client, &pair_.server}) {
        const Bytes wire = record(*end, 1);
        EXPECT_TRUE(ivs.emplace(wire.begin() + 8, wire.begin() + 24).second);
        pair_.deliver(pair_.other(*end), wire);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(modes, StcpAttack, testing::ValuesIn(kModes),
                         [](const auto& param) { return std::string(pattern_name(param.param)); });

// SPEC stcp.md#modes
TEST(StcpMiddle, succeeds_where_the_document_says_so_and_nowhere_else) {
  // A man in the middle with a server of his own towards the client, in each mode. He has no key of
  // the true server.
  struct Case {
    Mode mode;
    bool key_is_checked;
    bool succeeds;
  };

  for (const Case c : {Case{Mode::anonymous, false, true},
                       {Mode::tofu, false, true},
                       {Mode::tofu, true, false},
                       {Mode::mutual, false, true},
                       {Mode::mutual, true, false},
                       {Mode::psk, false, false}}) {
    StcpPair honest(c.mode);
    StcpPair his({.mode = c.mode, .seed = 99});
    if (c.mode == Mode::psk) his.client_config.psk = honest.client_config.psk;
    his.client_config.identity = honest.client_config.identity;
    his.restart();
    his.client.verdict = test::Verdict::wait;
    his.run();
    if (const auto* shown = his.client.find<PeerKeyShown>()) {
      const bool matches = shown->key == honest.server_config.identity->public_key;
      EXPECT_FALSE(matches);
      if (c.key_is_checked && !matches) {
        his.client.machine->refuse_peer_key(Errc::peer_key_changed);
      } else {
        his.client.machine->accept_peer_key(his.now);
      }
      his.run();
    }
    EXPECT_EQ(his.both_encrypted(), c.succeeds) << pattern_name(c.mode);
  }
}

}  // namespace
}  // namespace sealine::stcp
