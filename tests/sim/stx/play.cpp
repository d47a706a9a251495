#include "tests/sim/stx/play.hpp"

#include "sealine/stx/handshake.hpp"
#include "tests/sim/base/action.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/pipe.hpp"
#include "tests/sim/base/timers.hpp"
#include "tests/sim/base/trace.hpp"
#include "tests/sim/base/violation.hpp"
#include "tests/sim/stx/disk.hpp"
#include "tests/sim/stx/judge.hpp"
#include "tests/sim/stx/lane.hpp"
#include "tests/sim/stx/receiving.hpp"
#include "tests/sim/stx/sending.hpp"
#include "tests/sim/stx/transfers.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sealine::sim {

std::string StxPlay::name(std::uint8_t code) {
  const LaneAction action = LaneAction::from(code);
  return std::string(action.at_sender ? "sender" : "receiver") + std::to_string(action.lane) + "/" +
         kNames[static_cast<std::size_t>(action.what)];
}

StxPlay::StxPlay(StxSetting& setting, std::size_t root)
    : setting_(setting), client_rng_(1), server_rng_(2) {
  setting.book.clear();
  sending_ = std::make_unique<StxSending>(setting.transfer(root % kTransfers, disk_),
                                          setting.limits, setting.engine, setting.book);
  dial(0);
  if (root < kTransfers) return;
  for (int i = 0; i < 6 && !sending_->has_session(); ++i) {
    deliver(*lanes_[0], false);
    deliver(*lanes_[0], true);
  }
}

bool StxPlay::is_possible(std::uint8_t code) const {
  const LaneAction action = LaneAction::from(code);
  const StxLane* const lane = find(action.lane);
  const bool is_first = action.lane == 0 && action.at_sender;  // for what has no lane
  const bool may_tamper = tampered_ < kTamperings;
  const Pipe* const pipe = lane == nullptr ? nullptr : (action.at_sender ? &lane->down : &lane->up);
  const bool has_bytes = pipe != nullptr && pipe->size() != 0;
  switch (action.what) {
    case What::deliver:
      return has_bytes || (pipe != nullptr && pipe->is_ended &&
                           (action.at_sender ? lane->client.is_open : lane->server.is_open));
    case What::deliver_part:
      return has_bytes && pipe->size() > 1;
    case What::drop:
    case What::corrupt_head:
    case What::corrupt_body:
    case What::corrupt_tail:
    case What::duplicate:
    case What::reorder:
      return may_tamper && has_bytes;
    case What::cut:
      return action.at_sender && lane != nullptr && cuts_ < kCuts;
    case What::open:
      return action.at_sender && lane == nullptr && dialed_ < kLanes + kCuts + 1 &&
             (action.lane == 0 ? !sending_->has_session() : sending_->has_session()) &&
             !sending_->is_done();
    case What::time_out:
      return is_first && earliest().has_value();
    case What::write:
    case What::commit:
      return is_first && receiving_ != nullptr;
    case What::change:
    case What::change_silently:
      return is_first && !sending_->sources[0].was_changed && !sending_->sources[0].is_done;
    case What::crash:
      return is_first && crashes_ == 0;
    case What::count_:
      break;
  }
  return false;
}

void StxPlay::apply(std::uint8_t code) {
  const LaneAction action = LaneAction::from(code);
  StxLane* const lane = find(action.lane);
  Pipe* const pipe = lane == nullptr ? nullptr : (action.at_sender ? &lane->down : &lane->up);
  switch (action.what) {
    case What::deliver:
      deliver(*lane, action.at_sender);
      break;
    case What::deliver_part: {
      auto pieces = pipe->take_pieces();
      Octets& first = pieces.front();
      const auto half = first.begin() + static_cast<std::ptrdiff_t>((first.size() + 1) / 2);
      const Octets part(first.begin(), half);
      first.erase(first.begin(), half);
      put_back(*pipe, pieces);
      hand_over(*lane, action.at_sender, part);
      break;
    }
    case What::drop:
    case What::duplicate:
    case What::reorder:
    case What::corrupt_head:
    case What::corrupt_body:
    case What::corrupt_tail:
      tamper(*pipe, action.what);
      break;
    case What::cut:
      ++cuts_;
      cut(*lane);
      break;
    case What::open:
      dial(action.lane);
      break;
    case What::time_out:
      time_out();
      break;
    case What::write:
      receiving_->work_all(now_);
      break;
    case What::commit:
      receiving_->commit();
      break;
    case What::change:
      sending_->sources[0].was_changed = true;
      sending_->sources[0].durable = 0;
      ++sending_->sources[0].version;
      change_content();
      break;
    case What::change_silently:
      sending_->sources[0].was_changed = true;
      sending_->sources[0].durable = 0;
      change_content();
      break;
    case What::crash:
      ++crashes_;
      crash();
      break;
    case What::count_:
      break;
  }
  settle();
  sweep();
}

void StxPlay::finish_well() {
  for (int round = 0; round < 300; ++round) {
    sweep();
    if (sending_->is_done() && !sending_->has_session()) return;
    bool moved = false;
    for (std::uint8_t number = 0; number < kLanes; ++number) {
      for (const bool at_sender : {false, true}) {
        StxLane* const lane = find(number);
        if (lane == nullptr) continue;
        const Pipe& pipe = at_sender ? lane->down : lane->up;
        if (pipe.size() == 0 && !pipe.is_ended) continue;
        deliver(*lane, at_sender);
        settle();
        moved = true;
      }
    }
    if (receiving_) {
      receiving_->work_all(now_);
      receiving_->commit();
      settle();
    }
    if (moved) continue;
    if (!sending_->has_session() && find(0) == nullptr) {
      if (sending_->is_done()) return;
      dial(0);
    } else if (earliest()) {
      time_out();
      settle();
    }
  }
  print();
  throw Violation("in the end all that is there arrives");
}

std::uint64_t StxPlay::hash() {
  Trace trace;
  trace.add((sending_->has_session() ? 1U : 0U) | (receiving_ ? 2U : 0U) |
            (std::uint64_t{tampered_} << 8U) | (std::uint64_t{cuts_} << 16U) |
            (std::uint64_t{dialed_} << 24U) | (std::uint64_t{crashes_} << 32U));
  for (const auto& source : sending_->sources) {
    trace.add((source.is_done ? 1U : 0U) | (source.failed ? 2U : 0U) |
              (source.was_changed ? 4U : 0U) | (std::uint64_t{source.version} << 8U) |
              (std::uint64_t{source.durable} << 16U) | (std::uint64_t{source.attempts} << 48U));
  }
  const auto after = [&](std::optional<TimePoint> when) {
    trace.add(when ? static_cast<std::uint64_t>((*when - now_).count()) : 0);
  };
  after(sending_->deadline());
  after(receiving_ ? receiving_->deadline() : std::nullopt);
  for (const auto& [name, file] : disk_) {
    trace.add(file.part);
    trace.add((file.is_finished ? 1U : 0U) | (file.dirty.empty() ? 0U : 2U) |
              (std::uint64_t{file.have} << 8U));
  }
  if (receiving_) {
    trace.add(receiving_->unwritten());
    for (const auto& [item, unused] : sending_->items) {
      trace.add(receiving_->leading_blocks(item));
    }
  }
  for (const auto& lane : lanes_) {
    trace.add((lane->client.is_open ? 1U : 0U) | (lane->server.is_open ? 2U : 0U) |
              (lane->client.opening ? 4U : 0U) | (lane->server.opening ? 8U : 0U) |
              (lane->up.is_ended ? 16U : 0U) | (lane->down.is_ended ? 32U : 0U) |
              (std::uint64_t{lane->number} << 8U) | (lane->client.received << 16U) |
              (lane->server.received << 32U));
    trace.add(lane->client.inbox.rest());
    trace.add(lane->server.inbox.rest());
    trace.add(lane->up.front(lane->up.size()));
    trace.add(lane->down.front(lane->down.size()));
  }
  return trace.value();
}

void StxPlay::print() const {
  std::printf("  %s, %s, %zu lanes\n",
              sending_->has_session() ? "sender in session" : "sender without a session",
              receiving_ ? "receiver in session" : "receiver without a session", lanes_.size());
  sending_->print_sources();
  for (const auto& lane : lanes_) {
    std::printf("    lane %u: up %zu, down %zu, frames %llu up %llu down\n", lane->number,
                lane->up.size(), lane->down.size(),
                static_cast<unsigned long long>(lane->server.received),
                static_cast<unsigned long long>(lane->client.received));
  }
}

void StxPlay::change_content() {
  Octets& content = sending_->sources[0].content;
  if (!content.empty()) content[0] ^= 0x10;
}

StxLane* StxPlay::find(std::uint8_t number) const {
  for (const auto& lane : lanes_) {
    if (lane->number == number && (lane->client.is_open || lane->server.is_open)) {
      return lane.get();
    }
  }
  return nullptr;
}

void StxPlay::dial(std::uint8_t number) {
  ++dialed_;
  if (number == 0) client_rng_.fill(transfer_);
  auto lane = std::make_unique<StxLane>();
  lane->number = number;
  lane->opened = now_;
  lane->up.capacity = kCapacity;
  auto client = stx::ClientHandshake::create(setting_.psk, {.lane = number, .transfer = transfer_},
                                             setting_.engine, client_rng_, {});
  auto server =
      stx::ServerHandshake::create(setting_.server, nonces_, setting_.engine, server_rng_, {});
  require(client && server, "ends can be made");
  lane->client.handshake.emplace(std::move(*client));
  lane->server.handshake.emplace(std::move(*server));
  lane->server.say(lane->down);
  lanes_.push_back(std::move(lane));
}

void StxPlay::deliver(StxLane& lane, bool at_sender) {
  Pipe& pipe = at_sender ? lane.down : lane.up;
  auto pieces = pipe.take_pieces();
  if (pieces.empty()) {
    if (pipe.is_ended) close(lane, at_sender);
    return;
  }
  const Octets first = std::move(pieces.front());
  pieces.erase(pieces.begin());
  put_back(pipe, pieces);
  hand_over(lane, at_sender, first);
}

void StxPlay::put_back(Pipe& pipe, const std::vector<Octets>& pieces) {
  for (const Octets& piece : pieces) pipe.write(piece);
}

void StxPlay::hand_over(StxLane& lane, bool at_sender, ByteView bytes) {
  if (at_sender) {
    if (!lane.client.is_open) return;
    lane.client.inbox.put(bytes);
    read_client(lane);
  } else {
    if (!lane.server.is_open) return;
    lane.server.inbox.put(bytes);
    read_server(lane);
  }
}

void StxPlay::read_client(StxLane& lane) {
  if (!lane.client.opening) {
    const auto is_done = lane.client.shake(lane.up, now_);
    if (!is_done) return close(lane, true);
    if (!*is_done) return;
    if (!opened_at_client(lane)) return close(lane, true);
  }
  while (lane.client.is_up()) {
    const auto size = lane.client.whole_frame(stx::Side::server);
    if (!size) return close(lane, true);
    if (*size == 0) return;
    const bool is_good = sending_->handle_frame(lane, lane.client.inbox.rest().first(*size), now_);
    lane.client.inbox.take(*size);
    if (!is_good) return close(lane, true);
    settle();
  }
}

bool StxPlay::opened_at_client(StxLane& lane) {
  require(lane.server.opening.has_value(), "a sender is done behind its receiver");
  if (lane.number == 0) {
    sending_->begin(now_);
    return true;
  }
  if (!sending_->has_session()) return false;
  sending_->lane_opened(lane.number, now_);
  return true;
}

void StxPlay::read_server(StxLane& lane) {
  if (!lane.server.opening) {
    const auto is_done = lane.server.shake(lane.down, now_);
    if (!is_done) return close(lane, false);
    if (!*is_done) return;
    if (!opened_at_server(lane)) return close(lane, false);
  }
  while (lane.server.is_up()) {
    const auto size = lane.server.whole_frame(stx::Side::client);
    if (!size || !receiving_) return close(lane, false);
    if (*size == 0) return;
    const bool is_good =
        receiving_->handle_frame(lane, lane.server.inbox.rest().first(*size), now_);
    lane.server.inbox.take(*size);
    settle();
    if (!is_good) return close(lane, false);
  }
}

bool StxPlay::opened_at_server(StxLane& lane) {
  const stx::TransferId& transfer = lane.server.opening->client.transfer;
  if (lane.number == 0) {
    if (receiving_) end_receiving(stx::Code::superseded);
    receiving_ = std::make_unique<StxReceiving>(setting_.limits, StxSetting::kPeer, disk_,
                                                setting_.engine, setting_.book, Dice(5), now_);
    receiving_of_ = transfer;
    receiving_->add(lane);
    return true;
  }
  if (!receiving_ || receiving_of_ != transfer) return false;
  receiving_->lane_opened(lane, now_);
  return true;
}

void StxPlay::close(StxLane& lane, bool at_sender) {
  if (at_sender) {
    if (!lane.client.is_open) return;
    lane.close(true);
    if (lane.client.opening && sending_->has_session()) {
      sending_->lane_ended(lane.number, now_);
    }
    return;
  }
  if (!lane.server.is_open) return;
  lane.close(false);
  if (receiving_ && receiving_->find(lane.number) == &lane) receiving_->lane_ended(lane, now_);
}

void StxPlay::cut(StxLane& lane) {
  lane.up.drop_all();
  lane.down.drop_all();
  close(lane, true);
  close(lane, false);
}

void StxPlay::crash() {
  receiving_.reset();
  for (const auto& lane : lanes_) lane->close(false);
  Dice dice(9);
  for (auto& [name, file] : disk_) file.crash(dice);
}

void StxPlay::end_receiving(std::optional<stx::Code> code) {
  if (code) {
    receiving_->work_all(now_);
    receiving_->close(*code);
    receiving_->pump(now_);
  }
  const std::vector<StxLane*> lanes = receiving_->lanes();
  receiving_.reset();
  for (StxLane* lane : lanes) close(*lane, false);
}

std::optional<TimePoint> StxPlay::earliest() const {
  Earliest first;
  first.consider(sending_->deadline());
  if (receiving_) first.consider(receiving_->deadline());
  for (const auto& lane : lanes_) {
    const bool is_waiting = (lane->client.is_open && !lane->client.opening) ||
                            (lane->server.is_open && !lane->server.opening);
    if (is_waiting) first.consider(lane->opened + setting_.limits.handshake_timeout);
  }
  return first.value();
}

void StxPlay::time_out() {
  now_ = std::max(now_, *earliest());
  fire(*sending_, now_);
  if (receiving_) fire(*receiving_, now_);
  for (const auto& lane : lanes_) {
    if (now_ - lane->opened < setting_.limits.handshake_timeout) continue;
    if (!lane->client.opening) close(*lane, true);
    if (!lane->server.opening) close(*lane, false);
  }
}

void StxPlay::tamper(Pipe& pipe, What what) {
  ++tampered_;
  auto pieces = pipe.take_pieces();
  Octets& first = pieces.front();
  const auto flip = [&first](std::size_t at) { first[std::min(at, first.size() - 1)] ^= 1U; };
  if (what == What::drop) {
    pieces.erase(pieces.begin());
  } else if (what == What::duplicate && pieces.size() < kInFlight) {
    pieces.insert(pieces.begin(), Octets(first));
  } else if (what == What::reorder && pieces.size() > 1) {
    std::swap(pieces[0], pieces[1]);
  } else if (what == What::corrupt_head) {
    flip(7);
  } else if (what == What::corrupt_body) {
    flip(stx::kFrameHeadBytes + 1);
  } else {
    flip(first.size() - 1);
  }
  put_back(pipe, pieces);
}

void StxPlay::settle() {
  sending_->pump(lanes_, now_);
  for (const stx::LaneId number : sending_->take_silent()) {
    if (StxLane* const lane = find(number)) close(*lane, true);
  }
  for (const stx::ItemId item : sending_->take_finished()) {
    judge_delivered(*sending_, item, StxSetting::kPeer, disk_);
  }
  if (sending_->over()) end_sending();
  if (receiving_) {
    receiving_->pump(now_);
    for (const auto& begun : receiving_->take_begun()) {
      if (receiving_of_ == transfer_) judge_begun(begun, *sending_, disk_);
    }
    for (const stx::LaneId number : receiving_->take_silent()) {
      if (StxLane* const lane = receiving_->find(number)) close(*lane, false);
    }
    if (receiving_->over()) end_receiving(std::nullopt);
  }
  if (!sending_->has_session()) {
    for (const auto& lane : lanes_) {
      if (lane->client.opening) close(*lane, true);
    }
  }
}

void StxPlay::sweep() {
  std::erase_if(lanes_, [](const auto& lane) { return lane->is_closed(); });
}

void StxPlay::end_sending() {
  const stx::Code code = sending_->over()->code;
  const bool is_harmed = tampered_ != 0 || cuts_ != 0 || crashes_ != 0 || now_ != kStart;
  require(code == stx::Code::normal || (code == stx::Code::line_damage && is_harmed) ||
              code == stx::Code::superseded,
          "a session ends for a reason");
  require(code != stx::Code::normal || sending_->is_done(), "a session that is done is done");
  sending_->forget_session();
}

}  // namespace sealine::sim
