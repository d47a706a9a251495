#include "sealine/scp/handshake.hpp"

#include "scp/channel_pair.hpp"
#include "sealine/crypto/kdf.hpp"
#include "sealine/noise/handshake_state.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

namespace sealine::scp {
namespace {

constexpr Mode kModes[] = {Mode::anonymous, Mode::pinned, Mode::mutual, Mode::psk,
                           Mode::pinned_psk};
constexpr std::size_t kModePlace = kHeadBytes;

// A client's and a server's half, and the three messages between them.
struct Halves {
  Pair world;
  std::optional<ClientHandshake> client;
  std::optional<ServerHandshake> server;
  Bytes init;
  Bytes response;
  Bytes ack;

  explicit Halves(Mode mode) : world(mode) {
    client.emplace(
        ClientHandshake::create(world.client_config, *world.engine, world.rng, {}).value());
    server.emplace(ServerHandshake::create(world.server_config, *world.engine, world.rng).value());
    init = written(*client);
  }

  template <class Half>
  static Bytes written(Half& half) {
    Bytes buffer(1024);
    buffer.resize(half.poll_transmit(buffer));
    return buffer;
  }

  // All of `message`, and what the half says once it has judged the other's key.
  template <class Half>
  static Result<Progress> give(Half& half, Bytes message) {
    std::size_t used = 0;
    auto progress = half.handle_bytes(message, used);
    if (progress && *progress == Progress::key_shown) progress = half.accept_peer_key();
    return progress;
  }

  void answer() {
    ASSERT_EQ(give(*server, init), Progress::reply);
    response = written(*server);
  }

  void confirm() {
    answer();
    ASSERT_EQ(give(*client, response), Progress::done);
    ack = written(*client);
  }
};

class ScpHandshakes : public ::testing::TestWithParam<Mode> {};

INSTANTIATE_TEST_SUITE_P(scp, ScpHandshakes, ::testing::ValuesIn(kModes));

// SPEC scp.md#handshake
TEST_P(ScpHandshakes, wait_for_a_whole_message_however_it_is_cut) {
  Halves halves(GetParam());
  const auto wait = [](auto& half, const Bytes& message) {
    for (std::size_t size = 0; size < message.size(); ++size) {
      Bytes some(message.begin(), message.begin() + static_cast<std::ptrdiff_t>(size));
      std::size_t used = 1;
      ASSERT_EQ(half.handle_bytes(some, used), Progress::need_bytes) << size;
      ASSERT_EQ(used, 0U);
      ASSERT_FALSE(half.has_transmit());
    }
  };
  wait(*halves.server, halves.init);
  halves.answer();
  wait(*halves.client, halves.response);
  ASSERT_EQ(Halves::give(*halves.client, halves.response), Progress::done);
  halves.ack = Halves::written(*halves.client);
  wait(*halves.server, halves.ack);
  EXPECT_EQ(Halves::give(*halves.server, halves.ack), Progress::done);
}

// The error of each fault of a head, judged on the head alone; `type_error` for another type.
template <class Make>
void expect_heads_refused(const Make& make, std::uint32_t longest) {
  struct Fault {
    std::size_t place;
    std::uint8_t value;
    Errc error;
  };

  const Fault faults[] = {{0, 2, Errc::version_refused},
                          {0, 0, Errc::version_refused},
                          {9, 9, Errc::record_out_of_place},
                          {2, 1, Errc::record_out_of_place},
                          {1, 3, Errc::wrong_state},
                          {1, 0, Errc::wrong_state},
                          {1, 6, Errc::wrong_state},
                          {13, 0, Errc::bad_length},
                          {13, static_cast<std::uint8_t>(longest + 1), Errc::bad_length},
                          {10, 1, Errc::bad_length}};
  for (const Fault& fault : faults) {
    SCOPED_TRACE(std::to_string(fault.place) + " " + std::to_string(fault.value));
    auto [half, head] = make();
    head.resize(kHeadBytes);
    head[fault.place] = fault.value;
    std::size_t used = 0;
    const auto refused = half.handle_bytes(head, used);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, fault.error);
    EXPECT_FALSE(half.has_transmit());
    // A fault of the handshake is final.
    EXPECT_EQ(half.handle_bytes(head, used).error().code, Errc::wrong_state);
  }
}

// SPEC scp.md#message
TEST_P(ScpHandshakes, judge_a_head_before_they_wait_for_the_rest) {
  std::optional<Halves> halves;
  {
    SCOPED_TRACE("INIT");
    expect_heads_refused(
        [&] {
          halves.emplace(GetParam());
          return std::pair<ServerHandshake&, Bytes>(*halves->server, halves->init);
        },
        100);
  }
  {
    SCOPED_TRACE("RESPONSE");
    expect_heads_refused(
        [&] {
          halves.emplace(GetParam());
          halves->answer();
          return std::pair<ClientHandshake&, Bytes>(*halves->client, halves->response);
        },
        GetParam() == Mode::mutual ? 105 : 57);
  }
  {
    SCOPED_TRACE("ACK");
    expect_heads_refused(
        [&] {
          halves.emplace(GetParam());
          halves->confirm();
          return std::pair<ServerHandshake&, Bytes>(*halves->server, halves->ack);
        },
        (GetParam() == Mode::mutual ? 85 : 21) + 56);
  }
}

// SPEC scp.md#limits
TEST_P(ScpHandshakes, take_the_lengths_of_their_mode_and_no_others) {
  Halves of_init(GetParam());
  of_init.init[13] ^= 1;
  EXPECT_EQ(Halves::give(*of_init.server, of_init.init).error().code, Errc::bad_length);

  Halves of_ack(GetParam());
  of_ack.confirm();
  of_ack.ack[13] = static_cast<std::uint8_t>(of_ack.ack[13] + 1);
  EXPECT_EQ(Halves::give(*of_ack.server, of_ack.ack).error().code, Errc::bad_length);
}

// SPEC scp.md#handshake
TEST_P(ScpHandshakes, any_flipped_bit_is_refused_in_silence) {
  std::size_t byte = 0;
  const auto flip = [&byte](Bytes& message) {
    message[byte] ^= static_cast<std::uint8_t>(1U << (byte % 8));
  };
  // Where a longer length is only waited for.
  const auto may_wait = [&byte] { return byte >= 10 && byte < 14; };

  for (byte = 0; byte < Halves(GetParam()).init.size(); ++byte) {
    Halves halves(GetParam());
    flip(halves.init);
    const auto progress = Halves::give(*halves.server, halves.init);
    EXPECT_TRUE(!progress || (may_wait() && *progress == Progress::need_bytes)) << byte;
    EXPECT_FALSE(halves.server->has_transmit());
  }
  Halves model(GetParam());
  model.confirm();
  for (byte = 0; byte < model.response.size(); ++byte) {
    Halves halves(GetParam());
    halves.answer();
    flip(halves.response);
    EXPECT_FALSE(Halves::give(*halves.client, halves.response)) << byte;
    EXPECT_FALSE(halves.client->has_transmit());
  }
  for (byte = 0; byte < model.ack.size(); ++byte) {
    Halves halves(GetParam());
    halves.confirm();
    flip(halves.ack);
    const auto progress = Halves::give(*halves.server, halves.ack);
    EXPECT_TRUE(!progress || (may_wait() && *progress == Progress::need_bytes)) << byte;
  }
}

// SPEC scp.md#handshake
TEST_P(ScpHandshakes, take_nothing_behind_their_end) {
  Halves halves(GetParam());
  halves.confirm();
  ASSERT_EQ(Halves::give(*halves.server, halves.ack), Progress::done);
  EXPECT_EQ(Halves::give(*halves.server, halves.ack).error().code, Errc::wrong_state);
  EXPECT_EQ(Halves::give(*halves.client, halves.response).error().code, Errc::wrong_state);
}

// SPEC scp.md#handshake
TEST(ScpHandshake, mode_suite_and_reserved_bytes_are_what_they_must_be) {
  for (const auto& [place, value] : {std::pair<std::size_t, std::uint8_t>{0, 1},
                                     {0, 2},
                                     {0, 7},
                                     {0, 255},
                                     {1, 0},
                                     {1, 2},
                                     {2, 1},
                                     {3, 1}}) {
    Halves halves(Mode::anonymous);
    halves.init[kModePlace + place] = value;
    EXPECT_EQ(Halves::give(*halves.server, halves.init).error().code, Errc::mode_refused);
  }
  // RESPONSE repeats what INIT said.
  Halves halves(Mode::psk);
  halves.answer();
  halves.response[kModePlace] = static_cast<std::uint8_t>(Mode::anonymous);
  EXPECT_EQ(Halves::give(*halves.client, halves.response).error().code, Errc::mode_refused);
}

// SPEC scp.md#handshake
TEST(ScpHandshake, needs_the_secrets_of_its_mode) {
  const auto client_takes = [](Mode mode, auto change) {
    Pair world(mode);
    change(world.client_config);
    const auto made = ClientHandshake::create(world.client_config, *world.engine, world.rng, {});
    if (!made) {
      EXPECT_EQ(made.error(), Error{Errc::bad_configuration});
    }
    return made.has_value();
  };
  const auto server_takes = [](Mode mode, auto change) {
    Pair world(mode);
    change(world.server_config);
    const auto made = ServerHandshake::create(world.server_config, *world.engine, world.rng);
    if (!made) {
      EXPECT_EQ(made.error(), Error{Errc::bad_configuration});
    }
    return made.has_value();
  };
  for (const Mode mode : kModes) {
    const bool has_keys = mode == Mode::pinned || mode == Mode::mutual || mode == Mode::pinned_psk;
    const bool has_psk = mode == Mode::psk || mode == Mode::pinned_psk;
    const bool is_pinned = mode == Mode::pinned || mode == Mode::pinned_psk;
    EXPECT_TRUE(client_takes(mode, [](ClientConfig&) {}));
    EXPECT_EQ(client_takes(mode, [](ClientConfig& c) { c.identity.reset(); }), !has_keys);
    EXPECT_EQ(client_takes(mode, [](ClientConfig& c) { c.psk.reset(); }), !has_psk);
    EXPECT_EQ(client_takes(mode, [](ClientConfig& c) { c.server_key.reset(); }), !is_pinned);
    EXPECT_EQ(server_takes(mode, [](ServerConfig& c) { c.identity.reset(); }), !has_keys);
    EXPECT_EQ(server_takes(mode, [](ServerConfig& c) { c.psks.clear(); }), !has_psk);
  }
  EXPECT_FALSE(client_takes(static_cast<Mode>(7), [](ClientConfig&) {}));
  EXPECT_FALSE(server_takes(static_cast<Mode>(1), [](ServerConfig&) {}));
}

// SPEC scp.md#limits
TEST(ScpHandshake, takes_messages_of_64_kib_and_64_secrets_at_the_outermost) {
  Pair world(Mode::psk);
  const auto makes_client = [&world] {
    return ClientHandshake::create(world.client_config, *world.engine, world.rng, {}).has_value();
  };
  const auto makes_server = [&world] {
    return ServerHandshake::create(world.server_config, *world.engine, world.rng).has_value();
  };
  world.client_config.limits.max_message_bytes = 65536;
  world.server_config.limits.max_message_bytes = 65536;
  world.server_config.psks.resize(64, world.client_config.psk);
  EXPECT_TRUE(makes_client());
  EXPECT_TRUE(makes_server());
  world.server_config.psks.resize(65, world.client_config.psk);
  EXPECT_FALSE(makes_server());
  world.server_config.psks.resize(64);
  world.client_config.limits.max_message_bytes = 65535;
  world.server_config.limits.max_message_bytes = 65535;
  EXPECT_FALSE(makes_client());
  EXPECT_FALSE(makes_server());
}

// SPEC scp.md#handshake
TEST(ScpHandshake, server_tells_its_secrets_apart) {
  Halves halves(Mode::psk);
  auto other = std::make_shared<crypto::Psk>();
  halves.world.rng.fill(other->writable());
  halves.world.server_config.psks.insert(halves.world.server_config.psks.begin(), other);
  halves.confirm();
  ASSERT_EQ(Halves::give(*halves.server, halves.ack), Progress::done);
  EXPECT_EQ(std::move(*halves.server).take().peer.psk_index, 1U);
}

// Mode 0 by hand, with whatever bytes in place of settings and opening.
struct ByHand {
  std::unique_ptr<crypto::Engine> engine = *crypto::make_engine(crypto::EngineChoice::openssl);
  test::SeededRng rng{11};
  ByteArray<4> m4{0, 1, 0, 0};
  std::optional<noise::HandshakeState> noise;

  void begin(noise::Role role, const Head& init_head) {
    Bytes prologue = test::copy_of(as_bytes("SCP-1"));
    std::ranges::copy(encode(init_head), std::back_inserter(prologue));
    std::ranges::copy(m4, std::back_inserter(prologue));
    noise::Inputs inputs;
    inputs.prologue = prologue;
    noise.emplace(
        noise::HandshakeState::create(noise::patterns::nn, role, inputs, *engine, rng).value());
  }

  // head || m4 || what Noise writes || HMAC under L(root, label, context)
  Bytes message(const Head& head, ByteView payload, bool is_init) {
    Bytes out(head.message_bytes());
    Writer writer(out);
    writer.bytes(encode(head)).bytes(m4);
    EXPECT_TRUE(noise->write_message(payload, writer.reserve(head.payload_bytes - m4.size())));
    ByteArray<32> key{};
    if (is_init) {
      ByteArray<32> root{};
      const ByteArray<32> zeros{};
      const ByteView x = zeros;
      crypto::hkdf_extract(*engine, as_bytes("SCP-1"), std::span(&x, 1), root);
      crypto::labelled(*engine, root, "scp1 init", {}, key);
    } else {
      crypto::labelled(*engine, noise->chaining_key(), "scp1 rsp", noise->hash(), key);
    }
    engine->hmac_sha256(key, {ByteView(out).first(out.size() - kMacBytes)},
                        MutableBytes(out).last<kMacBytes>());
    return out;
  }

  // What a server makes of `opening` in the third message.
  static Result<Progress> client_opens_with(ByteView opening) {
    ByHand client;
    const Head head{.type = Type::init, .sequence = 0, .payload_bytes = 36};
    client.begin(noise::Role::initiator, head);
    Halves halves(Mode::anonymous);
    halves.init = client.message(head, {}, true);
    halves.answer();
    ByteArray<5> settings{};
    EXPECT_EQ(client.noise->read_message(ByteView(halves.response).subspan(kHeadBytes + 4, 57 - 4),
                                         settings),
              5U);
    ByteArray<32> hash{};
    std::ranges::copy(client.noise->hash(), hash.begin());
    const auto keys = std::move(*client.noise).split().value();
    Link link =
        Link::begin(*client.engine, Link::Role::client, keys.initiator_to_responder.expose(),
                    keys.responder_to_initiator.expose(), hash);
    Bytes ack(Link::sealed_size(opening.size()));
    EXPECT_TRUE(link.seal(Type::ack, opening, {}, ack));
    return Halves::give(*halves.server, ack);
  }

  // What a client makes of `settings` in the second message.
  static Result<Progress> server_answers_with(ByteView settings) {
    ByHand server;
    Halves halves(Mode::anonymous);
    server.begin(noise::Role::responder, {.type = Type::init, .sequence = 0, .payload_bytes = 36});
    Bytes nothing;
    EXPECT_TRUE(
        server.noise->read_message(ByteView(halves.init).subspan(kHeadBytes + 4, 36 - 4), nothing));
    const Bytes response = server.message(
        {.type = Type::response, .sequence = 0, .payload_bytes = 57}, settings, false);
    const auto progress = Halves::give(*halves.client, response);
    EXPECT_EQ(halves.client->has_transmit(), progress.has_value());
    return progress;
  }
};

// flags || BE32 max_message || the rest.
Bytes settings_of(std::uint8_t flags, std::uint32_t max_message, std::size_t more = 0) {
  Bytes bytes{flags};
  std::ranges::copy(be_bytes(max_message), std::back_inserter(bytes));
  bytes.resize(bytes.size() + more);
  return bytes;
}

// SPEC scp.md#handshake
TEST(ScpHandshake, settings_with_a_flag_that_is_not_theirs_are_a_fault) {
  EXPECT_EQ(ByHand::server_answers_with(settings_of(0, 65536)), Progress::done);
  EXPECT_EQ(ByHand::server_answers_with(settings_of(1, 65536)), Progress::done);
  EXPECT_EQ(ByHand::client_opens_with(settings_of(0, 65536)), Progress::done);
  EXPECT_EQ(ByHand::client_opens_with(settings_of(1, 65536)), Progress::done);
  EXPECT_EQ(ByHand::client_opens_with(settings_of(3, 65536, 56)), Progress::done);
  EXPECT_EQ(ByHand::server_answers_with(settings_of(3, 65536)), fail(Errc::bad_settings));
  for (const std::uint8_t flags : ByteArray<9>{2, 4, 5, 8, 16, 32, 64, 128, 255}) {
    EXPECT_EQ(ByHand::server_answers_with(settings_of(flags, 65536)), fail(Errc::bad_settings));
    EXPECT_EQ(ByHand::client_opens_with(settings_of(flags, 65536)), fail(Errc::bad_settings));
  }
}

// SPEC scp.md#handshake
TEST(ScpHandshake, settings_below_the_smallest_message_are_a_fault) {
  EXPECT_EQ(ByHand::server_answers_with(settings_of(0, 65535)), fail(Errc::bad_settings));
  EXPECT_EQ(ByHand::client_opens_with(settings_of(0, 65535)), fail(Errc::bad_settings));
  EXPECT_EQ(ByHand::client_opens_with(settings_of(0, 0)), fail(Errc::bad_settings));
}

// SPEC scp.md#handshake
TEST(ScpHandshake, resume_block_stands_where_its_flag_says_and_wants_to_reconnect) {
  EXPECT_EQ(ByHand::client_opens_with(settings_of(2, 65536, 56)), fail(Errc::bad_settings));
  EXPECT_FALSE(ByHand::client_opens_with(settings_of(3, 65536)));
  EXPECT_FALSE(ByHand::client_opens_with(settings_of(1, 65536, 56)));
}

// SPEC scp.md#reconnect
TEST(ScpHandshake, server_may_turn_reconnecting_off_until_it_answers) {
  Pair world(Mode::mutual, true);
  auto client = ClientHandshake::create(world.client_config, *world.engine, world.rng, {}).value();
  auto server = ServerHandshake::create(world.server_config, *world.engine, world.rng).value();
  server.forbid_reconnect();
  EXPECT_EQ(Halves::give(server, Halves::written(client)), Progress::reply);
  EXPECT_EQ(server.peer().mode, Mode::mutual);
  EXPECT_EQ(Halves::give(client, Halves::written(server)), Progress::done);
  EXPECT_FALSE(std::move(client).take().reconnect);
}

}  // namespace
}  // namespace sealine::scp
