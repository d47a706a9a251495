#include "sealine/base/writer.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/scp/channel.hpp"
#include "sealine/scp/handshake.hpp"
#include "support/fixed_rng.hpp"
#include "support/hex.hpp"
#include "support/vectors.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <deque>
#include <string>
#include <vector>

// Every transcript of tests/vectors/sealine/scp.json comes out of our own ends, byte for byte.

namespace sealine::scp {
namespace {

using nlohmann::json;
using test::Bytes;
using test::from_hex;
using test::to_hex;

const TimePoint kStart{std::chrono::seconds(1000)};

std::shared_ptr<crypto::KeyPair> key_pair(crypto::Engine& engine, const json& hex) {
  return std::make_shared<crypto::KeyPair>(crypto::KeyPair::from_secret(
      engine, crypto::PrivateKey(test::hex_array<32>(hex.get<std::string>()))));
}

// Two ends built from one transcript, with the transcript's own random bytes.
struct Ends {
  std::unique_ptr<crypto::Engine> engine = *crypto::make_engine(crypto::EngineChoice::openssl);
  test::FixedRng client_rng;
  test::FixedRng server_rng;
  ClientConfig client;
  ServerConfig server;

  explicit Ends(const json& v) {
    const auto mode = static_cast<Mode>(v["mode"].get<int>());
    const Bytes settings = from_hex(v["settings"].get<std::string>());
    const bool reconnect = settings[0] == 1;
    const auto max_message = static_cast<std::uint32_t>(
        (settings[1] << 24U) | (settings[2] << 16U) | (settings[3] << 8U) | settings[4]);
    client.mode = mode;
    client.identity = key_pair(*engine, v["client_static_private"]);
    server.identity = key_pair(*engine, v["server_static_private"]);
    if (mode == Mode::pinned || mode == Mode::pinned_psk)
      client.server_key = server.identity->public_key;
    if (!v["psk"].is_null()) {
      auto psk = std::make_shared<crypto::Psk>(test::hex_array<32>(v["psk"].get<std::string>()));
      client.psk = psk;
      server.psks = {psk};
    }
    server.modes = {mode};
    client.reconnect = server.reconnect = reconnect;
    client.limits.max_message_bytes = server.limits.max_message_bytes = max_message;
    draw(v["client_ephemeral_private"], v["server_ephemeral_private"]);
  }

  void draw(const json& for_client, const json& for_server) {
    client_rng.push(from_hex(for_client.get<std::string>()));
    server_rng.push(from_hex(for_server.get<std::string>()));
  }
};

// A transcript: who wrote what. Of a long message it holds the hash alone.
struct Line {
  bool from_client = false;
  std::string note;
  std::string bytes;  // empty where `hash` stands
  std::string hash;
};

struct Script {
  std::vector<Line> lines;
  std::vector<std::string> client;
  std::vector<std::string> server;

  explicit Script(const json& messages) {
    for (const json& message : messages) {
      Line line{.from_client = message.at("dir") == "c2s",
                .note = message.value("note", ""),
                .bytes = message.value("bytes", ""),
                .hash = message.value("sha256", "")};
      (line.from_client ? client : server).push_back(line.bytes);
      lines.push_back(std::move(line));
    }
  }
};

std::vector<std::string> split(ByteView wire) {
  std::vector<std::string> messages;
  while (wire.size() >= kHeadBytes) {
    const std::size_t length = (std::size_t{wire[10]} << 24U) | (std::size_t{wire[11]} << 16U) |
                               (std::size_t{wire[12]} << 8U) | wire[13];
    messages.push_back(to_hex(wire.first(kHeadBytes + length + kMacBytes)));
    wire = wire.subspan(kHeadBytes + length + kMacBytes);
  }
  EXPECT_TRUE(wire.empty());
  return messages;
}

// A long message of a transcript is SHA-256(BE32(0)) || SHA-256(BE32(1)) || ..., cut to its length.
Bytes message_bytes(crypto::Engine& engine, const json& message) {
  if (message.contains("bytes")) return from_hex(message["bytes"].get<std::string>());
  Bytes bytes;
  const auto length = message["length"].get<std::size_t>();
  for (std::uint32_t i = 0; bytes.size() < length; ++i) {
    ByteArray<32> block{};
    engine.sha256({ByteView(be_bytes(i))}, block);
    bytes.insert(bytes.end(), block.begin(), block.end());
  }
  bytes.resize(length);
  return bytes;
}

Bytes drain(ChannelEnd& channel) {
  Bytes all;
  Bytes buffer(2 * kMaxWireMessageBytes);
  while (const std::size_t n = channel.poll_transmit(buffer, kStart)) {
    all.insert(all.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(n));
  }
  return all;
}

Bytes feed(ChannelEnd& channel, const std::string& hex) {
  Bytes in = from_hex(hex);
  std::size_t used = 0;
  Bytes out;
  while (used < in.size()) {
    const std::size_t n = channel.handle_bytes(MutableBytes(in).subspan(used), kStart);
    if (n == 0) break;
    used += n;
    const Bytes answer = drain(channel);
    out.insert(out.end(), answer.begin(), answer.end());
  }
  EXPECT_EQ(used, in.size());
  return out;
}

// Runs the server's half of a handshake over the transcript's own bytes.
Opening serve(Ends& ends, const Script& script) {
  auto handshake = ServerHandshake::create(ends.server, *ends.engine, ends.server_rng).value();
  std::size_t used = 0;
  Bytes init = from_hex(script.client[0]);
  Progress progress = handshake.handle_bytes(init, used).value();
  if (progress == Progress::key_shown) progress = handshake.accept_peer_key().value();
  EXPECT_EQ(progress, Progress::reply);
  Bytes response(1024);
  response.resize(handshake.poll_transmit(response));
  EXPECT_EQ(to_hex(response), script.server[0]);
  Bytes ack = from_hex(script.client[1]);
  progress = handshake.handle_bytes(ack, used).value();
  if (progress == Progress::key_shown) progress = handshake.accept_peer_key().value();
  EXPECT_EQ(progress, Progress::done);
  return std::move(handshake).take();
}

class ScpGolden : public ::testing::TestWithParam<std::size_t> {
 protected:
  static const json& vector() {
    static const json all = test::load_vectors("scp.json");
    return all["vectors"][GetParam()];
  }
};

// SPEC scp.md#handshake
TEST_P(ScpGolden, handshake_and_derived_values_are_those_of_the_transcript) {
  const json& v = vector();
  Ends ends(v);
  const Script script(v["messages"]);
  const Opening opening = serve(ends, script);
  EXPECT_EQ(to_hex(opening.link.handshake_hash()), v["handshake_hash"].get<std::string>());
  ByteArray<16> id{};
  opening.link.export_key("scp1 channel", {}, id);
  EXPECT_EQ(to_hex(id), v["channel_id"].get<std::string>());
  ByteArray<32> resume{};
  opening.link.export_key("scp1 resume", {}, resume);
  EXPECT_EQ(to_hex(resume), v["resume_key"].get<std::string>());
}

// SPEC scp.md#messages
TEST_P(ScpGolden, both_ends_write_the_transcript) {
  const json& v = vector();
  Ends ends(v);
  const Script script(v["messages"]);
  const json& application = v["application"];
  ChannelEnd client =
      ChannelEnd::connect(ends.client, *ends.engine, ends.client_rng, kStart).value();
  ChannelEnd server =
      ChannelEnd::accept(ends.server, serve(ends, script), *ends.engine, ends.server_rng, kStart);
  EXPECT_EQ(split(drain(client)), std::vector<std::string>{script.client[0]});
  std::vector<std::string> ack = split(feed(client, script.server[0]));
  client.accept_peer_key(kStart);
  for (std::string& message : split(drain(client))) ack.push_back(std::move(message));
  EXPECT_EQ(ack, std::vector<std::string>{script.client[1]});
  ends.client_rng.push(from_hex(v["rotate_client_private"].get<std::string>()));
  ends.server_rng.push(from_hex(v["rotate_server_private"].get<std::string>()));

  std::deque<std::string> ours[2];  // written and not compared yet, by direction
  std::vector<Bytes> got[2];
  std::size_t item = 0;
  bool padded = false;  // our client never writes PAD, so its numbers differ from there on
  bool rotating = false;
  std::string before;
  for (std::size_t i = 0; i < script.lines.size(); ++i) {
    const Line& line = script.lines[i];
    ChannelEnd& from = line.from_client ? client : server;
    ChannelEnd& to = line.from_client ? server : client;
    auto& written = ours[line.from_client ? 0 : 1];
    if (i < 3) continue;  // the handshake
    if (line.note == "data" || (line.note == "split" && before != "split")) {
      const json& message = application[item++];
      ASSERT_EQ(message["dir"] == "c2s", line.from_client);
      ASSERT_TRUE(from.send(message_bytes(*ends.engine, message)));
    }
    if (line.note == "rotation" && !rotating) {
      rotating = true;
      client.rotate();
    }
    before = line.note;
    for (std::string& message : split(drain(from))) written.push_back(std::move(message));
    std::string next = line.bytes;
    if (line.note == "pad") {
      padded = true;
    } else {
      ASSERT_FALSE(written.empty()) << "line " << i << " " << line.note;
      if (line.bytes.empty()) {
        ByteArray<32> hash{};
        ends.engine->sha256({ByteView(from_hex(written.front()))}, hash);
        EXPECT_EQ(to_hex(hash), line.hash);
        next = written.front();
      } else if (!padded || !line.from_client) {
        EXPECT_EQ(written.front(), line.bytes) << "line " << i << " " << line.note;
      }
      written.pop_front();
    }
    Bytes in = from_hex(next);
    ASSERT_EQ(to.handle_bytes(in, kStart), in.size());
    while (const auto message = to.front()) {
      got[line.from_client ? 0 : 1].push_back(test::copy_of(*message));
      to.pop();
    }
  }
  EXPECT_FALSE(server.outcome());
  EXPECT_FALSE(client.outcome());
  std::size_t next[2] = {0, 0};
  for (const json& message : application) {
    const int direction = message["dir"] == "c2s" ? 0 : 1;
    ASSERT_LT(next[direction], got[direction].size());
    EXPECT_EQ(got[direction][next[direction]++], message_bytes(*ends.engine, message));
  }
}

// SPEC scp.md#reconnect
TEST_P(ScpGolden, both_ends_resume_with_the_transcripts_bytes) {
  const json& v = vector();
  Ends ends(v);
  const Script script(v["messages"]);
  const json& application = v["application"];
  const json& lost = v["resumed"]["redelivered"];
  // The first connection: both our ends, joined; the transcript checked what they write in the
  // tests above.
  ChannelEnd client =
      ChannelEnd::connect(ends.client, *ends.engine, ends.client_rng, kStart).value();
  EXPECT_EQ(split(drain(client)), std::vector<std::string>{script.client[0]});
  ChannelEnd server =
      ChannelEnd::accept(ends.server, serve(ends, script), *ends.engine, ends.server_rng, kStart);
  std::vector<std::string> ack = split(feed(client, script.server[0]));
  client.accept_peer_key(kStart);
  for (std::string& message : split(drain(client))) ack.push_back(std::move(message));
  EXPECT_EQ(ack, std::vector<std::string>{script.client[1]});
  const auto exchange = [&] {
    for (bool moved = true; moved;) {
      Bytes down = drain(server);
      client.handle_bytes(down, kStart);
      Bytes up = drain(client);
      server.handle_bytes(up, kStart);
      moved = !down.empty() || !up.empty();
    }
  };
  exchange();
  for (const json& message : application) {
    ChannelEnd& from = message["dir"] == "c2s" ? client : server;
    ASSERT_TRUE(from.send(message_bytes(*ends.engine, message)));
    exchange();
    for (ChannelEnd* end : {&client, &server}) {
      while (end->front()) end->pop();
    }
  }
  // Written, but the connection is gone before it arrives.
  for (const json& message : lost) {
    ChannelEnd& from = message["dir"] == "c2s" ? client : server;
    ASSERT_TRUE(from.send(message_bytes(*ends.engine, message)));
    drain(from);
  }
  ends.client_rng.push(Bytes(2));  // the jitter of the pause
  client.handle_disconnected(kStart);
  server.handle_disconnected(kStart);
  ASSERT_EQ(client.state(), State::lost);
  ASSERT_EQ(server.state(), State::lost);

  const json& resumed = v["resumed"];
  const Script second(resumed["messages"]);
  ends.draw(resumed["client_ephemeral_private"], resumed["server_ephemeral_private"]);
  ASSERT_TRUE(client.begin_connection(kStart));
  EXPECT_EQ(split(drain(client)), std::vector<std::string>{second.client[0]});
  Opening opening = serve(ends, second);
  ASSERT_TRUE(server.resume(opening, kStart));
  const std::vector<std::string> up = split(feed(client, second.server[0]));
  std::vector<std::string> down{second.server[0]};
  std::vector<std::string> all_up{second.client[0]};
  all_up.insert(all_up.end(), up.begin(), up.end());
  const auto give = [](ChannelEnd& to, const std::string& message) {
    Bytes in = from_hex(message);
    EXPECT_EQ(to.handle_bytes(in, kStart), in.size());
  };
  const auto step = [&](ChannelEnd& from, ChannelEnd& to, std::vector<std::string>& log) {
    for (const std::string& message : split(drain(from))) {
      log.push_back(message);
      give(to, message);
    }
  };
  // RESUME and the receipt arrive, and the client has answered before the message sent again does.
  const std::vector<std::string> first = split(drain(server));
  ASSERT_EQ(first.size(), 3U);
  down.insert(down.end(), first.begin(), first.end());
  give(client, first[0]);
  give(client, first[1]);
  step(client, server, all_up);
  give(client, first[2]);
  step(client, server, all_up);
  step(server, client, down);
  while (client.front()) client.pop();
  while (server.front()) server.pop();
  client.close(kStart);
  step(client, server, all_up);
  step(server, client, down);
  ASSERT_EQ(all_up.size(), second.client.size());
  ASSERT_EQ(down.size(), second.server.size());
  for (std::size_t i = 0; i < all_up.size(); ++i) EXPECT_EQ(all_up[i], second.client[i]) << i;
  for (std::size_t i = 0; i < down.size(); ++i) EXPECT_EQ(down[i], second.server[i]) << i;
  EXPECT_EQ(server.outcome()->code, Code::normal);
}

INSTANTIATE_TEST_SUITE_P(scp, ScpGolden, ::testing::Values(0, 1, 2, 3, 4));

TEST(ScpGoldenFile, has_the_vectors_that_the_suite_runs) {
  const json all = test::load_vectors("scp.json");
  ASSERT_EQ(all["vectors"].size(), 5U);
  test::report_vectors("sealine", "scp", all["vectors"].size());
}

}  // namespace
}  // namespace sealine::scp
