#include "io/stx/receiver_core.hpp"

#include "io/detail/clock.hpp"
#include "io/stx/progress_pause.hpp"
#include "io/stx/seal_batch.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/io/identity.hpp"
#include "sealine/io/state_dir.hpp"
#include "sealine/stx/frame.hpp"
#include "sealine/stx/message.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <utility>

namespace sealine::io::stx {

namespace core = sealine::stx;
using io::detail::now;
using net::ip::tcp;

namespace {

/// With no descriptor left, so long until the next try.
constexpr std::chrono::milliseconds kDescriptorPause{100};
/// `once`: how long a sender that has gone may take to come back; as long as it tries.
constexpr std::chrono::minutes kReturnTime{10};

/// Takes any key: who it belongs to is judged after the handshake, where a stranger may be asked
/// about.
class AnyKeyTrust final : public Trust {
 public:
  void decide(const Introduction& /*introduction*/, Answer answer) override {
    answer(io::Verdict::accept(TrustWord::not_authenticated));
  }
};

std::string text_of(const tcp::endpoint& endpoint) {
  return peer_name(endpoint.address().to_string(), endpoint.port()).value_or(std::string());
}

}  // namespace

ReceiverCore::ReceiverCore(net::any_io_executor executor, ReceiveOptions options)
    : executor_(std::move(executor)),
      options_(std::make_shared<const ReceiveOptions>(std::move(options))),
      nonces_(std::make_shared<core::NonceMemory>()),
      budget_(options_->handshakes),
      descriptor_timer_(executor_),
      progress_timer_(executor_),
      once_timer_(executor_) {}

// --- opening

Result<> ReceiverCore::open() {
  const std::uint32_t block = options_->max_block_bytes;
  const bool block_fits = std::has_single_bit(block) && block >= 1U << core::kMinBlockLog2 &&
                          block <= 1U << core::kMaxBlockLog2;
  if (!block_fits || options_->max_senders == 0) return fail(Errc::bad_configuration);

  shared_ = std::make_shared<ReceiveShared>();
  shared_->options = options_;
  shared_->known_clients = options_->known_clients;
  shared_->judge = options_->on_stranger;
  if (options_->keys.empty()) {
    SEALINE_TRY(prepare_stcp());
  } else {
    SEALINE_TRY(set_keys(options_->keys));
  }
  SEALINE_TRY(root, ReceiveRoot::open(options_->directory));
  LedgerOptions ledger_options;
  ledger_options.on_notice = [weak = weak_from_this()](std::string_view) {
    const auto self = weak.lock();
    if (!self) return;
    net::post(self->executor_, [weak] {
      const auto alive = weak.lock();
      if (alive && alive->options_->on_notice) {
        alive->options_->on_notice({Notice::Kind::ledger_set_aside, {}, {}});
      }
    });
  };
  SEALINE_TRY(ledger, Ledger::open(root.path(), std::move(ledger_options)));
  shared_->root = std::make_shared<const ReceiveRoot>(std::move(root));
  shared_->ledger = std::make_shared<Ledger>(std::move(ledger));
  shared_->space = std::make_shared<SpaceBook>();
  shared_->shelf = std::make_shared<SlabShelf>();
  shared_->claims = std::make_shared<ItemClaims>(executor_);
  shared_->work = plan_work(options_->worker_threads);
  shared_->pool = std::make_shared<WorkerPool>(shared_->work.threads);
  shared_->committer = std::make_shared<WorkerPool>(1);
  return {};
}

Result<> ReceiverCore::prepare_stcp() {
  const stcp::ServerOptions& given = options_->stcp;
  auto full = std::make_shared<stcp::ServerOptions>();
  const bool mutual = given.protocol.modes.contains(stcp::Mode::mutual);
  const bool psk = given.protocol.modes.contains(stcp::Mode::psk) && !given.protocol.psks.empty();
  if (!mutual && !psk) return fail(Errc::bad_configuration);
  if (mutual && psk) {
    full->protocol.modes = {stcp::Mode::mutual, stcp::Mode::psk};
  } else {
    full->protocol.modes = {mutual ? stcp::Mode::mutual : stcp::Mode::psk};
  }
  full->protocol.identity = given.protocol.identity;
  for (const stcp::ServerPsk& one : given.protocol.psks) {
    full->protocol.psks.push_back({one.psk.clone(), one.hint_key.clone()});
  }
  full->protocol.limits = given.protocol.limits;
  full->protocol.limits.handshake_timeout = options_->limits.handshake_timeout;
  full->trust = std::make_shared<AnyKeyTrust>();
  if (mutual && !full->protocol.identity) {
    SEALINE_TRY(identity, open_default_identity());
    full->protocol.identity = std::make_shared<const crypto::KeyPair>(std::move(identity));
  }
  trust_ = given.trust;
  if (mutual && !trust_) {
    SEALINE_TRY(folder, open_state_dir());
    KnownPeers clients(folder / "known_clients", KnownPeers::Kind::clients);
    if (!shared_->known_clients) shared_->known_clients = clients;
    trust_ = std::make_shared<KnownPeersTrust>(std::move(clients), TrustPolicy::pinned);
    if (!shared_->judge) {
      shared_->judge = [](const Stranger& who, const std::function<void(bool)>& answer) {
        answer(who.is_loopback);
      };
    }
  }
  stcp_ = std::move(full);
  return {};
}

Result<> ReceiverCore::set_keys(std::vector<std::shared_ptr<const crypto::Psk>> keys) {
  const bool any_null = std::ranges::any_of(keys, [](const auto& key) { return key == nullptr; });
  if (keys.empty() || any_null || options_->keys.empty()) return fail(Errc::bad_configuration);
  auto config = std::make_shared<core::ServerHandshakeConfig>();
  config->psks = std::move(keys);
  config->parameters.max_block_log2 =
      static_cast<std::uint8_t>(std::countr_zero(options_->max_block_bytes));
  config->parameters.accepts_zstd = options_->accept_compressed;
  config->require_clock = options_->require_clock;
  keys_ = std::move(config);
  return {};
}

std::shared_ptr<const LaneAcceptance> ReceiverCore::acceptance() const {
  auto all = std::make_shared<LaneAcceptance>();
  all->keys = keys_;
  all->stcp = stcp_;
  all->trust = trust_;
  all->judges_strangers = static_cast<bool>(shared_->judge);
  all->parameters.max_block_log2 =
      static_cast<std::uint8_t>(std::countr_zero(options_->max_block_bytes));
  all->parameters.accepts_zstd = options_->accept_compressed;
  all->require_clock = options_->require_clock;
  all->handshake_timeout = options_->limits.handshake_timeout;
  return all;
}

// --- listening

Result<> ReceiverCore::listen(const std::string& host, std::uint16_t port,
                              stcp::AddressFamily family) {
  if (!shared_) return fail(Errc::bad_configuration);
  error_code ec;
  auto opened =
      io::detail::open_acceptors(executor_, {host, port, family, options_->handshakes.backlog}, ec);
  if (ec) return std::unexpected(to_error(ec));
  for (auto& acceptor : opened) {
    acceptors_.push_back(std::move(acceptor));
    accept_next(acceptors_.size() - 1);
  }
  return {};
}

std::vector<tcp::endpoint> ReceiverCore::local_endpoints() const {
  return io::detail::local_endpoints(acceptors_);
}

void ReceiverCore::accept_next(std::size_t index) {
  if (draining_) return;
  acceptors_[index]->async_accept(
      executor_, [weak = weak_from_this(), index](const error_code& ec, tcp::socket socket) {
        if (const auto self = weak.lock()) self->accepted(index, ec, std::move(socket));
      });
}

void ReceiverCore::accepted(std::size_t index, const error_code& ec, tcp::socket socket) {
  if (draining_) return;
  if (ec == net::error::no_descriptors || ec == net::error::no_buffer_space ||
      ec == net::error::no_memory || ec.value() == ENFILE) {
    descriptor_timer_.expires_after(kDescriptorPause);
    descriptor_timer_.async_wait([weak = weak_from_this(), index](const error_code&) {
      if (const auto self = weak.lock()) self->accept_next(index);
    });
    return;
  }
  if (!ec) {
    ++accepted_;
    error_code gone;
    const Endpoint client = socket.remote_endpoint(gone);
    if (!gone) {
      net::co_spawn(
          executor_,
          [self = shared_from_this(), moved = std::move(socket), client]() mutable {
            return self->serve(std::move(moved), client);
          },
          net::detached);
    }
  }
  accept_next(index);
}

net::awaitable<void> ReceiverCore::serve(tcp::socket socket, Endpoint client) {
  const auto self = shared_from_this();
  if (const auto refused = budget_.take(client.address(), now())) {
    refuse(client, {Error{*refused}, std::nullopt, std::nullopt});
    co_return;
  }
  const auto stop = std::make_shared<HandshakeStop>(executor_);
  half_open_.insert(stop);
  auto lane = co_await accept_lane(std::move(socket), acceptance(), nonces_, stop);
  half_open_.erase(stop);
  budget_.give_back(client.address());
  if (!lane) {
    if (!stop->is_stopped()) refuse(client, lane.error());
    co_return;
  }
  take_lane(std::move(*lane));
}

void ReceiverCore::refuse(const Endpoint& client, const LaneRefusal& refusal) {
  if (options_->on_refusal) {
    options_->on_refusal({text_of(client), refusal.error, refusal.key, refusal.verdict});
  }
}

// --- sessions

void ReceiverCore::take_lane(OpenedLane lane) {
  const core::ClientParameters& client = lane.keys.client;
  if (client.lane == 0) {
    if (draining_) return turn_away(std::move(lane), Code::shutting_down);
    const bool is_full = sessions_.size() >= options_->max_senders;
    if (is_full || once_done_) return turn_away(std::move(lane), Code::busy);
    return begin_session(std::move(lane));
  }
  for (const SessionPtr& session : sessions_) {
    if (session->is_over() || session->peer_id() != lane.peer_id ||
        session->transfer() != client.transfer) {
      continue;
    }
    return session->add_lane(std::move(lane));
  }
  turn_away(std::move(lane), Code::unknown_transfer);
}

void ReceiverCore::begin_session(OpenedLane lane) {
  once_timer_.cancel();
  const Connected connected = lane.connected;
  const auto session = std::make_shared<ReceiveSession>(executor_, shared_, lane);
  sessions_.insert(session);
  ++report_.sessions;
  if (options_->on_connected) options_->on_connected(connected);
  session->start(std::move(lane), [weak = weak_from_this(),
                                   weak_session = std::weak_ptr(session)](const SessionEnd& end) {
    const auto self = weak.lock();
    const auto over = weak_session.lock();
    if (self && over) self->session_ended(over, end);
  });
  if (!progress_armed_) report_progress();
}

void ReceiverCore::session_ended(const SessionPtr& session, const SessionEnd& end) {
  sessions_.erase(session);
  if (end.error) ++report_.failed_sessions;
  report_.last = end;
  if (options_->on_session_end) options_->on_session_end(end);
  if (options_->once && !draining_) {
    const bool comes_back =
        end.error && core::retry_after(end.code) == core::Retry::always && end.received_bytes != 0;
    if (comes_back) {
      wait_for_return(end);
    } else if (!end.error || end.files != 0 || end.received_bytes != 0) {
      once_done_ = true;
      drain();
    }
  }
  finish_if_done();
}

void ReceiverCore::wait_for_return(const SessionEnd& /*end*/) {
  once_timer_.expires_after(kReturnTime);
  once_timer_.async_wait([weak = weak_from_this()](const error_code& ec) {
    const auto self = weak.lock();
    if (ec || !self || !self->sessions_.empty()) return;
    self->once_done_ = true;
    self->drain();
    self->finish_if_done();
  });
}

void ReceiverCore::turn_away(OpenedLane lane, Code code) {
  const auto socket = std::make_shared<LaneSocket>(std::move(lane.socket), nullptr, shared_->shelf);
  const core::Message message = core::Close{code};
  const std::vector<std::uint8_t> plain = core::encode(message);
  SealBatch batch;
  batch.keys = std::make_shared<const LaneKeys>(
      LaneKeys{std::move(lane.keys.send_key), std::move(lane.keys.receive_key)});
  batch.out = std::make_shared<OutBatch>();
  const core::FrameHead head{core::kControlSequence | core::type_of(message),
                             static_cast<std::uint32_t>(plain.size())};
  batch.out->slab = Slab(head.frame_bytes());
  batch.add(thread_engine(), core::ControlFrame{0, head, plain});
  batch.run(thread_engine());
  batch.out->is_ready = true;
  socket->enqueue(batch.out);
  socket->finish();
}

// --- progress

void ReceiverCore::report_progress() {
  progress_armed_ = false;
  if (!options_->on_progress || sessions_.empty()) return;
  Progress progress;
  progress.done_bytes = shared_->done_bytes;
  progress.total_bytes = std::max(shared_->offered_bytes, shared_->done_bytes);
  const TimePoint at = now();
  const double seconds = std::chrono::duration<double>(at - shown_at_).count();
  if (shown_at_ != TimePoint{} && seconds > 0 && shared_->received_bytes >= shown_bytes_) {
    progress.rate = static_cast<double>(shared_->received_bytes - shown_bytes_) / seconds;
  }
  shown_bytes_ = shared_->received_bytes;
  shown_at_ = at;
  options_->on_progress(progress);
  progress_armed_ = true;
  progress_timer_.expires_after(kProgressPause);
  progress_timer_.async_wait([weak = weak_from_this()](const error_code& ec) {
    const auto self = weak.lock();
    if (!ec && self) self->report_progress();
  });
}

// --- the end

void ReceiverCore::start(Done done) {
  done_ = std::move(done);
  finish_if_done();
}

void ReceiverCore::drain() {
  if (draining_) return;
  draining_ = true;
  for (const auto& acceptor : acceptors_) {
    error_code ignored;
    acceptor->close(ignored);
  }
  descriptor_timer_.cancel();
  once_timer_.cancel();
  for (const auto& half_open : std::exchange(half_open_, {})) half_open->stop();
  finish_if_done();
}

void ReceiverCore::stop() {
  drain();
  // close() may end a session at once, and take it out of the set.
  const auto sessions = sessions_;
  for (const SessionPtr& session : sessions) session->close(Code::shutting_down);
}

void ReceiverCore::finish_if_done() {
  if (!draining_ || !sessions_.empty() || !done_) return;
  finish();
}

void ReceiverCore::finish() {
  progress_timer_.cancel();
  net::post(executor_, [done = std::move(done_)]() mutable {
    if (done) io::detail::complete(std::move(done), error_code());
  });
}

void ReceiverCore::shut_down() {
  stop();
  if (!shared_ || !shared_->pool) return;
  shared_->pool->close();
  shared_->committer->close();
}

ReceiveReport ReceiverCore::report() const {
  ReceiveReport report = report_;
  if (!shared_) return report;
  report.files = shared_->files;
  report.failed = shared_->failed;
  report.received_bytes = shared_->received_bytes;
  report.resumed_bytes = shared_->resumed_bytes;
  return report;
}

ReceiverStatistics ReceiverCore::statistics() const noexcept {
  ReceiverStatistics counts;
  counts.accepted = accepted_;
  counts.half_open = half_open_.size();
  counts.sessions = sessions_.size();
  if (shared_) {
    counts.received_bytes = shared_->received_bytes;
    counts.files = shared_->files;
  }
  return counts;
}

}  // namespace sealine::io::stx
