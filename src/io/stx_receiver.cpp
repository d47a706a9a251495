#include "sealine/io/stx_receiver.hpp"

#include "io/stx/receiver_core.hpp"
#include "sealine/io/operation.hpp"

#include <memory>
#include <stop_token>
#include <utility>

namespace sealine::io::stx {

Receiver::Receiver(executor_type executor, ReceiveOptions options)
    : core_(std::make_shared<ReceiverCore>(std::move(executor), std::move(options))) {}

Receiver::Receiver(net::io_context& context, ReceiveOptions options)
    : Receiver(context.get_executor(), std::move(options)) {}

Receiver::Receiver(Receiver&&) noexcept = default;

Receiver& Receiver::operator=(Receiver&& other) noexcept {
  if (this != &other) {
    if (core_) core_->shut_down();
    core_ = std::move(other.core_);
  }
  return *this;
}

Receiver::~Receiver() {
  if (core_) core_->shut_down();
}

Result<> Receiver::open() { return core_->open(); }

Result<> Receiver::listen(std::string_view host, std::uint16_t port, stcp::AddressFamily family) {
  return core_->listen(std::string(host), port, family);
}

std::vector<net::ip::tcp::endpoint> Receiver::local_endpoints() const {
  return core_->local_endpoints();
}

std::uint16_t Receiver::port() const {
  const auto endpoints = core_->local_endpoints();
  return endpoints.empty() ? std::uint16_t{0} : endpoints.front().port();
}

net::awaitable<Result<ReceiveReport>> Receiver::run() {
  const auto core = core_;
  const net::any_io_executor executor = core->executor();
  const std::stop_callback on_stop(core->options().stop, [executor, weak = std::weak_ptr(core)] {
    net::post(executor, [weak] {
      if (const auto alive = weak.lock()) alive->stop();
    });
  });
  const auto initiate = [&](auto&& handler) {
    auto slot = net::get_associated_cancellation_slot(handler);
    if (slot.is_connected()) {
      slot.assign([weak = std::weak_ptr(core)](net::cancellation_type type) {
        const auto alive = weak.lock();
        if (alive && type != net::cancellation_type::none) alive->stop();
      });
    }
    core->start(io::detail::make_operation<error_code>(std::move(handler), executor));
  };
  error_code ec;
  auto token = net::redirect_error(net::use_awaitable, ec);
  co_await net::async_initiate<decltype(token), void(error_code)>(initiate, token);
  co_return core->report();
}

void Receiver::drain() { core_->drain(); }

void Receiver::stop() { core_->stop(); }

Result<> Receiver::set_keys(std::vector<std::shared_ptr<const crypto::Psk>> keys) {
  return core_->set_keys(std::move(keys));
}

ReceiverStatistics Receiver::statistics() const noexcept { return core_->statistics(); }

net::awaitable<Result<ReceiveReport>> receive_files(
    std::string host, std::uint16_t port, ReceiveOptions options,
    std::function<void(const std::vector<net::ip::tcp::endpoint>&)> on_listening) {
  const net::any_io_executor executor = co_await net::this_coro::executor;
  Receiver receiver(executor, std::move(options));
  if (const auto opened = receiver.open(); !opened) co_return std::unexpected(opened.error());
  if (const auto listens = receiver.listen(host, port, stcp::AddressFamily::any); !listens) {
    co_return std::unexpected(listens.error());
  }
  if (on_listening) on_listening(receiver.local_endpoints());
  auto report = co_await receiver.run();
  co_return report;
}

}  // namespace sealine::io::stx
