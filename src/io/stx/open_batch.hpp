#pragma once

#include "io/stx/incoming_item.hpp"
#include "io/stx/seal_batch.hpp"
#include "io/stx/slab.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/stx/receiver.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace sealine::io::stx {

/// What the items of one session share, for as long as the last of them lives.
struct SessionFolder {
  std::optional<ReceiveRoot> own_root;  ///< --per-sender: a sub-folder
  std::shared_ptr<void> keeps;          ///< the receiver's root and ledger
  std::optional<ReceiveFolder> folder;
  PendingFolders pending;  ///< the committing thread's
};

/// An item of a session, at its receiver. Jobs hold on to it; `on_gone` is called when the last has
/// let go, on any thread.
struct ReceiveItem {
  ReceiveItem(std::shared_ptr<SessionFolder> where, IncomingItem what)
      : folder(std::move(where)), incoming(std::in_place, std::move(what)) {}

  ReceiveItem(const ReceiveItem&) = delete;
  ReceiveItem& operator=(const ReceiveItem&) = delete;

  ~ReceiveItem() {
    incoming.reset();  // its lock goes before anybody is told
    if (on_gone) on_gone();
  }

  std::shared_ptr<SessionFolder> folder;
  std::optional<IncomingItem> incoming;
  std::function<void()> on_gone;
  std::uint64_t total_bytes = 0;
  std::uint32_t blocks = 0;
  std::uint32_t start = 0;
  std::uint32_t committed = 0;  ///< blocks that the ledger knows
  bool is_over = false;         ///< no commit any more
};

/// A data frame in a receive buffer.
struct InFrame {
  MutableBytes frame;
  sealine::stx::FrameSlot slot;
  std::shared_ptr<ReceiveItem> item;  ///< null: open it, write nothing
  // Results:
  sealine::stx::Hash leaf{};
  std::uint32_t block_bytes = 0;
  std::optional<Error> write_error;
};

/// Data frames of a lane that are opened together.
struct OpenBatch {
  Slab slab;  ///< where they stand, if the batch owns it
  std::shared_ptr<const LaneKeys> keys;
  std::vector<InFrame> frames;

  enum class Verdict : std::uint8_t {
    good,
    forged,   ///< a tag is wrong: close silently
    illegal,  ///< authentic, and breaks a rule: CLOSE{1}
  };
  Verdict verdict = Verdict::good;
  Error error{};
  std::size_t opened = 0;  ///< of `frames`, before the one that was not good

  /// Opens, hashes, writes. Any thread.
  void run(crypto::Engine& engine);

 private:
  [[nodiscard]] bool open(crypto::Engine& engine, InFrame& in, std::vector<ByteView>& framed,
                          std::vector<std::size_t>& owners);
  [[nodiscard]] bool fault(Verdict how, const Error& why);
};

}  // namespace sealine::io::stx
