#pragma once

#include "sealine/crypto/engine.hpp"
#include "sealine/stx/receiver.hpp"
#include "sealine/stx/sender.hpp"
#include "sealine/stx/tree.hpp"
#include "support/fixed_rng.hpp"
#include "support/hex.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace sealine::test {

/// Content of a test file: no two blocks are equal.
[[nodiscard]] Bytes stx_content(std::size_t size_bytes, std::uint64_t seed = 0);

[[nodiscard]] stx::Hash stx_leaf(crypto::Engine& engine, ByteView block);

/// The root of `content` cut into blocks, made without the machines.
[[nodiscard]] stx::Hash stx_root(crypto::Engine& engine, ByteView content, std::uint8_t block_log2);

/// META of one file.
[[nodiscard]] stx::Meta stx_file(std::string name, std::uint64_t size_bytes,
                                 std::uint8_t block_log2 = stx::kMinBlockLog2);

/// What a sender has on its disk. `content` may change while it is sent, as files do.
struct StxSource {
  stx::Meta meta;
  Bytes content;
  bool unreadable_twice = false;
  bool holes = false;          ///< whole blocks of zero bytes go as ZERO
  bool pad = false;            ///< the last block is filled up with zero bytes
  std::uint32_t supplied = 0;  ///< size unknown: so many blocks can be read

  [[nodiscard]] std::size_t block_bytes() const { return std::size_t{1} << meta.block_log2; }

  [[nodiscard]] ByteView block(std::uint32_t number) const;
};

/// What a receiver has on its disk under a name, and in its ledger.
struct StxFile {
  Bytes part;
  Bytes safe;              ///< what is left of the part after a crash
  std::uint32_t have = 0;  ///< of the ledger
  std::uint8_t block_log2 = 0;
  bool finished = false;
};

/// A frame under way: sealed as a note of what it is. It opens where counter and item are the ones
/// it was sealed under.
struct StxFrame {
  std::uint64_t counter = 0;
  stx::FrameHead head;
  stx::ItemId item = 0;
  Bytes body;
  bool damaged = false;
};

/// Both machines, a disk each, and a virtual network of up to 16 lanes: deterministic by its seed.
class StxPair {
 public:
  explicit StxPair(std::uint64_t seed = 1, const stx::Limits& limits = {});

  // --- what a test sets

  std::vector<StxSource> sources;
  std::map<std::string, StxFile> disk;
  /// Answers META where set; else the ledger's answer.
  std::function<stx::MetaAnswer(const stx::Meta&)> policy;
  /// Sees each frame of the client before it arrives: damage it, drop it with false.
  std::function<bool(stx::LaneId, StxFrame&)> tamper;
  std::vector<stx::EntryCode> kept_out;  ///< what DONE says of a pack
  bool in_order = true;                  ///< blocks come back from the writers in order
  unsigned write_ahead = 8;              ///< blocks under work at most
  unsigned commit_every = 4;             ///< blocks between two commits; 0: never
  bool auto_finish = true;               ///< no more items after the sources
  stx::Limits limits;

  // --- running

  void start();  ///< a new session over lane 0
  void open_lane(stx::LaneId lane);
  void cut_lane(stx::LaneId lane);
  /// What is under way on this machine's disk and network is gone; the durable stays.
  void crash();
  /// One frame, one write or one commit, drawn by the seed. False: nothing is left to do.
  bool step();
  /// Until both sessions are over, or nothing more happens (the clock goes on then).
  void run();
  void advance(Duration time);

  // --- what came of it

  crypto::Engine& engine() { return *engine_; }

  stx::Sender& sender() { return *sender_; }

  stx::Receiver& receiver() { return *receiver_; }

  std::map<stx::ItemId, stx::ItemOver> over;          ///< at the sender
  std::map<stx::ItemId, stx::Code> answered;          ///< at the sender
  std::map<stx::ItemId, std::uint32_t> started;       ///< at the sender
  std::map<stx::ItemId, std::uint32_t> durable_told;  ///< at the sender
  std::map<stx::ItemId, stx::Code> failed;            ///< at the receiver
  std::map<stx::ItemId, stx::Code> dropped;           ///< at the receiver
  std::optional<stx::SessionOver> sender_over, receiver_over;
  std::vector<std::string> client_log, server_log;  ///< words for frames, in order
  std::uint64_t blocks_sent = 0;
  std::uint64_t blocks_written = 0;
  std::vector<stx::ItemId> item_of_source;
  bool silent_close = false;  ///< the receiver met what is not authentic
  TimePoint now{};

 private:
  struct Lane {
    bool open = false;
    std::deque<StxFrame> to_server;
    std::deque<StxFrame> to_client;
    std::uint64_t from_server = 0;  ///< frames that the client has counted
  };

  struct Write {
    stx::LaneId lane;
    stx::FrameSlot slot;
    Bytes block;
    stx::Hash leaf;
  };

  class Holes final : public stx::ZeroRuns {
   public:
    explicit Holes(StxPair& pair) : pair_(&pair) {}

    std::uint32_t zero_blocks(stx::ItemId item, std::uint32_t block) override;

   private:
    StxPair* pair_;
  };

  void pump();
  bool pump_sender(stx::LaneId lane);
  bool sender_events();
  bool receiver_events();
  void offer();
  void deliver_to_server(stx::LaneId lane);
  void deliver_to_client(stx::LaneId lane);
  void accept_block(stx::LaneId lane, const stx::FrameSlot& slot, StxFrame& frame);
  void write(std::size_t which);
  void commit();
  StxSource* source_of(stx::ItemId item);
  void put_in_place(stx::ItemId item, std::uint64_t size_bytes);

  std::unique_ptr<crypto::Engine> engine_;
  SeededRng dice_;
  Holes holes_{*this};
  std::optional<stx::Sender> sender_;
  std::optional<stx::Receiver> receiver_;
  std::array<Lane, stx::kMaxLanes> lanes_;
  std::deque<Write> writes_;
  std::map<stx::ItemId, stx::Meta> metas_;  ///< at the receiver
  std::size_t next_source_ = 0;
  unsigned since_commit_ = 0;
};

}  // namespace sealine::test
