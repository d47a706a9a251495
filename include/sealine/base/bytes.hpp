#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace sealine {

/// Bytes to read. Never owns; the caller keeps the memory alive for the call, or as long as the
/// function says.
using ByteView = std::span<const std::uint8_t>;

/// Bytes to write. Same ownership as ByteView.
using MutableBytes = std::span<std::uint8_t>;

template <std::size_t N>
using FixedView = std::span<const std::uint8_t, N>;

template <std::size_t N>
using FixedBytes = std::span<std::uint8_t, N>;

template <std::size_t N>
using ByteArray = std::array<std::uint8_t, N>;

/// The bytes of a text. This and as_text are the only places below io where a pointer changes its
/// type.
inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace sealine
