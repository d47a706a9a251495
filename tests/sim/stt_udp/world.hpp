#pragma once

#include "sealine/crypto/engine.hpp"
#include "sealine/stt/frame.hpp"
#include "sealine/stt/session.hpp"
#include "support/link.hpp"
#include "tests/sim/base/run_result.hpp"
#include "tests/sim/base/stage.hpp"
#include "tests/sim/stt/end.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace sealine::sim {

using namespace std::chrono_literals;

/// Nothing is dear enough to be shared: sessions begin behind their handshake.
struct NoKeys {
  explicit NoKeys(crypto::Engine&) {}
};

/// Two sessions over UDP and the two directions of a path that does what paths do, in virtual time.
///
/// While faults last anything may be late, lost or changed, and a reader may be slow; then they
/// end, both sides finish their streams, and all must be closed within a minute. In one seed of
/// four an application closes the session in the midst of it instead.
class SttUdpWorld final : public Stage {
 public:
  SttUdpWorld(std::uint64_t seed, std::uint64_t events, crypto::Engine& inner, const NoKeys&);
  RunResult run();

 private:
  static constexpr stt::SessionId kId{1, 2, 3, 4, 5, 6, 7, 8};
  static constexpr Duration kSettleTime = 60s;
  static constexpr std::uint64_t kAmplification = 3;
  static constexpr std::size_t kMaxStreams = 8;

  static constexpr std::size_t index(stt::Role role) {
    return role == stt::Role::initiator ? 0 : 1;
  }

  /// Link i carries what end i sends.
  SttEnd& initiator() { return *ends_[0]; }

  SttEnd& responder() { return *ends_[1]; }

  [[nodiscard]] bool is_over() const { return ends_[0]->is_over() || ends_[1]->is_over(); }

  [[nodiscard]] std::uint64_t lost() const;

  // --- what the seed decides

  void draw_path();
  stt::SessionConfig draw_config();
  /// Another mixture of faults, for a while.
  void draw_faults();
  static void clear_faults(test::LinkSettings& s);

  // --- time goes on

  void turn(bool is_settling);

  SttEnd& peer_of(const SttEnd& end) { return end.is_initiator() ? responder() : initiator(); }

  /// To whatever comes first.
  void advance(bool is_settling);
  void receive(SttEnd& end, bool is_settling);
  void remember(SttEnd& end, const std::vector<std::uint8_t>& datagram);
  void deliver(SttEnd& end, MutableBytes bytes, std::uint64_t source, stt::EcnMark mark);
  void send(SttEnd& end, bool is_settling);
  void check_datagram(SttEnd& end, MutableBytes datagram, const stt::Departure& departure,
                      bool was_closed);

  // --- the applications

  void act(SttEnd& end);

  // --- how it ends

  void stop_faults();
  /// No more faults: all streams end within a minute, and then a drained session says so.
  void settle();
  /// Somebody closes; whoever still speaks hears of it, everybody else falls silent.
  void close();
  void settle_close();
  void check_end();
  [[noreturn]] void fail(const char* invariant);

  static constexpr stt::PathId kSpoofed = 1'000'000;
  /// Windows and buffers of all streams, whole and incomplete messages, and what never changes.
  static constexpr std::size_t kMaxHeldBytes = 12U << 20U;

  std::uint64_t events_;
  std::uint64_t turns_ = 0;
  bool closes_ = false;
  bool moves_ = false;
  std::size_t mtu_ = 1472;
  TimePoint next_act_{1h};
  TimePoint faults_until_{1h};
  TimePoint next_hole_{1h};
  std::array<test::Link, 2> links_;
  std::array<std::unique_ptr<SttEnd>, 2> ends_;
  unsigned standing_still_ = 0;
  bool unsent_ = false;

  // addresses
  stt::PathId address_ = 0;  ///< of the initiator, as the responder sees it
  std::vector<stt::PathId> proven_{0};
  std::map<stt::PathId, std::uint64_t> received_from_;
  std::map<stt::PathId, std::uint64_t> sent_to_;
  std::uint64_t moves_followed_ = 0;

  // of each end
  std::array<std::vector<std::vector<std::uint8_t>>, 2> captured_;  ///< on the way to it
  std::array<std::vector<std::uint8_t>, 2> last_sent_;
  std::array<bool, 2> was_over_{};
  std::array<std::uint64_t, 2> next_number_{};
  std::array<stt::Epoch, 2> epoch_{};
  std::array<std::uint64_t, 2> arrivals_{};
  std::array<std::uint64_t, 2> arrivals_at_close_{};
  std::array<std::uint64_t, 2> repeats_{};
};

}  // namespace sealine::sim
