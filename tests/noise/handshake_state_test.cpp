#include "sealine/noise/handshake_state.hpp"

#include "sealine/base/writer.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/noise/pattern.hpp"
#include "support/engines.hpp"
#include "support/fixed_rng.hpp"
#include "support/hex.hpp"
#include "support/vectors.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace sealine::noise {
namespace {

using crypto::KeyPair;
using crypto::PrivateKey;
using crypto::Psk;
using crypto::PublicKey;
using test::Bytes;
using test::FixedRng;
using test::from_hex;
using test::to_hex;

// --- Patterns beyond those that ship, written as the specification writes them

struct Row {
  std::string_view name;
  std::string_view initiator_pre_message;
  std::string_view responder_pre_message;
  std::vector<std::string_view> messages;
};

// Sections 7.4 and 7.5, and the deferred patterns of appendix 18.1.
const std::vector<Row>& pattern_rows() {
  static const std::vector<Row> rows{
      {"N", "", "s", {"e es"}},
      {"K", "s", "s", {"e es ss"}},
      {"X", "", "s", {"e es s ss"}},
      {"NN", "", "", {"e", "e ee"}},
      {"NK", "", "s", {"e es", "e ee"}},
      {"NX", "", "", {"e", "e ee s es"}},
      {"XN", "", "", {"e", "e ee", "s se"}},
      {"XK", "", "s", {"e es", "e ee", "s se"}},
      {"XX", "", "", {"e", "e ee s es", "s se"}},
      {"KN", "s", "", {"e", "e ee se"}},
      {"KK", "s", "s", {"e es ss", "e ee se"}},
      {"KX", "s", "", {"e", "e ee se s es"}},
      {"IN", "", "", {"e s", "e ee se"}},
      {"IK", "", "s", {"e es s ss", "e ee se"}},
      {"IX", "", "", {"e s", "e ee se s es"}},
      {"NK1", "", "s", {"e", "e ee es"}},
      {"NX1", "", "", {"e", "e ee s", "es"}},
      {"X1N", "", "", {"e", "e ee", "s", "se"}},
      {"X1K", "", "s", {"e es", "e ee", "s", "se"}},
      {"XK1", "", "s", {"e", "e ee es", "s se"}},
      {"X1K1", "", "s", {"e", "e ee es", "s", "se"}},
      {"X1X", "", "", {"e", "e ee s es", "s", "se"}},
      {"XX1", "", "", {"e", "e ee s", "es s se"}},
      {"X1X1", "", "", {"e", "e ee s", "es s", "se"}},
      {"K1N", "s", "", {"e", "e ee", "se"}},
      {"K1K", "s", "s", {"e es", "e ee", "se"}},
      {"KK1", "s", "s", {"e", "e ee se es"}},
      {"K1K1", "s", "s", {"e", "e ee es", "se"}},
      {"K1X", "s", "", {"e", "e ee s es", "se"}},
      {"KX1", "s", "", {"e", "e ee se s", "es"}},
      {"K1X1", "s", "", {"e", "e ee s", "se es"}},
      {"I1N", "", "", {"e s", "e ee", "se"}},
      {"I1K", "", "s", {"e es s", "e ee", "se"}},
      {"IK1", "", "s", {"e s", "e ee se es"}},
      {"I1K1", "", "s", {"e s", "e ee es", "se"}},
      {"I1X", "", "", {"e s", "e ee s es", "se"}},
      {"IX1", "", "", {"e s", "e ee se s", "es"}},
      {"I1X1", "", "", {"e s", "e ee s", "se es"}},
  };
  return rows;
}

const std::vector<std::pair<std::string_view, const Pattern*>>& shipped_patterns() {
  using namespace patterns;
  static const std::vector<std::pair<std::string_view, const Pattern*>> shipped{
      {"NN", &nn},          {"NX", &nx},         {"NK", &nk},          {"IK", &ik},
      {"XX", &xx},          {"KK", &kk},         {"NNpsk0", &nn_psk0}, {"NNpsk2", &nn_psk2},
      {"NKpsk2", &nk_psk2}, {"IKpsk2", &ik_psk2}};
  return shipped;
}

std::vector<Token> parse_tokens(std::string_view text) {
  static const std::map<std::string, Token, std::less<>> words{
      {"e", Token::e},   {"s", Token::s},   {"ee", Token::ee},
      {"es", Token::es}, {"se", Token::se}, {"ss", Token::ss}};
  std::vector<Token> tokens;
  std::istringstream in{std::string(text)};
  for (std::string word; in >> word;) tokens.push_back(words.at(word));
  return tokens;
}

// A pattern made at run time, with the memory that its spans point into.
class OwnedPattern {
 public:
  // "XXpsk0+psk3": the row XX and two modifiers.
  explicit OwnedPattern(std::string name) : name_(std::move(name)) {
    const std::size_t modifiers = std::min(name_.find("psk"), name_.size());
    const std::string base = name_.substr(0, modifiers);
    const auto row = std::ranges::find(pattern_rows(), base, &Row::name);
    if (row == pattern_rows().end()) throw std::invalid_argument("no pattern " + base);
    initiator_ = parse_tokens(row->initiator_pre_message);
    responder_ = parse_tokens(row->responder_pre_message);
    for (const std::string_view message : row->messages) messages_.push_back(parse_tokens(message));
    for (std::size_t at = modifiers; at < name_.size(); at += 5) {  // "psk0", and "+" between them
      const auto place = static_cast<std::size_t>(name_.at(at + 3) - '0');
      std::vector<Token>& message = messages_.at(place == 0 ? 0 : place - 1);
      message.insert(place == 0 ? message.begin() : message.end(), Token::psk);
      ++psks_;
    }
    views_.assign(messages_.begin(), messages_.end());
  }

  [[nodiscard]] Pattern view() const { return {name_, initiator_, responder_, views_}; }

  [[nodiscard]] std::size_t psks() const { return psks_; }

 private:
  std::string name_;
  std::vector<Token> initiator_;
  std::vector<Token> responder_;
  std::vector<std::vector<Token>> messages_;
  std::vector<std::span<const Token>> views_;
  std::size_t psks_ = 0;
};

bool same_tokens(std::span<const Token> a, std::span<const Token> b) {
  return std::ranges::equal(a, b);
}

TEST(Pattern, shipped_ones_are_those_of_the_specification) {
  for (const auto& [name, shipped] : shipped_patterns()) {
    SCOPED_TRACE(name);
    const OwnedPattern owned{std::string(name)};
    const Pattern expected = owned.view();
    EXPECT_EQ(shipped->name, name);
    EXPECT_TRUE(same_tokens(shipped->initiator_pre_message, expected.initiator_pre_message));
    EXPECT_TRUE(same_tokens(shipped->responder_pre_message, expected.responder_pre_message));
    ASSERT_EQ(shipped->messages.size(), expected.messages.size());
    for (std::size_t i = 0; i < expected.messages.size(); ++i) {
      EXPECT_TRUE(same_tokens(shipped->messages[i], expected.messages[i]));
    }
  }
}

// --- One end of a handshake with everything it needs

KeyPair pair_from_hex(crypto::Engine& engine, std::string_view hex) {
  return KeyPair::from_secret(engine, PrivateKey(test::hex_array<32>(hex)));
}

struct End {
  std::unique_ptr<FixedRng> rng =
      std::make_unique<FixedRng>();  // at one place while a handshake uses it
  Bytes prologue;
  std::optional<KeyPair> s;
  std::optional<PublicKey> rs;
  std::deque<Psk> psks;
  std::vector<const Psk*> psk_pointers;

  Result<HandshakeState> start(const Pattern& pattern, Role role, crypto::Engine& engine) {
    psk_pointers.clear();
    for (const Psk& psk : psks) psk_pointers.push_back(&psk);
    const Inputs inputs{prologue, s ? &*s : nullptr, rs, psk_pointers};
    return HandshakeState::create(pattern, role, inputs, engine, *rng);
  }
};

// What the two ends of `pattern` need, from fixed keys.
struct Ends {
  End initiator;
  End responder;
};

Ends make_ends(const Pattern& pattern, crypto::Engine& engine) {
  Ends ends;
  ends.initiator.rng->push(test::counting(32, 0x20));
  ends.responder.rng->push(test::counting(32, 0x40));
  ends.initiator.prologue = ends.responder.prologue = test::counting(24);
  ends.initiator.s = pair_from_hex(engine, to_hex(test::counting(32, 0x60)));
  ends.responder.s = pair_from_hex(engine, to_hex(test::counting(32, 0x80)));
  if (!pattern.responder_pre_message.empty()) ends.initiator.rs = ends.responder.s->public_key;
  if (!pattern.initiator_pre_message.empty()) ends.responder.rs = ends.initiator.s->public_key;
  for (const auto message : pattern.messages) {
    for (const Token token : message) {
      if (token != Token::psk) continue;
      const Psk psk(test::hex_array<32>(to_hex(test::counting(32, 0xA0))));
      ends.initiator.psks.push_back(psk.clone());
      ends.responder.psks.push_back(psk.clone());
    }
  }
  return ends;
}

class HandshakeStateTest : public test::EngineTest {};

SEALINE_FOR_EACH_ENGINE(HandshakeStateTest);

// --- The vectors of other implementations

Bytes hex_field(const nlohmann::json& vector, const char* field) {
  return vector.contains(field) ? from_hex(vector[field].get<std::string>()) : Bytes{};
}

End end_from(const nlohmann::json& vector, const std::string& side, bool knows_remote,
             crypto::Engine& engine) {
  End end;
  end.prologue = hex_field(vector, (side + "_prologue").c_str());
  end.rng->push(hex_field(vector, (side + "_ephemeral").c_str()));
  if (const auto found = vector.find(side + "_static"); found != vector.end()) {
    end.s = pair_from_hex(engine, found->get<std::string>());
  }
  if (knows_remote) {
    end.rs = PublicKey{test::hex_array<32>(vector.at(side + "_remote_static").get<std::string>())};
  }
  if (const auto found = vector.find(side + "_psks"); found != vector.end()) {
    for (const auto& psk : *found)
      end.psks.emplace_back(test::hex_array<32>(psk.get<std::string>()));
  }
  return end;
}

// A transport message of section 5.1: AES-GCM with the counter as nonce and no associated data.
Bytes transport_seal(crypto::Engine& engine, FixedView<32> key, std::uint64_t counter,
                     ByteView payload) {
  ByteArray<12> nonce{};
  std::ranges::copy(be_bytes(counter), nonce.begin() + 4);
  Bytes sealed(payload.size() + crypto::kTagBytes);
  engine.gcm_seal(key, nonce, {}, payload, sealed);
  return sealed;
}

// Runs both ends of one vector and compares every message, the payloads as read, and the hash.
void check_vector(const nlohmann::json& vector, crypto::Engine& engine) {
  const auto protocol = vector.at("protocol_name").get<std::string>();
  SCOPED_TRACE(protocol);
  const std::string name = protocol.substr(6, protocol.find('_', 6) - 6);
  const OwnedPattern owned(name);
  // A pattern that ships is tested as it ships.
  const auto shipped = std::ranges::find(shipped_patterns(), name,
                                         &std::pair<std::string_view, const Pattern*>::first);
  const Pattern pattern = shipped == shipped_patterns().end() ? owned.view() : *shipped->second;

  End initiator = end_from(vector, "init", !pattern.responder_pre_message.empty(), engine);
  End responder = end_from(vector, "resp", !pattern.initiator_pre_message.empty(), engine);
  auto left = initiator.start(pattern, Role::initiator, engine);
  auto right = responder.start(pattern, Role::responder, engine);
  ASSERT_TRUE(left);
  ASSERT_TRUE(right);

  const auto& messages = vector.at("messages");
  ASSERT_GE(messages.size(), pattern.messages.size());
  for (std::size_t i = 0; i < pattern.messages.size(); ++i) {
    SCOPED_TRACE(i);
    HandshakeState& writer = i % 2 == 0 ? *left : *right;
    HandshakeState& reader = i % 2 == 0 ? *right : *left;
    const Bytes payload = hex_field(messages[i], "payload");
    const Bytes expected = hex_field(messages[i], "ciphertext");
    ASSERT_TRUE(writer.is_our_turn());
    ASSERT_FALSE(reader.is_our_turn());
    EXPECT_EQ(writer.next_overhead() + payload.size(), expected.size());
    EXPECT_EQ(reader.next_overhead(), writer.next_overhead());
    Bytes message(expected.size());
    const auto written = writer.write_message(payload, message);
    ASSERT_TRUE(written);
    ASSERT_EQ(*written, expected.size());
    ASSERT_EQ(to_hex(message), to_hex(expected));
    Bytes opened(payload.size());
    const auto read = reader.read_message(message, opened);
    ASSERT_TRUE(read);
    ASSERT_EQ(*read, payload.size());
    EXPECT_EQ(opened, payload);
  }
  ASSERT_TRUE(left->is_finished());
  ASSERT_TRUE(right->is_finished());
  EXPECT_EQ(to_hex(left->hash()), to_hex(right->hash()));
  if (vector.contains("handshake_hash")) {
    EXPECT_EQ(to_hex(left->hash()), vector.at("handshake_hash").get<std::string>());
  }

  const auto ours = std::move(*left).split();
  const auto theirs = std::move(*right).split();
  ASSERT_TRUE(ours);
  ASSERT_TRUE(theirs);
  EXPECT_EQ(to_hex(ours->initiator_to_responder.expose()),
            to_hex(theirs->initiator_to_responder.expose()));
  EXPECT_EQ(to_hex(ours->responder_to_initiator.expose()),
            to_hex(theirs->responder_to_initiator.expose()));

  // Transport messages go on in turn; a one-way pattern (7.4) has none of the responder.
  const bool one_way = pattern.messages.size() == 1;
  std::array<std::uint64_t, 2> counters{};
  for (std::size_t i = pattern.messages.size(); i < messages.size(); ++i) {
    const std::size_t side = one_way ? 0 : i % 2;
    const auto key =
        side == 0 ? ours->initiator_to_responder.expose() : ours->responder_to_initiator.expose();
    EXPECT_EQ(
        to_hex(transport_seal(engine, key, counters.at(side)++, hex_field(messages[i], "payload"))),
        messages[i].at("ciphertext").get<std::string>());
  }
}

std::size_t check_vectors(const nlohmann::json& file, crypto::Engine& engine) {
  std::size_t count = 0;
  for (const auto& vector : file.at("vectors")) {
    if (!vector.at("protocol_name").get<std::string>().ends_with("_25519_AESGCM_SHA256")) continue;
    check_vector(vector, engine);
    ++count;
  }
  return count;
}

TEST_P(HandshakeStateTest, agrees_with_all_vectors_of_cacophony) {
  SEALINE_LOAD_OR_SKIP(file, "noise/cacophony.txt");
  const std::size_t count = check_vectors(file, engine());
  EXPECT_EQ(count, 59U);
  test::report_vectors("noise", "cacophony", count);
}

TEST_P(HandshakeStateTest, agrees_with_all_vectors_of_snow) {
  SEALINE_LOAD_OR_SKIP(file, "noise/snow.txt");
  const std::size_t count = check_vectors(file, engine());
  EXPECT_EQ(count, 51U);
  test::report_vectors("noise", "snow", count);
}

// --- What a handshake refuses

constexpr std::string_view kPayload = "payload";

// What became of a handshake whose messages went through `meddle`.
struct Outcome {
  std::optional<Error> error;
  bool both_finished = false;
  bool same_hash = false;
};

template <class Meddle>
Outcome run(Ends& ends, const Pattern& pattern, crypto::Engine& engine, Meddle meddle) {
  auto left = ends.initiator.start(pattern, Role::initiator, engine);
  auto right = ends.responder.start(pattern, Role::responder, engine);
  if (!left || !right) return {!left ? left.error() : right.error()};
  for (std::size_t i = 0; i < pattern.messages.size(); ++i) {
    HandshakeState& writer = i % 2 == 0 ? *left : *right;
    HandshakeState& reader = i % 2 == 0 ? *right : *left;
    Bytes message(writer.next_overhead() + kPayload.size());
    if (const auto written = writer.write_message(as_bytes(kPayload), message); !written)
      return {written.error()};
    meddle(i, message);
    Bytes payload(message.size());
    if (const auto read = reader.read_message(message, payload); !read) return {read.error()};
  }
  return {std::nullopt, left->is_finished() && right->is_finished(),
          std::ranges::equal(left->hash(), right->hash())};
}

void leave_alone(std::size_t, Bytes&) {}

std::vector<std::size_t> message_sizes(const Pattern& pattern, crypto::Engine& engine) {
  std::vector<std::size_t> sizes;
  Ends ends = make_ends(pattern, engine);
  run(ends, pattern, engine,
      [&](std::size_t, const Bytes& message) { sizes.push_back(message.size()); });
  return sizes;
}

TEST_P(HandshakeStateTest, ends_agree_in_every_shipped_pattern) {
  for (const auto& [name, pattern] : shipped_patterns()) {
    Ends ends = make_ends(*pattern, engine());
    const Outcome outcome = run(ends, *pattern, engine(), leave_alone);
    EXPECT_TRUE(outcome.both_finished && outcome.same_hash) << name;
  }
}

// An altered byte is met by a tag in the same message or in a later one; in a last message of a
// pattern all is sealed or hashed into a seal. Nobody ends with a view of the transcript that the
// other has not.
TEST_P(HandshakeStateTest, never_agrees_on_an_altered_message) {
  for (const auto& [name, pattern] : shipped_patterns()) {
    const auto sizes = message_sizes(*pattern, engine());
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      for (std::size_t at = 0; at < sizes[i]; ++at) {
        Ends ends = make_ends(*pattern, engine());
        const Outcome outcome =
            run(ends, *pattern, engine(), [&](std::size_t index, Bytes& message) {
              if (index == i) message[at] ^= static_cast<std::uint8_t>(1U << (at % 8));
            });
        ASSERT_FALSE(outcome.both_finished) << name << " message " << i << " byte " << at;
        ASSERT_TRUE(outcome.error && (outcome.error->code == Errc::tag_mismatch));
      }
    }
  }
}

TEST_P(HandshakeStateTest, never_agrees_on_a_truncated_message) {
  for (const auto& [name, pattern] : shipped_patterns()) {
    const auto sizes = message_sizes(*pattern, engine());
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      for (std::size_t size = 0; size < sizes[i]; ++size) {
        Ends ends = make_ends(*pattern, engine());
        const Outcome outcome =
            run(ends, *pattern, engine(), [&](std::size_t index, Bytes& message) {
              if (index == i) message.resize(size);
            });
        ASSERT_FALSE(outcome.both_finished) << name << " message " << i << " of " << size;
        const bool only_payload_is_cut = size >= sizes[i] - kPayload.size();
        const Errc expected =
            only_payload_is_cut ? Errc::tag_mismatch : Errc::bad_handshake_message;
        ASSERT_EQ(outcome.error->code, expected);
      }
    }
  }
}

TEST_P(HandshakeStateTest, refuses_low_order_keys) {
  for (const auto& [name, pattern] : shipped_patterns()) {
    for (std::size_t i = 0; i < 2; ++i) {
      Ends ends = make_ends(*pattern, engine());
      const Outcome outcome = run(ends, *pattern, engine(), [&](std::size_t index, Bytes& message) {
        if (index == i) std::fill_n(message.begin(), 32, std::uint8_t{0});
      });
      ASSERT_TRUE(outcome.error) << name;
      // In psk0 and in messages that seal the payload before the first DH with this key, the tag
      // comes first.
      EXPECT_EQ(outcome.error->code,
                name.starts_with("NNpsk") && i == 0 ? Errc::tag_mismatch : Errc::dh_all_zero)
          << name;
    }
  }
}

TEST_P(HandshakeStateTest, refuses_another_prologue) {
  for (const auto& [name, pattern] : shipped_patterns()) {
    Ends ends = make_ends(*pattern, engine());
    ends.responder.prologue.back() ^= 1U;
    const Outcome outcome = run(ends, *pattern, engine(), leave_alone);
    ASSERT_TRUE(outcome.error) << name;
    EXPECT_EQ(outcome.error->code, Errc::tag_mismatch) << name;
  }
}

TEST_P(HandshakeStateTest, refuses_another_psk) {
  for (const Pattern* pattern :
       {&patterns::nn_psk0, &patterns::nn_psk2, &patterns::nk_psk2, &patterns::ik_psk2}) {
    Ends ends = make_ends(*pattern, engine());
    ends.responder.psks.front().writable()[31] ^= 1U;
    const Outcome outcome = run(ends, *pattern, engine(), leave_alone);
    ASSERT_TRUE(outcome.error) << pattern->name;
    EXPECT_EQ(outcome.error->code, Errc::tag_mismatch) << pattern->name;
  }
}

TEST_P(HandshakeStateTest, refuses_to_start_without_what_the_pattern_needs) {
  const auto refused = [this](const Pattern& pattern, auto spoil) {
    Ends ends = make_ends(pattern, engine());
    spoil(ends);
    const auto left = ends.initiator.start(pattern, Role::initiator, engine());
    const auto right = ends.responder.start(pattern, Role::responder, engine());
    const Error expected{Errc::bad_configuration};
    return (!left && left.error() == expected) + 2 * (!right && right.error() == expected);
  };
  const auto no_static = [](Ends& ends) {
    ends.initiator.s.reset();
    ends.responder.s.reset();
  };
  const auto no_remote = [](Ends& ends) {
    ends.initiator.rs.reset();
    ends.responder.rs.reset();
  };
  const auto no_psk = [](Ends& ends) {
    ends.initiator.psks.clear();
    ends.responder.psks.clear();
  };
  const auto remote_for_nothing = [](Ends& ends) {
    ends.initiator.rs = ends.responder.rs = PublicKey{};
  };
  EXPECT_EQ(refused(patterns::nn, no_static), 0);
  EXPECT_EQ(refused(patterns::nx, no_static), 2);
  EXPECT_EQ(refused(patterns::nk, no_static), 2);
  EXPECT_EQ(refused(patterns::ik, no_static), 3);
  EXPECT_EQ(refused(patterns::xx, no_static), 3);
  EXPECT_EQ(refused(patterns::kk, no_static), 3);
  EXPECT_EQ(refused(patterns::nk, no_remote), 1);
  EXPECT_EQ(refused(patterns::ik, no_remote), 1);
  EXPECT_EQ(refused(patterns::kk, no_remote), 3);
  EXPECT_EQ(refused(patterns::xx, remote_for_nothing), 3);
  EXPECT_EQ(refused(patterns::nn_psk0, no_psk), 3);
  EXPECT_EQ(refused(patterns::ik_psk2, no_psk), 3);
  EXPECT_EQ(refused(patterns::nn, [](Ends& ends) { ends.initiator.psks.emplace_back(); }), 1);
}

TEST_P(HandshakeStateTest, a_failed_handshake_stays_failed_and_forgets) {
  Ends ends = make_ends(patterns::nx, engine());
  auto left = ends.initiator.start(patterns::nx, Role::initiator, engine());
  auto right = ends.responder.start(patterns::nx, Role::responder, engine());
  Bytes first(left->next_overhead());
  ASSERT_TRUE(left->write_message({}, first));
  Bytes nothing;
  ASSERT_TRUE(right->read_message(first, nothing));
  Bytes second(right->next_overhead());
  ASSERT_TRUE(right->write_message({}, second));
  Bytes forged = second;
  forged.back() ^= 1U;
  EXPECT_EQ(left->read_message(forged, nothing).error().code, Errc::tag_mismatch);
  EXPECT_EQ(left->read_message(second, nothing).error().code, Errc::wrong_state);
  EXPECT_FALSE(left->is_our_turn());
  EXPECT_FALSE(left->is_finished());
  EXPECT_FALSE(left->remote_static());
  EXPECT_EQ(left->next_overhead(), 0U);
  EXPECT_EQ(left->local_ephemeral(), PublicKey{});
  EXPECT_FALSE(std::ranges::equal(left->chaining_key(), right->chaining_key()));
  EXPECT_EQ(std::move(*left).split().error().code, Errc::wrong_state);
}

TEST_P(HandshakeStateTest, acts_only_in_its_turn_and_a_wrong_call_does_no_harm) {
  Ends ends = make_ends(patterns::nn, engine());
  auto left = ends.initiator.start(patterns::nn, Role::initiator, engine());
  auto right = ends.responder.start(patterns::nn, Role::responder, engine());
  Bytes first(left->next_overhead());
  Bytes nothing;
  EXPECT_EQ(left->read_message(first, nothing).error().code, Errc::wrong_state);
  EXPECT_EQ(right->write_message({}, first).error().code, Errc::wrong_state);
  ASSERT_TRUE(left->write_message({}, first));
  ASSERT_TRUE(right->read_message(first, nothing));
  Bytes second(right->next_overhead());
  ASSERT_TRUE(right->write_message({}, second));
  EXPECT_EQ(right->write_message({}, second).error().code, Errc::wrong_state);
  ASSERT_TRUE(left->read_message(second, nothing));
  EXPECT_TRUE(left->is_finished());
  EXPECT_FALSE(left->is_our_turn());
  EXPECT_EQ(left->write_message({}, second).error().code, Errc::wrong_state);
}

TEST_P(HandshakeStateTest, splits_only_when_finished) {
  Ends ends = make_ends(patterns::nn, engine());
  auto left = ends.initiator.start(patterns::nn, Role::initiator, engine());
  EXPECT_EQ(std::move(*left).split().error().code, Errc::wrong_state);
}

TEST_P(HandshakeStateTest, refuses_buffers_that_are_too_small) {
  Ends ends = make_ends(patterns::nn, engine());
  auto left = ends.initiator.start(patterns::nn, Role::initiator, engine());
  Bytes small(31);
  EXPECT_EQ(left->write_message({}, small).error().code, Errc::out_of_space);

  Ends more = make_ends(patterns::nn, engine());
  auto writer = more.initiator.start(patterns::nn, Role::initiator, engine());
  auto reader = more.responder.start(patterns::nn, Role::responder, engine());
  Bytes message(32 + 8);
  ASSERT_TRUE(writer->write_message(test::counting(8), message));
  Bytes payload(7);
  EXPECT_EQ(reader->read_message(message, payload).error().code, Errc::out_of_space);
}

TEST_P(HandshakeStateTest, keeps_to_the_length_limit_of_noise) {
  Ends ends = make_ends(patterns::nn, engine());
  auto left = ends.initiator.start(patterns::nn, Role::initiator, engine());
  auto right = ends.responder.start(patterns::nn, Role::responder, engine());
  Bytes message(kMaxMessageBytes + 1);
  Bytes payload(kMaxMessageBytes);
  EXPECT_EQ(left->write_message(Bytes(kMaxMessageBytes - 31), message).error().code,
            Errc::out_of_space);
  EXPECT_EQ(right->read_message(message, payload).error().code, Errc::bad_handshake_message);

  Ends exact = make_ends(patterns::nn, engine());
  auto writer = exact.initiator.start(patterns::nn, Role::initiator, engine());
  auto reader = exact.responder.start(patterns::nn, Role::responder, engine());
  const auto written = writer->write_message(Bytes(kMaxMessageBytes - 32), message);
  ASSERT_TRUE(written);
  EXPECT_EQ(*written, kMaxMessageBytes);
  EXPECT_TRUE(reader->read_message(ByteView(message).first(*written), payload));
}

TEST_P(HandshakeStateTest, an_ephemeral_made_early_is_the_one_that_is_sent) {
  Ends ends = make_ends(patterns::nn, engine());
  auto left = ends.initiator.start(patterns::nn, Role::initiator, engine());
  const PublicKey early = left->prepare_ephemeral();
  EXPECT_EQ(left->prepare_ephemeral(), early);
  EXPECT_EQ(left->local_ephemeral(), early);
  Bytes message(32);
  ASSERT_TRUE(left->write_message({}, message));
  EXPECT_EQ(to_hex(message), to_hex(early.bytes));
  EXPECT_EQ(ends.initiator.rng->remaining(), 0U);
}

TEST_P(HandshakeStateTest, tells_the_keys_of_the_peer_once_they_are_authentic) {
  Ends ends = make_ends(patterns::xx, engine());
  auto left = ends.initiator.start(patterns::xx, Role::initiator, engine());
  auto right = ends.responder.start(patterns::xx, Role::responder, engine());
  Bytes message(left->next_overhead());
  Bytes nothing;
  ASSERT_TRUE(left->write_message({}, message));
  ASSERT_TRUE(right->read_message(message, nothing));
  EXPECT_EQ(right->remote_ephemeral(), left->local_ephemeral());
  EXPECT_FALSE(left->remote_static());
  message.resize(right->next_overhead());
  ASSERT_TRUE(right->write_message({}, message));
  ASSERT_TRUE(left->read_message(message, nothing));
  EXPECT_EQ(left->remote_static(), ends.responder.s->public_key);
  EXPECT_FALSE(right->remote_static());
  message.resize(left->next_overhead());
  ASSERT_TRUE(left->write_message({}, message));
  ASSERT_TRUE(right->read_message(message, nothing));
  EXPECT_EQ(right->remote_static(), ends.initiator.s->public_key);
}

}  // namespace
}  // namespace sealine::noise
