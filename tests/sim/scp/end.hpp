#pragma once

#include "sealine/scp/channel.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/inbox.hpp"
#include "tests/sim/base/watching_engine.hpp"
#include "tests/sim/base/wire.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace sealine::sim {

/// What a channel's application sends: whole messages, each a function of the stream's number and
/// its own.
struct Letters {
  std::uint64_t stream = 0;
  std::size_t usual_bytes = 300;  ///< at most
  bool has_large = false;         ///< some of several parts

  [[nodiscard]] std::size_t size(std::uint64_t number) const {
    const std::uint64_t roll = mix(stream * 0x7001U + number);
    if (has_large && roll % 61 == 0) return 60'000 + (roll >> 32U) % 90'000;
    if (roll % 16 == 0) return 0;
    return (roll >> 32U) % (usual_bytes + 1);
  }

  /// The place of a message in Content.
  [[nodiscard]] std::uint64_t content(std::uint64_t number) const {
    return (stream << 24U) + number;
  }
};

/// One end of a channel with its application: calls the machine in the order that its comment asks
/// for, over one connection after the other, and holds every answer against the invariants.
class ScpEnd {
 public:
  struct Setup {
    bool is_client = false;
    Letters sends;
    Letters receives;
    std::optional<crypto::PublicKey> expected_key;  ///< accepts this key alone; none: any
    std::uint64_t offers = 0;                       ///< messages that its application has to send
  };

  ScpEnd(scp::ChannelEnd channel, const Setup& setup, KeyBook& book, Dice dice)
      : channel_(std::move(channel)),
        setup_(setup),
        left_(setup.offers),
        book_(book),
        dice_(dice) {}

  // --- connections

  /// A connection stands; `consumed` bytes of it were taken by the handshake.
  void attach(Wire& wire, std::uint64_t consumed, TimePoint now);

  /// Bytes from the wire wait until they are processed.
  void receive(ByteView bytes) { inbox_.put(bytes); }

  void process(TimePoint now);
  void disconnect(TimePoint now);

  [[nodiscard]] Result<> begin_connection(TimePoint now) { return channel_.begin_connection(now); }

  void timeout(TimePoint now);

  // --- commands

  void send(TimePoint now);
  /// The application takes up to `most` messages.
  void take(std::size_t most, TimePoint now);

  /// Leaves off what was not sent yet, or all but `most` of it.
  void offer_no_more_than(std::uint64_t most) { left_ = std::min(left_, most); }

  void end(TimePoint now);
  void close(TimePoint now);
  void abort(scp::Code code, TimePoint now);
  void forbid_resume(TimePoint now);
  void pad(std::size_t bytes, TimePoint now);
  void rotate(TimePoint now);
  /// Another server's channel answers, the first one having held nothing.
  void receives(const Letters& letters);

  // --- outputs

  /// Sends and tells what waits; whether anything did.
  bool drain(TimePoint now);

  // --- getters

  [[nodiscard]] scp::ChannelEnd& channel() { return channel_; }

  [[nodiscard]] const scp::ChannelEnd& channel() const { return channel_; }

  [[nodiscard]] bool is_client() const { return setup_.is_client; }

  [[nodiscard]] const Letters& letters() const { return setup_.sends; }

  [[nodiscard]] bool is_over() const { return channel_.state() == scp::State::closed; }

  [[nodiscard]] bool has_connection() const;
  [[nodiscard]] bool is_open() const;

  [[nodiscard]] bool wants_connection() const { return wants_connection_; }

  /// Bytes of this connection that were taken as good, once something proved them.
  [[nodiscard]] std::uint64_t proved() const { return proved_; }

  [[nodiscard]] std::optional<TimePoint> deadline() const { return deadline_; }

  [[nodiscard]] std::uint64_t left() const { return left_; }

  [[nodiscard]] std::uint64_t messages_sent() const { return messages_sent_; }

  [[nodiscard]] std::uint64_t taken() const { return taken_; }

  [[nodiscard]] bool was_opened() const { return opened_; }

  [[nodiscard]] bool refused_key() const { return refused_key_; }

  [[nodiscard]] bool end_asked() const { return end_asked_; }

  [[nodiscard]] bool close_asked() const { return close_asked_; }

  [[nodiscard]] bool was_aborted() const { return aborted_; }

  [[nodiscard]] bool forbade() const { return forbade_; }

  [[nodiscard]] bool peer_ended() const { return peer_ended_; }

  [[nodiscard]] std::uint64_t rotations() const { return rotations_; }

  [[nodiscard]] std::uint64_t resumed() const { return resumed_; }

  /// One line for a person who looks at a failure.
  void print() const;

  /// Folds what can be seen from outside into a hash.
  template <class Into>
  void observe(Into& into, TimePoint now) const {
    into.add(static_cast<std::uint64_t>(channel_.state()));
    const auto& outcome = channel_.outcome();
    into.add(outcome ? 1 + static_cast<std::uint64_t>(outcome->code) : 0);
    into.add(channel_.sent() << 32U | channel_.receipted());
    into.add(channel_.received() << 32U | taken_);
    into.add(rotations_ << 32U | resumed_);
    into.add((opened_ ? 1U : 0U) | (end_asked_ ? 2U : 0U) | (close_asked_ ? 4U : 0U) |
             (peer_ended_ ? 8U : 0U) | (wants_connection_ ? 16U : 0U) |
             (channel_.can_send() ? 32U : 0U) | (is_disconnected_ ? 64U : 0U) |
             (forbade_ ? 128U : 0U) | (channel_.has_receipt_due() ? 256U : 0U));
    into.add(deadline_ ? static_cast<std::uint64_t>((*deadline_ - now).count()) : 0);
    into.add(inbox_.rest());
  }

  /// Both ends of one channel, held against each other; `same` says that they are on one
  /// connection.
  static void compare(const ScpEnd& client, const ScpEnd& server, bool same);

 private:
  static unsigned long long number(std::uint64_t value) { return value; }

  [[nodiscard]] bool has_both_ends() const { return end_asked_ && peer_ended_; }

  void emit(ByteView bytes);
  void handle(const scp::Event& event, TimePoint now);
  void check();

  scp::ChannelEnd channel_;
  Setup setup_;
  std::uint64_t left_;
  KeyBook& book_;
  Dice dice_;
  Wire* wire_ = nullptr;

  Inbox inbox_;
  std::uint64_t consumed_ = 0;
  std::uint64_t proved_ = 0;
  std::optional<TimePoint> deadline_;
  std::uint64_t messages_sent_ = 0;
  std::uint64_t taken_ = 0;
  std::uint64_t receipted_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t receipts_told_ = 0;
  std::uint64_t rotations_ = 0;
  std::uint64_t resumed_ = 0;
  bool opened_ = false;
  bool accepted_key_ = false;
  bool refused_key_ = false;
  bool end_asked_ = false;
  bool close_asked_ = false;
  bool aborted_ = false;
  bool forbade_ = false;
  bool peer_ended_ = false;
  bool wants_connection_ = false;
  bool is_disconnected_ = false;

  // Scratch of all calls; ends are used by one thread at a time.
  inline static std::vector<std::uint8_t> scratch_{};
  inline static std::array<std::uint8_t, 2 * scp::kMaxWireMessageBytes> sealed_{};
};

}  // namespace sealine::sim
