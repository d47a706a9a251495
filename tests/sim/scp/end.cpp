#include "tests/sim/scp/end.hpp"

#include "sealine/scp/channel.hpp"
#include "tests/sim/base/content.hpp"
#include "tests/sim/base/violation.hpp"
#include "tests/sim/base/wire.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <variant>

namespace sealine::sim {

void ScpEnd::attach(Wire& wire, std::uint64_t consumed, TimePoint now) {
  wire_ = &wire;
  inbox_.clear();
  consumed_ = proved_ = consumed;
  is_disconnected_ = false;
  wants_connection_ = false;
  drain(now);
}

void ScpEnd::process(TimePoint now) {
  for (;;) {
    if (!has_connection()) return;
    const MutableBytes in = inbox_.rest();
    const std::size_t used = channel_.handle_bytes(in, now);
    require(used <= in.size(), "no more is consumed than there is");
    inbox_.take(used);
    const bool goes_on = channel_.state() < scp::State::answering;
    if (goes_on) consumed_ += used;
    if (goes_on && channel_.state() != scp::State::handshake) proved_ = consumed_;
    const bool moved = drain(now);
    if (used == 0 && !moved) return;
  }
}

void ScpEnd::disconnect(TimePoint now) {
  if (is_disconnected_) return;
  is_disconnected_ = true;
  wire_ = nullptr;
  channel_.handle_disconnected(now);
  drain(now);
  require(!has_connection(), "a connection that is gone is known to be gone");
}

void ScpEnd::timeout(TimePoint now) {
  channel_.handle_timeout(now);
  drain(now);
}

void ScpEnd::send(TimePoint now) {
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

void ScpEnd::take(std::size_t most, TimePoint now) {
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

void ScpEnd::end(TimePoint now) {
  const std::uint64_t before = channel_.sent();
  channel_.end(now);
  end_asked_ = end_asked_ || channel_.sent() > before;  // not before the handshake is done
  drain(now);
}

void ScpEnd::close(TimePoint now) {
  close_asked_ = true;
  channel_.close(now);
  drain(now);
}

void ScpEnd::abort(scp::Code code, TimePoint now) {
  aborted_ = true;
  channel_.abort(code, now);
  drain(now);
}

void ScpEnd::forbid_resume(TimePoint now) {
  forbade_ = true;
  channel_.forbid_resume();
  drain(now);
}

void ScpEnd::pad(std::size_t bytes, TimePoint now) {
  channel_.pad(bytes);
  drain(now);
}

void ScpEnd::rotate(TimePoint now) {
  channel_.rotate();
  drain(now);
}

void ScpEnd::receives(const Letters& letters) {
  require(taken_ == 0 && channel_.received() == 0, "a channel begun anew has brought nothing");
  setup_.receives = letters;
}

bool ScpEnd::drain(TimePoint now) {
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

bool ScpEnd::has_connection() const {
  return channel_.state() != scp::State::closed && channel_.state() != scp::State::lost;
}

bool ScpEnd::is_open() const {
  return channel_.state() == scp::State::open || channel_.state() == scp::State::closing;
}

void ScpEnd::print() const {
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

void ScpEnd::compare(const ScpEnd& client, const ScpEnd& server, bool same) {
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

void ScpEnd::emit(ByteView bytes) {
  require(wire_ != nullptr, "nothing is written without a connection");
  write_sealed(*wire_, book_, bytes);
}

void ScpEnd::handle(const scp::Event& event, TimePoint now) {
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

void ScpEnd::check() {
  require(channel_.receipted() >= receipted_ && channel_.received() >= received_,
          "receipts and messages never go back");
  receipted_ = channel_.receipted();
  received_ = channel_.received();
  require(receipted_ <= channel_.sent(), "receipts are of what was sent");
  require(taken_ <= received_, "what is taken was received");
  require(channel_.outcome().has_value() == is_over(), "who is over has an outcome");
  require(!is_over() || !deadline_, "who is over waits for nothing");
}

}  // namespace sealine::sim
