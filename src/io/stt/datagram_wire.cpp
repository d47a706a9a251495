#include "io/stt/datagram_wire.hpp"

#include "io/detail/clock.hpp"
#include "io/stt/datagram_listener.hpp"
#include "io/stt/session_core.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

namespace sealine::io::stt {

namespace {

/// Those that a session knows at once; an address more takes the place of one that nothing was
/// sent to.
constexpr std::size_t kMaxPaths = 8;
/// To an address that has not proved itself: so many times what came from it (spec:
/// stt.md#migration).
constexpr std::uint64_t kAmplification = 3;
constexpr std::size_t kIpv4Overhead = 20 + 8;
constexpr std::size_t kIpv6Overhead = 40 + 8;
constexpr std::size_t kLargestOnIpv6 = 1452;
constexpr std::chrono::milliseconds kMovePause{100};
/// Of one session before the others have their turn.
constexpr std::size_t kSendTurnBytes = std::size_t{512} << 10U;

bool is_plain_ipv6(const UdpAddress& peer) {
  return peer.address().is_v6() && !peer.address().to_v6().is_v4_mapped();
}

/// The address of ours is gone, or the way from it.
bool is_of_source(const error_code& ec) {
  return ec.value() == EINVAL || ec.value() == EADDRNOTAVAIL || ec.value() == ENETUNREACH ||
         ec.value() == EHOSTUNREACH || ec.value() == ENETDOWN;
}

}  // namespace

DatagramWire::DatagramWire(SessionCore& core)
    : core_(core), endpoint_(core.endpoint()), resolver_(core.executor()) {}

DatagramWire::~DatagramWire() = default;

void DatagramWire::answer(DatagramListener& listener, std::shared_ptr<DatagramIo> io,
                          const UdpAddress& peer, const net::ip::address& ours,
                          ::sealine::stt::Established result) {
  listener_ = &listener;
  paths_.push_back({.io = std::move(io), .peer = peer, .ours = ours, .is_proven = true});
  begin_session(std::move(result), peer);
}

void DatagramWire::begin_session(::sealine::stt::Established result, const UdpAddress& peer) {
  const EndpointOptions& options = endpoint_.options();
  SessionConfig config = options.session;
  config.transport = ::sealine::stt::Transport::udp;
  const bool is_ipv6 = is_plain_ipv6(peer);
  if (options.mtu_bytes != 0) {
    config.largest_datagram_bytes = options.mtu_bytes - (is_ipv6 ? kIpv6Overhead : kIpv4Overhead);
    config.probe_mtu = false;
  } else if (is_ipv6) {
    config.largest_datagram_bytes = std::min(config.largest_datagram_bytes, kLargestOnIpv6);
  }
  largest_datagram_bytes_ = config.largest_datagram_bytes;
  core_.establish(std::move(result), std::move(config));
}

// --- paths
// ----------------------------------------------------------------------------------------

DatagramWire::Path* DatagramWire::find_path(PathId id) {
  const auto found = std::ranges::find(paths_, id, &Path::id);
  return found == paths_.end() ? nullptr : &*found;
}

DatagramWire::Path& DatagramWire::path_of(const IncomingTrain& from,
                                          const std::shared_ptr<DatagramIo>& io) {
  // Where a session was dialled, the socket takes datagrams of its peer alone.
  if (!listener_) return paths_.front();
  const auto known = std::ranges::find_if(paths_, [&](const Path& path) {
    return path.peer == from.from && path.ours == from.to && path.io == io;
  });
  if (known != paths_.end()) return *known;
  if (paths_.size() == kMaxPaths) {
    // Whoever saw a session id can send from as many addresses as he likes: they push out one
    // another, and none that the session has spoken to unless there is no other.
    auto least = std::ranges::find_if(
        paths_, [](const Path& path) { return !path.is_proven && !path.was_used; });
    if (least == paths_.end()) {
      least = std::ranges::find_if(paths_, [](const Path& path) { return !path.is_proven; });
    }
    if (least == paths_.end()) least = paths_.begin();  // the oldest of those that were moved from
    paths_.erase(least);
  }
  paths_.push_back({.id = next_path_++, .io = io, .peer = from.from, .ours = from.to});
  return paths_.back();
}

void DatagramWire::take_path(PathId id) {
  const auto proven = std::ranges::find(paths_, id, &Path::id);
  if (proven == paths_.end()) return;
  proven->is_proven = true;
  std::rotate(proven, proven + 1, paths_.end());  // the newest is the last to go
}

// --- what comes
// -----------------------------------------------------------------------------------

void DatagramWire::take(MutableBytes datagram, const IncomingTrain& from,
                        const std::shared_ptr<DatagramIo>& io, TimePoint now) {
  ::sealine::stt::Session* const session = core_.session();
  if (session == nullptr) return;
  Path& path = path_of(from, io);
  path.received_bytes += datagram.size();
  // Over UDP what is wrong is dropped, and counted by the session.
  static_cast<void>(
      session->handle_datagram(datagram, {.path = path.id, .mark = from.mark}, now).has_value());
}

// --- what goes
// ------------------------------------------------------------------------------------

bool DatagramWire::transmit() {
  ::sealine::stt::Session* const session = core_.session();
  if (session == nullptr || is_closed_ || !send_waiting()) return false;
  const TimePoint now = detail::now();
  const MutableBytes slab = endpoint_.send_scratch();
  std::size_t train_bytes = 0;  // at the front of the slab, where the cache has it
  std::size_t sent_bytes = 0;
  std::size_t datagram_bytes = 0;
  PathId path = 0;
  const auto flush = [&] {
    if (train_bytes > 0) send(path, slab.first(train_bytes), datagram_bytes);
    sent_bytes += std::exchange(train_bytes, 0);
  };
  while (waiting_.empty() && sent_bytes < kSendTurnBytes) {
    const auto next =
        session->poll_datagram(slab.subspan(train_bytes, largest_datagram_bytes_), now);
    if (next.bytes == 0) break;
    const bool is_of_train = next.path == path && next.bytes <= datagram_bytes &&
                             train_bytes + next.bytes <= kMaxTrainBytes;
    if (train_bytes > 0 && !is_of_train) {
      const MutableBytes first_of_next = slab.subspan(train_bytes, next.bytes);
      flush();
      std::memmove(slab.data(), first_of_next.data(), first_of_next.size());
    }
    if (train_bytes == 0) {
      path = next.path;
      datagram_bytes = next.bytes;
    }
    train_bytes += next.bytes;
    // Only the last one may be shorter.
    const bool is_full = next.bytes < datagram_bytes ||
                         train_bytes / datagram_bytes == kMaxTrainDatagrams ||
                         train_bytes + datagram_bytes > kMaxTrainBytes;
    if (is_full) flush();
  }
  flush();
  return sent_bytes > 0;
}

// A train, or keeps it until the socket takes it.
void DatagramWire::send(PathId id, ByteView bytes, std::size_t datagram_bytes) {
  if (waiting_.empty() && try_send(id, bytes, datagram_bytes)) return;
  waiting_.push_back(
      {.path = id, .datagram_bytes = datagram_bytes, .bytes = {bytes.begin(), bytes.end()}});
}

bool DatagramWire::send_waiting() {
  while (!waiting_.empty()) {
    const Waiting& first = waiting_.front();
    if (!try_send(first.path, first.bytes, first.datagram_bytes)) return false;
    waiting_.pop_front();
  }
  return true;
}

// False: the socket takes nothing now. What cannot be sent otherwise is lost, as datagrams are.
bool DatagramWire::try_send(PathId id, ByteView bytes, std::size_t datagram_bytes) {
  Path* const path = find_path(id);
  if (path == nullptr) return true;
  if (!path->is_proven && path->sent_bytes + bytes.size() > kAmplification * path->received_bytes) {
    return true;
  }
  const OutgoingTrain train{.bytes = bytes,
                            .datagram_bytes = datagram_bytes,
                            .to = listener_ ? &path->peer : nullptr,
                            .from = path->ours};
  error_code ec;
  path->io->send(train, ec);
  // Once more where the error was an earlier datagram's, or where another address of ours does it.
  const bool is_stale = ec == net::error::connection_refused;
  if (is_stale || (ec && is_of_source(ec) && move_socket())) path->io->send(train, ec);
  if (ec == net::error::would_block) return false;
  path->was_used = true;
  path->sent_bytes += bytes.size();
  return true;
}

// The address that we had is gone: another one, and the peer will see that we have moved.
bool DatagramWire::move_socket() {
  const TimePoint now = detail::now();
  if (listener_ || attempts_.empty() || now - moved_at_ < kMovePause) return false;
  moved_at_ = now;
  Attempt& attempt = *attempts_.front();
  error_code ec;
  attempt.io->connect(attempt.peer, ec);
  return !ec;
}

// --- waits and the end
// ----------------------------------------------------------------------------

void DatagramWire::arm() {
  if (is_closed_) return;
  for (const auto& attempt : attempts_) {
    if (attempt->read_armed || !attempt->io->is_open()) continue;
    attempt->read_armed = true;
    attempt->io->wait_readable(sink_of(*attempt));
  }
  if (waiting_.empty() || write_armed_) return;
  write_armed_ = true;
  if (listener_) {
    const Path* const path = find_path(waiting_.front().path);
    listener_->wait_writable(path == nullptr ? *paths_.front().io : *path->io, core_);
  } else {
    attempts_.front()->io->wait_writable(sink_of(*attempts_.front()));
  }
}

bool DatagramWire::is_done() const {
  // After CLOSE a session answers what still comes for a while.
  return waiting_.empty() && core_.session() != nullptr && !core_.session()->poll_timeout();
}

void DatagramWire::close() {
  if (std::exchange(is_closed_, true)) return;
  resolver_.cancel();
  for (const auto& attempt : attempts_) attempt->io->close();
  if (listener_ && core_.session() != nullptr) listener_->forget(core_.session()->id());
}

}  // namespace sealine::io::stt
