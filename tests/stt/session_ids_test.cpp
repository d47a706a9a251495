// SPEC stt.md#session-ids
#include "sealine/stt/session_ids.hpp"

#include "support/fixed_rng.hpp"
#include "support/hex.hpp"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace sealine::stt {
namespace {

using test::from_hex;
using test::hex_array;
using test::to_hex;

struct KnownId {
  std::string key;
  std::string plain;
  std::string id;
};

// By an implementation in Python over another AES (pyca/cryptography).
const std::vector<KnownId> kKnown{
    {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "0000000000000000",
     "195ee13a6d42a685"},
    {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "1234050a0b0c0d0e",
     "9b0c6fc0df7a5956"},
    {"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", "ffff03ffffffffff",
     "a8be5d5c19bca690"}};

SteeringKey key_of(const std::string& hex) { return SteeringKey(hex_array<32>(hex)); }

SessionIdPlan plan(std::uint8_t worker, std::uint16_t workers) {
  return {.key = key_of(kKnown[0].key), .server_id = 7, .worker = worker, .workers = workers};
}

TEST(SttSessionIds, KnownAnswers) {
  for (const auto choice : {crypto::EngineChoice::openssl, crypto::EngineChoice::fastest}) {
    const auto engine = *crypto::make_engine(choice);
    for (const KnownId& known : kKnown) {
      // Alone, and with seven others beside it.
      std::array<SessionId, 8> ids{};
      ids.fill(hex_array<8>(known.plain));
      encrypt_session_ids(*engine, key_of(known.key), std::span(ids).first(1));
      EXPECT_EQ(to_hex(ids[0]), known.id);
      EXPECT_EQ(to_hex(ids[1]), known.plain);
      encrypt_session_ids(*engine, key_of(known.key), std::span(ids).subspan(1));
      for (const SessionId& id : ids) EXPECT_EQ(to_hex(id), known.id);
    }
  }
}

TEST(SttSessionIds, TheWorkerIsTheLowHalfModuloTheirCount) {
  EXPECT_EQ(worker_of(hex_array<8>("ffffffff00000007"), 4), 3U);
  EXPECT_EQ(worker_of(hex_array<8>("00000000ffffffff"), 256), 255U);
  EXPECT_EQ(worker_of(hex_array<8>("0102030480000001"), 3), 0x80000001U % 3);
  EXPECT_EQ(worker_of(hex_array<8>("ffffffffffffffff"), 1), 0U);
}

TEST(SttSessionIds, AnIdComesBackToWhoDrewIt) {
  const auto engine = *crypto::make_engine(crypto::EngineChoice::openssl);
  test::SeededRng rng(3);
  for (const std::uint16_t workers : std::to_array<std::uint16_t>({1, 2, 3, 4, 7, 64, 255, 256})) {
    std::set<SessionId> seen;
    for (unsigned worker = 0; worker < workers; worker += workers > 8 ? 31 : 1) {
      const auto mine = plan(static_cast<std::uint8_t>(worker), workers);
      for (int i = 0; i < 5; ++i) {
        const SessionId id = draw_session_id(mine, *engine, rng);
        EXPECT_EQ(worker_of(id, workers), worker);
        EXPECT_TRUE(seen.insert(id).second);
      }
    }
  }
}

}  // namespace
}  // namespace sealine::stt
