// The hot paths of crypto and noise: what one record and one handshake are made of. Each runs on
// both engines (0 = OpenSSL, 1 = libipsec-mb). tools/bench micro counts instructions of the same
// program.
#include "micro.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/hmac_key.hpp"
#include "sealine/crypto/kdf.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/crypto/x25519.hpp"
#include "sealine/crypto/xaes.hpp"
#include "sealine/noise/handshake_state.hpp"
#include "sealine/noise/pattern.hpp"

#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace {

using namespace sealine;

using Buffer = std::vector<std::uint8_t>;

std::unique_ptr<crypto::Engine> engine_for(benchmark::State& state) {
  const auto choice =
      state.range(0) == 0 ? crypto::EngineChoice::openssl : crypto::EngineChoice::ipsec_mb;
  auto engine = crypto::make_engine(choice);
  if (!engine) {
    state.SkipWithError("no such engine here");
    return nullptr;
  }
  state.SetLabel(std::string((*engine)->name()));
  return std::move(*engine);
}

void set_bytes(benchmark::State& state, std::size_t each) {
  state.SetBytesProcessed(static_cast<std::int64_t>(each) * state.iterations());
}

void gcm_seal(benchmark::State& state) {
  const auto engine = engine_for(state);
  if (!engine) return;
  const auto size = static_cast<std::size_t>(state.range(1));
  const Buffer plain(size);
  Buffer sealed(size + crypto::kTagBytes);
  ByteArray<32> key{1};
  const ByteArray<12> nonce{2};
  const ByteArray<24> aad{3};
  for (auto _ : state) {
    ++key[0];
    engine->gcm_seal(key, nonce, aad, plain, sealed);
    benchmark::DoNotOptimize(sealed.data());
  }
  set_bytes(state, size);
}

void gcm_seal_with_trailer(benchmark::State& state) {
  const auto engine = engine_for(state);
  if (!engine) return;
  const auto size = static_cast<std::size_t>(state.range(1));
  const Buffer plain(size);
  Buffer sealed(size + 4 + crypto::kTagBytes);
  ByteArray<32> key{1};
  const ByteArray<12> nonce{2};
  const ByteArray<24> aad{3};
  for (auto _ : state) {
    ++key[0];
    engine->gcm_seal(key, nonce, aad, plain, sealed);
    benchmark::DoNotOptimize(sealed.data());
  }
  set_bytes(state, size);
}

// One record as STCP makes it: the step of the ratchet, and the seal under its key.
void record(benchmark::State& state) {
  const auto engine = engine_for(state);
  if (!engine) return;
  const auto size = static_cast<std::size_t>(state.range(1));
  const Buffer plain(size);
  Buffer sealed(size + 4 + crypto::kTagBytes);
  ByteArray<80> keys{1};
  const ByteArray<12> input{2};
  const ByteArray<24> aad{3};
  for (auto _ : state) {
    engine->kbkdf_cmac(FixedView<80>(keys).first<32>(), input, keys);
    engine->gcm_seal(FixedView<80>(keys).subspan<32, 32>(), FixedView<80>(keys).subspan<64, 12>(),
                     aad, plain, sealed);
    benchmark::DoNotOptimize(sealed.data());
  }
  set_bytes(state, size);
}

void aead_seal(benchmark::State& state) {
  const auto engine = engine_for(state);
  if (!engine) return;
  const auto aead = engine->make_aead();
  const auto size = static_cast<std::size_t>(state.range(1));
  const Buffer plain(size);
  Buffer sealed(size + crypto::kTagBytes);
  aead->set_key(ByteArray<32>{1});
  const ByteArray<12> nonce{2};
  const ByteArray<24> aad{3};
  for (auto _ : state) {
    aead->seal(nonce, aad, plain, sealed);
    benchmark::DoNotOptimize(sealed.data());
  }
  set_bytes(state, size);
}

void xaes_seal(benchmark::State& state) {
  const auto engine = engine_for(state);
  if (!engine) return;
  const auto size = static_cast<std::size_t>(state.range(1));
  const Buffer plain(size);
  Buffer sealed(size + crypto::kTagBytes);
  const ByteArray<32> key{1};
  ByteArray<24> nonce{2};
  for (auto _ : state) {
    ++nonce[0];
    crypto::xaes_seal(*engine, key, nonce, {}, plain, sealed);
    benchmark::DoNotOptimize(sealed.data());
  }
  set_bytes(state, size);
}

void kbkdf_step(benchmark::State& state) {
  const auto engine = engine_for(state);
  if (!engine) return;
  ByteArray<80> keys{1};
  const ByteArray<12> input{2};
  for (auto _ : state) {
    engine->kbkdf_cmac(FixedView<80>(keys).first<32>(), input, keys);
    benchmark::DoNotOptimize(keys.data());
  }
}

void sha256(benchmark::State& state) {
  const auto engine = engine_for(state);
  if (!engine) return;
  const auto size = static_cast<std::size_t>(state.range(1));
  const Buffer data(size);
  ByteArray<32> out;
  for (auto _ : state) {
    engine->sha256({data}, out);
    benchmark::DoNotOptimize(out.data());
  }
  set_bytes(state, size);
}

void hmac_sha256(benchmark::State& state) {
  const auto engine = engine_for(state);
  if (!engine) return;
  const auto size = static_cast<std::size_t>(state.range(1));
  const Buffer data(size);
  const ByteArray<32> key{1};
  ByteArray<32> out;
  for (auto _ : state) {
    engine->hmac_sha256(key, {data}, out);
    benchmark::DoNotOptimize(out.data());
  }
  set_bytes(state, size);
}

// Several messages together: what a batch of SCP and the leaves of a tree of STX cost.
template <bool Keyed>
void hash_many(benchmark::State& state) {
  const auto engine = engine_for(state);
  if (!engine) return;
  const auto size = static_cast<std::size_t>(state.range(1));
  const auto count = static_cast<std::size_t>(state.range(2));
  const Buffer data(size * count);
  std::vector<ByteView> messages;
  for (std::size_t i = 0; i < count; ++i)
    messages.push_back(ByteView(data).subspan(i * size, size));
  std::vector<ByteArray<32>> out(count);
  const crypto::HmacKey key(ByteArray<32>{1});
  for (auto _ : state) {
    if constexpr (Keyed) {
      engine->hmac_many(key, messages, out);
    } else {
      engine->sha256_many(messages, out);
    }
    benchmark::DoNotOptimize(out.data());
  }
  set_bytes(state, size * count);
}

void x25519_public(benchmark::State& state) {
  const auto engine = engine_for(state);
  if (!engine) return;
  ByteArray<32> key{8};
  for (auto _ : state) {
    engine->x25519_public(key, key);
    benchmark::DoNotOptimize(key.data());
  }
}

void x25519(benchmark::State& state) {
  const auto engine = engine_for(state);
  if (!engine) return;
  const ByteArray<32> secret{8};
  ByteArray<32> point{9};
  for (auto _ : state) {
    benchmark::DoNotOptimize(engine->x25519(secret, point, point));
  }
}

void make_engine(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(engine_for(state));
  }
}

// Noise NX with the payloads of STCP mode 1, both ends, up to the split keys.
void nx_handshake(benchmark::State& state) {
  const auto engine = engine_for(state);
  if (!engine) return;
  crypto::SystemRng rng;
  const auto server_key = crypto::KeyPair::generate(*engine, rng);
  const ByteArray<24> prologue{};
  const ByteArray<34> payload{};
  for (auto _ : state) {
    auto client =
        noise::HandshakeState::create(noise::patterns::nx, noise::Role::initiator,
                                      {prologue, nullptr, std::nullopt, {}}, *engine, rng);
    auto server =
        noise::HandshakeState::create(noise::patterns::nx, noise::Role::responder,
                                      {prologue, &server_key, std::nullopt, {}}, *engine, rng);
    ByteArray<66> first;
    ByteArray<130> second;
    ByteArray<34> read;
    const bool done = client->write_message(payload, first) && server->read_message(first, read) &&
                      server->write_message(payload, second) &&
                      client->read_message(second, read) && std::move(*client).split() &&
                      std::move(*server).split();
    if (!done) state.SkipWithError("the handshake failed");
  }
}

// The server's half alone: what a flood of clients costs.
void nx_server(benchmark::State& state) {
  const auto engine = engine_for(state);
  if (!engine) return;
  crypto::SystemRng rng;
  const auto server_key = crypto::KeyPair::generate(*engine, rng);
  const ByteArray<24> prologue{};
  const ByteArray<34> payload{};
  ByteArray<66> first{};
  engine->x25519_public(ByteArray<32>{8}, FixedBytes<66>(first).first<32>());
  for (auto _ : state) {
    auto server =
        noise::HandshakeState::create(noise::patterns::nx, noise::Role::responder,
                                      {prologue, &server_key, std::nullopt, {}}, *engine, rng);
    ByteArray<130> second;
    ByteArray<34> read;
    const bool done = server->read_message(first, read) && server->write_message(payload, second) &&
                      std::move(*server).split();
    if (!done) state.SkipWithError("the handshake failed");
  }
}

void both_engines(benchmark::internal::Benchmark* bench) {
  bench->ArgName("ipsec_mb")->Arg(0)->Arg(1);
  sealine::bench::iterations_from_environment(bench);
}

void engines_and_sizes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"ipsec_mb", "bytes"})->ArgsProduct({{0, 1}, {64, 1 << 10, 1 << 14, 1 << 16}});
  sealine::bench::iterations_from_environment(bench);
}

void engines_sizes_and_counts(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"ipsec_mb", "bytes", "count"})
      ->ArgsProduct({{0, 1}, {95, 1 << 10, 1 << 16}, {1, 2, 8, 16, 64}});
  sealine::bench::iterations_from_environment(bench);
}

BENCHMARK(gcm_seal)->Apply(engines_and_sizes);
BENCHMARK(gcm_seal_with_trailer)->Apply(engines_and_sizes);
BENCHMARK(record)->Apply(engines_and_sizes);
BENCHMARK(aead_seal)->Apply(engines_and_sizes);
BENCHMARK(xaes_seal)->Apply(engines_and_sizes);
BENCHMARK(kbkdf_step)->Apply(both_engines);
BENCHMARK(sha256)->Apply(engines_and_sizes);
BENCHMARK(hmac_sha256)->Apply(engines_and_sizes);
BENCHMARK(hash_many<false>)->Name("sha256_many")->Apply(engines_sizes_and_counts);
BENCHMARK(hash_many<true>)->Name("hmac_many")->Apply(engines_sizes_and_counts);
BENCHMARK(x25519_public)->Apply(both_engines);
BENCHMARK(x25519)->Apply(both_engines);
BENCHMARK(make_engine)->Apply(both_engines);
BENCHMARK(nx_handshake)->Apply(both_engines);
BENCHMARK(nx_server)->Apply(both_engines);

}  // namespace
