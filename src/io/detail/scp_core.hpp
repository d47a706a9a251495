#pragma once

#include "io/detail/buffer.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/time.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/operation.hpp"
#include "sealine/io/scp_channel.hpp"
#include "sealine/io/scp_options.hpp"
#include "sealine/scp/channel.hpp"
#include "sealine/scp/handshake.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sealine::io::detail {
class Dialer;
}  // namespace sealine::io::detail

namespace sealine::io::scp {

/// Fills in what options leave to the state directory: identity and trust.
[[nodiscard]] Result<std::shared_ptr<const ClientOptions>> complete(
    std::shared_ptr<const ClientOptions> options);
[[nodiscard]] Result<std::shared_ptr<const ServerOptions>> complete(
    std::shared_ptr<const ServerOptions> options);

/// A connection whose handshake a server has finished.
struct Established {
  net::ip::tcp::socket socket;
  ::sealine::scp::Opening opening;
  std::vector<std::uint8_t> early;  ///< what came behind the handshake already
  std::optional<Verdict> verdict;
  std::string client;  ///< its address
};

/// What stands behind a Channel: the machine, its connection, buffers, and the calls that wait.
///
/// Every input (readable, writable, time, a verdict, a command) ends in drive(), which reads, lets
/// the waiting calls go on, and writes, until nothing is left to do; then it arms the waits. Calls
/// that need not wait do not come that far: they do their work, and a turn is posted for the
/// writing, so that all that was queued meanwhile leaves at once.
///
/// Lives as long as its Channel or a wait. A wait that Asio drops unrun (its context goes) drops
/// the waiting calls with it. Runs on the executor of the channel.
class ChannelCore : public std::enable_shared_from_this<ChannelCore> {
 public:
  using Socket = net::ip::tcp::socket;
  using Core = std::shared_ptr<ChannelCore>;
  /// A call that waits. Its number is what the call gives: of a message, of receipts, or 1 and 0
  /// for a message that is ready and the end.
  using Waiter = detail::OperationPtr<Result<std::uint64_t>>;
  using Ticket = std::uint64_t;

  ChannelCore(net::any_io_executor executor, std::shared_ptr<const ClientOptions> options);
  ChannelCore(std::shared_ptr<const ServerOptions> options, Established established);
  ~ChannelCore();
  ChannelCore(const ChannelCore&) = delete;
  ChannelCore& operator=(const ChannelCore&) = delete;

  // --- calls (scp_core.cpp)
  // -----------------------------------------------------------------------

  /// Takes a message if it can be taken now. Errors: window_full, and what ends the wait.
  [[nodiscard]] Result<std::uint64_t> try_send(ByteView message);
  void start_send(ByteView message, bool until_receipt, Ticket ticket, Waiter waiter);
  void start_receipts(std::uint64_t count, Ticket ticket, Waiter waiter);
  /// 1: front() has a message; 0: the end; nothing: it is to be waited for.
  [[nodiscard]] std::optional<Result<std::uint64_t>> look() const;
  void start_wait(Ticket ticket, Waiter waiter);
  void start_closed(Ticket ticket, Waiter waiter);

  [[nodiscard]] Ticket take_ticket() noexcept { return ++tickets_; }

  void cancel_call(Ticket ticket);
  void cancel();

  void end();
  void close();
  void abort(Code code);
  void drop();
  void pad(std::size_t bytes);
  void rotate();
  void pop();
  /// front(), as an object, taken.
  [[nodiscard]] Message take_message();
  /// Its Channel is gone: closes, and goes on until that is done.
  void abandon();
  /// Its Channel is gone, and nobody runs the context: closes as far as that needs no wait.
  void abandon_blocking();
  /// Writes what waits, without waiting.
  void flush();
  /// The connection that stands is the last.
  void forbid_resume();
  /// Ends without a word when the last wait was dropped unrun.
  void drop_operations();

  // --- connections (scp_core_connect.cpp)
  // ---------------------------------------------------------

  void start_connect(const std::string& host, std::uint16_t port, Ticket ticket, Waiter waiter);
  /// A server's: begins to serve the connection that it was made with.
  void begin();
  /// A server's: takes a lost or moving channel up on a new connection. Errors: channel_unknown,
  /// with `established` untouched.
  [[nodiscard]] Result<> resume(Established& established);

  /// The object of the user; it ends the channel when it goes.
  [[nodiscard]] static Channel make_channel(Core core) { return Channel(std::move(core)); }

  [[nodiscard]] static const Core& core_of(const Channel& channel) { return channel.core_; }

  /// Takes it out of a Channel, which then ends nothing.
  [[nodiscard]] static Core take_core(Channel& channel) { return std::move(channel.core_); }

  // --- what is known
  // ------------------------------------------------------------------------------

  [[nodiscard]] const net::any_io_executor& executor() const noexcept { return executor_; }

  [[nodiscard]] const std::optional<::sealine::scp::ChannelEnd>& machine() const noexcept {
    return end_;
  }

  [[nodiscard]] const std::optional<Verdict>& verdict() const noexcept { return verdict_; }

  [[nodiscard]] const std::optional<crypto::PublicKey>& shown_key() const noexcept {
    return shown_key_;
  }

  [[nodiscard]] bool was_connected() const noexcept { return was_connected_; }

  [[nodiscard]] Connected connected() const;
  [[nodiscard]] Statistics statistics() const noexcept;

  [[nodiscard]] bool is_forked() const;

  void on_event(EventObserver observer) { observer_ = std::move(observer); }

  /// Called once, when the channel has ended; a server's.
  void on_ended(std::function<void()> callback) { on_ended_ = std::move(callback); }

 private:
  struct Call {
    Ticket ticket = 0;
    std::uint64_t target = 0;  ///< receipts that it waits for
    std::uint64_t number = 0;  ///< what it gives then
    Waiter waiter;
  };

  struct QueuedMessage {
    Ticket ticket = 0;
    ByteView message;  ///< in the memory of the call that waits
    bool until_receipt = false;
    Waiter waiter;
  };

  // --- what goes on (scp_core.cpp)

  void drive();
  /// Lets the calls go on that have what they wait for. Whether any did.
  bool settle();
  void settle_queue();
  void settle_receipts();
  void settle_end();
  void take_events();
  void handle_event(const ::sealine::scp::Event& event);
  void tell(const Event& event);
  /// Something was asked of the machine: it is driven when this turn of the executor is over.
  void touch();
  void post_turn();
  void finish_later(Waiter waiter, Result<std::uint64_t> result);
  void let_go(Waiter waiter, Result<std::uint64_t> result);
  [[nodiscard]] Error ended_error() const;

  void arm_waits();
  void arm_read();
  void arm_write();
  void arm_timer();
  void set_low_water();

  // --- bytes (scp_core_data.cpp)

  enum class Received : std::uint8_t { some, nothing_yet, end };
  /// Reads and opens what has come, a few buffers of it at most. Whether anything came.
  bool take_input();
  [[nodiscard]] Received receive();
  /// Hands what was received to the machine, and sends receipts in between.
  void open_received();
  void make_room();
  /// Bytes that are missing of the message that has begun.
  [[nodiscard]] std::size_t missing_bytes() const;
  void transmit();
  /// Sends what is sealed. Whether all is gone.
  bool send_pending();
  void give_buffers_back();
  void close_socket();
  void adopt_socket(Socket socket, ByteView early);

  [[nodiscard]] bool has_pending() const noexcept { return tx_begin_ != tx_end_; }

  [[nodiscard]] bool has_buffered() const noexcept { return rx_begin_ != rx_end_; }

  // --- connections (scp_core_connect.cpp)

  void dial();
  void dial_again();
  void dialled(const error_code& ec, Socket socket);
  void judge(const crypto::PublicKey& key);
  void judged(Verdict verdict);
  void connect_failed(Error error);

  net::any_io_executor executor_;
  Socket socket_;
  net::steady_timer timer_;
  std::shared_ptr<const ClientOptions> client_;
  std::shared_ptr<const ServerOptions> server_;
  std::optional<::sealine::scp::ChannelEnd> end_;
  std::string name_;
  std::string host_;
  std::uint16_t port_ = 0;
  std::optional<Verdict> verdict_;
  std::optional<crypto::PublicKey> shown_key_;
  std::weak_ptr<detail::Dialer> dialer_;
  EventObserver observer_;
  std::function<void()> on_ended_;

  Call connect_call_;
  Call wait_call_;
  std::deque<QueuedMessage> queue_;  ///< messages that wait for the window, in order
  std::deque<Call> sends_;           ///< by target
  std::vector<Call> receipt_calls_;  ///< in no order
  std::vector<Call> closed_calls_;
  std::optional<Error> failed_;  ///< why there is no machine, or none to be had
  std::uint64_t taken_ = 0;      ///< messages that the application has taken
  std::uint64_t bytes_in_ = 0;
  std::uint64_t bytes_out_ = 0;
  std::uint32_t rotations_ = 0;
  std::uint32_t connections_ = 0;

  detail::Buffer rx_;
  std::size_t rx_begin_ = 0;
  std::size_t rx_end_ = 0;
  detail::Buffer tx_;
  std::size_t tx_begin_ = 0;
  std::size_t tx_end_ = 0;
  std::size_t queued_bytes_ = 0;  ///< taken from callers since the last write
  std::size_t queued_messages_ = 0;

  TimePoint armed_until_ = TimePoint::max();  ///< when the timer is due; max: it is not armed
  std::uint64_t timer_number_ = 0;
  std::uint64_t socket_number_ = 0;  ///< of the connection that stands
  std::uint64_t generation_ = 0;     ///< of the process that made the channel
  Ticket tickets_ = 0;
  int low_water_ = 1;
  bool input_may_wait_ = false;  ///< the socket was not seen empty
  bool saw_end_ = false;         ///< the end of the connection's input
  bool fin_sent_ = false;
  bool send_failed_ = false;  ///< the connection takes nothing any more
  bool read_armed_ = false;
  bool write_armed_ = false;
  bool turn_posted_ = false;
  bool driving_ = false;
  bool again_ = false;
  bool judging_ = false;
  bool opened_ = false;
  bool was_connected_ = false;
  bool abandoned_ = false;
  std::uint8_t unopened_ = 0;  ///< connections that ended before the channel was first open
};

/// Waits for a call of the core's: `begin(core, ticket, waiter)` starts it. Its cancellation ends
/// the call alone.
template <class Begin>
net::awaitable<Result<std::uint64_t>> wait_on(const std::shared_ptr<ChannelCore>& core,
                                              Begin begin) {
  return net::async_initiate<const net::use_awaitable_t<>&, void(Result<std::uint64_t>)>(
      [core, begin = std::move(begin)](auto&& handler) mutable {
        const auto ticket = core->take_ticket();
        auto slot = net::get_associated_cancellation_slot(handler);
        if (slot.is_connected()) {
          slot.assign([weak = std::weak_ptr(core), ticket](net::cancellation_type type) {
            if (type == net::cancellation_type::none) return;
            if (const auto alive = weak.lock()) alive->cancel_call(ticket);
          });
        }
        begin(*core, ticket,
              detail::make_operation<Result<std::uint64_t>>(
                  std::forward<decltype(handler)>(handler), core->executor()));
      },
      net::use_awaitable);
}

}  // namespace sealine::io::scp
