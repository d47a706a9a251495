// A session at its receiver: items, events, time.   spec: stx.md#course

#include "io/stx/receive_session.hpp"

#include "io/detail/clock.hpp"
#include "io/stx/file_failure.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/stx/tree.hpp"

#include <algorithm>
#include <limits>
#include <utility>
#include <variant>

namespace sealine::io::stx {

namespace core = sealine::stx;
using io::detail::now;

namespace {

/// Blocks that are hashed together for a RESUME.
constexpr std::uint32_t kLeavesReadAtOnce = 16;

std::uint64_t or_unlimited(std::uint64_t limit) {
  return limit == 0 ? std::numeric_limits<std::uint64_t>::max() : limit;
}

bool is_loopback(const std::string& address) {
  return address.starts_with("127.") || address.starts_with("[::1]") ||
         address.starts_with("[::ffff:127.");
}

}  // namespace

// --- claims

void ItemClaims::claim(const Key& key, const std::shared_ptr<ReceiveSession>& session,
                       std::function<void()> ready) {
  const auto [entry, is_free] = claims_.try_emplace(key);
  Claim& claim = entry->second;
  if (is_free) {
    claim.holder = session;
    return ready();
  }
  const auto holder = claim.holder.lock();
  auto passed_over = std::exchange(claim.next, Claim::Waiter{session, std::move(ready)});
  if (holder && holder != session) holder->close(Code::superseded);
  if (!passed_over) return;
  if (const auto other = passed_over->session.lock(); other && other != session) {
    other->close(Code::superseded);
  }
}

void ItemClaims::release_later(const Key& key) {
  net::post(executor_, [weak = weak_from_this(), key] {
    if (const auto self = weak.lock()) self->release(key);
  });
}

void ItemClaims::release(const Key& key) {
  const auto entry = claims_.find(key);
  if (entry == claims_.end()) return;
  const auto next = std::exchange(entry->second.next, std::nullopt);
  const auto session = next ? next->session.lock() : nullptr;
  if (!session || session->is_over()) {
    claims_.erase(entry);
    return;
  }
  entry->second.holder = session;
  next->ready();
}

// --- the session

ReceiveSession::ReceiveSession(const net::any_io_executor& executor,
                               std::shared_ptr<ReceiveShared> shared, const OpenedLane& lane)
    : executor_(executor),
      shared_(std::move(shared)),
      peer_id_(lane.peer_id),
      transfer_(lane.keys.client.transfer),
      peer_id_text_(lane.connected.peer_id),
      address_(lane.connected.peer),
      stranger_(lane.stranger),
      timer_(executor),
      commit_timer_(executor) {
  end_.peer = address_;
  end_.peer_id = peer_id_text_;
}

void ReceiveSession::start(OpenedLane lane, Done done) {
  done_ = std::move(done);
  began_ = now();
  const ReceiveOptions& options = *shared_->options;
  machine_.emplace(options.limits, lane.keys.server.max_block_log2, lane.keys.server.accepts_zstd,
                   thread_engine(), began_);
  early_lanes_.push_back(std::move(lane));
  arm_timer();
  // The folder and what the peer has in it, then the first byte.
  ++jobs_;
  shared_->pool->post([self = shared_from_this()]() mutable {
    const ReceiveOptions& given = *self->shared_->options;
    auto folder = std::make_shared<SessionFolder>();
    folder->keeps = self->shared_;
    std::optional<Error> error;
    if (given.per_sender) {
      auto below = self->shared_->root->below(self->peer_id_text_);
      if (below) {
        folder->own_root = std::move(*below);
      } else {
        error = below.error();
      }
    }
    if (!error) {
      const auto usage = self->shared_->ledger->usage(self->peer_id_);
      if (!usage) {
        error = usage.error();
      } else if (!self->shared_->space->knows(self->peer_id_)) {
        self->shared_->space->set_usage(self->peer_id_, usage->bytes, usage->files);
      }
    }
    const ReceiveRoot& root = folder->own_root ? *folder->own_root : *self->shared_->root;
    folder->folder.emplace(
        ReceiveFolder{.root = root,
                      .ledger = *self->shared_->ledger,
                      .ledger_prefix = given.per_sender ? self->peer_id_text_ + "/" : std::string(),
                      .space = *self->shared_->space,
                      .peer = self->peer_id_,
                      .policy = {.on_conflict = given.on_conflict, .any_links = given.any_links},
                      .quota = {.bytes = or_unlimited(given.quota_bytes),
                                .files = or_unlimited(given.quota_files)}});
    const net::any_io_executor executor = self->executor_;
    net::post(executor, [self = std::move(self), folder = std::move(folder), error]() mutable {
      --self->jobs_;
      self->folder_ = std::move(folder);
      self->ready_ = true;
      auto lanes = std::move(self->early_lanes_);
      for (OpenedLane& early : lanes) self->attach(std::move(early));
      if (error) self->machine_->close(code_of(*error));
      if (error) self->end_.error = error;
      self->pump();
      self->end_when_done();
    });
  });
}

void ReceiveSession::add_lane(OpenedLane lane) {
  if (over_) return;
  if (!ready_) {
    early_lanes_.push_back(std::move(lane));
    return;
  }
  attach(std::move(lane));
  pump();
}

void ReceiveSession::close(Code code) {
  if (over_) return;
  if (!end_.error) end_.error = Error{core::errc_of(code)};
  machine_->close(code);
  pump();
}

void ReceiveSession::pump() {
  if (over_) return;
  if (pumping_) {
    pump_again_ = true;
    return;
  }
  pumping_ = true;
  const auto self = shared_from_this();
  do {
    pump_again_ = false;
    drain_events();
    if (!over_ && is_commit_due()) start_commit();
    for (const LanePtr& lane : lanes_) {
      if (lane && !over_) write_frames(lane);
    }
  } while (pump_again_ && !over_);
  pumping_ = false;
  if (!over_) arm_timer();
}

void ReceiveSession::drain_events() {
  while (!over_) {
    auto event = machine_->poll_event();
    if (!event) break;
    pump_again_ = true;
    std::visit([this](const auto& which) { handle(which); }, *event);
  }
  if (stranger_ && !asked_ && !held_offers_.empty() && !over_) ask_about_stranger();
}

// --- offers

void ReceiveSession::handle(const core::Offered& event) {
  if (stranger_) {
    held_offers_.push_back(event.meta);
  } else {
    begin_item(event.meta);
  }
}

void ReceiveSession::ask_about_stranger() {
  asked_ = true;
  // Asked in a moment: what came with the first offer counts too.
  net::post(executor_, [self = shared_from_this()] {
    if (self->over_) return;
    Stranger who;
    who.address = self->address_;
    who.is_loopback = is_loopback(self->address_);
    who.key = *self->stranger_;
    who.name = self->held_offers_.front().entries.front().name;
    for (const core::Meta& meta : self->held_offers_) {
      who.bytes += core::total_bytes(meta).value_or(0);
      for (const core::Entry& entry : meta.entries) {
        who.files += entry.kind == core::EntryKind::directory ? 0 : 1;
      }
    }
    who.more = self->held_offers_.size() >= core::kMaxOpenItems;
    self->shared_->judge(who, [weak = std::weak_ptr(self), executor = self->executor_](bool yes) {
      net::post(executor, [weak, yes] {
        if (const auto alive = weak.lock()) alive->judged(yes);
      });
    });
  });
}

void ReceiveSession::judged(bool accepted) {
  if (over_ || !stranger_) return;
  if (!accepted) {
    end_.error = Error{Errc::peer_key_refused};
    machine_->close(Code::refused);
    return pump();
  }
  if (shared_->known_clients) {
    // A file that cannot be written costs a question the next time, and nothing now.
    (void)shared_->known_clients->first_contact({}, *stranger_);
  }
  stranger_.reset();
  for (core::Meta& meta : std::exchange(held_offers_, {})) begin_item(std::move(meta));
  pump();
}

void ReceiveSession::begin_item(core::Meta meta) {
  const ItemId id = meta.item;
  const ItemClaims::Key key{peer_id_, names_hash(meta.entries)};
  const bool is_open = std::ranges::any_of(
      open_ids_, [&](const auto& open) { return open.second.names == key.names; });
  if (is_open) {
    machine_->answer(id, {.code = Code::exists});
    return report_refused(meta, Code::exists, std::nullopt);
  }
  open_ids_.emplace(id, key);
  shared_->offered_bytes += core::total_bytes(meta).value_or(0);
  auto shared_meta = std::make_shared<core::Meta>(std::move(meta));
  shared_->claims->claim(key, shared_from_this(),
                         [weak = weak_from_this(), claims = shared_->claims, key,
                          shared_meta = std::move(shared_meta)]() mutable {
                           const auto self = weak.lock();
                           if (!self || self->over_) return claims->release_later(key);
                           self->admit(std::move(shared_meta), key);
                         });
}

void ReceiveSession::admit(std::shared_ptr<core::Meta> meta, const ItemClaims::Key& key) {
  ++jobs_;
  shared_->pool->post([self = shared_from_this(), folder = folder_, meta = std::move(meta), key,
                       claims = shared_->claims]() mutable {
    const ItemId id = meta->item;
    const std::uint64_t total = core::total_bytes(*meta).value_or(0);
    const std::uint32_t blocks = core::block_count(total, meta->block_log2).value_or(0);
    auto item = std::make_shared<ReceiveItem>(
        folder, IncomingItem::admit(*folder->folder, std::move(*meta)));
    item->on_gone = [claims, key] { claims->release_later(key); };
    item->total_bytes = total;
    item->blocks = blocks;
    const net::any_io_executor executor = self->executor_;
    net::post(executor, [self = std::move(self), id, item = std::move(item)] {
      --self->jobs_;
      self->admitted(id, item);
      self->end_when_done();
    });
  });
}

void ReceiveSession::admitted(ItemId id, const ItemPtr& item) {
  if (over_ || !open_ids_.contains(id)) return;
  const core::MetaAnswer& answer = item->incoming->answer();
  if (answer.code == Code::normal) {
    items_.emplace(id, item);
  } else {
    open_ids_.erase(id);
    const Error& cause = item->incoming->cause();
    report_refused(item->incoming->meta(), answer.code,
                   cause.code == Errc{} ? std::nullopt : std::optional(cause));
  }
  machine_->answer(id, answer);
  pump();
}

// --- other events

ReceiveSession::ItemPtr ReceiveSession::take_item(ItemId id) {
  open_ids_.erase(id);
  const auto found = items_.find(id);
  if (found == items_.end()) return nullptr;
  ItemPtr item = std::move(found->second);
  items_.erase(found);
  item->is_over = true;
  return item;
}

void ReceiveSession::handle(const core::LeavesWanted& event) {
  const auto found = items_.find(event.item);
  if (found != items_.end()) read_leaves(event.item, found->second, 0, event.count);
}

void ReceiveSession::read_leaves(ItemId id, const ItemPtr& item, std::uint32_t next,
                                 std::uint32_t count) {
  ++jobs_;
  shared_->pool->post([self = shared_from_this(), id, item, next, count]() mutable {
    const std::size_t block = std::size_t{1} << item->incoming->meta().block_log2;
    const std::uint32_t wanted = std::min(kLeavesReadAtOnce, count - next);
    Slab slab((block + 1) * wanted);
    std::vector<ByteView> framed;
    const bool is_sized = !item->incoming->meta().size_unknown;
    bool ended = false;
    for (std::uint32_t i = 0; i < wanted && !ended; ++i) {
      const std::uint64_t offset = (std::uint64_t{next} + i) * block;
      std::size_t bytes = block;
      if (is_sized) bytes = std::min<std::uint64_t>(block, item->total_bytes - offset);
      const MutableBytes leaf = slab.bytes().subspan((block + 1) * i, bytes + 1);
      leaf[0] = core::kLeafPrefix;
      const auto got = item->incoming->read(offset, leaf.subspan(1));
      // The last block of a stream may be short; any other that is short is damage.
      ended = !got || *got < bytes;
      if (got && *got != 0 && (!ended || !is_sized)) framed.emplace_back(leaf.first(*got + 1));
    }
    std::vector<core::Hash> leaves(framed.size());
    thread_engine().sha256_many(framed, leaves);
    const net::any_io_executor executor = self->executor_;
    net::post(executor,
              [self = std::move(self), id, item, next, count, ended, leaves = std::move(leaves)] {
                --self->jobs_;
                if (!self->over_ && !item->is_over) {
                  const auto done = static_cast<std::uint32_t>(next + leaves.size());
                  self->machine_->handle_leaves(id, leaves, ended);
                  if (!ended && done < count) self->read_leaves(id, item, done, count);
                  self->pump();
                }
                self->end_when_done();
              });
  });
}

void ReceiveSession::handle(const core::Receiving& event) {
  const auto found = items_.find(event.item);
  if (found == items_.end()) return;
  ReceiveItem& item = *found->second;
  item.start = item.committed = event.start;
  const std::uint64_t there = std::min<std::uint64_t>(
      item.total_bytes, std::uint64_t{event.start} << item.incoming->meta().block_log2);
  end_.resumed_bytes += there;
  shared_->resumed_bytes += there;
  shared_->done_bytes += there;
  if (const auto started = item.incoming->start(event.start); !started) {
    refuse(event.item, started.error());
  }
}

void ReceiveSession::handle(const core::ZeroRun& event) {
  const auto found = items_.find(event.item);
  if (found == items_.end()) return;
  ReceiveItem& item = *found->second;
  const std::uint8_t log2 = item.incoming->meta().block_log2;
  const std::uint64_t offset = std::uint64_t{event.first} << log2;
  const std::uint64_t end =
      std::min<std::uint64_t>(offset + (std::uint64_t{event.count} << log2), item.total_bytes);
  if (end <= offset) return;
  shared_->done_bytes += end - offset;
  if (const auto written = item.incoming->write_zeros(offset, end - offset); !written) {
    refuse(event.item, written.error());
  }
}

void ReceiveSession::handle(const core::ItemComplete& event) {
  const auto found = items_.find(event.item);
  if (found != items_.end()) stage(event.item, found->second, event.size_bytes);
}

void ReceiveSession::handle(const core::ItemFailed& event) {
  ItemPtr item = take_item(event.item);
  if (!item) return;
  report_refused(item->incoming->meta(), event.code, std::nullopt);
  if (event.code != Code::root_differs) return;
  ++jobs_;
  shared_->committer->post([self = shared_from_this(), held = std::move(item)]() mutable {
    held->incoming->discard();
    held.reset();
    const net::any_io_executor executor = self->executor_;
    net::post(executor, [self = std::move(self)] {
      --self->jobs_;
      self->end_when_done();
    });
  });
}

void ReceiveSession::handle(const core::ItemDropped& event) { (void)take_item(event.item); }

void ReceiveSession::handle(const core::LaneSilent& event) {
  if (const LanePtr lane = std::exchange(lanes_[event.lane], nullptr)) lane->socket->close();
}

void ReceiveSession::refuse(ItemId id, const Error& error) {
  const ItemPtr item = take_item(id);
  if (!item) return;
  const Code code = code_of(error);
  machine_->refuse(id, code);
  report_refused(item->incoming->meta(), code, error);
}

void ReceiveSession::handle(const core::SessionOver& event) {
  end_.code = event.code;
  const bool is_clean = event.code == Code::normal && event.fault.code == Errc{};
  if (!is_clean && !end_.error) {
    end_.error = event.fault.code != Errc{} ? event.fault : Error{core::errc_of(event.code)};
  }
  for (LanePtr& place : lanes_) {
    const LanePtr lane = place;
    if (!lane) continue;
    write_frames(lane);
    lane->socket->finish();
    place = nullptr;
  }
  finish_disk();
}

// --- time

void ReceiveSession::arm_timer() {
  const auto due = machine_->poll_timeout();
  if (!due) return;
  if (armed_until_ <= *due && armed_until_ > now()) return;
  armed_until_ = *due;
  timer_.expires_at(io::detail::to_steady(std::max(*due, now())));
  timer_.async_wait([weak = weak_from_this()](const error_code& ec) {
    const auto self = weak.lock();
    if (ec || !self || self->over_) return;
    self->armed_until_ = TimePoint::max();
    self->machine_->handle_timeout(now());
    self->pump();
  });
}

}  // namespace sealine::io::stx
