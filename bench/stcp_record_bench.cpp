// The hot calls of a connection apart: seal, open (handle_bytes), with and without run_ahead, and
// the step of the ratchet alone. Allocations are counted; there must be none.
#include "micro.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/stcp/connection.hpp"
#include "stcp/detail/record_ratchet.hpp"

#include <benchmark/benchmark.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sealine::stcp {
namespace {

constexpr TimePoint kNow{};
constexpr std::size_t kBatchBytes = 256 * 1024;

/// A client and a server that have shaken hands.
class Joined {
 public:
  explicit Joined(bool ipsec_mb) {
    auto made = crypto::make_engine(ipsec_mb ? crypto::EngineChoice::ipsec_mb
                                             : crypto::EngineChoice::openssl);
    if (!made) return;
    engine = std::move(*made);
    client_config.mode = Mode::anonymous;
    server_config.modes = {Mode::anonymous};
    // One epoch for the whole run: a rekey is measured elsewhere.
    client_config.limits.rekey_bytes = server_config.limits.rekey_bytes = std::uint64_t{1} << 48U;
    client.emplace(*ClientConnection::create(client_config, *engine, rng, kNow));
    server.emplace(*ServerConnection::create(server_config, *engine, rng, kNow));
    std::vector<std::uint8_t> wire(1024);
    for (int flight = 0; flight < 3; ++flight) {
      Connection& from = flight == 1 ? static_cast<Connection&>(*server) : *client;
      Connection& to = flight == 1 ? static_cast<Connection&>(*client) : *server;
      const std::size_t count = from.poll_transmit(wire, kNow);
      static_cast<void>(to.handle_bytes(MutableBytes(wire).first(count), {}, kNow));
      while (to.poll_event()) {
      }
    }
    is_ready = client->state() == State::encrypted && server->state() == State::encrypted;
  }

  crypto::SystemRng rng;
  std::unique_ptr<crypto::Engine> engine;
  ClientConfig client_config;
  ServerConfig server_config;
  std::optional<ClientConnection> client;
  std::optional<ServerConnection> server;
  bool is_ready = false;
};

void report(benchmark::State& state, const Joined& joined, std::size_t bytes) {
  state.SetLabel(std::string(joined.engine->name()));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
}

void BM_seal(benchmark::State& state) {
  Joined joined(state.range(0) != 0);
  if (!joined.is_ready) return state.SkipWithError("libipsec-mb is not to be had");
  const auto size = static_cast<std::size_t>(state.range(1));
  const std::vector<std::uint8_t> data(size, 1);
  std::vector<std::uint8_t> wire(size + kRecordOverheadBytes);
  const bench::AllocationCounter counter(state);
  for (auto _ : state) {
    benchmark::DoNotOptimize(joined.client->seal(data, wire, kNow));
  }
  report(state, joined, size);
}

/// Opens a batch of records that was sealed with the clock stopped.
void BM_open(benchmark::State& state) {
  Joined joined(state.range(0) != 0);
  if (!joined.is_ready) return state.SkipWithError("libipsec-mb is not to be had");
  const auto size = static_cast<std::size_t>(state.range(1));
  const std::size_t record_bytes = size + kRecordOverheadBytes;
  const std::size_t batch = std::max<std::size_t>(1, kBatchBytes / record_bytes);
  const std::vector<std::uint8_t> data(size, 1);
  std::vector<std::uint8_t> wire(batch * record_bytes);
  std::vector<std::uint8_t> out(size);
  const bench::AllocationCounter counter(state);
  std::size_t at = wire.size();
  for (auto _ : state) {
    if (at == wire.size()) {
      state.PauseTiming();
      for (at = 0; at < wire.size(); at += record_bytes) {
        static_cast<void>(joined.client->seal(data, MutableBytes(wire).subspan(at), kNow));
      }
      at = 0;
      state.ResumeTiming();
    }
    const auto opened =
        joined.server->handle_bytes(MutableBytes(wire).subspan(at, record_bytes), out, kNow);
    if (!opened || opened->delivered != size) {
      state.SkipWithError("not opened");
      break;
    }
    at += record_bytes;
  }
  report(state, joined, size);
}

/// Many small records opened by one call, as after a batched write.
void BM_open_batch(benchmark::State& state) {
  Joined joined(state.range(0) != 0);
  if (!joined.is_ready) return state.SkipWithError("libipsec-mb is not to be had");
  const auto size = static_cast<std::size_t>(state.range(1));
  constexpr std::size_t kRecords = 100;
  const std::vector<std::uint8_t> data(size, 1);
  std::vector<std::uint8_t> wire(kRecords * (size + kRecordOverheadBytes));
  std::vector<std::uint8_t> out(kRecords * size);
  for (auto _ : state) {
    std::size_t written = 0;
    state.PauseTiming();
    for (std::size_t i = 0; i < kRecords; ++i) {
      written += joined.client->seal(data, MutableBytes(wire).subspan(written), kNow)->written;
    }
    state.ResumeTiming();
    benchmark::DoNotOptimize(joined.server->handle_bytes(wire, out, kNow));
  }
  report(state, joined, size * kRecords);
}

/// What stands between a message and its answer: two seals and two opens, steps run ahead.
void BM_round_trip(benchmark::State& state) {
  Joined joined(state.range(0) != 0);
  if (!joined.is_ready) return state.SkipWithError("libipsec-mb is not to be had");
  const auto size = static_cast<std::size_t>(state.range(1));
  std::vector<std::uint8_t> data(size, 1);
  std::vector<std::uint8_t> wire(size + kRecordOverheadBytes);
  const bench::AllocationCounter counter(state);
  for (auto _ : state) {
    static_cast<void>(joined.client->seal(data, wire, kNow));
    static_cast<void>(joined.server->handle_bytes(wire, data, kNow));
    static_cast<void>(joined.server->seal(data, wire, kNow));
    static_cast<void>(joined.client->handle_bytes(wire, data, kNow));
  }
  report(state, joined, 2 * size);
}

/// The same with every step taken while nobody waits: what is left is on the critical path.
void BM_seal_after_run_ahead(benchmark::State& state) {
  Joined joined(state.range(0) != 0);
  if (!joined.is_ready) return state.SkipWithError("libipsec-mb is not to be had");
  const auto size = static_cast<std::size_t>(state.range(1));
  const std::vector<std::uint8_t> data(size, 1);
  std::vector<std::uint8_t> wire(size + kRecordOverheadBytes);
  for (auto _ : state) {
    state.PauseTiming();
    joined.client->run_ahead();
    state.ResumeTiming();
    benchmark::DoNotOptimize(joined.client->seal(data, wire, kNow));
  }
  report(state, joined, size);
}

void BM_ratchet_step(benchmark::State& state) {
  Joined joined(state.range(0) != 0);
  if (!joined.is_ready) return state.SkipWithError("libipsec-mb is not to be had");
  detail::RecordRatchet ratchet;
  ratchet.start(detail::ChainKey());
  for (auto _ : state) {
    ratchet.prepare(*joined.engine);
    benchmark::DoNotOptimize(ratchet.iv().data());
    ratchet.advance();
  }
  report(state, joined, 0);
}

void by_size(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"ipsec_mb", "bytes"})->ArgsProduct({{0, 1}, {64, 1024, 16384, 65536}});
  bench::iterations_from_environment(benchmark);
}

void small(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"ipsec_mb", "bytes"})->ArgsProduct({{0, 1}, {64}});
  bench::iterations_from_environment(benchmark);
}

BENCHMARK(BM_seal)->Apply(by_size);
BENCHMARK(BM_open)->Apply(by_size);
BENCHMARK(BM_open_batch)->Apply(small);
BENCHMARK(BM_round_trip)->Apply(small);
BENCHMARK(BM_seal_after_run_ahead)->Apply(small);
BENCHMARK(BM_ratchet_step)
    ->ArgNames({"ipsec_mb"})
    ->Arg(0)
    ->Arg(1)
    ->Apply(bench::iterations_from_environment);

}  // namespace
}  // namespace sealine::stcp
