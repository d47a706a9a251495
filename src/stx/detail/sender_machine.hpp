#pragma once

#include "sealine/stx/sender.hpp"
#include "stx/detail/block_layout.hpp"
#include "stx/detail/item_life.hpp"
#include "stx/detail/item_table.hpp"
#include "stx/detail/lane_timers.hpp"
#include "stx/detail/resume_proof.hpp"
#include "stx/detail/send_window.hpp"
#include "stx/detail/sent_blocks.hpp"
#include "stx/detail/sent_frames.hpp"
#include "stx/detail/session_life.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace sealine::stx {
namespace detail {

/// An item from META to DONE, or until its DROP is covered.
struct SendItem {
  SendItem(ItemId number, std::uint8_t block_log2, crypto::Engine& engine)
      : id(number), layout(block_log2), zeros(engine), tree(engine) {}

  /// Whether more blocks can be ordered.
  [[nodiscard]] bool has_blocks_to_order() const noexcept {
    return life == SendLife::sending && next_block < readable_blocks && !blocks.is_full();
  }

  ItemId id;
  SendLife life = SendLife::offered;
  BlockLayout layout;
  ZeroLeaves zeros;
  Tree tree;          ///< of the blocks that nobody will ask for again
  SentBlocks blocks;  ///< the ones behind them
  std::optional<ResumeProof> proof;
  std::vector<std::uint8_t> meta;  ///< encoded, until it goes out
  std::size_t meta_bytes = 0;      ///< of the 4 MiB
  std::size_t entry_count = 0;
  std::uint32_t next_block = 0;       ///< to be ordered
  std::uint32_t readable_blocks = 0;  ///< all, or what was supplied
  Code drop_code{};
  bool size_untold = false;  ///< in META, whatever was supplied since
};

/// A connection, as the sender sees it.
struct SendLane {
  bool open = false;
  bool close_due = false;
  bool close_sent = false;
  bool keep_alive_due = false;
  std::optional<ItemId> selected;
  SentFrames frames;
  DurableMarks durable;
  LaneTimers timers;
};

/// A control frame that lane 0 owes.
struct SendOrder {
  enum class Kind : std::uint8_t { meta, resume, zero, end, drop };

  Kind kind{};
  ItemId item = 0;
  std::uint32_t first = 0;  ///< of zero
};

struct Resend {
  ItemId item = 0;
  std::uint32_t block = 0;
};

}  // namespace detail

struct Sender::Machine {
  /// Items that are not over, and those whose DROP is not covered.
  using Items = detail::ItemTable<detail::SendItem, 2 * kMaxOpenItems>;

  Machine(const Limits& given, ZeroRuns& holes, crypto::Engine& crypto, TimePoint now);

  // sender.cpp: lanes, time, commands
  void open_lane(LaneId lane, TimePoint now);
  void end_lane(LaneId lane);
  void lane_ended(LaneId lane);
  void timeout(TimePoint now);
  [[nodiscard]] std::optional<TimePoint> earliest() const;
  [[nodiscard]] bool can_offer() const noexcept;
  ItemId offer(Meta meta);
  void supply(ItemId id, std::uint32_t blocks, std::optional<std::uint64_t> size_bytes);
  void drop(ItemId id, Code code);
  void close_if_all_over();
  void end_session(detail::SessionEvent on, const SessionOver& over);
  void order_close(Code code);
  void give_up(Code code, Error fault);
  bool step(detail::SendItem& item, detail::SendLifeEvent on);
  void close_item(detail::SendItem& item);
  void release_due(detail::SendItem& item);

  // sender_messages.cpp: what comes, and what follows from it
  void message(LaneId lane, const Message& message, TimePoint now);
  Result<> on(LaneId lane, const MetaOk& message);
  Result<> on(LaneId lane, const Ack& message);
  Result<> on(LaneId lane, const Nak& message);
  Result<> on(LaneId lane, const ResumeOk& message);
  Result<> on(LaneId lane, const Done& message);
  Result<> on(LaneId lane, const Close& message);
  Result<> on(LaneId lane, const auto& message);  // KEEPALIVE, and what no server sends
  void covered(const detail::SentFrame& frame);
  void tell_durable(detail::SendLane& lane, std::uint64_t durable);
  void leaves(ItemId id, std::span<const Hash> leaves);
  void cannot_read_twice(ItemId id);
  void leaf(ItemId id, std::uint32_t block, const Hash& leaf);
  void start(detail::SendItem& item, std::uint32_t block);
  void settle(detail::SendItem& item);

  // sender_orders.cpp: what goes
  std::optional<FrameOrder> next_frame(LaneId lane, TimePoint now);
  std::optional<FrameOrder> next_order(detail::SendLane& lane);
  std::optional<FrameOrder> next_resend(detail::SendLane& lane);
  std::optional<FrameOrder> next_block(LaneId number, detail::SendLane& lane);
  detail::SendItem* item_to_send();
  bool order_zeros(detail::SendItem& item);
  FrameOrder block_frame(detail::SendLane& lane, detail::SendItem& item, std::uint32_t block,
                         std::uint64_t place, bool resend);
  ControlFrame control_frame(detail::SendLane& lane, const Message& message,
                             const detail::SentFrame& record = {});
  ControlFrame control_bytes(detail::SendLane& lane, std::uint8_t type,
                             const detail::SentFrame& record);

  Limits limits;
  ZeroRuns* zeros;
  crypto::Engine* engine;
  State state = State::running;
  bool no_more_items = false;
  ItemId next_item = 0;
  ItemId metas_sent = 0;       ///< items below are known to the receiver
  ItemId next_answer = 0;      ///< META_OK comes in the order of META
  std::size_t open_count = 0;  ///< of the 64: without the dropped
  std::size_t open_meta_bytes = 0;
  Items items;
  std::array<detail::SendLane, kMaxLanes> lanes;
  detail::SendWindow window;
  detail::Ring<detail::SendOrder> orders;
  detail::Ring<detail::Resend> resends;
  std::optional<ItemId> current;  ///< the item whose blocks are being ordered
  Code close_code{};
  bool poll_again = false;            ///< an order for lane 0 came up in the poll of another
  std::vector<std::uint8_t> scratch;  ///< of the control frame given last
  std::deque<Event> events;
};

}  // namespace sealine::stx
