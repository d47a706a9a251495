#include "sealine/io/stx_sender.hpp"

#include "io/detail/clock.hpp"
#include "io/stx/folder_walk.hpp"
#include "io/stx/item_plan.hpp"
#include "io/stx/send_book.hpp"
#include "io/stx/send_transfer.hpp"
#include "io/stx/stream_source.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/io/operation.hpp"
#include "sealine/stx/name.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <memory>
#include <string_view>
#include <utility>

namespace sealine::io::stx {

namespace core = sealine::stx;

namespace {

constexpr std::string_view kInputPath = "-";
constexpr std::uint16_t kInputMode = 0644;
constexpr std::chrono::seconds kFirstConnectTimeout{10};

Result<> check(const SendOptions& options) {
  const std::uint32_t block = options.block_bytes;
  const bool block_fits =
      block == 0 || (std::has_single_bit(block) && block >= 1U << core::kMinBlockLog2 &&
                     block <= 1U << core::kMaxBlockLog2);
  const bool lanes_fit = options.lanes >= 1 && options.lanes <= core::kMaxLanes;
  const stcp::Mode mode = options.stcp.protocol.mode;
  const bool mode_fits = options.key || mode == stcp::Mode::mutual || mode == stcp::Mode::psk;
  if (!block_fits || !lanes_fit || !mode_fits) return fail(Errc::bad_configuration);
  return {};
}

/// The paths that are there; the others are reported, unless none is left.
Result<std::shared_ptr<const SourceRoots>> find_roots(std::vector<std::filesystem::path> paths,
                                                      bool has_input, SendBook& book) {
  for (;;) {
    std::uint32_t bad = 0;
    auto roots = SourceRoots::create(paths, &bad);
    if (roots) return std::make_shared<const SourceRoots>(std::move(*roots));
    if (roots.error().code != Errc::file_error || bad >= paths.size()) {
      return std::unexpected(roots.error());
    }
    if (paths.size() == 1 && !has_input) return std::unexpected(roots.error());
    WalkedEntry missing;
    missing.entry.name = paths[bad].string();
    book.entry_failed(missing, roots.error());
    paths.erase(paths.begin() + bad);
  }
}

core::Entry input_entry(const SendOptions& options) {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return {core::EntryKind::file, kInputMode,
          std::chrono::duration_cast<std::chrono::nanoseconds>(since).count(), 0,
          options.input_name};
}

void plan_only(const std::shared_ptr<const SourceRoots>& roots, const SendOptions& options,
               SendBook& book) {
  std::vector<Exclusion> exclude;
  for (const std::string& glob : options.exclude) exclude.emplace_back(glob);
  FolderWalk walk(*roots, std::move(exclude));
  ItemPlan plan([&walk] { return walk.next(); });
  while (const auto item = plan.next()) book.planned(*item);
  for (const SkippedEntry& entry : plan.take_skipped()) book.skipped(entry);
}

/// Closes the pool when the coroutine ends, however it ends: jobs hold on to the transfer.
struct PoolGuard {
  std::shared_ptr<WorkerPool> pool;
  std::shared_ptr<StreamSource> stream;

  PoolGuard() = default;
  PoolGuard(const PoolGuard&) = delete;
  PoolGuard& operator=(const PoolGuard&) = delete;

  ~PoolGuard() {
    if (stream) stream->stop();
    if (pool) pool->close();
  }
};

}  // namespace

net::awaitable<Result<SendReport>> send_files(std::string host, std::uint16_t port,
                                              std::vector<std::filesystem::path> paths,
                                              SendOptions given) {
  const auto options = std::make_shared<const SendOptions>(std::move(given));
  if (const auto fits = check(*options); !fits) co_return std::unexpected(fits.error());
  const bool has_input = std::ranges::find(paths, std::filesystem::path(kInputPath)) != paths.end();
  std::erase(paths, std::filesystem::path(kInputPath));
  if (paths.empty() && !has_input) co_return fail(Errc::usage);
  if (has_input && !core::check_name(options->input_name)) co_return fail(Errc::usage);

  const TimePoint began = io::detail::now();
  const auto shared = std::make_shared<SendShared>();
  shared->options = options;
  shared->book = std::make_shared<SendBook>(options);
  auto roots = find_roots(std::move(paths), has_input, *shared->book);
  if (!roots) co_return std::unexpected(roots.error());
  shared->roots = std::move(*roots);
  if (options->dry_run) {
    plan_only(shared->roots, *options, *shared->book);
    co_return shared->book->report();
  }
  if (options->block_bytes != 0) {
    shared->block_log2 = static_cast<std::uint8_t>(std::countr_zero(options->block_bytes));
  }
  shared->work = plan_work(options->worker_threads);
  shared->pool = std::make_shared<WorkerPool>(shared->work.threads);
  shared->rate = std::make_shared<RateLimit>(options->rate_limit);
  shared->shelf = std::make_shared<SlabShelf>();

  const auto target = std::make_shared<LaneTarget>();
  target->host = std::move(host);
  target->port = port;
  target->key = options->key;
  auto stcp = std::make_shared<stcp::ClientOptions>(options->stcp);
  stcp->protocol.limits.handshake_timeout = options->limits.handshake_timeout;
  if (!options->retry) {
    stcp->connect_timeout = std::min<Duration>(stcp->connect_timeout, kFirstConnectTimeout);
  }
  target->stcp = std::move(stcp);
  target->handshake_timeout = options->limits.handshake_timeout;
  system_rng().fill(target->transfer);

  PoolGuard guard;
  guard.pool = shared->pool;
  const net::any_io_executor executor = co_await net::this_coro::executor;
  const auto transfer = std::make_shared<SendTransfer>(executor, shared, target);
  if (has_input) {
    shared->stream_entry = input_entry(*options);
    shared->book->set_stream_name(options->input_name);
    shared->stream =
        std::make_shared<StreamSource>(options->input, std::uint32_t{1} << shared->block_log2,
                                       [weak = std::weak_ptr<SendTransfer>(transfer)] {
                                         if (const auto alive = weak.lock())
                                           alive->stream_supplied();
                                       });
    guard.stream = shared->stream;
  }
  const std::stop_callback on_stop(options->stop, [executor, weak = std::weak_ptr(transfer)] {
    net::post(executor, [weak] {
      if (const auto alive = weak.lock()) alive->stop();
    });
  });

  const auto initiate = [&](auto&& handler) {
    auto slot = net::get_associated_cancellation_slot(handler);
    if (slot.is_connected()) {
      slot.assign([weak = std::weak_ptr(transfer)](net::cancellation_type type) {
        const auto alive = weak.lock();
        if (alive && type != net::cancellation_type::none) alive->stop();
      });
    }
    transfer->start(io::detail::make_operation<error_code>(std::move(handler), executor));
  };
  error_code ec;
  auto token = net::redirect_error(net::use_awaitable, ec);
  co_await net::async_initiate<decltype(token), void(error_code)>(initiate, token);
  if (!transfer->result()) co_return std::unexpected(transfer->result().error());
  SendReport& report = shared->book->report();
  report.elapsed = io::detail::now() - began;
  report.proved = true;
  co_return std::move(report);
}

}  // namespace sealine::io::stx
