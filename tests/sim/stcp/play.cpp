#include "tests/sim/stcp/play.hpp"

#include "sealine/stcp/connection.hpp"
#include "tests/sim/base/action.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/message_queue.hpp"
#include "tests/sim/base/timers.hpp"
#include "tests/sim/base/trace.hpp"
#include "tests/sim/base/violation.hpp"
#include "tests/sim/stcp/end.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace sealine::sim {

StcpSetting::StcpSetting() : engine(toy, book, stcp::kRecordHeadBytes) {
  DiceRng rng(7);
  const auto pair = [&] {
    return std::make_shared<const crypto::KeyPair>(crypto::KeyPair::generate(engine, rng));
  };
  server.modes = {Mode::anonymous, Mode::tofu, Mode::mutual, Mode::psk};
  server.identity = pair();
  const auto client_identity = pair();
  crypto::Psk secret;
  rng.fill(secret.writable());
  server.psks.push_back(stcp::ServerPsk::make(engine, secret.clone()));
  const auto psk = std::make_shared<const crypto::Psk>(std::move(secret));
  for (const Mode mode : {Mode::anonymous, Mode::tofu, Mode::mutual, Mode::psk}) {
    stcp::ClientConfig client;
    client.mode = mode;
    if (mode == Mode::mutual) client.identity = client_identity;
    if (mode == Mode::psk) client.psk = psk;
    clients.push_back(client);
  }
}

StcpPlay::StcpPlay(StcpSetting& setting, std::size_t root) : client_rng_(1), server_rng_(2) {
  setting.book.clear();
  auto client =
      stcp::ClientConnection::create(setting.clients[root % 4], setting.engine, client_rng_, now_);
  auto server = stcp::ServerConnection::create(setting.server, setting.engine, server_rng_, now_);
  require(client && server, "ends can be made");
  server_.emplace(std::move(*server),
                  StcpEnd::Setup{.sends = 2, .receives = 1, .expected_key = {}, .offers = 1000},
                  setting.engine, setting.book, down_, Dice(3));
  client_.emplace(std::move(*client),
                  StcpEnd::Setup{.sends = 1, .receives = 2, .expected_key = {}, .offers = 1000},
                  setting.engine, setting.book, up_, Dice(4));
  client_->start(now_);
  if (root >= 4) deliver_all();
}

bool StcpPlay::is_possible(std::uint8_t code) const {
  const auto action = Action<What>::from(code);
  const MessageQueue& queue = action.at_client ? down_ : up_;
  const StcpEnd& end = action.at_client ? *client_ : *server_;
  const bool may_tamper = tampered_ < kTamperings;
  switch (action.what) {
    case What::deliver:
      return !queue.empty() || (queue.is_ended && !end.end_given() && !end.is_over());
    case What::deliver_part:
      return !queue.empty() && queue.front().bytes.size() > 1 && !end.is_over();
    case What::drop:
    case What::corrupt_length:
    case What::corrupt_iv:
    case What::corrupt_body:
    case What::corrupt_tag:
      return may_tamper && !queue.empty() && !end.is_over();
    case What::duplicate:
      return may_tamper && !queue.empty() && in_flight() < kInFlight && !end.is_over();
    case What::reorder:
      return may_tamper && queue.size() > 1 && !end.is_over();
    case What::cut:
      return !queue.is_ended && !end.is_over();
    case What::time_out:
      return action.at_client && earliest().has_value();
    case What::send:
    case What::ping:
      return in_flight() < kInFlight && end.connection().can_send();
    case What::rekey:
      return in_flight() < kInFlight && end.connection().state() == stcp::State::encrypted;
    case What::close:
      return in_flight() < kInFlight && !end.close_asked() && !end.is_over();
    case What::abort:
      return in_flight() < kInFlight && !end.is_over();
    case What::run_ahead:
      return end.connection().state() == stcp::State::encrypted;
    case What::count_:
      break;
  }
  return false;
}

void StcpPlay::apply(std::uint8_t code) {
  const auto action = Action<What>::from(code);
  MessageQueue& queue = action.at_client ? down_ : up_;
  StcpEnd& end = action.at_client ? *client_ : *server_;
  switch (action.what) {
    case What::deliver:
      deliver(queue, end);
      break;
    case What::deliver_part:
      hand_over(end, queue.take_half());
      break;
    case What::drop:
    case What::duplicate:
    case What::reorder:
    case What::corrupt_length:
    case What::corrupt_iv:
    case What::corrupt_body:
    case What::corrupt_tag:
      tamper(queue, action.what);
      break;
    case What::cut:
      queue.is_ended = true;
      break;
    case What::time_out:
      time_out();
      break;
    case What::send:
      end.send(kSendBytes, 12000, now_);
      break;
    case What::close:
      end.close(now_);
      break;
    case What::abort:
      was_aborted_ = true;
      end.abort(9, now_);
      break;
    case What::rekey:
      end.request_rekey(now_);
      break;
    case What::ping:
      end.ping(now_);
      break;
    case What::run_ahead:
      end.run_ahead(now_);
      break;
    case What::count_:
      break;
  }
  check();
}

void StcpPlay::finish_well() {
  if (tampered_ != 0 || up_.is_ended || down_.is_ended || was_aborted_) return;
  if (client_->is_over() || server_->is_over()) return;
  if (client_->connection().fault() || server_->connection().fault()) return;  // a deadline
  deliver_all();
  client_->send(kSendBytes, 12000, now_);
  server_->send(kSendBytes, 12000, now_);
  deliver_all();
  client_->close(now_);
  server_->close(now_);
  deliver_all();
  require(client_->connection().state() == stcp::State::closed &&
              server_->connection().state() == stcp::State::closed,
          "without faults both ends reach CLOSED");
  require(client_->data_ended() && server_->data_ended(), "without faults data ends cleanly");
  require(client_->delivered() == server_->sent() && server_->delivered() == client_->sent(),
          "without faults all data arrive");
}

std::uint64_t StcpPlay::hash() const {
  Trace trace;
  client_->observe(trace, now_);
  server_->observe(trace, now_);
  up_.add_to(trace);
  down_.add_to(trace);
  trace.add((tampered_ << 1U) | (was_aborted_ ? 1U : 0U));
  return trace.value();
}

void StcpPlay::print() const {
  client_->print();
  server_->print();
}

std::size_t StcpPlay::in_flight() const { return up_.size() + down_.size(); }

std::optional<TimePoint> StcpPlay::earliest() const {
  Earliest first;
  first.consider(client_->deadline());
  first.consider(server_->deadline());
  return first.value();
}

void StcpPlay::time_out() {
  now_ = std::max(now_, *earliest());
  fire(*client_, now_);
  fire(*server_, now_);
}

void StcpPlay::tamper(MessageQueue& queue, What what) {
  ++tampered_;
  if (what == What::drop) {
    queue.drop();
  } else if (what == What::duplicate) {
    queue.duplicate();
  } else if (what == What::reorder) {
    queue.reorder();
  } else if (what == What::corrupt_length) {
    queue.flip(7);
  } else if (what == What::corrupt_iv) {
    queue.flip(8);
  } else if (what == What::corrupt_body) {
    queue.flip(24);
  } else {
    queue.flip(~std::size_t{0});
  }
}

void StcpPlay::hand_over(StcpEnd& end, ByteView bytes) {
  if (end.is_over()) return;
  end.receive(bytes);
  end.process(now_);
}

void StcpPlay::deliver(MessageQueue& queue, StcpEnd& end) {
  if (!queue.empty()) {
    return hand_over(end, queue.take().bytes);
  }
  end.end_of_stream(now_);
}

void StcpPlay::deliver_all() {
  for (int i = 0; i < 200 && in_flight() != 0; ++i) {
    if (!up_.empty()) deliver(up_, *server_);
    if (!down_.empty()) deliver(down_, *client_);
    check();
  }
  require(in_flight() == 0, "ends that are left alone fall silent");
}

void StcpPlay::check() {
  StcpEnd::compare(*client_, *server_);
  for (MessageQueue* queue : {&up_, &down_}) {
    const StcpEnd& writer = queue == &up_ ? *client_ : *server_;
    if (writer.is_over() && !queue->is_ended) queue->is_ended = true;
  }
  if (tampered_ != 0) return;
  for (const auto& [end, other] :
       {std::pair(&*client_, &*server_), std::pair(&*server_, &*client_)}) {
    const auto fault = end->connection().fault();
    if (!fault) continue;
    const Errc code = fault->code;
    const bool is_excused =
        code == Errc::handshake_timeout || code == Errc::idle_timeout || code == Errc::too_slow ||
        (code == Errc::cancelled && end->is_cancelled()) ||
        (code == Errc::aborted &&
         (other->abort_sent() || end->abort_sent() || other->connection().fault())) ||
        ((code == Errc::truncated || code == Errc::peer_fell_silent) && end->end_given());
    if (!is_excused) throw Violation("false alarm: " + std::string(to_string(code)));
  }
}

}  // namespace sealine::sim
