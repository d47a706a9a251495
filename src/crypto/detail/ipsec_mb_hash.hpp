#pragma once

#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/hmac_key.hpp"

#include <intel-ipsec-mb.h>

#include <memory>
#include <span>

namespace sealine::crypto::detail {

/// An initialised libipsec-mb of the calling thread's engine.
using SharedManager = std::shared_ptr<IMB_MGR>;

/// SHA-256 and HMAC of several messages at once, one in each lane of the vector registers.
///
/// Three ways, and what each costs on the machine this was measured on (Zen 5, nanoseconds for a
/// block of 64 bytes):
///
///   alone   libcrypto, by the SHA instructions                                   32
///   pairs   libipsec-mb, two messages interleaved through the SHA instructions   25
///   wide    libipsec-mb, 16 lanes of AVX-512 (8 of AVX2): 222 a step whether
///           one lane is in use or all                                            14 at best
///
/// so a few messages, or one that is much longer than the others, are better off without the lanes.
/// One thread.
class IpsecMbHash {
 public:
  explicit IpsecMbHash(SharedManager manager);

  void sha256_many(std::span<const ByteView> messages, std::span<ByteArray<kHashBytes>> out);
  void hmac_many(const HmacKey& key, std::span<const ByteView> messages,
                 std::span<ByteArray<kHashBytes>> out);

 private:
  /// The manager that is the fastest for these messages, or null for libcrypto.
  IMB_MGR* choose(std::span<const ByteView> messages);
  void run(IMB_MGR* manager, const HmacKey* key, std::span<const ByteView> messages,
           std::span<ByteArray<kHashBytes>> out);

  SharedManager wide_;             ///< null where the lanes gain nothing over the SHA instructions
  SharedManager pairs_;            ///< null until wanted, and where there are no SHA instructions
  std::size_t wide_lanes_ = 0;     ///< of wide_
  bool has_instructions_ = false;  ///< SHA of x86-64
};

}  // namespace sealine::crypto::detail
