#include "tests/sim/stt/play.hpp"

#include "sealine/stc/stc.hpp"
#include "sealine/stt/frame.hpp"
#include "sealine/stt/handshake.hpp"
#include "sealine/stt/session.hpp"
#include "tests/sim/base/action.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/message_queue.hpp"
#include "tests/sim/base/timers.hpp"
#include "tests/sim/base/trace.hpp"
#include "tests/sim/base/violation.hpp"
#include "tests/sim/base/wire.hpp"
#include "tests/sim/stt/call.hpp"
#include "tests/sim/stt/end.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace sealine::sim {

SttSetting::SttSetting() : engine(toy, book) {
  DiceRng rng(7);
  for (const bool is_ephemeral : {false, true}) {
    for (stt::HandshakeConfig* config : {&dials[is_ephemeral ? 1 : 0], &listens}) {
      config->seed_key = stc::SeedKey(ByteArray<32>{9});
      config->ephemeral = is_ephemeral;
      rng.fill(config->node_id);
    }
  }
}

SttPlay::SttPlay(SttSetting& setting, std::size_t root)
    : setting_(setting), initiator_rng_(1), responder_rng_(2), dice_(root) {
  setting.book.clear();
  config_.padding = (root & 2U) != 0 ? stt::Padding::full : stt::Padding::none;
  stt::Limits& limits = config_.limits;
  limits.send_buffer_bytes = kBuffer;
  limits.rotate_frames = 6;
  if ((root & 4U) != 0) {
    limits.stream_window_bytes = limits.max_stream_window_bytes = 2 * kBuffer;
    limits.session_window_bytes = limits.max_session_window_bytes = 12 * kBuffer;
  }
  responder_.emplace(setting.listens, setting.engine, responder_rng_, now_);
  initiator_.emplace(setting.dials[root & 1U], stt::Transport::websocket, setting.engine,
                     initiator_rng_, kUnixMs, now_);
  settle();
  if (root >= 8) {
    while (deliver_all()) {
    }
  }
}

bool SttPlay::is_possible(std::uint8_t code) const {
  const auto action = Action<What>::from(code);
  const MessageQueue& queue = action.at_client ? down_ : up_;
  const SttEnd* const end = end_of(action.at_client);
  const bool has_message = !queue.empty();
  const bool may_tamper = tampered_ < kTamperings && has_message;
  const bool may_act = end != nullptr && end_of(!action.at_client) != nullptr && !end->is_over() &&
                       is_open(action.at_client) && up_.size() + down_.size() < kInFlight;
  switch (action.what) {
    case What::deliver:
      return has_message || (queue.is_ended && is_open(action.at_client));
    case What::drop:
    case What::corrupt_head:
    case What::corrupt_number:
    case What::corrupt_body:
    case What::corrupt_tail:
    case What::duplicate:
      return may_tamper;
    case What::reorder:
      return may_tamper && queue.size() > 1;
    case What::cut:
      return !queue.is_ended && is_open(action.at_client);
    case What::time_out:
      return action.at_client && earliest().has_value();
    case What::open:
      return may_act && end->open_streams() < kStreams;
    case What::write:
    case What::read:
    case What::finish:
    case What::reset:
    case What::stop:
      return may_act && end->open_streams() > 0;
    case What::rotate:
    case What::ping:
    case What::close:
      return may_act;
    case What::count_:
      break;
  }
  return false;
}

void SttPlay::apply(std::uint8_t code) {
  const auto action = Action<What>::from(code);
  MessageQueue& queue = action.at_client ? down_ : up_;
  SttEnd* const end = action.at_client ? client_.get() : server_.get();
  const SttEnd* const peer = end_of(!action.at_client);
  switch (action.what) {
    case What::deliver:
      deliver(action.at_client);
      break;
    case What::drop:
    case What::duplicate:
    case What::reorder:
    case What::corrupt_head:
    case What::corrupt_number:
    case What::corrupt_body:
    case What::corrupt_tail:
      tamper(queue, action.what);
      break;
    case What::cut:
      is_cut_ = true;
      queue.is_ended = true;
      break;
    case What::time_out:
      time_out();
      break;
    case What::open:
      end->open(now_);
      break;
    case What::write:
      end->write(now_);
      break;
    case What::read:
      end->read(*peer, false, now_);
      break;
    case What::finish:
      end->finish(now_);
      break;
    case What::reset:
      end->reset(now_);
      break;
    case What::stop:
      end->stop(now_);
      break;
    case What::rotate:
      end->rotate(now_);
      break;
    case What::ping:
      end->ping(now_);
      break;
    case What::close:
      is_rough_ = true;
      end->close(300, now_);
      break;
    case What::count_:
      break;
  }
  settle();
}

void SttPlay::finish_well() {
  if (is_hurt()) return;
  while (deliver_all()) {
  }
  require(client_ && server_, "without faults both ends are in session");
  for (int round = 0; round < 40; ++round) {
    for (SttEnd* end : {client_.get(), server_.get()}) {
      end->finish_all(now_);
      end->read(end == client_.get() ? *server_ : *client_, false, now_);
      settle();
    }
    deliver_all();
    if (client_->all_streams_closed() && server_->all_streams_closed()) break;
  }
  client_->drain(now_);
  settle();
  while (deliver_all()) {
  }
  for (const auto& [end, peer] :
       {std::pair(client_.get(), server_.get()), std::pair(server_.get(), client_.get())}) {
    require(end->closed() && end->closed()->code == 0, "without faults a session ends well");
    end->check_complete(*peer);
  }
}

std::uint64_t SttPlay::hash() {
  Trace trace;
  trace.add((is_client_open_ ? 1U : 0U) | (is_server_open_ ? 2U : 0U) | (is_cut_ ? 4U : 0U) |
            (is_rough_ ? 8U : 0U) | (std::uint64_t{tampered_} << 8U));
  for (SttEnd* end : {client_.get(), server_.get()}) {
    if (end == nullptr) continue;
    const auto statistics = end->session().statistics();
    trace.add(statistics.frames_sent << 32U | statistics.frames_received);
    trace.add(statistics.bytes_sent << 32U | statistics.bytes_received);
    trace.add(statistics.streams_open << 32U | statistics.epoch_sent << 16U |
              statistics.epoch_received);
    trace.add(end->streams_opened << 32U | end->messages_read << 8U | end->open_streams());
    trace.add(end->closed() ? 1 + std::uint64_t{end->closed()->code} : 0);
  }
  const auto when = earliest();
  trace.add(when ? static_cast<std::uint64_t>((*when - now_).count()) : 0);
  up_.add_to(trace);
  down_.add_to(trace);
  return trace.value();
}

void SttPlay::print() const {
  if (client_) client_->print("initiator");
  if (server_) server_->print("responder");
}

const SttEnd* SttPlay::end_of(bool initiator) const {
  return initiator ? client_.get() : server_.get();
}

bool SttPlay::is_open(bool initiator) const {
  return initiator ? is_client_open_ : is_server_open_;
}

bool SttPlay::is_hurt() const {
  return tampered_ != 0 || is_cut_ || is_rough_ || !is_client_open_ || !is_server_open_ ||
         now_ != kStart;
}

void SttPlay::deliver(bool to_initiator) {
  MessageQueue& queue = to_initiator ? down_ : up_;
  if (queue.empty()) {
    if (queue.is_ended) hang_up(to_initiator);
    return;
  }
  MessageQueue::Message message = queue.take();
  if (!is_open(to_initiator)) return;
  const SttEnd* const before = end_of(to_initiator);
  const bool was_over = before != nullptr && before->is_over();
  const bool is_true = queue.is_next(message);
  const bool is_good =
      to_initiator ? handle_at_initiator(message.bytes) : handle_at_responder(message.bytes);
  require(!is_good || is_true || end_of(to_initiator) == nullptr || was_over,
          "nothing that was changed on its way is taken");
  require(is_good || tampered_ != 0, "no fault between honest ends");
  if (!is_good) hang_up(to_initiator);
}

bool SttPlay::handle_at_initiator(MutableBytes message) {
  if (client_) return client_->session().handle_datagram(message, now_).has_value();
  const auto frame = stt::parse_frame(message);
  if (!frame || !frame->head.is_handshake()) return false;
  if (!initiator_->handle_frame(*frame, now_)) return false;
  if (!initiator_->is_done()) return true;
  require(server_ != nullptr, "an initiator is done behind its responder");
  client_ = make_end(std::move(*initiator_).take(), initiator_rng_);
  require(client_->session().id() == server_->session().id(), "both know the session by one id");
  return true;
}

bool SttPlay::handle_at_responder(MutableBytes message) {
  if (server_) return server_->session().handle_datagram(message, now_).has_value();
  const auto frame = stt::parse_frame(message);
  if (!frame || !frame->head.is_handshake()) return false;
  static constexpr ByteArray<6> kAddress{127, 0, 0, 1, 9, 9};
  ByteArray<stt::kMaxHandshakeFrameBytes> out{};
  auto reply = responder_->handle_frame(*frame,
                                        {.address = kAddress,
                                         .transport = stt::Transport::websocket,
                                         .datagram_bytes = message.size()},
                                        kUnixMs, now_, out);
  if (!reply) return false;
  if (reply->reply_bytes != 0) {
    write_sealed(down_, setting_.book, ByteView(out).first(reply->reply_bytes));
  }
  if (reply->established) server_ = make_end(std::move(*reply->established), responder_rng_);
  return true;
}

std::unique_ptr<SttEnd> SttPlay::make_end(stt::Established established, DiceRng& rng) {
  return std::make_unique<SttEnd>(config_, std::move(established), setting_.engine, rng,
                                  Dice(dice_.next()), now_);
}

void SttPlay::tamper(MessageQueue& queue, What what) {
  ++tampered_;
  if (what == What::drop) {
    queue.drop();
  } else if (what == What::duplicate) {
    queue.duplicate();
  } else if (what == What::reorder) {
    queue.reorder();
  } else if (what == What::corrupt_head) {
    queue.flip(2);
  } else if (what == What::corrupt_number) {
    queue.flip(12);
  } else if (what == What::corrupt_body) {
    queue.flip(20);
  } else {
    queue.flip(~std::size_t{0});
  }
}

bool SttPlay::deliver_all() {
  bool moved = false;
  for (int i = 0; i < 200 && !(up_.empty() && down_.empty()); ++i) {
    for (const bool to_initiator : {false, true}) {
      if ((to_initiator ? down_ : up_).empty()) continue;
      deliver(to_initiator);
      settle();
      moved = true;
    }
  }
  require(up_.empty() && down_.empty(), "ends that are left alone fall silent");
  return moved;
}

std::optional<TimePoint> SttPlay::earliest() const {
  Earliest first;
  if (is_client_open_ && !client_) first.consider(initiator_->poll_timeout());
  if (is_server_open_ && !server_)
    first.consider(kStart + setting_.listens.limits.half_open_timeout);
  if (client_) first.consider(client_->deadline());
  if (server_) first.consider(server_->deadline());
  return first.value();
}

void SttPlay::time_out() {
  now_ = std::max(now_, *earliest());
  responder_->handle_timeout(now_);
  if (!client_ && is_client_open_) {
    initiator_->handle_timeout(now_);
    if (initiator_->has_failed()) hang_up(true);
  }
  if (!server_ && now_ >= kStart + setting_.listens.limits.half_open_timeout) hang_up(false);
  for (SttEnd* end : {client_.get(), server_.get()}) {
    if (end != nullptr) fire(*end, now_);
  }
}

void SttPlay::hang_up(bool by_initiator) {
  bool& is_up = by_initiator ? is_client_open_ : is_server_open_;
  if (!is_up) return;
  is_up = false;
  (by_initiator ? up_ : down_).is_ended = true;
  SttEnd* const end = by_initiator ? client_.get() : server_.get();
  if (end != nullptr) end->session().handle_disconnected(now_);
}

void SttPlay::settle() {
  for (const bool of_initiator : {true, false}) {
    MessageQueue& queue = of_initiator ? up_ : down_;
    if (of_initiator && !client_ && is_client_open_) transmit(*initiator_, queue, setting_.book);
    SttEnd* const end = of_initiator ? client_.get() : server_.get();
    if (end == nullptr || !is_open(of_initiator)) continue;
    end->transmit(queue, setting_.book, now_);
    if (end->session().state() == stt::SessionState::closed) hang_up(of_initiator);
  }
  if (!client_ || !server_) return;
  client_->take_events(*server_, now_);
  server_->take_events(*client_, now_);
  client_->check_windows();
  server_->check_windows();
  if (!is_hurt()) return;
  for (const SttEnd* end : {client_.get(), server_.get()}) {
    if (!end->closed() || tampered_ != 0 || is_cut_ || now_ != kStart) continue;
    const bool is_right = end->closed()->code == 0 || end->closed()->code == 300 ||
                          end->closed()->fault.code == Errc::truncated;
    require(is_right, "a session ends for a reason");
  }
}

}  // namespace sealine::sim
