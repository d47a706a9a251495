// What SCP, STT and the files of STX do with keys. See memcheck.hpp for what a case counts.
#include "sealine/base/secret.hpp"
#include "sealine/crypto/constant_time.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/kdf.hpp"
#include "sealine/scp/handshake.hpp"
#include "sealine/scp/link.hpp"
#include "sealine/stc/stc.hpp"
#include "sealine/stt/frame.hpp"
#include "sealine/stt/keys.hpp"
#include "sealine/stx/frame.hpp"
#include "stt/detail/handshake_messages.hpp"
#include "tests/constant_time/memcheck.hpp"
#include "tests/support/fixed_rng.hpp"
#include "tests/support/hex.hpp"

#include <array>
#include <cstdio>
#include <memory>
#include <optional>
#include <string_view>

#if defined(SEALINE_HAVE_MEMCHECK)

namespace sealine {
namespace {

using test::Bytes;
using test::Cases;
using test::make_public;
using test::make_secret;

const Bytes kSome = test::counting(32);
const FixedView<32> kSome32(kSome.data(), 32);

// --- SCP

scp::Link link_of(crypto::Engine& engine, scp::Link::Role role, bool is_secret) {
  ByteArray<32> c2s{1};
  ByteArray<32> s2c{2};
  if (is_secret) {
    make_secret(c2s);
    make_secret(s2c);
  }
  return scp::Link::begin(engine, role, c2s, s2c, kSome32);
}

// A message as it comes from the wire.
Bytes scp_message(crypto::Engine& engine) {
  scp::Link client = link_of(engine, scp::Link::Role::client, false);
  Bytes out(scp::Link::sealed_size(100));
  static_cast<void>(client.seal(scp::Type::data, {}, Bytes(100), out));
  return out;
}

void run_scp(Cases& cases, crypto::Engine& engine) {
  cases.run("SCP keys of a channel, and sealing", 0, [&] {
    scp::Link link = link_of(engine, scp::Link::Role::server, true);
    Bytes out(scp::Link::sealed_size(100));
    static_cast<void>(link.seal(scp::Type::data, {}, Bytes(100), out));
  });

  cases.run("SCP opening, up to the verdicts on its MAC and tag", 2, [&] {
    scp::Link link = link_of(engine, scp::Link::Role::server, true);
    Bytes message = scp_message(engine);
    const auto head = link.check_head(FixedView<scp::kHeadBytes>(message.data(), scp::kHeadBytes));
    static_cast<void>(link.open(*head, message));
  });

  cases.run("SCP verifying a run, up to its verdict", 1, [&] {
    scp::Link link = link_of(engine, scp::Link::Role::server, true);
    const Bytes message = scp_message(engine);
    std::array<scp::Arrived, scp::kRunMessages> run;
    static_cast<void>(link.verify(message, run));
  });

  cases.run("SCP rotation", 0, [&] {
    scp::Link link = link_of(engine, scp::Link::Role::client, true);
    crypto::SharedSecret x(kSome32);
    make_secret(x.expose());
    link.prepare_rotation({{1}}, {{2}}, x);
  });

  cases.run("SCP resume proof", 0, [&] {
    Secret<32, struct ResumeKeyTag> key(kSome32);
    make_secret(key.expose());
    ByteArray<32> proof{};
    crypto::labelled(engine, key.expose(), "scp1 resume c", kSome, proof);
    bool equal = crypto::ct_equal(proof, kSome);
    make_public(equal);
  });

  cases.run("SCP INIT under a secret, up to the verdict on its MAC", 1, [&] {
    test::SeededRng rng(1);
    auto theirs = std::make_shared<crypto::Psk>(ByteArray<32>{1});
    scp::ClientConfig client;
    client.mode = scp::Mode::psk;
    client.psk = theirs;
    auto initiator = scp::ClientHandshake::create(client, engine, rng, std::nullopt);
    Bytes init(1024);
    init.resize(initiator->poll_transmit(init));

    auto ours = std::make_shared<crypto::Psk>(ByteArray<32>{2});
    make_secret(ours->expose());
    scp::ServerConfig server;
    server.modes = {scp::Mode::psk};
    server.psks = {ours};
    auto responder = scp::ServerHandshake::create(server, engine, rng);
    std::size_t consumed = 0;
    static_cast<void>(responder->handle_bytes(init, consumed));
  });
}

// --- STT

using stt::detail::Hello;
using stt::detail::KeySchedule;
using stt::detail::Response;

Hello some_hello() {
  Hello hello;
  hello.nonce.fill(1);
  hello.node_id.fill(2);
  return hello;
}

KeySchedule schedule(crypto::Engine& engine, const Response& response, bool is_secret) {
  stc::SeedKey seed_key(kSome32);
  crypto::SharedSecret shared(kSome32);
  if (is_secret) {
    make_secret(seed_key.expose());
    make_secret(shared.expose());
  }
  return {engine, seed_key, some_hello(), response, &shared};
}

stt::EpochKeys epoch_keys(crypto::Engine& engine, bool is_secret) {
  stt::DirectionKey root(kSome32);
  if (is_secret) make_secret(root.expose());
  return {engine, 0, std::move(root)};
}

Bytes stt_frame(stt::EpochKeys keys) {
  Bytes out(100 + stt::kMaxFrameOverheadBytes);
  const stt::FrameHead head{.type = stt::FrameType::data, .stream = 1, .number = 7};
  out.resize(keys.seal(head, {}, Bytes(100), out));
  return out;
}

void run_stt_handshake(Cases& cases, crypto::Engine& engine) {
  cases.run("STT seed, and the commitment of a HELLO", 0, [&] {
    Bytes seed = kSome;
    make_secret(seed);
    const auto key = stc::seed_key(engine, seed);
    bool equal = crypto::ct_equal(stt::detail::commitment_of(engine, *key, some_hello()), kSome);
    make_public(equal);
  });

  cases.run("STT cookie", 0, [&] {
    Bytes key = kSome;
    make_secret(key);
    ByteArray<32> mac{};
    engine.hmac_sha256(key, {kSome, kSome}, mac);
    bool equal = crypto::ct_equal(ByteView(mac).first(16), ByteView(kSome).first(16));
    make_public(equal);
  });

  cases.run("STT challenge, proof and FINAL are made", 0, [&] {
    test::SeededRng rng(1);
    Response response;
    const KeySchedule keys = schedule(engine, response, true);
    keys.seal_challenge(rng, response);
    static_cast<void>(keys.make_proof(rng));
    static_cast<void>(keys.make_final());
    static_cast<void>(keys.establish(stt::Role::responder));
  });

  test::SeededRng rng(1);
  Response response;
  const KeySchedule theirs = schedule(engine, response, false);
  theirs.seal_challenge(rng, response);
  const auto proof = theirs.make_proof(rng);
  const auto last = theirs.make_final();
  // Two verdicts each: on the tag, and on what was sealed.
  cases.run("STT challenge, up to its verdicts", 2,
            [&] { static_cast<void>(schedule(engine, response, true).check_challenge(response)); });
  cases.run("STT proof, up to its verdicts", 2,
            [&] { static_cast<void>(schedule(engine, response, true).check_proof(proof)); });
  cases.run("STT FINAL, up to its verdict", 1,
            [&] { static_cast<void>(schedule(engine, response, true).check_final(last)); });
}

void run_stt_frames(Cases& cases, crypto::Engine& engine) {
  cases.run("STT sealing a frame", 0,
            [&] { static_cast<void>(stt_frame(epoch_keys(engine, true))); });

  cases.run("STT opening a frame, up to the verdict on its tag", 1, [&] {
    Bytes datagram = stt_frame(epoch_keys(engine, false));
    const auto frame = stt::parse_frame(datagram);
    stt::EpochKeys keys = epoch_keys(engine, true);
    static_cast<void>(keys.open(*frame));
  });

  cases.run("STT rotation", 0, [&] {
    Bytes x = kSome;
    make_secret(x);
    static_cast<void>(epoch_keys(engine, true).next(kSome32, x));
  });
}

// --- STC1, and the frames of STX

void run_others(Cases& cases, crypto::Engine& engine) {
  test::SeededRng rng(1);
  cases.run("STC1 sealing", 0, [&] {
    ByteArray<32> key{1};
    Bytes data = kSome;
    make_secret(key);
    make_secret(data);
    static_cast<void>(stc::seal(engine, rng, key, "a label", {}, data));
  });

  const stc::Sealed sealed = stc::seal(engine, rng, ByteArray<32>{1}, "a label", {}, kSome);
  cases.run("STC1 opening, up to the verdict on its tag", 1, [&] {
    ByteArray<32> key{1};
    make_secret(key);
    static_cast<void>(stc::open(engine, key, "a label", {}, sealed.ciphertext, sealed.metadata));
  });

  cases.run("STX opening a frame, up to the verdict on its tag", 1, [&] {
    const stx::FrameHead head{.sequence = 0, .size_bytes = 100};
    Bytes frame(head.frame_bytes());
    stx::seal_frame(engine, stx::FrameKey(kSome32), 3, head, 1, frame);
    stx::FrameKey key(kSome32);
    make_secret(key.expose());
    static_cast<void>(stx::open_frame(engine, key, 3, 1, frame));
  });
}

void run(Cases& cases, crypto::Engine& engine) {
  run_scp(cases, engine);
  run_stt_handshake(cases, engine);
  run_stt_frames(cases, engine);
  run_others(cases, engine);
}

}  // namespace
}  // namespace sealine

int main() { return sealine::test::for_each_engine(sealine::run); }

#else

int main() {
  std::printf("SKIPPED: no valgrind/memcheck.h\n");
  return 77;
}

#endif
