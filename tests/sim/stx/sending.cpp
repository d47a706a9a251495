#include "tests/sim/stx/sending.hpp"

#include "sealine/stx/sender.hpp"
#include "sealine/stx/tree.hpp"
#include "tests/sim/base/violation.hpp"
#include "tests/sim/stx/disk.hpp"
#include "tests/sim/stx/lane.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>

namespace sealine::sim {

ByteView StxSource::block(std::uint32_t number) const {
  const std::size_t at = number * kBlock;
  if (at >= content.size()) return {};
  return ByteView(content).subspan(at, std::min(kBlock, content.size() - at));
}

std::uint32_t StxSource::blocks() const {
  return static_cast<std::uint32_t>((content.size() + kBlock - 1) / kBlock);
}

stx::Meta StxSource::meta() const {
  stx::Meta meta{.block_log2 = kBlockLog2, .size_unknown = is_stream, .entries = {}};
  const auto entry = [&](const std::string& called, std::uint64_t size) {
    meta.entries.push_back(stx::Entry{.kind = stx::EntryKind::file,
                                      .mode = 0644,
                                      .mtime_ns = mtime_ns(),
                                      .size_bytes = size,
                                      .name = called});
  };
  if (pack.empty()) {
    entry(name, is_stream ? 0 : content.size());
  } else {
    for (std::size_t i = 0; i < pack.size(); ++i) entry(name + std::to_string(i), pack[i]);
  }
  return meta;
}

void StxSending::begin(TimePoint now) {
  sender_.emplace(limits_, *this, engine_, now);
  items.clear();
  over_.reset();
  is_told_to_finish_ = false;
}

void StxSending::forget_session() {
  sender_.reset();
  over_.reset();
}

void StxSending::lane_ended(stx::LaneId lane, TimePoint now) {
  if (sender_) sender_->handle_lane_ended(lane, now);
}

bool StxSending::handle_frame(StxLane& lane, MutableBytes frame, TimePoint now) {
  if (!stx::has_valid_crc(frame)) return false;
  const auto head = stx::parse_frame_head(frame.first<stx::kFrameHeadBytes>(), stx::Side::server);
  const auto plaintext =
      stx::open_frame(engine_, lane.client.opening->receive_key, lane.client.received++, 0, frame);
  if (!plaintext) return false;
  const auto message = stx::parse_message(head->type(), *plaintext, stx::Side::server);
  require(message.has_value(), "what an honest receiver writes can be read");
  sender_->handle_message(lane.number, *message, now);
  return true;
}

void StxSending::timeout(TimePoint now) {
  if (sender_) sender_->handle_timeout(now);
}

std::optional<TimePoint> StxSending::deadline() const {
  return sender_ ? sender_->poll_timeout() : std::nullopt;
}

void StxSending::close(stx::Code code) {
  if (sender_) sender_->close(code);
}

void StxSending::pump(std::span<const std::unique_ptr<StxLane>> lanes, TimePoint now) {
  if (!sender_) return;
  for (bool again = true; again;) {
    again = false;
    offer(now);
    for (const auto& lane : lanes) {
      while (lane->client.is_up() && !lane->up.is_full()) {
        if (!write_next(*lane, now)) break;
        again = true;
      }
    }
    while (const auto event = sender_->poll_event()) {
      handle(*event);
      again = true;
    }
  }
}

bool StxSending::is_done() const {
  return std::ranges::all_of(sources, [](const auto& one) { return one.is_done || one.failed; });
}

std::uint32_t StxSending::zero_blocks(stx::ItemId item, std::uint32_t block) {
  Item& it = items.at(item);
  const StxSource& source = sources[it.source];
  std::uint32_t count = 0;
  if (!source.has_holes || it.version != source.version) return 0;
  for (;; ++count) {
    const ByteView bytes = source.block(block + count);
    if (bytes.empty() || std::ranges::any_of(bytes, [](auto byte) { return byte != 0; })) break;
    read_into(it, block + count, bytes);
  }
  return count;
}

void StxSending::read_into(Item& item, std::uint32_t block, ByteView bytes) {
  const std::size_t at = block * StxSource::kBlock;
  if (item.image.size() < at + bytes.size()) item.image.resize(at + bytes.size());
  std::ranges::copy(bytes, item.image.begin() + static_cast<std::ptrdiff_t>(at));
}

void StxSending::offer(TimePoint now) {
  for (std::size_t i = 0; i < sources.size() && sender_->can_offer(); ++i) {
    StxSource& source = sources[i];
    if (source.is_done || source.failed || is_offered(i)) continue;
    const stx::ItemId item = sender_->offer(source.meta(), now);
    items[item] = {.source = i, .version = source.version, .image = source.content};
    if (source.is_stream) sender_->supply(item, source.blocks(), source.content.size());
  }
  if (is_done() && !is_told_to_finish_) {
    is_told_to_finish_ = true;
    sender_->finish();
  }
}

bool StxSending::is_offered(std::size_t source) const {
  return std::ranges::any_of(items, [&](const auto& entry) {
    return entry.second.source == source && entry.second.is_open;
  });
}

bool StxSending::write_next(StxLane& lane, TimePoint now) {
  const auto order = sender_->poll_frame(lane.number, now);
  if (!order) return false;
  require(!lane.client.has_closed, "CLOSE is the last frame of its direction");
  if (const auto* control = std::get_if<stx::ControlFrame>(&*order)) {
    frame_.resize(control->head.frame_bytes());
    std::ranges::copy(control->plaintext, frame_.begin() + stx::kFrameHeadBytes);
    lane.client.has_closed = control->head.type() == 9;
    write_frame(engine_, book_, lane.client.opening->send_key, control->counter, control->head, 0,
                frame_, lane.up);
    return true;
  }
  const auto& block = std::get<stx::BlockFrame>(*order);
  Item& item = items.at(block.item);
  const StxSource& source = sources[item.source];
  const ByteView bytes = source.block(block.block);
  Octets body(bytes.begin(), bytes.end());
  if (item.version != source.version || body.size() != block.block_bytes) {
    // Its frame goes all the same; the item is dropped, and comes again as another.
    body.resize(block.block_bytes);
    give_up_item(block.item, item);
  } else {
    read_into(item, block.block, bytes);
  }
  sender_->handle_leaf(block.item, block.block, leaf_of(engine_, body));
  if (source.is_padded && !source.is_stream) body.resize(StxSource::kBlock);
  const stx::FrameHead head{.sequence = block.block,
                            .size_bytes = static_cast<std::uint32_t>(body.size())};
  frame_.resize(head.frame_bytes());
  std::ranges::copy(body, frame_.begin() + stx::kFrameHeadBytes);
  write_frame(engine_, book_, lane.client.opening->send_key, block.counter, head, block.item,
              frame_, lane.up);
  ++blocks_sent;
  return true;
}

void StxSending::give_up_item(stx::ItemId number, Item& item) {
  if (!item.is_open) return;
  item.is_open = false;
  sender_->drop(number, stx::Code::source_changed);
  StxSource& source = sources[item.source];
  if (++source.attempts >= kAttempts) source.failed = stx::Code::source_changed;
}

void StxSending::handle(const stx::Sender::Event& event) {
  if (const auto* answered = std::get_if<stx::ItemAnswered>(&event)) {
    require(answered->code == stx::Code::normal, "what is taken is not refused");
  } else if (const auto* wanted = std::get_if<stx::LeavesWanted>(&event)) {
    give_leaves(*wanted);
  } else if (const auto* started = std::get_if<stx::ItemStarted>(&event)) {
    resumed += started->start;
  } else if (const auto* durable = std::get_if<stx::BlocksDurable>(&event)) {
    StxSource& source = sources[items.at(durable->item).source];
    source.durable = std::max(source.durable, durable->blocks);
  } else if (const auto* over = std::get_if<stx::ItemOver>(&event)) {
    item_over(*over);
  } else if (const auto* silent = std::get_if<stx::LaneSilent>(&event)) {
    silent_.push_back(silent->lane);
  } else if (const auto* end = std::get_if<stx::SessionOver>(&event)) {
    require(!over_, "a session is over once");
    over_ = *end;
  }
}

void StxSending::give_leaves(const stx::LeavesWanted& wanted) {
  Item& item = items.at(wanted.item);
  const StxSource& source = sources[item.source];
  if (source.is_stream) return sender_->cannot_read_twice(wanted.item);
  if (item.version != source.version) return give_up_item(wanted.item, item);
  for (std::uint32_t i = 0; i < wanted.count; ++i) {
    const ByteView bytes = source.block(i);
    require(!bytes.empty(), "no more leaves are wanted than there are blocks");
    read_into(item, i, bytes);
    const stx::Hash leaf = leaf_of(engine_, bytes);
    sender_->handle_leaves(wanted.item, std::span(&leaf, 1));
  }
}

void StxSending::item_over(const stx::ItemOver& over) {
  Item& item = items.at(over.item);
  if (!item.is_open) return;
  item.is_open = false;
  StxSource& source = sources[item.source];
  if (over.code == stx::Code::normal) {
    source.is_done = true;
    finished_.push_back(over.item);
    return;
  }
  require(over.code == stx::Code::root_differs && source.was_changed, "an item fails for a reason");
  if (++source.attempts >= kAttempts) source.failed = over.code;
}

void StxSending::print_sources() const {
  for (const auto& source : sources) {
    std::printf("    %s of %zu bytes: %s, durable %u, attempts %u\n", source.name.c_str(),
                source.content.size(), source.is_done ? "done" : "not done", source.durable,
                source.attempts);
  }
}

}  // namespace sealine::sim
