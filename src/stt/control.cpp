#include "sealine/stt/control.hpp"

#include "sealine/base/assert.hpp"
#include "sealine/base/reader.hpp"
#include "sealine/wire/varint.hpp"

#include <algorithm>

namespace sealine::stt {
namespace {

constexpr std::size_t kListHeadBytes = 5;

std::unexpected<Error> broken() { return fail(Errc::protocol_broken); }

template <std::size_t N>
Result<ByteArray<N>> exactly(wire::Cursor& cursor) {
  SEALINE_TRY(bytes, cursor.bytes());
  if (bytes.size() != N) return broken();
  ByteArray<N> out{};
  std::ranges::copy(bytes, out.begin());
  return out;
}

Result<std::optional<ByteArray<32>>> ephemeral(wire::Cursor& cursor) {
  if (cursor.take_null()) return std::optional<ByteArray<32>>{};
  SEALINE_TRY(key, exactly<32>(cursor));
  return std::optional(key);
}

Result<std::optional<EcnCounts>> ecn(wire::Cursor& cursor) {
  if (cursor.take_null()) return std::optional<EcnCounts>{};
  SEALINE_TRY(bytes, cursor.bytes());
  Reader reader(bytes);
  EcnCounts counts;
  for (std::uint64_t* count : {&counts.ect0, &counts.ect1, &counts.ce}) {
    SEALINE_TRY(value, wire::read_varint(reader));
    *count = value;
  }
  SEALINE_TRY(reader.finish());
  return std::optional(counts);
}

Result<ControlMessage> ack(wire::Cursor& cursor) {
  Ack message;
  SEALINE_TRY(largest, cursor.number<std::uint64_t>());
  SEALINE_TRY(delay, cursor.number<std::uint32_t>());
  message.delay_us = delay;
  SEALINE_TRY(ranges, cursor.bytes());
  SEALINE_TRY(parse_ack_ranges(largest, ranges, message));
  SEALINE_TRY(counts, ecn(cursor));
  message.ecn = counts;
  return message;
}

// How many values the list of a known message has, its code among them; 0: not known.
std::uint32_t arguments_of(FrameType type, std::uint8_t code) noexcept {
  if (type == FrameType::control) {
    constexpr std::array<std::uint32_t, 15> kCounts{0, 2, 2, 5, 2, 4, 3, 2, 2, 0, 0, 0, 3, 0, 3};
    return code < kCounts.size() ? kCounts[code] : 0;
  }
  constexpr std::array<std::uint32_t, 7> kCounts{0, 0, 2, 2, 3, 2, 2};
  return code < kCounts.size() ? kCounts[code] : 0;
}

Result<ControlMessage> session_message(std::uint8_t code, wire::Cursor& cursor) {
  switch (code) {
    case 1: {
      SEALINE_TRY(nonce, cursor.number<std::uint64_t>());
      return Ping{nonce};
    }
    case 2: {
      SEALINE_TRY(nonce, cursor.number<std::uint64_t>());
      return Pong{nonce};
    }
    case 3:
      return ack(cursor);
    case 4: {
      SEALINE_TRY(limit, cursor.number<std::uint64_t>());
      return SessionCredit{limit};
    }
    case 5: {
      SEALINE_TRY(epoch, cursor.number<std::uint32_t>());
      SEALINE_TRY(nonce, exactly<32>(cursor));
      SEALINE_TRY(key, ephemeral(cursor));
      return Rotate{.epoch = epoch, .nonce = nonce, .ephemeral = key};
    }
    case 6: {
      SEALINE_TRY(reason_code, cursor.number<std::uint16_t>());
      SEALINE_TRY(reason, cursor.text());
      return CloseMessage{.code = reason_code, .reason = reason};
    }
    case 7: {
      SEALINE_TRY(bytes, exactly<16>(cursor));
      return PathChallenge{bytes};
    }
    case 8: {
      SEALINE_TRY(bytes, exactly<16>(cursor));
      return PathResponse{bytes};
    }
    case 12: {
      SEALINE_TRY(packets, cursor.number<std::uint16_t>());
      SEALINE_TRY(delay, cursor.number<std::uint32_t>());
      return AckFrequency{.packets = packets, .max_delay_us = delay};
    }
    default: {  // 14
      SEALINE_TRY(epoch, cursor.number<std::uint32_t>());
      SEALINE_TRY(key, ephemeral(cursor));
      return Rotated{.epoch = epoch, .ephemeral = key};
    }
  }
}

Result<ControlMessage> stream_message(std::uint8_t code, wire::Cursor& cursor) {
  switch (code) {
    case 2: {
      SEALINE_TRY(limit, cursor.number<std::uint64_t>());
      return Credit{limit};
    }
    case 3: {
      SEALINE_TRY(at, cursor.number<std::uint64_t>());
      return Blocked{at};
    }
    case 4: {
      SEALINE_TRY(reason, cursor.number<std::uint16_t>());
      SEALINE_TRY(final_size, cursor.number<std::uint64_t>());
      return Reset{.code = reason, .final_size = final_size};
    }
    case 5: {
      SEALINE_TRY(reason, cursor.number<std::uint16_t>());
      return Stop{reason};
    }
    default: {  // 6
      SEALINE_TRY(up_to, cursor.number<std::uint64_t>());
      return Abandon{up_to};
    }
  }
}

// Writes a message as a list, whatever it is.
struct Encoder {
  wire::TlvWriter tlv;

  void key(const std::optional<ByteArray<32>>& key) {
    if (key) {
      tlv.bytes(*key);
    } else {
      tlv.null();
    }
  }

  void operator()(const Ping& m) { tlv.list(2).u8(1).u64(m.nonce); }

  void operator()(const Pong& m) { tlv.list(2).u8(2).u64(m.nonce); }

  void operator()(const Ack& m) {
    SEALINE_ASSERT(m.range_count > 0);
    std::array<std::uint8_t, kMaxAckRangesBytes> run{};
    Writer ranges(run);
    encode_ack_ranges(m.all(), ranges);
    tlv.list(5).u8(3).u64(m.ranges[0].last).u32(m.delay_us).bytes(*ranges.finish());
    if (!m.ecn) {
      tlv.null();
      return;
    }
    std::array<std::uint8_t, 3 * wire::kMaxVarintBytes> counts{};
    Writer writer(counts);
    for (const std::uint64_t count : {m.ecn->ect0, m.ecn->ect1, m.ecn->ce}) {
      wire::put_varint(writer, count);
    }
    tlv.bytes(*writer.finish());
  }

  void operator()(const SessionCredit& m) { tlv.list(2).u8(4).u64(m.limit); }

  void operator()(const Rotate& m) {
    tlv.list(4).u8(5).u32(m.epoch).bytes(m.nonce);
    key(m.ephemeral);
  }

  void operator()(const Rotated& m) {
    tlv.list(3).u8(14).u32(m.epoch);
    key(m.ephemeral);
  }

  void operator()(const CloseMessage& m) { tlv.list(3).u8(6).u16(m.code).text(m.reason); }

  void operator()(const PathChallenge& m) { tlv.list(2).u8(7).bytes(m.bytes); }

  void operator()(const PathResponse& m) { tlv.list(2).u8(8).bytes(m.bytes); }

  void operator()(const AckFrequency& m) { tlv.list(3).u8(12).u16(m.packets).u32(m.max_delay_us); }

  void operator()(const Credit& m) { tlv.list(2).u8(2).u64(m.limit); }

  void operator()(const Blocked& m) { tlv.list(2).u8(3).u64(m.at); }

  void operator()(const Reset& m) { tlv.list(3).u8(4).u16(m.code).u64(m.final_size); }

  void operator()(const Stop& m) { tlv.list(2).u8(5).u16(m.code); }

  void operator()(const Abandon& m) { tlv.list(2).u8(6).u64(m.up_to); }
};

}  // namespace

Result<> ControlReader::begin() {
  SEALINE_TRY(count, cursor_.list());
  if (count == 0) return broken();
  left_ = count;
  return {};
}

Result<std::optional<ControlMessage>> ControlReader::message() {
  SEALINE_TRY(values, cursor_.list());
  SEALINE_TRY(code, cursor_.number<std::uint8_t>());
  const std::uint32_t known = arguments_of(type_, code);
  if (known == 0) {
    for (std::uint32_t i = 1; i < values; ++i) SEALINE_TRY(cursor_.skip());
    return std::optional<ControlMessage>{};
  }
  if (values != known) return broken();
  auto message =
      type_ == FrameType::control ? session_message(code, cursor_) : stream_message(code, cursor_);
  if (!message) return std::unexpected(message.error());
  return std::optional(*message);
}

Result<std::optional<ControlMessage>> ControlReader::next() {
  // Whatever is wrong with the shape is one fault: only the peer can have sealed it.
  if (!left_ && !begin()) return broken();
  while (*left_ > 0) {
    --*left_;
    const auto read = message();
    if (!read) return broken();
    if (*read) return *read;
  }
  if (!cursor_.finish()) return broken();
  return std::optional<ControlMessage>{};
}

ControlWriter::ControlWriter(MutableBytes out) : out_(out), used_(kListHeadBytes) {
  SEALINE_ASSERT(out.size() >= kListHeadBytes);
}

bool ControlWriter::put(const ControlMessage& message) {
  Writer writer(out_.subspan(used_));
  std::visit(Encoder{wire::TlvWriter(writer)}, message);
  if (!writer.finish()) return false;
  used_ += writer.used();
  ++count_;
  return true;
}

ByteView ControlWriter::finish() {
  if (count_ == 0) return {};
  Writer writer(out_.first(kListHeadBytes));
  wire::TlvWriter(writer).list(count_);
  return out_.first(used_);
}

Result<> parse_ack_ranges(PacketNumber largest, ByteView bytes, Ack& out) {
  Reader reader(bytes);
  out.range_count = 0;
  PacketNumber next = largest;  // the highest number that the next run may hold
  while (out.range_count == 0 || reader.remaining() > 0) {
    if (out.range_count == kMaxAckRanges) return broken();
    if (out.range_count > 0) {
      const auto gap = wire::read_varint(reader);
      // The run below the gap holds one number at least.
      if (!gap || *gap == 0 || *gap > next) return broken();
      next -= *gap;
    }
    const auto count = wire::read_varint(reader);
    if (!count || *count == 0 || *count - 1 > next) return broken();
    const PacketNumber first = next - (*count - 1);
    out.ranges[out.range_count++] = {.first = first, .last = next};
    if (reader.remaining() == 0) break;
    if (first == 0) return broken();
    next = first - 1;
  }
  return {};
}

void encode_ack_ranges(std::span<const PacketRange> ranges, Writer& out) {
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    if (i > 0) wire::put_varint(out, ranges[i - 1].first - ranges[i].last - 1);
    wire::put_varint(out, ranges[i].last - ranges[i].first + 1);
  }
}

}  // namespace sealine::stt
