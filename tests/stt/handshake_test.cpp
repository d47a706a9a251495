#include "sealine/stt/handshake.hpp"

#include "sealine/crypto/kdf.hpp"
#include "support/fixed_rng.hpp"
#include "support/hex.hpp"
#include "support/vectors.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>
#include <string>

namespace sealine::stt {
namespace {

using nlohmann::json;
using test::Bytes;
using test::from_hex;
using test::to_hex;

constexpr TimePoint kStart{std::chrono::seconds(1000)};
const Bytes kAddress = from_hex("7f00000123fa");

const json& vectors() {
  static const json all = test::load_vectors("stt.json");
  return all;
}

// Two ends over one seed, by a golden handshake's random bytes or by seeded ones.
struct Ends {
  std::unique_ptr<crypto::Engine> engine = *crypto::make_engine(crypto::EngineChoice::openssl);
  test::FixedRng fixed_i;
  test::FixedRng fixed_r;
  test::SeededRng seeded{11};
  HandshakeConfig config_i;
  HandshakeConfig config_r;
  Transport transport = Transport::websocket;
  UnixMillis unix_ms = 1700000000000;

  Ends() {
    for (HandshakeConfig* config : {&config_i, &config_r}) {
      config->seed_key = *stc::seed_key(*engine, from_hex("000102030405060708090a0b0c0d0e0f10111213"
                                                          "1415161718191a1b1c1d1e1f"));
      config->capabilities = {"udp", "websocket", "streaming"};
    }
    config_i.node_id.fill(0xAA);
    config_r.node_id.fill(0xBB);
  }

  explicit Ends(const json& v) : Ends() {
    transport = v["transport"] == "udp" ? Transport::udp : Transport::websocket;
    config_i.node_id = test::hex_array<32>(v["node_i"].get<std::string>());
    config_r.node_id = test::hex_array<32>(v["node_r"].get<std::string>());
    config_i.ephemeral = v["random_i_order"].get<std::string>().contains("eph");
    for (const json& bytes : v["random_i"]) fixed_i.push(from_hex(bytes.get<std::string>()));
    for (const json& bytes : v["random_r"]) fixed_r.push(from_hex(bytes.get<std::string>()));
    unix_ms =
        std::stoull(v["timestamp"].is_string() ? v["timestamp"].get<std::string>()
                                               : std::to_string(v["timestamp"].get<UnixMillis>()));
  }

  Initiator initiator(crypto::Rng& rng) {
    return {config_i, transport, *engine, rng, unix_ms, kStart};
  }

  Responder responder(crypto::Rng& rng) { return {config_r, *engine, rng, kStart}; }
};

Bytes sent(Initiator& initiator) {
  Bytes out(kMaxHandshakeFrameBytes);
  out.resize(initiator.poll_transmit(out));
  return out;
}

// One datagram of the initiator, and what comes back.
struct Answer {
  Result<Reply> result;
  Bytes bytes;
};

Answer deliver(Ends& ends, Responder& responder, Bytes datagram, TimePoint now = kStart,
               ByteView address = kAddress) {
  const auto frame = parse_frame(datagram);
  if (!frame) return {std::unexpected(frame.error()), {}};
  Bytes out(kMaxHandshakeFrameBytes);
  const Origin origin{
      .address = address, .transport = ends.transport, .datagram_bytes = datagram.size()};
  auto result = responder.handle_frame(*frame, origin, ends.unix_ms, now, out);
  out.resize(result ? result->reply_bytes : 0);
  return {std::move(result), std::move(out)};
}

Result<> answer(Initiator& initiator, Bytes datagram, TimePoint now = kStart) {
  const auto frame = parse_frame(datagram);
  if (!frame) return std::unexpected(frame.error());
  return initiator.handle_frame(*frame, now);
}

TEST(SttHandshake, GoldenTranscripts) {
  for (const json& v : vectors()["handshakes"]) {
    SCOPED_TRACE(v["name"].get<std::string>());
    Ends ends(v);
    const bool is_retry = v["name"].get<std::string>().contains("retry");
    Responder responder = ends.responder(ends.fixed_r);
    Initiator initiator = ends.initiator(ends.fixed_i);
    // The transcript with RETRY is that of a responder whose clock is off.
    const UnixMillis clock = ends.unix_ms;
    std::optional<Established> at_responder;
    Bytes flying;
    bool first_hello = true;
    for (const json& frame : v["frames"]) {
      SCOPED_TRACE(frame["what"].get<std::string>());
      if (frame["from"] == "I") {
        flying = sent(initiator);
        EXPECT_EQ(to_hex(flying), frame["hex"].get<std::string>());
        ends.unix_ms = is_retry && first_hello ? clock + 600000 : clock;
        first_hello = false;
        Answer back = deliver(ends, responder, flying);
        ASSERT_TRUE(back.result) << static_cast<int>(back.result.error().code);
        if (back.result->established) at_responder = std::move(back.result->established);
        flying = back.bytes;
      } else if (frame["what"] == "RETRY") {
        // The cookie holds the client's address, in a form that is the responder's own.
        ASSERT_EQ(flying.size(), from_hex(frame["hex"].get<std::string>()).size());
        ASSERT_TRUE(answer(initiator, from_hex(frame["hex"].get<std::string>())));
        break;
      } else {
        EXPECT_EQ(to_hex(flying), frame["hex"].get<std::string>());
        ASSERT_TRUE(answer(initiator, flying));
      }
    }
    if (is_retry) {
      // From the vectors' RETRY on: the second HELLO is theirs, with their cookie.
      EXPECT_EQ(to_hex(sent(initiator)), v["frames"][2]["hex"].get<std::string>());
      ASSERT_TRUE(answer(initiator, from_hex(v["frames"][3]["hex"].get<std::string>())));
      EXPECT_EQ(to_hex(sent(initiator)), v["frames"][4]["hex"].get<std::string>());
      ASSERT_TRUE(answer(initiator, from_hex(v["frames"][5]["hex"].get<std::string>())));
    } else {
      ASSERT_TRUE(at_responder);
      EXPECT_EQ(to_hex(at_responder->initiator_key.expose()), v["k_i2r_0"].get<std::string>());
      EXPECT_EQ(to_hex(at_responder->responder_key.expose()), v["k_r2i_0"].get<std::string>());
    }
    ASSERT_TRUE(initiator.is_done());
    const Established at_initiator = std::move(initiator).take();
    EXPECT_EQ(to_hex(at_initiator.session_id), v["session_id"].get<std::string>());
    EXPECT_EQ(to_hex(at_initiator.initiator_key.expose()), v["k_i2r_0"].get<std::string>());
    EXPECT_EQ(to_hex(at_initiator.responder_key.expose()), v["k_r2i_0"].get<std::string>());
    EXPECT_EQ(at_initiator.forward_secrecy, ends.config_i.ephemeral);
  }
}

TEST(SttHandshake, GoldenBadOnesAreSilence) {
  Ends ends(vectors()["handshakes"][0]);
  for (const json& v : vectors()["bad_handshakes"]) {
    test::SeededRng rng(3);
    Responder responder = ends.responder(rng);
    const Answer back = deliver(ends, responder, from_hex(v["hex"].get<std::string>()));
    EXPECT_FALSE(back.result) << v["name"];
    EXPECT_TRUE(back.bytes.empty()) << v["name"];
  }
}

// Runs a whole handshake; the results of both ends.
std::pair<std::optional<Established>, std::optional<Established>> whole(Ends& ends) {
  Responder responder = ends.responder(ends.seeded);
  Initiator initiator = ends.initiator(ends.seeded);
  std::optional<Established> at_responder;
  for (int i = 0; i < 4 && !initiator.is_done(); ++i) {
    Answer back = deliver(ends, responder, sent(initiator));
    if (!back.result) break;
    if (back.result->established) at_responder = std::move(back.result->established);
    if (!answer(initiator, back.bytes)) break;
  }
  if (!initiator.is_done()) return {std::nullopt, std::move(at_responder)};
  return {std::move(initiator).take(), std::move(at_responder)};
}

TEST(SttHandshake, BothEndsHaveTheSameKeysAndKnowEachOther) {
  for (const bool ephemeral : {true, false}) {
    Ends ends;
    ends.config_i.ephemeral = ephemeral;
    const auto [i, r] = whole(ends);
    ASSERT_TRUE(i && r);
    EXPECT_EQ(i->session_id, r->session_id);
    EXPECT_EQ(to_hex(i->initiator_key.expose()), to_hex(r->initiator_key.expose()));
    EXPECT_EQ(to_hex(i->responder_key.expose()), to_hex(r->responder_key.expose()));
    EXPECT_NE(to_hex(i->initiator_key.expose()), to_hex(i->responder_key.expose()));
    EXPECT_EQ(i->peer, ends.config_r.node_id);
    EXPECT_EQ(r->peer, ends.config_i.node_id);
    EXPECT_EQ(r->peer_capabilities, ends.config_i.capabilities);
    EXPECT_EQ(i->forward_secrecy, ephemeral);
    EXPECT_EQ(r->forward_secrecy, ephemeral);
  }
}

// SPEC stt.md#session-ids
TEST(SttHandshake, AWorkerChoosesIdsThatComeBackToIt) {
  std::set<SessionId> seen;
  for (std::uint8_t worker = 0; worker < 5; ++worker) {
    Ends ends;
    ends.config_r.session_ids =
        SessionIdPlan{.key = SteeringKey(), .server_id = 9, .worker = worker, .workers = 5};
    for (int i = 0; i < 4; ++i) {
      const auto [initiator, responder] = whole(ends);
      ASSERT_TRUE(initiator && responder);
      EXPECT_EQ(initiator->session_id, responder->session_id);
      EXPECT_EQ(worker_of(initiator->session_id, 5), worker);
      EXPECT_TRUE(seen.insert(initiator->session_id).second);
      EXPECT_EQ(to_hex(initiator->initiator_key.expose()),
                to_hex(responder->initiator_key.expose()));
    }
  }
}

TEST(SttHandshake, AnotherSeedGetsNoAnswer) {
  Ends ends;
  ends.config_i.seed_key = *stc::seed_key(*ends.engine, Bytes(32, 9));
  Responder responder = ends.responder(ends.seeded);
  Initiator initiator = ends.initiator(ends.seeded);
  const Answer back = deliver(ends, responder, sent(initiator));
  EXPECT_FALSE(back.result);
  EXPECT_EQ(back.result.error().code, Errc::hello_not_authentic);
  EXPECT_EQ(responder.half_open_count(), 0U);
}

TEST(SttHandshake, AResponderDemandsForwardSecrecy) {
  Ends ends;
  ends.config_i.ephemeral = false;
  ends.config_r.demand_ephemeral = true;
  const auto [i, r] = whole(ends);
  EXPECT_FALSE(i);
  EXPECT_FALSE(r);
}

// T10: whatever a node says is never taken from itself.
TEST(SttHandshake, ANodeDoesNotTalkToItself) {
  Ends ends;
  ends.config_r.node_id = ends.config_i.node_id;
  const auto [i, r] = whole(ends);
  EXPECT_FALSE(i);
  EXPECT_FALSE(r);

  // And what it sends, sent back: no state accepts its own message.
  Ends two;
  Initiator initiator = two.initiator(two.seeded);
  const Bytes hello = sent(initiator);
  EXPECT_FALSE(answer(initiator, hello));
  Responder responder = two.responder(two.seeded);
  const Answer response = deliver(two, responder, hello);
  EXPECT_FALSE(deliver(two, responder, response.bytes).result);
  ASSERT_TRUE(answer(initiator, response.bytes));
  const Bytes proof = sent(initiator);
  EXPECT_FALSE(answer(initiator, proof));
  EXPECT_FALSE(initiator.is_done());
}

// T4: every bit of every message; never both ends done with different views.
TEST(SttHandshake, AFlippedBitEndsInNothing) {
  for (int message = 0; message < 4; ++message) {
    std::size_t bits = 1;
    for (std::size_t bit = 0; bit < bits; ++bit) {
      Ends ends;
      test::SeededRng rng(5);
      Responder responder = ends.responder(rng);
      Initiator initiator = ends.initiator(rng);
      std::optional<Established> at_responder;
      const auto touched = [&](Bytes bytes, int index) {
        if (index == message && !bytes.empty()) {
          bits = bytes.size() * 8;
          bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
        }
        return bytes;
      };
      Answer back = deliver(ends, responder, touched(sent(initiator), 0));
      if (back.result && answer(initiator, touched(back.bytes, 1))) {
        back = deliver(ends, responder, touched(sent(initiator), 2));
        if (back.result) {
          at_responder = std::move(back.result->established);
          static_cast<void>(answer(initiator, touched(back.bytes, 3)));
        }
      }
      // The last message may be lost on its way: the responder stands, the initiator does not.
      EXPECT_FALSE(initiator.is_done()) << "message " << message << " bit " << bit;
      EXPECT_EQ(at_responder.has_value(), message == 3) << "message " << message << " bit " << bit;
      if (::testing::Test::HasFailure()) return;
    }
  }
}

// T8: HELLO again, AUTH_PROOF again, a whole flight again in another session.
// Over UDP what is wrong is passed over, without a word, and the right message counts behind it.
TEST(SttHandshake, AFlippedBitCostsNothingOverUdp) {
  Ends ends;
  ends.transport = Transport::udp;
  Responder responder = ends.responder(ends.seeded);
  Initiator initiator = ends.initiator(ends.seeded);
  const auto flips = [](const Bytes& message, const auto& is_taken) {
    for (std::size_t bit = 0; bit < message.size() * 8; ++bit) {
      Bytes wrong = message;
      wrong[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
      EXPECT_FALSE(is_taken(std::move(wrong))) << "bit " << bit;
    }
  };
  const auto by_responder = [&](Bytes wrong) {
    const Answer back = deliver(ends, responder, std::move(wrong));
    return back.result.has_value() || !back.bytes.empty();
  };
  const auto by_initiator = [&](Bytes wrong) {
    return answer(initiator, std::move(wrong)).has_value() || !sent(initiator).empty();
  };

  const Bytes hello = sent(initiator);
  // The first bytes behind the type are the dial's own id: it names a dial and proves nothing.
  flips(hello, [&](Bytes wrong) {
    const bool is_named_alike =
        std::equal(hello.begin() + 3, hello.begin() + 11, wrong.begin() + 3);
    return is_named_alike && by_responder(std::move(wrong));
  });
  EXPECT_EQ(responder.half_open_count(), 0U);
  const Bytes response = deliver(ends, responder, hello).bytes;
  flips(response, by_initiator);
  ASSERT_TRUE(answer(initiator, response));
  const Bytes proof = sent(initiator);
  flips(proof, by_responder);
  Answer last = deliver(ends, responder, proof);
  ASSERT_TRUE(last.result && last.result->established);
  flips(last.bytes, by_initiator);
  ASSERT_TRUE(answer(initiator, last.bytes));
  EXPECT_EQ(std::move(initiator).take().session_id, last.result->established->session_id);
}

TEST(SttHandshake, Repeats) {
  Ends ends;
  Responder responder = ends.responder(ends.seeded);
  Initiator initiator = ends.initiator(ends.seeded);
  const Bytes hello = sent(initiator);
  const Answer first = deliver(ends, responder, hello);
  ASSERT_TRUE(first.result);
  for (int i = 0; i < 3; ++i) {
    const Answer again = deliver(ends, responder, hello);
    ASSERT_TRUE(again.result);
    EXPECT_EQ(again.bytes, first.bytes) << "the same RESPONSE, nothing new drawn";
  }
  EXPECT_FALSE(deliver(ends, responder, hello).result) << "three repeats at most";
  EXPECT_EQ(responder.half_open_count(), 1U);
  const Bytes elsewhere = from_hex("7f0000020001");
  EXPECT_FALSE(deliver(ends, responder, hello, kStart, elsewhere).result);

  ASSERT_TRUE(answer(initiator, first.bytes));
  const Bytes proof = sent(initiator);
  EXPECT_FALSE(deliver(ends, responder, proof, kStart, elsewhere).result);
  const Answer last = deliver(ends, responder, proof);
  ASSERT_TRUE(last.result && last.result->established);
  const Answer again = deliver(ends, responder, proof);
  ASSERT_TRUE(again.result);
  EXPECT_FALSE(again.result->established) << "one session, not two";
  EXPECT_EQ(again.bytes, last.bytes);
  EXPECT_FALSE(deliver(ends, responder, hello).result) << "the flight is known for 240 s";
  const auto id = last.result->established->session_id;
  responder.release(id);
  EXPECT_FALSE(deliver(ends, responder, proof).result) << "no session, no FINAL";
}

// The id of a dial is not authentic: a copy of HELLO under another one, that comes first, must not
// take the answer with it.
TEST(SttHandshake, ARepeatIsAnsweredUnderItsOwnDial) {
  Ends ends;
  ends.transport = Transport::udp;
  Responder responder = ends.responder(ends.seeded);
  Initiator initiator = ends.initiator(ends.seeded);
  const Bytes hello = sent(initiator);
  Bytes renamed = hello;
  renamed[3] ^= 1U;
  EXPECT_FALSE(answer(initiator, deliver(ends, responder, renamed).bytes));
  ASSERT_TRUE(answer(initiator, deliver(ends, responder, hello).bytes));
  const Answer last = deliver(ends, responder, sent(initiator));
  EXPECT_TRUE(answer(initiator, last.bytes));
  EXPECT_TRUE(initiator.is_done());
}

TEST(SttHandshake, AWrongProofDoesNotEndTheHandshake) {
  Ends ends;
  Responder responder = ends.responder(ends.seeded);
  Initiator initiator = ends.initiator(ends.seeded);
  ASSERT_TRUE(answer(initiator, deliver(ends, responder, sent(initiator)).bytes));
  const Bytes proof = sent(initiator);
  Bytes wrong = proof;
  wrong[wrong.size() - 10] ^= 1U;
  EXPECT_FALSE(deliver(ends, responder, wrong).result);
  EXPECT_TRUE(deliver(ends, responder, proof).result);
}

TEST(SttHandshake, RetryCostsARoundTripAndAnInjectedOneStopsNothing) {
  Ends ends;
  Responder responder = ends.responder(ends.seeded);
  Initiator initiator = ends.initiator(ends.seeded);
  const Bytes hello = sent(initiator);
  const UnixMillis clock = ends.unix_ms;
  ends.unix_ms = clock + 121000;  // our clock and theirs are two minutes apart
  const Answer retry = deliver(ends, responder, hello);
  ASSERT_TRUE(retry.result);
  EXPECT_EQ(responder.half_open_count(), 0U) << "nothing is kept for a HELLO without a cookie";
  ASSERT_TRUE(answer(initiator, retry.bytes));
  const Bytes second = sent(initiator);
  EXPECT_NE(second, hello);
  const Bytes elsewhere = from_hex("7f0000020001");
  EXPECT_FALSE(deliver(ends, responder, second, kStart, elsewhere).result)
      << "a cookie is of one address";
  const Answer response = deliver(ends, responder, second);
  ASSERT_TRUE(response.result);
  EXPECT_FALSE(answer(initiator, retry.bytes)) << "one RETRY a dial";
  EXPECT_TRUE(answer(initiator, response.bytes));

  // Somebody's RETRY comes first, then the honest RESPONSE to the first HELLO.
  Ends other;
  Responder honest = other.responder(other.seeded);
  Initiator dialler = other.initiator(other.seeded);
  const Answer real = deliver(other, honest, sent(dialler));
  Bytes forged = retry.bytes;
  std::ranges::copy(ByteView(real.bytes).subspan(3, 8), forged.begin() + 3);
  EXPECT_TRUE(answer(dialler, forged));
  EXPECT_FALSE(sent(dialler).empty());
  EXPECT_TRUE(answer(dialler, real.bytes));
  EXPECT_TRUE(dialler.has_proved());
}

TEST(SttHandshake, CookiesOutliveOneChangeOfTheirKey) {
  for (const int seconds : {0, 119, 121, 239, 241, 360}) {
    Ends ends;
    Responder responder = ends.responder(ends.seeded);
    Initiator initiator = ends.initiator(ends.seeded);
    const UnixMillis clock = ends.unix_ms;
    ends.unix_ms = clock + 600000;
    ASSERT_TRUE(answer(initiator, deliver(ends, responder, sent(initiator)).bytes));
    for (int s = 120; s <= seconds; s += 120)
      responder.handle_timeout(kStart + std::chrono::seconds(s));
    const bool good =
        deliver(ends, responder, sent(initiator), kStart + std::chrono::seconds(seconds))
            .result.has_value();
    EXPECT_EQ(good, seconds < 240) << seconds;
  }
}

TEST(SttHandshake, FullTablesAndFloods) {
  Ends ends;
  ends.config_r.limits.half_open = 8;
  ends.config_r.limits.hellos_per_second = 1000;
  Responder responder = ends.responder(ends.seeded);
  int responses = 0;
  for (int i = 0; i < 20; ++i) {
    Initiator initiator = ends.initiator(ends.seeded);
    const Answer back = deliver(ends, responder, sent(initiator));
    if (back.result && back.bytes.size() > 200) ++responses;
  }
  EXPECT_EQ(responses, 5) << "above half of the places a cookie is asked for";
  EXPECT_LE(responder.half_open_count(), 8U);
  responder.handle_timeout(kStart + std::chrono::seconds(10));
  EXPECT_EQ(responder.half_open_count(), 0U);

  Ends rate;
  rate.config_r.limits.hellos_per_second = 3;
  Responder limited = rate.responder(rate.seeded);
  responses = 0;
  for (int i = 0; i < 10; ++i) {
    Initiator initiator = rate.initiator(rate.seeded);
    const Answer back = deliver(rate, limited, sent(initiator));
    if (back.result && back.bytes.size() > 200) ++responses;
  }
  EXPECT_EQ(responses, 3);
}

TEST(SttHandshake, APortMoreIsNoAddressMore) {
  Ends ends;
  ends.config_r.limits.hellos_per_second = 3;
  Responder responder = ends.responder(ends.seeded);
  const auto is_answered = [&](std::uint8_t host, std::uint8_t port) {
    Initiator initiator = ends.initiator(ends.seeded);
    const Bytes address{127, 0, 0, host, 0x23, port};
    return deliver(ends, responder, sent(initiator), kStart, address).bytes.size() > 200;
  };
  int responses = 0;
  for (std::uint8_t port = 0; port < 10; ++port) responses += is_answered(1, port) ? 1 : 0;
  EXPECT_EQ(responses, 3);
  EXPECT_TRUE(is_answered(2, 0));
}

TEST(SttHandshake, UdpRepeatsUntilItsTimeIsOver) {
  Ends ends;
  ends.transport = Transport::udp;
  Initiator initiator = ends.initiator(ends.seeded);
  const Bytes hello = sent(initiator);
  EXPECT_EQ(hello.size(), kMinHelloDatagramBytes);
  std::vector<Duration> waits;
  TimePoint now = kStart;
  while (const auto next = initiator.poll_timeout()) {
    waits.push_back(*next - now);
    now = *next;
    initiator.handle_timeout(now);
    if (!initiator.has_failed()) {
      EXPECT_EQ(sent(initiator), hello);
    }
  }
  EXPECT_TRUE(initiator.has_failed());
  EXPECT_EQ(now - kStart, std::chrono::seconds(10));
  ASSERT_GE(waits.size(), 5U);
  for (std::size_t i = 0; i + 1 < waits.size(); ++i) {
    EXPECT_EQ(waits[i], std::chrono::milliseconds(250) * (1U << i));
  }
  EXPECT_TRUE(sent(initiator).empty());
}

TEST(SttHandshake, NoAnswerIsLargerThanItsQuestionOverUdp) {
  Ends ends;
  ends.transport = Transport::udp;
  Responder responder = ends.responder(ends.seeded);
  Initiator initiator = ends.initiator(ends.seeded);
  const Bytes hello = sent(initiator);
  EXPECT_LE(deliver(ends, responder, hello).bytes.size(), hello.size());
  Bytes shorter(hello.begin(), hello.end());
  const Origin origin{.address = kAddress, .transport = Transport::udp, .datagram_bytes = 1199};
  const auto frame = parse_frame(shorter);
  Bytes out(kMaxHandshakeFrameBytes);
  test::SeededRng rng(1);
  Responder fresh = ends.responder(rng);
  EXPECT_FALSE(fresh.handle_frame(*frame, origin, ends.unix_ms, kStart, out));
}

}  // namespace
}  // namespace sealine::stt
