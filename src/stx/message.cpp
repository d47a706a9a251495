#include "sealine/stx/message.hpp"

#include "sealine/base/assert.hpp"
#include "sealine/base/reader.hpp"
#include "sealine/base/writer.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace sealine::stx {
namespace {

constexpr std::uint8_t kCompressibleFlag = 0x01;
constexpr std::uint8_t kSizeUnknownFlag = 0x02;
constexpr std::uint16_t kModeBits = 0777;
constexpr std::size_t kEntryFixedBytes = 21;
constexpr std::size_t kEntryCodeBytes = 3;
constexpr std::uint8_t kMaxRunLog2 = 18;  // run_log2_of(kMaxBlocks)

enum class From : std::uint8_t { client, server, both };

/// Who sends type index + 1.
constexpr std::array kSenders{
    From::client,  // META
    From::server,  // META_OK
    From::server,  // ACK
    From::server,  // NAK
    From::client,  // RESUME
    From::server,  // RESUME_OK
    From::client,  // END
    From::server,  // DONE
    From::both,    // CLOSE
    From::both,    // KEEPALIVE
    From::client,  // SELECT
    From::client,  // DROP
    From::client,  // ZERO
};
static_assert(kSenders.size() == std::variant_size_v<Message>);

// --- encoding

/// How many bytes a message has, and then those bytes, by the same description of its fields.
struct Size {
  std::size_t bytes = 0;

  template <std::unsigned_integral U>
  Size& be(U) {
    bytes += sizeof(U);
    return *this;
  }

  Size& run(ByteView data) {
    bytes += data.size();
    return *this;
  }
};

struct Out {
  Writer writer;

  template <std::unsigned_integral U>
  Out& be(U value) {
    writer.be(value);
    return *this;
  }

  Out& run(ByteView data) {
    writer.bytes(data);
    return *this;
  }
};

std::uint8_t wire(Code code) { return static_cast<std::uint8_t>(code); }

std::uint16_t count16(std::size_t count) {
  SEALINE_ASSERT(count <= 0xFFFF);
  return static_cast<std::uint16_t>(count);
}

void put(auto& out, const Meta& m) {
  const auto flags = static_cast<std::uint8_t>((m.compressible ? kCompressibleFlag : 0U) |
                                               (m.size_unknown ? kSizeUnknownFlag : 0U));
  out.be(m.item).be(m.block_log2).be(flags).be(count16(m.entries.size()));
  for (const Entry& entry : m.entries) {
    out.be(static_cast<std::uint8_t>(entry.kind))
        .be(entry.mode)
        .be(static_cast<std::uint64_t>(entry.mtime_ns))
        .be(entry.size_bytes)
        .be(count16(entry.name.size()))
        .run(as_bytes(entry.name));
  }
}

void put(auto& out, const MetaOk& m) { out.be(m.item).be(wire(m.code)).be(m.have); }

void put(auto& out, const Ack& m) { out.be(m.received).be(m.durable); }

void put(auto& out, const Nak& m) { out.be(m.frame); }

void put(auto& out, const Resume& m) {
  out.be(m.item).be(m.run_log2).be(count16(m.roots.size()));
  for (const Hash& root : m.roots) out.run(root);
}

void put(auto& out, const ResumeOk& m) { out.be(m.item).be(m.start); }

void put(auto& out, const End& m) { out.be(m.item).be(m.blocks).be(m.size_bytes).run(m.root); }

void put(auto& out, const Done& m) {
  out.be(m.item).be(wire(m.code)).be(count16(m.entries.size()));
  for (const EntryCode& entry : m.entries) out.be(entry.entry).be(wire(entry.code));
}

void put(auto& out, const Close& m) { out.be(wire(m.code)); }

void put(auto&, const KeepAlive&) {}

void put(auto& out, const Select& m) { out.be(m.item); }

void put(auto& out, const Drop& m) { out.be(m.item).be(wire(m.code)); }

void put(auto& out, const Zero& m) { out.be(m.item).be(m.first).be(m.count); }

// --- parsing

Result<Code> read_code(Reader& reader) {
  SEALINE_TRY(value, reader.be<std::uint8_t>());
  if (value > kLastCode) return fail(Errc::protocol_broken);
  return static_cast<Code>(value);
}

/// A count of elements whose bytes are there: what is allocated for them is bounded by the frame.
Result<std::size_t> read_count(Reader& reader, std::size_t limit, std::size_t element_bytes) {
  SEALINE_TRY(count, reader.be<std::uint16_t>());
  if (count > limit) return fail(Errc::protocol_broken);
  if (reader.remaining() < count * element_bytes) {
    return fail(Errc::input_too_short, static_cast<std::uint32_t>(reader.offset()));
  }
  return count;
}

Result<Entry> read_entry(Reader& reader) {
  SEALINE_TRY(kind, reader.be<std::uint8_t>());
  SEALINE_TRY(mode, reader.be<std::uint16_t>());
  SEALINE_TRY(mtime, reader.be<std::uint64_t>());
  SEALINE_TRY(size, reader.be<std::uint64_t>());
  SEALINE_TRY(length, reader.be<std::uint16_t>());
  SEALINE_TRY(name, reader.bytes(length));
  const bool known = kind <= static_cast<std::uint8_t>(EntryKind::symlink);
  if (!known || (mode & ~kModeBits) != 0) return fail(Errc::protocol_broken);
  Entry entry{.kind = static_cast<EntryKind>(kind),
              .mode = mode,
              .mtime_ns = static_cast<std::int64_t>(mtime),
              .size_bytes = size,
              .name = std::string(as_text(name))};
  const bool bad_size = (entry.kind == EntryKind::directory && size != 0) ||
                        (entry.kind == EntryKind::symlink && (size == 0 || size > kMaxTargetBytes));
  if (bad_size) return fail(Errc::protocol_broken);
  return entry;
}

/// What holds for the entries of an item together.
Result<> check_item(const Meta& meta) {
  if (meta.block_log2 < kMinBlockLog2 || meta.block_log2 > kMaxBlockLog2 || meta.entries.empty()) {
    return fail(Errc::protocol_broken);
  }
  SEALINE_TRY(total, total_bytes(meta));
  SEALINE_TRY(block_count(total, meta.block_log2));
  if (meta.entries.size() > 1 && total > kMaxPackBytes) return fail(Errc::protocol_broken);
  if (meta.size_unknown) {
    const bool one_file = meta.entries.size() == 1 && meta.entries[0].kind == EntryKind::file;
    if (!one_file || total != 0 || meta.compressible) return fail(Errc::protocol_broken);
  }
  return {};
}

Result<Message> read_meta(Reader& reader) {
  Meta m;
  SEALINE_TRY(item, reader.be<std::uint32_t>());
  SEALINE_TRY(block_log2, reader.be<std::uint8_t>());
  SEALINE_TRY(flags, reader.be<std::uint8_t>());
  SEALINE_TRY(count, read_count(reader, kMaxPackEntries, kEntryFixedBytes));
  if ((flags & ~(kCompressibleFlag | kSizeUnknownFlag)) != 0) return fail(Errc::protocol_broken);
  m.item = item;
  m.block_log2 = block_log2;
  m.compressible = (flags & kCompressibleFlag) != 0;
  m.size_unknown = (flags & kSizeUnknownFlag) != 0;
  m.entries.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    SEALINE_TRY(entry, read_entry(reader));
    m.entries.push_back(std::move(entry));
  }
  SEALINE_TRY(check_item(m));
  return m;
}

Result<Message> read_meta_ok(Reader& reader) {
  SEALINE_TRY(item, reader.be<std::uint32_t>());
  SEALINE_TRY(code, read_code(reader));
  SEALINE_TRY(have, reader.be<std::uint32_t>());
  if (have > kMaxBlocks) return fail(Errc::protocol_broken);
  return MetaOk{.item = item, .code = code, .have = have};
}

Result<Message> read_ack(Reader& reader) {
  SEALINE_TRY(received, reader.be<std::uint64_t>());
  SEALINE_TRY(durable, reader.be<std::uint64_t>());
  if (durable > received || received > kMaxFrames) return fail(Errc::protocol_broken);
  return Ack{.received = received, .durable = durable};
}

Result<Message> read_nak(Reader& reader) {
  SEALINE_TRY(frame, reader.be<std::uint64_t>());
  if (frame >= kMaxFrames) return fail(Errc::protocol_broken);
  return Nak{.frame = frame};
}

Result<Message> read_resume(Reader& reader) {
  Resume m;
  SEALINE_TRY(item, reader.be<std::uint32_t>());
  SEALINE_TRY(run_log2, reader.be<std::uint8_t>());
  SEALINE_TRY(count, read_count(reader, kMaxRuns, sizeof(Hash)));
  if (run_log2 > kMaxRunLog2 || count == 0) return fail(Errc::protocol_broken);
  m.item = item;
  m.run_log2 = run_log2;
  m.roots.resize(count);
  for (Hash& root : m.roots) {
    SEALINE_TRY(bytes, reader.fixed<sizeof(Hash)>());
    std::ranges::copy(bytes, root.begin());
  }
  return m;
}

Result<Message> read_resume_ok(Reader& reader) {
  SEALINE_TRY(item, reader.be<std::uint32_t>());
  SEALINE_TRY(start, reader.be<std::uint32_t>());
  if (start > kMaxBlocks) return fail(Errc::protocol_broken);
  return ResumeOk{.item = item, .start = start};
}

Result<Message> read_end(Reader& reader) {
  End m;
  SEALINE_TRY(item, reader.be<std::uint32_t>());
  SEALINE_TRY(blocks, reader.be<std::uint32_t>());
  SEALINE_TRY(size, reader.be<std::uint64_t>());
  SEALINE_TRY(root, reader.fixed<sizeof(Hash)>());
  if (blocks > kMaxBlocks) return fail(Errc::protocol_broken);
  m.item = item;
  m.blocks = blocks;
  m.size_bytes = size;
  std::ranges::copy(root, m.root.begin());
  return m;
}

Result<Message> read_done(Reader& reader) {
  Done m;
  SEALINE_TRY(item, reader.be<std::uint32_t>());
  SEALINE_TRY(code, read_code(reader));
  SEALINE_TRY(count, read_count(reader, kMaxPackEntries, kEntryCodeBytes));
  m.item = item;
  m.code = code;
  m.entries.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    SEALINE_TRY(entry, reader.be<std::uint16_t>());
    SEALINE_TRY(entry_code, read_code(reader));
    if (entry >= kMaxPackEntries) return fail(Errc::protocol_broken);
    m.entries.push_back({.entry = entry, .code = entry_code});
  }
  return m;
}

Result<Message> read_close(Reader& reader) {
  SEALINE_TRY(code, read_code(reader));
  return Close{.code = code};
}

Result<Message> read_keep_alive(Reader&) { return KeepAlive{}; }

Result<Message> read_select(Reader& reader) {
  SEALINE_TRY(item, reader.be<std::uint32_t>());
  return Select{.item = item};
}

Result<Message> read_drop(Reader& reader) {
  SEALINE_TRY(item, reader.be<std::uint32_t>());
  SEALINE_TRY(code, read_code(reader));
  return Drop{.item = item, .code = code};
}

Result<Message> read_zero(Reader& reader) {
  SEALINE_TRY(item, reader.be<std::uint32_t>());
  SEALINE_TRY(first, reader.be<std::uint32_t>());
  SEALINE_TRY(count, reader.be<std::uint32_t>());
  if (count == 0 || std::uint64_t{first} + count > kMaxBlocks) return fail(Errc::protocol_broken);
  return Zero{.item = item, .first = first, .count = count};
}

using Read = Result<Message> (*)(Reader&);
constexpr std::array<Read, kSenders.size()> kReaders{
    read_meta, read_meta_ok, read_ack,        read_nak,    read_resume, read_resume_ok, read_end,
    read_done, read_close,   read_keep_alive, read_select, read_drop,   read_zero};

}  // namespace

std::uint8_t type_of(const Message& message) noexcept {
  return static_cast<std::uint8_t>(message.index() + 1);
}

bool is_sent_by(std::uint8_t type, Side side) noexcept {
  if (type == 0 || type > kSenders.size()) return false;
  const From from = kSenders[type - 1U];
  return from == From::both || (from == From::client) == (side == Side::client);
}

std::size_t encoded_bytes(const Message& message) noexcept {
  Size size;
  std::visit([&size](const auto& m) { put(size, m); }, message);
  return size.bytes;
}

std::vector<std::uint8_t> encode(const Message& message) {
  std::vector<std::uint8_t> bytes(encoded_bytes(message));
  SEALINE_ASSERT(bytes.size() <= kMaxFrameBytes);
  Out out{Writer(bytes)};
  std::visit([&out](const auto& m) { put(out, m); }, message);
  return bytes;
}

Result<Message> parse_message(std::uint8_t type, ByteView plaintext, Side from) {
  if (!is_sent_by(type, from)) return fail(Errc::protocol_broken);
  Reader reader(plaintext);
  SEALINE_TRY(message, kReaders[type - 1U](reader));
  SEALINE_TRY(reader.finish());
  return message;
}

Result<std::uint64_t> total_bytes(const Meta& meta) {
  // No item holds more, whatever its block size, so that a sum of two such cannot overflow.
  constexpr std::uint64_t kMost = std::uint64_t{kMaxBlocks} << kMaxBlockLog2;
  std::uint64_t total = 0;
  for (const Entry& entry : meta.entries) {
    if (entry.size_bytes > kMost - total) return fail(Errc::protocol_broken);
    total += entry.size_bytes;
  }
  return total;
}

Result<std::uint32_t> block_count(std::uint64_t total_bytes, std::uint8_t block_log2) {
  SEALINE_ASSERT(block_log2 < 64);
  const std::uint64_t mask = (std::uint64_t{1} << block_log2) - 1U;
  const std::uint64_t count = (total_bytes >> block_log2) + ((total_bytes & mask) != 0 ? 1U : 0U);
  if (count > kMaxBlocks) return fail(Errc::protocol_broken);
  return static_cast<std::uint32_t>(count);
}

}  // namespace sealine::stx
