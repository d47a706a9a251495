#pragma once

#include "sealine/crypto/engine.hpp"
#include "sealine/stc/stc.hpp"
#include "sealine/stt/frame.hpp"
#include "sealine/stt/handshake.hpp"
#include "sealine/stt/session.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/violation.hpp"
#include "tests/sim/base/world.hpp"
#include "tests/sim/stt/call.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace sealine::sim {

using namespace std::chrono_literals;

/// SttKeys that all seeds share.
struct SttKeys {
  explicit SttKeys(crypto::Engine& engine) {
    DiceRng rng(42);
    for (auto& seed : seeds) {
      ByteArray<32> bytes{};
      rng.fill(bytes);
      auto made = stc::seed_key(engine, bytes);
      require(made.has_value(), "a seed gives a key");
      seed = std::make_shared<const stc::SeedKey>(std::move(*made));
    }
  }

  std::shared_ptr<const stc::SeedKey> seeds[2];
};

/// One responder and those who dial it, over WebSockets that break, in virtual time.
class SttWorld final : public World {
 public:
  SttWorld(std::uint64_t seed, std::uint64_t events, crypto::Engine& inner, const SttKeys& keys);

 private:
  static constexpr std::size_t kMaxStreams = 8;

  // --- what the seed decides

  void draw_rates(std::uint64_t seed);
  stt::SessionConfig draw_config();

  // --- events

  [[nodiscard]] bool is_time_to_open() override;
  void open() override;
  void take_turn() override;
  void act(SttCall& call, bool is_client);
  void deliver(SttCall& call, bool to_client, std::size_t most, bool is_always);
  [[nodiscard]] bool is_refused_for_ephemeral() const;
  [[nodiscard]] bool to_initiator(SttCall& call, MutableBytes message);
  [[nodiscard]] bool to_responder(SttCall& call, MutableBytes message);
  void make_end(SttCall& call, bool is_client, stt::Established established);
  /// What an end has to say, and what it tells its application.
  void pump(SttCall& call, bool of_client);
  void pass() override;
  void collect() override;

  [[nodiscard]] bool is_empty() const override { return calls_.empty(); }

  // --- connections

  void start(SttCall& call);
  [[nodiscard]] UnixMillis unix_ms() const;
  /// One side closes the connection; the other hears of it behind what is on its way.
  void hang_up(SttCall& call, bool by_client);

  // --- faults

  SttCall* any_call();
  [[nodiscard]] std::optional<Target> draw_target() override;
  void tamper() override;
  /// The attacker's connection: what he has captured, again.
  void attack(const std::vector<Octets>& seen);
  void disturb_all() override;

  // --- what must hold

  /// For a call at any time.
  void look_at(SttCall& call);
  void finish(SttCall& call);
  /// No false alarms: a session that does not end well has a cause.
  static void judge(const SttCall& call, const SttEnd& end, const SttEnd& peer);

  // --- the end

  void calm() override;
  void settle_turn() override;
  void settle(SttCall& call);
  static void require_completed(const SttCall& call);
  void finish_all() override;
  void print() const override;
  [[nodiscard]] Counts counts() const override;

  struct Sums {
    std::uint64_t sessions = 0;
    std::uint64_t streams = 0;
    std::uint64_t bytes = 0;
    std::uint64_t messages = 0;
    std::uint64_t rotations = 0;
    std::uint64_t clean = 0;
    std::uint64_t broken = 0;
  };

  unsigned rough_permille_ = 0;    ///< of what an application does: it closes in the midst of all
  stt::HandshakeConfig here_;      ///< of those who dial
  stt::HandshakeConfig there_;     ///< of the responder
  stt::HandshakeConfig stranger_;  ///< with another seed
  std::uint64_t skew_ms_ = 0;
  std::optional<stt::Responder> responder_;
  std::vector<std::unique_ptr<SttCall>> calls_;
  std::size_t dialed_ = 0;
  Sums sums_;
};

}  // namespace sealine::sim
