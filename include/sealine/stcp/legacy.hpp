#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/secret.hpp"
#include "sealine/base/time.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/rng.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace sealine::stcp {

/// Packets in the layout of the first STCP description: IV of 16, 24 or 32 bytes, then the payload,
/// under a key given beforehand. spec: stcp.md#legacy
///
///   0        iv_size            iv_size + 16 + data
///   +--------+------------------------+---------+
///   | IV     | sealed: seq, time, data| tag 16  |
///   +--------+------------------------+---------+
enum class LegacyRole : std::uint8_t { client = 0, server = 1 };

inline constexpr std::size_t kMaxLegacyDataBytes = std::size_t{1} << 24U;

/// What both ends of a legacy channel agree on beforehand.
struct LegacyKey {
  SecretBytes key;           ///< 16, 24 or 32 bytes
  std::size_t iv_size = 16;  ///< 16, 24 or 32
};

/// Seals packets of one key and role; there is one sender for each. One thread.
class SEALINE_API LegacySealer {
 public:
  /// `start` is the sender's clock now; it makes the first sequence number. Errors:
  /// bad_configuration.
  static Result<LegacySealer> create(const LegacyKey& key, LegacyRole role, UnixMillis start,
                                     crypto::Engine& engine, crypto::Rng& rng);

  /// Writes one packet; returns its length, data.size() + overhead(). `data` may not overlap `out`.
  /// Errors: value_too_large, out_of_space, sequence_exhausted.
  [[nodiscard]] Result<std::size_t> seal(ByteView data, UnixMillis now, MutableBytes out);

  [[nodiscard]] std::size_t overhead() const noexcept;

 private:
  LegacySealer() = default;
  Secret<32, struct LegacySealKeyTag> key_;
  std::size_t iv_size_ = 16;
  LegacyRole role_ = LegacyRole::client;
  std::uint64_t next_sequence_ = 0;
  crypto::Engine* engine_ = nullptr;
  crypto::Rng* rng_ = nullptr;
};

/// One packet that was opened.
struct LegacyPacket {
  std::uint64_t sequence;
  UnixMillis sent_at;
  MutableBytes data;  ///< in place, inside the packet
};

/// Opens packets of the other role. One thread.
class SEALINE_API LegacyOpener {
 public:
  struct Options {
    bool any_time =
        false;  ///< also packets older than 120 s or from before our start (stored streams)
  };

  /// `role` is the sender's. Errors: bad_configuration.
  static Result<LegacyOpener> create(const LegacyKey& key, LegacyRole role, UnixMillis start,
                                     Options options, crypto::Engine& engine);

  /// Opens in place. Any defect is the one error packet_not_authentic and changes nothing.
  [[nodiscard]] Result<LegacyPacket> open(MutableBytes packet, UnixMillis now);

 private:
  LegacyOpener() = default;
  [[nodiscard]] bool is_new(std::uint64_t sequence) const noexcept;
  void remember(std::uint64_t sequence) noexcept;

  static constexpr std::size_t kWindow = 2048;
  Secret<32, struct LegacyOpenKeyTag> key_;
  std::size_t iv_size_ = 16;
  LegacyRole role_ = LegacyRole::client;
  UnixMillis start_ = 0;
  Options options_;
  std::uint64_t highest_ = 0;
  bool any_seen_ = false;
  std::array<std::uint64_t, kWindow / 64> seen_{};
  crypto::Engine* engine_ = nullptr;
};

/// legacy-raw: AES-CBC with PKCS7 under the first 16 bytes of the IV, as an earlier program wrote
/// it. It authenticates nothing, so there is no sealing form. Writes to `out` (at least
/// packet.size()) and returns the length of the data. Any defect is packet_not_authentic.
[[nodiscard]] SEALINE_API Result<std::size_t> open_legacy_raw(const LegacyKey& key, ByteView packet,
                                                              MutableBytes out);

}  // namespace sealine::stcp
