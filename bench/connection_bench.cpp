// Two STCP machines back to back, without sockets: records by size and whole handshakes by mode.
#include "micro.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/stcp/connection.hpp"

#include <benchmark/benchmark.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace sealine::stcp {
namespace {

constexpr TimePoint kNow{};
constexpr std::size_t kWireBytes = std::size_t{128} * 1024;

/// Two machines that know each other, and what they share.
struct Pair {
  explicit Pair(bool ipsec_mb, Mode chosen_mode) : mode(chosen_mode) {
    auto made = crypto::make_engine(ipsec_mb ? crypto::EngineChoice::ipsec_mb
                                             : crypto::EngineChoice::openssl);
    if (!made) return;
    engine = std::move(*made);
    const auto identity =
        std::make_shared<const crypto::KeyPair>(crypto::KeyPair::generate(*engine, rng));
    client_config.mode = mode;
    client_config.identity = identity;
    server_config.modes = {mode};
    server_config.identity = identity;
    if (mode == Mode::psk) {
      ByteArray<crypto::kKeyBytes> bytes{};
      rng.fill(bytes);
      client_config.psk = std::make_shared<const crypto::Psk>(bytes);
      server_config.psks.push_back(ServerPsk::make(*engine, crypto::Psk(bytes)));
    }
  }

  /// Makes both ends and lets them talk until both are ENCRYPTED.
  bool shake_hands() {
    auto made_client = ClientConnection::create(client_config, *engine, rng, kNow);
    auto made_server = ServerConnection::create(server_config, *engine, rng, kNow);
    if (!made_client || !made_server) return false;
    client.emplace(std::move(*made_client));
    server.emplace(std::move(*made_server));
    while (client->state() != State::encrypted || server->state() != State::encrypted) {
      if (!carry(*client, *server) || !carry(*server, *client)) return false;
      if (client->fault() || server->fault()) return false;
    }
    return true;
  }

  bool carry(Connection& from, Connection& to) {
    std::size_t kept = 0;
    while (const std::size_t count = from.poll_transmit(MutableBytes(wire).subspan(kept), kNow)) {
      kept += count;
    }
    for (MutableBytes rest = MutableBytes(wire).first(kept);;) {
      const auto opened = to.handle_bytes(rest, {}, kNow);
      if (!opened) return false;
      rest = rest.subspan(opened->consumed);
      while (const auto event = to.poll_event()) {
        if (std::holds_alternative<PeerKeyShown>(*event)) to.accept_peer_key(kNow);
      }
      if (opened->consumed == 0 || rest.empty()) return true;
    }
  }

  Mode mode;
  crypto::SystemRng rng;
  std::unique_ptr<crypto::Engine> engine;
  ClientConfig client_config;
  ServerConfig server_config;
  std::optional<ClientConnection> client;
  std::optional<ServerConnection> server;
  std::vector<std::uint8_t> wire = std::vector<std::uint8_t>(kWireBytes);
};

/// One record sealed by the client and opened by the server.
void record(benchmark::State& state) {
  Pair pair(state.range(0) != 0, Mode::anonymous);
  if (!pair.engine || !pair.shake_hands()) {
    state.SkipWithError(pair.engine ? "no handshake" : "libipsec-mb is not to be had");
    return;
  }
  const auto size = static_cast<std::size_t>(state.range(1));
  std::vector<std::uint8_t> data(size, 1);
  std::vector<std::uint8_t> received(size);
  const bench::AllocationCounter counter(state);
  for (auto _ : state) {
    const auto sealed = pair.client->seal(data, pair.wire, kNow);
    if (!sealed) {
      state.SkipWithError("not sealed");
      break;
    }
    const auto opened =
        pair.server->handle_bytes(MutableBytes(pair.wire).first(sealed->written), received, kNow);
    if (!opened || opened->delivered != size) {
      state.SkipWithError("not opened");
      break;
    }
  }
  state.SetLabel(std::string(pair.engine->name()));
  state.SetBytesProcessed(state.iterations() * state.range(1));
}

/// Both ends of a whole handshake.
void handshake(benchmark::State& state) {
  constexpr std::array kModes = {Mode::anonymous, Mode::tofu, Mode::mutual, Mode::psk};
  Pair pair(state.range(0) != 0, kModes.at(static_cast<std::size_t>(state.range(1))));
  if (!pair.engine) {
    state.SkipWithError("libipsec-mb is not to be had");
    return;
  }
  const bench::AllocationCounter counter(state);
  for (auto _ : state) {
    if (!pair.shake_hands()) {
      state.SkipWithError("no handshake");
      break;
    }
  }
  state.SetLabel(std::string(pattern_name(pair.mode)) + " " + std::string(pair.engine->name()));
  state.SetItemsProcessed(state.iterations());
}

BENCHMARK(record)
    ->ArgNames({"ipsec_mb", "bytes"})
    ->ArgsProduct({{0, 1}, {64, 1024, 16384, 65536}})
    ->Apply(bench::iterations_from_environment);
BENCHMARK(handshake)
    ->ArgNames({"ipsec_mb", "mode"})
    ->ArgsProduct({{0, 1}, {0, 1, 2, 3}})
    ->Apply(bench::iterations_from_environment);

}  // namespace
}  // namespace sealine::stcp
