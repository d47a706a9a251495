#include "io/stt/endpoint_core.hpp"

#include "io/detail/clock.hpp"
#include "io/detail/core_guard.hpp"
#include "io/stt/session_core.hpp"
#include "sealine/io/engine.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <type_traits>
#include <utility>

namespace sealine::io::stt {

using net::ip::tcp;

namespace {

constexpr std::chrono::milliseconds kDescriptorPause{100};
/// For a port that is free for both, where any will do.
constexpr int kPortAttempts = 32;

net::ip::udp::endpoint same_place(const tcp::endpoint& place) {
  return {place.address(), place.port()};
}

}  // namespace

EndpointCore::EndpointCore(net::any_io_executor executor, EndpointOptions options)
    : executor_(std::move(executor)),
      options_(std::move(options)),
      timers_(std::make_shared<Timers>(executor_)),
      counts_(std::make_shared<ListenerCounts>()),
      budget_(options_.listener),
      retry_(executor_),
      receive_scratch_(kScratchBytes),
      send_scratch_(2 * kScratchBytes) {
  if (options_.workers == 0 || options_.workers > kMaxWorkers) {
    misconfigured_ = Error{Errc::bad_configuration, 0};
    return;
  }
  // Workers have them from here.
  if (!options_.node_id) system_rng().fill(options_.node_id.emplace());
  if (options_.workers > 1 && !options_.steering_key) {
    SteeringKey key;
    system_rng().fill(key.writable());
    options_.steering_key = std::make_shared<const SteeringKey>(std::move(key));
  }
  make_responder();
}

EndpointCore::EndpointCore(const EndpointCore& main, WorkerSeat seat)
    : seat_(std::move(seat)),
      executor_(seat_->thread->executor()),
      options_(main.options_),
      timers_(std::make_shared<Timers>(executor_)),
      counts_(main.counts_),
      budget_(options_.listener),
      retry_(executor_),
      send_scratch_(2 * kScratchBytes) {
  make_responder();
}

void EndpointCore::make_responder() {
  auto key = options_.seed
                 ? stc::seed_key(thread_engine(), options_.seed->expose())
                 : Result<stc::SeedKey>(std::unexpected(Error{Errc::bad_configuration, 0}));
  if (!key) {
    misconfigured_ = key.error();
    return;
  }
  handshake_.seed_key = std::move(*key);
  handshake_.node_id = *options_.node_id;
  handshake_.capabilities = {"udp", "websocket", "streaming"};
  handshake_.ephemeral = options_.forward_secrecy;
  handshake_.demand_ephemeral = options_.demand_forward_secrecy;
  handshake_.limits.dial_timeout = options_.handshake_timeout;
  handshake_.limits.half_open_timeout = options_.handshake_timeout;
  const std::size_t workers = seat_ ? seat_->count : 1;
  // Ids of handshakes are random, so that each worker has its share of them.
  const auto share = [workers](auto& limit) {
    limit = static_cast<std::remove_reference_t<decltype(limit)>>((limit + workers - 1) / workers);
  };
  share(handshake_.limits.half_open);
  share(handshake_.limits.hello_memory_entries);
  share(handshake_.limits.hellos_per_second);
  if (options_.steering_key) {
    handshake_.session_ids =
        ::sealine::stt::SessionIdPlan{.key = options_.steering_key->clone(),
                                      .server_id = options_.server_id,
                                      .worker = static_cast<std::uint8_t>(seat_ ? seat_->index : 0),
                                      .workers = static_cast<std::uint16_t>(workers)};
  }
  responder_.emplace(handshake_, thread_engine(), system_rng(), detail::now());
}

void EndpointCore::listen(const Url& url, error_code& ec) {
  if (misconfigured_) {
    ec = to_error_code(*misconfigured_);
    return;
  }
  ec = {};
  switch (url.scheme) {
    case Scheme::udp:
      return listen_to_datagrams(url, ec);
    case Scheme::stt:
      return listen_to_both(url, ec);
    case Scheme::ws:
      return listen_to_websocket(url, ec);
    case Scheme::wss:
      break;  // a proxy's business
  }
  ec = make_error_code(Errc::bad_configuration);
}

void EndpointCore::listen_to_websocket(const Url& url, error_code& ec) {
  auto opened = detail::open_acceptors(
      executor_, {url.host, url.port, options_.family, options_.listener.backlog}, ec);
  start_accepting(url, std::move(opened));
}

void EndpointCore::start_accepting(const Url& url, detail::Acceptors opened) {
  if (acceptors_.empty() &&
      std::ranges::find(options_.web.paths, url.path) == options_.web.paths.end()) {
    options_.web.paths = {url.path};
  }
  for (auto& acceptor : opened) {
    acceptors_.push_back(std::move(acceptor));
    accept_next(acceptors_.size() - 1);
  }
}

void EndpointCore::listen_to_datagrams(const Url& url, error_code& ec) {
  using net::ip::udp;
  if (url.host.empty()) {
    if (options_.family != AddressFamily::ipv4) {
      listen_at({.addresses = {udp::endpoint(udp::v6(), url.port)},
                 .both_families = options_.family == AddressFamily::any},
                ec);
      if (!ec || options_.family == AddressFamily::ipv6) return;
      ec = {};
    }
    return listen_at({.addresses = {udp::endpoint(udp::v4(), url.port)}}, ec);
  }
  udp::resolver resolver(executor_);
  const auto flags = udp::resolver::numeric_service | udp::resolver::passive;
  const auto results = resolver.resolve(url.host, std::to_string(url.port), flags, ec);
  if (ec) return;
  DatagramPlaces places;
  for (const auto& entry : results) {
    const bool is_ipv4 = entry.endpoint().protocol() == udp::v4();
    if (options_.family == AddressFamily::any ||
        is_ipv4 == (options_.family == AddressFamily::ipv4)) {
      places.addresses.push_back(entry.endpoint());
    }
  }
  if (places.addresses.empty()) ec = net::error::host_not_found;
  if (!ec) listen_at(places, ec);
}

// By workers where there are to be some, and where the kernel tells their datagrams apart; else
// here.
void EndpointCore::listen_at(const DatagramPlaces& places, error_code& ec) {
  if (options_.workers > 1) {
    bool is_steered = true;
    try {  // of contexts without descriptors
      if (!workers_) workers_ = std::make_unique<Workers>(*this, options_.workers);
      is_steered = workers_->listen(places, ec);
    } catch (const system_error& error) {
      ec = error.code();
    }
    if (workers_ && !workers_->has_listened()) workers_.reset();
    if (is_steered) return;
  }
  datagrams_.listen(places, ec);
}

// One port number for both, also where the kernel chooses it.
void EndpointCore::listen_to_both(const Url& url, error_code& ec) {
  for (int attempt = 0; attempt < (url.port == 0 ? kPortAttempts : 1); ++attempt) {
    auto opened = detail::open_acceptors(
        executor_, {url.host, url.port, options_.family, options_.listener.backlog}, ec);
    if (ec) return;
    DatagramPlaces places{
        .addresses = {},
        .both_families = url.host.empty() && options_.family == AddressFamily::any,
        .need = DatagramPlaces::Need::all};
    for (const tcp::endpoint& place : detail::local_endpoints(opened)) {
      places.addresses.push_back(same_place(place));
    }
    listen_at(places, ec);
    if (ec) continue;
    return start_accepting(url, std::move(opened));
  }
}

std::vector<tcp::endpoint> EndpointCore::local_endpoints() const {
  std::vector<tcp::endpoint> out = detail::local_endpoints(acceptors_);
  auto places = datagrams_.local_endpoints();
  if (workers_) std::ranges::copy(workers_->local_endpoints(), std::back_inserter(places));
  for (const auto& place : places) {
    const tcp::endpoint same(place.address(), place.port());
    if (std::ranges::find(out, same) == out.end()) out.push_back(same);
  }
  return out;
}

// --- datagrams
// ------------------------------------------------------------------------------------

ReceiveBatch& EndpointCore::receive_batch() {
  if (!batch_) batch_ = std::make_unique<ReceiveBatch>();
  return *batch_;
}

void EndpointCore::note_socket(const DatagramCounts& counts) {
  datagram_buffer_bytes_ = std::min(datagram_buffer_bytes_.value_or(counts.receive_buffer_bytes),
                                    counts.receive_buffer_bytes);
}

void EndpointCore::note_failure(const tcp::endpoint& client, const Error& why) {
  if (seat_) return seat_->workers->note_failure(client, why);
  if (observer_) observer_({client, why});
}

void EndpointCore::session_ready(std::shared_ptr<SessionCore> session) {
  if (closed_) return session->abandon();
  counts_->waiting.fetch_add(1, std::memory_order_relaxed);
  if (seat_) return seat_->workers->session_ready(session);
  take_ready(std::move(session));
}

void EndpointCore::take_ready(std::shared_ptr<SessionCore> session) {
  if (closed_) return session->let_go();
  ready_.push_back(std::move(session));
  hand_out();
}

WorkerStatistics EndpointCore::workers() const noexcept {
  return {.count = workers_ ? workers_->count() : 1,
          .handed_over = counts_->handed_over.load(std::memory_order_relaxed),
          .dropped = counts_->dropped.load(std::memory_order_relaxed)};
}

void EndpointCore::end_sessions() {
  closed_ = true;
  datagrams_.end_sessions();
}

// --- connections
// ----------------------------------------------------------------------------------

void EndpointCore::accept_next(std::size_t index) {
  if (closed_) return;
  acceptors_[index]->async_accept(executor_, [guard = detail::CoreGuard(shared_from_this()), index](
                                                 const error_code& ec, tcp::socket socket) mutable {
    guard.take()->accepted(index, ec, std::move(socket));
  });
}

void EndpointCore::accepted(std::size_t index, const error_code& ec, tcp::socket socket) {
  if (closed_) return;
  if (ec == net::error::no_descriptors || ec == net::error::no_buffer_space ||
      ec == net::error::no_memory || ec.value() == ENFILE) {
    retry_.expires_after(kDescriptorPause);
    retry_.async_wait([weak = weak_from_this(), index](const error_code&) {
      if (const auto self = weak.lock()) self->accept_next(index);
    });
    return;
  }
  error_code gone;
  const tcp::endpoint client = ec ? tcp::endpoint() : socket.remote_endpoint(gone);
  if (!ec && !gone) {
    if (const auto refused = budget_.take(client.address(), detail::now())) {
      if (observer_) observer_({client, Error{*refused, 0}});
    } else {
      const std::uint64_t number = ++numbers_;
      const auto session = std::make_shared<SessionCore>(shared_from_this());
      half_open_.emplace(number, HalfOpen{session, client});
      session->answer(std::move(socket), client, number);
    }
  }
  accept_next(index);
}

void EndpointCore::handshake_over(std::uint64_t number, const std::optional<Error>& failure) {
  const auto found = half_open_.find(number);
  if (found == half_open_.end()) return;
  const HalfOpen entry = std::move(found->second);
  half_open_.erase(found);
  budget_.give_back(entry.client.address());
  if (failure) {
    if (observer_) observer_({entry.client, *failure});
  } else if (entry.session->is_open() && !closed_) {
    counts_->waiting.fetch_add(1, std::memory_order_relaxed);
    take_ready(entry.session);
  }
}

void EndpointCore::hand_out() {
  if (!accept_done_ || ready_.empty()) return;
  auto session = std::move(ready_.front());
  ready_.pop_front();
  counts_->waiting.fetch_sub(1, std::memory_order_relaxed);
  // One of a worker is its worker's as long as there are workers: until it is given out.
  const std::weak_ptr<SessionCore> weak = session;
  if (session->is_of_worker()) session.reset();
  net::post(executor_, [done = std::move(accept_done_), keep = std::move(session), weak]() mutable {
    const auto ready = weak.lock();
    const error_code ec = ready ? error_code() : net::error::operation_aborted;
    detail::complete(std::move(done), ec, ready ? ready->handle() : Session());
  });
}

void EndpointCore::start_accept(Given done) {
  const auto end = [this](Given operation, const error_code& ec) {
    net::post(executor_, [operation = std::move(operation), ec]() mutable {
      detail::complete(std::move(operation), ec, Session());
    });
  };
  if (accept_done_) return end(std::move(done), make_error_code(Errc::operation_in_progress));
  if (closed_ && ready_.empty()) return end(std::move(done), net::error::operation_aborted);
  accept_done_ = std::move(done);
  hand_out();
}

void EndpointCore::start_connect(const Url& url, Given done) {
  if (misconfigured_) {
    net::post(executor_, [done = std::move(done), why = *misconfigured_]() mutable {
      detail::complete(std::move(done), to_error_code(why), Session());
    });
    return;
  }
  std::make_shared<SessionCore>(shared_from_this())->dial(url, std::move(done));
}

Result<std::shared_ptr<const detail::TlsTrust>> EndpointCore::tls_trust() {
  if (!tls_trust_) {
    SEALINE_TRY(trust, detail::TlsTrust::of_the_system());
    tls_trust_ = std::move(trust);
    tls_scratch_.resize(kScratchBytes);
  }
  return tls_trust_;
}

PlainAnswer EndpointCore::page(const websocket::Request& request) const {
  if (pages_) return pages_(request);
  return {.status = 404, .body = "There is only a WebSocket here.\n"};
}

void EndpointCore::drop_operations() {
  closed_ = true;
  const Given accept = std::move(accept_done_);
  const auto ready = std::exchange(ready_, {});
  const auto half_open = std::exchange(half_open_, {});
}

void EndpointCore::abandon() {
  close();
  for (const auto& session : std::exchange(ready_, {})) session->let_go();
  workers_.reset();
}

void EndpointCore::close() {
  if (closed_) return;
  closed_ = true;
  for (const auto& acceptor : acceptors_) {
    error_code ignored;
    acceptor->close(ignored);
  }
  datagrams_.close();
  if (workers_) workers_->close();
  retry_.cancel();
  const auto half_open = std::exchange(half_open_, {});
  for (const auto& [number, entry] : half_open) entry.session->give_up();
  if (accept_done_ && ready_.empty()) {
    net::post(executor_, [done = std::move(accept_done_)]() mutable {
      detail::complete(std::move(done), net::error::operation_aborted, Session());
    });
  }
}

}  // namespace sealine::io::stt
