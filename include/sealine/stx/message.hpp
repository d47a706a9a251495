#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/stx/code.hpp"
#include "sealine/stx/limits.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace sealine::stx {

/// The number of an item of a session: 0, 1, 2, ... in the order of META.
using ItemId = std::uint32_t;

/// The number of a connection of a session; 0 is the one that carries everything but data.
using LaneId = std::uint8_t;

/// SHA-256: a leaf, a node, a root.
using Hash = ByteArray<32>;

enum class Side : std::uint8_t { client, server };

enum class EntryKind : std::uint8_t { file = 0, directory = 1, symlink = 2 };

/// One file, directory or symlink of an item.   spec: stx.md#items
struct Entry {
  EntryKind kind{};
  std::uint16_t mode = 0;        ///< the low 9 bits; others are 0
  std::int64_t mtime_ns = 0;     ///< since 1970
  std::uint64_t size_bytes = 0;  ///< of a symlink: its target's length; of a directory 0
  std::string name;              ///< bytes, `/` between components, relative to the receiver's root

  friend bool operator==(const Entry&, const Entry&) = default;
};

struct Meta {  ///< 01, client
  ItemId item = 0;
  std::uint8_t block_log2 = kDefaultBlockLog2;
  bool compressible = false;  ///< flag 0: zstd allowed
  bool size_unknown = false;  ///< flag 1: standard input
  std::vector<Entry> entries;

  friend bool operator==(const Meta&, const Meta&) = default;
};

struct MetaOk {  ///< 02, server
  ItemId item = 0;
  Code code{};
  std::uint32_t have = 0;  ///< leading blocks on disk

  friend bool operator==(const MetaOk&, const MetaOk&) = default;
};

struct Ack {  ///< 03, server: numbers of frames of this lane
  std::uint64_t received = 0;
  std::uint64_t durable = 0;

  friend bool operator==(const Ack&, const Ack&) = default;
};

struct Nak {  ///< 04, server
  std::uint64_t frame = 0;

  friend bool operator==(const Nak&, const Nak&) = default;
};

struct Resume {  ///< 05, client
  ItemId item = 0;
  std::uint8_t run_log2 = 0;
  std::vector<Hash> roots;

  friend bool operator==(const Resume&, const Resume&) = default;
};

struct ResumeOk {  ///< 06, server
  ItemId item = 0;
  std::uint32_t start = 0;

  friend bool operator==(const ResumeOk&, const ResumeOk&) = default;
};

struct End {  ///< 07, client
  ItemId item = 0;
  std::uint32_t blocks = 0;
  std::uint64_t size_bytes = 0;
  Hash root{};

  friend bool operator==(const End&, const End&) = default;
};

/// An entry of an item that was kept out, by its number in META.
struct EntryCode {
  std::uint16_t entry = 0;
  Code code{};

  friend bool operator==(const EntryCode&, const EntryCode&) = default;
};

struct Done {  ///< 08, server
  ItemId item = 0;
  Code code{};
  std::vector<EntryCode> entries;

  friend bool operator==(const Done&, const Done&) = default;
};

struct Close {  ///< 09, both
  Code code{};

  friend bool operator==(const Close&, const Close&) = default;
};

struct KeepAlive {  ///< 0A, both
  friend bool operator==(const KeepAlive&, const KeepAlive&) = default;
};

struct Select {  ///< 0B, client
  ItemId item = 0;

  friend bool operator==(const Select&, const Select&) = default;
};

struct Drop {  ///< 0C, client
  ItemId item = 0;
  Code code{};

  friend bool operator==(const Drop&, const Drop&) = default;
};

struct Zero {  ///< 0D, client: whole blocks of zero bytes
  ItemId item = 0;
  std::uint32_t first = 0;
  std::uint32_t count = 0;

  friend bool operator==(const Zero&, const Zero&) = default;
};

/// What a control frame carries. Type = index + 1.   spec: stx.md#messages
using Message = std::variant<Meta, MetaOk, Ack, Nak, Resume, ResumeOk, End, Done, Close, KeepAlive,
                             Select, Drop, Zero>;

[[nodiscard]] SEALINE_API std::uint8_t type_of(const Message& message) noexcept;

/// Whether `type` is a type that this side sends.
[[nodiscard]] SEALINE_API bool is_sent_by(std::uint8_t type, Side side) noexcept;

/// How long encode() makes it: a pack is closed before its META is over kMaxFrameBytes.
[[nodiscard]] SEALINE_API std::size_t encoded_bytes(const Message& message) noexcept;

/// The bytes of a message, which are at most kMaxFrameBytes (asserted). The caller keeps the rules
/// that parse_message checks.
[[nodiscard]] SEALINE_API std::vector<std::uint8_t> encode(const Message& message);

/// Reads what `from` wrote; `type` is the low byte of the frame's seq. Every rule that one message
/// alone can break is checked here: missing or left-over bytes, the wrong side's type, block_log2,
/// flags, kinds, mode bits, counts, sizes, run_log2, codes. (Names are the receiver's to judge: a
/// bad name is refused, not a fault; what the session knows, such as an item's blocks, is the
/// machines'.) What is allocated is bounded by the plaintext. Errors: input_too_short,
/// trailing_bytes, protocol_broken.
[[nodiscard]] SEALINE_API Result<Message> parse_message(std::uint8_t type, ByteView plaintext,
                                                        Side from);

/// Bytes of all contents of an item, one after another. Errors: protocol_broken on overflow.
[[nodiscard]] SEALINE_API Result<std::uint64_t> total_bytes(const Meta& meta);

/// ceil(total / 2^block_log2), below kMaxBlocks. Errors: protocol_broken.
[[nodiscard]] SEALINE_API Result<std::uint32_t> block_count(std::uint64_t total_bytes,
                                                            std::uint8_t block_log2);

}  // namespace sealine::stx
