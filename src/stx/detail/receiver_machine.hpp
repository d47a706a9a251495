#pragma once

#include "sealine/stx/receiver.hpp"
#include "stx/detail/ack_pace.hpp"
#include "stx/detail/arrivals.hpp"
#include "stx/detail/block_layout.hpp"
#include "stx/detail/durable_map.hpp"
#include "stx/detail/held_blocks.hpp"
#include "stx/detail/item_life.hpp"
#include "stx/detail/item_table.hpp"
#include "stx/detail/lane_timers.hpp"
#include "stx/detail/resume_proof.hpp"
#include "stx/detail/session_life.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace sealine::stx {
namespace detail {

/// An item from META to DONE.
struct ReceiveItem {
  ReceiveItem(ItemId number, std::uint8_t block_log2, crypto::Engine& engine)
      : id(number), layout(block_log2), held(engine) {}

  /// The last block, of which alone a shorter one may come: of unknown size, once it has come.
  struct ShortBlock {
    std::uint32_t block = 0;
    std::uint32_t bytes = 0;
  };

  ItemId id;
  ReceiveLife life = ReceiveLife::offered;
  BlockLayout layout;
  HeldBlocks held;
  bool compressible = false;
  std::size_t meta_bytes = 0;
  std::uint32_t durable = 0;  ///< leading blocks on stable storage
  std::optional<MetaAnswer> answer;
  std::optional<ResumeProof> proof;       ///< our own, from disk
  bool proof_ended = false;               ///< all leaves that the disk gives
  std::optional<Resume> claim;            ///< the sender's, until ours is complete
  std::optional<ShortBlock> short_block;  ///< size unknown
  std::uint32_t highest_block = 0;        ///< size unknown
};

/// A connection, as the receiver sees it.
struct ReceiveLane {
  bool open = false;
  bool peer_closed = false;
  bool close_due = false;
  bool close_sent = false;
  bool keep_alive_due = false;
  std::optional<ItemId> selected;
  Arrivals arrivals;
  DurableMap unsafe;
  AckPace pace;
  Ring<std::uint64_t> naks;  ///< due
  std::uint64_t next_counter = 0;
  LaneTimers timers;
};

/// A control frame that lane 0 owes. With the last one of an item it leaves the limits of META.
struct ReceiveOrder {
  Message message;
  bool item_over = false;
  std::size_t meta_bytes = 0;
};

}  // namespace detail

struct Receiver::Machine {
  Machine(const Limits& given, std::uint8_t block_log2, bool zstd, crypto::Engine& crypto,
          TimePoint now);

  // receiver.cpp: lanes, time, what goes
  void open_lane(LaneId lane, TimePoint now);
  void lane_ended(LaneId lane);
  void end_lane(LaneId lane);
  void timeout(TimePoint now);
  [[nodiscard]] std::optional<TimePoint> earliest() const;
  std::optional<ControlFrame> next_frame(LaneId lane, TimePoint now);
  std::optional<ControlFrame> next_message(LaneId number, detail::ReceiveLane& lane);
  ControlFrame control_frame(detail::ReceiveLane& lane, const Message& message);
  void order_close(Code code);
  void end_session(detail::SessionEvent on, const SessionOver& over);
  void give_up(Code code, Error fault);

  // receiver_frames.cpp: frames, blocks, acknowledgements
  Result<FrameSlot> expect(LaneId lane, FrameHead head, TimePoint now);
  Result<> expect_block(LaneId lane, FrameSlot& slot, detail::ArrivedFrame& frame);
  void damaged(LaneId lane, const FrameSlot& slot, TimePoint now);
  void block(LaneId lane, const FrameSlot& slot, const Hash& leaf, std::uint32_t bytes,
             TimePoint now);
  Result<> take_block(detail::ReceiveItem& item, std::uint32_t block, std::uint32_t bytes,
                      const Hash& leaf);
  void hand_in(detail::ReceiveLane& lane, detail::ArrivedFrame& frame, TimePoint now);
  bool settle_durable(detail::ReceiveLane& lane);
  void acknowledge_if_all(const detail::ReceiveItem& item);
  void durable(ItemId id, std::uint32_t blocks);

  // receiver_messages.cpp: items
  void message(LaneId lane, const FrameSlot& slot, const Message& message, TimePoint now);
  Result<> on_meta(const Meta& meta, std::size_t bytes);
  Result<> on_resume(const Resume& message);
  Result<> on_end(const End& message);
  Result<> on_drop(const Drop& message);
  Result<> on_zero(const Zero& message);
  Result<> on_select(detail::ReceiveLane& lane, const Select& message);
  Result<> on_close(LaneId number, const Close& message);
  [[nodiscard]] Result<detail::ReceiveItem*> known(ItemId id);
  Result<> begin_if_unproved(detail::ReceiveItem& item, detail::ReceiveLifeEvent on);
  void answer(ItemId id, const MetaAnswer& answer);
  void send_answers();
  void admit(detail::ReceiveItem& item);
  void leaves(ItemId id, std::span<const Hash> leaves, bool ended);
  void compare(detail::ReceiveItem& item);
  void begin(detail::ReceiveItem& item, std::uint32_t start);
  void finish(ItemId id, Code code, std::vector<EntryCode> entries);
  void refuse(ItemId id, Code code);
  void item_over(detail::ReceiveItem& item, std::optional<Message> last);
  bool step(detail::ReceiveItem& item, detail::ReceiveLifeEvent on);

  Limits limits;
  std::uint8_t max_block_log2;
  bool accepts_zstd;
  crypto::Engine* engine;
  detail::SessionState state = detail::SessionState::running;
  ItemId next_item = 0;
  std::size_t open_count = 0;  ///< between META and the last frame of the item
  std::size_t open_meta_bytes = 0;
  unsigned nak_count = 0;
  detail::ItemTable<detail::ReceiveItem, kMaxOpenItems> items;
  std::array<detail::ReceiveLane, kMaxLanes> lanes;
  std::deque<detail::ReceiveOrder> orders;
  Code close_code{};
  std::vector<std::uint8_t> scratch;  ///< of the control frame given last
  std::deque<Event> events;
};

}  // namespace sealine::stx
