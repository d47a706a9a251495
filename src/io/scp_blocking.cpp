#include "sealine/io/scp_blocking.hpp"

#include "io/detail/clock.hpp"
#include "io/detail/scp_core.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace sealine::io::scp::blocking {

namespace {

using Core = std::shared_ptr<ChannelCore>;

/// Runs the context until `ended` has something, or until a time.
template <class T>
void run_until(net::io_context& context, const std::optional<T>& ended,
               std::optional<std::chrono::steady_clock::time_point> deadline = std::nullopt) {
  context.restart();
  while (!ended) {
    if (!deadline) {
      if (context.run_one() == 0) return;
    } else if (context.run_one_until(*deadline) == 0) {
      return;
    }
  }
}

/// Starts a call and runs the context until it has ended.
template <class Begin>
Result<std::uint64_t> call(net::io_context& context, const Core& core, Begin begin,
                           std::optional<std::chrono::steady_clock::time_point> deadline = {}) {
  std::optional<Result<std::uint64_t>> ended;
  const auto ticket = core->take_ticket();
  begin(ticket, detail::make_operation<Result<std::uint64_t>>(
                    [&ended](Result<std::uint64_t> result) { ended = result; }, core->executor()));
  run_until(context, ended, deadline);
  if (!ended && deadline) {
    core->cancel_call(ticket);
    run_until(context, ended);
    if (ended && !*ended && ended->error().code == Errc::cancelled) {
      return fail(Errc::no_message_in_time);
    }
  }
  return ended.value_or(fail(Errc::cancelled));
}

/// What a coroutine gives, with the context run until it does.
template <class T>
std::optional<T> run_coroutine(net::io_context& context, net::awaitable<T> coroutine) {
  std::optional<T> ended;
  net::co_spawn(context, std::move(coroutine),
                [&ended](const std::exception_ptr& failure, T value) {
                  if (!failure) ended.emplace(std::move(value));
                });
  run_until(context, ended);
  return ended;
}

}  // namespace

Channel::Channel(std::shared_ptr<net::io_context> context, scp::Channel channel) noexcept
    : context_(std::move(context)), channel_(std::move(channel)) {}

Channel::Channel(Channel&&) noexcept = default;

Channel& Channel::operator=(Channel&& other) noexcept {
  if (this != &other) {
    end_quickly();
    channel_ = std::move(other.channel_);  // before the context that it lives on
    context_ = std::move(other.context_);
  }
  return *this;
}

Channel::~Channel() { end_quickly(); }

void Channel::end_quickly() {
  if (const Core core = ChannelCore::take_core(channel_)) {
    core->abandon_blocking();
    context_->restart();
    context_->poll();
  }
}

Result<std::uint64_t> Channel::send(ByteView message) {
  const Core core = ChannelCore::core_of(channel_);
  return call(*context_, core, [&](auto ticket, auto waiter) {
    core->start_send(message, true, ticket, std::move(waiter));
  });
}

Result<std::uint64_t> Channel::enqueue(ByteView message) {
  const Core core = ChannelCore::core_of(channel_);
  const auto number = core->try_send(message);
  if (number || number.error().code != Errc::window_full) return number;
  return call(*context_, core, [&](auto ticket, auto waiter) {
    core->start_send(message, false, ticket, std::move(waiter));
  });
}

Result<std::uint64_t> Channel::receipts(std::uint64_t count) {
  const Core core = ChannelCore::core_of(channel_);
  return call(*context_, core, [&](auto ticket, auto waiter) {
    core->start_receipts(count, ticket, std::move(waiter));
  });
}

Result<bool> Channel::wait() {
  const Core core = ChannelCore::core_of(channel_);
  auto ready = core->look();
  if (!ready) {
    ready = call(*context_, core,
                 [&](auto ticket, auto waiter) { core->start_wait(ticket, std::move(waiter)); });
  }
  if (!*ready) return std::unexpected(ready->error());
  return **ready != 0;
}

Result<Message> Channel::receive() {
  SEALINE_TRY(is_there, wait());
  return is_there ? ChannelCore::core_of(channel_)->take_message() : Message();
}

Result<Message> Channel::receive(Duration timeout) {
  const Core core = ChannelCore::core_of(channel_);
  auto ready = core->look();
  if (!ready) {
    const auto deadline = detail::to_steady(detail::now() + timeout);
    ready = call(
        *context_, core,
        [&](auto ticket, auto waiter) { core->start_wait(ticket, std::move(waiter)); }, deadline);
  }
  if (!*ready) return std::unexpected(ready->error());
  return **ready != 0 ? core->take_message() : Message();
}

void Channel::flush() { ChannelCore::core_of(channel_)->flush(); }

Outcome Channel::close() {
  const Core core = ChannelCore::core_of(channel_);
  core->close();
  (void)call(*context_, core,
             [&](auto ticket, auto waiter) { core->start_closed(ticket, std::move(waiter)); });
  return core->machine() ? core->machine()->outcome().value_or(Outcome{}) : Outcome{};
}

void Channel::poll() {
  context_->restart();
  context_->poll();
}

// --- connecting
// -----------------------------------------------------------------------------------

std::expected<Channel, ConnectFailure> try_connect(std::string_view host, std::uint16_t port,
                                                   std::shared_ptr<const ClientOptions> options) {
  auto context = std::make_shared<net::io_context>();
  const auto core = std::make_shared<ChannelCore>(context->get_executor(), std::move(options));
  const auto connected = call(*context, core, [&](auto ticket, auto waiter) {
    core->start_connect(std::string(host), port, ticket, std::move(waiter));
  });
  if (connected) return Channel(std::move(context), ChannelCore::make_channel(core));
  return std::unexpected(
      ConnectFailure{connected.error(), core->verdict(), core->shown_key(), core->was_connected()});
}

Result<Channel> connect(std::string_view host, std::uint16_t port, ClientOptions options) {
  auto connected =
      try_connect(host, port, std::make_shared<const ClientOptions>(std::move(options)));
  if (!connected) return std::unexpected(connected.error().error);
  return std::move(*connected);
}

Result<Channel> connect(std::string_view host, std::uint16_t port, const KeyPair& keys) {
  ClientOptions options;
  options.protocol.identity = keys.shared();
  return blocking::connect(host, port, std::move(options));
}

// --- listening
// ------------------------------------------------------------------------------------

Listener::Listener(std::shared_ptr<net::io_context> context, Server server) noexcept
    : context_(std::move(context)), server_(std::move(server)) {}

Listener::Listener(Listener&&) noexcept = default;

Listener& Listener::operator=(Listener&& other) noexcept {
  if (this != &other) {
    server_ = std::move(other.server_);
    context_ = std::move(other.context_);
  }
  return *this;
}

Listener::~Listener() = default;

Result<Channel> Listener::accept() {
  auto channel = run_coroutine(*context_, server_.accept(as_result));
  if (!channel) return fail(Errc::cancelled);
  if (!*channel) return std::unexpected(channel->error());
  return Channel(context_, std::move(**channel));
}

Result<Listener> listen(std::string_view host, std::uint16_t port, ServerOptions options) {
  auto context = std::make_shared<net::io_context>();
  Server server(std::move(options));
  SEALINE_TRY(server.bind(context->get_executor(), host, port));
  return Listener(std::move(context), std::move(server));
}

Result<Listener> listen(std::string_view host, std::uint16_t port, const KeyPair& keys) {
  ServerOptions options;
  options.protocol.identity = keys.shared();
  return blocking::listen(host, port, std::move(options));
}

}  // namespace sealine::io::scp::blocking
