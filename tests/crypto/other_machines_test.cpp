// What this machine's libraries never do by themselves: run on another processor, or refuse. The
// functions below stand before theirs in this program, and ask them by dlsym.
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/hmac_key.hpp"
#include "support/fixed_rng.hpp"
#include "support/hex.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <algorithm>
#include <dlfcn.h>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#if __has_include(<intel-ipsec-mb.h>)
#include <intel-ipsec-mb.h>
#define SEALINE_KNOWS_IPSEC_MB 1
#endif

namespace {

template <class Function>
Function* of_library(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

bool import_is_refused = false;
bool derivation_gives_zeros = false;

}  // namespace

extern "C" {

int EVP_PKEY_fromdata(EVP_PKEY_CTX* context, EVP_PKEY** made, int selection, OSSL_PARAM params[]) {
  if (import_is_refused) return 0;
  return of_library<decltype(EVP_PKEY_fromdata)>("EVP_PKEY_fromdata")(context, made, selection,
                                                                      params);
}

int EVP_PKEY_derive(EVP_PKEY_CTX* context, unsigned char* out, std::size_t* size) {
  if (!derivation_gives_zeros) {
    return of_library<decltype(EVP_PKEY_derive)>("EVP_PKEY_derive")(context, out, size);
  }
  std::fill_n(out, *size, std::uint8_t{0});
  return 1;
}
}

namespace sealine::crypto {
namespace {

using test::Bytes;
using test::from_hex;
using test::SeededRng;
using test::to_hex;

class OtherLibcrypto : public testing::Test {
 protected:
  void TearDown() override {
    import_is_refused = false;
    derivation_gives_zeros = false;
  }

  // RFC 7748, 6.1: what Alice derives.
  static Result<std::string> alice_derives() {
    static const Bytes secret =
        from_hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    static const Bytes bob =
        from_hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    ByteArray<kKeyBytes> out;
    const Result<> done =
        make_engine(EngineChoice::openssl)
            .value()
            ->x25519(ByteView(secret).first<kKeyBytes>(), ByteView(bob).first<kKeyBytes>(), out);
    if (!done) return std::unexpected(done.error());
    return to_hex(out);
  }
};

// One that checks the two halves of a pair against each other refuses our stand-in for the public
// half.
TEST_F(OtherLibcrypto, that_checks_a_pair_derives_the_same) {
  import_is_refused = true;
  EXPECT_EQ(alice_derives(), "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
}

TEST_F(OtherLibcrypto, that_lets_zeros_pass_is_asked_twice) {
  derivation_gives_zeros = true;
  EXPECT_EQ(alice_derives(), fail(Errc::dh_all_zero));
}

}  // namespace
}  // namespace sealine::crypto

#if defined(SEALINE_KNOWS_IPSEC_MB)

namespace {

using Init = void(IMB_MGR*);

bool memory_is_short = false;

// Makes the manager what another processor would, in place of init_mb_mgr_auto.
std::function<void(IMB_MGR*, IMB_ARCH*)> other_processor;

void init_for(const char* function, IMB_MGR* manager, IMB_ARCH* arch) {
  of_library<Init>(function)(manager);
  *arch = static_cast<IMB_ARCH>(manager->used_arch);
}

}  // namespace

extern "C" {

IMB_MGR* alloc_mb_mgr(std::uint64_t flags) {
  return memory_is_short ? nullptr : of_library<decltype(alloc_mb_mgr)>("alloc_mb_mgr")(flags);
}

void init_mb_mgr_auto(IMB_MGR* manager, IMB_ARCH* arch) {
  if (other_processor) return other_processor(manager, arch);
  of_library<decltype(init_mb_mgr_auto)>("init_mb_mgr_auto")(manager, arch);
}
}

namespace sealine::crypto {
namespace {

class OtherProcessor : public testing::Test {
 protected:
  void SetUp() override {
    if (!make_engine(EngineChoice::ipsec_mb)) GTEST_SKIP() << "SKIPPED: no ipsec-mb here";
  }

  void TearDown() override {
    other_processor = nullptr;
    memory_is_short = false;
  }

  static void expect_openssl_instead() {
    EXPECT_EQ(make_engine(EngineChoice::ipsec_mb).error(), Error{Errc::bad_configuration});
    EXPECT_EQ(make_engine(EngineChoice::fastest).value()->name(), "openssl");
  }

  // The best there is on this processor, altered by `alter`.
  static void alter(const std::function<void(IMB_MGR*)>& change) {
    other_processor = [change](IMB_MGR* manager, IMB_ARCH* arch) {
      of_library<decltype(init_mb_mgr_auto)>("init_mb_mgr_auto")(manager, arch);
      change(manager);
    };
  }
};

struct Processor {
  const char* init;
  bool has_sha;
  std::string_view name;
};

class EveryProcessor : public OtherProcessor, public testing::WithParamInterface<Processor> {};

std::string processor_name(const testing::TestParamInfo<Processor>& info) {
  return std::string(info.param.name) + (info.param.has_sha ? "_sha" : "");
}

INSTANTIATE_TEST_SUITE_P(processors, EveryProcessor,
                         testing::Values(Processor{"init_mb_mgr_sse", true, "sse"},
                                         Processor{"init_mb_mgr_sse", false, "sse"},
                                         Processor{"init_mb_mgr_avx", true, "avx"},
                                         Processor{"init_mb_mgr_avx2", true, "avx2"},
                                         Processor{"init_mb_mgr_avx2", false, "avx2"},
                                         Processor{"init_mb_mgr_avx512", true, "avx512"},
                                         Processor{"init_mb_mgr_avx512", false, "avx512"}),
                         processor_name);

bool can_run(std::string_view name) {
  __builtin_cpu_init();
  if (name == "avx512") return __builtin_cpu_supports("avx512bw") != 0;
  if (name == "avx2") return __builtin_cpu_supports("avx2") != 0;
  return name == "sse" || __builtin_cpu_supports("avx") != 0;
}

// The choice of an engine changes no byte.
TEST_P(EveryProcessor, gives_the_results_of_openssl) {
  const Processor& processor = GetParam();
  if (!can_run(processor.name)) GTEST_SKIP() << "SKIPPED: this processor has no " << processor.name;
  other_processor = [&](IMB_MGR* manager, IMB_ARCH* arch) {
    if (!processor.has_sha) manager->flags |= IMB_FLAG_SHANI_OFF;
    init_for(processor.init, manager, arch);
    // As on the processors that this stands for.
    if (processor.name != "avx512") manager->features &= ~std::uint64_t{IMB_FEATURE_VAES};
  };
  const auto fast = make_engine(EngineChoice::ipsec_mb).value();
  const auto reference = make_engine(EngineChoice::openssl).value();
  EXPECT_TRUE(fast->name().ends_with(std::string(processor.name) + ")")) << fast->name();
  EXPECT_EQ(fast->name().contains("vaes"),
            processor.name == "avx512" && __builtin_cpu_supports("vaes") != 0);

  SeededRng rng(7);
  const HmacKey key(as_bytes("key"));
  Bytes memory(100'000);
  rng.fill(memory);
  for (const std::size_t count : {1U, 2U, 7U, 16U, 40U}) {
    std::vector<ByteView> messages;
    messages.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      messages.push_back(ByteView(memory).subspan(rng.below(100), rng.below(3000)));
    }
    std::vector<ByteArray<kHashBytes>> ours(count);
    std::vector<ByteArray<kHashBytes>> theirs(count);
    fast->sha256_many(messages, ours);
    reference->sha256_many(messages, theirs);
    EXPECT_EQ(ours, theirs);
    fast->hmac_many(key, messages, ours);
    reference->hmac_many(key, messages, theirs);
    EXPECT_EQ(ours, theirs);
  }

  ByteArray<kKeyBytes> secret;
  ByteArray<kNonceBytes> nonce;
  rng.fill(secret);
  rng.fill(nonce);
  for (const std::size_t size : {0U, 1U, 15U, 16U, 17U, 255U, 5000U}) {
    Bytes sealed(memory.begin(), memory.begin() + static_cast<std::ptrdiff_t>(size + kTagBytes));
    Bytes by_reference = sealed;
    fast->gcm_seal(secret, nonce, as_bytes("aad"), {}, sealed);
    reference->gcm_seal(secret, nonce, as_bytes("aad"), {}, by_reference);
    EXPECT_EQ(sealed, by_reference);
    EXPECT_TRUE(fast->gcm_open(secret, nonce, as_bytes("aad"), sealed, {}));
  }
  Bytes blocks(memory.begin(), memory.begin() + 5 * kBlockBytes);
  Bytes by_reference = blocks;
  fast->aes256_blocks(secret, blocks);
  reference->aes256_blocks(secret, by_reference);
  EXPECT_EQ(blocks, by_reference);
  fast->cmac_blocks(secret, blocks);
  reference->cmac_blocks(secret, by_reference);
  EXPECT_EQ(blocks, by_reference);
}

// Then the library would look keys up in tables, which leak by the cache.
TEST_F(OtherProcessor, without_aes_instructions_uses_openssl) {
  for (const std::uint64_t feature : {IMB_FEATURE_AESNI, IMB_FEATURE_PCLMULQDQ}) {
    alter([feature](IMB_MGR* manager) { manager->features &= ~feature; });
    expect_openssl_instead();
  }
}

TEST_F(OtherProcessor, without_memory_for_a_manager_uses_openssl) {
  memory_is_short = true;
  expect_openssl_instead();
}

TEST_F(OtherProcessor, whose_manager_cannot_start_uses_openssl) {
  alter([](IMB_MGR* manager) { manager->imb_errno = IMB_ERR_NULL_MBMGR; });
  expect_openssl_instead();
}

TEST_F(OtherProcessor, that_fails_the_test_of_its_own_uses_openssl) {
  alter([](IMB_MGR* manager) {
    manager->features |= IMB_FEATURE_SELF_TEST;
    manager->features &= ~std::uint64_t{IMB_FEATURE_SELF_TEST_PASS};
  });
  expect_openssl_instead();
}

// Versions up to 1.2 test nothing.
TEST_F(OtherProcessor, that_has_no_test_of_its_own_is_used) {
  alter([](IMB_MGR* manager) {
    manager->features &= ~std::uint64_t{IMB_FEATURE_SELF_TEST | IMB_FEATURE_SELF_TEST_PASS};
  });
  EXPECT_TRUE(make_engine(EngineChoice::ipsec_mb));
}

}  // namespace
}  // namespace sealine::crypto

#endif
