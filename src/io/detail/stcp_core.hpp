#pragma once

#include "io/detail/buffer.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/time.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/operation.hpp"
#include "sealine/io/stcp_options.hpp"
#include "sealine/io/stcp_stream.hpp"
#include "sealine/stcp/connection.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace sealine::io::detail {
class Dialer;
}  // namespace sealine::io::detail

namespace sealine::io::stcp {

/// What stands behind a Stream: socket, machine, buffers, and the operations that wait.
///
/// Every input (readable, writable, time, a verdict, a call) ends in drive(), which does what can
/// be done without waiting, arms the waits that are needed for the rest, and then ends the
/// operations that are done. Calls that need no wait do not come that far: they try, and post their
/// end.
///
/// Lives as long as its Stream or a wait. A wait that Asio drops unrun (its context goes) drops the
/// operations with it. Runs on the executor of the stream.
class StreamCore : public std::enable_shared_from_this<StreamCore> {
 public:
  using Socket = net::ip::tcp::socket;
  using Gather = Stream::Gather;
  using Slot = Stream::Slot;
  using Done = Stream::Done;
  using Moved = Stream::Moved;
  using Core = std::shared_ptr<StreamCore>;

  StreamCore(Socket socket, std::shared_ptr<const ClientOptions> client,
             std::shared_ptr<const ServerOptions> server, std::string name);
  ~StreamCore();
  StreamCore(const StreamCore&) = delete;
  StreamCore& operator=(const StreamCore&) = delete;

  // --- asynchronous (stcp_core.cpp)
  // ---------------------------------------------------------------

  void start_connect(const std::string& host, std::uint16_t port, Done done);
  void start_handshake(Done done);
  void start_read(MutableBytes target, Moved done);
  void start_write(const Gather& source, Moved done);
  void start_flush(Done done);
  void start_shutdown(Done done);
  void start_abort(std::uint8_t reason, Done done);
  std::uint64_t take_ticket(Slot slot) noexcept;
  void cancel_operation(Slot slot, std::uint64_t ticket);
  void cancel();
  void close();
  /// Its Stream is gone.
  void abandon();
  /// Ends without a word when the last wait was dropped unrun.
  void drop_operations();

  // --- blocking (stcp_core_blocking.cpp)
  // ----------------------------------------------------------

  [[nodiscard]] error_code connect_now(const std::string& host, std::uint16_t port);
  [[nodiscard]] error_code handshake_now();
  std::size_t read_now(MutableBytes target, error_code& ec);
  std::size_t write_now(const Gather& source, error_code& ec);
  [[nodiscard]] error_code flush_now();
  [[nodiscard]] error_code shutdown_now();

  // --- what is known
  // ------------------------------------------------------------------------------

  [[nodiscard]] Socket& socket() noexcept { return socket_; }

  [[nodiscard]] const net::any_io_executor& executor() const noexcept { return executor_; }

  [[nodiscard]] const std::optional<::sealine::stcp::Connection>& connection() const noexcept {
    return connection_;
  }

  [[nodiscard]] std::optional<::sealine::stcp::Connection>& connection() noexcept {
    return connection_;
  }

  [[nodiscard]] const std::optional<Verdict>& verdict() const noexcept { return verdict_; }

  [[nodiscard]] std::optional<Error> fault() const noexcept;
  [[nodiscard]] State state() const noexcept;
  [[nodiscard]] Connected connected() const;

  [[nodiscard]] bool is_forked() const;

  void set_batching(bool on) noexcept { batching_ = on; }

  /// Sends what a command left waiting, if it can be sent at once.
  void nudge();

  /// See Stream::take_over.
  [[nodiscard]] Result<Stream::Underlying> take_over();

  /// Called once, when the socket of this connection is closed.
  void on_closed(std::function<void()> callback) { on_closed_ = std::move(callback); }

 private:
  /// What the core does beside the operations of its user.
  enum class Phase : std::uint8_t {
    fresh,        ///< no machine yet
    connecting,   ///< the dialer works
    handshaking,  ///< bytes of the handshake
    judging,      ///< the peer's key waits for its verdict
    open,         ///< ENCRYPTED, or after it
    aborting,     ///< our abort waits for its answer
    lingering,    ///< after a fault: reading and discarding for a while
    resisting,    ///< the same until the handshake's deadline (probe_resist)
    closed,
  };
  enum class Waiting : std::uint8_t { none, handshake, flush, shutdown, abort };

  struct JudgeBox;

  // --- reading and writing what can be had at once (stcp_core_data.cpp)

  /// Whether the read is over, with its result.
  [[nodiscard]] bool try_read(MutableBytes out, std::size_t& n, error_code& ec);
  /// Whether the write is over, with its result.
  [[nodiscard]] bool try_write(const Gather& source, std::size_t& n, error_code& ec);
  /// Hands bytes that were received to the machine. Whether anything was used up.
  [[nodiscard]] bool open_received(MutableBytes out, std::size_t& delivered);
  enum class Received : std::uint8_t { some, nothing_yet, end };
  [[nodiscard]] Received receive();
  void make_room(std::size_t record_bytes);
  [[nodiscard]] error_code read_status() const;
  [[nodiscard]] error_code write_status() const;
  void take_events();
  /// Takes what the peer sends while nobody reads: answers to a rekey, an abort.
  void service_input();

  /// Seals `data` and sends it, until all is taken or the socket takes no more.
  [[nodiscard]] std::size_t seal_and_send(ByteView data);
  /// A send buffer for a record of so many bytes, or as large as they get.
  void provide_send_buffer(std::size_t data_bytes);
  /// Sends what is sealed. Whether all is gone.
  bool send_pending();
  /// Seals what the machine has to say, and sends it.
  void pump_transmit();
  /// Seals what batching has gathered. Whether all of it is sealed.
  bool seal_gathered();
  /// Whether data may be sealed now: what is sealed is with the socket, or is held back and waits
  /// for company; what was gathered before is sealed.
  [[nodiscard]] bool make_room();
  /// Ends a batch: what was gathered or held back goes out. Whether all is gone.
  bool flush_batch();
  [[nodiscard]] std::size_t gather(const Gather& source, std::size_t limit);
  void send_failed(int error);

  [[nodiscard]] bool has_pending() const noexcept { return tx_begin_ != tx_end_; }

  [[nodiscard]] bool is_before_open() const noexcept { return phase_ < Phase::open; }

  [[nodiscard]] bool has_buffered() const noexcept { return rx_begin_ != rx_end_; }

  void give_buffers_back();

  // --- the handshake (stcp_core_handshake.cpp)

  [[nodiscard]] Result<> make_connection();
  void prepare_socket();
  /// One step; false if it waits for something.
  [[nodiscard]] bool step_handshake();
  void judge(const crypto::PublicKey& key);
  void judged(Verdict verdict);
  [[nodiscard]] Introduction introduction(const crypto::PublicKey& key) const;
  [[nodiscard]] bool has_failed() const noexcept;
  [[nodiscard]] bool resists() const noexcept;

  // --- waiting (stcp_core.cpp)

  void drive();
  void arm_waits();
  void arm_read();
  void arm_write();
  void arm_timer();
  void readable();
  void writable();
  void timer_expired();
  void set_low_water();
  [[nodiscard]] bool wants_read() const noexcept;
  [[nodiscard]] bool has_operation() const noexcept;
  void rest_if_idle();
  void after_handler();
  void post_turn_flush();

  void enter_linger();
  void linger();
  void close_socket();
  void dialled(const error_code& ec, Socket socket);

  void finish_later(Done done, const error_code& ec);
  void finish_later(Moved done, const error_code& ec, std::size_t n);
  void cancel_operations();

  // --- blocking

  [[nodiscard]] error_code wait_now(short events);
  /// Whether the next receive may itself be the wait: one system call less for each message of a
  /// conversation, where no deadline is near.
  [[nodiscard]] bool may_sleep_in_receive();
  void receive_sleeping();
  [[nodiscard]] bool drain_pending_now();
  void linger_now();

  net::any_io_executor executor_;
  Socket socket_;
  net::steady_timer timer_;
  std::shared_ptr<const ClientOptions> client_;
  std::shared_ptr<const ServerOptions> server_;
  std::optional<::sealine::stcp::Connection> connection_;
  std::string name_;
  std::optional<Verdict> verdict_;
  std::shared_ptr<JudgeBox> judge_;
  std::weak_ptr<detail::Dialer> dialer_;
  std::function<void()> on_closed_;
  std::uint64_t generation_ = 0;

  Moved read_done_;
  MutableBytes read_target_;
  Moved write_done_;
  std::unique_ptr<Gather> write_source_;
  Done other_done_;

  detail::Buffer rx_;
  std::size_t rx_begin_ = 0;
  std::size_t rx_end_ = 0;
  MutableBytes spill_;  ///< opened and not yet taken; stands in rx_ in front of rx_begin_
  detail::Buffer tx_;
  std::size_t tx_begin_ = 0;
  std::size_t tx_end_ = 0;
  detail::Buffer gathered_;
  std::size_t gathered_bytes_ = 0;
  /// What waits in tx_ was not offered to the socket yet: batching lets more records join it.
  bool held_back_ = false;

  error_code send_error_;
  TimePoint armed_until_ = TimePoint::max();  ///< when the timer is due; max: it is not armed
  std::uint64_t timer_number_ = 0;
  TimePoint handshake_deadline_{};
  std::uint64_t tickets_ = 0;
  std::uint64_t read_ticket_ = 0;
  std::uint64_t write_ticket_ = 0;
  std::uint64_t other_ticket_ = 0;
  std::size_t sent_since_input_ = 0;
  std::size_t lingered_bytes_ = 0;
  int low_water_ = 1;
  int looks_worth_ = 0;  ///< waits that may begin with a look; see receive_sleeping
  int waits_since_look_ = 0;
  Phase phase_ = Phase::fresh;
  Waiting waiting_ = Waiting::none;
  bool batching_ = false;
  bool read_armed_ = false;
  bool write_armed_ = false;
  bool turn_posted_ = false;
  bool last_receive_was_short_ = false;
  bool fin_sent_ = false;
  bool aborted_here_ = false;
  bool sleeps_in_receive_ = false;
  bool blocking_ = false;  ///< inside of a blocking call
};

}  // namespace sealine::io::stcp
