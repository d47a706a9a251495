#include "io/detail/clock.hpp"
#include "io/stt/addresses.hpp"
#include "io/stt/session_core.hpp"
#include "io/stt/websocket_wire.hpp"
#include "sealine/io/engine.hpp"

#include <array>
#include <string>
#include <string_view>
#include <utility>

namespace sealine::io::stt {

using ::sealine::stt::Transport;

namespace {

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

}  // namespace

void WebSocketWire::take_tls(MutableBytes bytes) {
  const bool was_established = tls_->is_established();
  const auto taken = tls_->handle_bytes(bytes);
  queue_tls();
  if (!taken) {
    // Behind the handshake it is damage, whatever TLS calls it.
    return stage_ < Stage::open ? core_.fail(taken.error()) : core_.end();
  }
  if (!was_established && tls_->is_established()) begin_http_client();
  const MutableBytes scratch = endpoint_.tls_scratch();
  while (tls_ && tls_->is_established() && socket_.is_open()) {
    const auto plain = tls_->read(scratch);
    queue_tls();
    if (!plain) return stage_ < Stage::open ? core_.fail(plain.error()) : core_.end();
    if (*plain == 0) break;
    take(scratch.first(*plain));
  }
  if (tls_ && tls_->has_ended()) end_of_stream();
}

void WebSocketWire::take(MutableBytes bytes) {
  if (stage_ == Stage::http) {
    take_http(bytes);
  } else if (websocket_) {
    take_websocket(bytes);
  }
  // Else an answer is being written: what still comes is thrown away.
}

void WebSocketWire::take_http(MutableBytes bytes) {
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
      return core_.fail({Errc::not_this_protocol, status});
    }
    if (*outcome == websocket::ClientHandshake::Outcome::need_bytes) return;
    websocket_.emplace(websocket::Role::client, websocket::ConnectionConfig{}, system_rng(), now);
    initiator_.emplace(endpoint_.handshake(), Transport::websocket, thread_engine(), system_rng(),
                       unix_millis(), now);
    std::array<std::uint8_t, ::sealine::stt::kMaxHandshakeFrameBytes> out{};
    const std::size_t length = initiator_->poll_transmit(out);
    send_handshake(ByteView(out).first(length));
  }
  stage_ = Stage::handshaking;
  if (consumed < bytes.size()) take_websocket(bytes.subspan(consumed));
}

// A request that is no WebSocket's: a page, or a refusal; then the connection ends.
void WebSocketWire::answer_plainly() {
  std::string text = http_server_->response();
  if (text.empty()) {
    const PlainAnswer page = endpoint_.page(http_server_->request());
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
  stage_ = Stage::answering;
  queue(as_bytes(text));
  core_.release();
}

void WebSocketWire::take_websocket(MutableBytes bytes) {
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

void WebSocketWire::take_message(MutableBytes message) {
  while (stage_ == Stage::handshaking && !message.empty()) {
    if (!take_handshake_frame(message)) return;
  }
  ::sealine::stt::Session* const session = core_.session();
  if (session == nullptr || message.empty()) return;
  // A fault behind the tag is the session's to answer, with its CLOSE. One before it may be
  // anybody's: the connection ends with 1002 alone (spec: stt.md#frames).
  if (!session->handle_datagram(message, detail::now())) {
    websocket_->close(websocket::close_code::kProtocol, {}, detail::now());
  }
}

// One frame of the handshake; false: the dial is over, and not well.
bool WebSocketWire::take_handshake_frame(MutableBytes& rest) {
  const auto frame = ::sealine::stt::parse_frame(rest);
  if (!frame) {
    core_.fail(frame.error());
    return false;
  }
  rest = rest.subspan(frame->frame_bytes);
  std::array<std::uint8_t, ::sealine::stt::kMaxHandshakeFrameBytes> out{};
  if (initiator_) {
    const auto handled = initiator_->handle_frame(*frame, detail::now());
    if (!handled) {
      core_.fail(handled.error());
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
      endpoint_.responder().handle_frame(*frame, origin, unix_millis(), detail::now(), out);
  if (!reply) {
    core_.fail(reply.error());
    return false;
  }
  send_handshake(ByteView(out).first(reply->reply_bytes));
  if (reply->established) established(std::move(*reply->established));
  return true;
}

void WebSocketWire::take_closed(const websocket::Closed& closed) {
  transmit();
  if (stage_ < Stage::open) {
    // Who knows the seed is answered: a close before it is a refusal of ours.
    const bool refused = initiator_.has_value() && closed.by_peer;
    core_.fail({refused ? Errc::peer_fell_silent : Errc::protocol_broken, closed.code});
    return;
  }
  core_.lost();
  if (closed.close_tcp) {
    error_code ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
  }
  if (closed.code == websocket::close_code::kAbnormal) core_.end();
}

}  // namespace sealine::io::stt
