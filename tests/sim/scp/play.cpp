#include "tests/sim/scp/play.hpp"

#include "sealine/scp/channel.hpp"
#include "tests/sim/base/action.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/message_queue.hpp"
#include "tests/sim/base/timers.hpp"
#include "tests/sim/base/trace.hpp"
#include "tests/sim/base/violation.hpp"
#include "tests/sim/scp/end.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace sealine::sim {

ScpSetting::ScpSetting() : engine(toy, book) {
  DiceRng rng(7);
  const auto pair = [&] {
    return std::make_shared<const crypto::KeyPair>(crypto::KeyPair::generate(engine, rng));
  };
  crypto::Psk secret;
  rng.fill(secret.writable());
  const auto psk = std::make_shared<const crypto::Psk>(std::move(secret));
  server.modes.assign(kModes.begin(), kModes.end());
  server.identity = pair();
  server.psks = {psk};
  const auto identity = pair();
  for (const bool reconnect : {false, true}) {
    for (const scp::Mode mode : kModes) {
      scp::ClientConfig client;
      client.mode = mode;
      client.identity = identity;
      client.server_key = server.identity->public_key;
      client.psk = psk;
      client.reconnect = reconnect;
      clients.push_back(client);
    }
  }
}

ScpPlay::ScpPlay(ScpSetting& setting, std::size_t root)
    : setting_(setting),
      client_rng_(1),
      server_rng_(2),
      config_(setting.clients[root < 20 ? root % 10 : root - 15]) {
  setting.book.clear();
  auto client = scp::ChannelEnd::connect(config_, setting.engine, client_rng_, now_);
  require(client.has_value(), "a client can be made");
  client_.emplace(std::move(*client), setup(true, 1), setting.book, Dice(4));
  dial();
  if (root >= 10) deliver_all();
  if (root < 20) return;
  client_->send(now_);
  server_->send(now_);
  disconnect();
  time_out();
  check();
  require(is_connected_, "a client that is lost dials again");
  start_ = now_;
}

bool ScpPlay::is_possible(std::uint8_t code) const {
  const auto action = Action<What>::from(code);
  const MessageQueue& queue = action.at_client ? down_ : up_;
  const bool is_there = action.at_client || server_.has_value();
  const bool can_write = is_there && in_flight() < kInFlight;
  const bool has_message = !queue.empty();
  const bool may_tamper = tampered_ < kTamperings && has_message;
  switch (action.what) {
    case What::deliver:
      return has_message || (is_connected_ && queue.is_ended);
    case What::deliver_part:
      return has_message && queue.front().bytes.size() > 1;
    case What::drop:
    case What::corrupt_type:
    case What::corrupt_number:
    case What::corrupt_length:
    case What::corrupt_body:
    case What::corrupt_mac:
      return may_tamper;
    case What::duplicate:
      return may_tamper && in_flight() < kInFlight;
    case What::reorder:
      return may_tamper && queue.size() > 1;
    case What::cut:
      return action.at_client && is_connected_ && cuts_ < kCuts;
    case What::time_out:
      return action.at_client && earliest().has_value();
    case What::send:
      return can_write && end_of(action).left() > 0 && end_of(action).channel().can_send();
    case What::take:
      return is_there && end_of(action).channel().front().has_value();
    case What::end:
      return can_write && !end_of(action).end_asked() && end_of(action).is_open();
    case What::close:
      return can_write && !end_of(action).close_asked() && !end_of(action).is_over();
    case What::abort:
      return can_write && !end_of(action).was_aborted() && !end_of(action).is_over();
    case What::rotate:
      return action.at_client && can_write && client_->is_open();
    case What::pad:
      return can_write && end_of(action).is_open();
    case What::count_:
      break;
  }
  return false;
}

void ScpPlay::apply(std::uint8_t code) {
  const auto action = Action<What>::from(code);
  MessageQueue& queue = action.at_client ? down_ : up_;
  switch (action.what) {
    case What::deliver:
      deliver(action.at_client);
      break;
    case What::deliver_part:
      hand_over(action.at_client, queue.take_half());
      break;
    case What::drop:
    case What::duplicate:
    case What::reorder:
    case What::corrupt_type:
    case What::corrupt_number:
    case What::corrupt_length:
    case What::corrupt_body:
    case What::corrupt_mac:
      tamper(queue, action.what);
      break;
    case What::cut:
      ++cuts_;
      disconnect();
      break;
    case What::time_out:
      time_out();
      break;
    case What::send:
      end_of(action).send(now_);
      break;
    case What::take:
      end_of(action).take(1, now_);
      break;
    case What::end:
      end_of(action).end(now_);
      break;
    case What::close:
      end_of(action).close(now_);
      break;
    case What::abort:
      end_of(action).abort(scp::Code::internal, now_);
      break;
    case What::rotate:
      end_of(action).rotate(now_);
      break;
    case What::pad:
      end_of(action).pad(20, now_);
      break;
    case What::count_:
      break;
  }
  check();
}

void ScpPlay::finish_well() {
  if (!server_ || is_hurt()) return;
  const bool is_harmed = tampered_ != 0 || cuts_ != 0;
  if (is_harmed && (!config_.reconnect || !client_->was_opened() || client_->resumed() == 0)) {
    return;
  }
  for (int round = 0; round < 12; ++round) {
    deliver_all();
    if (is_hurt()) return;
    for (ScpEnd* end : {&*client_, &*server_}) {
      end->take(100, now_);
      end->send(now_);
      if (round > 2) end->end(now_);
    }
    if (!is_connected_ && earliest()) time_out();
  }
  deliver_all();
  for (const auto& [end, other] :
       {std::pair(&*client_, &*server_), std::pair(&*server_, &*client_)}) {
    const auto& outcome = end->channel().outcome();
    require(outcome && outcome->code == scp::Code::normal, "without faults channels end well");
    end->take(100, now_);
    require(end->taken() == other->messages_sent(), "without faults all messages arrive");
  }
}

std::uint64_t ScpPlay::hash() const {
  Trace trace;
  client_->observe(trace, now_);
  if (server_) server_->observe(trace, now_);
  trace.add((answering_ ? 1U : 0U) | (is_connected_ ? 2U : 0U) | (std::uint64_t{tampered_} << 8U) |
            (std::uint64_t{cuts_} << 16U));
  trace.add(inbox_.rest());
  up_.add_to(trace);
  down_.add_to(trace);
  return trace.value();
}

void ScpPlay::print() const {
  client_->print();
  if (server_) server_->print();
}

ScpEnd::Setup ScpPlay::setup(bool is_client, std::uint64_t stream) {
  return {.is_client = is_client,
          .sends = {.stream = stream, .usual_bytes = 9},
          .receives = {.stream = 3 - stream, .usual_bytes = 9},
          .expected_key = {},
          .offers = 4};
}

const ScpEnd& ScpPlay::end_of(Action<What> action) const {
  return action.at_client ? *client_ : *server_;
}

std::size_t ScpPlay::in_flight() const { return up_.size() + down_.size(); }

bool ScpPlay::is_hurt() const {
  for (const ScpEnd* end : {&*client_, &*server_}) {
    const auto& outcome = end->channel().outcome();
    if (end->was_aborted() || end->close_asked()) return true;
    if (outcome && outcome->code != scp::Code::normal) return true;
  }
  return client_->resumed() == 0 && now_ != start_;
}

void ScpPlay::dial() {
  up_.clear();
  down_.clear();
  inbox_.clear();
  auto handshake = scp::ServerHandshake::create(setting_.server, setting_.engine, server_rng_);
  require(handshake.has_value(), "a server can be made");
  answering_.emplace(std::move(*handshake), std::nullopt);
  dialed_ = now_;
  is_connected_ = true;
  client_->attach(up_, 0, now_);
}

void ScpPlay::deliver(bool at_client) {
  MessageQueue& queue = at_client ? down_ : up_;
  if (queue.empty()) return disconnect();
  hand_over(at_client, queue.take().bytes);
}

void ScpPlay::hand_over(bool at_client, ByteView bytes) {
  if (!is_connected_) return;
  if (at_client) {
    client_->receive(bytes);
    client_->process(now_);
  } else if (answering_) {
    inbox_.put(bytes);
    serve();
  } else if (server_) {
    server_->receive(bytes);
    server_->process(now_);
  }
}

void ScpPlay::serve() {
  auto opening = answering_->go_on(inbox_, down_);
  if (!opening) return;
  if (!*opening) return disconnect();
  const std::uint64_t consumed = answering_->consumed();
  answering_.reset();
  established(std::move(**opening), consumed);
}

void ScpPlay::established(scp::Opening opening, std::uint64_t consumed) {
  if (opening.theirs.resume) {
    if (!server_ || !server_->channel().resume(opening, now_)) {
      ByteArray<1024> out{};
      down_.write(
          ByteView(out).first(scp::ChannelEnd::refuse(opening, scp::Code::unknown_channel, out)));
      down_.is_ended = true;
      return;
    }
  } else {
    // What a client begins anew has held nothing.
    require(!server_ || !client_->was_opened(), "a channel that was confirmed is not begun anew");
    server_.emplace(scp::ChannelEnd::accept(setting_.server, std::move(opening), setting_.engine,
                                            server_rng_, now_),
                    setup(false, 2), setting_.book, Dice(3));
  }
  server_->attach(down_, consumed, now_);
  server_->receive(inbox_.rest());
  inbox_.clear();
  server_->process(now_);
}

void ScpPlay::disconnect() {
  if (!is_connected_) return;
  is_connected_ = false;
  answering_.reset();
  up_.clear();
  down_.clear();
  client_->disconnect(now_);
  if (server_) server_->disconnect(now_);
}

std::optional<TimePoint> ScpPlay::earliest() const {
  Earliest first;
  first.consider(client_->deadline());
  if (server_) first.consider(server_->deadline());
  if (answering_) first.consider(dialed_ + setting_.server.limits.handshake_timeout);
  return first.value();
}

void ScpPlay::time_out() {
  now_ = std::max(now_, *earliest());
  fire(*client_, now_);
  if (server_) fire(*server_, now_);
  if (answering_ && now_ >= dialed_ + setting_.server.limits.handshake_timeout) disconnect();
}

void ScpPlay::tamper(MessageQueue& queue, What what) {
  ++tampered_;
  if (what == What::drop) {
    queue.drop();
  } else if (what == What::duplicate) {
    queue.duplicate();
  } else if (what == What::reorder) {
    queue.reorder();
  } else if (what == What::corrupt_type) {
    queue.flip(1);
  } else if (what == What::corrupt_number) {
    queue.flip(9);
  } else if (what == What::corrupt_length) {
    queue.flip(13);
  } else if (what == What::corrupt_body) {
    queue.flip(scp::kHeadBytes + 4);
  } else {
    queue.flip(~std::size_t{0});
  }
}

void ScpPlay::deliver_all() {
  for (int i = 0; i < 200 && in_flight() != 0; ++i) {
    if (!up_.empty()) deliver(false);
    if (!down_.empty()) deliver(true);
    check();
  }
  require(in_flight() == 0, "ends that are left alone fall silent");
  // Who has written its CLOSE, or is over, ends the stream.
  if (is_connected_ && (up_.is_ended || down_.is_ended)) disconnect();
  check();
}

void ScpPlay::check() {
  if (is_connected_) {
    if (!client_->has_connection()) up_.is_ended = true;
    if (server_ && !answering_ && !server_->has_connection()) down_.is_ended = true;
  }
  const bool client_gone = is_connected_ && !client_->has_connection();
  if (client_gone) disconnect();
  if (server_) ScpEnd::compare(*client_, *server_, is_connected_ && !answering_);
  if (client_->wants_connection()) {
    if (is_connected_) disconnect();
    require(client_->begin_connection(now_).has_value(), "a client that is lost dials again");
    dial();
  }
  if (tampered_ != 0 || cuts_ != 0) return;
  for (const ScpEnd* end : {&*client_, server_ ? &*server_ : nullptr}) {
    if (end == nullptr || !end->channel().outcome()) continue;
    check_outcome(*end, end == &*client_ ? (server_ ? &*server_ : nullptr) : &*client_);
  }
}

void ScpPlay::check_outcome(const ScpEnd& end, const ScpEnd* other) const {
  const scp::Code code = end.channel().outcome()->code;
  const bool has_passed = now_ != start_;
  const bool peer_over =
      other == nullptr || other->is_over() || other->was_aborted() || other->close_asked();
  const bool is_right =
      (code == scp::Code::normal &&
       (end.close_asked() || end.peer_ended() || (other != nullptr && other->close_asked()))) ||
      ((code == scp::Code::timeout || code == scp::Code::protocol) && has_passed) ||
      ((code == scp::Code::truncated || code == scp::Code::unknown_channel) &&
       (peer_over || has_passed)) ||
      (code == scp::Code::internal &&
       (end.was_aborted() || (other != nullptr && other->was_aborted())));
  if (!is_right) throw Violation("false alarm: " + std::string(scp::to_string(code)));
}

}  // namespace sealine::sim
