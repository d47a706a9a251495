#pragma once

#include "sealine/scp/channel.hpp"
#include "tests/sim/content.hpp"
#include "tests/sim/dice.hpp"
#include "tests/sim/pipe.hpp"
#include "tests/sim/violation.hpp"
#include "tests/sim/watching_engine.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <variant>
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
  void attach(Wire& wire, std::uint64_t consumed, TimePoint now) {
    wire_ = &wire;
    inbox_.clear();
    inbox_at_ = 0;
    consumed_ = proved_ = consumed;
    is_disconnected_ = false;
    wants_connection_ = false;
    drain(now);
  }

  /// Bytes from the wire wait until they are processed.
  void receive(ByteView bytes) {
    if (inbox_at_ == inbox_.size()) {
      inbox_.clear();
      inbox_at_ = 0;
    }
    inbox_.insert(inbox_.end(), bytes.begin(), bytes.end());
  }

  void process(TimePoint now) {
    for (;;) {
      if (!has_connection()) return;
      const MutableBytes in = MutableBytes(inbox_).subspan(inbox_at_);
      const std::size_t used = channel_.handle_bytes(in, now);
      require(used <= in.size(), "no more is consumed than there is");
      inbox_at_ += used;
      const bool goes_on = channel_.state() < scp::State::answering;
      if (goes_on) consumed_ += used;
      if (goes_on && channel_.state() != scp::State::handshake) proved_ = consumed_;
      const bool moved = drain(now);
      if (used == 0 && !moved) return;
    }
  }

  void disconnect(TimePoint now) {
    if (is_disconnected_) return;
    is_disconnected_ = true;
    wire_ = nullptr;
    channel_.handle_disconnected(now);
    drain(now);
    require(!has_connection(), "a connection that is gone is known to be gone");
  }

  [[nodiscard]] Result<> begin_connection(TimePoint now) { return channel_.begin_connection(now); }

  void timeout(TimePoint now) {
    channel_.handle_timeout(now);
    drain(now);
  }

  // --- commands

  void send(TimePoint now) {
    if (left_ == 0) return;
    const std::uint64_t number = messages_sent_;
    scratch_.resize(setup_.sends.size(number));
    Content::fill(setup_.sends.content(number), 0, scratch_);
    const auto sent = channel_.send(scratch_);
    if (sent) {
      require(*sent == number, "messages are numbered one after the other");
      require(!end_asked_, "nothing is sent behind the end");
      ++messages_sent_;
      --left_;
    } else {
      const Errc code = sent.error().code;
      require(
          code == Errc::window_full || code == Errc::not_encrypted || code == Errc::already_closed,
          "a message is refused for a reason");
      require(code != Errc::window_full || channel_.receipted() < channel_.sent(),
              "a full window waits for receipts");
    }
    drain(now);
  }

  /// The application takes up to `most` messages.
  void take(std::size_t most, TimePoint now) {
    for (std::size_t i = 0; i < most; ++i) {
      const auto message = channel_.front();
      if (!message) break;
      require(opened_, "nothing is delivered before the proof");
      require(message->size() == setup_.receives.size(taken_) &&
                  Content::is(setup_.receives.content(taken_), 0, *message),
              "each message comes once, whole and in order");
      channel_.pop();
      ++taken_;
    }
    drain(now);
  }

  /// Leaves off what was not sent yet, or all but `most` of it.
  void offer_no_more_than(std::uint64_t most) { left_ = std::min(left_, most); }

  void end(TimePoint now) {
    const std::uint64_t before = channel_.sent();
    channel_.end(now);
    end_asked_ = end_asked_ || channel_.sent() > before;  // not before the handshake is done
    drain(now);
  }

  void close(TimePoint now) {
    close_asked_ = true;
    channel_.close(now);
    drain(now);
  }

  void abort(scp::Code code, TimePoint now) {
    aborted_ = true;
    channel_.abort(code, now);
    drain(now);
  }

  void forbid_resume(TimePoint now) {
    forbade_ = true;
    channel_.forbid_resume();
    drain(now);
  }

  void pad(std::size_t bytes, TimePoint now) {
    channel_.pad(bytes);
    drain(now);
  }

  void rotate(TimePoint now) {
    channel_.rotate();
    drain(now);
  }

  /// Another server's channel answers, the first one having held nothing.
  void receives(const Letters& letters) {
    require(taken_ == 0 && channel_.received() == 0, "a channel begun anew has brought nothing");
    setup_.receives = letters;
  }

  // --- outputs

  /// Sends and tells what waits; whether anything did.
  bool drain(TimePoint now) {
    bool any = false;
    for (bool again = true; again;) {
      again = false;
      while (wire_ == nullptr || !wire_->is_full()) {
        const bool was_over = is_over();
        const std::size_t written = channel_.poll_transmit(sealed_, now);
        require(written == 0 || !was_over, "no byte after the end of a channel");
        if (written == 0) break;
        emit(ByteView(sealed_).first(written));
        any = true;
      }
      while (const auto event = channel_.poll_event()) {
        handle(*event, now);
        again = any = true;
      }
    }
    // Nothing comes behind a CLOSE: the stream ends with it.
    if (wire_ != nullptr && channel_.state() == scp::State::draining && !wire_->is_full()) {
      wire_->end();
    }
    deadline_ = channel_.poll_timeout();
    check();
    return any;
  }

  // --- getters

  [[nodiscard]] scp::ChannelEnd& channel() { return channel_; }

  [[nodiscard]] const scp::ChannelEnd& channel() const { return channel_; }

  [[nodiscard]] bool is_client() const { return setup_.is_client; }

  [[nodiscard]] const Letters& letters() const { return setup_.sends; }

  [[nodiscard]] bool is_over() const { return channel_.state() == scp::State::closed; }

  [[nodiscard]] bool has_connection() const {
    return channel_.state() != scp::State::closed && channel_.state() != scp::State::lost;
  }

  [[nodiscard]] bool is_open() const {
    return channel_.state() == scp::State::open || channel_.state() == scp::State::closing;
  }

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
  void print() const {
    const auto& outcome = channel_.outcome();
    std::printf(
        "  %s %s state %d: code %s%s, sent %llu (%llu left), receipted %llu, received %llu, taken "
        "%llu, resumed %llu%s%s%s%s\n",
        is_client() ? "client" : "server",
        std::string(scp::pattern_name(channel_.peer().mode)).c_str(),
        static_cast<int>(channel_.state()),
        outcome ? std::string(scp::to_string(outcome->code)).c_str() : "none",
        outcome && outcome->by_peer ? " of the peer" : "", number(channel_.sent()), number(left_),
        number(channel_.receipted()), number(channel_.received()), number(taken_), number(resumed_),
        end_asked_ ? ", end asked" : "", close_asked_ ? ", close asked" : "",
        channel_.can_reconnect() ? ", may reconnect" : "", aborted_ ? ", aborted" : "");
  }

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
    into.add(ByteView(inbox_).subspan(inbox_at_));
  }

  /// Both ends of one channel, held against each other; `same` says that they are on one
  /// connection.
  static void compare(const ScpEnd& client, const ScpEnd& server, bool same) {
    for (const auto& [one, other] : {std::pair(&client, &server), std::pair(&server, &client)}) {
      require(one->taken_ <= other->messages_sent_, "no more is delivered than was sent");
      require(one->channel_.received() <= other->channel_.sent(), "no more comes than was sent");
      require(one->channel_.receipted() <= other->channel_.received(),
              "no receipt for what was not delivered");
      require(!one->peer_ended_ || other->end_asked_, "an end is the peer's");
      const auto& outcome = one->channel_.outcome();
      if (outcome && outcome->code == scp::Code::normal && outcome->by_peer) {
        require(other->close_asked_ || other->has_both_ends(), "a clean end is the peer's CLOSE");
      }
    }
    require(server.rotations_ <= client.rotations_, "no keys are ahead of who rotates them");
    if (!same || !client.is_open() || !server.is_open()) return;
    ByteArray<32> a{};
    ByteArray<32> b{};
    require(client.channel_.export_key("sim", {}, a).has_value() &&
                server.channel_.export_key("sim", {}, b).has_value(),
            "who is open can export");
    require(a == b, "exporters are equal where both are open");
    require(client.channel_.id() == server.channel_.id(), "both know the channel by one name");
    require(client.channel_.peer().mode == server.channel_.peer().mode, "both are in one mode");
  }

 private:
  static unsigned long long number(std::uint64_t value) { return value; }

  [[nodiscard]] bool has_both_ends() const { return end_asked_ && peer_ended_; }

  void emit(ByteView bytes) {
    require(wire_ != nullptr, "nothing is written without a connection");
    require(!Content::is_in_clear_in(bytes), "the canary is never on the wire");
    require(!book_.repeated(), "no key and nonce seal twice");
    book_.tidy();
    wire_->write(bytes);
  }

  void handle(const scp::Event& event, TimePoint now) {
    if (const auto* shown = std::get_if<scp::KeyShown>(&event)) {
      require(is_client() && !opened_, "the key is shown before the channel opens");
      if (setup_.expected_key && shown->key != *setup_.expected_key) {
        refused_key_ = true;
        channel_.refuse_peer_key(Errc::peer_key_changed, now);
      } else {
        accepted_key_ = true;
        channel_.accept_peer_key(now);
      }
    } else if (const auto* opened = std::get_if<scp::Opened>(&event)) {
      const bool is_shown = is_client() && channel_.peer().mode == scp::Mode::mutual;
      require(accepted_key_ || !is_shown, "nothing opens before the key is accepted");
      require(!refused_key_, "a refused key opens nothing");
      require(opened->resumed == opened_, "a channel is opened once, then resumed");
      opened_ = true;
      if (opened->resumed) ++resumed_;
    } else if (const auto* receipts = std::get_if<scp::Receipts>(&event)) {
      require(receipts->up_to > receipts_told_ && receipts->up_to <= channel_.receipted(),
              "receipts grow");
      receipts_told_ = receipts->up_to;
    } else if (std::holds_alternative<scp::PeerEnded>(event)) {
      require(!peer_ended_, "the peer ends once");
      peer_ended_ = true;
    } else if (std::holds_alternative<scp::ReconnectDue>(event)) {
      require(is_client(), "a client dials");
      // Told before the end of the channel was.
      wants_connection_ = channel_.state() == scp::State::lost;
    } else if (std::holds_alternative<scp::Rotated>(event)) {
      ++rotations_;
    } else if (const auto* closed = std::get_if<scp::Closed>(&event)) {
      const std::uint64_t end = end_asked_ ? 1 : 0;
      const std::uint64_t receipted = closed->outcome.receipted;
      require(receipted == channel_.receipted(), "an outcome counts the receipts");
      require(closed->outcome.unknown ==
                  channel_.sent() - receipted - (receipted < channel_.sent() ? end : 0),
              "what has no receipt is reported as unknown");
    }
  }

  void check() {
    require(channel_.receipted() >= receipted_ && channel_.received() >= received_,
            "receipts and messages never go back");
    receipted_ = channel_.receipted();
    received_ = channel_.received();
    require(receipted_ <= channel_.sent(), "receipts are of what was sent");
    require(taken_ <= received_, "what is taken was received");
    require(channel_.outcome().has_value() == is_over(), "who is over has an outcome");
    require(!is_over() || !deadline_, "who is over waits for nothing");
  }

  scp::ChannelEnd channel_;
  Setup setup_;
  std::uint64_t left_;
  KeyBook& book_;
  Dice dice_;
  Wire* wire_ = nullptr;

  std::vector<std::uint8_t> inbox_;
  std::size_t inbox_at_ = 0;
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
