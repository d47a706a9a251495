#pragma once

#include "sealine/base/bytes.hpp"
#include "tests/sim/base/dice.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sealine::sim {

/// What an application sends: a function of the stream's number and the offset, with a canary at
/// every 32nd byte that may never be seen on a wire.
class Content {
 public:
  static constexpr std::string_view kCanary = "S3aL!n3~";

  static std::uint8_t at(std::uint64_t stream, std::uint64_t offset) {
    const std::uint64_t word = offset / 8;
    if (word % 4 == 0) return static_cast<std::uint8_t>(kCanary[offset % 8]);
    return static_cast<std::uint8_t>(mix(stream * 0x10001U + word) >> (8U * (offset % 8)));
  }

  static void fill(std::uint64_t stream, std::uint64_t offset, MutableBytes out) {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = at(stream, offset + i);
  }

  static bool is(std::uint64_t stream, std::uint64_t offset, ByteView bytes) {
    std::uint64_t noise = 0;
    std::uint64_t noise_of = ~std::uint64_t{0};
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const std::uint64_t place = offset + i;
      const std::uint64_t word = place / 8;
      if (word % 4 == 0) {
        if (bytes[i] != static_cast<std::uint8_t>(kCanary[place % 8])) return false;
        continue;
      }
      if (word != noise_of) {
        noise_of = word;
        noise = mix(stream * 0x10001U + word);
      }
      if (bytes[i] != static_cast<std::uint8_t>(noise >> (8U * (place % 8)))) return false;
    }
    return true;
  }

  static bool is_in_clear_in(ByteView wire) {
    return as_text(wire).find(kCanary) != std::string_view::npos;
  }
};

}  // namespace sealine::sim
