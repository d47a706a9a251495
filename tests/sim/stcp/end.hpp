#pragma once

#include "sealine/stcp/connection.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/inbox.hpp"
#include "tests/sim/base/violation.hpp"
#include "tests/sim/base/watching_engine.hpp"
#include "tests/sim/base/wire.hpp"
#include "tests/support/no_alloc.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace sealine::sim {

/// One end of a connection with its application: calls the machine in the order that its comment
/// asks for, and holds every answer against the invariants.
class StcpEnd {
 public:
  using Machine = std::variant<stcp::ClientConnection, stcp::ServerConnection>;

  struct Setup {
    std::uint64_t sends = 0;                        ///< number of the stream it sends
    std::uint64_t receives = 0;                     ///< and of the one it receives
    std::optional<crypto::PublicKey> expected_key;  ///< accepts this key alone; none: any
    std::uint64_t offers = 0;                       ///< bytes that its application has to send
    bool is_paced = false;  ///< data go before the filler of a constant rate
  };

  StcpEnd(Machine machine, Setup setup, WatchingEngine& engine, KeyBook& book, Wire& wire,
          Dice dice)
      : machine_(std::move(machine)),
        setup_(setup),
        left_(setup.offers),
        engine_(engine),
        book_(book),
        wire_(wire),
        dice_(dice) {}

  // --- inputs

  /// Bytes from the wire wait until they are processed.
  void receive(ByteView bytes) { inbox_.put(bytes); }

  [[nodiscard]] std::size_t unprocessed() const { return inbox_.size(); }

  /// Opens what is there; a slow application stops after some of it.
  void process(TimePoint now, bool is_slow = false);
  void end_of_stream(TimePoint now);
  void timeout(TimePoint now);

  // --- commands

  /// Seals up to `most` of the bytes on offer into room for `room` bytes of wire.
  void send(std::size_t most, std::size_t room, TimePoint now);

  /// Leaves off what was not sent yet, or all but `most` of it.
  void offer_no_more_than(std::uint64_t most) { left_ = std::min(left_, most); }

  void close(TimePoint now);
  void abort(std::uint8_t reason, TimePoint now);
  void request_rekey(TimePoint now);
  void ping(TimePoint now);
  void run_ahead(TimePoint now);
  void announce(const crypto::PublicKey& next, TimePoint now);

  /// The first messages of a client.
  void start(TimePoint now) { drain(now); }

  // --- getters

  [[nodiscard]] stcp::Connection& connection();
  [[nodiscard]] const stcp::Connection& connection() const;
  [[nodiscard]] bool is_client() const;

  [[nodiscard]] bool is_dead() const { return connection().state() == stcp::State::error; }

  [[nodiscard]] bool is_over() const;

  [[nodiscard]] std::optional<TimePoint> deadline() const { return deadline_; }

  [[nodiscard]] std::uint64_t left() const { return left_; }

  [[nodiscard]] std::uint64_t sent() const { return sent_; }

  [[nodiscard]] std::uint64_t delivered() const { return delivered_; }

  /// Bytes of whole messages and records that were taken as good.
  [[nodiscard]] std::uint64_t consumed() const { return consumed_; }

  [[nodiscard]] std::uint64_t wire_bytes() const { return wire_bytes_; }

  [[nodiscard]] bool was_established() const { return established_; }

  [[nodiscard]] bool close_asked() const { return close_asked_; }

  [[nodiscard]] bool data_ended() const { return data_ended_; }

  [[nodiscard]] bool end_given() const { return end_given_; }

  [[nodiscard]] bool refused_key() const { return refused_key_; }

  [[nodiscard]] bool is_cancelled() const { return is_cancelled_; }

  [[nodiscard]] std::optional<std::uint8_t> abort_sent() const { return abort_sent_; }

  [[nodiscard]] std::optional<std::uint8_t> aborted() const { return aborted_; }

  [[nodiscard]] std::optional<crypto::PublicKey> pin_update() const { return pin_update_; }

  [[nodiscard]] std::uint16_t rekeys() const { return rekeys_; }

  /// One line for a person who looks at a failure.
  void print() const;

  /// Folds what can be seen from outside into a hash.
  template <class Into>
  void observe(Into& into, TimePoint now) const {
    const auto statistics = connection().statistics();
    into.add(static_cast<std::uint64_t>(connection().state()));
    const auto fault = connection().fault();
    into.add(fault ? static_cast<std::uint64_t>(fault->code) : 0);
    into.add(statistics.records_sent << 32U | statistics.records_received);
    into.add(std::uint64_t{statistics.epoch_sent} << 16U | statistics.epoch_received);
    into.add(sent_ << 32U | delivered_);
    into.add((established_ ? 1U : 0U) | (data_ended_ ? 2U : 0U) | (close_asked_ ? 4U : 0U) |
             (end_given_ ? 8U : 0U) | (connection().can_send() ? 16U : 0U) |
             (connection().can_receive() ? 32U : 0U));
    into.add(deadline_ ? static_cast<std::uint64_t>((*deadline_ - now).count()) : 0);
    into.add(inbox_.rest());
  }

  /// Both ends of one connection, held against each other.
  static void compare(const StcpEnd& client, const StcpEnd& server);

 private:
  /// Whether an abort of ours had this reason; the last before CLOSE is sealed is the one sent.
  [[nodiscard]] bool has_given(std::uint8_t reason) const;

  /// Calls the machine, which allocates nothing once ENCRYPTED (fresh keys may).
  template <class Call>
  std::invoke_result_t<Call&> without_memory(Call call) {
    book_.tidy();
    const bool was_encrypted = connection().state() == stcp::State::encrypted;
    const std::size_t fresh_keys = engine_.fresh_key_calls();
    const std::size_t before = test::allocation_count();
    const auto check_memory = [&] {
      require(!was_encrypted || engine_.fresh_key_calls() != fresh_keys ||
                  connection().state() != stcp::State::encrypted ||
                  test::allocation_count() == before,
              "nothing is allocated once ENCRYPTED");
    };
    if constexpr (std::is_void_v<std::invoke_result_t<Call&>>) {
      call();
      check_memory();
    } else {
      auto result = call();
      check_memory();
      return result;
    }
  }

  void seal(std::size_t most, std::size_t room, TimePoint now);
  void take(ByteView bytes);
  void emit(ByteView bytes);
  void drain(TimePoint now);
  bool handle(const stcp::Event& event, TimePoint now);
  void check();

  static constexpr std::size_t kMostControlBytes = 32;

  Machine machine_;
  Setup setup_;
  std::uint64_t left_;
  WatchingEngine& engine_;
  KeyBook& book_;
  Wire& wire_;
  Dice dice_;

  Inbox inbox_;
  std::optional<TimePoint> deadline_;
  stcp::State last_state_ = stcp::State::init;
  std::uint64_t sent_ = 0;
  std::uint64_t delivered_ = 0;
  std::uint64_t wire_bytes_ = 0;
  std::uint64_t consumed_ = 0;
  std::uint16_t epoch_sent_ = 0;
  std::uint16_t epoch_received_ = 0;
  std::uint16_t rekeys_ = 0;
  bool established_ = false;
  bool accepted_key_ = false;
  bool refused_key_ = false;
  bool is_cancelled_ = false;
  bool close_asked_ = false;
  bool data_ended_ = false;
  bool end_given_ = false;
  bool silent_ = false;
  std::optional<std::uint8_t> abort_sent_;
  std::vector<std::uint8_t> reasons_;
  std::optional<std::uint8_t> aborted_;
  std::vector<crypto::PublicKey> announced_;
  std::optional<crypto::PublicKey> pin_update_;

  // Scratch of all calls; an end is used by one thread at a time.
  inline static std::array<std::uint8_t, 5000> place_{};
  inline static std::array<std::uint8_t, 12000> sealed_{};
};

}  // namespace sealine::sim
