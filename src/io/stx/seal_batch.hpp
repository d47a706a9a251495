#pragma once

#include "io/stx/lane_socket.hpp"
#include "io/stx/send_item.hpp"
#include "io/stx/slab.hpp"
#include "sealine/base/error.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/stx/frame.hpp"
#include "sealine/stx/sender.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace sealine::io::stx {

/// A lane's keys, shared with the jobs that seal and open for it.
struct LaneKeys {
  sealine::stx::FrameKey send;
  sealine::stx::FrameKey receive;
};

/// A data frame to be: its place in the slab is as long as an uncompressed one.
struct BlockJob {
  sealine::stx::BlockFrame order;
  std::shared_ptr<SendItem> item;
  std::size_t place = 0;
  std::uint64_t offset = 0;  ///< of the block in the item
  bool is_last = false;      ///< of the item: then its source is looked at again
  bool try_compression = false;
  // Results:
  sealine::stx::Hash leaf{};
  std::size_t size_bytes = 0;  ///< of the plaintext as it went out
  std::optional<Error> error;  ///< what was sent is worth nothing: DROP the item
};

/// Frames of a lane that are sealed together: control frames at once, blocks by run().
struct SealBatch {
  std::shared_ptr<OutBatch> out;
  std::shared_ptr<const LaneKeys> keys;
  std::vector<BlockJob> blocks;

  /// Pieces of the slab in the order of sending: a control frame that is sealed, or a block.
  struct Piece {
    std::size_t place = 0;
    std::size_t bytes = 0;               ///< of a control frame
    std::optional<std::size_t> block{};  ///< its number
  };

  std::vector<Piece> pieces;
  std::size_t used = 0;

  [[nodiscard]] std::size_t room() const noexcept { return out->slab.capacity() - used; }

  void add(crypto::Engine& engine, const sealine::stx::ControlFrame& frame);
  void add(BlockJob job);
  /// Reads, hashes, seals. Any thread; the slab and the parts of `out` are its own meanwhile.
  void run(crypto::Engine& engine);
};

}  // namespace sealine::io::stx
