#include "sealine/io/stt_endpoint.hpp"

#include "io/stt/endpoint_core.hpp"
#include "io/stt/session_core.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace sealine::io::stt {

namespace {

struct SchemeText {
  Scheme scheme;
  std::string_view prefix;
};

constexpr std::array<SchemeText, 4> kSchemes{{{Scheme::ws, "ws://"},
                                              {Scheme::wss, "wss://"},
                                              {Scheme::udp, "udp://"},
                                              {Scheme::stt, "stt://"}}};

}  // namespace

// --- options
// --------------------------------------------------------------------------------------

Result<Url> Url::parse(std::string_view text) {
  const auto refused = std::unexpected(Error{Errc::usage, 0});
  Url url;
  const auto scheme = std::ranges::find_if(
      kSchemes, [text](const SchemeText& one) { return text.starts_with(one.prefix); });
  if (scheme == kSchemes.end()) return refused;
  url.scheme = scheme->scheme;
  text.remove_prefix(scheme->prefix.size());
  const std::size_t slash = text.find('/');
  if (slash != std::string_view::npos) {
    if (url.scheme == Scheme::udp) return refused;  // a path is WebSocket's
    url.path = text.substr(slash);
    text = text.substr(0, slash);
  }
  for (const char c : url.path) {
    if (c <= ' ' || c == '#' || c >= 0x7F) return refused;
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return refused;
  const std::string_view digits = text.substr(colon + 1);
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return refused;
  }
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), url.port);
  if (error != std::errc() || end != digits.data() + digits.size() || digits.empty())
    return refused;
  url.host = host;
  return url;
}

std::string to_string(const Url& url) {
  const bool is_ipv6 = url.host.find(':') != std::string::npos;
  const auto* const scheme = std::ranges::find(kSchemes, url.scheme, &SchemeText::scheme);
  return std::string(scheme->prefix) + (is_ipv6 ? "[" + url.host + "]" : url.host) + ":" +
         std::to_string(url.port) + (url.scheme == Scheme::udp ? "" : url.path);
}

std::string_view transport_name(const Connected& connected) noexcept {
  switch (connected.scheme) {
    case Scheme::udp:
      return "UDP";
    case Scheme::wss:
      return "WebSocket over TLS";
    case Scheme::ws:
    case Scheme::stt:
      break;
  }
  return "WebSocket";
}

std::string describe(const Connected& connected) {
  return "(seed), STT/1 " + std::string(transport_name(connected)) + ", AES-256-GCM" +
         (connected.forward_secrecy ? "" : ", no forward secrecy");
}

// --- Endpoint
// -------------------------------------------------------------------------------------

Endpoint::Endpoint(executor_type executor, EndpointOptions options)
    : core_(std::make_shared<EndpointCore>(std::move(executor), std::move(options))) {}

Endpoint& Endpoint::operator=(Endpoint&& other) noexcept {
  if (this != &other) {
    if (core_) core_->abandon();
    core_ = std::move(other.core_);
  }
  return *this;
}

Endpoint::~Endpoint() {
  if (core_) core_->abandon();
}

Endpoint::executor_type Endpoint::get_executor() const noexcept { return core_->executor(); }

void Endpoint::listen(const Url& url, error_code& ec) { core_->listen(url, ec); }

std::vector<net::ip::tcp::endpoint> Endpoint::local_endpoints() const {
  return core_->local_endpoints();
}

std::optional<std::size_t> Endpoint::datagram_buffer_bytes() const {
  return core_->datagram_buffer_bytes();
}

WorkerStatistics Endpoint::workers() const { return core_->workers(); }

void Endpoint::on_request(Pages pages) { core_->on_request(std::move(pages)); }

void Endpoint::on_failure(Observer observer) { core_->on_failure(std::move(observer)); }

void Endpoint::close() { core_->close(); }

const Endpoint::executor_type& Endpoint::executor_of(const CorePtr& core) noexcept {
  return core->executor();
}

void Endpoint::start_accept(const CorePtr& core, Given done) {
  core->start_accept(std::move(done));
}

void Endpoint::start_connect(const CorePtr& core, const Url& url, Given done) {
  core->start_connect(url, std::move(done));
}

// --- Session
// --------------------------------------------------------------------------------------

Session& Session::operator=(Session&& other) noexcept {
  if (this != &other) {
    if (core_) core_->let_go();
    core_ = std::move(other.core_);
  }
  return *this;
}

Session::~Session() {
  if (core_) core_->let_go();
}

Session::executor_type Session::get_executor() const noexcept { return core_->executor(); }

Result<Stream> Session::open(const StreamOptions& options) { return core_->open(options); }

void Session::close(std::uint16_t code, std::string_view reason) { core_->close(code, reason); }

void Session::rotate() { core_->rotate(); }

void Session::cancel() { core_->cancel_accept(); }

void Session::on_event(Observer observer) { core_->on_event(std::move(observer)); }

Connected Session::connected() const { return core_->connected(); }

SessionStatistics Session::statistics() const { return core_->statistics(); }

const std::optional<SessionClosed>& Session::outcome() const noexcept { return core_->outcome(); }

const Session::executor_type& Session::executor_of(const CorePtr& core) noexcept {
  return core->executor();
}

void Session::start_accept(const CorePtr& core, detail::OperationPtr<error_code, Stream> done) {
  core->start_accept(std::move(done));
}

void Session::start_drain(const CorePtr& core, detail::OperationPtr<error_code> done) {
  core->start_drain(std::move(done));
}

// --- Stream
// ---------------------------------------------------------------------------------------

Stream::Stream(Stream&& other) noexcept
    : core_(std::move(other.core_)), id_(other.id_), options_(other.options_) {}

Stream& Stream::operator=(Stream&& other) noexcept {
  if (this != &other) {
    abandon();
    core_ = std::move(other.core_);
    id_ = other.id_;
    options_ = other.options_;
  }
  return *this;
}

Stream::~Stream() { abandon(); }

void Stream::abandon() noexcept {
  if (core_) core_->let_stream_go(id_);
  core_.reset();
}

Stream::executor_type Stream::get_executor() const noexcept { return core_->executor(); }

void Stream::reset(std::uint16_t code) { core_->reset(id_, code); }

void Stream::stop(std::uint16_t code) { core_->stop(id_, code); }

void Stream::cancel() { core_->cancel_stream(id_); }

const Stream::executor_type& Stream::executor_of(const CorePtr& core) noexcept {
  return core->executor();
}

void Stream::start_read(const CorePtr& core, StreamId id, MutableBytes target, Moved done) {
  core->start_read(id, target, std::move(done));
}

void Stream::start_write(const CorePtr& core, StreamId id, ByteView source, Moved done) {
  core->start_write(id, source, std::move(done));
}

void Stream::start_read_message(const CorePtr& core, StreamId id,
                                std::vector<std::uint8_t>& message, Done done) {
  core->start_read_message(id, message, std::move(done));
}

void Stream::start_write_message(const CorePtr& core, StreamId id, ByteView message, Done done) {
  core->start_write_message(id, message, std::move(done));
}

void Stream::start_shutdown(const CorePtr& core, StreamId id, Done done) {
  core->start_shutdown(id, std::move(done));
}

}  // namespace sealine::io::stt
