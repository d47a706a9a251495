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

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

namespace sealine::stx {

/// A frame whose plaintext the machine gives: seal it under the lane's send key.
struct ControlFrame {
  std::uint64_t counter = 0;
  FrameHead head;
  ByteView plaintext;  ///< good until the machine's next call
};

/// A frame whose plaintext the caller reads: block `block` of `item`, as it is, compressed or
/// padded. Give its leaf to handle_leaf, a resend's leaf too: no END before.
struct BlockFrame {
  std::uint64_t counter = 0;
  ItemId item = 0;
  std::uint32_t block = 0;
  std::uint32_t block_bytes = 0;  ///< its length, without padding
  bool resend = false;
};

using FrameOrder = std::variant<ControlFrame, BlockFrame>;

/// Where an item has holes: asked block by block, in order, before a block is ordered.
class SEALINE_API ZeroRuns {
 public:
  virtual ~ZeroRuns() = default;
  ZeroRuns(const ZeroRuns&) = delete;
  ZeroRuns& operator=(const ZeroRuns&) = delete;

  /// How many whole blocks from `block` on are a hole; 0: there is data.
  [[nodiscard]] virtual std::uint32_t zero_blocks(ItemId item, std::uint32_t block) = 0;

 protected:
  ZeroRuns() = default;
};

/// The receiver's answer to META. A code other than normal: the item is over.
struct ItemAnswered {
  ItemId item = 0;
  Code code{};
};

/// Give the leaves of blocks [0, count) by handle_leaves, or answer cannot_read_twice().
struct LeavesWanted {
  ItemId item = 0;
  std::uint32_t count = 0;
};

/// Blocks [0, start) are proved to be there; ordering goes on from `start`.
struct ItemStarted {
  ItemId item = 0;
  std::uint32_t start = 0;
};

/// The receiver has blocks [0, blocks) on stable storage: nobody will ask for them again.
struct BlocksDurable {
  ItemId item = 0;
  std::uint32_t blocks = 0;
};

struct ItemOver {
  ItemId item = 0;
  Code code{};
  std::vector<EntryCode> entries;  ///< of a pack: what was kept out
};

/// Nothing came on a lane other than 0 for Limits::silence_timeout: close its connection. The
/// machine has already done what handle_lane_ended does.
struct LaneSilent {
  LaneId lane = 0;
};

/// The session is over; nothing more is to be sent once poll_frame gives nothing. Where lane 0
/// ended or fell silent without CLOSE, `fault` is truncated or idle_timeout, and `code`
/// line_damage, so that retry_after(code) answers for these too.
struct SessionOver {
  Code code{};
  bool by_peer = false;
  Error fault{};  ///< what exactly, where the code came from one
};

/// The course of a session at the end that sends files: items, blocks, windows and
/// acknowledgements, without key, socket, clock or file. spec: stx.md#course
///
/// One session: lane 0 and the lanes that joined it. The caller seals the frames it is given, in
/// any order and on any thread, and writes them in the order in which they were given; it opens
/// what comes and hands in the plaintext. After any input or command: poll_frame on each lane that
/// can write, until a round over them all gives nothing, then poll_timeout, then poll_event until
/// it gives nothing. Inputs about an item that is over, or after the session is, do nothing. Time
/// never goes backwards. One thread.
class SEALINE_API Sender {
 public:
  /// Lane 0 is open. `zeros` and `engine` must outlive the sender.
  Sender(const Limits& limits, ZeroRuns& zeros, crypto::Engine& engine, TimePoint now);
  Sender(Sender&&) noexcept;
  Sender& operator=(Sender&&) noexcept;
  ~Sender();

  // --- inputs

  void handle_lane_opened(LaneId lane, TimePoint now);
  /// What the lane had not acknowledged goes to the others; the end of lane 0 ends the session.
  void handle_lane_ended(LaneId lane, TimePoint now);
  /// An opened frame of the receiver. A fault shows in SessionOver, with a CLOSE to be sent.
  void handle_message(LaneId lane, const Message& message, TimePoint now);
  /// An opened frame of the receiver that parse_message refused.
  void handle_bad_message(Error fault, TimePoint now);
  /// The next leaves from block 0 on, for LeavesWanted.
  void handle_leaves(ItemId item, std::span<const Hash> leaves);
  /// The source of LeavesWanted cannot be read again: the item starts from 0.
  void cannot_read_twice(ItemId item);
  /// The leaf of a block that was ordered. Once a block is ordered again, only the leaf of that
  /// order is to be given: END speaks of what was sent last.
  void handle_leaf(ItemId item, std::uint32_t block, const Hash& leaf);
  void handle_timeout(TimePoint now);

  // --- commands

  /// Whether META may run further ahead (64 items, 4 MiB of META), for an item of any size.
  [[nodiscard]] bool can_offer() const noexcept;
  /// META; `meta.item` is set by the machine and returned. Only while can_offer().
  ItemId offer(Meta meta, TimePoint now);
  /// size_unknown: so many blocks can be read, and the whole size once it is known, not less than
  /// what was readable before.
  void supply(ItemId item, std::uint32_t blocks, std::optional<std::uint64_t> size_bytes);
  /// The source vanished, changed, cannot be read: DROP. Nothing more comes of the item.
  void drop(ItemId item, Code code);
  /// No more items: CLOSE{0} follows the last DONE.
  void finish();
  /// Gives up, for a reason other than normal: CLOSE{code} is ordered and the session is over.
  void close(Code code);

  // --- outputs

  /// The next frame for this lane; its counter is used up.
  [[nodiscard]] std::optional<FrameOrder> poll_frame(LaneId lane, TimePoint now);
  [[nodiscard]] std::optional<TimePoint> poll_timeout() const;
  using Event = std::variant<ItemAnswered, LeavesWanted, ItemStarted, BlocksDurable, ItemOver,
                             LaneSilent, SessionOver>;
  [[nodiscard]] std::optional<Event> poll_event();

  // --- getters

  enum class State : std::uint8_t {
    running,
    closing,  ///< our CLOSE{0} is ordered; the answer is awaited
    closed,   ///< over; a CLOSE of ours may still wait in poll_frame
  };
  [[nodiscard]] State state() const noexcept;

 private:
  struct Machine;
  std::unique_ptr<Machine> machine_;
};

}  // namespace sealine::stx
