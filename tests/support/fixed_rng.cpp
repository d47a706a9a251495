#include "support/fixed_rng.hpp"

#include "sealine/base/assert.hpp"
#include "sealine/base/writer.hpp"
#include "sealine/crypto/engine.hpp"

#include <algorithm>
#include <cstring>

namespace sealine::test {
namespace {

crypto::Engine& engine_of_this_thread() {
  thread_local const auto engine = crypto::make_engine(crypto::EngineChoice::openssl).value();
  return *engine;
}

}  // namespace

FixedRng& FixedRng::push(ByteView bytes) {
  queue_.insert(queue_.end(), bytes.begin(), bytes.end());
  return *this;
}

void FixedRng::fill(MutableBytes out) {
  SEALINE_ASSERT(out.size() <= queue_.size());
  std::copy_n(queue_.begin(), out.size(), out.begin());
  queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(out.size()));
}

SeededRng::SeededRng(std::uint64_t seed) : seed_(seed) { engine_of_this_thread(); }

void SeededRng::refill() {
  const auto seed = be_bytes(seed_);
  const auto counter = be_bytes(counter_++);
  engine_of_this_thread().sha256({seed, counter}, block_);
  used_ = 0;
}

void SeededRng::fill(MutableBytes out) {
  while (!out.empty()) {
    if (used_ == block_.size()) refill();
    const std::size_t take = std::min(out.size(), block_.size() - used_);
    std::copy_n(block_.begin() + static_cast<std::ptrdiff_t>(used_), take, out.begin());
    used_ += take;
    out = out.subspan(take);
  }
}

std::uint64_t SeededRng::below(std::uint64_t bound) {
  SEALINE_ASSERT(bound > 0);
  ByteArray<8> raw{};
  fill(raw);
  std::uint64_t value = 0;
  for (const std::uint8_t byte : raw) value = (value << 8U) | byte;
  return value % bound;
}

}  // namespace sealine::test
