#pragma once

#include "sealine/base/error.hpp"
#include "sealine/base/time.hpp"
#include "sealine/stt/datagram.hpp"

#include <optional>

namespace sealine::io::stt {

/// What carries one session: its handshake, and then its datagrams or messages.
///
/// Owned by a SessionCore, which calls it and which it calls back: `establish` once the handshake
/// is done, `fail` where it never will be, `drive` after any input, `lost` when the way is gone.
/// Handlers that it gives to Asio keep the core alive, and so the wire.
class Wire {
 public:
  Wire() = default;
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;
  virtual ~Wire() = default;

  /// So much of what the application writes is best sent in one go.
  [[nodiscard]] virtual std::size_t gather_bytes() const noexcept = 0;
  /// Sends what may go; whether anything went.
  virtual bool transmit() = 0;
  /// Asks its sockets for what it waits for.
  virtual void arm() = 0;
  [[nodiscard]] virtual std::optional<TimePoint> poll_timeout() const = 0;
  virtual void handle_timeout(TimePoint now) = 0;

  /// UDP: the peer has proved that it is at another address now.
  virtual void take_path(::sealine::stt::PathId /*path*/) {}

  /// Tells the peer, where it is told such things, that there will be no session.
  virtual void refuse() = 0;
  /// The session is over, and all its words are out: nothing more is to come or to go.
  [[nodiscard]] virtual bool is_done() const = 0;
  /// At once, without a word.
  virtual void close() = 0;
};

}  // namespace sealine::io::stt
