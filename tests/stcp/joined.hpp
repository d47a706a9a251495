#pragma once

#include "support/stcp_pair.hpp"

#include <gtest/gtest.h>

#include <utility>

namespace sealine::stcp {

inline test::StcpPair::Options tofu() { return {.mode = Mode::tofu}; }

/// A pair that has shaken hands.
struct Joined : test::StcpPair {
  explicit Joined(Options options = tofu()) : StcpPair(std::move(options)) {
    run();
    EXPECT_TRUE(both_encrypted());
  }
};

}  // namespace sealine::stcp
