#include "sealine/base/writer.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/kdf.hpp"
#include "sealine/crypto/key_text.hpp"
#include "sealine/stx/frame.hpp"
#include "sealine/stx/handshake.hpp"
#include "sealine/stx/message.hpp"
#include "sealine/stx/tree.hpp"
#include "stx/detail/keys.hpp"
#include "support/engines.hpp"
#include "support/fixed_rng.hpp"
#include "support/hex.hpp"
#include "support/vectors.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

// Every value of tests/vectors/sealine/stx.json that the codec, the handshake, the tree and the
// frames make, byte for byte. (What the machines make of them: receiver_test, sender_test.)

namespace sealine::stx {
namespace {

using nlohmann::json;
using test::Bytes;
using test::from_hex;
using test::to_hex;

const json& vectors() {
  static const json all = test::load_vectors("stx.json");
  return all;
}

std::string text_of(const json& value) { return value.get<std::string>(); }

Bytes bytes_of(const json& value) { return from_hex(text_of(value)); }

template <std::size_t N>
ByteArray<N> array_of(const json& value) {
  return test::hex_array<N>(text_of(value));
}

class StxGolden : public test::EngineTest {
 protected:
  [[nodiscard]] crypto::Psk psk() const { return crypto::Psk(array_of<32>(vectors()["psk"])); }
};

SEALINE_FOR_EACH_ENGINE(StxGolden);

// SPEC stx.md#psk
TEST_P(StxGolden, keys_of_a_psk) {
  const SecretBytes text = crypto::psk_text(engine(), psk());
  EXPECT_EQ(as_text(text.expose()), text_of(vectors()["psk_text"]));
  const detail::Root root = detail::root_of(engine(), psk());
  EXPECT_EQ(to_hex(root.expose()), text_of(vectors()["PRK"]));
  const auto hint_key =
      crypto::derive<Secret<32, struct GoldenTag>>(engine(), root.expose(), "stx1 hint");
  EXPECT_EQ(to_hex(hint_key.expose()), text_of(vectors()["hint_key"]));
  EXPECT_EQ(to_hex(peer_id_of(engine(), psk())), text_of(vectors()["peer_id"]));
}

// SPEC stx.md#stcp-form
TEST_P(StxGolden, psk_from_stcp) {
  const json& v = vectors()["psk_from_stcp"];
  ByteArray<32> out{};
  crypto::labelled(engine(), bytes_of(v["exp"]), "stx1 psk", {}, out);
  EXPECT_EQ(to_hex(out), text_of(v["psk"]));
  crypto::labelled(engine(), bytes_of(v["exp"]), "stx1 again", {}, out);
  EXPECT_EQ(to_hex(out), text_of(v["again"]));
}

// SPEC stx.md#items
TEST_P(StxGolden, merkle_roots) {
  for (const json& v : vectors()["merkle"]) {
    Tree tree(engine());
    for (std::uint8_t i = 0; i < v["leaves"].get<unsigned>(); ++i) {
      Hash leaf{};
      engine().sha256({ByteView(Bytes{kLeafPrefix, i})}, leaf);
      tree.add(leaf);
    }
    EXPECT_EQ(to_hex(tree.root()), text_of(v["root"])) << v["leaves"];
  }
}

// SPEC stx.md#course
TEST_P(StxGolden, run_log2) {
  for (const json& v : vectors()["run_log2"]) {
    EXPECT_EQ(run_log2_of(v["have"].get<std::uint32_t>()), v["run_log2"].get<unsigned>()) << v;
  }
}

// SPEC stx.md#frame
TEST_P(StxGolden, frames_without_content) {
  for (const json& v : vectors()["xaes"]) {
    const FrameKey key(array_of<32>(v["key"]));
    const auto counter = v["ctr"].get<std::uint64_t>();
    ByteArray<24> nonce{};
    Writer(nonce).be(counter);
    EXPECT_EQ(to_hex(nonce), text_of(v["n24"]));

    ByteArray<kFrameOverheadBytes> frame{};
    seal_frame(engine(), key, counter, {.sequence = kControlSequence | 0x0AU, .size_bytes = 0}, 0,
               frame);
    EXPECT_EQ(to_hex(ByteView(frame).first(8)), text_of(v["aad"]));
    EXPECT_EQ(to_hex(ByteView(frame).subspan(8, 16)), text_of(v["sealed_empty"])) << v;

    // Kx, by what GCM makes under it.
    ByteArray<16> sealed{};
    engine().gcm_seal(array_of<32>(v["kx"]), ByteArray<12>{}, bytes_of(v["aad"]), {}, sealed);
    EXPECT_EQ(to_hex(sealed), text_of(v["sealed_empty"]));
  }
}

Message message_of(const json& v) {
  const json& f = v["fields"];
  const auto u32 = [&f](std::size_t i) { return f[i].get<std::uint32_t>(); };
  const auto u64 = [&f](std::size_t i) { return f[i].get<std::uint64_t>(); };
  const auto code = [&f](std::size_t i) { return static_cast<Code>(f[i].get<std::uint8_t>()); };
  switch (v["type"].get<unsigned>()) {
    case 2:
      return MetaOk{.item = u32(0), .code = code(1), .have = u32(2)};
    case 3:
      return Ack{.received = u64(0), .durable = u64(1)};
    case 4:
      return Nak{.frame = u64(0)};
    case 6:
      return ResumeOk{.item = u32(0), .start = u32(1)};
    case 9:
      return Close{.code = code(0)};
    case 10:
      return KeepAlive{};
    case 11:
      return Select{.item = u32(0)};
    case 12:
      return Drop{.item = u32(0), .code = code(1)};
    case 13:
      return Zero{.item = u32(0), .first = u32(1), .count = u32(2)};
    default:
      throw std::invalid_argument("a type that this test does not know");
  }
}

// SPEC stx.md#messages
TEST(StxGoldenMessages, encode_and_parse) {
  for (const json& v : vectors()["messages"]) {
    const auto type = v["type"].get<std::uint8_t>();
    const Message message = message_of(v);
    EXPECT_EQ(type_of(message), type);
    EXPECT_EQ(to_hex(encode(message)), text_of(v["bytes"])) << v;
    const Side from = is_sent_by(type, Side::client) ? Side::client : Side::server;
    const auto parsed = parse_message(type, bytes_of(v["bytes"]), from);
    ASSERT_TRUE(parsed) << v;
    EXPECT_EQ(*parsed, message) << v;
  }
}

// --- whole sessions

/// What one side writes of a session: the messages of the handshake, then frames.
class Lines {
 public:
  explicit Lines(const json& side) : side_(side) {}

  [[nodiscard]] const json& named(std::string_view name) const {
    for (const json& line : side_) {
      if (line["name"] == name) return line;
    }
    throw std::invalid_argument("a message that the session has not");
  }

  [[nodiscard]] std::vector<json> frames() const {
    std::vector<json> frames;
    for (const json& line : side_) {
      if (line.contains("ctr")) frames.push_back(line);
    }
    return frames;
  }

 private:
  const json& side_;
};

std::optional<Bytes> content_of(const json& session) {
  const std::string name = text_of(session["name"]);
  if (name == "whole" || name == "cut" || name == "resume" || name == "resume changed") {
    Bytes content(name == "whole" ? 32868 : 81920);
    const unsigned more = name == "whole" ? 0 : 1;
    for (std::size_t i = 0; i < content.size(); ++i) {
      content[i] = static_cast<std::uint8_t>(7 * i + 3 * (i >> 8U) + more);
    }
    if (name == "resume changed") content[32768] ^= 1;
    return content;
  }
  return std::nullopt;
}

struct GoldenEnds {
  LaneOpening client;
  LaneOpening server;
};

Bytes transmit(auto& end) {
  Bytes out(256);
  out.resize(end.poll_transmit(out));
  return out;
}

/// Runs the handshake of a session with its own random bytes and compares all that is written.
GoldenEnds shake_hands(crypto::Engine& engine, const json& session) {
  const Lines client_lines(session["client"]);
  const Lines server_lines(session["server"]);
  const auto psk = std::make_shared<const crypto::Psk>(array_of<32>(vectors()["psk"]));
  const UnixMillis unix_ms =
      std::stoull(text_of(server_lines.named("SH")["bytes"]).substr(80, 16), nullptr, 16);
  test::FixedRng client_rng;
  client_rng.push(bytes_of(session["nonce_c"])).push(bytes_of(session["e_c"]));
  test::FixedRng server_rng;
  server_rng.push(bytes_of(session["nonce_s"])).push(bytes_of(session["e_s"]));
  auto client =
      ClientHandshake::create(psk, {.lane = 0, .transfer = array_of<12>(session["transfer"])},
                              engine, client_rng, unix_ms)
          .value();
  auto config = std::make_shared<ServerHandshakeConfig>();
  config->psks = {psk};
  config->parameters = {.max_block_log2 = 20, .accepts_zstd = false};
  NonceMemory nonces;
  auto server = ServerHandshake::create(config, nonces, engine, server_rng, unix_ms).value();

  const TimePoint now{};
  std::size_t used = 0;
  Bytes wire = transmit(server);
  EXPECT_EQ(to_hex(wire), text_of(server_lines.named("SH")["bytes"]));
  EXPECT_EQ(client.handle_bytes(wire, used), HandshakeProgress::reply);
  wire = transmit(client);
  EXPECT_EQ(to_hex(wire), text_of(client_lines.named("CH")["bytes"]) +
                              text_of(client_lines.named("CA")["bytes"]));
  EXPECT_EQ(server.handle_bytes(wire, now, used), HandshakeProgress::reply);
  wire = transmit(server);
  EXPECT_EQ(to_hex(wire), text_of(server_lines.named("SA")["bytes"]));
  EXPECT_EQ(client.handle_bytes(wire, used), HandshakeProgress::reply);
  wire = transmit(client);
  EXPECT_EQ(to_hex(wire), text_of(client_lines.named("SKN")["bytes"]));
  EXPECT_EQ(server.handle_bytes(wire, now, used), HandshakeProgress::done);
  wire = transmit(server);
  EXPECT_EQ(to_hex(wire), text_of(server_lines.named("SKC")["bytes"]));
  EXPECT_EQ(client.handle_bytes(wire, used), HandshakeProgress::done);
  EXPECT_EQ(client_rng.remaining() + server_rng.remaining(), 0U);
  return {.client = std::move(client).take(), .server = std::move(server).take()};
}

/// Seals the frame again from its plaintext, opens what the vectors hold, and compares.
void check_frame(crypto::Engine& engine, const FrameKey& key, Side from, const json& line,
                 const std::optional<Bytes>& content) {
  const auto counter = line["ctr"].get<std::uint64_t>();
  const Bytes head_bytes = line.contains("head") ? bytes_of(line["head"])
                                                 : from_hex(text_of(line["bytes"]).substr(0, 16));
  const auto head = parse_frame_head(ByteView(head_bytes).first<8>(), from);
  ASSERT_TRUE(head) << line;

  Bytes plaintext;
  if (line.contains("plaintext")) {
    plaintext = bytes_of(line["plaintext"]);
    const auto message = parse_message(head->type(), plaintext, from);
    ASSERT_TRUE(message) << line;
    EXPECT_EQ(to_hex(encode(*message)), text_of(line["plaintext"]));
  } else if (content) {
    const std::size_t first = std::size_t{head->sequence} << 14U;
    plaintext.assign(content->begin() + static_cast<std::ptrdiff_t>(first),
                     content->begin() + static_cast<std::ptrdiff_t>(first + head->size_bytes));
  } else {
    Bytes frame = bytes_of(line["bytes"]);
    plaintext = test::copy_of(open_frame(engine, key, counter, 0, frame).value());
  }

  Bytes frame(head->frame_bytes());
  std::ranges::copy(plaintext, frame.begin() + kFrameHeadBytes);
  seal_frame(engine, key, counter, *head, 0, frame);
  EXPECT_TRUE(has_valid_crc(frame));
  if (line.contains("note")) frame.back() ^= 1;  // damaged on the line, at its last bit
  EXPECT_EQ(has_valid_crc(frame), !line.contains("note"));
  if (line.contains("bytes")) {
    EXPECT_EQ(to_hex(frame), text_of(line["bytes"]));
  } else {
    const ByteView view(frame);
    EXPECT_EQ(to_hex(view.subspan(8 + head->size_bytes, 16)), text_of(line["tag"]));
    EXPECT_EQ(to_hex(view.last(4)), text_of(line["crc"]));
    ByteArray<32> hash{};
    engine.sha256({view}, hash);
    EXPECT_EQ(to_hex(hash), text_of(line["sha256"]));
  }
  const auto opened = open_frame(engine, key, counter, 0, frame);
  ASSERT_TRUE(opened) << line;
  EXPECT_TRUE(std::ranges::equal(*opened, plaintext));
}

// SPEC stx.md#handshake SPEC stx.md#frame
TEST_P(StxGolden, sessions) {
  std::size_t frames = 0;
  for (const json& session : vectors()["sessions"]) {
    SCOPED_TRACE(text_of(session["name"]));
    const GoldenEnds ends = shake_hands(engine(), session);
    const json& keys = session["keys"];
    EXPECT_EQ(to_hex(ends.client.send_key.expose()), text_of(keys["K_c"]));
    EXPECT_EQ(to_hex(ends.client.receive_key.expose()), text_of(keys["K_s"]));
    EXPECT_EQ(to_hex(ends.server.receive_key.expose()), text_of(keys["K_c"]));
    EXPECT_EQ(to_hex(ends.server.send_key.expose()), text_of(keys["K_s"]));
    EXPECT_EQ(to_hex(ends.server.client.transfer), text_of(session["transfer"]));
    EXPECT_EQ(ends.client.server.max_block_log2, 20);
    EXPECT_FALSE(ends.client.server.accepts_zstd);

    const std::optional<Bytes> content = content_of(session);
    for (const json& line : Lines(session["client"]).frames()) {
      check_frame(engine(), ends.client.send_key, Side::client, line, content);
      ++frames;
    }
    for (const json& line : Lines(session["server"]).frames()) {
      check_frame(engine(), ends.server.send_key, Side::server, line, std::nullopt);
      ++frames;
    }
  }
  test::report_vectors("sealine", "stx.json frames", frames);
}

// The steps between, so that a wrong one is named.
TEST_P(StxGolden, transcripts_and_keys) {
  for (const json& session : vectors()["sessions"]) {
    SCOPED_TRACE(text_of(session["name"]));
    const json& keys = session["keys"];
    const Lines client(session["client"]);
    const Lines server(session["server"]);
    const auto line = [](const Lines& side, const char* name) {
      return bytes_of(side.named(name)["bytes"]);
    };
    const detail::Root root = detail::root_of(engine(), psk());
    const auto hint = detail::make_hint(engine(), root, array_of<32>(session["nonce_s"]),
                                        array_of<32>(session["nonce_c"]));
    EXPECT_EQ(to_hex(hint), text_of(client.named("CH")["bytes"]).substr(96));
    const auto th1 = detail::transcript(engine(), {line(server, "SH"), line(client, "CH")});
    const auto th2 = detail::transcript(engine(), {th1, line(client, "CA")});
    const auto th3 = detail::transcript(engine(), {th2, line(server, "SA")});
    const auto th4 = detail::transcript(engine(), {th3, line(client, "SKN")});
    const auto th5 = detail::transcript(engine(), {th4, line(server, "SKC")});
    EXPECT_EQ(to_hex(th1), text_of(keys["th1"]));
    EXPECT_EQ(to_hex(th2), text_of(keys["th2"]));
    EXPECT_EQ(to_hex(th3), text_of(keys["th3"]));
    EXPECT_EQ(to_hex(th4), text_of(keys["th4"]));
    EXPECT_EQ(to_hex(th5), text_of(keys["th5"]));
    EXPECT_EQ(to_hex(detail::client_proof(engine(), root, th1)),
              text_of(client.named("CA")["bytes"]));
    EXPECT_EQ(to_hex(detail::server_proof(engine(), root, th1, th2)),
              text_of(server.named("SA")["bytes"]));
    const auto client_key = detail::client_handshake_key(engine(), root, th3);
    const auto server_key = detail::server_handshake_key(engine(), root, th3);
    EXPECT_EQ(to_hex(client_key.expose()), text_of(keys["k_c_hs"]));
    EXPECT_EQ(to_hex(server_key.expose()), text_of(keys["k_s_hs"]));

    const auto e_s =
        crypto::KeyPair::from_secret(engine(), crypto::PrivateKey(array_of<32>(session["e_s"])));
    crypto::SharedSecret dh;
    ASSERT_TRUE(engine().x25519(array_of<32>(session["e_c"]), e_s.public_key.bytes, dh.writable()));
    const auto lane = detail::lane_keys(engine(), root, th3, dh, th5);
    EXPECT_EQ(to_hex(lane.client_to_server.expose()), text_of(keys["K_c"]));
    EXPECT_EQ(to_hex(lane.server_to_client.expose()), text_of(keys["K_s"]));
    ByteArray<32> from_master{};
    crypto::labelled(engine(), bytes_of(keys["MS"]), "stx1 c2s", th5, from_master);
    EXPECT_EQ(to_hex(from_master), text_of(keys["K_c"]));
  }
}

}  // namespace
}  // namespace sealine::stx
