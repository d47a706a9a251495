#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/time.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/stx/code.hpp"
#include "sealine/stx/frame.hpp"
#include "sealine/stx/limits.hpp"
#include "sealine/stx/message.hpp"
#include "sealine/stx/sender.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

namespace sealine::stx {

/// What the next frame of a lane is, known from its head and what came before.
struct FrameSlot {
  std::uint64_t counter = 0;
  FrameHead head;
  ItemId item = 0;                ///< data: the one SELECTed
  std::uint32_t block_bytes = 0;  ///< data: the block's length; of unknown size the full one
  bool wanted = false;  ///< data: false: open it, write nothing (held already, or the item is over)
  std::uint8_t block_log2 = 0;  ///< data, wanted: of the item, as the two that follow
  bool compressible = false;
  bool size_unknown = false;
};

/// How the plaintext of a data frame stands for its block.
enum class BlockForm : std::uint8_t { as_is, zstd, padded };

/// META of the client: answer() it, in any order; META_OK goes out in the order of META.
struct Offered {
  Meta meta;
};

/// Data comes from block `start` on. 0: the part is made anew.
struct Receiving {
  ItemId item = 0;
  std::uint32_t start = 0;
};

/// Whole blocks of zero bytes.
struct ZeroRun {
  ItemId item = 0;
  std::uint32_t first = 0;
  std::uint32_t count = 0;
};

/// END agrees with every block: make it durable, put it in place, then finish().
struct ItemComplete {
  ItemId item = 0;
  std::uint64_t size_bytes = 0;
};

/// DONE{code} is ordered. root_differs: delete the part.
struct ItemFailed {
  ItemId item = 0;
  Code code{};
};

/// The client dropped it; the part stays.
struct ItemDropped {
  ItemId item = 0;
  Code code{};
};

/// The answer to META.
struct MetaAnswer {
  Code code = Code::normal;
  std::uint32_t have = 0;  ///< leading blocks on disk
  bool in_place = false;   ///< they are finished files in their place
  /// in_place, and policy keeps the old file: blocks that differ are DONE{11} at once.
  bool keep_old = false;
};

/// The course of a session at the end that receives files, without key, socket, clock or file.
/// spec: stx.md#course
///
/// One session: lane 0 and the lanes that joined it. For each frame of a lane, in order: judge its
/// head by expect_frame, check the CRC before the next expect_frame of any lane, open it under the
/// slot's counter and item; then give a control frame's message at once (what follows may depend on
/// it), a block in any order after it was written, also from other threads' work, wanted or not.
/// Then poll_frame on each lane, poll_timeout, and poll_event until it gives nothing. Inputs about
/// an item that is over, or after the session is, do nothing. Time never goes backwards. One
/// thread.
class SEALINE_API Receiver {
 public:
  /// Lane 0 is open. `engine` must outlive the receiver.
  Receiver(const Limits& limits, std::uint8_t max_block_log2, bool accepts_zstd,
           crypto::Engine& engine, TimePoint now);
  Receiver(Receiver&&) noexcept;
  Receiver& operator=(Receiver&&) noexcept;
  ~Receiver();

  // --- inputs

  void handle_lane_opened(LaneId lane, TimePoint now);
  /// After the last of its frames was handed in: no block of the lane is being written any more,
  /// for the others may bring it again. The end of lane 0 ends the session.
  void handle_lane_ended(LaneId lane, TimePoint now);
  /// Counts a frame. Errors: protocol_broken (no item SELECTed, a block out of range, a size over
  /// the block's): close silently, for nothing of it is authentic yet.
  [[nodiscard]] Result<FrameSlot> expect_frame(LaneId lane, FrameHead head, TimePoint now);
  /// The CRC of a counted frame is wrong.
  void handle_damaged(LaneId lane, const FrameSlot& slot, TimePoint now);
  /// An opened control frame.
  void handle_message(LaneId lane, const FrameSlot& slot, const Message& message, TimePoint now);
  /// An opened frame that breaks a rule of content: CLOSE{1}.
  void handle_fault(Error fault, TimePoint now);
  /// How an opened, wanted data frame of `plaintext_bytes` stands for its block. Any thread.
  /// Errors: protocol_broken.
  [[nodiscard]] static Result<BlockForm> block_form(const FrameSlot& slot,
                                                    std::size_t plaintext_bytes);
  /// An opened data frame; where wanted, its block is written and this is its leaf and length.
  void handle_block(LaneId lane, const FrameSlot& slot, const Hash& leaf, std::uint32_t block_bytes,
                    TimePoint now);
  /// The next leaves from block 0 on, for LeavesWanted; fewer than asked, with `ended`, where the
  /// disk gives no more.
  void handle_leaves(ItemId item, std::span<const Hash> leaves, bool ended);
  /// Blocks [0, blocks) of the item are on stable storage and in the ledger.
  void handle_durable(ItemId item, std::uint32_t blocks);
  void handle_timeout(TimePoint now);

  // --- commands

  void answer(ItemId item, const MetaAnswer& answer);
  /// After ItemComplete: the item is durable and in its place; ends with DONE.
  void finish(ItemId item, Code code, std::vector<EntryCode> entries);
  /// DONE with a code, at any time after the answer.
  void refuse(ItemId item, Code code);
  /// Ends the session for a reason other than normal: CLOSE{code} is ordered.
  void close(Code code);

  // --- outputs

  /// The next frame for this lane; its counter is used up.
  [[nodiscard]] std::optional<ControlFrame> poll_frame(LaneId lane, TimePoint now);
  [[nodiscard]] std::optional<TimePoint> poll_timeout() const;
  using Event = std::variant<Offered, LeavesWanted, Receiving, ZeroRun, ItemComplete, ItemFailed,
                             ItemDropped, LaneSilent, SessionOver>;
  [[nodiscard]] std::optional<Event> poll_event();

  // --- getters

  [[nodiscard]] Sender::State state() const noexcept;
  /// Leading blocks of the item that are held: what may be made durable.
  [[nodiscard]] std::uint32_t leading_blocks(ItemId item) const noexcept;

 private:
  struct Machine;
  std::unique_ptr<Machine> machine_;
};

}  // namespace sealine::stx
