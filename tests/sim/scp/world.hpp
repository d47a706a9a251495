#pragma once

#include "sealine/crypto/engine.hpp"
#include "sealine/scp/channel.hpp"
#include "tests/sim/base/keys.hpp"
#include "tests/sim/base/pipe.hpp"
#include "tests/sim/base/world.hpp"
#include "tests/sim/scp/end.hpp"
#include "tests/sim/scp/talk.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace sealine::sim {

using namespace std::chrono_literals;
using scp::Code;
using scp::Mode;

/// Servers and clients with SCP channels between them, over connections that break, in virtual
/// time.
class ScpWorld final : public World {
 public:
  ScpWorld(std::uint64_t seed, std::uint64_t events, crypto::Engine& inner, const Keys& keys);

 private:
  // --- what the seed decides

  void draw_rates(std::uint64_t seed);
  /// The windows are both ends', as the specification has it.
  void draw_limits();
  void draw_servers();
  Letters draw_letters();
  std::uint64_t draw_offer();

  // --- events

  [[nodiscard]] bool is_time_to_open() override;
  void open() override;
  void take_turn() override;
  void write(ScpTalk& talk, bool by_client);
  void control(ScpTalk& talk, bool by_client);
  void deliver(ScpTalk& talk, bool to_client);
  void to_end(ScpEnd& end, Pipe& pipe, std::size_t count);
  void to_server(ScpTalk& talk, ScpConnection& connection, std::size_t count);
  void pass() override;
  void collect() override;

  [[nodiscard]] bool is_empty() const override { return talks_.empty(); }

  // --- a server

  /// Its handshake goes on with what is there.
  void serve(ScpTalk& talk, ScpConnection& connection);
  /// `consumed` bytes were the handshake's.
  void established(ScpTalk& talk, ScpConnection& connection, scp::Opening opening,
                   std::uint64_t consumed);
  /// A new channel; false: it is one that nobody waits for any more.
  bool begin_channel(ScpTalk& talk, ScpConnection& connection, scp::Opening opening,
                     std::uint64_t consumed);
  /// Looks the channel up among all that the server has.
  bool resume(ScpTalk& talk, scp::Opening& opening);

  // --- a client

  std::unique_ptr<ScpEnd> make_client(const scp::ClientConfig& config, const ScpEnd::Setup& setup);
  ScpConnection& add_connection(ScpTalk& talk);
  /// Its next connection.
  void dial(ScpTalk& talk);
  /// What it does with its connections.
  void tend_client(ScpTalk& talk);
  /// Connections at the front that nobody needs any more.
  static std::ptrdiff_t forgettable(const ScpTalk& talk);
  /// It closes its connection; whether the server ever hears of that is drawn.
  void leave_client(ScpTalk& talk);

  // --- faults

  [[nodiscard]] std::optional<Target> draw_target() override;
  void tamper() override;
  /// The attacker's node: a connection of its own, fed with what was captured.
  void attack(const ScpTalk& source);
  void crash() override;
  void disturb_all() override;

  // --- what must hold

  /// For a talk at any time; and what its ends do with their connections.
  void look_at(ScpTalk& talk);
  void finish(ScpTalk& talk);
  void note_counts(const ScpEnd& end);

  // --- the end

  void calm() override;
  void settle_turn() override;
  void settle(ScpTalk& talk);
  void finish_all() override;
  void print() const override;
  [[nodiscard]] Counts counts() const override;

  struct Sums {
    std::uint64_t opened = 0;
    std::uint64_t resumed = 0;
    std::uint64_t clean = 0;
    std::uint64_t faults = 0;
    std::uint64_t rotations = 0;
    std::uint64_t messages = 0;
  };

  const Keys& keys_;
  scp::Limits limits_;
  bool has_large_ = false;
  std::vector<std::unique_ptr<scp::ServerConfig>> servers_;
  std::vector<std::unique_ptr<scp::ClientConfig>> clients_;
  std::vector<std::unique_ptr<ScpTalk>> talks_;
  std::size_t dialed_ = 0;
  std::uint64_t streams_ = 0;
  Sums sums_;
};

}  // namespace sealine::sim
