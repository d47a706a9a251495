// The algorithms under every record and handshake, on each engine: benchmark/engine/size.
#include "allocations.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/crypto/x25519.hpp"

#include <benchmark/benchmark.h>

#include <vector>

namespace sealine::crypto {
namespace {

constexpr std::size_t kRecordHead = 24;
constexpr std::size_t kRatchetStep = 80;

/// The engine of the benchmark's first argument, or none where this machine lacks it.
std::unique_ptr<Engine> engine_of(benchmark::State& state) {
  auto made = make_engine(state.range(0) != 0 ? EngineChoice::ipsec_mb : EngineChoice::openssl);
  if (!made) {
    state.SkipWithError("libipsec-mb is not to be had");
    return nullptr;
  }
  state.SetLabel(std::string((*made)->name()));
  return std::move(*made);
}

void on_both_engines(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("ipsec_mb")->Arg(0)->Arg(1);
}

void on_both_engines_by_size(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"ipsec_mb", "bytes"});
  benchmark->ArgsProduct({{0, 1}, {64, 1024, 16384, 65536}});
}

void BM_gcm_seal(benchmark::State& state) {
  const auto engine = engine_of(state);
  if (!engine) return;
  const auto size = static_cast<std::size_t>(state.range(1));
  std::vector<std::uint8_t> plaintext(size, 1);
  std::vector<std::uint8_t> sealed(size + kTagBytes);
  const ByteArray<kKeyBytes> key{};
  const ByteArray<kNonceBytes> nonce{};
  const ByteArray<kRecordHead> head{};
  const bench::AllocationCounter counter(state);
  for (auto _ : state) {
    engine->gcm_seal(key, nonce, head, plaintext, sealed);
    benchmark::DoNotOptimize(sealed.data());
  }
  state.SetBytesProcessed(state.iterations() * state.range(1));
}

void BM_gcm_open(benchmark::State& state) {
  const auto engine = engine_of(state);
  if (!engine) return;
  const auto size = static_cast<std::size_t>(state.range(1));
  std::vector<std::uint8_t> plaintext(size, 1);
  std::vector<std::uint8_t> sealed(size + kTagBytes);
  const ByteArray<kKeyBytes> key{};
  const ByteArray<kNonceBytes> nonce{};
  const ByteArray<kRecordHead> head{};
  engine->gcm_seal(key, nonce, head, plaintext, sealed);
  const bench::AllocationCounter counter(state);
  for (auto _ : state) {
    // All of the plaintext goes to `head`: the sealed bytes stay as they are.
    if (!engine->gcm_open(key, nonce, head, sealed, plaintext)) {
      state.SkipWithError("the tag does not verify");
      break;
    }
  }
  state.SetBytesProcessed(state.iterations() * state.range(1));
}

void BM_ratchet_step(benchmark::State& state) {
  const auto engine = engine_of(state);
  if (!engine) return;
  const ByteArray<12> input{};
  ByteArray<kRatchetStep> keys{};
  const bench::AllocationCounter counter(state);
  for (auto _ : state) {
    engine->kbkdf_cmac(FixedView<kRatchetStep>(keys).first<kKeyBytes>(), input, keys);
    benchmark::DoNotOptimize(keys.data());
  }
}

void BM_hmac_sha256(benchmark::State& state) {
  const auto engine = engine_of(state);
  if (!engine) return;
  const std::vector<std::uint8_t> message(static_cast<std::size_t>(state.range(1)));
  const ByteArray<kKeyBytes> key{};
  ByteArray<kHashBytes> out{};
  const bench::AllocationCounter counter(state);
  for (auto _ : state) {
    engine->hmac_sha256(key, {message}, out);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetBytesProcessed(state.iterations() * state.range(1));
}

void BM_x25519_generate(benchmark::State& state) {
  const auto engine = engine_of(state);
  if (!engine) return;
  SystemRng rng;
  const bench::AllocationCounter counter(state);
  for (auto _ : state) {
    benchmark::DoNotOptimize(KeyPair::generate(*engine, rng));
  }
}

void BM_x25519_derive(benchmark::State& state) {
  const auto engine = engine_of(state);
  if (!engine) return;
  SystemRng rng;
  const KeyPair ours = KeyPair::generate(*engine, rng);
  const KeyPair theirs = KeyPair::generate(*engine, rng);
  ByteArray<kKeyBytes> out{};
  const bench::AllocationCounter counter(state);
  for (auto _ : state) {
    if (!engine->x25519(ours.secret.expose(), theirs.public_key.view(), out)) {
      state.SkipWithError("no shared secret");
      break;
    }
  }
}

BENCHMARK(BM_gcm_seal)->Apply(on_both_engines_by_size);
BENCHMARK(BM_gcm_open)->Apply(on_both_engines_by_size);
BENCHMARK(BM_hmac_sha256)->Apply(on_both_engines_by_size);
BENCHMARK(BM_ratchet_step)->Apply(on_both_engines);
BENCHMARK(BM_x25519_generate)->Apply(on_both_engines);
BENCHMARK(BM_x25519_derive)->Apply(on_both_engines);

}  // namespace
}  // namespace sealine::crypto
