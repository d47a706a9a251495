#pragma once

#include "io/stx/rate_limit.hpp"
#include "io/stx/slab.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/io/asio.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <sys/uio.h>
#include <vector>

namespace sealine::io::stx {

/// Frames on their way out of one lane, in the order of their counters.
struct OutBatch {
  Slab slab;
  std::vector<::iovec> parts;
  std::size_t bytes = 0;
  bool is_ready = false;  ///< sealed, may be sent

  void add(MutableBytes frames) {
    bytes += frames.size();
    if (!parts.empty()) {
      ::iovec& last = parts.back();
      if (static_cast<std::uint8_t*>(last.iov_base) + last.iov_len == frames.data()) {
        last.iov_len += frames.size();
        return;
      }
    }
    parts.push_back({frames.data(), frames.size()});
  }
};

/// The socket of a lane: sends batches in their order, gives what it receives to whoever reads.
///
/// Lives as long as its owner or a wait. After close() no hook is called. One executor.
class LaneSocket final : public std::enable_shared_from_this<LaneSocket> {
 public:
  using Socket = net::ip::tcp::socket;

  struct Hooks {
    std::function<void()> readable;
    std::function<void()> sent;  ///< a batch has gone: there is room for the next
    std::function<void(const Error&)> failed;
  };

  /// `rate` may be null.
  LaneSocket(Socket socket, std::shared_ptr<RateLimit> rate, std::shared_ptr<SlabShelf> shelf);

  void start(Hooks hooks) { hooks_ = std::move(hooks); }

  // --- out

  /// The next batch in order, ready or not.
  void enqueue(std::shared_ptr<OutBatch> batch);
  /// Sends what is ready.
  void flush();

  [[nodiscard]] std::size_t queued_batches() const noexcept { return queue_.size(); }

  /// Bytes that the kernel has taken.
  [[nodiscard]] std::uint64_t sent_bytes() const noexcept { return sent_bytes_; }

  [[nodiscard]] std::uint64_t received_bytes() const noexcept { return received_bytes_; }

  /// Whether the link, not we, set the pace lately.
  [[nodiscard]] bool is_blocked() const noexcept { return write_armed_; }

  // --- in

  enum class Received : std::uint8_t { some, nothing_yet, end };
  /// What is there, at most out.size().
  [[nodiscard]] Received receive(MutableBytes out, std::size_t& count);
  /// Calls `readable` when at least `low_water` bytes are there, or the end.
  void want_read(std::size_t low_water = 1);

  // --- the end

  /// Sends what is queued, says so (FIN), reads on for a second so that no reset overtakes it, then
  /// closes. No hook is called any more.
  void finish();
  void close();

  [[nodiscard]] bool is_open() const noexcept { return socket_.is_open() && !finishing_; }

  /// Called once, when the socket is closed.
  void on_closed(std::function<void()> callback);

 private:
  void arm_write();
  void wait_for_rate();
  void failed(int error_number);
  void step_finish();
  void discard_input();

  Socket socket_;
  net::steady_timer timer_;
  std::shared_ptr<RateLimit> rate_;
  std::shared_ptr<SlabShelf> shelf_;
  Hooks hooks_;
  std::function<void()> on_closed_;
  std::deque<std::shared_ptr<OutBatch>> queue_;
  std::size_t part_ = 0;         ///< of the front batch
  std::size_t part_offset_ = 0;  ///< within that part
  std::uint64_t sent_bytes_ = 0;
  std::uint64_t received_bytes_ = 0;
  int low_water_ = 1;
  bool read_armed_ = false;
  bool write_armed_ = false;
  bool rate_armed_ = false;
  bool flushing_ = false;
  bool finishing_ = false;
  bool fin_sent_ = false;
  bool peer_ended_ = false;
};

}  // namespace sealine::io::stx
