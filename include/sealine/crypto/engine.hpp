#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string_view>

namespace sealine::crypto {

inline constexpr std::size_t kHashBytes = 32;   ///< SHA-256
inline constexpr std::size_t kKeyBytes = 32;    ///< AES-256, X25519, PSK
inline constexpr std::size_t kNonceBytes = 12;  ///< GCM
inline constexpr std::size_t kTagBytes = 16;    ///< GCM
inline constexpr std::size_t kBlockBytes = 16;  ///< AES

/// Several byte runs that are read as one, so that nothing is copied together first.
using Parts = std::span<const ByteView>;

class HmacKey;

/// AES-256-GCM under one key for many messages. One thread at a time. The key is wiped with the
/// object.
class SEALINE_API Aead {
 public:
  virtual ~Aead() = default;
  Aead(const Aead&) = delete;
  Aead& operator=(const Aead&) = delete;

  virtual void set_key(FixedView<kKeyBytes> key) = 0;

  /// As Engine::gcm_seal, under the key set last.
  virtual void seal(FixedView<kNonceBytes> nonce, ByteView aad, ByteView head,
                    MutableBytes sealed) = 0;

  /// The same where nothing stands in place: the plaintext is `head` followed by `body`, neither of
  /// which overlaps `sealed`.
  virtual void seal_parts(FixedView<kNonceBytes> nonce, ByteView aad, ByteView head, ByteView body,
                          MutableBytes sealed);

  /// As Engine::gcm_open, under the key set last.
  [[nodiscard]] virtual Result<> open(FixedView<kNonceBytes> nonce, ByteView aad,
                                      MutableBytes sealed, MutableBytes head) = 0;

 protected:
  Aead() = default;
};

/// The algorithms that every protocol here is made of, behind one object that is handed in.
///
/// An Engine keeps library contexts and scratch memory that it uses again for each call, so it
/// belongs to one thread; any number of machines on that thread share it. It holds no key between
/// calls. Inputs and outputs may not overlap unless a function says so. What records need (blocks,
/// CMAC, KBKDF, GCM, the hashes of many) allocates nothing; lone hashes and X25519 do so inside of
/// libcrypto.
class SEALINE_API Engine {
 public:
  virtual ~Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// "openssl" or "ipsec-mb 1.3 (vaes avx512)": for people and benchmarks.
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;

  virtual void sha256(Parts parts, FixedBytes<kHashBytes> out) = 0;
  virtual void hmac_sha256(ByteView key, Parts parts, FixedBytes<kHashBytes> out) = 0;

  /// SHA-256 of each of `messages` to the same place of `out`: as many results as messages, of any
  /// lengths. For those that hold several in hand: a fast engine hashes up to 16 side by side.
  /// Allocates nothing but, at the first call, what the engine keeps for it.
  virtual void sha256_many(std::span<const ByteView> messages,
                           std::span<ByteArray<kHashBytes>> out);

  /// HMAC-SHA-256 of each of `messages`, as sha256_many.
  virtual void hmac_many(const HmacKey& key, std::span<const ByteView> messages,
                         std::span<ByteArray<kHashBytes>> out);

  /// The X25519 public key of `secret` (32 bytes before clamping).
  virtual void x25519_public(FixedView<kKeyBytes> secret, FixedBytes<kKeyBytes> out) = 0;

  /// X25519. Errc::dh_all_zero, with `out` zero, if the result is all zeros (RFC 7748 section 6.1).
  [[nodiscard]] virtual Result<> x25519(FixedView<kKeyBytes> secret,
                                        FixedView<kKeyBytes> peer_public,
                                        FixedBytes<kKeyBytes> out) = 0;

  /// Encrypts whole blocks, each for itself (ECB): the raw permutation for key derivation, never
  /// for data. `blocks` is replaced in place; its size is a multiple of 16, at most 128.
  virtual void aes256_blocks(FixedView<kKeyBytes> key, MutableBytes blocks) = 0;

  /// CMAC-AES-256 (SP 800-38B) of each of the blocks, every one a message of its own, in place;
  /// sizes as aes256_blocks. The key derivations below and XAES are made of it.
  virtual void cmac_blocks(FixedView<kKeyBytes> key, MutableBytes blocks) = 0;

  /// AES-256-GCM under a key that is used for this one message.
  ///
  /// `sealed` takes ciphertext and tag: n + 16 bytes. The plaintext is `head` followed by what
  /// already stands in `sealed` behind its place (sealed[head.size() .. n)), encrypted in place;
  /// `head` may stand anywhere that does not overlap `sealed`, and may be empty.
  virtual void gcm_seal(FixedView<kKeyBytes> key, FixedView<kNonceBytes> nonce, ByteView aad,
                        ByteView head, MutableBytes sealed) = 0;

  /// The reverse: the first head.size() bytes of the plaintext (at most all n) go to `head`, the
  /// rest replaces the ciphertext in `sealed` in place (sealed[head.size() .. n)).
  /// Errc::tag_mismatch, with all plaintext in `head` and `sealed` wiped, if the tag is wrong.
  /// `sealed` holds at least the tag.
  [[nodiscard]] virtual Result<> gcm_open(FixedView<kKeyBytes> key, FixedView<kNonceBytes> nonce,
                                          ByteView aad, MutableBytes sealed, MutableBytes head) = 0;

  /// AES-256-GCM for many messages under one key; all zeros until set_key.
  [[nodiscard]] virtual std::unique_ptr<Aead> make_aead() = 0;

  /// NIST SP 800-108 KBKDF in counter mode with CMAC-AES-256, r = 32, for inputs of one block:
  /// out = CMAC(key, BE32(1) || input) || CMAC(key, BE32(2) || input) ..., out.size() a multiple of
  /// 16, at most 112. spec: stcp.md#ratchet. `out` may overlap `key`.
  void kbkdf_cmac(FixedView<kKeyBytes> key, FixedView<12> input, MutableBytes out);

  void sha256(std::initializer_list<ByteView> parts, FixedBytes<kHashBytes> out) {
    sha256(Parts(parts.begin(), parts.size()), out);
  }

  void hmac_sha256(ByteView key, std::initializer_list<ByteView> parts,
                   FixedBytes<kHashBytes> out) {
    hmac_sha256(key, Parts(parts.begin(), parts.size()), out);
  }

 protected:
  Engine() = default;
};

enum class EngineChoice : std::uint8_t {
  fastest,   ///< libipsec-mb where the machine and the build have it, else OpenSSL
  ipsec_mb,  ///< bad_configuration where it is not to be had
  openssl,   ///< the portable path and the reference
};

/// Makes an engine for the calling thread. Errors: bad_configuration.
SEALINE_API Result<std::unique_ptr<Engine>> make_engine(
    EngineChoice choice = EngineChoice::fastest);

/// "auto", "ipsec-mb" or "openssl" (the values of SEALINE_CRYPTO). Errors: bad_configuration.
SEALINE_API Result<EngineChoice> parse_engine_choice(std::string_view text);

}  // namespace sealine::crypto
