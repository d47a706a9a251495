#include "io/stt/workers.hpp"

#include "io/stt/endpoint_core.hpp"
#include "io/stt/session_core.hpp"
#include "sealine/base/assert.hpp"

#include <system_error>
#include <utility>

namespace sealine::io::stt {

namespace {

/// An observer that is slower than those who knock does not hear of all of them.
constexpr std::size_t kMostFailuresOnWay = 256;

}  // namespace

// --- a thread
// -------------------------------------------------------------------------------------

WorkerThread::~WorkerThread() { SEALINE_ASSERT(!thread_.joinable()); }

void WorkerThread::start() {
  thread_ = std::thread([this] { context_.run(); });
}

void WorkerThread::join() {
  if (thread_.joinable()) thread_.join();
  const std::scoped_lock lock(mutex_);
  has_ended_ = true;
}

// What it holds may hold the context itself.
void WorkerThread::drop() {
  work_.reset();
  context_.drop_handlers();
}

void WorkerThread::send(std::function<void()> call) {
  {
    const std::scoped_lock lock(mutex_);
    if (!has_ended_) return net::post(context_, std::move(call));
  }
  call();
}

// --- all of them
// ----------------------------------------------------------------------------------

Workers::Workers(EndpointCore& main, std::size_t count) : main_(main) {
  workers_.reserve(count);
  for (std::size_t index = 0; index < count; ++index) {
    auto thread = std::make_shared<WorkerThread>();
    auto core = std::make_shared<EndpointCore>(
        main, WorkerSeat{.workers = this, .thread = thread, .index = index, .count = count});
    workers_.push_back({std::move(thread), std::move(core), std::make_shared<StrayDatagrams>()});
  }
}

Workers::~Workers() {
  for (const Worker& worker : workers_) {
    SEALINE_ASSERT(!worker.thread->is_here());  // it would wait for itself
    if (!has_started_) break;
    net::post(worker.thread->executor(), [core = worker.core, thread = worker.thread] {
      core->end_sessions();
      // Behind what tells those who wait.
      net::post(thread->executor(),
                [thread] { net::post(thread->executor(), [thread] { thread->stop(); }); });
    });
  }
  for (const Worker& worker : workers_) worker.thread->join();
  for (const Worker& worker : workers_) worker.thread->drop();
}

bool Workers::start(error_code& ec) {
  has_started_ = true;
  try {
    for (const Worker& worker : workers_) worker.thread->start();
  } catch (const std::system_error& error) {
    ec = error_code(error.code().value(), net::error::get_system_category());
  }
  return !ec;
}

bool Workers::listen(const DatagramPlaces& places, error_code& ec) {
  std::vector<net::any_io_executor> executors;
  executors.reserve(workers_.size());
  for (const Worker& worker : workers_) executors.push_back(worker.thread->executor());
  const std::vector<DatagramPort> ports = open_datagram_ports(executors, places, ec);
  if (ec) return true;
  for (const DatagramPort& port : ports) {
    error_code refused;
    steer_datagrams(port, refused);
    if (refused) return false;
  }
  if (!has_started_ && !start(ec)) return true;
  has_listened_ = true;
  for (const DatagramPort& port : ports) {
    places_.push_back(port.front()->local_endpoint());
    for (std::size_t index = 0; index < workers_.size(); ++index) {
      main_.note_socket(port[index]->counts());
      net::post(workers_[index].thread->executor(),
                [core = workers_[index].core, socket = port[index]] { core->adopt(socket); });
    }
  }
  return true;
}

void Workers::close() {
  places_.clear();
  if (!has_started_) return;
  for (const Worker& worker : workers_) {
    net::post(worker.thread->executor(), [core = worker.core] { core->close(); });
  }
}

void Workers::hand_over(std::size_t worker, std::unique_ptr<StrayDatagram> datagram) {
  ListenerCounts& counts = main_.counts();
  const auto& [thread, core, strays] = workers_[worker];
  const auto pushed = strays->push(std::move(datagram));
  if (pushed == StrayDatagrams::Pushed::dropped) {
    counts.dropped.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  counts.handed_over.fetch_add(1, std::memory_order_relaxed);
  if (pushed != StrayDatagrams::Pushed::first) return;
  net::post(thread->executor(), [core, strays] { core->take_strays(strays->take()); });
}

// The endpoint may end, and these with it, before its executor comes to hear of it.
void Workers::session_ready(const std::shared_ptr<SessionCore>& session) {
  net::post(main_.executor(),
            [main = main_.weak_from_this(), weak = std::weak_ptr<SessionCore>(session)] {
              const auto ready = weak.lock();
              const auto endpoint = main.lock();
              if (ready && endpoint) endpoint->take_ready(ready);
            });
}

void Workers::note_failure(const net::ip::tcp::endpoint& client, const Error& why) {
  ListenerCounts& counts = main_.counts();
  if (counts.failures_on_way.fetch_add(1, std::memory_order_relaxed) >= kMostFailuresOnWay) {
    counts.failures_on_way.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  net::post(main_.executor(), [main = main_.weak_from_this(), client, why] {
    const auto endpoint = main.lock();
    if (!endpoint) return;
    endpoint->counts().failures_on_way.fetch_sub(1, std::memory_order_relaxed);
    endpoint->note_failure(client, why);
  });
}

}  // namespace sealine::io::stt
