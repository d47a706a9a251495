#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/secret.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/stx/limits.hpp"
#include "sealine/stx/message.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace sealine::stx {

inline constexpr std::size_t kFrameHeadBytes = 8;
inline constexpr std::size_t kFrameTrailerBytes = 16 + 4;  ///< tag, CRC
inline constexpr std::size_t kFrameOverheadBytes = kFrameHeadBytes + kFrameTrailerBytes;
inline constexpr std::uint32_t kControlSequence = 0xFFFFFF00U;  ///< | type

/// A lane's key of one direction.
using FrameKey = Secret<32, struct StxFrameKeyTag>;

/// The head of every frame.                                        spec: stx.md#frame
///
///   0        4         8                 8+size         24+size      28+size
///   +--------+---------+------- ... -----+--------------+------------+
///   | seq BE | size BE | ciphertext      | tag 16       | CRC-32 BE  |
///   +--------+---------+------- ... -----+--------------+------------+
struct FrameHead {
  std::uint32_t sequence = 0;
  std::uint32_t size_bytes = 0;

  [[nodiscard]] bool is_control() const noexcept { return sequence >= kControlSequence; }

  [[nodiscard]] std::uint8_t type() const noexcept {
    return static_cast<std::uint8_t>(sequence & 0xFFU);
  }

  [[nodiscard]] std::size_t frame_bytes() const noexcept {
    return size_bytes + kFrameOverheadBytes;
  }
};

/// Judges a head on its own: nothing is authenticated yet, so the size meets its limit before
/// anything is allocated. A control frame of a type that `from` does not send, a data frame from
/// the server, an empty or too large one: protocol_broken (the caller closes silently).
[[nodiscard]] SEALINE_API Result<FrameHead> parse_frame_head(FixedView<kFrameHeadBytes> bytes,
                                                             Side from);

/// Seals in place: the plaintext stands at frame[8 .. 8 + head.size_bytes), `frame` is
/// head.frame_bytes() long and becomes the whole frame. `item` is looked at for data alone.
/// Any thread with an engine of its own; frames seal in any order, for `counter` is in the nonce.
SEALINE_API void seal_frame(crypto::Engine& engine, const FrameKey& key, std::uint64_t counter,
                            FrameHead head, ItemId item, MutableBytes frame);

/// Checks the CRC alone: false is line damage.
[[nodiscard]] SEALINE_API bool has_valid_crc(ByteView frame) noexcept;

/// Opens in place a whole frame whose CRC is right; gives the plaintext, a view into `frame`.
/// Errors: tag_mismatch (tampering, or a SELECT that was lost).
[[nodiscard]] SEALINE_API Result<MutableBytes> open_frame(crypto::Engine& engine,
                                                          const FrameKey& key,
                                                          std::uint64_t counter, ItemId item,
                                                          MutableBytes frame);

}  // namespace sealine::stx
