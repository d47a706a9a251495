#pragma once

#include "io/stx/lane_opening.hpp"
#include "io/stx/ledger.hpp"
#include "io/stx/quota.hpp"
#include "io/stx/receive_root.hpp"
#include "io/stx/slab.hpp"
#include "io/stx/worker_pool.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/stx_options.hpp"
#include "sealine/stx/handshake.hpp"
#include "sealine/stx/message.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace sealine::io::stx {

class ReceiveSession;

/// Who writes which item, so that two sessions never write the same: the newer one gets it when the
/// older has let go.   spec: stx.md#files
class ItemClaims final : public std::enable_shared_from_this<ItemClaims> {
 public:
  struct Key {
    sealine::stx::PeerId peer{};
    ByteArray<32> names{};

    friend auto operator<=>(const Key&, const Key&) = default;
  };

  explicit ItemClaims(net::any_io_executor executor) : executor_(std::move(executor)) {}

  /// Calls `ready` at once, or when whoever holds it has let go; an older session is told to end.
  void claim(const Key& key, const std::shared_ptr<ReceiveSession>& session,
             std::function<void()> ready);
  /// Any thread.
  void release_later(const Key& key);

 private:
  void release(const Key& key);

  struct Claim {
    std::weak_ptr<ReceiveSession> holder;

    struct Waiter {
      std::weak_ptr<ReceiveSession> session;
      std::function<void()> ready;
    };

    std::optional<Waiter> next;  ///< the newest of those who wait
  };

  net::any_io_executor executor_;
  std::map<Key, Claim> claims_;
};

/// What all sessions of a receiver share.
struct ReceiveShared {
  std::shared_ptr<const ReceiveOptions> options;
  std::shared_ptr<const ReceiveRoot> root;
  std::shared_ptr<Ledger> ledger;
  std::shared_ptr<SpaceBook> space;
  std::shared_ptr<WorkerPool> pool;
  std::shared_ptr<WorkerPool> committer;  ///< one thread: syncs, the ledger, renames
  std::shared_ptr<SlabShelf> shelf;
  std::shared_ptr<ItemClaims> claims;
  std::optional<KnownPeers> known_clients;
  JudgeStranger judge;
  WorkPlan work;
  // Counts of all sessions:
  std::uint64_t received_bytes = 0;
  std::uint64_t done_bytes = 0;  ///< received, or found there and proved
  std::uint64_t offered_bytes = 0;
  std::uint64_t resumed_bytes = 0;
  std::uint64_t files = 0;
  std::uint64_t failed = 0;
};

}  // namespace sealine::io::stx
