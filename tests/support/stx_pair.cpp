#include "support/stx_pair.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

namespace sealine::test {

using namespace stx;

Bytes stx_content(std::size_t size_bytes, std::uint64_t seed) {
  Bytes content(size_bytes);
  for (std::size_t i = 0; i < size_bytes; ++i) {
    content[i] = static_cast<std::uint8_t>(7 * i + 3 * (i >> 8U) + 11 * (i >> 14U) + seed + 1);
  }
  return content;
}

Hash stx_leaf(crypto::Engine& engine, ByteView block) {
  Hash leaf{};
  engine.sha256({ByteView(&kLeafPrefix, 1), block}, leaf);
  return leaf;
}

Hash stx_root(crypto::Engine& engine, ByteView content, std::uint8_t block_log2) {
  Tree tree(engine);
  const std::size_t full = std::size_t{1} << block_log2;
  for (std::size_t at = 0; at < content.size(); at += full) {
    tree.add(stx_leaf(engine, content.subspan(at, std::min(full, content.size() - at))));
  }
  return tree.root();
}

Meta stx_file(std::string name, std::uint64_t size_bytes, std::uint8_t block_log2) {
  return {.block_log2 = block_log2,
          .entries = {Entry{.kind = EntryKind::file,
                            .mode = 0644,
                            .mtime_ns = 1700000000000000000,
                            .size_bytes = size_bytes,
                            .name = std::move(name)}}};
}

ByteView StxSource::block(std::uint32_t number) const {
  const std::size_t at = number * block_bytes();
  if (at >= content.size()) return {};
  return ByteView(content).subspan(at, std::min(block_bytes(), content.size() - at));
}

// --- setting up

StxPair::StxPair(std::uint64_t seed, const Limits& given)
    : limits(given), engine_(std::move(*crypto::make_engine())), dice_(seed) {}

void StxPair::start() {
  sender_.emplace(limits, holes_, *engine_, now);
  receiver_.emplace(limits, kMaxBlockLog2, true, *engine_, now);
  for (Lane& lane : lanes_) lane = Lane{};
  lanes_[0].open = true;
  writes_.clear();
  metas_.clear();
  next_source_ = 0;
  item_of_source.clear();
  over.clear();
  answered.clear();
  started.clear();
  durable_told.clear();
  failed.clear();
  dropped.clear();
  sender_over.reset();
  receiver_over.reset();
  client_log.clear();
  server_log.clear();
  silent_close = false;
  pump();
}

void StxPair::open_lane(LaneId lane) {
  lanes_[lane] = Lane{};
  lanes_[lane].open = true;
  receiver_->handle_lane_opened(lane, now);
  sender_->handle_lane_opened(lane, now);
  pump();
}

void StxPair::cut_lane(LaneId lane) {
  lanes_[lane] = Lane{};
  // What was opened is written before the end is told.
  for (std::size_t i = 0; i < writes_.size();) {
    if (writes_[i].lane == lane) {
      write(i);
    } else {
      ++i;
    }
  }
  receiver_->handle_lane_ended(lane, now);
  sender_->handle_lane_ended(lane, now);
  pump();
}

void StxPair::crash() {
  for (auto& [name, file] : disk) {
    if (!file.finished) file.part = file.safe;
  }
  writes_.clear();
}

void StxPair::advance(Duration time) {
  now += time;
  sender_->handle_timeout(now);
  receiver_->handle_timeout(now);
  pump();
}

StxSource* StxPair::source_of(ItemId item) {
  const auto found = std::ranges::find(item_of_source, item);
  if (found == item_of_source.end()) return nullptr;
  return &sources[static_cast<std::size_t>(found - item_of_source.begin())];
}

// --- running

bool StxPair::step() {
  std::vector<std::function<void()>> choices;
  for (LaneId lane = 0; lane < kMaxLanes; ++lane) {
    if (!lanes_[lane].to_server.empty() && writes_.size() < write_ahead) {
      choices.emplace_back([this, lane] { deliver_to_server(lane); });
    }
    if (!lanes_[lane].to_client.empty()) {
      choices.emplace_back([this, lane] { deliver_to_client(lane); });
    }
  }
  if (!writes_.empty()) {
    choices.emplace_back([this] { write(in_order ? 0 : dice_.below(writes_.size())); });
  }
  if (choices.empty()) return false;
  choices[dice_.below(choices.size())]();
  pump();
  return true;
}

void StxPair::run() {
  int idle = 0;
  while (!(sender_over && receiver_over) && !silent_close && idle < 3) {
    if (step()) {
      idle = 0;
      continue;
    }
    // Nothing is under way: the next deadline.
    commit();
    pump();
    if (step()) continue;
    const auto a = sender_->poll_timeout();
    const auto b = receiver_->poll_timeout();
    if (!a && !b) break;
    const TimePoint next = a && b ? std::min(*a, *b) : a ? *a : *b;
    ++idle;
    advance(std::max(next, now) - now);
  }
}

void StxPair::pump() {
  for (bool more = true; more;) {
    more = false;
    offer();
    for (LaneId lane = 0; lane < kMaxLanes; ++lane) {
      if (!lanes_[lane].open) continue;
      while (pump_sender(lane)) more = true;
      while (const auto frame = receiver_->poll_frame(lane, now)) {
        more = true;
        const auto message = parse_message(frame->head.type(), frame->plaintext, Side::server);
        EXPECT_TRUE(message.has_value());
        server_log.push_back(std::to_string(frame->head.type()));
        lanes_[lane].to_client.push_back(
            {.counter = frame->counter, .head = frame->head, .body = copy_of(frame->plaintext)});
      }
    }
    more = sender_events() || more;
    more = receiver_events() || more;
  }
}

bool StxPair::pump_sender(LaneId lane) {
  const auto order = sender_->poll_frame(lane, now);
  if (!order) return false;
  StxFrame frame;
  if (const auto* control = std::get_if<ControlFrame>(&*order)) {
    frame = {
        .counter = control->counter, .head = control->head, .body = copy_of(control->plaintext)};
    client_log.push_back("c" + std::to_string(control->head.type()));
  } else {
    const auto& block = std::get<BlockFrame>(*order);
    const StxSource& source = *source_of(block.item);
    Bytes body = copy_of(source.block(block.block));
    if (body.size() != block.block_bytes) {
      sender_->drop(block.item, Code::source_changed);  // shrunk: its frame goes all the same
      body.resize(block.block_bytes);
    }
    sender_->handle_leaf(block.item, block.block, stx_leaf(*engine_, body));
    if (source.pad) body.resize(source.block_bytes());
    frame = {
        .counter = block.counter,
        .head = {.sequence = block.block, .size_bytes = static_cast<std::uint32_t>(body.size())},
        .item = block.item,
        .body = std::move(body)};
    client_log.push_back((block.resend ? "r" : "b") + std::to_string(block.block));
    ++blocks_sent;
  }
  if (!tamper || tamper(lane, frame)) lanes_[lane].to_server.push_back(std::move(frame));
  return true;
}

// --- the sender's side

void StxPair::offer() {
  while (next_source_ < sources.size() && sender_->can_offer()) {
    StxSource& source = sources[next_source_++];
    const ItemId item = sender_->offer(source.meta, now);
    item_of_source.push_back(item);
    if (!source.meta.size_unknown) continue;
    const auto blocks = static_cast<std::uint32_t>(
        (source.content.size() + source.block_bytes() - 1) / source.block_bytes());
    sender_->supply(item, blocks, source.content.size());
  }
  if (auto_finish && next_source_ == sources.size()) sender_->finish();
}

std::uint32_t StxPair::Holes::zero_blocks(ItemId item, std::uint32_t block) {
  const StxSource* source = pair_->source_of(item);
  if (source == nullptr || !source->holes) return 0;
  std::uint32_t count = 0;
  for (;; ++count) {
    const ByteView bytes = source->block(block + count);
    if (bytes.empty() || std::ranges::any_of(bytes, [](auto byte) { return byte != 0; })) break;
  }
  return count;
}

bool StxPair::sender_events() {
  bool any = false;
  while (const auto event = sender_->poll_event()) {
    any = true;
    if (const auto* e = std::get_if<ItemAnswered>(&*event)) answered[e->item] = e->code;
    if (const auto* e = std::get_if<ItemStarted>(&*event)) started[e->item] = e->start;
    if (const auto* e = std::get_if<ItemOver>(&*event)) over[e->item] = *e;
    if (const auto* e = std::get_if<BlocksDurable>(&*event)) {
      durable_told[e->item] = std::max(durable_told[e->item], e->blocks);
    }
    if (const auto* e = std::get_if<SessionOver>(&*event)) sender_over = *e;
    if (const auto* e = std::get_if<LeavesWanted>(&*event)) {
      const StxSource& source = *source_of(e->item);
      if (source.unreadable_twice) {
        sender_->cannot_read_twice(e->item);
        continue;
      }
      for (std::uint32_t i = 0; i < e->count; ++i) {
        const Hash leaf = stx_leaf(*engine_, source.block(i));
        sender_->handle_leaves(e->item, std::span(&leaf, 1));
      }
    }
  }
  return any;
}

// --- the receiver's side

bool StxPair::receiver_events() {
  bool any = false;
  while (auto event = receiver_->poll_event()) {
    any = true;
    if (auto* e = std::get_if<Offered>(&*event)) {
      const Meta& meta = e->meta;
      metas_[meta.item] = meta;
      StxFile& file = disk[meta.entries[0].name];
      MetaAnswer answer;
      if (policy) {
        answer = policy(meta);
      } else if (file.block_log2 == meta.block_log2) {
        const auto blocks = *block_count(*total_bytes(meta), meta.block_log2);
        answer.have = meta.size_unknown ? file.have : std::min(file.have, blocks);
        answer.in_place = file.finished;
      }
      receiver_->answer(meta.item, answer);
    } else if (const auto* wanted = std::get_if<LeavesWanted>(&*event)) {
      const Meta& meta = metas_[wanted->item];
      const StxSource file{.meta = meta, .content = disk[meta.entries[0].name].part};
      std::vector<Hash> leaves;
      for (std::uint32_t i = 0; i < wanted->count && !file.block(i).empty(); ++i) {
        leaves.push_back(stx_leaf(*engine_, file.block(i)));
      }
      receiver_->handle_leaves(wanted->item, leaves, leaves.size() < wanted->count);
    } else if (const auto* begun = std::get_if<Receiving>(&*event)) {
      const Meta& meta = metas_[begun->item];
      StxFile& file = disk[meta.entries[0].name];
      file.finished = false;
      file.block_log2 = meta.block_log2;
      file.have = begun->start;
      if (begun->start == 0) file.part.clear();
    } else if (const auto* run = std::get_if<ZeroRun>(&*event)) {
      const Meta& meta = metas_[run->item];
      Bytes& part = disk[meta.entries[0].name].part;
      const std::size_t from = std::size_t{run->first} << meta.block_log2;
      const std::size_t to = from + (std::size_t{run->count} << meta.block_log2);
      if (part.size() < to) part.resize(to);
      std::fill(part.begin() + static_cast<std::ptrdiff_t>(from),
                part.begin() + static_cast<std::ptrdiff_t>(to), std::uint8_t{0});
    } else if (const auto* whole = std::get_if<ItemComplete>(&*event)) {
      put_in_place(whole->item, whole->size_bytes);
    } else if (const auto* bad = std::get_if<ItemFailed>(&*event)) {
      failed[bad->item] = bad->code;
      StxFile& file = disk[metas_[bad->item].entries[0].name];
      if (bad->code == Code::root_differs) file = StxFile{};
    } else if (const auto* gone = std::get_if<ItemDropped>(&*event)) {
      dropped[gone->item] = gone->code;
    } else if (const auto* end = std::get_if<SessionOver>(&*event)) {
      receiver_over = *end;
    }
  }
  return any;
}

void StxPair::put_in_place(ItemId item, std::uint64_t size_bytes) {
  const Meta& meta = metas_[item];
  StxFile& file = disk[meta.entries[0].name];
  file.part.resize(size_bytes);
  file.safe = file.part;
  file.finished = true;
  file.have = *block_count(size_bytes, meta.block_log2);
  const bool pack = meta.entries.size() > 1;
  if (!pack) receiver_->handle_durable(item, receiver_->leading_blocks(item));
  receiver_->finish(item, Code::normal, pack ? kept_out : std::vector<EntryCode>{});
}

void StxPair::commit() {
  since_commit_ = 0;
  if (commit_every == 0) return;
  for (const auto& [item, meta] : metas_) {
    StxFile& file = disk[meta.entries[0].name];
    const std::uint32_t blocks = receiver_->leading_blocks(item);
    if (blocks == 0 || file.finished || meta.entries.size() > 1) continue;
    file.safe = file.part;
    file.have = blocks;
    receiver_->handle_durable(item, blocks);
  }
}

// --- the network

void StxPair::deliver_to_server(LaneId lane) {
  StxFrame frame = std::move(lanes_[lane].to_server.front());
  lanes_[lane].to_server.pop_front();
  const auto slot = receiver_->expect_frame(lane, frame.head, now);
  if (!slot) {
    silent_close = !receiver_over;
    return;
  }
  if (frame.damaged) return receiver_->handle_damaged(lane, *slot, now);
  const bool opens =
      slot->counter == frame.counter && (frame.head.is_control() || slot->item == frame.item);
  if (!opens) {
    silent_close = true;
    return;
  }
  if (!frame.head.is_control()) return accept_block(lane, *slot, frame);
  const auto message = parse_message(frame.head.type(), frame.body, Side::client);
  if (!message) return receiver_->handle_fault(message.error(), now);
  receiver_->handle_message(lane, *slot, *message, now);
}

void StxPair::accept_block(LaneId lane, const FrameSlot& slot, StxFrame& frame) {
  Write write{.lane = lane, .slot = slot, .block = std::move(frame.body), .leaf = {}};
  if (slot.wanted) {
    const auto form = Receiver::block_form(slot, write.block.size());
    if (!form) return receiver_->handle_fault(form.error(), now);
    if (*form == BlockForm::padded) write.block.resize(slot.block_bytes);
    write.leaf = stx_leaf(*engine_, write.block);
  }
  writes_.push_back(std::move(write));
}

void StxPair::write(std::size_t which) {
  const Write write = std::move(writes_[which]);
  writes_.erase(writes_.begin() + static_cast<std::ptrdiff_t>(which));
  if (write.slot.wanted) {
    const Meta& meta = metas_[write.slot.item];
    Bytes& part = disk[meta.entries[0].name].part;
    const std::size_t at = std::size_t{write.slot.head.sequence} << meta.block_log2;
    if (part.size() < at + write.block.size()) part.resize(at + write.block.size());
    std::ranges::copy(write.block, part.begin() + static_cast<std::ptrdiff_t>(at));
    ++blocks_written;
  }
  receiver_->handle_block(write.lane, write.slot, write.leaf,
                          static_cast<std::uint32_t>(write.block.size()), now);
  if (commit_every != 0 && ++since_commit_ >= commit_every) commit();
}

void StxPair::deliver_to_client(LaneId lane) {
  const StxFrame frame = std::move(lanes_[lane].to_client.front());
  lanes_[lane].to_client.pop_front();
  EXPECT_EQ(frame.counter, lanes_[lane].from_server++);
  const auto message = parse_message(frame.head.type(), frame.body, Side::server);
  if (!message) return sender_->handle_bad_message(message.error(), now);
  sender_->handle_message(lane, *message, now);
}

}  // namespace sealine::test
