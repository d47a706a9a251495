#pragma once

#include "sealine/base/bytes.hpp"

#include <memory>

struct evp_md_ctx_st;

namespace sealine::bench {

inline constexpr std::size_t kDigestBytes = 32;
using Digest = ByteArray<kDigestBytes>;

/// Pseudo-random bytes that no two places of a stream share (splitmix64), for content checks.
class Pattern {
 public:
  explicit Pattern(std::uint64_t seed) : state_(seed) {}

  void fill(MutableBytes out);

 private:
  std::uint64_t state_;
};

/// SHA-256 of all that was added.
class Checksum {
 public:
  Checksum();
  void add(ByteView bytes);
  [[nodiscard]] Digest finish();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };

  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

}  // namespace sealine::bench
