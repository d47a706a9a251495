#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/secret.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/stt/frame.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace sealine::stt {

/// What hides server and worker in a session id from all but a load balancer. It protects no data.
using SteeringKey = Secret<32, struct SttSteeringKeyTag>;

inline constexpr std::size_t kMaxWorkers = 256;

/// Which of `workers` a datagram belongs to, by its session id: the number in the id's last four
/// bytes, modulo their count. What the kernel is told to do with each.  spec: stt.md#session-ids
[[nodiscard]] constexpr std::size_t worker_of(FixedView<8> id, std::size_t workers) noexcept {
  const std::uint32_t low = (std::uint32_t{id[4]} << 24U) | (std::uint32_t{id[5]} << 16U) |
                            (std::uint32_t{id[6]} << 8U) | std::uint32_t{id[7]};
  return low % workers;
}

/// The place of a responder among those that share an address.
struct SessionIdPlan {
  SteeringKey key;
  std::uint16_t server_id = 0;
  std::uint8_t worker = 0;
  std::uint16_t workers = 1;  ///< at most kMaxWorkers
};

/// E: a permutation of 8 bytes, four rounds of a Feistel network over AES-256.
/// spec: stt.md#session-ids
///
/// Of each of `ids`, at most 8, in its place.
SEALINE_API void encrypt_session_ids(crypto::Engine& engine, const SteeringKey& key,
                                     std::span<SessionId> ids);

/// A new id that comes back to its worker: E(server_id 16 | worker 8 | random 40), drawn until it
/// does, `workers` times on average. Public, and free only if nobody else has it.
[[nodiscard]] SEALINE_API SessionId draw_session_id(const SessionIdPlan& plan,
                                                    crypto::Engine& engine, crypto::Rng& rng);

}  // namespace sealine::stt
