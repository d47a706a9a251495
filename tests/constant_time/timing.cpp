// Welch's t-test on times, in the manner of dudect: two classes of inputs, many samples in random
// order, and whether their mean times differ. Above 4.5 they probably do. Printed for people, never
// a failure: these machines are shared, and a number of one run proves nothing.
#include "sealine/crypto/constant_time.hpp"
#include "sealine/crypto/engine.hpp"
#include "stcp/detail/hint.hpp"
#include "tests/sim/base/dice.hpp"

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

namespace sealine {
namespace {

/// Mean and variance as samples come (Welford).
struct Class {
  double count = 0;
  double mean = 0;
  double squares = 0;

  void add(double sample) {
    count += 1;
    const double distance = sample - mean;
    mean += distance / count;
    squares += distance * (sample - mean);
  }

  [[nodiscard]] double variance() const { return count > 1 ? squares / (count - 1) : 0; }
};

/// Times `work(which)` for both classes; slow outliers above the 95th percentile are left out.
template <class Work>
void compare(const char* name, std::size_t samples, Work work) {
  sim::Dice dice(99);
  std::vector<std::pair<bool, double>> times(samples);
  for (auto& [which, time] : times) {
    which = dice.chance(50);
    const auto before = std::chrono::steady_clock::now();
    work(which);
    time =
        std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - before).count();
  }
  std::vector<double> sorted(samples);
  std::ranges::transform(times, sorted.begin(), [](const auto& one) { return one.second; });
  std::ranges::nth_element(sorted, sorted.begin() + static_cast<std::ptrdiff_t>(samples / 20 * 19));
  const double limit = sorted[samples / 20 * 19];
  Class classes[2];
  for (const auto& [which, time] : times) {
    if (time <= limit) classes[which ? 1 : 0].add(time);
  }
  const double t =
      (classes[0].mean - classes[1].mean) / std::sqrt(classes[0].variance() / classes[0].count +
                                                      classes[1].variance() / classes[1].count);
  std::printf("%-36s t = %7.2f   means %.1f ns, %.1f ns, %zu samples\n", name, t, classes[0].mean,
              classes[1].mean, samples);
}

int run(std::size_t samples) {
  const auto engine = std::move(crypto::make_engine().value());
  volatile bool sink = false;

  // The same in all bytes, or different in the first.
  ByteArray<1024> one{};
  ByteArray<1024> same{};
  ByteArray<1024> other{};
  other[0] = 1;
  compare("ct_equal, equal or first byte", samples, [&](bool which) {
    sink = crypto::ct_equal(one, which ? ByteView(other) : ByteView(same));
  });
  // What such a test looks like where there is something to see.
  compare("std::equal, the same (for comparison)", samples, [&](bool which) {
    sink = std::ranges::equal(one, which ? ByteView(other) : ByteView(same));
  });

  // A server with many secrets: the hint is that of the first, or of none.
  sim::DiceRng rng(5);
  std::vector<ByteArray<32>> keys(16);
  for (auto& key : keys) rng.fill(key);
  ByteArray<32> ephemeral{};
  const auto hit = stcp::detail::make_hint(*engine, keys[0], ephemeral);
  auto miss = hit;
  miss[0] = static_cast<std::uint8_t>(miss[0] ^ 1U);
  compare("hint of 16 secrets, hit or miss", samples / 10, [&](bool which) {
    bool found = false;
    for (std::size_t i = keys.size(); i-- > 0;) {
      const auto expected = stcp::detail::make_hint(*engine, keys[i], ephemeral);
      if (crypto::ct_equal(expected, which ? miss : hit)) found = true;
    }
    sink = found;
  });

  // A tag that is wrong in its first or in its last byte.
  ByteArray<32> key{};
  ByteArray<12> nonce{};
  compare("tag wrong at its start or its end", samples / 2, [&](bool which) {
    ByteArray<64 + crypto::kTagBytes> sealed{};
    engine->gcm_seal(key, nonce, {}, {}, sealed);
    auto& byte = sealed[which ? 64 : sealed.size() - 1];
    byte = static_cast<std::uint8_t>(byte ^ 1U);
    sink = engine->gcm_open(key, nonce, {}, sealed, {}).has_value();
  });
  return sink ? 0 : 0;
}

}  // namespace
}  // namespace sealine

int main(int argc, char** argv) {
  if (RUNNING_ON_VALGRIND != 0) {
    std::printf("SKIPPED: times under valgrind mean nothing\n");
    return 77;
  }
  return sealine::run(argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000);
}
