#pragma once

#include "io/stx/lane_opening.hpp"
#include "io/stx/lane_socket.hpp"
#include "io/stx/rate_limit.hpp"
#include "io/stx/seal_batch.hpp"
#include "io/stx/send_book.hpp"
#include "io/stx/send_item.hpp"
#include "io/stx/slab.hpp"
#include "io/stx/stream_source.hpp"
#include "io/stx/worker_pool.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/stx/sender.hpp"

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

/// What the sessions of a transfer share.
struct SendShared {
  std::shared_ptr<const SendOptions> options;
  std::shared_ptr<SendBook> book;
  std::shared_ptr<WorkerPool> pool;
  WorkPlan work;
  std::shared_ptr<const SourceRoots> roots;
  std::shared_ptr<StreamSource> stream;  ///< standard input; null: none
  sealine::stx::Entry stream_entry;
  std::shared_ptr<RateLimit> rate;
  std::shared_ptr<SlabShelf> shelf;
  std::uint8_t block_log2 = sealine::stx::kDefaultBlockLog2;
  bool stream_is_done = false;
};

/// How a session ended.
struct SendSessionEnd {
  Error error{};  ///< none: all that can be there is there
  sealine::stx::Retry retry = sealine::stx::Retry::never;
};

/// One session at its sender: the machine, its lanes, and the items on their way.
///
/// Every input (bytes, room in a socket, a sealed batch, a planned item, time) ends in pump().
/// Lives as long as its owner, a wait or a job. One executor.
class SendSession final : public std::enable_shared_from_this<SendSession>,
                          private sealine::stx::ZeroRuns {
 public:
  using Done = std::function<void(const SendSessionEnd&)>;

  SendSession(const net::any_io_executor& executor, std::shared_ptr<SendShared> shared,
              std::shared_ptr<const LaneTarget> target, sealine::stx::ServerParameters server);

  /// Runs over lane 0; `done` is called once.
  void start(OpenedLane lane, Done done);
  /// The caller wants no more: CLOSE, and `done` with cancelled.
  void stop();
  /// The stream has more to give.
  void stream_supplied();

 private:
  using LaneId = sealine::stx::LaneId;
  using ItemId = sealine::stx::ItemId;

  struct SentPiece {
    std::shared_ptr<SendItem> item;
    std::uint64_t bytes;
  };

  struct Lane {
    LaneId id = 0;
    std::shared_ptr<LaneSocket> socket;
    std::shared_ptr<const LaneKeys> keys;
    std::vector<std::uint8_t> received;  ///< less than a frame, or not yet looked at
    std::size_t received_bytes = 0;
    std::uint64_t frames_received = 0;
    std::deque<std::vector<SentPiece>> sent;  ///< of each batch in the socket's queue
    std::uint64_t counted_bytes = 0;
  };

  using LanePtr = std::shared_ptr<Lane>;

  [[nodiscard]] std::uint32_t zero_blocks(ItemId item, std::uint32_t block) override;

  // --- lanes (send_session_lanes.cpp)
  void attach(OpenedLane opened, LaneId id);
  void open_further_lanes();
  net::awaitable<void> dial_further_lane(LaneId id);
  void readable(const LanePtr& lane);
  /// Whether a whole frame stood at the front and was handled.
  [[nodiscard]] bool take_frame(const LanePtr& lane, MutableBytes in, std::size_t& used);
  void lane_ended(const LanePtr& lane);
  void lane_faulted(const LanePtr& lane, Error error);
  void batch_sent(const LanePtr& lane);
  void count_wire(Lane& lane);
  void fill(const LanePtr& lane);
  void dispatch(const LanePtr& lane, std::shared_ptr<SealBatch> batch);
  void batch_sealed(const LanePtr& lane, SealBatch& batch);
  [[nodiscard]] BlockJob job_of(const sealine::stx::BlockFrame& order);
  [[nodiscard]] bool wants_compression(SendItem& item, const Lane& lane);

  // --- items (send_session.cpp)
  void pump();
  void offer_items();
  void offer_stream();
  void offer(std::shared_ptr<const PlannedItem> plan, unsigned tries);
  [[nodiscard]] bool has_more() const;
  void drain_events();
  void handle(const sealine::stx::ItemAnswered& event);
  void handle(const sealine::stx::LeavesWanted& event);
  void handle(const sealine::stx::ItemStarted& event);
  void handle(const sealine::stx::BlocksDurable& event);
  void handle(const sealine::stx::ItemOver& event);
  void handle(const sealine::stx::LaneSilent& event);
  void handle(const sealine::stx::SessionOver& event);
  void start_leaves();
  void leaves_read(ItemId id, const std::vector<sealine::stx::Hash>& leaves,
                   std::optional<Error> error);
  void source_failed(ItemId id, const std::shared_ptr<SendItem>& item, const Error& error);
  [[nodiscard]] std::shared_ptr<SendItem> take_item(ItemId id);
  void arm_timer();
  void end(const SendSessionEnd& how);
  void report_progress();

  net::any_io_executor executor_;
  std::shared_ptr<SendShared> shared_;
  std::shared_ptr<const LaneTarget> target_;
  sealine::stx::ServerParameters server_;
  std::optional<sealine::stx::Sender> machine_;
  std::shared_ptr<SendPlanner> planner_;
  std::array<LanePtr, sealine::stx::kMaxLanes> lanes_;
  std::vector<std::shared_ptr<HandshakeStop>> dialling_;
  std::map<ItemId, std::shared_ptr<SendItem>> items_;

  /// Blocks whose leaves are wanted for a RESUME, one item after another.
  struct LeavesJob {
    ItemId id;
    std::uint32_t next;
    std::uint32_t count;
  };

  std::deque<LeavesJob> leaves_;
  bool reading_leaves_ = false;

  std::optional<ItemId> stream_item_;
  bool stream_offered_ = false;
  net::steady_timer timer_;
  net::steady_timer progress_timer_;
  TimePoint armed_until_ = TimePoint::max();
  Done done_;
  std::optional<Error> lane_fault_;  ///< why lane 0 was closed by us
  std::string current_name_;
  TimePoint began_{};
  bool pumping_ = false;
  bool pump_again_ = false;
  bool finished_ = false;
  bool over_ = false;
};

}  // namespace sealine::io::stx
