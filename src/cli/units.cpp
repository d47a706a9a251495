#include "cli/units.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <chrono>
#include <limits>

namespace sealine::cli {
namespace {

struct Number {
  std::uint64_t value;
  std::string_view unit;
};

Result<Number> split_number(std::string_view text) {
  std::uint64_t value = 0;
  const char* const begin = text.data();
  const auto [stop, error] = std::from_chars(begin, begin + text.size(), value);
  if (error != std::errc{}) return fail(Errc::usage);
  return Number{value, text.substr(static_cast<std::size_t>(stop - begin))};
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  using std::chrono::milliseconds;

  struct Unit {
    std::string_view name;
    std::uint64_t ms;
  };

  static constexpr std::array kUnits{Unit{"ms", 1},        Unit{"", 1'000},
                                     Unit{"s", 1'000},     Unit{"m", 60'000},
                                     Unit{"h", 3'600'000}, Unit{"d", 86'400'000}};
  static constexpr std::uint64_t kLongest = 86'400'000ULL * 1000;
  SEALINE_TRY(number, split_number(text));
  for (const Unit& unit : kUnits) {
    if (unit.name != number.unit) continue;
    if (number.value > kLongest / unit.ms) return fail(Errc::usage);
    return Duration(milliseconds(number.value * unit.ms));
  }
  return fail(Errc::usage);
}

Result<std::uint64_t> parse_size(std::string_view text) {
  SEALINE_TRY(number, split_number(text));
  std::string_view unit = number.unit;
  if (unit.ends_with('B')) unit.remove_suffix(1);
  std::uint64_t base = 1000;
  if (unit.size() == 2 && unit[1] == 'i') {
    base = 1024;
    unit.remove_suffix(1);
  }
  static constexpr std::string_view kPrefixes = "KMGT";
  std::size_t steps = 0;
  if (unit.size() == 1) {
    const char letter = unit[0] == 'k' ? 'K' : unit[0];
    steps = kPrefixes.find(letter) + 1;  // npos + 1 is 0
    if (steps == 0) return fail(Errc::usage);
  } else if (!unit.empty()) {
    return fail(Errc::usage);
  }
  std::uint64_t bytes = number.value;
  for (; steps > 0; --steps) {
    if (bytes > std::numeric_limits<std::uint64_t>::max() / base) return fail(Errc::usage);
    bytes *= base;
  }
  return bytes;
}

Result<std::uint64_t> parse_count(std::string_view text, std::uint64_t least, std::uint64_t most) {
  SEALINE_TRY(number, split_number(text));
  if (!number.unit.empty() || number.value < least || number.value > most) {
    return fail(Errc::usage);
  }
  return number.value;
}

std::string format_bytes(std::uint64_t bytes) {
  static constexpr std::array kNames{"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  auto value = static_cast<double>(bytes);
  std::size_t step = 0;
  while (value >= 999.5 && step + 1 < kNames.size()) {
    value /= 1000;
    ++step;
  }
  if (step == 0 || value >= 99.95) return fmt::format("{:.0f} {}", value, kNames.at(step));
  return fmt::format("{:.1f} {}", value, kNames.at(step));
}

std::string format_duration(Duration duration) {
  const double seconds = std::chrono::duration<double>(duration).count();
  if (seconds < 1) return fmt::format("{:.0f} ms", seconds * 1000);
  if (seconds < 100) return fmt::format("{:.1f} s", seconds);
  return fmt::format("{:.0f} s", seconds);
}

}  // namespace sealine::cli
