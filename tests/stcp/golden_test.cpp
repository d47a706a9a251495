#include "sealine/crypto/kdf.hpp"
#include "sealine/noise/handshake_state.hpp"
#include "sealine/stcp/connection.hpp"
#include "stcp/detail/handshake_record.hpp"
#include "stcp/detail/hint.hpp"
#include "stcp/detail/key_schedule.hpp"
#include "stcp/detail/noise_glue.hpp"
#include "stcp/detail/record.hpp"
#include "stcp/detail/record_ratchet.hpp"
#include "stcp/detail/sas.hpp"
#include "support/fixed_rng.hpp"
#include "support/hex.hpp"
#include "support/stcp_pair.hpp"
#include "support/vectors.hpp"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

// Every value of the ratchet and handshakes of stcp.json comes out of this code, byte for byte. The
// file was made by another implementation of the document.

namespace sealine::stcp {
namespace {

using nlohmann::json;
using test::Bytes;
using test::from_hex;
using test::to_hex;

const json& vectors() {
  static const json all = test::load_vectors("stcp.json");
  return all;
}

std::string text_of(const json& value) { return value.get<std::string>(); }

std::unique_ptr<crypto::Engine> engine_of(
    crypto::EngineChoice choice = crypto::EngineChoice::fastest) {
  return std::move(*crypto::make_engine(choice));
}

template <class SecretType>
SecretType secret_of(const json& hex) {
  return SecretType(FixedView<32>(test::hex_array<32>(hex.get<std::string>())));
}

// SPEC stcp.md#ratchet
void check_step(crypto::Engine& engine, const std::string& ck, std::uint16_t epoch,
                const json& step) {
  // STEP as the document writes it, straight from the engine: CK' || RK || IV.
  ByteArray<12> input{'S', 0, static_cast<std::uint8_t>(epoch >> 8U),
                      static_cast<std::uint8_t>(epoch)};
  detail::store_be64(step["seq"].get<std::uint64_t>(), input.data() + 4);
  ByteArray<80> out{};
  engine.kbkdf_cmac(test::hex_array<32>(ck), input, out);
  EXPECT_EQ(to_hex(out), step["ck_next"].get<std::string>() + step["rk"].get<std::string>() +
                             step["iv"].get<std::string>());
}

TEST(StcpGolden, ratchet_steps) {
  for (const auto choice : {crypto::EngineChoice::openssl, crypto::EngineChoice::fastest}) {
    const auto engine = engine_of(choice);
    const json& ratchet = vectors()["ratchet"];
    std::string ck = ratchet["ck"];
    detail::RecordRatchet machine;
    machine.start(secret_of<detail::ChainKey>(ratchet["ck"]));
    for (const json& step : ratchet["steps"]) {
      check_step(*engine, ck, ratchet["epoch"], step);
      ck = step["ck_next"];
      ASSERT_EQ(machine.sequence(), step["seq"].get<std::uint64_t>());
      machine.prepare(*engine);
      EXPECT_EQ(to_hex(machine.key()), text_of(step["rk"]));
      EXPECT_EQ(to_hex(machine.iv()), text_of(step["iv"]));
      machine.advance();
    }
    const json& other = ratchet["other"];
    check_step(*engine, other["ck"], other["epoch"], other);
  }
}

/// One handshake of the file, with its two machines fed by exactly its random bytes.
struct Transcript {
  explicit Transcript(const json& vector_in) : vector(vector_in), engine(engine_of()) {
    const auto mode = static_cast<Mode>(vector["mode"].get<int>());
    client_config.mode = mode;
    server_config.modes = {mode};
    if (vector["client"].contains("static_secret"))
      client_config.identity = identity(vector["client"]);
    if (vector["server"].contains("static_secret"))
      server_config.identity = identity(vector["server"]);
    if (vector.contains("psk")) {
      client_config.psk = std::make_shared<crypto::Psk>(secret_of<crypto::Psk>(vector["psk"]));
      server_config.psks.push_back(ServerPsk::make(*engine, client_config.psk->clone()));
    }
    // The order in which random bytes are drawn: ephemeral key, nonce; later the share of a rekey.
    push(client_rng, vector["client"]["ephemeral_secret"]);
    push(server_rng, vector["server"]["ephemeral_secret"]);
    if (vector.contains("nA")) push(client_rng, vector["nA"]);
    if (vector.contains("nB")) push(server_rng, vector["nB"]);
    push(client_rng, vector["rekey"]["client_secret"]);
    push(server_rng, vector["rekey"]["server_secret"]);
  }

  static void push(test::FixedRng& rng, const json& hex) {
    rng.push(from_hex(hex.get<std::string>()));
  }

  std::shared_ptr<const crypto::KeyPair> identity(const json& end) const {
    auto pair =
        crypto::KeyPair::from_secret(*engine, secret_of<crypto::PrivateKey>(end["static_secret"]));
    EXPECT_EQ(to_hex(pair.public_key.bytes), text_of(end["static_public"]));
    return std::make_shared<crypto::KeyPair>(std::move(pair));
  }

  const json& vector;
  std::unique_ptr<crypto::Engine> engine;
  test::FixedRng client_rng;
  test::FixedRng server_rng;
  ClientConfig client_config;
  ServerConfig server_config;
};

class StcpGoldenHandshake : public testing::TestWithParam<int> {
 protected:
  const json& vector() const {
    for (const json& one : vectors()["handshakes"]) {
      if (one["mode"] == GetParam()) return one;
    }
    throw std::runtime_error("no such mode in stcp.json");
  }
};

// SPEC stcp.md#key-schedule
TEST_P(StcpGoldenHandshake, secrets_of_the_schedule) {
  const json& v = vector();
  Transcript t(v);
  const auto mode = static_cast<Mode>(v["mode"].get<int>());
  EXPECT_EQ(pattern_name(mode), v["pattern"].get<std::string>());

  // The Noise part alone, from the messages of the file.
  const Bytes prologue = from_hex(v["prologue"].get<std::string>());
  std::array<const crypto::Psk*, 1> psk{t.client_config.psk.get()};
  noise::Inputs client_inputs;
  noise::Inputs server_inputs;
  client_inputs.prologue = server_inputs.prologue = prologue;
  client_inputs.local_static = t.client_config.identity.get();
  server_inputs.local_static = t.server_config.identity.get();
  if (v.contains("psk")) client_inputs.psks = server_inputs.psks = psk;
  const noise::Pattern& pattern = detail::pattern_of(mode);
  auto client = noise::HandshakeState::create(pattern, noise::Role::initiator, client_inputs,
                                              *t.engine, t.client_rng);
  auto server = noise::HandshakeState::create(pattern, noise::Role::responder, server_inputs,
                                              *t.engine, t.server_rng);
  ASSERT_TRUE(client && server);
  EXPECT_EQ(to_hex(client->prepare_ephemeral().bytes), text_of(v["client"]["ephemeral_public"]));
  EXPECT_EQ(to_hex(server->prepare_ephemeral().bytes), text_of(v["server"]["ephemeral_public"]));

  const std::string settings = v["settings"];
  std::optional<detail::SasCommitment> c;
  if (v.contains("nA")) {
    const auto n_a = test::hex_array<32>(v["nA"].get<std::string>());
    std::optional<crypto::PublicKey> s_c;
    if (mode == Mode::mutual) s_c = t.client_config.identity->public_key;
    c = detail::commit(*t.engine, n_a, s_c);
    EXPECT_EQ(to_hex(*c), text_of(v["C"]));
  }
  const std::array<std::string, 3> payloads = {
      settings + (c ? to_hex(*c) : ""), settings + (c ? v["nB"] : json("")).get<std::string>(), ""};
  for (std::size_t i = 0; i < v["messages"].size(); ++i) {
    const json& message = v["messages"][i];
    EXPECT_EQ(message["step"].get<std::size_t>(), i + 1);
    EXPECT_EQ(text_of(message["dir"]), i % 2 == 0 ? "c2s" : "s2c");
    auto& writer = i % 2 == 0 ? *client : *server;
    auto& reader = i % 2 == 0 ? *server : *client;
    Bytes wire(512);
    const Bytes payload = from_hex(payloads[i]);
    const auto written = writer.write_message(payload, wire);
    ASSERT_TRUE(written);
    wire.resize(*written);
    EXPECT_EQ(to_hex(wire), message["wire"].get<std::string>().substr(48));
    Bytes opened(512);
    const auto read = reader.read_message(wire, opened);
    ASSERT_TRUE(read);
    opened.resize(*read);
    EXPECT_EQ(to_hex(opened), payloads[i]);
  }
  EXPECT_EQ(to_hex(client->hash()), text_of(v["h"]));
  EXPECT_EQ(to_hex(server->hash()), text_of(v["h"]));
  const auto h = test::hex_array<32>(v["h"].get<std::string>());
  const auto keys = std::move(*client).split();
  ASSERT_TRUE(keys);
  EXPECT_EQ(to_hex(keys->initiator_to_responder.expose()), text_of(v["k_c2s"]));
  EXPECT_EQ(to_hex(keys->responder_to_initiator.expose()), text_of(v["k_s2c"]));

  const detail::KeySchedule schedule = detail::make_key_schedule(*t.engine, *keys, h);
  EXPECT_EQ(to_hex(schedule.client_to_server.expose()), text_of(v["ck_c2s"]));
  EXPECT_EQ(to_hex(schedule.server_to_client.expose()), text_of(v["ck_s2c"]));
  EXPECT_EQ(to_hex(schedule.exporter.expose()), text_of(v["exp"]));

  if (v.contains("sas")) {
    const std::uint32_t sas = detail::short_authentication_string(
        *t.engine, schedule.exporter, schedule.h, test::hex_array<32>(v["nA"].get<std::string>()),
        test::hex_array<32>(v["nB"].get<std::string>()));
    EXPECT_EQ(sas, std::stoul(v["sas"].get<std::string>()));
  }
  if (v.contains("hint")) {
    const ServerPsk psk_row = ServerPsk::make(*t.engine, t.client_config.psk->clone());
    EXPECT_EQ(to_hex(psk_row.hint_key.expose()), text_of(v["hint_key"]));
    const auto e_c = test::hex_array<32>(v["client"]["ephemeral_public"].get<std::string>());
    EXPECT_EQ(to_hex(detail::make_hint(*t.engine, psk_row.hint_key.expose(), e_c)),
              text_of(v["hint"]));
  }
}

// SPEC stcp.md#rekey
TEST_P(StcpGoldenHandshake, values_of_the_rekey) {
  const json& v = vector();
  const json& rekey = v["rekey"];
  Transcript t(v);
  const auto client = crypto::KeyPair::from_secret(
      *t.engine, secret_of<crypto::PrivateKey>(rekey["client_secret"]));
  const auto server = crypto::KeyPair::from_secret(
      *t.engine, secret_of<crypto::PrivateKey>(rekey["server_secret"]));
  EXPECT_EQ(to_hex(client.public_key.bytes), text_of(v["records"][6]["data"]));
  EXPECT_EQ(to_hex(server.public_key.bytes), text_of(v["records"][8]["data"]));
  detail::SharedX x;
  ASSERT_TRUE(t.engine->x25519(client.secret.expose(), server.public_key.view(), x.writable()));
  EXPECT_EQ(to_hex(x.expose()), text_of(rekey["x"]));
  ByteArray<32> hk{};
  t.engine->sha256({test::hex_array<32>(v["h"].get<std::string>()), client.public_key.bytes,
                    server.public_key.bytes},
                   hk);
  EXPECT_EQ(to_hex(hk), text_of(rekey["hk"]));

  // Each chain, stepped by every record up to and with R2 or R3, then mixed; its key and IV open
  // what follows.
  for (const std::string dir : {"c2s", "s2c"}) {
    detail::RecordRatchet chain;
    chain.start(secret_of<detail::ChainKey>(v["ck_" + dir]));
    for (const json& record : v["records"]) {
      if (record["dir"] != dir) continue;
      ASSERT_EQ(chain.sequence(), record["seq"].get<std::uint64_t>());
      ASSERT_EQ(chain.epoch(), record["epoch"].get<std::uint16_t>());
      chain.prepare(*t.engine);
      Bytes wire = from_hex(record["wire"].get<std::string>());
      ASSERT_EQ(to_hex(chain.iv()), to_hex(ByteView(wire).subspan(8, 16)));
      EXPECT_EQ(detail::load_be64(wire.data()), record["length"].get<std::uint64_t>());
      ASSERT_TRUE(t.engine->gcm_open(chain.key(), chain.nonce(), ByteView(wire).first(24),
                                     MutableBytes(wire).subspan(24), {}));
      const std::string data = record["data"];
      EXPECT_EQ(to_hex(ByteView(wire).subspan(24, data.size() / 2)), data);
      chain.advance();
      const bool ends_epoch = record["type"] == "REKEY" && record["seq"] != 3 && dir == "c2s";
      const bool is_r2 = record["type"] == "REKEY" && dir == "s2c";
      if (ends_epoch || is_r2) {
        chain.mix(*t.engine, x, hk);
        // CK shows itself by its next step.
        chain.prepare(*t.engine);
        ByteArray<12> input{'S', 0, 0, 1};
        detail::store_be64(chain.sequence(), input.data() + 4);
        ByteArray<80> expected{};
        t.engine->kbkdf_cmac(
            test::hex_array<32>(rekey["ck_" + dir + "_after_rekey"].get<std::string>()), input,
            expected);
        EXPECT_EQ(to_hex(chain.key()), to_hex(ByteView(expected).subspan(32, 32)));
      }
    }
  }
}

/// Drives two connections through the whole of a transcript, record by record.
// SPEC stcp.md#record
TEST_P(StcpGoldenHandshake, connections_write_the_transcript) {
  const json& v = vector();
  Transcript t(v);
  const TimePoint now{};
  auto client = ClientConnection::create(t.client_config, *t.engine, t.client_rng, now);
  auto server = ServerConnection::create(t.server_config, *t.engine, t.server_rng, now);
  ASSERT_TRUE(client && server);

  std::map<std::string, Bytes> streams;
  const auto move = [&](Connection& from, Connection& to, const std::string& dir, Bytes wire,
                        Bytes* received) {
    Bytes more(4096);
    while (const std::size_t n = from.poll_transmit(more, now))
      wire.insert(wire.end(), more.begin(), more.begin() + static_cast<std::ptrdiff_t>(n));
    streams[dir].insert(streams[dir].end(), wire.begin(), wire.end());
    Bytes in = wire;
    Bytes out(2048);
    std::size_t at = 0;
    while (at < in.size()) {
      const auto opened = to.handle_bytes(MutableBytes(in).subspan(at), out, now);
      ASSERT_TRUE(opened) << to_string(opened.error().code);
      at += opened->consumed;
      if (received != nullptr)
        received->insert(received->end(), out.begin(),
                         out.begin() + static_cast<std::ptrdiff_t>(opened->delivered));
      while (const auto event = to.poll_event()) {
        if (std::holds_alternative<PeerKeyShown>(*event)) to.accept_peer_key(now);
      }
    }
    while (from.poll_event()) {
    }
  };

  // Handshake: each message as in the file; FINISH goes with the client's last flight.
  for (const json& message : v["messages"]) {
    if (message["step"] == 3) continue;
    const bool from_client = message["dir"] == "c2s";
    Connection& from = from_client ? static_cast<Connection&>(*client) : *server;
    Connection& to = from_client ? static_cast<Connection&>(*server) : *client;
    const std::string dir = message["dir"];
    const std::size_t before = streams[dir].size();
    move(from, to, dir, {}, nullptr);
    EXPECT_EQ(to_hex(ByteView(streams[dir]).subspan(before)), text_of(message["wire"]));
  }
  EXPECT_EQ(to_hex(ByteView(streams["c2s"]).first(24)), text_of(v["prologue"]));
  std::size_t before = streams["c2s"].size();
  move(*client, *server, "c2s", {}, nullptr);
  const std::string step_3 =
      v["messages"].size() == 3 ? v["messages"][2]["wire"].get<std::string>() : "";
  EXPECT_EQ(to_hex(ByteView(streams["c2s"]).subspan(before)),
            step_3 + v["records"][0]["wire"].get<std::string>());
  ASSERT_EQ(client->state(), State::encrypted);
  ASSERT_EQ(server->state(), State::encrypted);
  if (v.contains("sas")) {
    EXPECT_EQ(client->peer().sas, std::stoul(v["sas"].get<std::string>()));
    EXPECT_EQ(server->peer().sas, std::stoul(v["sas"].get<std::string>()));
  } else {
    EXPECT_FALSE(client->peer().sas);
  }
  for (Connection* end : {static_cast<Connection*>(&*client), static_cast<Connection*>(&*server)}) {
    const json& exporter = v["exporter"];
    Bytes value(exporter["n"].get<std::size_t>());
    ASSERT_TRUE(end->export_key(exporter["label"].get<std::string>(),
                                from_hex(exporter["ctx"].get<std::string>()), value));
    EXPECT_EQ(to_hex(value), text_of(exporter["value"]));
  }

  for (std::size_t i = 1; i < v["records"].size(); ++i) {
    const json& record = v["records"][i];
    SCOPED_TRACE(i);
    const bool from_client = record["dir"] == "c2s";
    Connection& from = from_client ? static_cast<Connection&>(*client) : *server;
    Connection& to = from_client ? static_cast<Connection&>(*server) : *client;
    const std::string dir = record["dir"];
    const Bytes data = from_hex(record["data"].get<std::string>());
    Bytes wire(4096);
    Bytes received;
    std::size_t written = 0;
    EXPECT_EQ(from.statistics().epoch_sent, record["epoch"].get<std::uint64_t>());
    EXPECT_EQ(from.statistics().records_sent, record["seq"].get<std::uint64_t>());
    if (record["type"] == "DATA") {
      ASSERT_TRUE(from.set_padding(record["pad"] == 0
                                       ? Padding(PadNone{})
                                       : Padding(PadToMultiple{record["pad"] == 24 ? 1024U : 256U}),
                                   now));
      const auto sealed = from.seal(data, wire, now);
      ASSERT_TRUE(sealed);
      written = sealed->written;
    } else {
      ASSERT_TRUE(from.set_padding(PadNone{}, now));
      if (record["type"] == "PING") from.ping(now);
      if (record["type"] == "CLOSE") from.close(now);
      if (i == 6) from.request_rekey(now);
      written = from.poll_transmit(wire, now);
    }
    wire.resize(written);
    EXPECT_EQ(to_hex(wire), text_of(record["wire"]));
    // R2 is made when R1 arrives; what the client says in between must be sealed first, as in the
    // file.
    move(from, to, dir, wire, &received);
    if (record["type"] == "DATA") {
      EXPECT_EQ(to_hex(received), to_hex(data));
    }
  }
  EXPECT_EQ(client->state(), State::closed);
  EXPECT_EQ(server->state(), State::closed);
  for (const std::string dir : {"c2s", "s2c"}) {
    ByteArray<32> digest{};
    t.engine->sha256({streams[dir]}, digest);
    EXPECT_EQ(to_hex(digest), text_of(v["stream_" + dir + "_sha256"]));
  }
  EXPECT_EQ(t.client_rng.remaining(), 0U);
  EXPECT_EQ(t.server_rng.remaining(), 0U);
}

INSTANTIATE_TEST_SUITE_P(modes, StcpGoldenHandshake, testing::Values(0, 1, 4, 5),
                         [](const auto& param) { return "mode_" + std::to_string(param.param); });

}  // namespace
}  // namespace sealine::stcp
