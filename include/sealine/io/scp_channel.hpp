#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/scp_message.hpp"
#include "sealine/io/scp_options.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

namespace sealine::io::scp {

class ChannelCore;

/// What a coroutine of a program is: `Task talk(Channel channel) { ... }`.
using Task = net::awaitable<void>;

/// An SCP/1 channel over TCP: whole messages both ways, each with a receipt.   spec: scp.md
///
/// Awaitables run on the executor of the calling coroutine, which must be the channel's (that of
/// the coroutine that connected, or of the server): over an io_context that several threads run, a
/// strand. Each call exists twice: plainly, throwing system_error with the error of category
/// "sealine", and with `as_result` as its last argument, giving a Result. An argument that is a
/// view must stay good until the call has ended; an awaitable does nothing before it is awaited.
/// Cancelling one (its coroutine's cancellation slot) ends that wait alone, with Errc::cancelled or
/// operation_aborted; a message that was taken goes on.
///
/// The channel reads its connection, answers, keeps it alive, rotates keys and (a client that asked
/// for it) reconnects by itself as long as the context runs, whether or not anybody waits.
/// Movable, also while calls are under way. Destruction closes in the background, as close() does.
class SEALINE_API Channel {
 public:
  using executor_type = net::any_io_executor;

  /// An empty one, good for assignment.
  Channel() noexcept;
  Channel(Channel&& other) noexcept;
  Channel& operator=(Channel&& other) noexcept;
  ~Channel();

  [[nodiscard]] explicit operator bool() const noexcept { return core_ != nullptr; }

  [[nodiscard]] executor_type get_executor() const noexcept;

  // --- sending
  // -----------------------------------------------------------------------------------

  /// Ends when the other end has the message whole and verified (its receipt), and gives the
  /// message's number. Waits before that while the window is full: fewer than 1024 messages and
  /// less than 1 MiB may lack their receipt. Messages are sent in the order of the calls.
  /// Errors: message_too_large, already_closed, cancelled, or how the channel ended (see Outcome).
  net::awaitable<std::uint64_t> send(ByteView message);
  net::awaitable<std::uint64_t> send(std::string_view message);
  net::awaitable<Result<std::uint64_t>> send(ByteView message, AsResult tag);
  net::awaitable<Result<std::uint64_t>> send(std::string_view message, AsResult tag);

  /// Ends as soon as the window has taken the message: for many in a row. What is queued within one
  /// turn of the executor leaves in few writes. Its receipt: receipts(), receipted(), on_event().
  net::awaitable<std::uint64_t> enqueue(ByteView message);
  net::awaitable<std::uint64_t> enqueue(std::string_view message);
  net::awaitable<Result<std::uint64_t>> enqueue(ByteView message, AsResult tag);
  net::awaitable<Result<std::uint64_t>> enqueue(std::string_view message, AsResult tag);

  /// The same without waiting. Errors: window_full beside those of send.
  [[nodiscard]] Result<std::uint64_t> try_enqueue(ByteView message);

  [[nodiscard]] Result<std::uint64_t> try_enqueue(std::string_view message) {
    return try_enqueue(as_bytes(message));
  }

  /// Ends when at least `count` messages of ours have their receipt, and gives how many have.
  net::awaitable<std::uint64_t> receipts(std::uint64_t count);
  net::awaitable<Result<std::uint64_t>> receipts(std::uint64_t count, AsResult tag);

  /// No further message from this end (END), behind all that was sent; receiving goes on. The
  /// other end's receive() gives the end. When both ends have ended, the channel closes by itself.
  void end();

  // --- receiving
  // ---------------------------------------------------------------------------------

  /// The next message; a false one when the other end has ended or closed and all was taken. One
  /// wait at a time (operation_in_progress). Errors: how the channel ended: truncated,
  /// peer_going_away, too_many_messages, idle_timeout, gave_up, ...
  net::awaitable<Message> receive();
  net::awaitable<Result<Message>> receive(AsResult tag);

  /// Without a copy: front() is the oldest message that was not taken, good until the next call
  /// or turn of the executor; pop() takes it. wait() ends with true when there is one, with false
  /// at the end.
  net::awaitable<bool> wait();
  net::awaitable<Result<bool>> wait(AsResult tag);
  [[nodiscard]] std::optional<ByteView> front() const;
  void pop();

  // --- ending
  // ------------------------------------------------------------------------------------

  /// Ends the channel for good: waits for the receipts of all that was sent (10 s at most), writes
  /// CLOSE, waits for the other end's end (5 s at most). Gives how the channel ended; never throws
  /// but when it is cancelled. Also where it has ended already.
  net::awaitable<Outcome> close();
  /// Waits until the channel has ended, whoever ends it.
  net::awaitable<Outcome> closed();
  /// CLOSE with a code of the wire other than normal, at once. What lacks a receipt is unknown.
  void abort(Code code);
  /// Drops the connection without a word and ends the channel: the other end meets truncation.
  void drop();
  /// Ends all waits with cancelled; the channel goes on.
  void cancel();

  // --- commands and events
  // -----------------------------------------------------------------------

  /// So many bytes that mean nothing go out once, before the messages that wait or behind them
  /// (drawn): the sum of both is what can be seen of their sizes.   spec: scp.md#messages
  void pad(std::size_t bytes);
  /// Fresh keys now. A client's; a server's call does nothing.   spec: scp.md#rotation
  void rotate();
  /// One observer; it replaces the last one.
  void on_event(EventObserver observer);

  // --- what is known
  // -----------------------------------------------------------------------------

  [[nodiscard]] State state() const noexcept;
  /// Once the channel has ended: its code, the messages with receipt, and those of unknown fate.
  [[nodiscard]] const std::optional<Outcome>& outcome() const noexcept;
  [[nodiscard]] const Peer& peer() const noexcept;
  [[nodiscard]] const std::optional<Verdict>& verdict() const noexcept;
  /// The report of an open channel.
  [[nodiscard]] Connected connected() const;
  /// The name of the channel, equal at both ends.
  [[nodiscard]] ByteArray<16> id() const noexcept;
  /// Both ends wanted it.
  [[nodiscard]] bool can_reconnect() const noexcept;
  /// Whether a message would be taken without waiting.
  [[nodiscard]] bool can_send() const noexcept;
  [[nodiscard]] Statistics statistics() const noexcept;
  /// Messages of ours taken, and those with a receipt.
  [[nodiscard]] std::uint64_t sent() const noexcept;
  [[nodiscard]] std::uint64_t receipted() const noexcept;
  /// Keys for the application, equal at both ends. Errors: not_encrypted, bad_configuration.
  [[nodiscard]] Result<> export_key(std::string_view label, ByteView context,
                                    MutableBytes out) const;

 private:
  friend class ChannelCore;
  friend class ServerCore;
  using CorePtr = std::shared_ptr<ChannelCore>;
  explicit Channel(CorePtr core) noexcept;

  CorePtr core_;
};

/// Resolves, connects to the first address that answers (RFC 8305), does the handshake, and judges
/// the server's key (TOFU: pins it at first contact; another key later is peer_key_changed).
/// HOST may be a name, IPv4, IPv6 with or without brackets, with a scope.
/// Errors: of the network, of the handshake, of the trust.
[[nodiscard]] SEALINE_API net::awaitable<Channel> connect(std::string_view host, std::uint16_t port,
                                                          KeyPair keys);
[[nodiscard]] SEALINE_API net::awaitable<Channel> connect(std::string_view host, std::uint16_t port,
                                                          ClientOptions options);
/// With options that many channels share.
[[nodiscard]] SEALINE_API net::awaitable<Channel> connect(
    std::string_view host, std::uint16_t port, std::shared_ptr<const ClientOptions> options);

/// A failed attempt, with what is known of it.
struct ConnectFailure {
  Error error;
  std::optional<Verdict> verdict;        ///< where a key was shown and judged
  std::optional<crypto::PublicKey> key;  ///< the key that was shown
  bool was_connected = false;            ///< TCP stood: the error is one of the handshake
};

[[nodiscard]] SEALINE_API net::awaitable<std::expected<Channel, ConnectFailure>> connect(
    std::string_view host, std::uint16_t port, std::shared_ptr<const ClientOptions> options,
    AsResult tag);
[[nodiscard]] SEALINE_API net::awaitable<std::expected<Channel, ConnectFailure>> connect(
    std::string_view host, std::uint16_t port, ClientOptions options, AsResult tag);

}  // namespace sealine::io::scp
