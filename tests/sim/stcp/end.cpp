#include "tests/sim/stcp/end.hpp"

#include "sealine/stcp/connection.hpp"
#include "tests/sim/base/content.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/violation.hpp"
#include "tests/sim/base/wire.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <variant>

namespace sealine::sim {

void StcpEnd::process(TimePoint now, bool is_slow) {
  while (!is_dead()) {
    const MutableBytes in = inbox_.rest();
    const std::size_t wanted = connection().wanted_bytes();
    require(wanted <= std::max(stcp::kRecordHeadBytes + stcp::kMaxHandshakeBytes,
                               connection().max_record_bytes() + stcp::kRecordOverheadBytes),
            "no more than one record is asked for");
    static constexpr std::size_t kRooms[] = {0, 1, 60, 700, 5000, 5000, 5000};
    const MutableBytes out = MutableBytes(place_).first(dice_.pick(kRooms));
    const bool was_proved = established_;
    const bool was_closed = connection().state() == stcp::State::closed;
    const auto opened = without_memory([&] { return connection().handle_bytes(in, out, now); });
    if (!opened) {
      require(
          connection().state() == stcp::State::error || connection().state() == stcp::State::closed,
          "a fault is the end of the connection");
      drain(now);
      return;
    }
    require(opened->consumed <= in.size(), "no more is consumed than there is");
    require(opened->delivered <= out.size(), "no more is delivered than there is room");
    inbox_.take(opened->consumed);
    if (!was_closed) consumed_ += opened->consumed;  // what comes then is thrown away
    take(out.first(opened->delivered));
    take(opened->spill);
    const std::size_t got = opened->delivered + opened->spill.size();
    drain(now);
    require(got == 0 || was_proved || established_, "nothing is delivered before the proof");
    if (opened->consumed == 0 && got == 0) {
      require(in.size() < connection().wanted_bytes() ||
                  connection().state() != stcp::State::encrypted || data_ended_ || aborted_ ||
                  abort_sent_,
              "enough bytes for a step are a step");
      return;
    }
    if (is_slow && dice_.chance(50)) return;
  }
}

void StcpEnd::end_of_stream(TimePoint now) {
  end_given_ = true;
  const bool was_over = is_over();
  connection().handle_end_of_stream(now);
  drain(now);
  if (!was_over && !data_ended_ && !aborted_ && !abort_sent_) {
    require(connection().fault().has_value(), "an end without CLOSE is a fault");
  }
}

void StcpEnd::timeout(TimePoint now) {
  without_memory([&] { connection().handle_timeout(now); });
  drain(now);
}

void StcpEnd::send(std::size_t most, std::size_t room, TimePoint now) {
  seal(most, room, now);
  drain(now);
}

void StcpEnd::close(TimePoint now) {
  if (connection().can_send() || connection().state() == stcp::State::key_exchange) {
    close_asked_ = true;
  }
  without_memory([&] { connection().close(now); });
  drain(now);
}

void StcpEnd::abort(std::uint8_t reason, TimePoint now) {
  const stcp::State state = connection().state();
  if (state == stcp::State::encrypted) {
    abort_sent_ = reason;
    reasons_.push_back(reason);
  }
  if (state == stcp::State::key_exchange) is_cancelled_ = true;
  connection().abort(reason, now);
  drain(now);
}

void StcpEnd::request_rekey(TimePoint now) {
  connection().request_rekey(now);
  drain(now);
}

void StcpEnd::ping(TimePoint now) {
  connection().ping(now);
  drain(now);
}

void StcpEnd::run_ahead(TimePoint now) {
  without_memory([&] { connection().run_ahead(); });
  drain(now);
}

void StcpEnd::announce(const crypto::PublicKey& next, TimePoint now) {
  if (connection().announce_next_key(next)) announced_.push_back(next);
  drain(now);
}

stcp::Connection& StcpEnd::connection() {
  return std::visit([](auto& one) -> stcp::Connection& { return one; }, machine_);
}

const stcp::Connection& StcpEnd::connection() const {
  return std::visit([](const auto& one) -> const stcp::Connection& { return one; }, machine_);
}

bool StcpEnd::is_client() const { return std::holds_alternative<stcp::ClientConnection>(machine_); }

bool StcpEnd::is_over() const { return is_dead() || connection().state() == stcp::State::closed; }

void StcpEnd::print() const {
  const auto fault = connection().fault();
  std::printf(
      "  %s %s %s: fault %.*s, sent %llu, delivered %llu, waiting %zu, epochs "
      "%u/%u%s%s%s%s%s%s\n",
      is_client() ? "client" : "server",
      std::string(pattern_name(connection().peer().mode)).c_str(),
      std::string(to_string(connection().state())).c_str(),
      fault ? static_cast<int>(to_string(fault->code).size()) : 4,
      fault ? to_string(fault->code).data() : "none", static_cast<unsigned long long>(sent_),
      static_cast<unsigned long long>(delivered_), unprocessed(), unsigned{epoch_sent_},
      unsigned{epoch_received_}, close_asked_ ? ", close asked" : "",
      data_ended_ ? ", data ended" : "", abort_sent_ ? ", abort sent" : "",
      connection().can_send() ? ", can send" : "", setup_.is_paced ? ", paced" : "",
      connection().has_transmit() ? ", has transmit" : "");
}

void StcpEnd::compare(const StcpEnd& client, const StcpEnd& server) {
  const auto has_keys = [](const StcpEnd& end) {
    return end.connection().state() == stcp::State::encrypted;
  };
  if (has_keys(client) && has_keys(server)) {
    ByteArray<32> a{};
    ByteArray<32> b{};
    require(client.connection().export_key("sim", {}, a).has_value() &&
                server.connection().export_key("sim", {}, b).has_value(),
            "who is ENCRYPTED can export");
    require(a == b, "exporters are equal where both are ENCRYPTED");
    require(client.connection().peer().sas == server.connection().peer().sas, "both show one sas");
    require(client.connection().peer().mode == server.connection().peer().mode,
            "both are in one mode");
  }
  for (const auto& [one, other] : {std::pair(&client, &server), std::pair(&server, &client)}) {
    require(one->delivered_ <= other->sent_, "no more is delivered than was sent");
    if (one->data_ended_) {
      require(other->close_asked_, "a clean end is the peer's CLOSE");
      require(one->delivered_ == other->sent_, "a clean end comes after all data");
    }
    if (one->aborted_) {
      require(other->has_given(*one->aborted_) || one->has_given(*one->aborted_) ||
                  *one->aborted_ == static_cast<std::uint8_t>(stcp::CloseReason::idle),
              "an abort has the peer's reason");
    }
    const auto mine = one->connection().statistics();
    const auto theirs = other->connection().statistics();
    require(mine.epoch_received <= theirs.epoch_sent, "no epoch is ahead of its sender");
    require(mine.records_received <= theirs.records_sent, "no record comes that was not sent");
  }
  if (client.pin_update_) {
    require(std::ranges::find(server.announced_, *client.pin_update_) != server.announced_.end(),
            "the next key is the server's");
  }
}

bool StcpEnd::has_given(std::uint8_t reason) const {
  return std::ranges::find(reasons_, reason) != reasons_.end();
}

void StcpEnd::seal(std::size_t most, std::size_t room, TimePoint now) {
  most = static_cast<std::size_t>(
      std::min<std::uint64_t>({std::uint64_t{most}, place_.size(), left_}));
  room = std::min(room, sealed_.size());
  const MutableBytes plain = MutableBytes(place_).first(most);
  Content::fill(setup_.sends, sent_, plain);
  const bool could = connection().can_send();
  const stcp::State state = connection().state();
  const MutableBytes out = MutableBytes(sealed_).first(room);
  const auto sealed = without_memory([&] { return connection().seal(plain, out, now); });
  if (!sealed) {
    require(!could || sealed.error().code == Errc::sequence_exhausted, "who can send may send");
    if (state == stcp::State::init || state == stcp::State::key_exchange) {
      require(sealed.error().code == Errc::not_encrypted, "nothing is sealed before ENCRYPTED");
    }
    return;
  }
  require(could, "application data is refused outside of ENCRYPTED");
  require(sealed->taken <= most && sealed->written <= room, "a seal stays in its bounds");
  sent_ += sealed->taken;
  left_ -= sealed->taken;
  emit(out.first(sealed->written));
}

void StcpEnd::take(ByteView bytes) {
  require(Content::is(setup_.receives, delivered_, bytes), "what is delivered is what was sent");
  delivered_ += bytes.size();
}

void StcpEnd::emit(ByteView bytes) {
  if (bytes.empty()) return;
  require(!silent_, "no byte after a fault");
  wire_bytes_ += bytes.size();
  write_sealed(wire_, book_, bytes);
}

void StcpEnd::drain(TimePoint now) {
  if (setup_.is_paced && left_ > 0 && connection().can_send()) {
    seal(place_.size(), sealed_.size(), now);
  }
  bool again = true;
  while (again) {
    again = false;
    for (;;) {
      const std::size_t room =
          std::max(256 + dice_.below(200), connection().sealed_size(kMostControlBytes));
      const bool has = connection().has_transmit();
      const MutableBytes out = MutableBytes(sealed_).first(room);
      const std::size_t written =
          without_memory([&] { return connection().poll_transmit(out, now); });
      require(written <= room, "poll_transmit stays in its bounds");
      require(written == 0 || has, "has_transmit tells of what waits");
      emit(out.first(written));
      if (written == 0) break;
    }
    deadline_ = connection().poll_timeout();
    while (const auto event = connection().poll_event()) {
      again = handle(*event, now) || again;
    }
  }
  check();
}

bool StcpEnd::handle(const stcp::Event& event, TimePoint now) {
  if (const auto* shown = std::get_if<stcp::PeerKeyShown>(&event)) {
    require(!established_, "the key is shown before ENCRYPTED");
    if (setup_.expected_key && shown->key != *setup_.expected_key) {
      refused_key_ = true;
      connection().refuse_peer_key(Errc::peer_key_changed);
    } else {
      accepted_key_ = true;
      connection().accept_peer_key(now);
    }
    return true;
  }
  if (std::holds_alternative<stcp::Established>(event)) {
    require(!established_, "ENCRYPTED is reached once");
    const stcp::Mode mode = connection().peer().mode;
    const bool shows_key = mode == stcp::Mode::mutual || (mode == stcp::Mode::tofu && is_client());
    require(accepted_key_ || !shows_key, "nobody is ENCRYPTED before the key is accepted");
    require(!refused_key_, "a refused key is never ENCRYPTED");
    if (shows_key && setup_.expected_key) {
      require(connection().peer().key == setup_.expected_key, "the key is the one accepted");
    }
    established_ = true;
  } else if (std::holds_alternative<stcp::DataEnded>(event)) {
    require(established_ && !data_ended_ && !aborted_, "data ends once");
    data_ended_ = true;
  } else if (const auto* aborted = std::get_if<stcp::Aborted>(&event)) {
    require(established_ && !data_ended_ && !aborted_, "an abort ends the data");
    require(aborted->reason != 0, "an abort has a reason");
    aborted_ = aborted->reason;
  } else if (const auto* pin = std::get_if<stcp::PinUpdated>(&event)) {
    require(established_ && is_client(), "a server tells its next key");
    pin_update_ = pin->next_key;
  } else if (const auto* rekeyed = std::get_if<stcp::Rekeyed>(&event)) {
    require(rekeyed->epoch > rekeys_, "epochs grow");
    rekeys_ = rekeyed->epoch;
  }
  return false;
}

void StcpEnd::check() {
  const auto statistics = connection().statistics();
  require(statistics.epoch_sent >= epoch_sent_ && statistics.epoch_received >= epoch_received_,
          "epochs are monotone");
  require(
      statistics.epoch_sent <= epoch_sent_ + 1 && statistics.epoch_received <= epoch_received_ + 1,
      "epochs grow by one");
  epoch_sent_ = statistics.epoch_sent;
  epoch_received_ = statistics.epoch_received;
  require(statistics.data_bytes_sent == sent_, "statistics count what was sent");
  require(statistics.data_bytes_received >= delivered_, "statistics count what came");
  require(statistics.wire_bytes_sent <= wire_bytes_, "statistics count the wire");
  require(!book_.repeated(), "no key and nonce seal twice");
  const stcp::State state = connection().state();
  require(state >= last_state_ || state == stcp::State::closed, "states go forward");
  last_state_ = state;
  if (state == stcp::State::error) {
    require(connection().fault().has_value(), "a fault has a name");
    require(!connection().has_transmit() && !connection().can_send() && !connection().can_receive(),
            "a fault is silent");
    require(!deadline_, "a failed connection waits for nothing");
    silent_ = true;
    inbox_.clear();
  }
  if (state == stcp::State::closed) {
    require(!connection().can_send() && !connection().can_receive(), "CLOSED is the end");
  }
}

}  // namespace sealine::sim
