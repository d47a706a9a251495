#include "tests/sim/stx/receiving.hpp"

#include "sealine/stx/receiver.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/violation.hpp"
#include "tests/sim/stx/disk.hpp"
#include "tests/sim/stx/lane.hpp"
#include "tests/sim/stx/sending.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace sealine::sim {

void StxReceiving::lane_opened(StxLane& lane, TimePoint now) {
  lanes_.push_back(&lane);
  receiver_.handle_lane_opened(lane.number, now);
}

void StxReceiving::lane_ended(StxLane& lane, TimePoint now) {
  if (std::erase(lanes_, &lane) == 0) return;
  // A newer connection may have its number.
  if (find(lane.number) != nullptr) return;
  for (std::size_t i = 0; i < writes_.size();) {
    if (writes_[i].lane == lane.number) {
      write(i, now);
    } else {
      ++i;
    }
  }
  receiver_.handle_lane_ended(lane.number, now);
  pump(now);
}

bool StxReceiving::handle_frame(StxLane& lane, MutableBytes frame, TimePoint now) {
  const auto head = stx::parse_frame_head(frame.first<stx::kFrameHeadBytes>(), stx::Side::client);
  const auto slot = receiver_.expect_frame(lane.number, *head, now);
  if (!slot) return false;
  ++lane.server.received;
  if (!stx::has_valid_crc(frame)) {
    receiver_.handle_damaged(lane.number, *slot, now);
    ++damaged;
    return true;
  }
  const auto plaintext =
      stx::open_frame(engine_, lane.server.opening->receive_key, slot->counter, slot->item, frame);
  if (!plaintext) return false;
  if (!head->is_control()) {
    take_block(lane, *slot, *plaintext, now);
    return true;
  }
  const auto message = stx::parse_message(head->type(), *plaintext, stx::Side::client);
  require(message.has_value(), "what an honest sender writes can be read");
  receiver_.handle_message(lane.number, *slot, *message, now);
  return true;
}

void StxReceiving::work(TimePoint now) {
  if (!writes_.empty()) write(dice_.below(writes_.size()), now);
}

void StxReceiving::work_all(TimePoint now) {
  while (!writes_.empty()) write(0, now);
}

void StxReceiving::commit() {
  for (const auto& [item, meta] : metas_) {
    StxFile& file = file_of(meta);
    const std::uint32_t blocks = receiver_.leading_blocks(item);
    if (blocks == 0 || file.is_finished || file.is_pack || !receiving_.contains(item)) continue;
    file.sync();
    file.have = blocks;
    receiver_.handle_durable(item, blocks);
  }
}

void StxReceiving::pump(TimePoint now) {
  for (bool again = true; again;) {
    again = false;
    for (StxLane* lane : lanes_) {
      while (lane->server.is_up()) {
        const auto frame = receiver_.poll_frame(lane->number, now);
        if (!frame) break;
        send(*lane, *frame);
        again = true;
      }
    }
    while (auto event = receiver_.poll_event()) {
      handle(*event);
      again = true;
    }
  }
}

std::uint32_t StxReceiving::leading_blocks(stx::ItemId item) const {
  return receiver_.leading_blocks(item);
}

StxLane* StxReceiving::find(stx::LaneId number) const {
  const auto found =
      std::ranges::find_if(lanes_, [&](const StxLane* one) { return one->number == number; });
  return found == lanes_.end() ? nullptr : *found;
}

std::string StxReceiving::file_name(const std::string& peer, const stx::Meta& meta) {
  return peer + "/" + meta.entries[0].name;
}

void StxReceiving::send(StxLane& lane, const stx::ControlFrame& frame) {
  require(!lane.server.has_closed, "CLOSE is the last frame of its direction");
  frame_.resize(frame.head.frame_bytes());
  std::ranges::copy(frame.plaintext, frame_.begin() + stx::kFrameHeadBytes);
  lane.server.has_closed = frame.head.type() == 9;
  write_frame(engine_, book_, lane.server.opening->send_key, frame.counter, frame.head, 0, frame_,
              lane.down);
}

void StxReceiving::take_block(StxLane& lane, const stx::FrameSlot& slot, ByteView plaintext,
                              TimePoint now) {
  Write write{
      .lane = lane.number, .slot = slot, .block = {plaintext.begin(), plaintext.end()}, .leaf = {}};
  if (slot.wanted) {
    const auto form = stx::Receiver::block_form(slot, write.block.size());
    require(form.has_value(), "an honest sender's blocks have their sizes");
    if (*form == stx::BlockForm::padded) write.block.resize(slot.block_bytes);
    write.leaf = leaf_of(engine_, write.block);
  }
  writes_.push_back(std::move(write));
  if (dice_.chance(50)) this->write(writes_.size() - 1, now);
}

void StxReceiving::write(std::size_t which, TimePoint now) {
  const Write write = std::move(writes_[which]);
  writes_.erase(writes_.begin() + static_cast<std::ptrdiff_t>(which));
  if (write.slot.wanted && receiving_.contains(write.slot.item)) {
    const stx::Meta& meta = metas_.at(write.slot.item);
    file_of(meta).write(std::size_t{write.slot.head.sequence} << meta.block_log2, write.block);
  }
  receiver_.handle_block(write.lane, write.slot, write.leaf,
                         static_cast<std::uint32_t>(write.block.size()), now);
}

void StxReceiving::handle(const stx::Receiver::Event& event) {
  if (const auto* offered = std::get_if<stx::Offered>(&event)) {
    answer(offered->meta);
  } else if (const auto* wanted = std::get_if<stx::LeavesWanted>(&event)) {
    give_leaves(*wanted);
  } else if (const auto* receiving = std::get_if<stx::Receiving>(&event)) {
    begin(*receiving);
  } else if (const auto* run = std::get_if<stx::ZeroRun>(&event)) {
    const stx::Meta& meta = metas_.at(run->item);
    const Octets zeros(std::size_t{run->count} << meta.block_log2);
    file_of(meta).write(std::size_t{run->first} << meta.block_log2, zeros);
  } else if (const auto* whole = std::get_if<stx::ItemComplete>(&event)) {
    put_in_place(*whole);
  } else if (const auto* failed = std::get_if<stx::ItemFailed>(&event)) {
    require(failed->code == stx::Code::root_differs, "an item fails for a reason");
    receiving_.erase(failed->item);
    file_of(metas_.at(failed->item)) = StxFile{};
  } else if (const auto* dropped = std::get_if<stx::ItemDropped>(&event)) {
    receiving_.erase(dropped->item);
  } else if (const auto* silent = std::get_if<stx::LaneSilent>(&event)) {
    silent_.push_back(silent->lane);
  } else if (const auto* end = std::get_if<stx::SessionOver>(&event)) {
    require(!over_, "a session is over once");
    // Behind a damaged META the next one is out of order; the sender is told of the damage first.
    require(end->code != stx::Code::protocol || damaged > 0, "no fault between honest ends");
    over_ = *end;
  }
}

void StxReceiving::answer(const stx::Meta& meta) {
  metas_[meta.item] = meta;
  StxFile& file = file_of(meta);
  const auto total = *stx::total_bytes(meta);
  const auto blocks = *stx::block_count(total, meta.block_log2);
  stx::MetaAnswer answer;
  if (file.is_finished) {
    const bool is_it = !meta.size_unknown && file.part.size() == total &&
                       file.mtime_ns == meta.entries[0].mtime_ns && blocks > 0;
    answer.in_place = is_it;
    answer.have = is_it ? blocks : 0;
  } else if (file.block_log2 == meta.block_log2 && meta.entries.size() == 1) {
    answer.have = meta.size_unknown ? file.have : std::min(file.have, blocks);
  }
  receiver_.answer(meta.item, answer);
}

void StxReceiving::give_leaves(const stx::LeavesWanted& wanted) {
  const stx::Meta& meta = metas_.at(wanted.item);
  const ByteView content = file_of(meta).part;
  const std::size_t full = std::size_t{1} << meta.block_log2;
  const std::uint64_t total = *stx::total_bytes(meta);
  std::vector<stx::Hash> leaves;
  for (std::uint32_t i = 0; i < wanted.count; ++i) {
    const std::size_t at = i * full;
    std::size_t size = full;
    if (!meta.size_unknown) size = std::min<std::size_t>(full, total - at);
    if (at + size > content.size()) break;
    leaves.push_back(leaf_of(engine_, content.subspan(at, size)));
  }
  receiver_.handle_leaves(wanted.item, leaves, leaves.size() < wanted.count);
}

void StxReceiving::begin(const stx::Receiving& receiving) {
  const stx::Meta& meta = metas_.at(receiving.item);
  StxFile& file = file_of(meta);
  begun_.push_back({.item = receiving.item,
                    .start = receiving.start,
                    .file = file_name(peer_, meta),
                    .was_harmed = file.was_harmed});
  receiving_[receiving.item] = true;
  const bool is_in_place =
      file.is_finished && receiving.start > 0 &&
      receiving.start == *stx::block_count(*stx::total_bytes(meta), meta.block_log2);
  if (is_in_place) return;
  file.is_finished = false;
  file.block_log2 = meta.block_log2;
  file.is_pack = meta.entries.size() > 1;
  file.have = std::min(file.have, receiving.start);
  if (receiving.start == 0) {
    file.part.clear();
    file.safe.clear();
    file.dirty.clear();
    file.was_harmed = false;
  }
}

void StxReceiving::put_in_place(const stx::ItemComplete& whole) {
  const stx::Meta& meta = metas_.at(whole.item);
  StxFile& file = file_of(meta);
  file.part.resize(whole.size_bytes);
  file.sync();
  file.is_finished = true;
  file.mtime_ns = meta.entries[0].mtime_ns;
  file.have = *stx::block_count(whole.size_bytes, meta.block_log2);
  receiving_.erase(whole.item);
  if (!file.is_pack) receiver_.handle_durable(whole.item, receiver_.leading_blocks(whole.item));
  receiver_.finish(whole.item, stx::Code::normal, {});
}

}  // namespace sealine::sim
