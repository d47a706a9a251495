#include "sealine/stt/frame.hpp"

#include "sealine/base/assert.hpp"
#include "sealine/base/reader.hpp"
#include "sealine/base/writer.hpp"
#include "sealine/wire/varint.hpp"

#include <algorithm>
#include <limits>

namespace sealine::stt {
namespace {

constexpr ByteArray<2> kMagic{'S', 'T'};

Result<> check_session_head(const FrameHead& head) {
  const bool is_control = head.type == FrameType::control;
  const bool is_data = head.type == FrameType::data;
  if (is_control != (head.stream == 0)) return fail(Errc::bad_record_head);
  std::uint8_t forbidden = flag::kReserved;
  if (!is_data) forbidden |= flag::kFin | flag::kMessageEnd;
  if (is_control) forbidden |= flag::kInit;
  if ((head.flags & forbidden) != 0) return fail(Errc::bad_record_head);
  return {};
}

Result<> check_handshake_head(const FrameHead& head) {
  if (head.stream != 0 || head.number != 0 || head.flags != 0) return fail(Errc::bad_record_head);
  return {};
}

Result<Epoch> parse_meta(ByteView meta) {
  Reader reader(meta);
  SEALINE_TRY(epoch, wire::read_varint(reader));
  SEALINE_TRY(reader.finish());
  if (epoch > std::numeric_limits<Epoch>::max()) return fail(Errc::bad_record_head);
  return static_cast<Epoch>(epoch);
}

}  // namespace

Result<FrameView> parse_frame(MutableBytes datagram) {
  Reader reader(datagram);
  FrameView view;
  FrameHead& head = view.head;

  SEALINE_TRY(magic, reader.fixed<2>());
  if (!std::ranges::equal(magic, kMagic)) return fail(Errc::bad_record_head);
  SEALINE_TRY(type, reader.be<std::uint8_t>());
  if (type < 1 || type > 5) return fail(Errc::bad_record_head);
  head.type = static_cast<FrameType>(type);
  SEALINE_TRY(session_id, reader.fixed<8>());
  std::ranges::copy(session_id, head.session_id.begin());
  SEALINE_TRY(stream, wire::read_varint(reader));
  if (stream > std::numeric_limits<StreamId>::max()) return fail(Errc::bad_record_head);
  head.stream = static_cast<StreamId>(stream);
  SEALINE_TRY(number, wire::read_varint(reader));
  if (number > kMaxPacketNumber) return fail(Errc::bad_record_head);
  head.number = number;
  SEALINE_TRY(flags, reader.be<std::uint8_t>());
  head.flags = flags;

  const bool is_handshake = head.is_handshake();
  SEALINE_TRY(is_handshake ? check_handshake_head(head) : check_session_head(head));
  SEALINE_TRY(length, wire::read_varint(reader));
  const std::uint64_t least = is_handshake ? 0 : kMinPayloadBytes;
  const std::uint64_t most = is_handshake ? kMaxHandshakePayloadBytes : kMaxPayloadBytes;
  if (length < least || length > most || length > reader.remaining()) return fail(Errc::bad_length);
  head.payload_bytes = static_cast<std::uint32_t>(length);
  view.header = datagram.first(reader.offset());
  view.payload = datagram.subspan(reader.offset(), head.payload_bytes);
  SEALINE_TRY(reader.bytes(head.payload_bytes));

  SEALINE_TRY(meta_length, wire::read_varint(reader));
  if (meta_length > reader.remaining()) return fail(Errc::bad_length);
  if (is_handshake && meta_length != 0) return fail(Errc::bad_record_head);
  SEALINE_TRY(meta, reader.bytes(static_cast<std::size_t>(meta_length)));
  view.meta = meta;
  if (!is_handshake) {
    SEALINE_TRY(epoch, parse_meta(meta));
    head.epoch = epoch;
  }
  view.frame_bytes = reader.offset();
  return view;
}

std::size_t header_bytes(const FrameHead& head) noexcept {
  return kMagic.size() + 1 + head.session_id.size() + wire::varint_bytes(head.stream) +
         wire::varint_bytes(head.number) + 1 + wire::varint_bytes(head.payload_bytes);
}

std::size_t meta_bytes(const FrameHead& head) noexcept {
  return head.is_handshake() ? 1 : 1 + wire::varint_bytes(head.epoch);
}

std::size_t encode_header(const FrameHead& head, MutableBytes out) {
  Writer writer(out);
  writer.bytes(kMagic).be(static_cast<std::uint8_t>(head.type)).bytes(head.session_id);
  wire::put_varint(writer, head.stream);
  wire::put_varint(writer, head.number);
  writer.be(head.flags);
  wire::put_varint(writer, head.payload_bytes);
  SEALINE_ASSERT(writer.finish().has_value());
  return writer.used();
}

std::size_t encode_meta(const FrameHead& head, MutableBytes out) {
  Writer writer(out);
  if (head.is_handshake()) {
    wire::put_varint(writer, 0);
  } else {
    wire::put_varint(writer, wire::varint_bytes(head.epoch));
    wire::put_varint(writer, head.epoch);
  }
  SEALINE_ASSERT(writer.finish().has_value());
  return writer.used();
}

}  // namespace sealine::stt
