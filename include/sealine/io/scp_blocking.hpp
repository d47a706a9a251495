#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/time.hpp"
#include "sealine/io/scp_channel.hpp"
#include "sealine/io/scp_message.hpp"
#include "sealine/io/scp_options.hpp"
#include "sealine/io/scp_server.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

/// The same for a program that does one thing at a time: no executor, no coroutine, a Result.
namespace sealine::io::scp::blocking {

/// A channel with blocking calls. One thread at a time.
///
/// It reads its connection, answers and keeps it alive inside of its calls. A program that is away
/// for longer than the other end's patience (30 s) calls poll() now and then. Destruction sends
/// what can be sent without waiting; close() waits.
class SEALINE_API Channel {
 public:
  Channel(Channel&&) noexcept;
  Channel& operator=(Channel&& other) noexcept;
  ~Channel();

  /// Waits for the message's receipt and gives its number. Errors: as scp::Channel::send.
  Result<std::uint64_t> send(ByteView message);

  Result<std::uint64_t> send(std::string_view message) { return send(as_bytes(message)); }

  /// Waits for room in the window alone. What is queued leaves with the next call that waits, with
  /// flush(), or when the window is full.
  Result<std::uint64_t> enqueue(ByteView message);

  Result<std::uint64_t> enqueue(std::string_view message) { return enqueue(as_bytes(message)); }

  /// Waits until at least `count` messages of ours have their receipt.
  Result<std::uint64_t> receipts(std::uint64_t count);
  /// Sends what is queued, as far as the connection takes it now.
  void flush();

  /// The next message; a false one at the end. Errors: as scp::Channel::receive.
  Result<Message> receive();
  /// Errors: no_message_in_time too; the channel goes on.
  Result<Message> receive(Duration timeout);

  /// Without a copy: see scp::Channel::wait.
  Result<bool> wait();

  [[nodiscard]] std::optional<ByteView> front() const { return channel_.front(); }

  void pop() { channel_.pop(); }

  void end() { channel_.end(); }

  Outcome close();
  /// Does what is to be done now, without waiting.
  void poll();

  /// The channel itself, for what needs no waiting: state, outcome, statistics, events, rotate.
  [[nodiscard]] scp::Channel& channel() noexcept { return channel_; }

  [[nodiscard]] const scp::Channel& channel() const noexcept { return channel_; }

 private:
  friend class Listener;
  friend SEALINE_API std::expected<Channel, ConnectFailure> try_connect(
      std::string_view, std::uint16_t, std::shared_ptr<const ClientOptions>);
  Channel(std::shared_ptr<net::io_context> context, scp::Channel channel) noexcept;
  void end_quickly();

  std::shared_ptr<net::io_context> context_;
  scp::Channel channel_;
};

/// Resolves, connects, does the handshake. Errors: as scp::connect.
[[nodiscard]] SEALINE_API Result<Channel> connect(std::string_view host, std::uint16_t port,
                                                  const KeyPair& keys);
[[nodiscard]] SEALINE_API Result<Channel> connect(std::string_view host, std::uint16_t port,
                                                  ClientOptions options = {});
/// The same with all that is known of a failure.
[[nodiscard]] SEALINE_API std::expected<Channel, ConnectFailure> try_connect(
    std::string_view host, std::uint16_t port, std::shared_ptr<const ClientOptions> options);

/// Accepts channels. All of them, and the handshakes of several clients, go on while any call of
/// the listener or of one of its channels waits. One thread at a time for all of them.
class SEALINE_API Listener {
 public:
  Listener(Listener&&) noexcept;
  Listener& operator=(Listener&& other) noexcept;
  ~Listener();

  /// The next channel.
  [[nodiscard]] Result<Channel> accept();

  [[nodiscard]] std::uint16_t port() const { return server_.port(); }

  [[nodiscard]] Server& server() noexcept { return server_; }

 private:
  friend SEALINE_API Result<Listener> listen(std::string_view, std::uint16_t, ServerOptions);
  Listener(std::shared_ptr<net::io_context> context, Server server) noexcept;

  std::shared_ptr<net::io_context> context_;
  Server server_;
};

/// Begins to listen. An empty host is all addresses, port 0 any free one.
[[nodiscard]] SEALINE_API Result<Listener> listen(std::string_view host, std::uint16_t port,
                                                  ServerOptions options = {});
[[nodiscard]] SEALINE_API Result<Listener> listen(std::string_view host, std::uint16_t port,
                                                  const KeyPair& keys);

}  // namespace sealine::io::scp::blocking
