// What a handshake does not take, and what it keeps in mind of it.
#include "sealine/crypto/kdf.hpp"
#include "sealine/stt/handshake.hpp"
#include "sealine/wire/tlv.hpp"
#include "stt/detail/handshake_messages.hpp"
#include "support/fixed_rng.hpp"
#include "support/hex.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sealine::stt {
namespace {

using test::Bytes;
using wire::Value;
using namespace std::chrono_literals;

constexpr TimePoint kStart{1000s};
constexpr UnixMillis kClock = 1700000000000;
const Bytes kAddress = test::from_hex("7f00000123fa");
const Bytes kElsewhere = test::from_hex("7f00000223fa");

Bytes tlv_of(Bytes frame) {
  const auto view = parse_frame(frame);
  EXPECT_TRUE(view);
  return test::copy_of(detail::payload_of(*view).value());
}

Bytes frame_of(FrameType type, const SessionId& id, ByteView tlv) {
  Bytes frame(kMaxHandshakeFrameBytes + 8192);
  frame.resize(detail::encode_frame(type, id, tlv, frame));
  return frame;
}

SessionId id_of(Bytes frame) { return parse_frame(frame)->head.session_id; }

// A dict with a field set, or taken out.
Bytes with_field(ByteView tlv, std::string_view key, std::optional<Value> value) {
  const Value dict = Value::decode(tlv).value();
  std::vector<Value::Member> members;
  for (std::size_t i = 0; i < dict.keys().size(); ++i) {
    if (dict.keys()[i] != key) members.push_back({dict.keys()[i], dict.items()[i]});
  }
  if (value) members.push_back({std::string(key), std::move(*value)});
  return Value::dict(std::move(members)).encode();
}

struct World {
  std::unique_ptr<crypto::Engine> engine = *crypto::make_engine(crypto::EngineChoice::openssl);
  test::SeededRng rng{21};
  HandshakeConfig config_i;
  HandshakeConfig config_r;
  Transport transport = Transport::websocket;
  TimePoint now = kStart;
  UnixMillis clock = kClock;
  std::optional<Responder> responder;

  World() {
    for (HandshakeConfig* config : {&config_i, &config_r}) {
      config->seed_key = *stc::seed_key(*engine, Bytes(32, 5));
      config->capabilities = {"udp"};
    }
    config_i.node_id.fill(0xAA);
    config_r.node_id.fill(0xBB);
  }

  Initiator dial() { return {config_i, transport, *engine, rng, clock, now}; }

  // What the responder answers; an error where it is silent.
  Result<Bytes> deliver(Bytes datagram, ByteView address = kAddress) {
    if (!responder) responder.emplace(config_r, *engine, rng, now);
    const auto frame = parse_frame(datagram);
    if (!frame) return std::unexpected(frame.error());
    Bytes out(kMaxHandshakeFrameBytes);
    const Origin origin{
        .address = address, .transport = transport, .datagram_bytes = datagram.size()};
    auto reply = responder->handle_frame(*frame, origin, clock, now, out);
    if (!reply) return std::unexpected(reply.error());
    out.resize(reply->reply_bytes);
    return out;
  }

  static Bytes sent(Initiator& initiator) {
    Bytes out(kMaxHandshakeFrameBytes);
    out.resize(initiator.poll_transmit(out));
    return out;
  }

  Result<> answer(Initiator& initiator, Bytes datagram) const {
    const auto frame = parse_frame(datagram);
    if (!frame) return std::unexpected(frame.error());
    return initiator.handle_frame(*frame, now);
  }

  bool gets_response(Initiator& initiator, ByteView address = kAddress) {
    const auto reply = deliver(sent(initiator), address);
    return reply && detail::message_type(tlv_of(*reply)) == "RESPONSE";
  }

  // A HELLO with a right commitment, whatever else is in it.
  Bytes hello(const std::function<void(detail::Hello&)>& change, const SessionId& id = {1}) {
    detail::Hello made{.node_id = config_i.node_id, .timestamp = clock};
    rng.fill(made.nonce);
    change(made);
    made.commitment = detail::commitment_of(*engine, config_i.seed_key, made);
    return frame_of(FrameType::handshake, id, made.encode(true));
  }
};

using Parse = std::function<bool(ByteView)>;

// SPEC stt.md#handshake
TEST(SttHandshakeMessages, TakeTheirFieldsAndNoOthers) {
  detail::Hello hello{.capabilities = {"udp"}, .ephemeral = ByteArray<32>{1}};
  hello.cookie.emplace();
  hello.pad_bytes = 7;
  const std::vector<std::pair<Bytes, Parse>> messages{
      {hello.encode(true), [](ByteView tlv) { return detail::Hello::parse(tlv).has_value(); }},
      {detail::Retry{}.encode(),
       [](ByteView tlv) { return detail::Retry::parse(tlv).has_value(); }},
      {detail::Response{.ephemeral = ByteArray<32>{1}}.encode(true),
       [](ByteView tlv) { return detail::Response::parse(tlv).has_value(); }},
      {detail::AuthProof{}.encode(),
       [](ByteView tlv) { return detail::AuthProof::parse(tlv).has_value(); }},
      {detail::Final{}.encode(),
       [](ByteView tlv) { return detail::Final::parse(tlv).has_value(); }}};
  for (const auto& [message, parses] : messages) {
    EXPECT_TRUE(parses(message));
    const Value dict = Value::decode(message).value();
    for (std::size_t i = 0; i < dict.keys().size(); ++i) {
      const std::string& key = dict.keys()[i];
      SCOPED_TRACE(key);
      const bool is_optional =
          key == "eph" || key == "pad" || (key == "cookie" && dict.keys().size() > 3);
      EXPECT_EQ(parses(with_field(message, key, std::nullopt)), is_optional);
      EXPECT_FALSE(parses(with_field(message, key, Value()))) << "wrong tag";
      EXPECT_FALSE(parses(with_field(message, key, Value::text("other"))));
      if (dict.items()[i].tag() == wire::Tag::bytes && key != "pad") {
        const Bytes longer(dict.items()[i].run().size() + 1);
        EXPECT_FALSE(parses(with_field(message, key, Value::bytes(longer))));
        const ByteView shorter = ByteView(longer).first(longer.size() - 2);
        EXPECT_FALSE(parses(with_field(message, key, Value::bytes(shorter))));
      }
    }
    EXPECT_FALSE(parses(with_field(message, "zzz", Value()))) << "a field that is not known";
    EXPECT_FALSE(parses({}));
    EXPECT_FALSE(parses(Value::list({}).encode()));
    EXPECT_FALSE(parses(Value::dict({}).encode()));
  }
}

// SPEC stt.md#handshake
TEST(SttHandshakeMessages, CapabilitiesAreSixteenOfThirtyTwoBytesAndPadIsZeros) {
  const auto parses = [](std::string_view key, Value value) {
    const Bytes tlv = detail::Hello{}.encode(true);
    return detail::Hello::parse(with_field(tlv, key, std::move(value))).has_value();
  };
  const Value longest = Value::text(std::string(32, 'c'));
  EXPECT_TRUE(parses("capabilities", Value::list(std::vector<Value>(16, longest))));
  EXPECT_FALSE(parses("capabilities", Value::list(std::vector<Value>(17, longest))));
  EXPECT_FALSE(parses("capabilities", Value::list({Value::text(std::string(33, 'c'))})));
  EXPECT_FALSE(parses("capabilities", Value::list({Value::bytes(Bytes(3))})));
  EXPECT_TRUE(parses("pad", Value::bytes(Bytes(3000))));
  EXPECT_FALSE(parses("pad", Value::bytes(Bytes{0, 0, 1})));
}

// SPEC stt.md#handshake
TEST(SttHandshakeMessages, KnowTheirTypeByADictWithAText) {
  EXPECT_EQ(detail::message_type(detail::Retry{}.encode()), "RETRY");
  for (const Bytes& wrong : {Bytes{}, Value::list({}).encode(), Value::dict({}).encode(),
                             Value::dict({{"type", Value::u8(1)}}).encode()}) {
    EXPECT_EQ(detail::message_type(wrong), fail(Errc::bad_handshake_message));
  }
}

// SPEC stt.md#handshake
TEST(SttHandshakeMessages, AreOnePieceOf4096BytesAtMost) {
  const auto takes = [](Bytes payload) {
    FrameView frame;
    frame.payload = payload;
    return detail::payload_of(frame).has_value();
  };
  EXPECT_TRUE(takes({0, 3, 1, 2, 3}));
  EXPECT_TRUE(takes({0, 0}));
  EXPECT_FALSE(takes({})) << "no offset";
  EXPECT_FALSE(takes({0})) << "no total";
  EXPECT_FALSE(takes({1, 3, 1, 2, 3})) << "a later piece";
  EXPECT_FALSE(takes({0, 4, 1, 2, 3})) << "the first of several";
  EXPECT_FALSE(takes({0, 2, 1, 2, 3})) << "bytes left over";
  Bytes longest{0, 0x80, 0x20};
  longest.resize(3 + 4096);
  EXPECT_TRUE(takes(longest));
  longest[1] = 0x81;
  longest.push_back(0);
  EXPECT_FALSE(takes(longest));
}

// SPEC stt.md#responder
TEST(SttResponder, TellsNobodyWhoDoesNotKnowTheSeedWhyItIsSilent) {
  World world;
  EXPECT_TRUE(world.deliver(world.hello([](detail::Hello&) {})));
  EXPECT_EQ(world.deliver(world.hello([](detail::Hello& hello) { hello.suite = 2; })),
            fail(Errc::mode_refused));
  EXPECT_EQ(world.deliver(
                world.hello([&](detail::Hello& hello) { hello.node_id = world.config_r.node_id; })),
            fail(Errc::own_node));
  EXPECT_EQ(world.deliver(world.hello([](detail::Hello& hello) { hello.cookie.emplace(); })),
            fail(Errc::hello_not_authentic));
  EXPECT_EQ(world.deliver(world.hello([](detail::Hello& hello) { hello.ephemeral.emplace(); })),
            fail(Errc::dh_all_zero));
  Bytes wrong = world.hello([](detail::Hello&) {});
  wrong = frame_of(FrameType::handshake, {1},
                   with_field(tlv_of(wrong), "commitment", Value::bytes(Bytes(32))));
  EXPECT_EQ(world.deliver(wrong), fail(Errc::hello_not_authentic));
}

// SPEC stt.md#responder
TEST(SttResponder, AnswersTheSameHelloFromTheSamePlaceThreeTimesMore) {
  World world;
  Initiator initiator = world.dial();
  const Bytes hello = World::sent(initiator);
  const auto response = world.deliver(hello);
  ASSERT_TRUE(response);
  EXPECT_EQ(world.deliver(hello, kElsewhere), fail(Errc::wrong_state));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(world.deliver(hello), response);
  EXPECT_EQ(world.deliver(hello), fail(Errc::wrong_state));

  // The same names in another HELLO are nothing that was answered.
  World other;
  const ByteArray<32> nonce{9};
  const auto with_time = [&](UnixMillis timestamp) {
    return other.hello([&](detail::Hello& made) {
      made.nonce = nonce;
      made.timestamp = timestamp;
    });
  };
  EXPECT_TRUE(other.deliver(with_time(kClock)));
  EXPECT_EQ(other.deliver(with_time(kClock + 1)), fail(Errc::wrong_state));
  EXPECT_TRUE(other.deliver(with_time(kClock)));
  // And behind its ten seconds the first is not answered again.
  other.now += 10s;
  EXPECT_EQ(other.deliver(with_time(kClock)), fail(Errc::wrong_state));
}

// SPEC stt.md#responder
TEST(SttResponder, ForgetsAHelloWhenItsTimestampIsOutOfTimeAnyway) {
  World world;
  world.config_r.limits.hello_memory_entries = 2;
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(world.deliver(world.hello([](detail::Hello&) {})));
  world.now += 239s;
  EXPECT_EQ(world.deliver(world.hello([](detail::Hello&) {})), fail(Errc::too_many_handshakes));
  world.now += 1s;
  EXPECT_TRUE(world.deliver(world.hello([](detail::Hello&) {})));
}

// SPEC stt.md#responder
TEST(SttResponder, AsksForACookieWhereTheClocksAreTwoMinutesApartEitherWay) {
  for (const std::int64_t apart : {-120001, -120000, 0, 120000, 120001}) {
    World world;
    Initiator initiator = world.dial();
    world.clock = static_cast<UnixMillis>(static_cast<std::int64_t>(kClock) + apart);
    EXPECT_EQ(world.gets_response(initiator), apart >= -120000 && apart <= 120000) << apart;
  }
}

// SPEC stt.md#responder
TEST(SttResponder, IsSilentToCookiesTooOnceItsPlacesAreTaken) {
  World world;
  world.config_r.limits.half_open = 1;
  Initiator first = world.dial();
  EXPECT_TRUE(world.gets_response(first));
  Initiator second = world.dial();
  const auto retry = world.deliver(World::sent(second));
  ASSERT_TRUE(retry);
  ASSERT_TRUE(world.answer(second, *retry));
  const Bytes with_cookie = World::sent(second);
  EXPECT_EQ(world.deliver(with_cookie), fail(Errc::half_open_full));
  EXPECT_EQ(world.responder->poll_timeout(), kStart + 10s);
  world.now += 10s;
  world.responder->handle_timeout(world.now);
  EXPECT_EQ(world.responder->poll_timeout(), kStart + 120s) << "the cookies' key";
  EXPECT_TRUE(world.deliver(with_cookie));
}

// SPEC stt.md#responder
TEST(SttResponder, AsksStrangersForACookieWhileItCountsForTooManyAddresses) {
  World world;
  std::uint16_t host = 0;
  const auto is_answered = [&] {
    ++host;
    const Bytes address{
        127,  0,   static_cast<std::uint8_t>(host >> 8U), static_cast<std::uint8_t>(host & 0xFFU),
        0x23, 0xfa};
    const Bytes hello = world.hello([](detail::Hello& made) { made.timestamp = kClock; });
    const auto reply = world.deliver(hello, address);
    return reply && detail::message_type(tlv_of(*reply)) == "RESPONSE";
  };
  world.clock += 600'000;  // so that nobody is answered, only counted
  for (int i = 0; i < 4095; ++i) ASSERT_FALSE(is_answered()) << i;
  world.clock = kClock;
  EXPECT_TRUE(is_answered());
  EXPECT_FALSE(is_answered());
  world.now += 999ms;
  EXPECT_FALSE(is_answered());
  world.now += 1ms;
  EXPECT_TRUE(is_answered()) << "those who were quiet for a second are forgotten";
}

// SPEC stt.md#responder
TEST(SttResponder, RepeatsFinalToTheSameProofFromTheSamePlace) {
  World world;
  Initiator initiator = world.dial();
  ASSERT_TRUE(world.answer(initiator, world.deliver(World::sent(initiator)).value()));
  const Bytes proof = World::sent(initiator);
  EXPECT_EQ(world.deliver(proof, kElsewhere), fail(Errc::wrong_state));
  const auto last = world.deliver(proof);
  ASSERT_TRUE(last);
  EXPECT_EQ(world.deliver(proof), last);
  EXPECT_EQ(world.deliver(proof, kElsewhere), fail(Errc::wrong_state));
  const SessionId id = id_of(proof);
  EXPECT_EQ(world.deliver(frame_of(FrameType::auth, id,
                                   with_field(tlv_of(proof), "proof", Value::bytes(Bytes(24))))),
            fail(Errc::wrong_state));
  world.responder->release(id);
  EXPECT_EQ(world.deliver(proof), fail(Errc::wrong_state)) << "the session is over";
}

// SPEC stt.md#responder
TEST(SttResponder, TakesProofsUnderTheirOwnSessionAlone) {
  World world;
  Initiator initiator = world.dial();
  ASSERT_TRUE(world.answer(initiator, world.deliver(World::sent(initiator)).value()));
  const Bytes tlv = tlv_of(World::sent(initiator));
  EXPECT_EQ(world.deliver(frame_of(FrameType::auth, {7}, tlv)), fail(Errc::bad_handshake_message));
  EXPECT_EQ(world.deliver(frame_of(FrameType::auth, {7},
                                   with_field(tlv, "session_id", Value::bytes(SessionId{7})))),
            fail(Errc::wrong_state));
}

// SPEC stt.md#initiator
TEST(SttInitiator, PassesOverWhatIsNoAnswerToItsHello) {
  World world;
  world.transport = Transport::udp;
  Initiator initiator = world.dial();
  const auto response = world.deliver(World::sent(initiator));
  ASSERT_TRUE(response);
  const SessionId id = id_of(*response);
  const Bytes tlv = tlv_of(*response);
  const auto answer_with = [&](const Bytes& changed) {
    return world.answer(initiator, frame_of(FrameType::handshake, id, changed));
  };
  EXPECT_FALSE(initiator.last_fault());
  EXPECT_EQ(world.answer(initiator, frame_of(FrameType::handshake, {7}, tlv)),
            fail(Errc::wrong_state));
  EXPECT_EQ(world.answer(initiator, frame_of(FrameType::auth, id, tlv)), fail(Errc::wrong_state));
  EXPECT_EQ(answer_with(Value::dict({{"type", Value::text("RETRY")}}).encode()),
            fail(Errc::bad_handshake_message));
  EXPECT_EQ(answer_with(Value::list({}).encode()), fail(Errc::bad_handshake_message));
  EXPECT_EQ(answer_with(with_field(tlv, "eph", std::nullopt)), fail(Errc::bad_handshake_message))
      << "eph iff sent";
  EXPECT_EQ(answer_with(with_field(tlv, "eph", Value::bytes(Bytes(32)))), fail(Errc::dh_all_zero));
  EXPECT_EQ(answer_with(with_field(tlv, "node_id", Value::bytes(world.config_i.node_id))),
            fail(Errc::own_node));
  EXPECT_EQ(answer_with(with_field(tlv, "challenge", Value::bytes(Bytes(80)))),
            fail(Errc::answer_not_authentic));
  EXPECT_EQ(initiator.last_fault(), Error{Errc::answer_not_authentic});
  EXPECT_FALSE(initiator.has_proved());
  // None of it stops the honest answer.
  EXPECT_TRUE(world.answer(initiator, *response));
  EXPECT_TRUE(initiator.has_proved());
}

// SPEC stt.md#initiator
TEST(SttInitiator, WithoutAnEphemeralTakesNone) {
  World world;
  world.config_i.ephemeral = false;
  Initiator initiator = world.dial();
  const auto response = world.deliver(World::sent(initiator));
  ASSERT_TRUE(response);
  const Bytes changed = with_field(tlv_of(*response), "eph", Value::bytes(Bytes(32, 9)));
  EXPECT_EQ(world.answer(initiator, frame_of(FrameType::handshake, id_of(*response), changed)),
            fail(Errc::bad_handshake_message));
  EXPECT_TRUE(world.answer(initiator, *response));
}

// SPEC stt.md#initiator
TEST(SttInitiator, IsDoneByItsOwnFinalAlone) {
  World world;
  Initiator initiator = world.dial();
  const auto response = world.deliver(World::sent(initiator));
  ASSERT_TRUE(world.answer(initiator, *response));
  const auto last = world.deliver(World::sent(initiator));
  ASSERT_TRUE(last);
  const SessionId id = id_of(*last);
  const Bytes tlv = tlv_of(*last);
  EXPECT_EQ(world.answer(initiator, *response), fail(Errc::wrong_state));
  EXPECT_EQ(world.answer(initiator, frame_of(FrameType::auth, {7}, tlv)), fail(Errc::wrong_state));
  EXPECT_EQ(world.answer(initiator, frame_of(FrameType::auth, id,
                                             with_field(tlv, "confirm", Value::bytes(Bytes(32))))),
            fail(Errc::answer_not_authentic));
  EXPECT_EQ(
      world.answer(initiator, frame_of(FrameType::auth, id,
                                       with_field(tlv, "session_id", Value::bytes(SessionId{7})))),
      fail(Errc::answer_not_authentic));
  EXPECT_FALSE(initiator.is_done());
  EXPECT_TRUE(world.answer(initiator, *last));
  EXPECT_TRUE(initiator.is_done());
  EXPECT_TRUE(initiator.has_proved());
  EXPECT_EQ(world.answer(initiator, *last), fail(Errc::wrong_state));
  // Its time has no meaning any more.
  EXPECT_EQ(initiator.poll_timeout(), std::nullopt);
  initiator.handle_timeout(kStart + 1h);
  EXPECT_TRUE(initiator.is_done());
}

// SPEC stt.md#initiator
TEST(SttInitiator, OverWebSocketRepeatsNothingAndGivesUpAfterTenSeconds) {
  World world;
  Initiator initiator = world.dial();
  EXPECT_FALSE(World::sent(initiator).empty());
  EXPECT_EQ(initiator.poll_timeout(), kStart + 10s);
  initiator.handle_timeout(kStart + 9999ms);
  EXPECT_TRUE(World::sent(initiator).empty());
  EXPECT_FALSE(initiator.has_failed());
  initiator.handle_timeout(kStart + 10s);
  EXPECT_TRUE(initiator.has_failed());
  EXPECT_EQ(initiator.poll_timeout(), std::nullopt);
}

}  // namespace
}  // namespace sealine::stt
