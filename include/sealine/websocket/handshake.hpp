#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/crypto/rng.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The opening handshake of RFC 6455, without a socket.                  spec:
/// websocket.md#handshake
namespace sealine::websocket {

inline constexpr std::size_t kMaxHeadBytes = 16384;
inline constexpr std::size_t kMaxHeaders = 100;

/// A parsed request; views into the bytes it came from.
struct Request {
  std::string_view method;
  std::string_view target;  ///< as sent: path and query
  std::vector<std::pair<std::string_view, std::string_view>> headers;

  /// The header of that name (any case), if there is exactly one.
  [[nodiscard]] SEALINE_API std::optional<std::string_view> header(
      std::string_view name) const noexcept;
  /// Wants an upgrade to WebSocket, whether or not it may have it.
  [[nodiscard]] SEALINE_API bool is_upgrade() const noexcept;
};

struct ServerPolicy {
  std::vector<std::string> paths = {"/stt"};  ///< 404 elsewhere
  /// Origins that may connect beside same-host and none at all (no browser); else 403.
  std::vector<std::string> origins;
  std::vector<std::string> subprotocols = {"stt.v1"};  ///< the first that was offered is chosen
};

/// Collects a request head from any split of the stream and judges it. HTTP/1.1 strictly: CRLF, no
/// folding, no body, no second Host, Key or Version.
class SEALINE_API ServerHandshake {
 public:
  /// `policy` outlives it.
  explicit ServerHandshake(const ServerPolicy& policy) : policy_(&policy) {}

  ServerHandshake(const ServerHandshake&) = delete;  // request() shows views into it
  ServerHandshake& operator=(const ServerHandshake&) = delete;

  enum class Outcome : std::uint8_t {
    need_bytes,
    accepted,  ///< write response(); what follows in the stream is WebSocket
    refused,   ///< write response() and close
    plain,     ///< a GET or HEAD without upgrade: request() says for what; answer as you like
  };

  /// `consumed` of `in` are used up; bytes behind the head stay. Never fails: what is wrong is
  /// refused.
  [[nodiscard]] Outcome handle_bytes(ByteView in, std::size_t& consumed);

  /// The whole answer: 101, or 400, 403, 404, 405, 426, 431 with a line of text.
  [[nodiscard]] const std::string& response() const noexcept { return response_; }

  /// Good as long as the handshake is.
  [[nodiscard]] const Request& request() const noexcept { return request_; }

  [[nodiscard]] const std::string& subprotocol() const noexcept { return subprotocol_; }

 private:
  [[nodiscard]] Outcome judge();
  [[nodiscard]] Outcome refuse(int status, std::string_view why, std::string_view headers = {});

  const ServerPolicy* policy_;
  std::string head_;
  Request request_;
  std::string response_;
  std::string subprotocol_;
};

/// A client's request and its answer.
class SEALINE_API ClientHandshake {
 public:
  /// `host` as in a URL, IPv6 in brackets, with its port unless it is the default.
  ClientHandshake(std::string_view host, std::string_view path, std::string_view subprotocol,
                  crypto::Rng& rng);

  [[nodiscard]] const std::string& request() const noexcept { return request_; }

  enum class Outcome : std::uint8_t { need_bytes, accepted };

  /// Errors: not_this_protocol (status() and body() say more), value_too_large.
  [[nodiscard]] Result<Outcome> handle_bytes(ByteView in, std::size_t& consumed);

  /// The HTTP status; 0 before there is one.
  [[nodiscard]] int status() const noexcept { return status_; }

  /// The first KiB of what a refusal says.
  [[nodiscard]] std::string_view body() const noexcept { return body_; }

 private:
  std::string request_;
  std::string accept_;  ///< what Sec-WebSocket-Accept must be
  std::string subprotocol_;
  std::string head_;
  std::string body_;
  int status_ = 0;
};

}  // namespace sealine::websocket
