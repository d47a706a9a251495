// The receiver of files: what the sender says of items, and how they come to an end.
// spec: stx.md#course

#include "sealine/base/assert.hpp"
#include "stx/detail/receiver_machine.hpp"

#include <algorithm>
#include <utility>
#include <variant>

namespace sealine::stx {

using detail::ArrivedFrame;
using detail::ReceiveItem;
using detail::ReceiveLane;
using detail::ReceiveLife;
using detail::ReceiveLifeEvent;
using detail::ResumeProof;
using detail::SessionEvent;
using detail::SessionState;

namespace {

template <class... Overloads>
struct Match : Overloads... {
  using Overloads::operator()...;
};

/// What lanes other than 0 carry.
bool is_for_any_lane(const Message& message) {
  return std::holds_alternative<Select>(message) || std::holds_alternative<KeepAlive>(message) ||
         std::holds_alternative<Close>(message);
}

}  // namespace

void Receiver::Machine::message(LaneId number, const FrameSlot& slot, const Message& message,
                                TimePoint now) {
  SEALINE_ASSERT(number < kMaxLanes);
  ReceiveLane& lane = lanes[number];
  if (state != SessionState::running || !lane.open) return;
  ArrivedFrame* frame = lane.arrivals.find(slot.counter);
  if (frame == nullptr) return;
  hand_in(lane, *frame, now);

  const auto taken = [&]() -> Result<> {
    if (number != 0 && !is_for_any_lane(message)) return fail(Errc::protocol_broken);
    return std::visit(Match{
                          [&](const Meta& m) { return on_meta(m, slot.head.size_bytes); },
                          [&](const Resume& m) { return on_resume(m); },
                          [&](const Select& m) { return on_select(lane, m); },
                          [&](const Zero& m) { return on_zero(m); },
                          [&](const End& m) { return on_end(m); },
                          [&](const Drop& m) { return on_drop(m); },
                          [&](const Close& m) { return on_close(number, m); },
                          [&](const KeepAlive&) { return Result<>{}; },
                          [&](const auto&) -> Result<> { return fail(Errc::protocol_broken); },
                      },
                      message);
  }();
  if (!taken) give_up(Code::protocol, taken.error());
}

/// The item, or nullptr if it is over. Errors: protocol_broken: no META came for it.
Result<ReceiveItem*> Receiver::Machine::known(ItemId id) {
  if (id >= next_item) return fail(Errc::protocol_broken);
  return items.find(id);
}

bool Receiver::Machine::step(ReceiveItem& item, ReceiveLifeEvent on) {
  const auto to = detail::next_life(item.life, on);
  if (to) item.life = *to;
  return to.has_value();
}

// --- META, META_OK

Result<> Receiver::Machine::on_meta(const Meta& meta, std::size_t bytes) {
  const bool too_many = open_count >= kMaxOpenItems || open_meta_bytes + bytes > kMaxOpenMetaBytes;
  if (too_many || meta.item != next_item || meta.block_log2 > max_block_log2 ||
      (meta.compressible && !accepts_zstd)) {
    return fail(Errc::protocol_broken);
  }
  SEALINE_TRY(total, total_bytes(meta));
  SEALINE_TRY(blocks, block_count(total, meta.block_log2));

  ReceiveItem& item = items.open(meta.item, meta.item, meta.block_log2, *engine);
  if (!meta.size_unknown) item.layout.set_size(total, blocks);
  item.compressible = meta.compressible;
  item.meta_bytes = bytes;
  ++next_item;
  ++open_count;
  open_meta_bytes += bytes;
  events.emplace_back(Offered{meta});
  return {};
}

void Receiver::Machine::answer(ItemId id, const MetaAnswer& answer) {
  ReceiveItem* item = items.find(id);
  if (state != SessionState::running || item == nullptr || item->life != ReceiveLife::offered) {
    return;
  }
  item->answer = answer;
  item->answer->have = std::min(answer.have, item->layout.blocks());
  send_answers();
}

/// META_OK goes out in the order of META: an item whose answer is not there stops those behind it.
void Receiver::Machine::send_answers() {
  for (bool again = true; again;) {
    again = false;
    for (ReceiveItem* item : items.all()) {
      if (item->life != ReceiveLife::offered) continue;
      if (!item->answer) return;
      admit(*item);  // may close the item: begin anew
      again = true;
      break;
    }
  }
}

void Receiver::Machine::admit(ReceiveItem& item) {
  const MetaAnswer& answer = *item.answer;
  MetaOk message{.item = item.id, .code = answer.code, .have = answer.have};
  if (answer.code != Code::normal) {
    message.have = 0;
    step(item, ReceiveLifeEvent::refused);
    return item_over(item, message);
  }
  orders.push_back({.message = message});
  if (answer.have == 0) {
    step(item, ReceiveLifeEvent::admitted_new);
    return begin(item, 0);
  }
  step(item, ReceiveLifeEvent::admitted_have);
  item.proof.emplace(*engine, answer.have);
  events.emplace_back(LeavesWanted{.item = item.id, .count = answer.have});
}

// --- RESUME, RESUME_OK

Result<> Receiver::Machine::on_resume(const Resume& message) {
  SEALINE_TRY(item, known(message.item));
  if (item == nullptr) return {};
  if (!step(*item, ReceiveLifeEvent::resume) || message.run_log2 != item->proof->run_log2() ||
      message.roots.size() != item->proof->root_count()) {
    return fail(Errc::protocol_broken);
  }
  item->claim = message;
  compare(*item);
  return {};
}

void Receiver::Machine::leaves(ItemId id, std::span<const Hash> leaves, bool ended) {
  ReceiveItem* item = items.find(id);
  if (state != SessionState::running || item == nullptr || !item->proof || item->proof_ended) {
    return;
  }
  item->proof->add(leaves);
  item->proof_ended = ended || item->proof->is_complete();
  if (!item->proof_ended) return;
  item->proof->finish();
  compare(*item);
}

/// Once both have come: the runs whose roots are equal, counted from the left.
void Receiver::Machine::compare(ReceiveItem& item) {
  if (item.life != ReceiveLife::comparing || !item.proof_ended) return;
  const ResumeProof& ours = *item.proof;
  const auto differs = std::ranges::mismatch(ours.roots(), item.claim->roots);
  const auto equal = static_cast<std::uint64_t>(differs.in1 - ours.roots().begin());
  auto start =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(equal << ours.run_log2(), ours.have()));
  const bool other_in_place = item.answer->in_place && start != ours.have();
  if (other_in_place) start = 0;
  orders.push_back({.message = ResumeOk{.item = item.id, .start = start}});
  if (other_in_place && item.answer->keep_old) {
    events.emplace_back(ItemFailed{.item = item.id, .code = Code::exists});
    step(item, ReceiveLifeEvent::failed);
    return item_over(item, Done{.item = item.id, .code = Code::exists, .entries = {}});
  }
  step(item, ReceiveLifeEvent::compared);
  begin(item, start);
}

void Receiver::Machine::begin(ReceiveItem& item, std::uint32_t start) {
  item.held.begin(start, start > 0 ? item.proof->tree_of(start) : Tree(*engine));
  item.durable = start;
  item.proof.reset();
  item.claim.reset();
  events.emplace_back(Receiving{.item = item.id, .start = start});
}

/// SELECT, ZERO or END without RESUME: from block 0.
Result<> Receiver::Machine::begin_if_unproved(ReceiveItem& item, ReceiveLifeEvent on) {
  const bool unproved = item.life == ReceiveLife::proof_due;
  if (!step(item, on)) return fail(Errc::protocol_broken);
  if (unproved) begin(item, 0);
  return {};
}

// --- blocks

Result<> Receiver::Machine::on_select(ReceiveLane& lane, const Select& message) {
  SEALINE_TRY(item, known(message.item));
  lane.selected = message.item;
  if (item == nullptr) return {};
  SEALINE_TRY(begin_if_unproved(*item, ReceiveLifeEvent::select));
  return {};
}

Result<> Receiver::Machine::on_zero(const Zero& message) {
  SEALINE_TRY(item, known(message.item));
  if (item == nullptr) return {};
  SEALINE_TRY(begin_if_unproved(*item, ReceiveLifeEvent::zero));
  if (message.count == 0 || message.count > item->layout.blocks() ||
      message.first > item->layout.blocks() - message.count) {
    return fail(Errc::protocol_broken);
  }
  const std::uint32_t last = message.first + message.count - 1;
  item->highest_block = std::max(item->highest_block, last);
  if (item->short_block && last > item->short_block->block) return fail(Errc::protocol_broken);
  for (const auto& gap : item->held.put_zeros(message.first, message.count, item->layout)) {
    events.emplace_back(ZeroRun{.item = item->id, .first = gap.first, .count = gap.count});
  }
  if (item->held.pieces_behind() > kMaxPiecesBehind) return fail(Errc::protocol_broken);
  acknowledge_if_all(*item);
  return {};
}

// --- END, DONE, DROP

Result<> Receiver::Machine::on_end(const End& message) {
  SEALINE_TRY(item, known(message.item));
  if (item == nullptr) return {};
  SEALINE_TRY(begin_if_unproved(*item, ReceiveLifeEvent::end));
  const bool sized = item->layout.is_size_known();
  const std::uint32_t blocks = sized ? item->layout.blocks() : message.blocks;
  const bool missing = item->held.leading() < blocks || item->held.pieces_behind() > 0;
  if (missing) return fail(Errc::protocol_broken);

  std::uint64_t size = item->layout.size_bytes();
  if (!sized) {
    const std::uint32_t held = item->held.leading();
    size = std::uint64_t{held} << item->layout.block_log2();
    if (item->short_block) size -= item->layout.full_bytes() - item->short_block->bytes;
  }
  const bool agrees = message.blocks == item->held.leading() && message.size_bytes == size &&
                      message.root == item->held.root();
  if (agrees) {
    step(*item, ReceiveLifeEvent::end_agrees);
    events.emplace_back(ItemComplete{.item = item->id, .size_bytes = size});
    return {};
  }
  events.emplace_back(ItemFailed{.item = item->id, .code = Code::root_differs});
  step(*item, ReceiveLifeEvent::end_differs);
  item_over(*item, Done{.item = item->id, .code = Code::root_differs, .entries = {}});
  return {};
}

void Receiver::Machine::finish(ItemId id, Code code, std::vector<EntryCode> entries) {
  ReceiveItem* item = items.find(id);
  if (state != SessionState::running || item == nullptr ||
      !step(*item, ReceiveLifeEvent::finished)) {
    return;
  }
  item_over(*item, Done{.item = id, .code = code, .entries = std::move(entries)});
}

void Receiver::Machine::refuse(ItemId id, Code code) {
  SEALINE_ASSERT(code != Code::normal);
  ReceiveItem* item = items.find(id);
  if (state != SessionState::running || item == nullptr || !step(*item, ReceiveLifeEvent::failed)) {
    return;
  }
  item_over(*item, Done{.item = id, .code = code, .entries = {}});
}

Result<> Receiver::Machine::on_drop(const Drop& message) {
  SEALINE_TRY(item, known(message.item));
  if (item == nullptr) return {};
  step(*item, ReceiveLifeEvent::drop);
  events.emplace_back(ItemDropped{.item = item->id, .code = message.code});
  item_over(*item, std::nullopt);
  send_answers();  // it may have been the one that they waited for
  return {};
}

/// Ends the item; it leaves the limits of META when `last` has gone out.
void Receiver::Machine::item_over(ReceiveItem& item, std::optional<Message> last) {
  if (last) {
    orders.push_back(
        {.message = std::move(*last), .item_over = true, .meta_bytes = item.meta_bytes});
  } else {
    --open_count;
    open_meta_bytes -= item.meta_bytes;
  }
  items.close(item.id);
}

// --- CLOSE

Result<> Receiver::Machine::on_close(LaneId number, const Close& message) {
  ReceiveLane& lane = lanes[number];
  lane.peer_closed = true;
  if (message.code == Code::normal && number != 0) {
    end_lane(number);
    lane.open = true;  // for our CLOSE alone
    lane.close_due = !lane.close_sent;
    return {};
  }
  if (message.code == Code::normal && open_count > 0) return fail(Errc::protocol_broken);
  order_close(message.code);
  end_session(SessionEvent::peer_closed, {.code = message.code, .by_peer = true, .fault = {}});
  return {};
}

}  // namespace sealine::stx
