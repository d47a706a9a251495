#include "sealine/io/scp_server.hpp"

#include "io/detail/scp_server_core.hpp"

#include <string>
#include <utility>

namespace sealine::io::scp {

namespace {

using ServerCorePtr = std::shared_ptr<ServerCore>;

using AcceptedCore = Result<std::shared_ptr<ChannelCore>>;

/// Starts `begin` with an operation for the awaiting coroutine; `cancel` is called by its
/// cancellation. (Not a coroutine itself: g++ 12 destroys twice what a lambda beside a co_await
/// holds.)
template <class Outcome, class Begin, class Cancel>
net::awaitable<Outcome> wait_on_server(const ServerCorePtr& core, Begin begin, Cancel cancel) {
  return net::async_initiate<const net::use_awaitable_t<>&, void(Outcome)>(
      [core, begin, cancel](auto&& handler) {
        auto slot = net::get_associated_cancellation_slot(handler);
        if (slot.is_connected()) {
          slot.assign([weak = std::weak_ptr(core), cancel](net::cancellation_type type) {
            if (type == net::cancellation_type::none) return;
            if (const auto alive = weak.lock()) cancel(*alive);
          });
        }
        begin(*core, detail::make_operation<Outcome>(std::forward<decltype(handler)>(handler),
                                                     core->executor()));
      },
      net::use_awaitable);
}

net::awaitable<Result<bool>> wait_for_end(const ServerCorePtr& core, bool all) {
  return wait_on_server<Result<bool>>(
      core,
      [all](ServerCore& on, ServerCore::Ended ended) { on.start_ended(all, std::move(ended)); },
      [](ServerCore& on) { on.cancel_ended(); });
}

net::awaitable<AcceptedCore> wait_for_channel(const ServerCorePtr& core) {
  return wait_on_server<AcceptedCore>(
      core,
      [](ServerCore& on, ServerCore::Accepted accepted) { on.start_accept(std::move(accepted)); },
      [](ServerCore& on) { on.cancel_accept(); });
}

net::awaitable<void> ended_on(ServerCorePtr core, bool all) {
  if (!core->is_bound()) co_return;
  const auto ended = co_await wait_for_end(core, all);
  if (!ended) throw system_error(to_error_code(ended.error()));
}

net::awaitable<AcceptedCore> accept_on(ServerCorePtr core) {
  if (!core->is_bound()) co_return fail(Errc::wrong_state);
  co_return co_await wait_for_channel(core);
}

net::awaitable<Result<Channel>> accept_channel(ServerCorePtr core) {
  auto channel = co_await accept_on(std::move(core));
  if (!channel) co_return std::unexpected(channel.error());
  co_return ChannelCore::make_channel(std::move(*channel));
}

net::awaitable<Channel> accept_or_throw(ServerCorePtr core) {
  auto channel = co_await accept_channel(std::move(core));
  if (!channel) throw system_error(to_error_code(channel.error()));
  co_return std::move(*channel);
}

net::awaitable<void> listen_on(ServerCorePtr core, std::string host, std::uint16_t port) {
  const net::any_io_executor executor = co_await net::this_coro::executor;
  const auto bound = core->bind(executor, host, port, AddressFamily::any);
  if (!bound) throw system_error(to_error_code(bound.error()));
  co_await ended_on(std::move(core), false);
}

net::awaitable<void> drain_on(ServerCorePtr core, Duration grace) {
  core->stop();
  core->end_after(grace);
  co_await ended_on(std::move(core), true);
}

net::awaitable<void> drain_on(ServerCorePtr core) {
  core->stop();
  co_await ended_on(std::move(core), true);
}

ServerOptions options_with(const KeyPair& keys) {
  ServerOptions options;
  options.protocol.identity = keys.shared();
  return options;
}

}  // namespace

Server::Server(const KeyPair& keys) : Server(options_with(keys)) {}

Server::Server(ServerOptions options) : core_(std::make_shared<ServerCore>(std::move(options))) {}

Server::Server(Server&&) noexcept = default;

Server& Server::operator=(Server&& other) noexcept {
  if (this != &other) {
    if (core_) core_->stop();
    core_ = std::move(other.core_);
  }
  return *this;
}

Server::~Server() {
  if (core_) core_->stop();
}

void Server::on_connection(Handler handler) { core_->on_connection(std::move(handler)); }

void Server::on_failure(Observer observer) { core_->on_failure(std::move(observer)); }

net::awaitable<void> Server::listen(std::uint16_t port) {
  return listen_on(core_, std::string(), port);
}

net::awaitable<void> Server::listen(std::string_view host, std::uint16_t port) {
  return listen_on(core_, std::string(host), port);
}

Result<> Server::bind(const net::any_io_executor& executor, std::string_view host,
                      std::uint16_t port) {
  return core_->bind(executor, std::string(host), port, AddressFamily::any);
}

Result<> Server::bind(const net::any_io_executor& executor, std::string_view host,
                      std::uint16_t port, AddressFamily family) {
  return core_->bind(executor, std::string(host), port, family);
}

std::vector<net::ip::tcp::endpoint> Server::local_endpoints() const {
  return core_->local_endpoints();
}

std::uint16_t Server::port() const {
  const auto endpoints = core_->local_endpoints();
  return endpoints.empty() ? std::uint16_t{0} : endpoints.front().port();
}

net::awaitable<void> Server::serve() { return ended_on(core_, false); }

net::awaitable<Channel> Server::accept() { return accept_or_throw(core_); }

net::awaitable<Result<Channel>> Server::accept(AsResult /*tag*/) { return accept_channel(core_); }

Broadcast Server::broadcast(ByteView message) { return core_->broadcast(message); }

Result<> Server::set_options(ServerOptions options) {
  return core_->set_options(std::move(options));
}

void Server::stop() { core_->stop(); }

net::awaitable<void> Server::drain() { return drain_on(core_); }

net::awaitable<void> Server::drain(Duration grace) { return drain_on(core_, grace); }

ServerStatistics Server::statistics() const noexcept { return core_->statistics(); }

}  // namespace sealine::io::scp
