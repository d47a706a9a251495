#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/operation.hpp"
#include "sealine/io/stcp_options.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace sealine::io::stcp {

class StreamCore;

/// An STCP/1 connection over TCP: a byte stream with authenticated half-close.
///
/// Models Asio's AsyncReadStream, AsyncWriteStream, SyncReadStream and SyncWriteStream, so that
/// whatever is written for a stream rides on it, with any completion token. One read and one write
/// may be under way at a time; a second one of a kind fails with operation_in_progress. Errors are
/// those of category "sealine", those of the socket, and net::error::eof: the end of the peer's
/// data, only after its sealed CLOSE. A connection that ends without it gives Errc::truncated.
///
/// Movable, also while operations are pending. Destruction cancels them; without a shutdown before,
/// the peer meets truncation. Not thread-safe: over an io_context that several threads run, make
/// the stream with a strand and call it there. In a forked child every call fails with
/// Errc::forked.
///
/// Deadlines (handshake, idle, progress) and keep-alive work while an operation is pending.
class SEALINE_API Stream {
 public:
  using executor_type = net::any_io_executor;
  using next_layer_type = net::ip::tcp::socket;
  using lowest_layer_type = next_layer_type::lowest_layer_type;

  /// An empty one, good for assignment; every operation asserts.
  Stream() noexcept;

  /// A client, to be connected.
  explicit Stream(const executor_type& executor, ClientOptions options = {});
  Stream(const executor_type& executor, std::shared_ptr<const ClientOptions> options);

  explicit Stream(net::io_context& context, ClientOptions options = {})
      : Stream(context.get_executor(), std::move(options)) {}

  /// A client over a socket that is connected; `peer` is the name under which its key is known
  /// (see peer_name). Go on with a handshake.
  Stream(next_layer_type socket, std::shared_ptr<const ClientOptions> options, std::string peer);

  /// A server over an accepted socket. Go on with a handshake. (Listener does all of this.)
  Stream(next_layer_type socket, std::shared_ptr<const ServerOptions> options);

  Stream(Stream&& other) noexcept;
  Stream& operator=(Stream&& other) noexcept;
  ~Stream();

  [[nodiscard]] executor_type get_executor() noexcept;
  [[nodiscard]] next_layer_type& next_layer() noexcept;
  [[nodiscard]] const next_layer_type& next_layer() const noexcept;
  [[nodiscard]] lowest_layer_type& lowest_layer() noexcept;
  [[nodiscard]] const lowest_layer_type& lowest_layer() const noexcept;

  /// Whether there is a connection object (not moved from, not empty).
  [[nodiscard]] explicit operator bool() const noexcept { return core_ != nullptr; }

  // --- connecting --------------------------------------------------------------------------------

  /// Resolves, connects to the first address that answers (RFC 8305), and does the handshake. Once.
  /// HOST may be a name, IPv4, IPv6 with or without brackets, with a scope (`fe80::1%eth0`).
  /// Signature: void(error_code).
  template <class Token>
  auto async_connect(std::string_view host, std::uint16_t port, Token&& token) {
    return start<void(error_code)>(
        token, [core = core_, host = std::string(host), port](auto&& handler) {
          start_connect(core, host, port, wrap<error_code>(core, Slot::other, handler));
        });
  }

  void connect(std::string_view host, std::uint16_t port, error_code& ec);
  void connect(std::string_view host, std::uint16_t port);

  /// The handshake over a connected or accepted socket. Signature: void(error_code).
  template <class Token>
  auto async_handshake(Token&& token) {
    return start<void(error_code)>(token, [core = core_](auto&& handler) {
      start_handshake(core, wrap<error_code>(core, Slot::other, handler));
    });
  }

  void handshake(error_code& ec);
  void handshake();

  // --- data
  // ---------------------------------------------------------------------------------------

  /// Signature: void(error_code, std::size_t).
  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return start<void(error_code, std::size_t)>(
        token, [core = core_, target = first_of(buffers)](auto&& handler) {
          start_read(core, target, wrap<error_code, std::size_t>(core, Slot::read, handler));
        });
  }

  template <class Buffers>
  std::size_t read_some(const Buffers& buffers, error_code& ec) {
    return read_now(first_of(buffers), ec);
  }

  template <class Buffers>
  std::size_t read_some(const Buffers& buffers) {
    error_code ec;
    const std::size_t n = read_some(buffers, ec);
    throw_if(ec);
    return n;
  }

  /// Ends when the bytes are sealed and with the kernel, or in the send buffer within its limit;
  /// flush() and shutdown wait for the rest. Small buffers of a sequence are sealed together.
  /// Signature: void(error_code, std::size_t).
  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    return start<void(error_code, std::size_t)>(
        token, [core = core_, source = Gather(buffers)](auto&& handler) {
          start_write(core, source, wrap<error_code, std::size_t>(core, Slot::write, handler));
        });
  }

  template <class Buffers>
  std::size_t write_some(const Buffers& buffers, error_code& ec) {
    return write_now(Gather(buffers), ec);
  }

  template <class Buffers>
  std::size_t write_some(const Buffers& buffers) {
    error_code ec;
    const std::size_t n = write_some(buffers, ec);
    throw_if(ec);
    return n;
  }

  /// With batching, small writes wait in a buffer until a record is full, until flush(), until the
  /// next wait of a blocking call, or until the executor has run what was ready (asynchronous
  /// writes).
  void set_batching(bool on) noexcept;

  /// Seals and sends what waits. Signature: void(error_code).
  template <class Token>
  auto async_flush(Token&& token) {
    return start<void(error_code)>(token, [core = core_](auto&& handler) {
      start_flush(core, wrap<error_code>(core, Slot::other, handler));
    });
  }

  void flush(error_code& ec);
  void flush();

  // --- ending
  // -------------------------------------------------------------------------------------

  /// Ends our direction: sends what waits, a sealed CLOSE, and TCP's FIN. Reading goes on until the
  /// peer's CLOSE. Signature: void(error_code).
  template <class Token>
  auto async_shutdown(Token&& token) {
    return start<void(error_code)>(token, [core = core_](auto&& handler) {
      start_shutdown(core, wrap<error_code>(core, Slot::other, handler));
    });
  }

  void shutdown(error_code& ec);
  void shutdown();

  /// Ends both directions with an error for the peer, waits for its answer (1 s at most), closes.
  /// Pending operations end with operation_aborted. reason != 0. Signature: void(error_code).
  template <class Token>
  auto async_abort(std::uint8_t reason, Token&& token) {
    return start<void(error_code)>(token, [core = core_, reason](auto&& handler) {
      start_abort(core, reason, wrap<error_code>(core, Slot::other, handler));
    });
  }

  /// Ends all pending operations with operation_aborted; the connection stays.
  void cancel();
  /// Closes the socket at once. The peer meets truncation, unless there was a shutdown.
  void close();
  [[nodiscard]] bool is_open() const noexcept;

  // --- what is known
  // ------------------------------------------------------------------------------

  [[nodiscard]] State state() const noexcept;
  /// Why the connection failed: one of F1..F15, truncated, aborted, or a deadline.
  [[nodiscard]] std::optional<Error> fault() const noexcept;
  /// n of F1..F15; 0 if there is no fault or it is none of those.
  [[nodiscard]] unsigned fault_point() const noexcept;
  /// Mode, key, SAS. Complete after the handshake.
  [[nodiscard]] const Peer& peer() const noexcept;
  /// How the peer's key was judged, once it was.
  [[nodiscard]] const std::optional<Verdict>& verdict() const noexcept;
  /// The report of an established connection.
  [[nodiscard]] Connected connected() const;
  [[nodiscard]] Statistics statistics() const noexcept;
  /// M: the most data that one record takes.
  [[nodiscard]] std::size_t max_record_bytes() const noexcept;
  /// Keys for the application, equal at both ends. Errors: not_encrypted, bad_configuration.
  [[nodiscard]] Result<> export_key(std::string_view label, ByteView context,
                                    MutableBytes out) const;

  // --- commands
  // -----------------------------------------------------------------------------------

  /// Fresh keys. Sent at once if the socket takes it.
  void request_rekey();
  void ping();

  /// A connection after STCP.
  struct Underlying {
    next_layer_type socket;
    std::vector<std::uint8_t> received;  ///< what was read behind the handshake
  };

  /// Gives the connection up to a protocol that goes on over the same socket under keys of its own
  /// (export_key): right after the handshake, flushed, before any data. This Stream is closed then.
  /// Errors: not_encrypted; operation_in_progress, also where something waits to be sent.
  [[nodiscard]] Result<Underlying> take_over();

  /// Server, modes tofu and mutual: tells the client the next key. Errors: wrong_state.
  [[nodiscard]] Result<> announce_next_key(const crypto::PublicKey& next);

 private:
  friend class Listener;
  friend class ListenerCore;
  explicit Stream(std::shared_ptr<StreamCore> core) noexcept;

  /// Up to kParts buffers of a sequence; more are left to the next write.
  struct Gather {
    static constexpr std::size_t kParts = 8;

    template <class Buffers>
    explicit Gather(const Buffers& buffers) {
      auto it = net::buffer_sequence_begin(buffers);
      const auto end = net::buffer_sequence_end(buffers);
      for (; it != end && count < kParts; ++it) {
        const net::const_buffer buffer(*it);
        if (buffer.size() == 0) continue;
        parts[count++] = {static_cast<const std::uint8_t*>(buffer.data()), buffer.size()};
        total += buffer.size();
      }
    }

    std::array<ByteView, kParts> parts;
    std::size_t count = 0;
    std::size_t total = 0;
  };

  using Done = detail::OperationPtr<error_code>;
  using Moved = detail::OperationPtr<error_code, std::size_t>;
  using CorePtr = std::shared_ptr<StreamCore>;
  enum class Slot : std::uint8_t { read, write, other };

  template <class Buffers>
  static MutableBytes first_of(const Buffers& buffers) {
    auto it = net::buffer_sequence_begin(buffers);
    const auto end = net::buffer_sequence_end(buffers);
    for (; it != end; ++it) {
      const net::mutable_buffer buffer(*it);
      if (buffer.size() != 0) return {static_cast<std::uint8_t*>(buffer.data()), buffer.size()};
    }
    return {};
  }

  friend class StreamCore;

  template <class Signature, class Token, class Initiation>
  static auto start(Token& token, Initiation initiation) {
    return net::async_initiate<Token, Signature>(std::move(initiation), token);
  }

  /// The handler as an operation; a signal of its cancellation slot ends that operation alone.
  template <class... Results, class Handler>
  static detail::OperationPtr<Results...> wrap(const CorePtr& core, Slot slot, Handler& handler) {
    auto cancellation = net::get_associated_cancellation_slot(handler);
    if (cancellation.is_connected()) {
      cancellation.assign([weak = std::weak_ptr<StreamCore>(core), slot,
                           ticket = take_ticket(core, slot)](net::cancellation_type type) {
        if (type == net::cancellation_type::none) return;
        if (const CorePtr alive = weak.lock()) cancel_operation(alive, slot, ticket);
      });
    }
    return detail::make_operation<Results...>(std::move(handler), executor_of(core));
  }

  static std::uint64_t take_ticket(const CorePtr& core, Slot slot) noexcept;
  static void cancel_operation(const CorePtr& core, Slot slot, std::uint64_t ticket);
  static const executor_type& executor_of(const CorePtr& core) noexcept;

  static void start_connect(const CorePtr& core, const std::string& host, std::uint16_t port,
                            Done done);
  static void start_handshake(const CorePtr& core, Done done);
  static void start_read(const CorePtr& core, MutableBytes target, Moved done);
  static void start_write(const CorePtr& core, const Gather& source, Moved done);
  static void start_flush(const CorePtr& core, Done done);
  static void start_shutdown(const CorePtr& core, Done done);
  static void start_abort(const CorePtr& core, std::uint8_t reason, Done done);

  std::size_t read_now(MutableBytes target, error_code& ec);
  std::size_t write_now(const Gather& source, error_code& ec);
  static void throw_if(const error_code& ec);

  CorePtr core_;
};

}  // namespace sealine::io::stcp
