#include "stcp/detail/handshake_record.hpp"

#include "sealine/base/reader.hpp"
#include "sealine/base/writer.hpp"
#include "sealine/crypto/constant_time.hpp"

#include <algorithm>
#include <utility>

namespace sealine::stcp::detail {
namespace {

struct ModeRow {
  Mode mode;
  std::array<std::size_t, 3> message_bytes;  ///< N of steps 1 to 3
  bool has_sas;
  bool has_hint;
};

constexpr auto kModes = std::to_array<ModeRow>({
    {Mode::anonymous, {66, 82, 0}, true, false},
    {Mode::tofu, {66, 130, 0}, true, false},
    {Mode::mutual, {66, 130, 64}, true, false},
    {Mode::psk, {50, 50, 0}, false, true},
});

static_assert(std::ranges::all_of(kModes, [](const ModeRow& row) {
  return std::ranges::max(row.message_bytes) <= kMaxHandshakeBytes;
}));

constexpr std::string_view kMagic = "STCP";

const ModeRow* find_mode(std::uint8_t number) {
  const auto* row = std::ranges::find(kModes, number,
                                      [](const ModeRow& r) { return std::to_underlying(r.mode); });
  return row == kModes.end() ? nullptr : row;
}

}  // namespace

std::size_t message_bytes(Mode mode, Step step) noexcept {
  const ModeRow* row = find_mode(std::to_underlying(mode));
  return row == nullptr ? 0 : row->message_bytes[std::to_underlying(step) - 1U];
}

bool has_sas(Mode mode) noexcept {
  const ModeRow* row = find_mode(std::to_underlying(mode));
  return row != nullptr && row->has_sas;
}

HandshakeHead encode_head(Mode mode, Step step, const Hint& hint) {
  HandshakeHead head{};
  Writer(head)
      .be(std::uint64_t{message_bytes(mode, step)})
      .bytes(as_bytes(kMagic))
      .be(kVersion)
      .be(std::to_underlying(step))
      .be(std::to_underlying(mode))
      .be(kSuite25519AesGcmSha256)
      .bytes(hint);
  return head;
}

Result<HelloHead> parse_hello_head(FixedView<kRecordHeadBytes> head, ModeSet allowed) {
  Reader reader(head);
  SEALINE_TRY(length, reader.be<std::uint64_t>());
  SEALINE_TRY(magic, reader.bytes(kMagic.size()));
  SEALINE_TRY(version, reader.be<std::uint8_t>());
  SEALINE_TRY(step, reader.be<std::uint8_t>());
  SEALINE_TRY(mode, reader.be<std::uint8_t>());
  SEALINE_TRY(suite, reader.be<std::uint8_t>());
  SEALINE_TRY(hint, reader.fixed<8>());

  if (as_text(magic) != kMagic || version != kVersion || step != std::to_underlying(Step::hello)) {
    return fail(Errc::bad_record_head);
  }
  const ModeRow* row = find_mode(mode);
  if (row == nullptr || !allowed.contains(row->mode) || suite != kSuite25519AesGcmSha256) {
    return fail(Errc::mode_refused);
  }
  if (length != row->message_bytes[0]) return fail(Errc::bad_length);

  HelloHead hello{row->mode, {}};
  std::ranges::copy(hint, hello.hint.begin());
  if (!row->has_hint && !crypto::ct_equal(hello.hint, Hint{})) return fail(Errc::unknown_hint);
  return hello;
}

Result<> check_head(FixedView<kRecordHeadBytes> head, Mode mode, Step step) {
  const HandshakeHead expected = encode_head(mode, step);
  if (!std::ranges::equal(head, expected)) return fail(Errc::bad_record_head);
  return {};
}

}  // namespace sealine::stcp::detail
