#pragma once

#include "sealine/stx/receiver.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/watching_engine.hpp"
#include "tests/sim/stx/disk.hpp"
#include "tests/sim/stx/lane.hpp"
#include "tests/sim/stx/sending.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sealine::sim {

/// A receiver's session with one sender, its disk and its ledger.
class StxReceiving {
 public:
  StxReceiving(const stx::Limits& limits, std::string peer, StxDisk& disk, crypto::Engine& engine,
               KeyBook& book, Dice dice, TimePoint now)
      : receiver_(limits, stx::kMaxBlockLog2, false, engine, now),
        peer_(std::move(peer)),
        disk_(disk),
        engine_(engine),
        book_(book),
        dice_(dice) {}

  // --- lanes

  void add(StxLane& lane) { lanes_.push_back(&lane); }

  void lane_opened(StxLane& lane, TimePoint now);
  /// The connection is gone, and so is what it carried; what was opened is written before.
  void lane_ended(StxLane& lane, TimePoint now);

  // --- inputs

  /// A whole frame; false: the connection is to be closed, without a word.
  [[nodiscard]] bool handle_frame(StxLane& lane, MutableBytes frame, TimePoint now);

  void timeout(TimePoint now) { receiver_.handle_timeout(now); }

  void close(stx::Code code) { receiver_.close(code); }

  /// One of the blocks that are being written is.
  void work(TimePoint now);
  void work_all(TimePoint now);
  /// Data, then the ledger, then what it says of them.
  void commit();

  // --- outputs

  void pump(TimePoint now);

  // --- getters

  [[nodiscard]] std::optional<TimePoint> deadline() const { return receiver_.poll_timeout(); }

  [[nodiscard]] const std::optional<stx::SessionOver>& over() const { return over_; }

  [[nodiscard]] std::size_t unwritten() const { return writes_.size(); }

  [[nodiscard]] std::uint32_t leading_blocks(stx::ItemId item) const;

  [[nodiscard]] const std::string& peer() const { return peer_; }

  [[nodiscard]] const std::vector<StxLane*>& lanes() const { return lanes_; }

  [[nodiscard]] std::vector<stx::LaneId> take_silent() { return std::exchange(silent_, {}); }

  [[nodiscard]] StxLane* find(stx::LaneId number) const;

  /// Blocks that are taken as proved: for the world to judge, which knows what the sender read.
  struct Begun {
    stx::ItemId item = 0;
    std::uint32_t start = 0;
    std::string file;
    bool was_harmed = false;
  };

  [[nodiscard]] std::vector<Begun> take_begun() { return std::exchange(begun_, {}); }

  static std::string file_name(const std::string& peer, const stx::Meta& meta);

  std::uint64_t damaged = 0;

 private:
  struct Write {
    stx::LaneId lane;
    stx::FrameSlot slot;
    Octets block;
    stx::Hash leaf;
  };

  StxFile& file_of(const stx::Meta& meta) { return disk_[file_name(peer_, meta)]; }

  void send(StxLane& lane, const stx::ControlFrame& frame);
  void take_block(StxLane& lane, const stx::FrameSlot& slot, ByteView plaintext, TimePoint now);
  void write(std::size_t which, TimePoint now);
  void handle(const stx::Receiver::Event& event);
  /// What the ledger says.
  void answer(const stx::Meta& meta);
  void give_leaves(const stx::LeavesWanted& wanted);
  void begin(const stx::Receiving& receiving);
  void put_in_place(const stx::ItemComplete& whole);

  stx::Receiver receiver_;
  std::string peer_;
  StxDisk& disk_;
  crypto::Engine& engine_;
  KeyBook& book_;
  Dice dice_;
  std::vector<StxLane*> lanes_;
  std::map<stx::ItemId, stx::Meta> metas_;
  std::map<stx::ItemId, bool> receiving_;  ///< items whose part is being written
  std::deque<Write> writes_;
  std::vector<stx::LaneId> silent_;
  std::vector<Begun> begun_;
  std::optional<stx::SessionOver> over_;
  Octets frame_;
};

}  // namespace sealine::sim
