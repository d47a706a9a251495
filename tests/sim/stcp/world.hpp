#pragma once

#include "sealine/crypto/engine.hpp"
#include "sealine/stcp/connection.hpp"
#include "tests/sim/base/keys.hpp"
#include "tests/sim/base/pipe.hpp"
#include "tests/sim/base/wire.hpp"
#include "tests/sim/base/world.hpp"
#include "tests/sim/stcp/end.hpp"
#include "tests/sim/stcp/link.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace sealine::sim {

using namespace std::chrono_literals;
using stcp::Mode;

/// Nodes with STCP connections between them, over bad streams, in virtual time.
class StcpWorld final : public World {
 public:
  StcpWorld(std::uint64_t seed, std::uint64_t events, crypto::Engine& inner, const Keys& keys);

 private:
  static constexpr Duration kHandshakeTime = 10s;
  static constexpr std::size_t kUnprovedBytes = 8192;  ///< of memory for a peer that proved nothing

  // --- what the seed decides

  void draw_rates(std::uint64_t seed);
  stcp::Limits draw_limits();
  stcp::Padding draw_padding();
  void draw_servers();
  std::uint64_t draw_offer();

  // --- events

  [[nodiscard]] bool is_time_to_open() override;
  void open() override;
  void take_turn() override;
  void write(StcpLink& link, bool by_client);
  void control(StcpLink& link, bool by_client);
  void deliver(StcpLink& link, bool to_client);
  void hand_over(Pipe& pipe, StcpEnd& end, std::size_t count, bool is_slow);
  void pass() override;
  void collect() override;

  [[nodiscard]] bool is_empty() const override { return links_.empty(); }

  // --- faults

  [[nodiscard]] std::optional<Target> draw_target() override;
  void tamper() override;
  /// The attacker's node: a connection of its own, fed with what was captured.
  void attack();

  // --- connections

  std::unique_ptr<StcpEnd> make_client(const stcp::ClientConfig& config, Wire& wire,
                                       StcpEnd::Setup setup);
  std::unique_ptr<StcpEnd> make_server(const stcp::ServerConfig& config, Wire& wire,
                                       StcpEnd::Setup setup);
  std::unique_ptr<StcpEnd> start(StcpEnd::Machine machine, const StcpEnd::Setup& setup, Wire& wire);

  // --- what must hold

  /// For a link at any time; and what the network does when an end is over.
  void look_at(StcpLink& link);
  void end_stream_of(StcpEnd* end, Pipe& pipe);
  /// For one that is over.
  void finish(StcpLink& link);
  /// No false alarms: a fault needs a cause.
  void judge(const StcpLink& link, const StcpEnd& end, const StcpEnd* other) const;

  // --- the end

  void calm() override;
  void settle_turn() override;
  void finish_all() override;
  static void require_completed(const StcpLink& link);
  void print() const override;
  [[nodiscard]] Counts counts() const override;

  struct Sums {
    std::uint64_t established = 0;
    std::uint64_t faults = 0;
    std::uint64_t clean = 0;
    std::uint64_t rekeys = 0;
    std::uint64_t idle = 0;  ///< events without any connection
  };

  const Keys& keys_;
  std::vector<std::unique_ptr<stcp::ServerConfig>> servers_;
  std::vector<std::unique_ptr<stcp::ClientConfig>> clients_;
  std::vector<std::unique_ptr<StcpLink>> links_;
  std::size_t opened_ = 0;
  std::uint64_t streams_ = 0;
  Sums sums_;
};

}  // namespace sealine::sim
