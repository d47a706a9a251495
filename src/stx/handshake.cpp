#include "sealine/stx/handshake.hpp"

#include "sealine/base/assert.hpp"
#include "sealine/base/reader.hpp"
#include "sealine/base/writer.hpp"
#include "sealine/crypto/constant_time.hpp"
#include "stx/detail/keys.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

// The flow:                                                               spec: stx.md#handshake
//   <- SH                      the server speaks first
//   -> CH CA                   CA = HMAC over th1 = H(SH||CH)
//   <- SA                      over th2 = H(th1||CA)
//   -> SKN  e_c, params        sealed under a key of th3 = H(th2||SA)
//   <- SKC  e_s, params        with th4 = H(th3||SKN) as additional data; th5 = H(th4||SKC)

namespace sealine::stx {
namespace {

using detail::Mac;
using detail::Transcript;

constexpr std::size_t kHelloBytes = 56;
constexpr std::size_t kProofBytes = 32;
constexpr std::size_t kParameterBytes = 16;
constexpr std::size_t kOfferBytes = crypto::kKeyBytes + kParameterBytes;  // e, params
constexpr std::size_t kSealedOfferBytes = kOfferBytes + crypto::kTagBytes;
constexpr std::size_t kNegotiationBytes = 4 + kSealedOfferBytes;  // SKN, SKC
constexpr std::size_t kMaxOutgoingBytes = 256;

constexpr std::array<std::uint8_t, 4> kMagic{'S', 'T', 'X', '1'};
constexpr std::uint8_t kVersion = 1;
constexpr std::uint8_t kSuite = 1;
constexpr std::uint8_t kRoleSender = 0;
constexpr std::uint8_t kZstdAccepted = 0x01;

/// SH and CH, which differ in what stands last.
///
///   0      4     5       6       7    8          40       48          56
///   +------+-----+-------+-------+----+----------+--------+-----------+
///   | STX1 | ver | flags | suite | 00 | nonce 32 | ts_ms  | 0^8, hint |
///   +------+-----+-------+-------+----+----------+--------+-----------+
struct Hello {
  ByteArray<kHelloBytes> bytes{};

  void write(UnixMillis unix_ms, FixedView<32> nonce, FixedView<8> last) {
    Writer(bytes)
        .bytes(kMagic)
        .be(kVersion)
        .be(std::uint8_t{0})
        .be(kSuite)
        .be(std::uint8_t{0})
        .bytes(nonce)
        .be(unix_ms)
        .bytes(last);
  }

  void read(FixedView<kHelloBytes> in) { std::ranges::copy(in, bytes.begin()); }

  [[nodiscard]] Result<> check() const {
    if (!std::equal(kMagic.begin(), kMagic.end(), bytes.begin()))
      return fail(Errc::bad_record_head);
    if (bytes[4] != kVersion) return fail(Errc::version_refused);
    if (bytes[6] != kSuite) return fail(Errc::mode_refused);
    if (bytes[5] != 0 || bytes[7] != 0) return fail(Errc::bad_record_head);
    return {};
  }

  [[nodiscard]] FixedView<32> nonce() const { return ByteView(bytes).subspan<8, 32>(); }

  [[nodiscard]] UnixMillis unix_ms() const {
    return Reader(ByteView(bytes).subspan<40, 8>()).be<std::uint64_t>().value();
  }

  [[nodiscard]] FixedView<8> last() const { return ByteView(bytes).subspan<48, 8>(); }
};

ByteArray<kParameterBytes> encode_parameters(const ClientParameters& parameters) {
  ByteArray<kParameterBytes> bytes{};
  Writer(bytes).be(kRoleSender).be(parameters.lane).be(std::uint16_t{0}).bytes(parameters.transfer);
  return bytes;
}

ByteArray<kParameterBytes> encode_parameters(const ServerParameters& parameters) {
  ByteArray<kParameterBytes> bytes{};
  Writer(bytes)
      .be(parameters.max_block_log2)
      .be(parameters.accepts_zstd ? kZstdAccepted : std::uint8_t{0});
  return bytes;
}

bool is_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
}

Result<ClientParameters> parse_client_parameters(FixedView<kParameterBytes> bytes) {
  if (bytes[0] != kRoleSender || bytes[1] >= kMaxLanes || !is_zero(bytes.subspan(2, 2))) {
    return fail(Errc::bad_settings);
  }
  ClientParameters parameters{.lane = bytes[1], .transfer = {}};
  std::ranges::copy(bytes.subspan(4), parameters.transfer.begin());
  return parameters;
}

Result<ServerParameters> parse_server_parameters(FixedView<kParameterBytes> bytes) {
  if (bytes[0] < kMinBlockLog2 || bytes[0] > kMaxBlockLog2 || (bytes[1] & ~kZstdAccepted) != 0 ||
      !is_zero(bytes.subspan(2))) {
    return fail(Errc::bad_settings);
  }
  return ServerParameters{.max_block_log2 = bytes[0],
                          .accepts_zstd = (bytes[1] & kZstdAccepted) != 0};
}

using Negotiation = ByteArray<kNegotiationBytes>;

Negotiation seal_offer(crypto::Engine& engine, const detail::HandshakeKey& key,
                       const Transcript& aad, const crypto::PublicKey& ephemeral,
                       FixedView<kParameterBytes> parameters) {
  Negotiation message{};
  Writer(message).be(std::uint32_t{kSealedOfferBytes}).bytes(ephemeral.bytes).bytes(parameters);
  static constexpr ByteArray<crypto::kNonceBytes> kNonce{};  // the key seals this message alone
  engine.gcm_seal(key.expose(), kNonce, aad, {}, MutableBytes(message).subspan(4));
  return message;
}

struct Offer {
  ByteArray<crypto::kKeyBytes> ephemeral{};
  ByteArray<kParameterBytes> parameters{};
};

Result<Offer> open_offer(crypto::Engine& engine, const detail::HandshakeKey& key,
                         const Transcript& aad, FixedView<kNegotiationBytes> message) {
  const auto length = Reader(message).be<std::uint32_t>();
  if (*length != kSealedOfferBytes) return fail(Errc::bad_handshake_message);
  ByteArray<kSealedOfferBytes> sealed{};
  std::ranges::copy(message.subspan(4), sealed.begin());
  static constexpr ByteArray<crypto::kNonceBytes> kNonce{};
  SEALINE_TRY(engine.gcm_open(key.expose(), kNonce, aad, sealed, {}));
  Offer offer;
  std::copy_n(sealed.begin(), crypto::kKeyBytes, offer.ephemeral.begin());
  std::copy_n(sealed.begin() + crypto::kKeyBytes, kParameterBytes, offer.parameters.begin());
  return offer;
}

/// What waits to be written.
struct Outgoing {
  ByteArray<kMaxOutgoingBytes> bytes{};
  std::size_t size = 0;

  void push(ByteView message) {
    Writer writer(MutableBytes(bytes).subspan(size));
    size += writer.bytes(message).finish().value().size();
  }

  std::size_t poll(MutableBytes out) {
    SEALINE_ASSERT(out.size() >= size);
    std::ranges::copy(ByteView(bytes).first(size), out.begin());
    return std::exchange(size, 0);
  }
};

/// The bytes that are used up by one call; a message is read only when it is whole.
struct Input {
  ByteView bytes;
  std::size_t used = 0;

  template <std::size_t N>
  [[nodiscard]] std::optional<FixedView<N>> take() {
    if (bytes.size() - used < N) return std::nullopt;
    const FixedView<N> message = bytes.subspan(used).first<N>();
    used += N;
    return message;
  }
};

/// What both halves hold.
struct Common {
  crypto::Engine* engine;
  crypto::Rng* rng;
  UnixMillis unix_ms;
  Hello sh;
  Hello ch;
  detail::Root root;
  Transcript th1{};
  Transcript th2{};
  Transcript th3{};
  Outgoing outgoing;
  std::optional<LaneOpening> opening;

  /// A fault is final and silent, and no key outlives it.
  void fail_now() {
    root.wipe();
    outgoing.size = 0;
    opening.reset();
  }
};

}  // namespace

// --- client

struct ClientHandshake::Machine {
  enum class Step : std::uint8_t {
    expect_hello,
    expect_proof,
    expect_confirmation,
    done,
    failed,
  };

  Common common;
  std::shared_ptr<const crypto::Psk> psk;
  ClientParameters parameters;
  Step step = Step::expect_hello;
  std::optional<crypto::KeyPair> ephemeral;
  Transcript th4{};

  [[nodiscard]] Result<> read_hello(FixedView<kHelloBytes> message);
  [[nodiscard]] Result<> read_proof(FixedView<kProofBytes> message);
  [[nodiscard]] Result<> read_confirmation(FixedView<kNegotiationBytes> message);
  [[nodiscard]] Result<HandshakeProgress> advance(Input& in);
};

ClientHandshake::ClientHandshake(std::unique_ptr<Machine> machine) noexcept
    : machine_(std::move(machine)) {}

ClientHandshake::ClientHandshake(ClientHandshake&&) noexcept = default;
ClientHandshake& ClientHandshake::operator=(ClientHandshake&&) noexcept = default;
ClientHandshake::~ClientHandshake() = default;

Result<ClientHandshake> ClientHandshake::create(std::shared_ptr<const crypto::Psk> psk,
                                                ClientParameters parameters, crypto::Engine& engine,
                                                crypto::Rng& rng, UnixMillis unix_ms) {
  if (psk == nullptr || parameters.lane >= kMaxLanes) return fail(Errc::bad_configuration);
  auto machine = std::make_unique<Machine>(Machine{.common = {.engine = &engine,
                                                              .rng = &rng,
                                                              .unix_ms = unix_ms,
                                                              .sh = {},
                                                              .ch = {},
                                                              .root = {},
                                                              .outgoing = {},
                                                              .opening = {}},
                                                   .psk = std::move(psk),
                                                   .parameters = parameters,
                                                   .ephemeral = {}});
  return ClientHandshake(std::move(machine));
}

// <- SH, -> CH CA
Result<> ClientHandshake::Machine::read_hello(FixedView<kHelloBytes> message) {
  common.sh.read(message);
  SEALINE_TRY(common.sh.check());
  if (!is_zero(common.sh.last())) return fail(Errc::bad_record_head);
  crypto::Engine& engine = *common.engine;
  ByteArray<32> nonce{};
  common.rng->fill(nonce);
  common.root = detail::root_of(engine, *psk);
  common.ch.write(common.unix_ms, nonce,
                  detail::make_hint(engine, common.root, common.sh.nonce(), nonce));
  common.th1 = detail::transcript(engine, {common.sh.bytes, common.ch.bytes});
  const Mac proof = detail::client_proof(engine, common.root, common.th1);
  common.th2 = detail::transcript(engine, {common.th1, proof});
  common.outgoing.push(common.ch.bytes);
  common.outgoing.push(proof);
  return {};
}

// <- SA, -> SKN
Result<> ClientHandshake::Machine::read_proof(FixedView<kProofBytes> message) {
  crypto::Engine& engine = *common.engine;
  const Mac expected = detail::server_proof(engine, common.root, common.th1, common.th2);
  if (!crypto::ct_equal(expected, message)) return fail(Errc::mac_mismatch);
  common.th3 = detail::transcript(engine, {common.th2, message});
  ephemeral = crypto::KeyPair::generate(engine, *common.rng);
  const Negotiation offer =
      seal_offer(engine, detail::client_handshake_key(engine, common.root, common.th3), common.th3,
                 ephemeral->public_key, encode_parameters(parameters));
  th4 = detail::transcript(engine, {common.th3, offer});
  common.outgoing.push(offer);
  return {};
}

// <- SKC
Result<> ClientHandshake::Machine::read_confirmation(FixedView<kNegotiationBytes> message) {
  crypto::Engine& engine = *common.engine;
  SEALINE_TRY(offer,
              open_offer(engine, detail::server_handshake_key(engine, common.root, common.th3), th4,
                         message));
  SEALINE_TRY(server, parse_server_parameters(offer.parameters));
  crypto::SharedSecret dh;
  SEALINE_TRY(engine.x25519(ephemeral->secret.expose(), offer.ephemeral, dh.writable()));
  const Transcript th5 = detail::transcript(engine, {th4, message});
  detail::LaneKeys keys = detail::lane_keys(engine, common.root, common.th3, dh, th5);
  common.opening.emplace(LaneOpening{.send_key = std::move(keys.client_to_server),
                                     .receive_key = std::move(keys.server_to_client),
                                     .client = parameters,
                                     .server = server});
  common.root.wipe();
  ephemeral.reset();
  return {};
}

Result<HandshakeProgress> ClientHandshake::Machine::advance(Input& in) {
  switch (step) {
    case Step::expect_hello: {
      const auto message = in.take<kHelloBytes>();
      if (!message) return HandshakeProgress::need_bytes;
      SEALINE_TRY(read_hello(*message));
      step = Step::expect_proof;
      return HandshakeProgress::reply;
    }
    case Step::expect_proof: {
      const auto message = in.take<kProofBytes>();
      if (!message) return HandshakeProgress::need_bytes;
      SEALINE_TRY(read_proof(*message));
      step = Step::expect_confirmation;
      return HandshakeProgress::reply;
    }
    case Step::expect_confirmation: {
      const auto message = in.take<kNegotiationBytes>();
      if (!message) return HandshakeProgress::need_bytes;
      SEALINE_TRY(read_confirmation(*message));
      step = Step::done;
      return HandshakeProgress::done;
    }
    case Step::done:
    case Step::failed:
      break;
  }
  return fail(Errc::wrong_state);
}

Result<HandshakeProgress> ClientHandshake::handle_bytes(ByteView in, std::size_t& consumed) {
  Input input{.bytes = in};
  auto progress = machine_->advance(input);
  consumed = input.used;
  if (!progress && machine_->step != Machine::Step::done) {
    machine_->step = Machine::Step::failed;
    machine_->ephemeral.reset();
    machine_->common.fail_now();
  }
  return progress;
}

std::size_t ClientHandshake::poll_transmit(MutableBytes out) {
  return machine_->common.outgoing.poll(out);
}

bool ClientHandshake::awaits_proof() const noexcept {
  return machine_->step == Machine::Step::expect_proof;
}

LaneOpening ClientHandshake::take() && {
  SEALINE_ASSERT(machine_->step == Machine::Step::done && machine_->common.opening);
  LaneOpening opening = std::move(*machine_->common.opening);
  machine_->common.opening.reset();
  return opening;
}

// --- server

bool NonceMemory::insert(const ByteArray<32>& nonce, TimePoint now) {
  while (!by_age_.empty() && now - by_age_.front()->second >= kNonceMemoryTime) forget_oldest();
  const auto [place, is_new] = seen_.try_emplace(nonce, now);
  if (!is_new) return false;
  by_age_.push_back(place);
  if (by_age_.size() > kMaxRememberedNonces) forget_oldest();
  return true;
}

void NonceMemory::forget_oldest() {
  seen_.erase(by_age_.front());
  by_age_.pop_front();
}

struct ServerHandshake::Machine {
  enum class Step : std::uint8_t {
    expect_hello,
    expect_proof,
    expect_negotiation,
    done,
    failed,
  };

  Common common;
  std::shared_ptr<const ServerHandshakeConfig> config;
  NonceMemory* nonces;
  Step step = Step::expect_hello;
  std::optional<std::size_t> psk_index;  ///< the one that the hint names, if there is one

  [[nodiscard]] Result<> read_hello(FixedView<kHelloBytes> message);
  void find_key();
  [[nodiscard]] Result<> check_clock() const;
  [[nodiscard]] Result<> read_proof(FixedView<kProofBytes> message, TimePoint now);
  [[nodiscard]] Result<> read_negotiation(FixedView<kNegotiationBytes> message);
  [[nodiscard]] Result<HandshakeProgress> advance(Input& in, TimePoint now);
};

ServerHandshake::ServerHandshake(std::unique_ptr<Machine> machine) noexcept
    : machine_(std::move(machine)) {}

ServerHandshake::ServerHandshake(ServerHandshake&&) noexcept = default;
ServerHandshake& ServerHandshake::operator=(ServerHandshake&&) noexcept = default;
ServerHandshake::~ServerHandshake() = default;

// -> SH
Result<ServerHandshake> ServerHandshake::create(std::shared_ptr<const ServerHandshakeConfig> config,
                                                NonceMemory& nonces, crypto::Engine& engine,
                                                crypto::Rng& rng, UnixMillis unix_ms) {
  const bool is_good = config != nullptr && !config->psks.empty() &&
                       std::ranges::find(config->psks, nullptr) == config->psks.end() &&
                       config->parameters.max_block_log2 >= kMinBlockLog2 &&
                       config->parameters.max_block_log2 <= kMaxBlockLog2;
  if (!is_good) return fail(Errc::bad_configuration);
  auto machine = std::make_unique<Machine>(Machine{.common = {.engine = &engine,
                                                              .rng = &rng,
                                                              .unix_ms = unix_ms,
                                                              .sh = {},
                                                              .ch = {},
                                                              .root = {},
                                                              .outgoing = {},
                                                              .opening = {}},
                                                   .config = std::move(config),
                                                   .nonces = &nonces,
                                                   .psk_index = {}});
  ByteArray<32> nonce{};
  rng.fill(nonce);
  machine->common.sh.write(unix_ms, nonce, ByteArray<8>{});
  machine->common.outgoing.push(machine->common.sh.bytes);
  return ServerHandshake(std::move(machine));
}

// <- CH
Result<> ServerHandshake::Machine::read_hello(FixedView<kHelloBytes> message) {
  common.ch.read(message);
  SEALINE_TRY(common.ch.check());
  find_key();
  common.th1 = detail::transcript(*common.engine, {common.sh.bytes, common.ch.bytes});
  return {};
}

/// Looks at every key, whichever fits. For a hint that names none the root stays the first key's:
/// CA is computed and compared all the same, and refused whatever comes out.
void ServerHandshake::Machine::find_key() {
  crypto::Engine& engine = *common.engine;
  for (std::size_t i = 0; i < config->psks.size(); ++i) {
    detail::Root root = detail::root_of(engine, *config->psks[i]);
    const detail::Hint hint = detail::make_hint(engine, root, common.sh.nonce(), common.ch.nonce());
    const bool fits = crypto::ct_equal(hint, common.ch.last());
    if (fits && !psk_index) psk_index = i;
    if (i == 0 || (fits && psk_index == i)) common.root = std::move(root);
  }
}

Result<> ServerHandshake::Machine::check_clock() const {
  if (!config->require_clock) return {};
  constexpr auto kTolerance = static_cast<UnixMillis>(
      std::chrono::duration_cast<std::chrono::milliseconds>(kClockTolerance).count());
  const UnixMillis theirs = common.ch.unix_ms();
  const UnixMillis apart =
      theirs > common.unix_ms ? theirs - common.unix_ms : common.unix_ms - theirs;
  if (theirs == 0 || apart > kTolerance) return fail(Errc::packet_not_authentic);
  return {};
}

// <- CA, -> SA
Result<> ServerHandshake::Machine::read_proof(FixedView<kProofBytes> message, TimePoint now) {
  crypto::Engine& engine = *common.engine;
  const Mac expected = detail::client_proof(engine, common.root, common.th1);
  const bool is_right = crypto::ct_equal(expected, message);
  if (!is_right || !psk_index) return fail(Errc::mac_mismatch);
  SEALINE_TRY(check_clock());
  ByteArray<32> nonce{};
  std::ranges::copy(common.ch.nonce(), nonce.begin());
  if (!nonces->insert(nonce, now)) return fail(Errc::packet_not_authentic);
  common.th2 = detail::transcript(engine, {common.th1, message});
  const Mac proof = detail::server_proof(engine, common.root, common.th1, common.th2);
  common.th3 = detail::transcript(engine, {common.th2, proof});
  common.outgoing.push(proof);
  return {};
}

// <- SKN, -> SKC
Result<> ServerHandshake::Machine::read_negotiation(FixedView<kNegotiationBytes> message) {
  crypto::Engine& engine = *common.engine;
  SEALINE_TRY(offer,
              open_offer(engine, detail::client_handshake_key(engine, common.root, common.th3),
                         common.th3, message));
  SEALINE_TRY(client, parse_client_parameters(offer.parameters));
  const crypto::KeyPair ephemeral = crypto::KeyPair::generate(engine, *common.rng);
  crypto::SharedSecret dh;
  SEALINE_TRY(engine.x25519(ephemeral.secret.expose(), offer.ephemeral, dh.writable()));
  const Transcript th4 = detail::transcript(engine, {common.th3, message});
  const Negotiation answer =
      seal_offer(engine, detail::server_handshake_key(engine, common.root, common.th3), th4,
                 ephemeral.public_key, encode_parameters(config->parameters));
  const Transcript th5 = detail::transcript(engine, {th4, answer});
  detail::LaneKeys keys = detail::lane_keys(engine, common.root, common.th3, dh, th5);
  common.opening.emplace(LaneOpening{.send_key = std::move(keys.server_to_client),
                                     .receive_key = std::move(keys.client_to_server),
                                     .client = client,
                                     .server = config->parameters,
                                     .psk_index = *psk_index});
  common.root.wipe();
  common.outgoing.push(answer);
  return {};
}

Result<HandshakeProgress> ServerHandshake::Machine::advance(Input& in, TimePoint now) {
  if (step == Step::expect_hello) {
    const auto message = in.take<kHelloBytes>();
    if (!message) return HandshakeProgress::need_bytes;
    SEALINE_TRY(read_hello(*message));
    step = Step::expect_proof;
  }
  if (step == Step::expect_proof) {
    const auto message = in.take<kProofBytes>();
    if (!message) return HandshakeProgress::need_bytes;
    SEALINE_TRY(read_proof(*message, now));
    step = Step::expect_negotiation;
    return HandshakeProgress::reply;
  }
  if (step == Step::expect_negotiation) {
    const auto message = in.take<kNegotiationBytes>();
    if (!message) return HandshakeProgress::need_bytes;
    SEALINE_TRY(read_negotiation(*message));
    step = Step::done;
    return HandshakeProgress::done;
  }
  return fail(Errc::wrong_state);
}

Result<HandshakeProgress> ServerHandshake::handle_bytes(ByteView in, TimePoint now,
                                                        std::size_t& consumed) {
  Input input{.bytes = in};
  auto progress = machine_->advance(input, now);
  consumed = input.used;
  if (!progress && machine_->step != Machine::Step::done) {
    machine_->step = Machine::Step::failed;
    machine_->common.fail_now();
  }
  return progress;
}

std::size_t ServerHandshake::poll_transmit(MutableBytes out) {
  return machine_->common.outgoing.poll(out);
}

LaneOpening ServerHandshake::take() && {
  SEALINE_ASSERT(machine_->step == Machine::Step::done && machine_->common.opening);
  LaneOpening opening = std::move(*machine_->common.opening);
  machine_->common.opening.reset();
  return opening;
}

}  // namespace sealine::stx
