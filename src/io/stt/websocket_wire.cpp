#include "io/stt/websocket_wire.hpp"

#include "io/detail/clock.hpp"
#include "io/detail/core_guard.hpp"
#include "io/detail/dialer.hpp"
#include "io/stt/addresses.hpp"
#include "io/stt/session_core.hpp"
#include "sealine/io/engine.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <utility>

namespace sealine::io::stt {

namespace {

/// Bytes of one connection before the application reads, and the others have their turn: what was
/// opened is still in the cache then.
constexpr std::size_t kTurnBytes = EndpointCore::kScratchBytes;
constexpr std::size_t kMaxBatch = 8;  ///< messages of one write
/// A WebSocket head, masked, stands in front of what the session wrote.
constexpr std::size_t kHeadRoom = 14;

std::string host_header(const Url& url) {
  const bool is_ipv6 = url.host.find(':') != std::string::npos;
  const std::string host = is_ipv6 ? "[" + url.host + "]" : url.host;
  return url.port == (url.scheme == Scheme::wss ? 443 : 80) ? host
                                                            : host + ":" + std::to_string(url.port);
}

void prepare(net::ip::tcp::socket& socket) {
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.set_option(net::ip::tcp::no_delay(true), ignored);
}

/// 1000 for the normal end, 3000 and the code for the others (spec: stt.md#close).
std::uint16_t close_code_of(std::uint16_t code) {
  if (code == 0) return websocket::close_code::kNormal;
  return static_cast<std::uint16_t>(3000 + std::min<unsigned>(code, 999));
}

}  // namespace

WebSocketWire::WebSocketWire(SessionCore& core)
    : core_(core), endpoint_(core.endpoint()), socket_(core.executor()) {}

WebSocketWire::~WebSocketWire() = default;

// --- beginning
// ------------------------------------------------------------------------------------

void WebSocketWire::dial(const Url& url) {
  url_ = url;
  const EndpointOptions& options = endpoint_.options();
  auto dialer = std::make_shared<detail::Dialer>(
      core_.executor(),
      detail::Dialer::Timing{.attempt_delay = std::chrono::milliseconds(250),
                             .timeout = options.connect_timeout},
      [this, keep = core_.shared_from_this()](const error_code& ec, Socket socket) {
        connected_to(ec, std::move(socket));
      });
  dialer_ = dialer;
  dialer->start(url.host, url.port, options.family);
}

void WebSocketWire::connected_to(const error_code& ec, Socket socket) {
  if (ec) return core_.fail(to_error(ec));
  socket_ = std::move(socket);
  prepare(socket_);
  handshake_deadline_ = detail::now() + endpoint_.options().handshake_timeout;
  url_.scheme == Scheme::wss ? begin_tls() : begin_http_client();
  core_.drive();
}

void WebSocketWire::begin_tls() {
  stage_ = Stage::securing;
  auto trust = endpoint_.tls_trust();
  if (!trust) return core_.fail(trust.error());
  auto made = detail::TlsClient::create(std::move(*trust), url_.host);
  if (!made) return core_.fail(made.error());
  tls_ = std::move(*made);
  queue_tls();
}

void WebSocketWire::begin_http_client() {
  stage_ = Stage::http;
  const auto& subprotocols = endpoint_.options().web.subprotocols;
  http_client_.emplace(host_header(url_), url_.path, subprotocols.empty() ? "" : subprotocols[0],
                       system_rng());
  queue_plain(as_bytes(http_client_->request()));
}

void WebSocketWire::answer(Socket socket, const net::ip::tcp::endpoint& client) {
  socket_ = std::move(socket);
  prepare(socket_);
  stage_ = Stage::http;
  address_ = address_bytes(client);
  handshake_deadline_ = detail::now() + endpoint_.options().handshake_timeout;
  http_server_.emplace(endpoint_.options().web);
}

void WebSocketWire::established(::sealine::stt::Established result) {
  SessionConfig config = endpoint_.options().session;
  config.transport = ::sealine::stt::Transport::websocket;
  stage_ = Stage::open;
  initiator_.reset();
  http_server_.reset();
  http_client_.reset();
  core_.establish(std::move(result), std::move(config));
}

// --- waits
// ----------------------------------------------------------------------------------------

void WebSocketWire::arm() {
  arm_read();
  arm_write();
}

void WebSocketWire::arm_read() {
  if (read_armed_ || !socket_.is_open() || stage_ == Stage::connecting) return;
  read_armed_ = true;
  socket_.async_wait(Socket::wait_read, [this, guard = detail::CoreGuard(core_.shared_from_this())](
                                            const error_code& ec) mutable {
    const auto keep = guard.take();
    read_armed_ = false;
    if (!ec) readable();
  });
}

void WebSocketWire::arm_write() {
  if (write_armed_ || pending_.empty() || !socket_.is_open()) return;
  write_armed_ = true;
  socket_.async_wait(
      Socket::wait_write,
      [this, guard = detail::CoreGuard(core_.shared_from_this())](const error_code& ec) mutable {
        const auto keep = guard.take();
        write_armed_ = false;
        if (!ec) core_.drive();
      });
}

std::optional<TimePoint> WebSocketWire::poll_timeout() const {
  TimePoint next = stage_ < Stage::open ? handshake_deadline_ : TimePoint::max();
  if (websocket_) {
    if (const auto when = websocket_->poll_timeout()) next = std::min(next, *when);
  }
  if (next == TimePoint::max()) return std::nullopt;
  return next;
}

void WebSocketWire::handle_timeout(TimePoint now) {
  if (stage_ < Stage::open && now >= handshake_deadline_) {
    // Our first message proved that we know the seed: silence is its refusal.
    const bool proved = stage_ == Stage::handshaking && initiator_.has_value();
    return core_.fail({proved ? Errc::peer_fell_silent : Errc::handshake_timeout, 0});
  }
  if (!websocket_) return;
  if (const auto closed = websocket_->handle_timeout(now)) take_closed(*closed);
}

void WebSocketWire::readable() {
  std::size_t taken = 0;
  const MutableBytes scratch = endpoint_.receive_scratch();
  while (socket_.is_open() && taken < kTurnBytes) {
    error_code ec;
    const std::size_t n = socket_.read_some(net::buffer(scratch.data(), scratch.size()), ec);
    if (ec == net::error::would_block || ec == net::error::try_again) break;
    if (ec) {
      end_of_stream();
      return;
    }
    taken += n;
    tls_ ? take_tls(scratch.first(n)) : take(scratch.first(n));
    if (n < scratch.size()) break;
  }
  core_.drive();
}

// --- ending
// ---------------------------------------------------------------------------------------

void WebSocketWire::end_of_stream() {
  if (stage_ < Stage::open) {
    const bool proved = stage_ == Stage::handshaking && initiator_.has_value();
    return core_.fail({proved ? Errc::peer_fell_silent : Errc::truncated, 0});
  }
  core_.end();
}

void WebSocketWire::refuse() {
  if (tls_ && !websocket_) {
    queue_tls();  // an alert says why
    error_code ignored;
    socket_.write_some(std::array{net::buffer(pending_)}, ignored);
  }
  if (!websocket_ || websocket_->is_closing()) return;
  websocket_->close(websocket::close_code::kPolicy, {}, detail::now());
  transmit();
}

void WebSocketWire::close() {
  stage_ = Stage::closed;
  if (const auto dialer = dialer_.lock()) dialer->cancel();
  error_code ignored;
  if (tls_ && pending_.empty() && socket_.is_open()) {
    tls_->close();
    const ByteView goodbye = tls_->pending();
    socket_.write_some(std::array{net::const_buffer(goodbye.data(), goodbye.size())}, ignored);
    tls_.reset();
  }
  socket_.shutdown(Socket::shutdown_both, ignored);
  socket_.close(ignored);
}

// --- what goes
// ------------------------------------------------------------------------------------

void WebSocketWire::queue(ByteView bytes) {
  pending_.insert(pending_.end(), bytes.begin(), bytes.end());
}

void WebSocketWire::queue_tls() {
  queue(tls_->pending());
  tls_->drop_pending();
}

bool WebSocketWire::queue_plain(ByteView bytes) {
  if (!tls_) {
    queue(bytes);
    return true;
  }
  while (!bytes.empty()) {
    const ByteView piece = bytes.first(std::min(bytes.size(), detail::kTlsRecordBytes));
    if (!tls_->write(piece)) return false;
    queue_tls();
    bytes = bytes.subspan(piece.size());
  }
  return true;
}

void WebSocketWire::send_handshake(ByteView frame) {
  const std::size_t head = websocket_->head_bytes(frame.size());
  std::vector<std::uint8_t> message(head + frame.size());
  std::ranges::copy(frame, message.begin() + static_cast<std::ptrdiff_t>(head));
  websocket_->frame_binary(message, frame.size());
  queue_plain(message);
}

// Sends what the socket takes; whether it took anything.
bool WebSocketWire::transmit() {
  if (!socket_.is_open()) return false;
  if (!pending_.empty()) return send_pending();
  return send_batch();
}

bool WebSocketWire::send_pending() {
  const net::const_buffer rest(pending_.data() + pending_begin_, pending_.size() - pending_begin_);
  error_code ec;
  const std::size_t sent = socket_.write_some(std::array{rest}, ec);
  if (ec && ec != net::error::would_block && ec != net::error::try_again) {
    end_of_stream();
    return false;
  }
  pending_begin_ += sent;
  if (pending_begin_ < pending_.size()) return false;
  pending_.clear();
  pending_begin_ = 0;
  if (pending_.capacity() > EndpointCore::kScratchBytes / 8) pending_.shrink_to_fit();
  if (stage_ == Stage::answering) {
    error_code ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
  }
  return true;
}

void WebSocketWire::send_now(std::span<const net::const_buffer> buffers, std::size_t total) {
  if (tls_) {
    for (const net::const_buffer& buffer : buffers) {
      const ByteView bytes(static_cast<const std::uint8_t*>(buffer.data()), buffer.size());
      if (!queue_plain(bytes)) return end_of_stream();
    }
    send_pending();
    return;
  }
  error_code ec;
  std::size_t sent = socket_.write_some(buffers, ec);
  if (ec && ec != net::error::would_block && ec != net::error::try_again) return end_of_stream();
  if (sent == total) return;
  for (const net::const_buffer& buffer : buffers) {
    const std::size_t skipped = std::min(sent, buffer.size());
    sent -= skipped;
    queue({static_cast<const std::uint8_t*>(buffer.data()) + skipped, buffer.size() - skipped});
  }
}

// Messages of the session, each framed in place, then what the WebSocket itself has to say.
bool WebSocketWire::send_batch() {
  if (!websocket_) return false;
  const TimePoint now = detail::now();
  const MutableBytes scratch = endpoint_.send_scratch();
  std::array<net::const_buffer, kMaxBatch + 1> buffers;
  std::size_t count = 0;
  std::size_t total = 0;
  std::size_t used = 0;
  const std::size_t message_room = (std::size_t{2} << 16U) + kHeadRoom;
  ::sealine::stt::Session* const session = core_.session();
  while (session != nullptr && count < kMaxBatch && scratch.size() - used >= message_room) {
    const MutableBytes room = scratch.subspan(used + kHeadRoom, message_room - kHeadRoom);
    const std::size_t length = session->poll_transmit(room, now);
    if (length == 0) break;
    const std::size_t head = websocket_->head_bytes(length);
    const MutableBytes frame = scratch.subspan(used + kHeadRoom - head, head + length);
    websocket_->frame_binary(frame, length);
    buffers[count++] = net::const_buffer(frame.data(), frame.size());
    total += frame.size();
    used += kHeadRoom + length;
  }
  if (session != nullptr && core_.is_closing() && !websocket_->is_closing()) {
    const auto& outcome = core_.outcome();
    const bool is_theirs = outcome && outcome->by_peer;
    websocket_->close(
        is_theirs ? websocket::close_code::kNormal : close_code_of(outcome ? outcome->code : 0), {},
        now);
  }
  std::array<std::uint8_t, 512> control{};
  const std::size_t words = websocket_->poll_transmit(control);
  if (words > 0) {
    buffers[count++] = net::const_buffer(control.data(), words);
    total += words;
  }
  if (count == 0) return false;
  send_now(std::span(buffers).first(count), total);
  return true;
}

}  // namespace sealine::io::stt
