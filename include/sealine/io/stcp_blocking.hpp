#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/io/stcp_listener.hpp"
#include "sealine/io/stcp_options.hpp"
#include "sealine/io/stcp_stream.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

/// The same jobs for a program that does one thing at a time: no executor, no token, a Result.
namespace sealine::io::stcp::blocking {

/// A connection with blocking calls. One thread at a time. In its own right an io::stcp::Stream,
/// which `stream()` shows: state, peer, statistics, export_key stand there.
class SEALINE_API Stream {
 public:
  Stream(Stream&&) noexcept = default;
  Stream& operator=(Stream&& other) noexcept;
  ~Stream() = default;

  /// At least one byte, or 0 at the end of the peer's data. Errors: truncated, aborted, F1..F15,
  /// idle_timeout, connection_lost.
  [[nodiscard]] Result<std::size_t> read(MutableBytes out);
  /// Exactly all of `out`. Errors: as read; truncated also where the peer's data end before.
  [[nodiscard]] Result<> read_all(MutableBytes out);
  /// All of `data`.
  [[nodiscard]] Result<> write(ByteView data);

  [[nodiscard]] Result<> write(std::string_view text) { return write(as_bytes(text)); }

  [[nodiscard]] Result<> flush();
  /// Ends our direction; reading goes on.
  [[nodiscard]] Result<> shutdown();
  void close();

  [[nodiscard]] stcp::Stream& stream() noexcept { return stream_; }

  [[nodiscard]] const stcp::Stream& stream() const noexcept { return stream_; }

 private:
  friend class Listener;
  friend Result<Stream> connect(std::string_view, std::uint16_t, ClientOptions);
  Stream(std::shared_ptr<net::io_context> context, stcp::Stream stream);

  std::shared_ptr<net::io_context> context_;
  stcp::Stream stream_;
};

/// Resolves, connects, does the handshake.
[[nodiscard]] SEALINE_API Result<Stream> connect(std::string_view host, std::uint16_t port,
                                                 ClientOptions options = {});

/// Accepts connections; handshakes of several clients go on at once while accept() waits.
class SEALINE_API Listener {
 public:
  Listener(Listener&&) noexcept = default;
  Listener& operator=(Listener&&) noexcept;
  ~Listener();

  /// The next connection whose handshake is complete.
  [[nodiscard]] Result<Stream> accept();

  [[nodiscard]] std::uint16_t port() const { return listener_.port(); }

  [[nodiscard]] stcp::Listener& listener() noexcept { return listener_; }

 private:
  friend Result<Listener> listen(std::string_view, std::uint16_t, ServerOptions, ListenerLimits);
  Listener(std::shared_ptr<net::io_context> context, stcp::Listener listener);

  std::shared_ptr<net::io_context> context_;
  stcp::Listener listener_;
};

/// Begins to listen. An empty host is all addresses, port 0 any free one.
[[nodiscard]] SEALINE_API Result<Listener> listen(std::string_view host, std::uint16_t port,
                                                  ServerOptions options = {},
                                                  ListenerLimits limits = {});

/// The verbs as free functions.
[[nodiscard]] inline Result<Stream> accept(Listener& listener) { return listener.accept(); }

[[nodiscard]] inline Result<std::size_t> read(Stream& stream, MutableBytes out) {
  return stream.read(out);
}

[[nodiscard]] inline Result<> write(Stream& stream, ByteView data) { return stream.write(data); }

}  // namespace sealine::io::stcp::blocking
