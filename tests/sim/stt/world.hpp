#pragma once

#include "sealine/crypto/engine.hpp"
#include "sealine/stc/stc.hpp"
#include "sealine/stt/frame.hpp"
#include "sealine/stt/handshake.hpp"
#include "sealine/stt/session.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/runner.hpp"
#include "tests/sim/base/violation.hpp"
#include "tests/sim/base/watching_engine.hpp"
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
class SttWorld {
 public:
  SttWorld(std::uint64_t seed, std::uint64_t events, crypto::Engine& inner, const SttKeys& keys);
  RunResult run();

 private:
  static constexpr Duration kSettleTime = 60s;
  static constexpr Duration kLongStall = 2s;
  static constexpr std::size_t kMaxStreams = 8;
  static constexpr std::size_t kMessageBytes = 131072;

  /// How likely what is, in one seed.
  struct Rates {
    bool is_liveness = false;  ///< faults stop, and then everything must end well
    unsigned tamper_permille = 0;
    unsigned cut_permille = 0;
    unsigned stall_permille = 0;
    unsigned tick_percent = 8;
    unsigned slow_percent = 0;
    unsigned rough_permille = 0;
    std::size_t calls = 4;
    std::size_t capacity = 65536;
    std::size_t dials = 40;  ///< as they are the dear part
  };

  // --- what the seed decides

  void draw_rates(std::uint64_t seed);
  stt::SessionConfig draw_config();

  // --- events

  void step();
  void tick();
  /// What comes of the time that has passed.
  void pass();
  void act(SttCall& call, bool is_client);
  void deliver(SttCall& call, bool to_client, std::size_t most, bool is_always);
  [[nodiscard]] bool is_refused_for_ephemeral() const;
  [[nodiscard]] bool to_initiator(SttCall& call, MutableBytes message);
  [[nodiscard]] bool to_responder(SttCall& call, MutableBytes message);
  void make_end(SttCall& call, bool is_client, stt::Established established);
  /// What an end has to say, and what it tells its application.
  void pump(SttCall& call, bool of_client);

  // --- connections

  void dial();
  void start(SttCall& call);
  [[nodiscard]] UnixMillis unix_ms() const;
  /// One side closes the connection; the other hears of it behind what is on its way.
  void hang_up(SttCall& call, bool by_client);
  /// What must hold for a call at any time.
  void look_at(SttCall& call);
  void collect();
  void finish(SttCall& call);
  /// No false alarms: a session that does not end well has a cause.
  static void judge(const SttCall& call, const SttEnd& end, const SttEnd& peer);

  // --- faults

  SttCall* any_call() {
    return calls_.empty() ? nullptr : calls_[dice_.below(calls_.size())].get();
  }

  void stall();
  void cut();
  void tamper();
  /// The attacker's connection: what he has captured, again.
  void attack(const std::vector<Octets>& seen);

  // --- liveness

  /// No more faults, and everything must come to its end within kSettleTime.
  void settle();
  void settle_call(SttCall& call);
  static void require_completed(const SttCall& call);
  void note(std::uint64_t what, std::uint64_t detail);

  struct Counts {
    std::uint64_t events = 0;
    std::uint64_t sessions = 0;
    std::uint64_t streams = 0;
    std::uint64_t bytes = 0;
    std::uint64_t messages = 0;
    std::uint64_t rotations = 0;
    std::uint64_t clean = 0;
    std::uint64_t broken = 0;
  };

  Dice dice_;
  DiceRng rng_;
  KeyBook book_;
  WatchingEngine engine_;
  std::uint64_t events_;
  Rates rates_;
  stt::HandshakeConfig here_;      ///< of those who dial
  stt::HandshakeConfig there_;     ///< of the responder
  stt::HandshakeConfig stranger_;  ///< with another seed
  std::uint64_t skew_ms_ = 0;
  TimePoint now_{std::chrono::hours(1)};
  std::optional<stt::Responder> responder_;
  std::vector<std::unique_ptr<SttCall>> calls_;
  std::size_t dialed_ = 0;
  Trace trace_;
  Counts counts_;
  std::vector<std::uint8_t> out_ = std::vector<std::uint8_t>(2 * kMessageBytes);
};

}  // namespace sealine::sim
