#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/export.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

namespace sealine {

/// Overwrites `bytes` with zeros in a way that no compiler leaves out.
SEALINE_API void secure_wipe(MutableBytes bytes) noexcept;

/// N secret bytes. No copy, no comparison, no printing; wiped when moved from and on death.
///
/// The bytes come out through expose() alone, so that a search for "expose" finds every use. Tags
/// keep kinds of secrets apart: a chaining key is no send key.
template <std::size_t N, class Tag>
class Secret {
 public:
  static constexpr std::size_t size_bytes = N;

  /// All zeros, to be filled through `writable()`.
  Secret() = default;

  explicit Secret(FixedView<N> bytes) { std::ranges::copy(bytes, bytes_.begin()); }

  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;

  Secret(Secret&& other) noexcept : bytes_(other.bytes_) { secure_wipe(other.bytes_); }

  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      bytes_ = other.bytes_;
      secure_wipe(other.bytes_);
    }
    return *this;
  }

  ~Secret() { secure_wipe(bytes_); }

  [[nodiscard]] FixedView<N> expose() const& noexcept { return bytes_; }

  FixedView<N> expose() const&& = delete;

  /// The place where a derivation writes its result.
  [[nodiscard]] FixedBytes<N> writable() & noexcept { return bytes_; }

  /// An explicit second copy, for the few places that must keep one.
  [[nodiscard]] Secret clone() const { return Secret(FixedView<N>(bytes_)); }

  void wipe() noexcept { secure_wipe(bytes_); }

 private:
  std::array<std::uint8_t, N> bytes_{};
};

/// Secret bytes of a length known only at run time: file contents, passphrases. Same rules as
/// Secret.
class SEALINE_API SecretBytes {
 public:
  SecretBytes() = default;

  explicit SecretBytes(std::size_t size_bytes)
      : bytes_(std::make_unique<std::uint8_t[]>(size_bytes)), size_(size_bytes) {}

  explicit SecretBytes(ByteView bytes) : SecretBytes(bytes.size()) {
    std::ranges::copy(bytes, bytes_.get());
  }

  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;

  SecretBytes(SecretBytes&& other) noexcept
      : bytes_(std::move(other.bytes_)), size_(std::exchange(other.size_, 0)) {}

  SecretBytes& operator=(SecretBytes&& other) noexcept {
    if (this != &other) {
      wipe();
      bytes_ = std::move(other.bytes_);
      size_ = std::exchange(other.size_, 0);
    }
    return *this;
  }

  ~SecretBytes() { wipe(); }

  [[nodiscard]] ByteView expose() const& noexcept { return {bytes_.get(), size_}; }

  ByteView expose() const&& = delete;

  [[nodiscard]] MutableBytes writable() & noexcept { return {bytes_.get(), size_}; }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  void wipe() noexcept { secure_wipe({bytes_.get(), size_}); }

 private:
  std::unique_ptr<std::uint8_t[]> bytes_;
  std::size_t size_ = 0;
};

}  // namespace sealine
