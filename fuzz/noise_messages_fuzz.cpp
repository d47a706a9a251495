// A handshake of any shipped pattern in which one message is altered. The harness owns the keys of
// both ends, so that the alteration reaches the tokens behind the first tag. Nobody may end in
// agreement about an altered message.
//
// Input: pattern, index of the message, kind of alteration, then its bytes.
#include "sealine/base/assert.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/base/reader.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/crypto/x25519.hpp"
#include "sealine/noise/handshake_state.hpp"
#include "sealine/noise/pattern.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace {

using namespace sealine;
using Message = std::vector<std::uint8_t>;

constexpr std::array kPatterns{&noise::patterns::nn,      &noise::patterns::nx,
                               &noise::patterns::nk,      &noise::patterns::ik,
                               &noise::patterns::xx,      &noise::patterns::kk,
                               &noise::patterns::nn_psk0, &noise::patterns::nn_psk2,
                               &noise::patterns::nk_psk2, &noise::patterns::ik_psk2};

// Counts: the same handshake for the same input.
class CountingRng final : public crypto::Rng {
 public:
  explicit CountingRng(std::uint8_t first) : next_(first) {}

  void fill(MutableBytes out) override {
    for (std::uint8_t& byte : out) byte = next_++;
  }

 private:
  std::uint8_t next_;
};

enum class Alteration : std::uint8_t { replace, flip, cut, append, count_ };

Message altered(const Message& honest, Alteration alteration, ByteView how) {
  Message message = honest;
  switch (alteration) {
    case Alteration::replace:
      message.assign(how.begin(), how.end());
      break;
    case Alteration::flip:
      for (std::size_t i = 0; i + 1 < how.size(); i += 2)
        message[how[i] % message.size()] ^= how[i + 1];
      break;
    case Alteration::cut:
      message.resize(how.empty() ? 0 : how[0] % message.size());
      break;
    case Alteration::append:
      message.insert(message.end(), how.begin(), how.end());
      break;
    case Alteration::count_:
      break;
  }
  return message;
}

struct Keys {
  crypto::KeyPair initiator;
  crypto::KeyPair responder;
  std::span<const crypto::Psk* const> psks;
};

noise::HandshakeState start(const noise::Pattern& pattern, noise::Role role, const Keys& keys,
                            crypto::Engine& engine, crypto::Rng& rng) {
  const bool is_initiator = role == noise::Role::initiator;
  const auto known = is_initiator ? pattern.responder_pre_message : pattern.initiator_pre_message;
  const crypto::KeyPair& ours = is_initiator ? keys.initiator : keys.responder;
  const crypto::KeyPair& theirs = is_initiator ? keys.responder : keys.initiator;
  noise::Inputs inputs;
  inputs.local_static = &ours;
  if (!known.empty()) inputs.remote_static = theirs.public_key;
  if (pattern.name.find("psk") != std::string_view::npos) inputs.psks = keys.psks;
  return noise::HandshakeState::create(pattern, role, inputs, engine, rng).value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::unique_ptr<crypto::Engine> engine =
      crypto::make_engine(crypto::EngineChoice::openssl).value();
  Reader input{ByteView(data, size)};
  const auto choice = input.fixed<3>();
  if (!choice) return 0;
  const noise::Pattern& pattern = *kPatterns[(*choice)[0] % kPatterns.size()];
  const std::size_t target = (*choice)[1] % pattern.messages.size();
  const auto alteration =
      static_cast<Alteration>((*choice)[2] % static_cast<std::uint8_t>(Alteration::count_));

  CountingRng left_rng(1);
  CountingRng right_rng(101);
  const crypto::Psk psk;
  const std::array<const crypto::Psk*, 1> psks{&psk};
  const Keys keys{crypto::KeyPair::generate(*engine, left_rng),
                  crypto::KeyPair::generate(*engine, right_rng), psks};
  noise::HandshakeState left = start(pattern, noise::Role::initiator, keys, *engine, left_rng);
  noise::HandshakeState right = start(pattern, noise::Role::responder, keys, *engine, right_rng);
  bool is_honest = true;
  for (std::size_t i = 0; i < pattern.messages.size(); ++i) {
    noise::HandshakeState& writer = i % 2 == 0 ? left : right;
    noise::HandshakeState& reader = i % 2 == 0 ? right : left;
    const Message payload(34, 0x50);
    Message message(writer.next_overhead() + payload.size());
    if (!writer.write_message(payload, message)) {
      SEALINE_ASSERT(!is_honest);  // a key of small order came in
      return 0;
    }
    if (i == target) {
      const Message other = altered(message, alteration, input.rest());
      is_honest = other == message;
      message = other;
    }
    Message read(message.size());
    if (const auto length = reader.read_message(message, read); !length) {
      SEALINE_ASSERT(!is_honest);
      // Failed once is failed for good.
      SEALINE_ASSERT(reader.read_message(message, read).error().code == Errc::wrong_state);
      SEALINE_ASSERT(!reader.is_finished() && !reader.is_our_turn());
      return 0;
    }
  }
  const bool agree =
      left.is_finished() && right.is_finished() && std::ranges::equal(left.hash(), right.hash());
  SEALINE_ASSERT(agree == is_honest);
  return 0;
}
