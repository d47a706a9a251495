#include "sealine/noise/handshake_state.hpp"

#include "noise/detail/symmetric_state.hpp"
#include "sealine/base/assert.hpp"

#include <algorithm>
#include <string>

namespace sealine::noise {
namespace {

using crypto::KeyPair;
using crypto::PublicKey;
using crypto::SharedSecret;
using detail::SymmetricState;

constexpr std::size_t kDhBytes = 32;

using Tokens = std::span<const Token>;

bool contains(Tokens tokens, Token wanted) {
  return std::ranges::find(tokens, wanted) != tokens.end();
}

std::size_t psk_count(const Pattern& pattern) {
  std::size_t count = 0;
  for (const Tokens message : pattern.messages) {
    count += static_cast<std::size_t>(std::ranges::count(message, Token::psk));
  }
  return count;
}

// Whether `role` sends its static key in one of the messages.
bool sends_static(const Pattern& pattern, Role role) {
  for (std::size_t i = 0; i < pattern.messages.size(); ++i) {
    const Role writer = i % 2 == 0 ? Role::initiator : Role::responder;
    if (writer == role && contains(pattern.messages[i], Token::s)) return true;
  }
  return false;
}

SymmetricState initialize(crypto::Engine& engine, const Pattern& pattern) {
  const std::string protocol_name = "Noise_" + std::string(pattern.name) + "_25519_AESGCM_SHA256";
  return {engine, as_bytes(protocol_name)};
}

}  // namespace

struct HandshakeState::State {
  enum class Phase : std::uint8_t { running, finished, failed };

  // What one message changes: worked on as a copy, and kept when the message was good to its end.
  struct Work {
    SymmetricState symmetric;
    std::optional<PublicKey> rs;
    std::optional<PublicKey> re;
    std::size_t psks_used;
  };

  const Pattern* pattern;
  Role role;
  crypto::Engine* engine;
  crypto::Rng* rng;
  const KeyPair* s;
  std::span<const crypto::Psk* const> psks;
  std::optional<KeyPair> e;
  Work now;
  std::size_t message_index = 0;
  Phase phase = Phase::running;

  State(const Pattern& with, Role as, const Inputs& inputs, crypto::Engine& by, crypto::Rng& random)
      : pattern(&with),
        role(as),
        engine(&by),
        rng(&random),
        s(inputs.local_static),
        psks(inputs.psks),
        now{initialize(by, with), inputs.remote_static, std::nullopt, 0} {}

  [[nodiscard]] bool uses_psk() const { return !psks.empty(); }

  [[nodiscard]] bool is_our_turn() const {
    return (message_index % 2 == 0) == (role == Role::initiator);
  }

  [[nodiscard]] Tokens tokens() const { return pattern->messages[message_index]; }

  [[nodiscard]] Work copy() const { return {now.symmetric.clone(), now.rs, now.re, now.psks_used}; }

  void make_ephemeral() {
    if (!e) e = KeyPair::generate(*engine, *rng);
  }

  void mix_pre_message(Tokens known, bool is_ours);
  Result<> mix_dh(Work& work, const KeyPair& ours, const std::optional<PublicKey>& theirs);
  Result<> mix_shared_token(Work& work, Token token);
  Result<std::size_t> write(Work& work, ByteView payload, MutableBytes out);
  Result<std::size_t> read(Work& work, ByteView message, MutableBytes payload);
  Result<std::size_t> conclude(Work&& work, Result<std::size_t> outcome);
  std::size_t overhead() const;
};

// --- Creation

Result<HandshakeState> HandshakeState::create(const Pattern& pattern, Role role,
                                              const Inputs& inputs, crypto::Engine& engine,
                                              crypto::Rng& rng) {
  const bool is_initiator = role == Role::initiator;
  const Tokens ours = is_initiator ? pattern.initiator_pre_message : pattern.responder_pre_message;
  const Tokens theirs =
      is_initiator ? pattern.responder_pre_message : pattern.initiator_pre_message;
  // Ephemeral keys in pre-messages belong to fallback patterns, which are not offered.
  if (contains(ours, Token::e) || contains(theirs, Token::e)) return fail(Errc::bad_configuration);
  const bool needs_static = contains(ours, Token::s) || sends_static(pattern, role);
  if (needs_static && inputs.local_static == nullptr) return fail(Errc::bad_configuration);
  if (contains(theirs, Token::s) != inputs.remote_static.has_value())
    return fail(Errc::bad_configuration);
  if (inputs.psks.size() != psk_count(pattern)) return fail(Errc::bad_configuration);

  auto state = std::make_unique<State>(pattern, role, inputs, engine, rng);
  state->now.symmetric.mix_hash(inputs.prologue);
  state->mix_pre_message(pattern.initiator_pre_message, is_initiator);
  state->mix_pre_message(pattern.responder_pre_message, !is_initiator);
  return HandshakeState(std::move(state));
}

HandshakeState::HandshakeState(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}

HandshakeState::HandshakeState(HandshakeState&&) noexcept = default;
HandshakeState& HandshakeState::operator=(HandshakeState&&) noexcept = default;
HandshakeState::~HandshakeState() = default;

void HandshakeState::State::mix_pre_message(Tokens known, bool is_ours) {
  if (contains(known, Token::s))
    now.symmetric.mix_hash(is_ours ? s->public_key.bytes : now.rs->bytes);
}

// --- Tokens

Result<> HandshakeState::State::mix_dh(Work& work, const KeyPair& ours,
                                       const std::optional<PublicKey>& theirs) {
  SharedSecret shared;
  SEALINE_TRY(engine->x25519(ours.secret.expose(), theirs->view(), shared.writable()));
  work.symmetric.mix_key(shared.expose());
  return {};
}

// The tokens that mean the same to writer and reader. The first letter is the initiator's key.
Result<> HandshakeState::State::mix_shared_token(Work& work, Token token) {
  const bool is_initiator = role == Role::initiator;
  switch (token) {
    case Token::ee:
      return mix_dh(work, *e, work.re);
    case Token::es:
      return is_initiator ? mix_dh(work, *e, work.rs) : mix_dh(work, *s, work.re);
    case Token::se:
      return is_initiator ? mix_dh(work, *s, work.re) : mix_dh(work, *e, work.rs);
    case Token::ss:
      return mix_dh(work, *s, work.rs);
    case Token::psk:
      work.symmetric.mix_key_and_hash(psks[work.psks_used++]->expose());
      return {};
    case Token::e:
    case Token::s:
      break;
  }
  SEALINE_ASSERT(!"a token that only one end has");
  return {};
}

Result<std::size_t> HandshakeState::State::write(Work& work, ByteView payload, MutableBytes out) {
  const std::size_t size = overhead() + payload.size();
  if (size > out.size() || size > kMaxMessageBytes) return fail(Errc::out_of_space);
  MutableBytes rest = out.first(size);
  const auto take = [&rest](std::size_t count) {
    const MutableBytes taken = rest.first(count);
    rest = rest.subspan(count);
    return taken;
  };
  for (const Token token : tokens()) {
    switch (token) {
      case Token::e:
        make_ephemeral();
        std::ranges::copy(e->public_key.bytes, take(kDhBytes).begin());
        work.symmetric.mix_hash(e->public_key.bytes);
        if (uses_psk()) work.symmetric.mix_key(e->public_key.bytes);
        break;
      case Token::s:
        work.symmetric.encrypt_and_hash(s->public_key.bytes,
                                        take(kDhBytes + work.symmetric.overhead()));
        break;
      case Token::ee:
      case Token::es:
      case Token::se:
      case Token::ss:
      case Token::psk:
        SEALINE_TRY(mix_shared_token(work, token));
        break;
    }
  }
  work.symmetric.encrypt_and_hash(payload, rest);
  return size;
}

Result<std::size_t> HandshakeState::State::read(Work& work, ByteView message,
                                                MutableBytes payload) {
  const std::size_t beside_payload = overhead();
  if (message.size() < beside_payload || message.size() > kMaxMessageBytes)
    return fail(Errc::bad_handshake_message);
  const std::size_t payload_size = message.size() - beside_payload;
  if (payload.size() < payload_size) return fail(Errc::out_of_space);
  ByteView rest = message;
  const auto take = [&rest](std::size_t count) {
    const ByteView taken = rest.first(count);
    rest = rest.subspan(count);
    return taken;
  };
  for (const Token token : tokens()) {
    switch (token) {
      case Token::e:
        std::ranges::copy(take(kDhBytes), work.re.emplace().bytes.begin());
        work.symmetric.mix_hash(work.re->bytes);
        if (uses_psk()) work.symmetric.mix_key(work.re->bytes);
        break;
      case Token::s:
        SEALINE_TRY(work.symmetric.decrypt_and_hash(take(kDhBytes + work.symmetric.overhead()),
                                                    work.rs.emplace().bytes));
        break;
      case Token::ee:
      case Token::es:
      case Token::se:
      case Token::ss:
      case Token::psk:
        SEALINE_TRY(mix_shared_token(work, token));
        break;
    }
  }
  SEALINE_TRY(work.symmetric.decrypt_and_hash(rest, payload.first(payload_size)));
  return payload_size;
}

// --- Messages

Result<std::size_t> HandshakeState::State::conclude(Work&& work, Result<std::size_t> outcome) {
  if (!outcome) {
    phase = Phase::failed;
    e.reset();
    // A state that has never seen a secret takes the place of the one that has.
    now = Work{initialize(*engine, *pattern), std::nullopt, std::nullopt, 0};
    return outcome;
  }
  now = std::move(work);
  if (++message_index == pattern->messages.size()) phase = Phase::finished;
  return outcome;
}

Result<std::size_t> HandshakeState::write_message(ByteView payload, MutableBytes out) {
  if (!is_our_turn()) return fail(Errc::wrong_state);
  State::Work work = state_->copy();
  auto written = state_->write(work, payload, out);
  return state_->conclude(std::move(work), written);
}

Result<std::size_t> HandshakeState::read_message(ByteView message, MutableBytes payload) {
  if (state_->phase != State::Phase::running || is_our_turn()) return fail(Errc::wrong_state);
  State::Work work = state_->copy();
  auto read = state_->read(work, message, payload);
  return state_->conclude(std::move(work), read);
}

crypto::PublicKey HandshakeState::prepare_ephemeral() {
  state_->make_ephemeral();
  return state_->e->public_key;
}

void HandshakeState::use_ephemeral(crypto::KeyPair fresh) {
  SEALINE_ASSERT(!state_->e);
  state_->e = std::move(fresh);
}

std::size_t HandshakeState::State::overhead() const {
  bool has_key = now.symmetric.has_key();
  std::size_t size = 0;
  for (const Token token : tokens()) {
    switch (token) {
      case Token::e:
        size += kDhBytes;
        has_key |= uses_psk();
        break;
      case Token::s:
        size += kDhBytes + (has_key ? crypto::kTagBytes : 0);
        break;
      case Token::ee:
      case Token::es:
      case Token::se:
      case Token::ss:
      case Token::psk:
        has_key = true;
        break;
    }
  }
  return size + (has_key ? crypto::kTagBytes : 0);
}

std::size_t HandshakeState::next_overhead() const noexcept {
  return state_->phase == State::Phase::running ? state_->overhead() : 0;
}

// --- What is known

bool HandshakeState::is_finished() const noexcept {
  return state_->phase == State::Phase::finished;
}

bool HandshakeState::is_our_turn() const noexcept {
  return state_->phase == State::Phase::running && state_->is_our_turn();
}

FixedView<32> HandshakeState::hash() const noexcept { return state_->now.symmetric.hash(); }

FixedView<32> HandshakeState::chaining_key() const noexcept {
  return state_->now.symmetric.chaining_key();
}

std::optional<PublicKey> HandshakeState::remote_static() const noexcept { return state_->now.rs; }

std::optional<PublicKey> HandshakeState::remote_ephemeral() const noexcept {
  return state_->now.re;
}

PublicKey HandshakeState::local_ephemeral() const noexcept {
  return state_->e ? state_->e->public_key : PublicKey{};
}

Result<SplitKeys> HandshakeState::split() && {
  const std::unique_ptr<State> ended = std::move(state_);
  if (ended == nullptr || ended->phase != State::Phase::finished) return fail(Errc::wrong_state);
  SplitKeys keys;
  ended->now.symmetric.split(keys.initiator_to_responder.writable(),
                             keys.responder_to_initiator.writable());
  return keys;
}

}  // namespace sealine::noise
