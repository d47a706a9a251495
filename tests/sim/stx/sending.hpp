#pragma once

#include "sealine/stx/sender.hpp"
#include "sealine/stx/tree.hpp"
#include "tests/sim/base/watching_engine.hpp"
#include "tests/sim/stx/disk.hpp"
#include "tests/sim/stx/lane.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace sealine::sim {

inline stx::Hash leaf_of(crypto::Engine& engine, ByteView block) {
  stx::Hash leaf{};
  engine.sha256({ByteView(&stx::kLeafPrefix, 1), block}, leaf);
  return leaf;
}

/// What a sender has on its disk. It may change while it is sent, as files do.
struct StxSource {
  std::string name;
  Octets content;
  std::vector<std::uint32_t> pack;  ///< sizes of the entries; none: one file
  bool is_stream = false;           ///< of unknown size, read once
  bool has_holes = false;
  bool is_padded = false;
  unsigned version = 0;      ///< counts the changes that size or time show
  bool was_changed = false;  ///< ever, shown or not
  bool is_done = false;
  std::optional<stx::Code> failed;  ///< given up, and said so
  unsigned attempts = 0;            ///< that ended in another root or a change
  std::uint32_t durable = 0;        ///< blocks that nobody may ask for again

  static constexpr std::uint8_t kBlockLog2 = stx::kMinBlockLog2;
  static constexpr std::size_t kBlock = std::size_t{1} << kBlockLog2;

  [[nodiscard]] ByteView block(std::uint32_t number) const;
  [[nodiscard]] std::uint32_t blocks() const;

  [[nodiscard]] std::int64_t mtime_ns() const { return 1'700'000'000 + std::int64_t{version}; }

  [[nodiscard]] stx::Meta meta() const;
};

/// A sender with its sources: session after session until all is there, or said not to be.
class StxSending final : public stx::ZeroRuns {
 public:
  /// An item of the present session, and its bytes as they were read last: what must arrive.
  struct Item {
    std::size_t source = 0;
    unsigned version = 0;
    Octets image;
    bool is_open = true;
  };

  StxSending(std::vector<StxSource> its_sources, const stx::Limits& limits, crypto::Engine& engine,
             KeyBook& book)
      : sources(std::move(its_sources)), limits_(limits), engine_(engine), book_(book) {}

  // --- sessions

  void begin(TimePoint now);

  [[nodiscard]] bool has_session() const { return sender_.has_value() && !over_; }

  void forget_session();

  void lane_opened(stx::LaneId lane, TimePoint now) { sender_->handle_lane_opened(lane, now); }

  void lane_ended(stx::LaneId lane, TimePoint now);

  // --- inputs

  /// A whole frame of a lane; false: the connection is to be closed.
  [[nodiscard]] bool handle_frame(StxLane& lane, MutableBytes frame, TimePoint now);
  void timeout(TimePoint now);
  [[nodiscard]] std::optional<TimePoint> deadline() const;
  void close(stx::Code code);

  // --- outputs

  /// Offers what can be offered, and writes what waits on lanes that are not full.
  void pump(std::span<const std::unique_ptr<StxLane>> lanes, TimePoint now);

  // --- getters

  [[nodiscard]] const std::optional<stx::SessionOver>& over() const { return over_; }

  [[nodiscard]] bool is_done() const;

  /// Lanes that fell silent since the last call.
  [[nodiscard]] std::vector<stx::LaneId> take_silent() { return std::exchange(silent_, {}); }

  /// Items that ended well since the last call.
  [[nodiscard]] std::vector<stx::ItemId> take_finished() { return std::exchange(finished_, {}); }

  [[nodiscard]] std::uint32_t zero_blocks(stx::ItemId item, std::uint32_t block) override;

  /// A line for each, for a person who looks at a failure.
  void print_sources() const;

  std::vector<StxSource> sources;
  std::map<stx::ItemId, Item> items;
  std::uint64_t blocks_sent = 0;
  std::uint64_t resumed = 0;  ///< blocks that were proved to be there

 private:
  static constexpr unsigned kAttempts = 3;

  static void read_into(Item& item, std::uint32_t block, ByteView bytes);
  void offer(TimePoint now);
  [[nodiscard]] bool is_offered(std::size_t source) const;
  [[nodiscard]] bool write_next(StxLane& lane, TimePoint now);
  void give_up_item(stx::ItemId number, Item& item);
  void handle(const stx::Sender::Event& event);
  void give_leaves(const stx::LeavesWanted& wanted);
  void item_over(const stx::ItemOver& over);
  const stx::Limits& limits_;
  crypto::Engine& engine_;
  KeyBook& book_;
  std::optional<stx::Sender> sender_;
  std::optional<stx::SessionOver> over_;
  std::vector<stx::LaneId> silent_;
  std::vector<stx::ItemId> finished_;
  bool is_told_to_finish_ = false;
  Octets frame_;
};

}  // namespace sealine::sim
