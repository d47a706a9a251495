#include "io/detail/clock.hpp"
#include "io/detail/dialer.hpp"
#include "io/stt/session_core.hpp"
#include "sealine/base/assert.hpp"
#include "sealine/io/engine.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace sealine::io::stt {

using ::sealine::stt::FrameType;
using ::sealine::stt::Transport;

namespace {

constexpr std::chrono::seconds kLinger{5};
constexpr std::size_t kMaxBatch = 8;  ///< messages of one write
/// A WebSocket head, masked, stands in front of what the session wrote.
constexpr std::size_t kHeadRoom = 14;

UnixMillis unix_millis() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<UnixMillis>(
      std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

std::string host_header(const Url& url) {
  const bool is_ipv6 = url.host.find(':') != std::string::npos;
  const std::string host = is_ipv6 ? "[" + url.host + "]" : url.host;
  return url.port == 80 ? host : host + ":" + std::to_string(url.port);
}

std::vector<std::uint8_t> address_bytes(const net::ip::tcp::endpoint& endpoint) {
  std::vector<std::uint8_t> out;
  if (endpoint.address().is_v4()) {
    const auto bytes = endpoint.address().to_v4().to_bytes();
    out.assign(bytes.begin(), bytes.end());
  } else {
    const auto bytes = endpoint.address().to_v6().to_bytes();
    out.assign(bytes.begin(), bytes.end());
  }
  out.push_back(static_cast<std::uint8_t>(endpoint.port() >> 8U));
  out.push_back(static_cast<std::uint8_t>(endpoint.port() & 0xFFU));
  return out;
}

void prepare(net::ip::tcp::socket& socket) {
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.set_option(net::ip::tcp::no_delay(true), ignored);
}

std::string_view reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 304:
      return "Not Modified";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 421:
      return "Misdirected Request";
    case 503:
      return "Service Unavailable";
    default:
      return "Answer";
  }
}

/// 1000 for the normal end, 3000 and the code for the others (spec: stt.md#close).
std::uint16_t close_code_of(std::uint16_t code) {
  if (code == 0) return websocket::close_code::kNormal;
  return static_cast<std::uint16_t>(3000 + std::min<unsigned>(code, 999));
}

}  // namespace

// --- beginning
// ------------------------------------------------------------------------------------

void SessionCore::dial(const Url& url, Given done) {
  given_ = std::move(done);
  url_ = url;
  phase_ = Phase::connecting;
  connected_ = {.peer = url.host + ":" + std::to_string(url.port), .scheme = url.scheme};
  const EndpointOptions& options = endpoint_->options();
  auto dialer = std::make_shared<detail::Dialer>(
      executor(),
      detail::Dialer::Timing{.attempt_delay = std::chrono::milliseconds(250),
                             .timeout = options.connect_timeout},
      [self = shared_from_this()](const error_code& ec, Socket socket) {
        self->connected_to(ec, std::move(socket));
      });
  dialer_ = dialer;
  dialer->start(url.host, url.port, options.family);
}

void SessionCore::connected_to(const error_code& ec, Socket socket) {
  if (ec) return fail(to_error(ec));
  socket_ = std::move(socket);
  prepare(socket_);
  begin_http_client();
  drive();
}

void SessionCore::begin_http_client() {
  phase_ = Phase::http;
  handshake_deadline_ = detail::now() + endpoint_->options().handshake_timeout;
  const auto& subprotocols = endpoint_->options().web.subprotocols;
  http_client_.emplace(host_header(url_), url_.path, subprotocols.empty() ? "" : subprotocols[0],
                       system_rng());
  queue(as_bytes(http_client_->request()));
}

void SessionCore::answer(Socket socket, const net::ip::tcp::endpoint& client,
                         std::uint64_t number) {
  socket_ = std::move(socket);
  prepare(socket_);
  phase_ = Phase::http;
  number_ = number;
  address_ = address_bytes(client);
  const std::string host = client.address().to_string();
  connected_ = {.peer = (client.address().is_v6() ? "[" + host + "]" : host) + ":" +
                        std::to_string(client.port()),
                .scheme = Scheme::ws};
  handshake_deadline_ = detail::now() + endpoint_->options().handshake_timeout;
  http_server_.emplace(endpoint_->options().web);
  drive();
}

// --- what comes
// -----------------------------------------------------------------------------------

void SessionCore::take(MutableBytes bytes) {
  if (phase_ == Phase::http) {
    take_http(bytes);
  } else if (websocket_) {
    take_websocket(bytes);
  }
  // Else an answer is being written: what still comes is thrown away.
}

void SessionCore::take_http(MutableBytes bytes) {
  std::size_t consumed = 0;
  const TimePoint now = detail::now();
  if (http_server_) {
    const auto outcome = http_server_->handle_bytes(bytes, consumed);
    if (outcome == websocket::ServerHandshake::Outcome::need_bytes) return;
    if (outcome != websocket::ServerHandshake::Outcome::accepted) return answer_plainly();
    queue(as_bytes(http_server_->response()));
    websocket_.emplace(websocket::Role::server, websocket::ConnectionConfig{}, system_rng(), now);
  } else {
    const auto outcome = http_client_->handle_bytes(bytes, consumed);
    if (!outcome) {
      const auto status = static_cast<std::uint32_t>(http_client_->status());
      return fail({Errc::not_this_protocol, status});
    }
    if (*outcome == websocket::ClientHandshake::Outcome::need_bytes) return;
    websocket_.emplace(websocket::Role::client, websocket::ConnectionConfig{}, system_rng(), now);
    initiator_.emplace(endpoint_->handshake(), Transport::websocket, thread_engine(), system_rng(),
                       unix_millis(), now);
    std::array<std::uint8_t, ::sealine::stt::kMaxHandshakeFrameBytes> out{};
    const std::size_t length = initiator_->poll_transmit(out);
    send_handshake(ByteView(out).first(length));
  }
  phase_ = Phase::handshaking;
  if (consumed < bytes.size()) take_websocket(bytes.subspan(consumed));
}

// A request that is no WebSocket's: a page, or a refusal; then the connection ends.
void SessionCore::answer_plainly() {
  std::string text = http_server_->response();
  if (text.empty()) {
    const PlainAnswer page = endpoint_->page(http_server_->request());
    const bool is_head = http_server_->request().method == "HEAD";
    const bool has_body = page.status != 304;
    text = "HTTP/1.1 " + std::to_string(page.status) + " " + std::string(reason_of(page.status)) +
           "\r\n" + page.headers + "Connection: close\r\n";
    if (has_body) {
      text += "Content-Type: " + page.content_type +
              "\r\nContent-Length: " + std::to_string(page.body.size()) + "\r\n";
    }
    text += "\r\n";
    if (has_body && !is_head) text += page.body;
  }
  phase_ = Phase::answering;
  queue(as_bytes(text));
  linger_until_ = detail::now() + kLinger;
  if (const auto number = std::exchange(number_, std::nullopt)) {
    endpoint_->handshake_over(*number, std::nullopt);
  }
}

void SessionCore::take_websocket(MutableBytes bytes) {
  while (!bytes.empty() && websocket_) {
    auto taken = websocket_->handle_bytes(bytes, detail::now());
    bytes = bytes.subspan(taken.consumed);
    if (!taken.event) return;
    if (const auto* message = std::get_if<websocket::Message>(&*taken.event)) {
      take_message(message->bytes);
    } else {
      return take_closed(std::get<websocket::Closed>(*taken.event));
    }
  }
}

void SessionCore::take_message(MutableBytes message) {
  while (phase_ == Phase::handshaking && !message.empty()) {
    if (!take_handshake_frame(message)) return;
  }
  if (!session_ || message.empty()) return;
  // A fault behind the tag is the session's to answer, with its CLOSE. One before it may be
  // anybody's: the connection ends with 1002 alone (spec: stt.md#frames).
  if (!session_->handle_datagram(message, detail::now())) {
    websocket_->close(websocket::close_code::kProtocol, {}, detail::now());
  }
}

// One frame of the handshake; false: the dial is over, and not well.
bool SessionCore::take_handshake_frame(MutableBytes& rest) {
  const auto frame = ::sealine::stt::parse_frame(rest);
  if (!frame) {
    fail(frame.error());
    return false;
  }
  rest = rest.subspan(frame->frame_bytes);
  std::array<std::uint8_t, ::sealine::stt::kMaxHandshakeFrameBytes> out{};
  if (initiator_) {
    const auto handled = initiator_->handle_frame(*frame, detail::now());
    if (!handled) {
      fail(handled.error());
      return false;
    }
    const std::size_t length = initiator_->poll_transmit(out);
    if (length > 0) send_handshake(ByteView(out).first(length));
    if (initiator_->is_done()) established(std::move(*initiator_).take());
    return true;
  }
  const ::sealine::stt::Origin origin{
      .address = address_, .transport = Transport::websocket, .datagram_bytes = 0};
  auto reply =
      endpoint_->responder().handle_frame(*frame, origin, unix_millis(), detail::now(), out);
  if (!reply) {
    fail(reply.error());
    return false;
  }
  send_handshake(ByteView(out).first(reply->reply_bytes));
  if (reply->established) established(std::move(*reply->established));
  return true;
}

void SessionCore::established(::sealine::stt::Established result) {
  SessionConfig config = endpoint_->options().session;
  config.transport = Transport::websocket;
  connected_.forward_secrecy = result.forward_secrecy;
  session_.emplace(config, std::move(result), thread_engine(), system_rng(), detail::now());
  initiator_.reset();
  http_server_.reset();
  http_client_.reset();
  phase_ = Phase::open;
  if (given_) {
    net::post(executor(), [done = std::move(given_), self = shared_from_this()]() mutable {
      detail::complete(std::move(done), error_code(), self->handle());
    });
  } else if (const auto number = std::exchange(number_, std::nullopt)) {
    endpoint_->handshake_over(*number, std::nullopt);
  }
}

void SessionCore::take_closed(const websocket::Closed& closed) {
  transmit();
  if (phase_ < Phase::open) {
    // Who knows the seed is answered: a close before it is a refusal of ours.
    const bool refused = initiator_.has_value() && closed.by_peer;
    fail({refused ? Errc::peer_fell_silent : Errc::protocol_broken, closed.code});
    return;
  }
  if (session_) session_->handle_disconnected(detail::now());
  take_events();
  if (closed.close_tcp) {
    error_code ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
  }
  linger_until_ = detail::now() + kLinger;
  if (closed.code == websocket::close_code::kAbnormal) close_socket();
}

void SessionCore::end_of_stream() {
  if (phase_ < Phase::open) {
    const bool proved = phase_ == Phase::handshaking && initiator_.has_value();
    return fail({proved ? Errc::peer_fell_silent : Errc::truncated, 0});
  }
  if (session_) session_->handle_disconnected(detail::now());
  take_events();
  close_socket();
}

// --- what goes
// ------------------------------------------------------------------------------------

void SessionCore::queue(ByteView bytes) {
  pending_.insert(pending_.end(), bytes.begin(), bytes.end());
}

void SessionCore::send_handshake(ByteView frame) {
  const std::size_t head = websocket_->head_bytes(frame.size());
  std::vector<std::uint8_t> message(head + frame.size());
  std::ranges::copy(frame, message.begin() + static_cast<std::ptrdiff_t>(head));
  websocket_->frame_binary(message, frame.size());
  queue(message);
}

// Sends what the socket takes; whether it took anything.
bool SessionCore::transmit() {
  if (!socket_.is_open()) return false;
  if (!pending_.empty()) return send_pending();
  return send_batch();
}

bool SessionCore::send_pending() {
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
  if (phase_ == Phase::answering) {
    error_code ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
  }
  return true;
}

void SessionCore::send_now(std::span<const net::const_buffer> buffers, std::size_t total) {
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
bool SessionCore::send_batch() {
  if (!websocket_) return false;
  const TimePoint now = detail::now();
  const MutableBytes scratch = endpoint_->send_scratch();
  std::array<net::const_buffer, kMaxBatch + 1> buffers;
  std::size_t count = 0;
  std::size_t total = 0;
  std::size_t used = 0;
  const std::size_t message_room = (std::size_t{2} << 16U) + kHeadRoom;
  while (session_ && count < kMaxBatch && scratch.size() - used >= message_room) {
    const MutableBytes room = scratch.subspan(used + kHeadRoom, message_room - kHeadRoom);
    const std::size_t length = session_->poll_transmit(room, now);
    if (length == 0) break;
    const std::size_t head = websocket_->head_bytes(length);
    const MutableBytes frame = scratch.subspan(used + kHeadRoom - head, head + length);
    websocket_->frame_binary(frame, length);
    buffers[count++] = net::const_buffer(frame.data(), frame.size());
    total += frame.size();
    used += kHeadRoom + length;
  }
  if (phase_ == Phase::closing && !websocket_->is_closing()) {
    const std::uint16_t code = outcome_ ? outcome_->code : 0;
    websocket_->close(
        outcome_ && outcome_->by_peer ? websocket::close_code::kNormal : close_code_of(code), {},
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

// The connection is gone: whoever waits is told.
void SessionCore::give_session_up() {
  if (session_) {
    session_->handle_disconnected(detail::now());
    take_events();
    endpoint_->responder().release(session_->id());
  }
  if (!outcome_) return;
  end_operations(end_error());
  if (drain_) {
    const bool is_clean = outcome_->code == 0 && outcome_->fault.code == Errc{};
    finish(std::move(drain_), is_clean ? error_code() : to_error_code(end_error()));
  }
}

}  // namespace sealine::io::stt
