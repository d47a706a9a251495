#include "sealine/io/stcp_blocking.hpp"

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace sealine::io::stcp::blocking {

namespace {

/// The context that blocking clients share. Nobody runs it: their calls wait by themselves.
std::shared_ptr<net::io_context> shared_context() {
  static std::mutex mutex;
  static std::weak_ptr<net::io_context> shared;
  const std::scoped_lock lock(mutex);
  auto context = shared.lock();
  if (!context) shared = context = std::make_shared<net::io_context>();
  return context;
}

Error error_of(const stcp::Stream& stream, const error_code& ec) {
  const auto fault = stream.fault();
  const Error error = to_error(ec);
  return fault && fault->code == error.code ? *fault : error;
}

}  // namespace

Stream::Stream(std::shared_ptr<net::io_context> context, stcp::Stream stream)
    : context_(std::move(context)), stream_(std::move(stream)) {}

Stream& Stream::operator=(Stream&& other) noexcept {
  if (this != &other) {
    stream_ = std::move(other.stream_);  // before the context that it lives on
    context_ = std::move(other.context_);
  }
  return *this;
}

Result<std::size_t> Stream::read(MutableBytes out) {
  error_code ec;
  const std::size_t n = stream_.read_some(net::buffer(out.data(), out.size()), ec);
  if (n != 0 || ec == net::error::eof) return n;
  if (ec) return std::unexpected(error_of(stream_, ec));
  return n;
}

Result<> Stream::read_all(MutableBytes out) {
  while (!out.empty()) {
    SEALINE_TRY(n, read(out));
    if (n == 0) return fail(Errc::truncated);
    out = out.subspan(n);
  }
  return {};
}

Result<> Stream::write(ByteView data) {
  while (!data.empty()) {
    error_code ec;
    const std::size_t n = stream_.write_some(net::buffer(data.data(), data.size()), ec);
    if (ec) return std::unexpected(error_of(stream_, ec));
    data = data.subspan(n);
  }
  return {};
}

Result<> Stream::flush() {
  error_code ec;
  stream_.flush(ec);
  if (ec) return std::unexpected(error_of(stream_, ec));
  return {};
}

Result<> Stream::shutdown() {
  error_code ec;
  stream_.shutdown(ec);
  if (ec) return std::unexpected(error_of(stream_, ec));
  return {};
}

void Stream::close() { stream_.close(); }

Result<Stream> connect(std::string_view host, std::uint16_t port, ClientOptions options) {
  auto context = shared_context();
  stcp::Stream stream(context->get_executor(), std::move(options));
  error_code ec;
  stream.connect(host, port, ec);
  if (ec) return std::unexpected(error_of(stream, ec));
  return Stream(std::move(context), std::move(stream));
}

Listener::Listener(std::shared_ptr<net::io_context> context, stcp::Listener listener)
    : context_(std::move(context)), listener_(std::move(listener)) {}

Listener& Listener::operator=(Listener&& other) noexcept {
  if (this != &other) {
    listener_ = std::move(other.listener_);
    context_ = std::move(other.context_);
  }
  return *this;
}

Listener::~Listener() = default;

Result<Stream> Listener::accept() {
  std::optional<error_code> ended;
  stcp::Stream accepted;
  listener_.async_accept([&](const error_code& ec, stcp::Stream stream) {
    ended = ec;
    accepted = std::move(stream);
  });
  context_->restart();
  while (!ended && context_->run_one() != 0) {
  }
  if (!ended) return fail(Errc::cancelled);
  if (*ended) return std::unexpected(to_error(*ended));
  return Stream(context_, std::move(accepted));
}

Result<Listener> listen(std::string_view host, std::uint16_t port, ServerOptions options,
                        ListenerLimits limits) {
  auto context = std::make_shared<net::io_context>();
  stcp::Listener listener(context->get_executor(), std::move(options), limits);
  error_code ec;
  listener.listen(host, port, ec);
  if (ec) return std::unexpected(to_error(ec));
  return Listener(std::move(context), std::move(listener));
}

}  // namespace sealine::io::stcp::blocking
