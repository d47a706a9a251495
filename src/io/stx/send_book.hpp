#pragma once

#include "io/stx/folder_walk.hpp"
#include "io/stx/item_plan.hpp"
#include "io/stx/send_item.hpp"
#include "io/stx/source_file.hpp"
#include "io/stx/stream_source.hpp"
#include "io/stx/worker_pool.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/time.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/stx_events.hpp"
#include "sealine/io/stx_options.hpp"
#include "sealine/stx/sender.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace sealine::io::stx {

/// What a transfer knows beyond its sessions: what is done, what failed, what was counted, and who
/// hears of it. The network's thread.
class SendBook final {
 public:
  explicit SendBook(std::shared_ptr<const SendOptions> options) : options_(std::move(options)) {}

  // --- what became of items

  /// An item whose files are in their place, but for `kept_out`.
  void item_done(const SendItem& item, std::span<const sealine::stx::EntryCode> kept_out);
  /// All of an item came to nothing at the receiver.
  void item_refused(const SendItem& item, Code code);

  /// Standard input's name, where `item` has no plan.
  void set_stream_name(std::string name) { stream_name_ = std::move(name); }

  void entry_failed(const WalkedEntry& entry, const Error& error);
  void skipped(const SkippedEntry& entry);
  void notice(Notice notice) const;
  void planned(const PlannedItem& plan);

  /// Whether an item of these files was done in an earlier session.
  [[nodiscard]] bool was_done(const PlannedItem& plan) const;

  // --- counts

  void session_began(const Connected& connected);

  void add_wire_bytes(std::uint64_t bytes) { report_.wire_bytes += bytes; }

  void add_sent_bytes(std::uint64_t bytes) { report_.sent_bytes += bytes; }

  void add_offered(std::uint64_t bytes) { offered_bytes_ += bytes; }

  void take_back_offered(std::uint64_t bytes) { offered_bytes_ -= bytes; }

  void set_offered_all(bool all) { offered_all_ = all; }

  /// DONE: sets the retries back.
  void progressed(TimePoint now) { last_progress_ = now; }

  /// Durable bytes of items that are not over: set the retries back if there were never as many. A
  /// receiver that says the same in every session, and nothing more, is given up.
  void durable(std::uint64_t open_bytes, TimePoint now);

  [[nodiscard]] TimePoint last_progress() const noexcept { return last_progress_; }

  /// `open_bytes`: what has been sent or found of items that are not over.
  void report_progress(std::uint64_t open_bytes, const std::string& name, TimePoint now);

  [[nodiscard]] SendReport& report() noexcept { return report_; }

  [[nodiscard]] const SendOptions& options() const noexcept { return *options_; }

 private:
  using Fingerprint = ByteArray<16>;
  [[nodiscard]] static Fingerprint fingerprint(const PlannedItem& plan);
  void failed(std::string name, EntryFailure::Where where, Code code, const Error& error);
  void emit(const sealine::stx::Entry& entry, FileState state, Code code, const Error* error) const;

  std::shared_ptr<const SendOptions> options_;
  SendReport report_;
  std::set<Fingerprint> done_;
  std::string stream_name_;
  std::uint64_t offered_bytes_ = 0;
  std::uint64_t done_bytes_ = 0;
  bool offered_all_ = false;
  TimePoint last_progress_{};
  std::uint64_t most_durable_bytes_ = 0;
  std::uint64_t shown_bytes_ = 0;
  TimePoint shown_at_{};
  double rate_ = 0;
};

/// Walks and plans on the pool, a few items ahead of who takes them. A new one for each session.
class SendPlanner final : public std::enable_shared_from_this<SendPlanner> {
 public:
  SendPlanner(const net::any_io_executor& executor, std::shared_ptr<WorkerPool> pool,
              std::shared_ptr<const SourceRoots> roots, const std::vector<std::string>& exclude,
              std::shared_ptr<SendBook> book);

  struct Ready {
    std::shared_ptr<const PlannedItem> plan;
    unsigned tries = 0;
  };

  /// The next item, if it is there.
  [[nodiscard]] std::optional<Ready> take();
  /// Nothing more comes, unless plan_again() was called.
  [[nodiscard]] bool has_ended() const noexcept;
  /// Looks again at an item that could not be sent as it was planned.
  void plan_again(std::shared_ptr<const PlannedItem> plan, unsigned tries);

  /// `wake` is called when there may be something to take; null: nobody listens any more.
  void set_wake(std::function<void()> wake) { wake_ = std::move(wake); }

 private:
  struct Walk;
  struct Batch;
  void fetch();
  void fetched(Batch batch);

  net::any_io_executor executor_;
  std::shared_ptr<WorkerPool> pool_;
  std::shared_ptr<const SourceRoots> roots_;
  std::shared_ptr<SendBook> book_;
  std::shared_ptr<Walk> walk_;
  std::function<void()> wake_;
  std::deque<Ready> ready_;
  std::size_t looking_again_ = 0;
  bool fetching_ = false;
  bool walked_ = false;
};

}  // namespace sealine::io::stx
