#include "sealine/stc/stc.hpp"

#include "support/fixed_rng.hpp"
#include "support/hex.hpp"
#include "support/vectors.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>

namespace sealine::stc {
namespace {

using nlohmann::json;
using test::Bytes;
using test::from_hex;
using test::to_hex;

class StcTest : public ::testing::Test {
 protected:
  static Bytes hex(const json& v) { return from_hex(v.get<std::string>()); }

  std::unique_ptr<crypto::Engine> engine_ = *crypto::make_engine();
  test::SeededRng rng_{7};
  Bytes seed_ = from_hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
};

TEST_F(StcTest, GoldenCalls) {
  const json vectors = test::load_vectors("stt.json")["stc1"];
  std::size_t checked = 0;
  for (const json& v : vectors) {
    const std::string call = v["call"];
    test::FixedRng salt;
    if (v.contains("salt")) salt.push(hex(v["salt"]));
    auto stc = *Stc::create(*engine_, salt, seed_);
    if (call == "prk0") {
      EXPECT_EQ(to_hex(seed_key(*engine_, hex(v["seed"]))->expose()), v["out"].get<std::string>());
    } else if (call == "hash") {
      EXPECT_EQ(to_hex(stc.hash(hex(v["data"]), hex(v["ctx"]))), v["out"].get<std::string>());
    } else if (call == "derive_key") {
      Bytes out(v["n"].get<std::size_t>());
      stc.derive_key(hex(v["ctx"]), out);
      EXPECT_EQ(to_hex(out), v["out"].get<std::string>());
    } else if (call == "encrypt") {
      const Sealed sealed = stc.encrypt(hex(v["data"]), hex(v["ctx"]));
      EXPECT_EQ(to_hex(sealed.ciphertext), v["ct"].get<std::string>());
      EXPECT_EQ(to_hex(sealed.metadata), v["metadata"].get<std::string>());
      const auto opened = stc.decrypt(sealed.ciphertext, sealed.metadata, hex(v["ctx"]));
      ASSERT_TRUE(opened);
      EXPECT_EQ(to_hex(opened->expose()), v["data"].get<std::string>());
    } else if (call == "create_stream_context") {
      const auto sid = test::hex_array<8>(v["sid"].get<std::string>());
      auto context = stc.create_stream_context(sid, v["stream"].get<std::uint32_t>());
      EXPECT_EQ(to_hex(context.metadata()), v["metadata"].get<std::string>());
      auto reader =
          *stc.open_stream_context(sid, v["stream"].get<std::uint32_t>(), context.metadata());
      for (const json& chunk : v["chunks"]) {
        const auto number = chunk["i"].get<std::uint64_t>();
        const bool last = chunk["last"];
        EXPECT_EQ(to_hex(context.encrypt_chunk(hex(chunk["data"]), number, last)),
                  chunk["ct"].get<std::string>());
        EXPECT_EQ(to_hex(reader.decrypt_chunk(hex(chunk["ct"]), number, last)->expose()),
                  chunk["data"].get<std::string>());
        EXPECT_FALSE(reader.decrypt_chunk(hex(chunk["ct"]), number, !last));
        EXPECT_FALSE(reader.decrypt_chunk(hex(chunk["ct"]), number + 1, last));
      }
    } else if (call == "rotate_session_key") {
      const auto current = test::hex_array<32>(v["cur"].get<std::string>());
      const auto nonce = test::hex_array<32>(v["nonce"].get<std::string>());
      const RotationKey next = rotate_session_key(*engine_, current, nonce, hex(v["x"]));
      EXPECT_EQ(to_hex(next.expose()), v["out"].get<std::string>());
    } else if (call == "scrypt") {
      const std::string phrase = v["passphrase"];
      EXPECT_EQ(to_hex(seed_of_passphrase(as_bytes(phrase))->expose()),
                v["out"].get<std::string>());
    } else {
      ADD_FAILURE() << "a call that is not known: " << call;
    }
    ++checked;
  }
  EXPECT_GE(checked, 15U);
}

TEST_F(StcTest, AShortSeedIsRefused) {
  EXPECT_FALSE(Stc::create(*engine_, rng_, ByteView(seed_).first(31)));
  EXPECT_TRUE(Stc::create(*engine_, rng_, seed_));
}

TEST_F(StcTest, TwoEncryptionsOfTheSameDiffer) {
  auto stc = *Stc::create(*engine_, rng_, seed_);
  const Bytes data = from_hex("616263");
  const Sealed one = stc.encrypt(data, {});
  const Sealed two = stc.encrypt(data, {});
  EXPECT_NE(one.metadata, two.metadata);
  EXPECT_NE(one.ciphertext, two.ciphertext);
}

TEST_F(StcTest, WhatIsAlteredDoesNotOpen) {
  auto stc = *Stc::create(*engine_, rng_, seed_);
  const Bytes context = from_hex("4100000000");
  const Sealed sealed = stc.encrypt(from_hex("616263"), context);
  for (std::size_t i = 0; i < sealed.ciphertext.size(); ++i) {
    auto changed = sealed.ciphertext;
    changed[i] ^= 1U;
    EXPECT_FALSE(stc.decrypt(changed, sealed.metadata, context));
  }
  for (std::size_t i = 0; i < sealed.metadata.size(); ++i) {
    auto changed = sealed.metadata;
    changed[i] ^= 1U;
    EXPECT_FALSE(stc.decrypt(sealed.ciphertext, changed, context));
  }
  EXPECT_FALSE(stc.decrypt(sealed.ciphertext, sealed.metadata, {}));
  EXPECT_FALSE(stc.decrypt(ByteView(sealed.ciphertext).first(15), sealed.metadata, context));
  EXPECT_FALSE(stc.decrypt(sealed.ciphertext, ByteView(sealed.metadata).first(32), context));
}

TEST_F(StcTest, AStreamOpensByItsMetadataAlone) {
  auto stc = *Stc::create(*engine_, rng_, seed_);
  const ByteArray<8> session{1};
  const StreamContext sender = stc.create_stream_context(session, 3);
  const Bytes metadata = test::copy_of(sender.metadata());
  EXPECT_TRUE(stc.open_stream_context(session, 3, metadata));
  EXPECT_FALSE(stc.open_stream_context(session, 3, {}));
  EXPECT_FALSE(stc.open_stream_context(session, 3, ByteView(metadata).first(metadata.size() - 1)));
  Bytes other = metadata;
  other[0] ^= 1U;
  EXPECT_FALSE(stc.open_stream_context(session, 3, other)) << "another version";
}

}  // namespace
}  // namespace sealine::stc
