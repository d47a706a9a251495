#include "sealine/io/scp_channel.hpp"

#include "io/detail/scp_core.hpp"
#include "sealine/base/assert.hpp"

#include <string>
#include <utility>

namespace sealine::io::scp {

namespace {

using Core = std::shared_ptr<ChannelCore>;

template <class T>
T or_throw(Result<T> result) {
  if (!result) throw system_error(to_error_code(result.error()));
  return std::move(*result);
}

// The parameters of these are theirs: the Channel may move or go while they wait.

net::awaitable<Result<std::uint64_t>> send_on(Core core, ByteView message, bool until_receipt) {
  if (!until_receipt) {
    const auto number = core->try_send(message);
    if (number || number.error().code != Errc::window_full) co_return number;
  }
  co_return co_await wait_on(core, [message, until_receipt](ChannelCore& on, std::uint64_t ticket,
                                                            ChannelCore::Waiter waiter) {
    on.start_send(message, until_receipt, ticket, std::move(waiter));
  });
}

net::awaitable<std::uint64_t> send_or_throw(Core core, ByteView message, bool until_receipt) {
  co_return or_throw(co_await send_on(std::move(core), message, until_receipt));
}

net::awaitable<Result<std::uint64_t>> receipts_on(Core core, std::uint64_t count) {
  co_return co_await wait_on(
      core, [count](ChannelCore& on, std::uint64_t ticket, ChannelCore::Waiter waiter) {
        on.start_receipts(count, ticket, std::move(waiter));
      });
}

net::awaitable<std::uint64_t> receipts_or_throw(Core core, std::uint64_t count) {
  co_return or_throw(co_await receipts_on(std::move(core), count));
}

net::awaitable<Result<std::uint64_t>> look_on(Core core) {
  if (const auto ready = core->look()) co_return *ready;
  co_return co_await wait_on(core,
                             [](ChannelCore& on, std::uint64_t ticket, ChannelCore::Waiter waiter) {
                               on.start_wait(ticket, std::move(waiter));
                             });
}

net::awaitable<Result<Message>> receive_on(Core core) {
  const auto ready = co_await look_on(core);
  if (!ready) co_return std::unexpected(ready.error());
  co_return *ready == 0 ? Message() : core->take_message();
}

net::awaitable<Message> receive_or_throw(Core core) {
  co_return or_throw(co_await receive_on(std::move(core)));
}

net::awaitable<Result<bool>> wait_for_message(Core core) {
  const auto ready = co_await look_on(std::move(core));
  if (!ready) co_return std::unexpected(ready.error());
  co_return *ready != 0;
}

net::awaitable<bool> wait_or_throw(Core core) {
  co_return or_throw(co_await wait_for_message(std::move(core)));
}

net::awaitable<Outcome> closed_on(Core core, bool close) {
  if (close) core->close();
  const auto ended =
      co_await wait_on(core, [](ChannelCore& on, std::uint64_t ticket, ChannelCore::Waiter waiter) {
        on.start_closed(ticket, std::move(waiter));
      });
  if (!ended) throw system_error(to_error_code(ended.error()));
  co_return core->machine() ? core->machine()->outcome().value_or(Outcome{}) : Outcome{};
}

net::awaitable<std::expected<Core, ConnectFailure>> connect_on(
    std::string host, std::uint16_t port, std::shared_ptr<const ClientOptions> options) {
  const auto core =
      std::make_shared<ChannelCore>(co_await net::this_coro::executor, std::move(options));
  const auto connected = co_await wait_on(
      core, [&host, port](ChannelCore& on, std::uint64_t ticket, ChannelCore::Waiter waiter) {
        on.start_connect(host, port, ticket, std::move(waiter));
      });
  if (connected) co_return core;
  co_return std::unexpected(
      ConnectFailure{connected.error(), core->verdict(), core->shown_key(), core->was_connected()});
}

net::awaitable<Core> connect_or_throw(std::string host, std::uint16_t port,
                                      std::shared_ptr<const ClientOptions> options) {
  auto connected = co_await connect_on(std::move(host), port, std::move(options));
  if (!connected) throw system_error(to_error_code(connected.error().error));
  co_return std::move(*connected);
}

}  // namespace

Channel::Channel() noexcept = default;

Channel::Channel(CorePtr core) noexcept : core_(std::move(core)) {}

Channel::Channel(Channel&& other) noexcept = default;

Channel& Channel::operator=(Channel&& other) noexcept {
  if (this != &other) {
    if (core_) core_->abandon();
    core_ = std::move(other.core_);
  }
  return *this;
}

Channel::~Channel() {
  if (core_) core_->abandon();
}

Channel::executor_type Channel::get_executor() const noexcept { return core_->executor(); }

// --- sending
// --------------------------------------------------------------------------------------

net::awaitable<std::uint64_t> Channel::send(ByteView message) {
  return send_or_throw(core_, message, true);
}

net::awaitable<std::uint64_t> Channel::send(std::string_view message) {
  return send_or_throw(core_, as_bytes(message), true);
}

net::awaitable<Result<std::uint64_t>> Channel::send(ByteView message, AsResult /*tag*/) {
  return send_on(core_, message, true);
}

net::awaitable<Result<std::uint64_t>> Channel::send(std::string_view message, AsResult /*tag*/) {
  return send_on(core_, as_bytes(message), true);
}

net::awaitable<std::uint64_t> Channel::enqueue(ByteView message) {
  return send_or_throw(core_, message, false);
}

net::awaitable<std::uint64_t> Channel::enqueue(std::string_view message) {
  return send_or_throw(core_, as_bytes(message), false);
}

net::awaitable<Result<std::uint64_t>> Channel::enqueue(ByteView message, AsResult /*tag*/) {
  return send_on(core_, message, false);
}

net::awaitable<Result<std::uint64_t>> Channel::enqueue(std::string_view message, AsResult /*tag*/) {
  return send_on(core_, as_bytes(message), false);
}

Result<std::uint64_t> Channel::try_enqueue(ByteView message) { return core_->try_send(message); }

net::awaitable<std::uint64_t> Channel::receipts(std::uint64_t count) {
  return receipts_or_throw(core_, count);
}

net::awaitable<Result<std::uint64_t>> Channel::receipts(std::uint64_t count, AsResult /*tag*/) {
  return receipts_on(core_, count);
}

void Channel::end() { core_->end(); }

// --- receiving
// ------------------------------------------------------------------------------------

net::awaitable<Message> Channel::receive() { return receive_or_throw(core_); }

net::awaitable<Result<Message>> Channel::receive(AsResult /*tag*/) { return receive_on(core_); }

net::awaitable<bool> Channel::wait() { return wait_or_throw(core_); }

net::awaitable<Result<bool>> Channel::wait(AsResult /*tag*/) { return wait_for_message(core_); }

std::optional<ByteView> Channel::front() const {
  if (!core_->machine()) return std::nullopt;
  return core_->machine()->front();
}

void Channel::pop() {
  SEALINE_ASSERT(front().has_value());
  core_->pop();
}

// --- ending
// ---------------------------------------------------------------------------------------

net::awaitable<Outcome> Channel::close() { return closed_on(core_, true); }

net::awaitable<Outcome> Channel::closed() { return closed_on(core_, false); }

void Channel::abort(Code code) { core_->abort(code); }

void Channel::drop() { core_->drop(); }

void Channel::cancel() { core_->cancel(); }

void Channel::pad(std::size_t bytes) { core_->pad(bytes); }

void Channel::rotate() { core_->rotate(); }

void Channel::on_event(EventObserver observer) { core_->on_event(std::move(observer)); }

// --- what is known
// --------------------------------------------------------------------------------

State Channel::state() const noexcept {
  return core_->machine() ? core_->machine()->state() : State::closed;
}

const std::optional<Outcome>& Channel::outcome() const noexcept {
  return core_->machine()->outcome();
}

const Peer& Channel::peer() const noexcept { return core_->machine()->peer(); }

const std::optional<Verdict>& Channel::verdict() const noexcept { return core_->verdict(); }

Connected Channel::connected() const { return core_->connected(); }

ByteArray<16> Channel::id() const noexcept { return core_->machine()->id(); }

bool Channel::can_reconnect() const noexcept { return core_->machine()->can_reconnect(); }

bool Channel::can_send() const noexcept { return core_->machine()->can_send(); }

Statistics Channel::statistics() const noexcept { return core_->statistics(); }

std::uint64_t Channel::sent() const noexcept { return core_->machine()->sent(); }

std::uint64_t Channel::receipted() const noexcept { return core_->machine()->receipted(); }

Result<> Channel::export_key(std::string_view label, ByteView context, MutableBytes out) const {
  return core_->machine()->export_key(label, context, out);
}

// --- connecting
// -----------------------------------------------------------------------------------

net::awaitable<std::expected<Channel, ConnectFailure>> connect(
    std::string_view host, std::uint16_t port, std::shared_ptr<const ClientOptions> options,
    AsResult /*tag*/) {
  auto core = co_await connect_on(std::string(host), port, std::move(options));
  if (!core) co_return std::unexpected(std::move(core.error()));
  co_return ChannelCore::make_channel(std::move(*core));
}

net::awaitable<std::expected<Channel, ConnectFailure>> connect(std::string_view host,
                                                               std::uint16_t port,
                                                               ClientOptions options,
                                                               AsResult tag) {
  return connect(host, port, std::make_shared<const ClientOptions>(std::move(options)), tag);
}

net::awaitable<Channel> connect(std::string_view host, std::uint16_t port,
                                std::shared_ptr<const ClientOptions> options) {
  co_return ChannelCore::make_channel(
      co_await connect_or_throw(std::string(host), port, std::move(options)));
}

net::awaitable<Channel> connect(std::string_view host, std::uint16_t port, ClientOptions options) {
  return connect(host, port, std::make_shared<const ClientOptions>(std::move(options)));
}

net::awaitable<Channel> connect(std::string_view host, std::uint16_t port, KeyPair keys) {
  ClientOptions options;
  options.protocol.identity = keys.shared();
  return connect(host, port, std::make_shared<const ClientOptions>(std::move(options)));
}

}  // namespace sealine::io::scp
