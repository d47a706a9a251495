#pragma once

#include "sealine/crypto/engine.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace sealine::test {

/// A suite that runs once for each engine; one that this machine or build has not is skipped by its
/// name.
///
///   class Kdf : public test::EngineTest {};
///   SEALINE_FOR_EACH_ENGINE(Kdf);
///   TEST_P(Kdf, expands) { engine().hmac_sha256(...); }
class EngineTest : public ::testing::TestWithParam<crypto::EngineChoice> {
 protected:
  void SetUp() override {
    auto made = crypto::make_engine(GetParam());
    if (!made) GTEST_SKIP() << "SKIPPED: no engine of this kind here";
    engine_ = std::move(*made);
  }

  [[nodiscard]] crypto::Engine& engine() const { return *engine_; }

 private:
  std::unique_ptr<crypto::Engine> engine_;
};

inline std::string engine_test_name(const ::testing::TestParamInfo<crypto::EngineChoice>& info) {
  return info.param == crypto::EngineChoice::ipsec_mb ? "ipsec_mb" : "openssl";
}

}  // namespace sealine::test

#define SEALINE_FOR_EACH_ENGINE(Suite)                                                   \
  INSTANTIATE_TEST_SUITE_P(engines, Suite,                                               \
                           ::testing::Values(::sealine::crypto::EngineChoice::openssl,   \
                                             ::sealine::crypto::EngineChoice::ipsec_mb), \
                           ::sealine::test::engine_test_name)
