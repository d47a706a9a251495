// The hot path of an SCP channel apart: messages taken, sealed, opened, handed out and receipted,
// in batches as the driver makes them. Both ends run on this core; halve the time for one of them.
// Allocations are counted; there must be none.
#include "micro.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/scp/channel.hpp"

#include <benchmark/benchmark.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sealine::scp {
namespace {

constexpr TimePoint kNow{};

/// A client and a server that have shaken hands.
class Joined {
 public:
  explicit Joined(bool ipsec_mb) : wire_(std::size_t{2} << 20U) {
    auto made = crypto::make_engine(ipsec_mb ? crypto::EngineChoice::ipsec_mb
                                             : crypto::EngineChoice::openssl);
    if (!made) return;
    engine_ = std::move(*made);
    client_config_.mode = Mode::anonymous;
    server_config_.modes = {Mode::anonymous};
    // One set of keys for the whole run.
    client_config_.limits.rotate_bytes = server_config_.limits.rotate_bytes = std::uint64_t{1}
                                                                              << 62U;
    client_.emplace(*ChannelEnd::connect(client_config_, *engine_, rng_, kNow));
    auto handshake = *ServerHandshake::create(server_config_, *engine_, rng_);
    std::size_t used = 0;
    static_cast<void>(handshake.handle_bytes(transmitted(*client_), used));
    const std::size_t answer = handshake.poll_transmit(wire_);
    client_->handle_bytes(MutableBytes(wire_).first(answer), kNow);
    const auto done = handshake.handle_bytes(transmitted(*client_), used);
    if (!done || *done != Progress::done) return;
    server_.emplace(
        ChannelEnd::accept(server_config_, std::move(handshake).take(), *engine_, rng_, kNow));
    is_ready = client_->state() == State::open;
  }

  [[nodiscard]] std::string_view engine_name() const { return engine_->name(); }

  /// So many messages from the client to the server, and the receipts back.
  bool exchange(ByteView message, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      if (!client_->send(message)) return false;
    }
    deliver(transmitted(*client_), *server_);
    for (std::size_t i = 0; i < count; ++i) {
      if (!server_->front()) return false;
      server_->pop();
    }
    deliver(transmitted(*server_), *client_);
    for (ChannelEnd* end : {&*client_, &*server_}) {
      while (end->poll_event()) {
      }
    }
    return client_->can_send() && client_->receipted() == client_->sent();
  }

  bool is_ready = false;

 private:
  MutableBytes transmitted(ChannelEnd& from) {
    return MutableBytes(wire_).first(from.poll_transmit(wire_, kNow));
  }

  static void deliver(MutableBytes bytes, ChannelEnd& to) {
    while (!bytes.empty()) bytes = bytes.subspan(to.handle_bytes(bytes, kNow));
  }

  std::vector<std::uint8_t> wire_;
  crypto::SystemRng rng_;
  std::unique_ptr<crypto::Engine> engine_;
  ClientConfig client_config_;
  ServerConfig server_config_;
  std::optional<ChannelEnd> client_;
  std::optional<ChannelEnd> server_;
};

/// The figures are those of the whole batch; messages/s is a counter.
void BM_exchange(benchmark::State& state) {
  Joined joined(state.range(0) != 0);
  if (!joined.is_ready) return state.SkipWithError("libipsec-mb is not to be had");
  const std::vector<std::uint8_t> message(static_cast<std::size_t>(state.range(1)), 1);
  const auto count = static_cast<std::size_t>(state.range(2));
  for (int warm = 0; warm < 4; ++warm) joined.exchange(message, count);
  const bench::AllocationCounter counter(state);
  for (auto _ : state) {
    if (!joined.exchange(message, count)) {
      state.SkipWithError("a message is lost");
      break;
    }
  }
  state.SetLabel(std::string(joined.engine_name()));
  state.SetItemsProcessed(state.iterations() * state.range(2));
  state.SetBytesProcessed(state.iterations() * state.range(1) * state.range(2));
}

void sizes_and_counts(benchmark::internal::Benchmark* benchmark) {
  for (const int ipsec_mb : {0, 1}) {
    for (const auto& [size, count] : {std::pair{64, 1},
                                      {64, 16},
                                      {64, 256},
                                      {1024, 1},
                                      {1024, 64},
                                      {65536, 1},
                                      {65536, 4},
                                      {65536, 16}}) {
      benchmark->Args({ipsec_mb, size, count});
    }
  }
  benchmark->ArgNames({"ipsec_mb", "bytes", "count"});
  bench::iterations_from_environment(benchmark);
}

BENCHMARK(BM_exchange)->Apply(sizes_and_counts);

}  // namespace
}  // namespace sealine::scp
