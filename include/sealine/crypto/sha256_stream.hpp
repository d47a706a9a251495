#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/export.hpp"

#include <memory>

namespace sealine::crypto {

/// SHA-256 of what comes piece by piece: for data too large to be in memory at once. One thread.
class SEALINE_API Sha256Stream {
 public:
  Sha256Stream();
  Sha256Stream(Sha256Stream&&) noexcept;
  Sha256Stream& operator=(Sha256Stream&&) noexcept;
  ~Sha256Stream();

  void update(ByteView bytes);
  /// The hash of all that came. Once: nothing may follow.
  [[nodiscard]] ByteArray<32> finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace sealine::crypto
