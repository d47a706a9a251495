#include "sealine/websocket/handshake.hpp"

#include "sealine/base/base64.hpp"
#include "sealine/crypto/sha1.hpp"
#include "websocket/detail/http_head.hpp"

#include <algorithm>

namespace sealine::websocket {

using detail::any_holds;
using detail::equals_ignoring_case;
using detail::only;

namespace {

constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
constexpr std::size_t kKeyBytes = 16;
constexpr std::size_t kMaxBodyBytes = 1024;

std::string accept_of(std::string_view key) {
  const std::string text = std::string(key) + std::string(kGuid);
  return base64(crypto::sha1_of_websocket_key(as_bytes(text)));
}

std::string_view reason_of(int status) {
  switch (status) {
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 426:
      return "Upgrade Required";
    case 431:
      return "Request Header Fields Too Large";
    default:
      return "Bad Request";
  }
}

// "http://host:port" of a page that the same host served.
bool is_same_host(std::string_view origin, std::string_view host) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (origin.starts_with(scheme)) return equals_ignoring_case(origin.substr(scheme.size()), host);
  }
  return false;
}

// Adds bytes to a head that is collected; how many were used, or too many for any head.
Result<bool> collect(std::string& head, ByteView in, std::size_t& consumed) {
  const std::size_t before = head.size();
  const std::size_t taken = std::min(in.size(), kMaxHeadBytes - before);
  head.append(as_text(in.first(taken)));
  // The blank line may have begun in what came before.
  const std::size_t from = before < 3 ? 0 : before - 3;
  const auto length = detail::head_length(std::string_view(head).substr(from));
  if (!length) {
    consumed = taken;
    if (head.size() == kMaxHeadBytes) return fail(Errc::value_too_large);
    return false;
  }
  head.resize(from + *length);
  consumed = head.size() - before;
  return true;
}

}  // namespace

std::optional<std::string_view> Request::header(std::string_view name) const noexcept {
  return only(headers, name);
}

bool Request::is_upgrade() const noexcept { return any_holds(headers, "Upgrade", "websocket"); }

ServerHandshake::Outcome ServerHandshake::refuse(int status, std::string_view why,
                                                 std::string_view headers) {
  const std::string body = std::string(why) + "\n";
  response_ = "HTTP/1.1 " + std::to_string(status) + " " + std::string(reason_of(status)) +
              "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\nConnection: close\r\n" + std::string(headers) +
              "\r\n" + body;
  return Outcome::refused;
}

ServerHandshake::Outcome ServerHandshake::handle_bytes(ByteView in, std::size_t& consumed) {
  // Whoever speaks TLS, or anything binary, is told at once instead of at the deadline.
  if (head_.empty() && !in.empty() && in.front() <= ' ') {
    consumed = 0;
    return refuse(400, "This is no HTTP request.");
  }
  const auto whole = collect(head_, in, consumed);
  if (!whole) return refuse(431, "The request head is too long.");
  return *whole ? judge() : Outcome::need_bytes;
}

ServerHandshake::Outcome ServerHandshake::judge() {
  auto head = detail::parse_head(head_);
  if (!head) {
    const bool too_many = head.error().code == Errc::value_too_large;
    return too_many ? refuse(431, "Too many headers.") : refuse(400, "This is no HTTP request.");
  }
  const std::string_view line = head->start_line;
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || last == first || line.substr(last + 1) != "HTTP/1.1") {
    return refuse(400, "This is no HTTP/1.1 request.");
  }
  request_.method = line.substr(0, first);
  request_.target = line.substr(first + 1, last - first - 1);
  request_.headers = std::move(head->headers);
  const auto& headers = request_.headers;
  if (request_.target.empty() || request_.target.find(' ') != std::string_view::npos) {
    return refuse(400, "This is no HTTP/1.1 request.");
  }
  const auto host = only(headers, "Host");
  if (!host) return refuse(400, "One Host header is needed.");
  if (detail::count(headers, "Transfer-Encoding") != 0) return refuse(400, "No body is expected.");
  if (detail::count(headers, "Content-Length") != 0 && only(headers, "Content-Length") != "0") {
    return refuse(400, "No body is expected.");
  }
  const bool is_get = request_.method == "GET";
  if (!is_get && request_.method != "HEAD") {
    return refuse(405, "Only GET is answered here.", "Allow: GET, HEAD\r\n");
  }
  if (!request_.is_upgrade()) return Outcome::plain;
  if (!is_get) return refuse(405, "A WebSocket begins with GET.", "Allow: GET\r\n");

  const std::string_view path = request_.target.substr(0, request_.target.find('?'));
  if (std::ranges::find(policy_->paths, path) == policy_->paths.end()) {
    return refuse(404, "There is no WebSocket here.");
  }
  if (!any_holds(headers, "Connection", "upgrade")) {
    return refuse(400, "Connection: Upgrade is needed.");
  }
  if (only(headers, "Sec-WebSocket-Version") != "13") {
    return refuse(426, "WebSocket version 13 is spoken here.",
                  "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
  }
  const auto key = only(headers, "Sec-WebSocket-Key");
  const auto key_bytes = key ? from_base64(*key) : fail(Errc::bad_encoding);
  if (!key_bytes || key_bytes->size() != kKeyBytes) {
    return refuse(400, "Sec-WebSocket-Key must be 16 bytes in base64.");
  }
  if (detail::count(headers, "Origin") != 0) {
    const auto origin = only(headers, "Origin");
    const bool allowed =
        origin && (is_same_host(*origin, *host) ||
                   std::ranges::find(policy_->origins, *origin) != policy_->origins.end());
    if (!allowed) return refuse(403, "Pages of that origin may not connect.");
  }
  for (const std::string& known : policy_->subprotocols) {
    if (!any_holds(headers, "Sec-WebSocket-Protocol", known)) continue;
    subprotocol_ = known;
    break;
  }
  response_ =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: " +
      accept_of(*key) + "\r\n";
  if (!subprotocol_.empty()) response_ += "Sec-WebSocket-Protocol: " + subprotocol_ + "\r\n";
  response_ += "\r\n";
  return Outcome::accepted;
}

ClientHandshake::ClientHandshake(std::string_view host, std::string_view path,
                                 std::string_view subprotocol, crypto::Rng& rng)
    : subprotocol_(subprotocol) {
  ByteArray<kKeyBytes> key{};
  rng.fill(key);
  const std::string text = base64(key);
  accept_ = accept_of(text);
  request_ = "GET " + std::string(path) + " HTTP/1.1\r\nHost: " + std::string(host) +
             "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " + text +
             "\r\nSec-WebSocket-Version: 13\r\n";
  if (!subprotocol.empty()) {
    request_ += "Sec-WebSocket-Protocol: " + std::string(subprotocol) + "\r\n";
  }
  request_ += "\r\n";
}

Result<ClientHandshake::Outcome> ClientHandshake::handle_bytes(ByteView in, std::size_t& consumed) {
  SEALINE_TRY(whole, collect(head_, in, consumed));
  if (!whole) return Outcome::need_bytes;
  const auto head = detail::parse_head(head_);
  if (!head) return fail(Errc::not_this_protocol);
  const std::string_view line = head->start_line;
  const bool has_status =
      line.starts_with("HTTP/1.1 ") && line.size() >= 12 &&
      (line.size() == 12 || line[12] == ' ') &&
      std::ranges::all_of(line.substr(9, 3), [](char c) { return c >= '0' && c <= '9'; });
  if (!has_status) return fail(Errc::not_this_protocol);
  status_ = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
  if (status_ != 101) {
    const ByteView rest = in.subspan(consumed);
    body_ = as_text(rest.first(std::min(rest.size(), kMaxBodyBytes)));
    return fail(Errc::not_this_protocol);
  }
  const auto& headers = head->headers;
  const bool is_right = any_holds(headers, "Upgrade", "websocket") &&
                        any_holds(headers, "Connection", "upgrade") &&
                        only(headers, "Sec-WebSocket-Accept") == accept_ &&
                        detail::count(headers, "Sec-WebSocket-Extensions") == 0;
  // A server that does not name the subprotocol has not agreed to any: that is its right.
  const std::size_t protocols = detail::count(headers, "Sec-WebSocket-Protocol");
  const bool protocol_fits =
      protocols == 0 || (protocols == 1 && !subprotocol_.empty() &&
                         only(headers, "Sec-WebSocket-Protocol") == subprotocol_);
  if (!is_right || !protocol_fits) return fail(Errc::not_this_protocol);
  return Outcome::accepted;
}

}  // namespace sealine::websocket
