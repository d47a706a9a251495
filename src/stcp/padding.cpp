#include "sealine/stcp/padding.hpp"

#include "sealine/base/errc.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <chrono>
#include <cstdint>

namespace sealine::stcp {

namespace {

constexpr std::uint32_t kLeastMultiple = 2;
constexpr std::uint32_t kLargestMultiple = std::uint32_t{1} << 24U;  // the largest M there is
constexpr std::uint32_t kMostRecordsPerSecond = 64;                  // spec: stcp.md#record, counts

/// PADME: `length` rounded up so that only the top bits of it, as many as its exponent has, remain.
constexpr std::uint64_t padme(std::uint64_t length) {
  if (length < 2) return length;
  const unsigned exponent =
      static_cast<unsigned>(std::bit_width(length)) - 1;  // floor(log2 length)
  const unsigned kept =
      static_cast<unsigned>(std::bit_width(exponent));  // floor(log2 exponent) + 1
  const std::uint64_t mask = (std::uint64_t{1} << (exponent - kept)) - 1;
  return (length + mask) & ~mask;
}

struct PaddedSize {
  std::uint64_t length;

  std::uint64_t operator()(const PadNone& /*none*/) const { return length; }

  std::uint64_t operator()(const PadToMultiple& policy) const {
    const std::uint64_t multiple = policy.multiple_bytes;
    return std::max(multiple, (length + multiple - 1) / multiple * multiple);
  }

  std::uint64_t operator()(const PadPadme& /*padme*/) const { return padme(length); }

  std::uint64_t operator()(const PadConstantRate& policy) const {
    return std::max<std::uint64_t>(policy.record_bytes, length);
  }
};

struct IsGood {
  std::uint64_t max_record_bytes;

  bool operator()(const PadNone& /*none*/) const { return true; }

  bool operator()(const PadToMultiple& policy) const {
    return std::has_single_bit(policy.multiple_bytes) && policy.multiple_bytes >= kLeastMultiple &&
           policy.multiple_bytes <= max_record_bytes;
  }

  bool operator()(const PadPadme& /*padme*/) const { return true; }

  bool operator()(const PadConstantRate& policy) const {
    return policy.record_bytes >= 1 && policy.record_bytes <= max_record_bytes &&
           policy.interval >= Duration(std::chrono::seconds(1)) / kMostRecordsPerSecond;
  }
};

}  // namespace

std::size_t padded_size(const Padding& padding, std::size_t data_bytes,
                        std::size_t max_record_bytes) noexcept {
  const std::uint64_t padded = std::visit(PaddedSize{data_bytes}, padding);
  return static_cast<std::size_t>(std::min<std::uint64_t>(padded, max_record_bytes));
}

Result<> check(const Padding& padding, std::size_t max_record_bytes) {
  if (!std::visit(IsGood{max_record_bytes}, padding)) return fail(Errc::bad_configuration);
  return {};
}

Result<Padding> parse_padding(std::string_view text) {
  if (text == "none") return Padding(PadNone{});
  if (text == "padme") return Padding(PadPadme{});
  std::uint32_t multiple = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, multiple);
  if (error != std::errc{} || stop != end) return fail(Errc::usage);
  const Padding padding = PadToMultiple{multiple};
  if (!check(padding, kLargestMultiple)) return fail(Errc::usage);
  return padding;
}

}  // namespace sealine::stcp
