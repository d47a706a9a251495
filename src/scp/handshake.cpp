#include "sealine/scp/handshake.hpp"

#include "sealine/base/assert.hpp"
#include "sealine/base/reader.hpp"
#include "sealine/base/writer.hpp"
#include "sealine/crypto/constant_time.hpp"
#include "sealine/crypto/kdf.hpp"
#include "sealine/noise/handshake_state.hpp"
#include "sealine/noise/pattern.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace sealine::scp {
namespace {

constexpr std::size_t kModeBytes = 4;       // m4 = mode || suite || 00 00
constexpr std::size_t kSettingsBytes = 5;   // flags || BE32 max_message
constexpr std::size_t kResumeBytes = 56;    // id || BE64 have || proof
constexpr std::size_t kMaxStepBytes = 512;  // no message of the handshake is longer
constexpr std::uint8_t kSuite = 1;
constexpr std::uint8_t kReconnectFlag = 0x01;
constexpr std::uint8_t kResumeFlag = 0x02;
constexpr std::string_view kProtocol = "SCP-1";

using ModeBytes = ByteArray<kModeBytes>;

/// What a mode fixes: its pattern, and the payload lengths of INIT, RESPONSE and ACK (without a
/// resume block).
struct ModeRow {
  Mode mode;
  const noise::Pattern* pattern;
  std::uint32_t init_bytes;
  std::uint32_t response_bytes;
  std::uint32_t ack_bytes;
  std::uint32_t third_noise_bytes;
  bool client_knows_server;
  bool has_psk;
  bool has_keys;
};

const std::array<ModeRow, 5>& mode_table() {
  static const std::array<ModeRow, 5> table{{
      {Mode::anonymous, &noise::patterns::nn, 36, 57, 21, 0, false, false, false},
      {Mode::pinned, &noise::patterns::ik, 100, 57, 21, 0, true, false, true},
      {Mode::mutual, &noise::patterns::xx, 36, 105, 85, 64, false, false, true},
      {Mode::psk, &noise::patterns::nn_psk0, 52, 57, 21, 0, false, true, false},
      {Mode::pinned_psk, &noise::patterns::ik_psk2, 100, 57, 21, 0, true, true, true},
  }};
  return table;
}

const ModeRow* row_of(std::uint8_t mode) {
  const auto& table = mode_table();
  const auto row = std::ranges::find(table, static_cast<Mode>(mode), &ModeRow::mode);
  return row == table.end() ? nullptr : &*row;
}

ModeBytes mode_bytes(Mode mode) { return {static_cast<std::uint8_t>(mode), kSuite, 0, 0}; }

// "SCP-1" || head of INIT || m4: every byte of the first message that Noise itself does not hash.
ByteArray<kProtocol.size() + kHeadBytes + kModeBytes> prologue_of(FixedView<kHeadBytes> head,
                                                                  const ModeBytes& mode) {
  ByteArray<kProtocol.size() + kHeadBytes + kModeBytes> bytes{};
  Writer(bytes).bytes(as_bytes(kProtocol)).bytes(head).bytes(mode);
  return bytes;
}

// L(Extract("SCP-1", x), "scp1 init", ""), x = 0^32 | rs | psk | rs || psk.
using InitKey = Secret<32, struct ScpInitKeyTag>;

InitKey init_key(crypto::Engine& engine, const ModeRow& mode, const crypto::PublicKey* server,
                 const crypto::Psk* psk) {
  static constexpr ByteArray<32> kZeros{};
  std::vector<ByteView> x;
  if (mode.client_knows_server) x.emplace_back(server->bytes);
  if (mode.has_psk) x.emplace_back(psk->expose());
  if (x.empty()) x.emplace_back(kZeros);
  Secret<32, struct ScpInitRootTag> root;
  crypto::hkdf_extract(engine, as_bytes(kProtocol), x, root.writable());
  return crypto::derive<InitKey>(engine, root.expose(), "scp1 init");
}

using ResponseKey = Secret<32, struct ScpResponseKeyTag>;

ResponseKey response_key(crypto::Engine& engine, const noise::HandshakeState& noise) {
  return crypto::derive<ResponseKey>(engine, noise.chaining_key(), "scp1 rsp", noise.hash());
}

void write_mac(crypto::Engine& engine, ByteView key, MutableBytes message) {
  engine.hmac_sha256(key, {ByteView(message.first(message.size() - kMacBytes))},
                     message.last<kMacBytes>());
}

bool mac_is_right(crypto::Engine& engine, ByteView key, ByteView message) {
  ByteArray<kMacBytes> mac{};
  engine.hmac_sha256(key, {message.first(message.size() - kMacBytes)}, mac);
  return crypto::ct_equal(mac, message.last(kMacBytes));
}

ByteArray<kSettingsBytes> encode_settings(bool reconnect, bool resume, std::uint32_t max_message) {
  ByteArray<kSettingsBytes> bytes{};
  const auto flags =
      static_cast<std::uint8_t>((reconnect ? kReconnectFlag : 0U) | (resume ? kResumeFlag : 0U));
  Writer(bytes).be(flags).be(max_message);
  return bytes;
}

Result<Settings> parse_settings(ByteView bytes, bool from_client) {
  Reader reader(bytes);
  SEALINE_TRY(flags, reader.be<std::uint8_t>());
  SEALINE_TRY(max_message, reader.be<std::uint32_t>());
  const std::uint8_t allowed = from_client ? (kReconnectFlag | kResumeFlag) : kReconnectFlag;
  if ((flags & ~allowed) != 0 || max_message < kSmallestMaxMessage) return fail(Errc::bad_settings);
  Settings settings{
      .reconnect = (flags & kReconnectFlag) != 0, .max_message_bytes = max_message, .resume = {}};
  if ((flags & kResumeFlag) != 0) {
    if (!settings.reconnect) return fail(Errc::bad_settings);
    ResumeBlock block;
    SEALINE_TRY(id, reader.fixed<16>());
    SEALINE_TRY(have, reader.be<std::uint64_t>());
    SEALINE_TRY(proof, reader.fixed<32>());
    std::ranges::copy(id, block.channel_id.begin());
    block.have = have;
    std::ranges::copy(proof, block.proof.begin());
    settings.resume = block;
  }
  SEALINE_TRY(reader.finish());
  return settings;
}

// A message that waits to be written, and nothing more of it once it was.
struct Outgoing {
  ByteArray<kMaxStepBytes> bytes{};
  std::size_t size = 0;

  std::size_t poll(MutableBytes out) {
    SEALINE_ASSERT(out.size() >= size);
    std::ranges::copy(ByteView(bytes).first(size), out.begin());
    return std::exchange(size, 0);
  }
};

}  // namespace

// --- client
// ------------------------------------------------------------------------------------------------------------

struct ClientHandshake::State {
  enum class Step : std::uint8_t { expect_response, expect_verdict, done, failed };

  const ClientConfig* config;
  const ModeRow* mode;
  crypto::Engine* engine;
  std::optional<ResumeRequest> resume;
  std::optional<noise::HandshakeState> noise;
  const crypto::Psk* psk = nullptr;  // Noise keeps a pointer to this pointer
  Step step = Step::expect_response;
  Outgoing outgoing;
  Peer peer;
  Settings theirs;
  std::optional<Link> link;

  [[nodiscard]] Result<> write_init(crypto::Rng& rng);
  [[nodiscard]] Result<> read_response(const Head& head, MutableBytes message);
  [[nodiscard]] Result<> write_ack();
};

ClientHandshake::ClientHandshake(std::unique_ptr<State> state) noexcept
    : state_(std::move(state)) {}

ClientHandshake::ClientHandshake(ClientHandshake&&) noexcept = default;
ClientHandshake& ClientHandshake::operator=(ClientHandshake&&) noexcept = default;
ClientHandshake::~ClientHandshake() = default;

Result<ClientHandshake> ClientHandshake::create(const ClientConfig& config, crypto::Engine& engine,
                                                crypto::Rng& rng,
                                                std::optional<ResumeRequest> resume) {
  const ModeRow* mode = row_of(static_cast<std::uint8_t>(config.mode));
  if (mode == nullptr || config.limits.max_message_bytes < kSmallestMaxMessage ||
      (mode->has_keys && config.identity == nullptr) || (mode->has_psk && config.psk == nullptr) ||
      (mode->client_knows_server && !config.server_key)) {
    return fail(Errc::bad_configuration);
  }
  auto state =
      std::make_unique<State>(State{.config = &config,
                                    .mode = mode,
                                    .engine = &engine,
                                    .resume = resume,
                                    .noise = {},
                                    .outgoing = {},
                                    .peer = {.mode = config.mode, .key = config.server_key},
                                    .theirs = {},
                                    .link = {}});
  if (!mode->client_knows_server) state->peer.key.reset();
  SEALINE_TRY(state->write_init(rng));
  return ClientHandshake(std::move(state));
}

Result<> ClientHandshake::State::write_init(crypto::Rng& rng) {
  const ModeBytes m4 = mode_bytes(mode->mode);
  const ByteArray<kHeadBytes> head =
      encode({.type = Type::init, .sequence = 0, .payload_bytes = mode->init_bytes});
  const auto prologue = prologue_of(head, m4);
  psk = config->psk.get();
  noise::Inputs inputs{
      .prologue = prologue, .local_static = nullptr, .remote_static = {}, .psks = {}};
  if (mode->has_keys) inputs.local_static = config->identity.get();
  if (mode->client_knows_server) inputs.remote_static = config->server_key;
  if (mode->has_psk) inputs.psks = std::span(&psk, 1);
  SEALINE_TRY(made, noise::HandshakeState::create(*mode->pattern, noise::Role::initiator, inputs,
                                                  *engine, rng));
  noise.emplace(std::move(made));

  Writer writer(outgoing.bytes);
  writer.bytes(head).bytes(m4);
  SEALINE_TRY(written, noise->write_message({}, writer.reserve(mode->init_bytes - kModeBytes)));
  SEALINE_ASSERT(written == mode->init_bytes - kModeBytes);
  writer.reserve(kMacBytes);
  const InitKey key =
      init_key(*engine, *mode, inputs.remote_static ? &*inputs.remote_static : nullptr, psk);
  write_mac(*engine, key.expose(), MutableBytes(outgoing.bytes).first(writer.used()));
  outgoing.size = writer.used();
  return {};
}

Result<> ClientHandshake::State::read_response(const Head& head, MutableBytes message) {
  const ByteView payload = message.subspan(kHeadBytes, head.payload_bytes);
  if (!std::ranges::equal(payload.first(kModeBytes), mode_bytes(mode->mode)))
    return fail(Errc::mode_refused);
  ByteArray<kSettingsBytes> settings{};
  SEALINE_TRY(length, noise->read_message(payload.subspan(kModeBytes), settings));
  if (length != kSettingsBytes) return fail(Errc::bad_settings);
  const ResponseKey key = response_key(*engine, *noise);
  if (!mac_is_right(*engine, key.expose(), message)) return fail(Errc::answer_not_authentic);
  SEALINE_TRY(parsed, parse_settings(settings, false));
  theirs = parsed;
  if (mode->has_keys) peer.key = noise->remote_static();
  return {};
}

Result<> ClientHandshake::State::write_ack() {
  ByteArray<kMaxStepBytes> third{};
  std::size_t third_bytes = 0;
  if (mode->third_noise_bytes > 0) {
    SEALINE_TRY(written, noise->write_message({}, third));
    third_bytes = written;
  }
  ByteArray<32> hash{};
  std::ranges::copy(noise->hash(), hash.begin());
  SEALINE_TRY(keys, std::move(*noise).split());
  noise.reset();
  link.emplace(Link::begin(*engine, Link::Role::client, keys.initiator_to_responder.expose(),
                           keys.responder_to_initiator.expose(), hash));

  const bool reconnect = config->reconnect;
  const auto settings =
      encode_settings(reconnect, resume.has_value(), config->limits.max_message_bytes);
  ByteArray<kResumeBytes> block{};
  std::size_t block_bytes = 0;
  if (resume) {
    ByteArray<32> proof{};
    crypto::labelled(*engine, resume->resume_key->expose(), "scp1 resume c", hash, proof);
    Writer(block).bytes(resume->channel_id).be(resume->have).bytes(proof);
    block_bytes = block.size();
  }
  SEALINE_TRY(size, link->seal(Type::ack, settings, ByteView(block).first(block_bytes),
                               outgoing.bytes, ByteView(third).first(third_bytes)));
  outgoing.size = size;
  return {};
}

Result<Progress> ClientHandshake::handle_bytes(MutableBytes in, std::size_t& consumed) {
  consumed = 0;
  State& state = *state_;
  if (state.step != State::Step::expect_response) return fail(Errc::wrong_state);
  if (in.size() < kHeadBytes) return Progress::need_bytes;
  const auto fault = [&state](Error error) {
    state.step = State::Step::failed;
    state.noise.reset();
    return std::unexpected(error);
  };
  const auto head =
      parse_head(in.first<kHeadBytes>(), {.sequence = 0,
                                          .min_payload_bytes = state.mode->response_bytes,
                                          .max_payload_bytes = state.mode->response_bytes,
                                          .type = Type::response});
  if (!head) return fault(head.error());
  if (in.size() < head->message_bytes()) return Progress::need_bytes;
  consumed = head->message_bytes();
  if (const auto read = state.read_response(*head, in.first(consumed)); !read)
    return fault(read.error());
  // A key that was known beforehand has proved itself by the tag; any other is judged first.
  if (state.mode->has_keys && !state.mode->client_knows_server) {
    state.step = State::Step::expect_verdict;
    return Progress::key_shown;
  }
  return accept_peer_key();
}

Result<Progress> ClientHandshake::accept_peer_key() {
  State& state = *state_;
  if (const auto written = state.write_ack(); !written) {
    state.step = State::Step::failed;
    return std::unexpected(written.error());
  }
  state.step = State::Step::done;
  return Progress::done;
}

std::size_t ClientHandshake::poll_transmit(MutableBytes out) { return state_->outgoing.poll(out); }

bool ClientHandshake::has_transmit() const noexcept { return state_->outgoing.size > 0; }

const Peer& ClientHandshake::peer() const noexcept { return state_->peer; }

Opening ClientHandshake::take() && {
  SEALINE_ASSERT(state_->step == State::Step::done && state_->link);
  return {.link = std::move(*state_->link),
          .peer = state_->peer,
          .theirs = state_->theirs,
          .reconnect = state_->config->reconnect && state_->theirs.reconnect};
}

// --- server
// ------------------------------------------------------------------------------------------------------------

struct ServerHandshake::State {
  enum class Step : std::uint8_t {
    expect_init,
    expect_init_verdict,
    expect_ack,
    expect_ack_verdict,
    done,
    failed
  };

  const ServerConfig* config;
  crypto::Engine* engine;
  crypto::Rng* rng;
  const ModeRow* mode = nullptr;
  std::optional<noise::HandshakeState> noise;
  const crypto::Psk* psk = nullptr;  // Noise keeps a pointer to this pointer
  Step step = Step::expect_init;
  Outgoing outgoing;
  Peer peer;
  bool reconnect = false;
  Settings theirs;
  std::optional<Link> link;

  [[nodiscard]] Result<> check_init_mac(ByteView message);
  [[nodiscard]] Result<> read_init(const Head& head, MutableBytes message);
  [[nodiscard]] Result<> write_response();
  [[nodiscard]] Result<> begin_link();
  [[nodiscard]] Result<> read_third(MutableBytes message);
  [[nodiscard]] Result<Progress> handle_init(MutableBytes in, std::size_t& consumed);
  [[nodiscard]] Result<Progress> handle_ack(MutableBytes in, std::size_t& consumed);
};

ServerHandshake::ServerHandshake(std::unique_ptr<State> state) noexcept
    : state_(std::move(state)) {}

ServerHandshake::ServerHandshake(ServerHandshake&&) noexcept = default;
ServerHandshake& ServerHandshake::operator=(ServerHandshake&&) noexcept = default;
ServerHandshake::~ServerHandshake() = default;

Result<ServerHandshake> ServerHandshake::create(const ServerConfig& config, crypto::Engine& engine,
                                                crypto::Rng& rng) {
  if (config.limits.max_message_bytes < kSmallestMaxMessage || config.psks.size() > kMaxPsks) {
    return fail(Errc::bad_configuration);
  }
  for (const Mode mode : config.modes) {
    const ModeRow* row = row_of(static_cast<std::uint8_t>(mode));
    if (row == nullptr || (row->has_keys && config.identity == nullptr) ||
        (row->has_psk && config.psks.empty())) {
      return fail(Errc::bad_configuration);
    }
  }
  return ServerHandshake(std::make_unique<State>(State{.config = &config,
                                                       .engine = &engine,
                                                       .rng = &rng,
                                                       .noise = {},
                                                       .outgoing = {},
                                                       .peer = {},
                                                       .reconnect = config.reconnect,
                                                       .theirs = {},
                                                       .link = {}}));
}

// The MAC of INIT shows which secret the client means, before any Diffie-Hellman.
Result<> ServerHandshake::State::check_init_mac(ByteView message) {
  const crypto::PublicKey* const own =
      config->identity == nullptr ? nullptr : &config->identity->public_key;
  if (!mode->has_psk) {
    const InitKey key = init_key(*engine, *mode, own, nullptr);
    if (!mac_is_right(*engine, key.expose(), message)) return fail(Errc::hello_not_authentic);
    return {};
  }
  for (std::size_t i = 0; i < config->psks.size(); ++i) {
    const InitKey key = init_key(*engine, *mode, own, config->psks[i].get());
    if (mac_is_right(*engine, key.expose(), message)) {
      peer.psk_index = i;
      return {};
    }
  }
  return fail(Errc::hello_not_authentic);
}

Result<> ServerHandshake::State::read_init(const Head& head, MutableBytes message) {
  const ByteView payload = message.subspan(kHeadBytes, head.payload_bytes);
  const ModeBytes m4 = mode_bytes(mode->mode);
  SEALINE_TRY(check_init_mac(message));
  const auto prologue = prologue_of(message.first<kHeadBytes>(), m4);
  noise::Inputs inputs{
      .prologue = prologue, .local_static = nullptr, .remote_static = {}, .psks = {}};
  psk = mode->has_psk ? config->psks[peer.psk_index].get() : nullptr;
  if (mode->has_keys) inputs.local_static = config->identity.get();
  if (mode->has_psk) inputs.psks = std::span(&psk, 1);
  SEALINE_TRY(made, noise::HandshakeState::create(*mode->pattern, noise::Role::responder, inputs,
                                                  *engine, *rng));
  noise.emplace(std::move(made));
  SEALINE_TRY(length, noise->read_message(payload.subspan(kModeBytes), {}));
  SEALINE_ASSERT(length == 0);
  return {};
}

Result<> ServerHandshake::State::write_response() {
  const ModeBytes m4 = mode_bytes(mode->mode);
  const auto settings = encode_settings(reconnect, false, config->limits.max_message_bytes);
  Writer writer(outgoing.bytes);
  writer
      .bytes(encode({.type = Type::response, .sequence = 0, .payload_bytes = mode->response_bytes}))
      .bytes(m4);
  SEALINE_TRY(written,
              noise->write_message(settings, writer.reserve(mode->response_bytes - kModeBytes)));
  SEALINE_ASSERT(written == mode->response_bytes - kModeBytes);
  writer.reserve(kMacBytes);
  const ResponseKey key = response_key(*engine, *noise);
  write_mac(*engine, key.expose(), MutableBytes(outgoing.bytes).first(writer.used()));
  outgoing.size = writer.used();
  return {};
}

Result<> ServerHandshake::State::begin_link() {
  ByteArray<32> hash{};
  std::ranges::copy(noise->hash(), hash.begin());
  SEALINE_TRY(keys, std::move(*noise).split());
  noise.reset();
  link.emplace(Link::begin(*engine, Link::Role::server, keys.initiator_to_responder.expose(),
                           keys.responder_to_initiator.expose(), hash));
  return {};
}

// XX: the client's key stands in front of the sealed opening, and the keys follow from it.
Result<> ServerHandshake::State::read_third(MutableBytes message) {
  SEALINE_TRY(length,
              noise->read_message(message.subspan(kHeadBytes, mode->third_noise_bytes), {}));
  SEALINE_ASSERT(length == 0);
  peer.key = noise->remote_static();
  return begin_link();
}

Result<Progress> ServerHandshake::State::handle_init(MutableBytes in, std::size_t& consumed) {
  if (in.size() < kHeadBytes + kModeBytes) {
    // The head is judged as soon as it is there.
    if (in.size() >= kHeadBytes) {
      SEALINE_TRY(parse_head(
          in.first<kHeadBytes>(),
          {.sequence = 0, .min_payload_bytes = 36, .max_payload_bytes = 100, .type = Type::init}));
    }
    return Progress::need_bytes;
  }
  SEALINE_TRY(head, parse_head(in.first<kHeadBytes>(), {.sequence = 0,
                                                        .min_payload_bytes = 36,
                                                        .max_payload_bytes = 100,
                                                        .type = Type::init}));
  const FixedView<kModeBytes> m4 = in.subspan(kHeadBytes).first<kModeBytes>();
  mode = row_of(m4[0]);
  if (mode == nullptr || !std::ranges::equal(m4, mode_bytes(mode->mode)) ||
      std::ranges::find(config->modes, mode->mode) == config->modes.end()) {
    return fail(Errc::mode_refused);
  }
  if (head.payload_bytes != mode->init_bytes) return fail(Errc::bad_length);
  if (in.size() < head.message_bytes()) return Progress::need_bytes;
  consumed = head.message_bytes();
  peer.mode = mode->mode;
  SEALINE_TRY(read_init(head, in.first(consumed)));
  if (mode->client_knows_server) {
    peer.key = noise->remote_static();
    step = Step::expect_init_verdict;
    return Progress::key_shown;
  }
  SEALINE_TRY(write_response());
  step = Step::expect_ack;
  return Progress::reply;
}

Result<Progress> ServerHandshake::State::handle_ack(MutableBytes in, std::size_t& consumed) {
  if (in.size() < kHeadBytes) return Progress::need_bytes;
  const std::uint32_t longest = mode->ack_bytes + static_cast<std::uint32_t>(kResumeBytes);
  SEALINE_TRY(head, parse_head(in.first<kHeadBytes>(), {.sequence = 1,
                                                        .min_payload_bytes = mode->ack_bytes,
                                                        .max_payload_bytes = longest,
                                                        .type = Type::ack}));
  if (head.payload_bytes != mode->ack_bytes && head.payload_bytes != longest)
    return fail(Errc::bad_length);
  if (in.size() < head.message_bytes()) return Progress::need_bytes;
  consumed = head.message_bytes();
  const MutableBytes message = in.first(consumed);
  if (mode->third_noise_bytes > 0) {
    SEALINE_TRY(read_third(message));
  } else {
    SEALINE_TRY(begin_link());
  }
  SEALINE_TRY(opening, link->open(head, message, mode->third_noise_bytes));
  SEALINE_TRY(parsed, parse_settings(opening, true));
  theirs = parsed;
  if (mode->third_noise_bytes > 0) {
    step = Step::expect_ack_verdict;
    return Progress::key_shown;
  }
  step = Step::done;
  return Progress::done;
}

Result<Progress> ServerHandshake::handle_bytes(MutableBytes in, std::size_t& consumed) {
  consumed = 0;
  State& state = *state_;
  Result<Progress> progress = fail(Errc::wrong_state);
  if (state.step == State::Step::expect_init) {
    progress = state.handle_init(in, consumed);
  } else if (state.step == State::Step::expect_ack) {
    progress = state.handle_ack(in, consumed);
  }
  if (!progress) {
    state.step = State::Step::failed;
    state.noise.reset();
    state.link.reset();
    state.outgoing.size = 0;
  }
  return progress;
}

Result<Progress> ServerHandshake::accept_peer_key() {
  State& state = *state_;
  if (state.step == State::Step::expect_ack_verdict) {
    state.step = State::Step::done;
    return Progress::done;
  }
  SEALINE_ASSERT(state.step == State::Step::expect_init_verdict);
  if (const auto written = state.write_response(); !written) {
    state.step = State::Step::failed;
    return std::unexpected(written.error());
  }
  state.step = State::Step::expect_ack;
  return Progress::reply;
}

std::size_t ServerHandshake::poll_transmit(MutableBytes out) { return state_->outgoing.poll(out); }

bool ServerHandshake::has_transmit() const noexcept { return state_->outgoing.size > 0; }

const Peer& ServerHandshake::peer() const noexcept { return state_->peer; }

void ServerHandshake::forbid_reconnect() noexcept { state_->reconnect = false; }

Opening ServerHandshake::take() && {
  SEALINE_ASSERT(state_->step == State::Step::done && state_->link);
  return {.link = std::move(*state_->link),
          .peer = state_->peer,
          .theirs = state_->theirs,
          .reconnect = state_->reconnect && state_->theirs.reconnect};
}

}  // namespace sealine::scp
