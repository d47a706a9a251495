#pragma once

#include "io/stt/datagram_ports.hpp"
#include "io/stt/stray_datagrams.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/stt_options.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace sealine::io::stt {

class EndpointCore;
class SessionCore;

/// What is counted for a listener as a whole, by all of its workers. Any thread.
struct ListenerCounts {
  std::atomic<std::size_t> sessions = 0;         ///< by datagrams
  std::atomic<std::size_t> waiting = 0;          ///< for async_accept
  std::atomic<std::size_t> failures_on_way = 0;  ///< to the observer
  std::atomic<std::uint64_t> handed_over = 0;    ///< datagrams that came to another worker
  std::atomic<std::uint64_t> dropped = 0;        ///< of them, with too many on their way
};

/// The thread of a worker, and what runs on it. Its context lives as long as anything that belongs
/// to it, for sessions may outlive their endpoint.
class WorkerThread {
 public:
  WorkerThread() = default;
  WorkerThread(const WorkerThread&) = delete;
  WorkerThread& operator=(const WorkerThread&) = delete;
  ~WorkerThread();

  [[nodiscard]] net::any_io_executor executor() { return context_.get_executor(); }

  /// Whether this is the thread.
  [[nodiscard]] bool is_here() { return context_.get_executor().running_in_this_thread(); }

  /// Throws std::system_error where there is no thread to be had.
  void start();
  /// Waits for it. What has not run is dropped by drop().
  void join();
  void drop();

  /// Runs `call` on the thread, later; where that has ended, at once. Any thread.
  void send(std::function<void()> call);

  void stop() { context_.stop(); }

 private:
  struct Context : net::io_context {
    using net::io_context::io_context;

    void drop_handlers() { shutdown(); }
  };

  Context context_{1};
  net::executor_work_guard<net::io_context::executor_type> work_{context_.get_executor()};
  std::mutex mutex_;  ///< of has_ended_; never on the way of data
  bool has_ended_ = false;
  std::thread thread_;
};

/// The workers of a listener: for each a thread, a socket at every address, and an EndpointCore
/// with its own responder and sessions, that shares nothing with the others but counts.
/// spec: stt.md#session-ids
///
/// A datagram belongs to the worker that its session id names. The kernel is told so; whatever
/// comes to another one all the same is handed over. Sessions stay with their worker. The calls of
/// the first group are for the endpoint's executor.
class Workers {
 public:
  Workers(EndpointCore& main, std::size_t count);
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  /// Sessions end, and so do the threads: it waits for them.
  ~Workers();

  /// False: the kernel does not steer datagrams here, and nothing is listened to. Else `ec` says
  /// how it went.
  [[nodiscard]] bool listen(const DatagramPlaces& places, error_code& ec);
  /// No more handshakes.
  void close();

  [[nodiscard]] std::vector<UdpAddress> local_endpoints() const { return places_; }

  [[nodiscard]] std::size_t count() const noexcept { return workers_.size(); }

  /// Whether a call of listen() has succeeded: else they serve nobody.
  [[nodiscard]] bool has_listened() const noexcept { return has_listened_; }

  // --- for a worker

  /// To the worker that it belongs to.
  void hand_over(std::size_t worker, std::unique_ptr<StrayDatagram> datagram);
  void session_ready(const std::shared_ptr<SessionCore>& session);
  void note_failure(const net::ip::tcp::endpoint& client, const Error& why);

 private:
  struct Worker {
    std::shared_ptr<WorkerThread> thread;
    std::shared_ptr<EndpointCore> core;
    std::shared_ptr<StrayDatagrams> strays;
  };

  [[nodiscard]] bool start(error_code& ec);

  EndpointCore& main_;
  std::vector<Worker> workers_;
  std::vector<UdpAddress> places_;
  bool has_started_ = false;
  bool has_listened_ = false;
};

/// Where an EndpointCore stands among the workers of another one.
struct WorkerSeat {
  Workers* workers = nullptr;  ///< as long as its thread runs
  std::shared_ptr<WorkerThread> thread;
  std::size_t index = 0;
  std::size_t count = 1;
};

}  // namespace sealine::io::stt
