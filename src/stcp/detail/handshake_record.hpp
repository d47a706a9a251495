#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/stcp/limits.hpp"
#include "sealine/stcp/mode.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace sealine::stcp::detail {

/// The head of a handshake record.                                          spec: stcp.md#handshake
///
///   0            8        12        13     14     15      16         24
///   +------------+--------+---------+------+------+-------+----------+--- ... ---+
///   | N (BE64)   | "STCP" | 01      | step | mode | suite | hint     | Noise, N  |
///   +------------+--------+---------+------+------+-------+----------+--- ... ---+
///
/// N is a function of mode, suite and step. The hint is 0 in steps 2 and 3, which are constants.
using HandshakeHead = ByteArray<kRecordHeadBytes>;
using Hint = ByteArray<8>;

inline constexpr std::uint8_t kVersion = 1;
inline constexpr std::uint8_t kSuite25519AesGcmSha256 = 1;
inline constexpr std::size_t kHintOffset = 16;

enum class Step : std::uint8_t { hello = 1, answer = 2, auth = 3 };

/// N of a step, 0 where the mode has no such step.
[[nodiscard]] std::size_t message_bytes(Mode mode, Step step) noexcept;

/// Whether hello and answer carry C and nB, and FINISH nA.
[[nodiscard]] bool has_sas(Mode mode) noexcept;

[[nodiscard]] HandshakeHead encode_head(Mode mode, Step step, const Hint& hint = {});

/// What a server learns from the head of step 1.
struct HelloHead {
  Mode mode{};
  Hint hint{};
};

/// Errors in this order: bad_record_head (magic, version, step), mode_refused (mode, suite),
/// bad_length (N), unknown_hint (a hint in a mode that has none).
[[nodiscard]] Result<HelloHead> parse_hello_head(FixedView<kRecordHeadBytes> head, ModeSet allowed);

/// The head of step 2 or 3 is one constant. Errors: bad_record_head.
[[nodiscard]] Result<> check_head(FixedView<kRecordHeadBytes> head, Mode mode, Step step);

}  // namespace sealine::stcp::detail
