#include "sealine/io/stcp_listener.hpp"

#include "io/detail/acceptors.hpp"
#include "io/detail/clock.hpp"
#include "io/detail/core_guard.hpp"
#include "io/detail/stcp_listener_core.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace sealine::io::stcp {

using net::ip::tcp;

namespace {

/// With no descriptor left, so long until the next try.
constexpr std::chrono::milliseconds kDescriptorPause{100};

}  // namespace

ListenerCore::ListenerCore(net::any_io_executor executor,
                           std::shared_ptr<const ServerOptions> options, ListenerLimits limits)
    : executor_(std::move(executor)),
      options_(std::move(options)),
      limits_(limits),
      budget_(limits),
      retry_(executor_),
      connections_(std::make_shared<std::atomic<std::size_t>>(0)) {}

// --- listening
// ------------------------------------------------------------------------------------

void ListenerCore::listen(const std::string& host, std::uint16_t port, AddressFamily family,
                          error_code& ec) {
  if (const auto ready = set_options(options_); !ready) {
    ec = to_error_code(ready.error());
    return;
  }
  auto opened = detail::open_acceptors(executor_, {host, port, family, limits_.backlog}, ec);
  for (auto& acceptor : opened) {
    closed_ = false;
    acceptors_.push_back(std::move(acceptor));
    accepting_.push_back(false);
    accept_next(acceptors_.size() - 1);
  }
}

std::vector<ListenerCore::Endpoint> ListenerCore::local_endpoints() const {
  return detail::local_endpoints(acceptors_);
}

// --- accepting
// ------------------------------------------------------------------------------------

bool ListenerCore::is_full() const noexcept {
  const std::size_t handed_out = connections_->load(std::memory_order_relaxed);
  if (ready_.size() + half_open_.size() >= limits_.waiting + limits_.half_open) return true;
  if (ready_.size() >= limits_.waiting) return true;
  return limits_.connections != 0 &&
         handed_out + ready_.size() + half_open_.size() >= limits_.connections;
}

void ListenerCore::accept_next(std::size_t index) {
  if (closed_ || accepting_[index] || out_of_descriptors_ || is_full()) return;
  accepting_[index] = true;
  acceptors_[index]->async_accept(make_executor_ ? make_executor_() : executor_,
                                  [guard = detail::CoreGuard(shared_from_this()), index](
                                      const error_code& ec, tcp::socket socket) mutable {
                                    guard.take()->accepted(index, ec, std::move(socket));
                                  });
}

void ListenerCore::resume_accepting() {
  for (std::size_t i = 0; i < acceptors_.size(); ++i) accept_next(i);
}

void ListenerCore::accepted(std::size_t index, const error_code& ec, tcp::socket socket) {
  accepting_[index] = false;
  if (closed_) return;
  if (ec == net::error::no_descriptors || ec == net::error::no_buffer_space ||
      ec == net::error::no_memory || ec.value() == ENFILE) {
    return pause_for_descriptors();
  }
  if (!ec) {
    ++counts_.accepted;
    error_code gone;
    const Endpoint client = socket.remote_endpoint(gone);
    if (!gone) begin_handshake(std::move(socket), client);
  }
  accept_next(index);
}

void ListenerCore::pause_for_descriptors() {
  if (out_of_descriptors_) return;
  out_of_descriptors_ = true;
  report({Endpoint(), Error{Errc::system_error, EMFILE}, std::nullopt, std::nullopt});
  retry_.expires_after(kDescriptorPause);
  retry_.async_wait([guard = detail::CoreGuard(shared_from_this())](const error_code&) mutable {
    const auto self = guard.take();
    self->out_of_descriptors_ = false;
    self->resume_accepting();
  });
}

void ListenerCore::begin_handshake(tcp::socket socket, const Endpoint& client) {
  if (const auto refused = budget_.take(client.address(), detail::now())) {
    ++counts_.refused;
    error_code ignored;
    socket.close(ignored);
    return report({client, Error{*refused}, std::nullopt, std::nullopt});
  }
  const std::uint64_t number = ++numbers_;
  auto core = std::make_shared<StreamCore>(std::move(socket), nullptr, options_, std::string());
  half_open_.emplace(number, HalfOpen{core, client});

  const net::any_io_executor executor = core->executor();
  auto over = [listener = weak_from_this(), back = executor_, number, client,
               stream = Stream(core)](const error_code& ec) mutable {
    // What failed is looked at and let go here, on its own executor: it may still linger.
    std::optional<HandshakeFailure> failure;
    if (ec) {
      failure = HandshakeFailure{client, stream.fault().value_or(to_error(ec)), stream.verdict(),
                                 stream.peer().key};
      stream = Stream();
    }
    if (listener.expired()) return;
    net::dispatch(back, [listener, number, failure = std::move(failure),
                         stream = std::move(stream)]() mutable {
      if (const auto self = listener.lock()) {
        self->handshake_over(number, failure, std::move(stream));
      }
    });
  };
  net::dispatch(executor, [core, executor, over = std::move(over)]() mutable {
    core->start_handshake(detail::make_operation<error_code>(std::move(over), executor));
  });
}

void ListenerCore::handshake_over(std::uint64_t number,
                                  const std::optional<HandshakeFailure>& failure, Stream stream) {
  const auto entry = half_open_.find(number);
  if (entry == half_open_.end()) return;
  budget_.give_back(entry->second.client.address());
  half_open_.erase(entry);
  if (failure) {
    ++counts_.failed;
    report(*failure);
  } else if (closed_) {
    const net::any_io_executor executor = stream.get_executor();
    net::post(executor, [late = std::move(stream)] {});
  } else {
    ++counts_.established;
    ready_.push_back(std::move(stream));
    hand_out();
  }
  if (!closed_) resume_accepting();
}

void ListenerCore::report(const HandshakeFailure& failure) {
  if (observer_) observer_(failure);
}

void ListenerCore::hand_out() {
  if (!accept_done_ || ready_.empty()) return;
  Stream stream = std::move(ready_.front());
  ready_.pop_front();
  connections_->fetch_add(1, std::memory_order_relaxed);
  stream.core_->on_closed([listener = weak_from_this(), back = executor_, count = connections_] {
    count->fetch_sub(1, std::memory_order_relaxed);
    if (listener.expired()) return;
    net::post(back, [listener] {
      if (const auto self = listener.lock()) self->stream_gone();
    });
  });
  net::post(executor_, [done = std::move(accept_done_), stream = std::move(stream)]() mutable {
    detail::complete(std::move(done), error_code(), std::move(stream));
  });
}

void ListenerCore::start_accept(Accepted done) {
  const auto finish = [this](Accepted operation, const error_code& ec) {
    net::post(executor_, [operation = std::move(operation), ec]() mutable {
      detail::complete(std::move(operation), ec, Stream());
    });
  };
  if (accept_done_) return finish(std::move(done), make_error_code(Errc::operation_in_progress));
  if (closed_ && ready_.empty()) return finish(std::move(done), net::error::operation_aborted);
  accept_done_ = std::move(done);
  hand_out();
  resume_accepting();
}

void ListenerCore::cancel_accept() {
  if (!accept_done_) return;
  net::post(executor_, [done = std::move(accept_done_)]() mutable {
    detail::complete(std::move(done), net::error::operation_aborted, Stream());
  });
}

void ListenerCore::stream_gone() {
  if (!closed_) resume_accepting();
  finish_drain();
}

void ListenerCore::start_drain(Drained done) {
  close();
  if (drain_done_) {
    net::post(executor_, [done = std::move(done)]() mutable {
      detail::complete(std::move(done), make_error_code(Errc::operation_in_progress));
    });
    return;
  }
  drain_done_ = std::move(done);
  finish_drain();
}

void ListenerCore::finish_drain() {
  if (!drain_done_ || connections_->load(std::memory_order_relaxed) != 0 || !ready_.empty()) return;
  net::post(executor_, [done = std::move(drain_done_)]() mutable {
    detail::complete(std::move(done), error_code());
  });
}

void ListenerCore::close() {
  if (closed_) return;
  closed_ = true;
  for (const auto& acceptor : acceptors_) {
    error_code ignored;
    acceptor->close(ignored);
  }
  retry_.cancel();
  for (const auto& [number, half_open] : half_open_) {
    if (const auto stream = half_open.stream.lock()) {
      net::post(stream->executor(), [stream] { stream->cancel(); });
    }
  }
  if (ready_.empty()) cancel_accept();
}

void ListenerCore::drop_operations() {
  const Accepted accepted = std::move(accept_done_);
  const Drained drained = std::move(drain_done_);
  const auto ready = std::move(ready_);
  ready_.clear();
}

Result<> ListenerCore::set_options(std::shared_ptr<const ServerOptions> options) {
  SEALINE_TRY(full, complete(std::move(options)));
  SEALINE_TRY(check, ::sealine::stcp::ServerConnection::create(full->protocol, thread_engine(),
                                                               system_rng(), detail::now()));
  options_ = std::move(full);
  return {};
}

ListenerStatistics ListenerCore::statistics() const noexcept {
  ListenerStatistics counts = counts_;
  counts.half_open = half_open_.size();
  counts.connections = connections_->load(std::memory_order_relaxed);
  return counts;
}

// --- the object of the user
// -----------------------------------------------------------------------

Listener::Listener(executor_type executor) : Listener(std::move(executor), ServerOptions()) {}

Listener::Listener(executor_type executor, ServerOptions options, ListenerLimits limits)
    : Listener(std::move(executor), std::make_shared<const ServerOptions>(std::move(options)),
               limits) {}

Listener::Listener(executor_type executor, std::shared_ptr<const ServerOptions> options,
                   ListenerLimits limits)
    : core_(std::make_shared<ListenerCore>(std::move(executor), std::move(options), limits)) {}

Listener::Listener(Listener&&) noexcept = default;

Listener& Listener::operator=(Listener&& other) noexcept {
  if (this != &other) {
    if (core_) core_->close();
    core_ = std::move(other.core_);
  }
  return *this;
}

Listener::~Listener() {
  if (!core_) return;
  core_->close();
  core_->cancel_accept();
}

Listener::executor_type Listener::get_executor() noexcept { return core_->executor(); }

void Listener::on_failure(Observer observer) { core_->on_failure(std::move(observer)); }

void Listener::set_stream_executor(MakeExecutor make) {
  core_->set_stream_executor(std::move(make));
}

void Listener::listen(std::string_view host, std::uint16_t port, error_code& ec,
                      AddressFamily family) {
  ec = {};
  core_->listen(std::string(host), port, family, ec);
}

void Listener::listen(std::string_view host, std::uint16_t port, AddressFamily family) {
  error_code ec;
  core_->listen(std::string(host), port, family, ec);
  if (ec) throw system_error(ec);
}

std::vector<tcp::endpoint> Listener::local_endpoints() const { return core_->local_endpoints(); }

std::uint16_t Listener::port() const {
  const auto endpoints = core_->local_endpoints();
  return endpoints.empty() ? std::uint16_t{0} : endpoints.front().port();
}

Result<> Listener::set_options(std::shared_ptr<const ServerOptions> options) {
  return core_->set_options(std::move(options));
}

void Listener::cancel() { core_->cancel_accept(); }

void Listener::close() { core_->close(); }

ListenerStatistics Listener::statistics() const noexcept { return core_->statistics(); }

void Listener::start_accept(const CorePtr& core, detail::OperationPtr<error_code, Stream> done) {
  core->start_accept(std::move(done));
}

void Listener::start_drain(const CorePtr& core, detail::OperationPtr<error_code> done) {
  core->start_drain(std::move(done));
}

void Listener::cancel_accept(const CorePtr& core) { core->cancel_accept(); }

const Listener::executor_type& Listener::executor_of(const CorePtr& core) noexcept {
  return core->executor();
}

}  // namespace sealine::io::stcp
