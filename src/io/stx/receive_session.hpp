#pragma once

#include "io/stx/lane_opening.hpp"
#include "io/stx/lane_socket.hpp"
#include "io/stx/open_batch.hpp"
#include "io/stx/receive_shared.hpp"
#include "io/stx/seal_batch.hpp"
#include "io/stx/slab.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/stx_events.hpp"
#include "sealine/stx/receiver.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sealine::io::stx {

/// One session at its receiver: the machine, its lanes, the items on their way to the disk.
///
/// Every input (bytes, an opened batch, a commit, time) ends in pump(). Lives as long as its owner,
/// a wait or a job. One executor.
class ReceiveSession final : public std::enable_shared_from_this<ReceiveSession> {
 public:
  using Done = std::function<void(const SessionEnd&)>;

  ReceiveSession(const net::any_io_executor& executor, std::shared_ptr<ReceiveShared> shared,
                 const OpenedLane& lane);

  /// Runs over lane 0; `done` is called once, when all that came is durable.
  void start(OpenedLane lane, Done done);
  void add_lane(OpenedLane lane);
  /// Ends it with CLOSE.
  void close(Code code);

  [[nodiscard]] const sealine::stx::PeerId& peer_id() const noexcept { return peer_id_; }

  [[nodiscard]] const sealine::stx::TransferId& transfer() const noexcept { return transfer_; }

  [[nodiscard]] bool is_over() const noexcept { return over_; }

 private:
  using LaneId = sealine::stx::LaneId;
  using ItemId = sealine::stx::ItemId;
  using ItemPtr = std::shared_ptr<ReceiveItem>;

  struct Lane {
    LaneId id = 0;
    std::shared_ptr<LaneSocket> socket;
    std::shared_ptr<const LaneKeys> keys;
    Slab slab;
    std::size_t begin = 0;  ///< of what was not looked at
    std::size_t end = 0;
    std::shared_ptr<OpenBatch> batch;  ///< frames in the slab that wait to be opened
    std::size_t in_flight = 0;         ///< batches on the pool
    bool wants_large = false;          ///< the last read filled its buffer
    bool is_paused = false;            ///< reads on when a batch or a commit has ended
    bool has_ended = false;            ///< told to the machine when nothing is in flight
  };

  using LanePtr = std::shared_ptr<Lane>;

  // --- lanes (receive_session_lanes.cpp)
  void attach(OpenedLane opened);
  void readable(const LanePtr& lane);
  [[nodiscard]] bool receive(const LanePtr& lane, std::size_t& got);
  /// Whether scanning may go on.
  [[nodiscard]] bool scan(const LanePtr& lane);
  [[nodiscard]] bool take_frame(const LanePtr& lane, MutableBytes frame,
                                sealine::stx::FrameHead head);
  void make_room(const LanePtr& lane);
  [[nodiscard]] std::size_t large_slab_bytes() const;
  [[nodiscard]] Slab take_slab(std::size_t bytes);
  void dispatch(const LanePtr& lane);
  void opened(const LanePtr& lane, OpenBatch& batch);
  [[nodiscard]] std::size_t missing_bytes(const Lane& lane) const;
  void lane_ended(const LanePtr& lane);
  void settle_end(const LanePtr& lane);
  void die(const Error& error);
  void write_frames(const LanePtr& lane);
  void resume_reading();
  [[nodiscard]] bool must_pause(const Lane& lane) const;

  // --- items (receive_session.cpp)
  void pump();
  void drain_events();
  void handle(const sealine::stx::Offered& event);
  void handle(const sealine::stx::LeavesWanted& event);
  void handle(const sealine::stx::Receiving& event);
  void handle(const sealine::stx::ZeroRun& event);
  void handle(const sealine::stx::ItemComplete& event);
  void handle(const sealine::stx::ItemFailed& event);
  void handle(const sealine::stx::ItemDropped& event);
  void handle(const sealine::stx::LaneSilent& event);
  void handle(const sealine::stx::SessionOver& event);
  void ask_about_stranger();
  void judged(bool accepted);
  void begin_item(sealine::stx::Meta meta);
  void admit(std::shared_ptr<sealine::stx::Meta> meta, const ItemClaims::Key& key);
  void admitted(ItemId id, const ItemPtr& item);
  void read_leaves(ItemId id, const ItemPtr& item, std::uint32_t next, std::uint32_t count);
  void refuse(ItemId id, const Error& error);
  [[nodiscard]] ItemPtr take_item(ItemId id);
  void arm_timer();

  // --- the disk (receive_session_commit.cpp)
  void block_written(const ItemPtr& item, std::uint32_t bytes);
  [[nodiscard]] bool is_commit_due() const;
  void start_commit();
  void committed(const std::vector<std::pair<ItemId, std::uint32_t>>& blocks, const Error& error);
  void stage(ItemId id, const ItemPtr& item, std::uint64_t size_bytes);
  void start_placing();
  void placed(const std::vector<std::pair<ItemId, ItemPtr>>& items);
  void report_entries(ReceiveItem& item, const ItemOutcome& outcome);
  void report_refused(const sealine::stx::Meta& meta, Code code, const std::optional<Error>& error);
  void finish_disk();
  void end_when_done();

  net::any_io_executor executor_;
  std::shared_ptr<ReceiveShared> shared_;
  std::shared_ptr<SessionFolder> folder_;
  sealine::stx::PeerId peer_id_;
  sealine::stx::TransferId transfer_;
  std::string peer_id_text_;
  std::string address_;
  std::optional<sealine::stx::Receiver> machine_;
  std::array<LanePtr, sealine::stx::kMaxLanes> lanes_;
  std::map<ItemId, ItemPtr> items_;
  std::map<ItemId, ItemClaims::Key> open_ids_;  ///< from META to the end, admitted or not
  std::vector<OpenedLane> early_lanes_;

  // A stranger's offers until somebody has judged.
  std::optional<crypto::PublicKey> stranger_;
  bool asked_ = false;
  std::vector<sealine::stx::Meta> held_offers_;

  // The disk.
  struct Staged {
    ItemId id;
    ItemPtr item;
    std::uint64_t size_bytes;
    bool is_staged;  ///< a pack was, on the pool
  };

  std::vector<Staged> staged_;
  std::size_t staged_bytes_ = 0;  ///< of packs that hold memory
  std::uint64_t uncommitted_bytes_ = 0;
  TimePoint uncommitted_since_{};
  bool committing_ = false;
  bool placing_ = false;
  std::size_t jobs_ = 0;  ///< on the pool or the committer

  net::steady_timer timer_;
  net::steady_timer commit_timer_;
  TimePoint armed_until_ = TimePoint::max();
  bool commit_armed_ = false;
  Done done_;
  SessionEnd end_;
  TimePoint began_{};
  bool pumping_ = false;
  bool pump_again_ = false;
  bool ready_ = false;  ///< its folder is there
  bool over_ = false;
  bool disk_finished_ = false;
};

}  // namespace sealine::io::stx
