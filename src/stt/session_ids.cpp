#include "sealine/stt/session_ids.hpp"

#include "sealine/base/assert.hpp"

#include <algorithm>
#include <array>

namespace sealine::stt {

namespace {

constexpr std::size_t kIdsAtOnce = 8;  ///< as many blocks as an engine takes
constexpr std::size_t kHalfBytes = sizeof(SessionId) / 2;
constexpr std::size_t kLengthAt = 14;
constexpr std::size_t kRoundAt = 15;
constexpr std::uint8_t kRounds = 4;
constexpr std::size_t kRandomBytes = 5;

}  // namespace

// Round 1 takes the left half and changes the right one, round 2 the other way round, and so on:
//   half ^= AES(other half 4 | zeros 10 | length of an id 1 | number of the round 1), cut to 4
//   bytes
void encrypt_session_ids(crypto::Engine& engine, const SteeringKey& key, std::span<SessionId> ids) {
  SEALINE_ASSERT(ids.size() <= kIdsAtOnce);
  std::array<std::uint8_t, kIdsAtOnce * crypto::kBlockBytes> memory{};
  const auto blocks = MutableBytes(memory).first(ids.size() * crypto::kBlockBytes);
  for (std::uint8_t round = 1; round <= kRounds; ++round) {
    const std::size_t source = round % 2 == 1 ? 0 : kHalfBytes;
    const std::size_t target = kHalfBytes - source;
    std::ranges::fill(blocks, std::uint8_t{0});
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const auto block = blocks.subspan(i * crypto::kBlockBytes, crypto::kBlockBytes);
      std::ranges::copy(ByteView(ids[i]).subspan(source, kHalfBytes), block.begin());
      block[kLengthAt] = sizeof(SessionId);
      block[kRoundAt] = round;
    }
    engine.aes256_blocks(key.expose(), blocks);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      for (std::size_t byte = 0; byte < kHalfBytes; ++byte) {
        ids[i][target + byte] ^= blocks[(i * crypto::kBlockBytes) + byte];
      }
    }
  }
}

SessionId draw_session_id(const SessionIdPlan& plan, crypto::Engine& engine, crypto::Rng& rng) {
  SEALINE_ASSERT(plan.workers >= 1 && plan.workers <= kMaxWorkers && plan.worker < plan.workers);
  for (;;) {
    std::array<SessionId, kIdsAtOnce> ids{};
    for (SessionId& id : ids) {
      id[0] = static_cast<std::uint8_t>(plan.server_id >> 8U);
      id[1] = static_cast<std::uint8_t>(plan.server_id & 0xFFU);
      id[2] = plan.worker;
      rng.fill(MutableBytes(id).last(kRandomBytes));
    }
    encrypt_session_ids(engine, plan.key, ids);
    const auto ours = std::ranges::find_if(
        ids, [&](const SessionId& id) { return worker_of(id, plan.workers) == plan.worker; });
    if (ours != ids.end()) return *ours;
  }
}

}  // namespace sealine::stt
