#include "io/stt/datagram_listener.hpp"

#include "io/detail/clock.hpp"
#include "io/stt/addresses.hpp"
#include "io/stt/datagram_wire.hpp"
#include "io/stt/endpoint_core.hpp"
#include "io/stt/session_core.hpp"
#include "io/stt/workers.hpp"
#include "sealine/base/assert.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace sealine::io::stt {

using ::sealine::stt::FrameType;
using ::sealine::stt::SessionId;

namespace {

/// Bytes of one socket before the others have their turn.
constexpr std::size_t kPortTurnBytes = std::size_t{128} << 10U;
/// Magic, type, session id: the same in every frame.
constexpr std::size_t kTypeAt = 2;
constexpr std::size_t kIdAt = 3;
constexpr std::size_t kIdEnd = kIdAt + sizeof(SessionId);
/// To an address that has not proved itself: so many times what came from it.
constexpr std::size_t kReplyFactor = 3;

/// Ids are random; a number of them serves as its own hash.
std::uint64_t number_of(ByteView id) {
  std::uint64_t number = 0;
  for (const std::uint8_t byte : id) number = (number << 8U) | byte;
  return number;
}

/// What the failure of a dial from outside tells; the rest is noise, or a repeat.
bool is_worth_telling(Errc code) {
  static constexpr std::array kCodes{
      Errc::hello_not_authentic, Errc::answer_not_authentic, Errc::mode_refused, Errc::own_node,
      Errc::half_open_full,      Errc::too_many_handshakes,  Errc::dh_all_zero};
  return std::ranges::find(kCodes, code) != kCodes.end();
}

/// A place among the sessions of a listener, given back unless it is kept. Taken before FINAL says
/// that there is one: workers may be asked at once.
class SessionPlace {
 public:
  /// `most`: 0 is no limit.
  SessionPlace(ListenerCounts& counts, std::size_t most) : counts_(counts) {
    const std::size_t others = counts_.sessions.fetch_add(1, std::memory_order_relaxed);
    is_free_ = most == 0 || others < most;
  }

  SessionPlace(const SessionPlace&) = delete;
  SessionPlace& operator=(const SessionPlace&) = delete;

  ~SessionPlace() {
    if (!is_kept_) counts_.sessions.fetch_sub(1, std::memory_order_relaxed);
  }

  [[nodiscard]] bool is_free() const noexcept { return is_free_; }

  void keep() noexcept { is_kept_ = true; }

 private:
  ListenerCounts& counts_;
  bool is_free_ = false;
  bool is_kept_ = false;
};

net::ip::tcp::endpoint address_of(const IncomingTrain& from) {
  return {from.from.address(), from.from.port()};
}

}  // namespace

DatagramListener::Port::Port(DatagramListener& owner, std::size_t place,
                             std::shared_ptr<DatagramIo> socket)
    : listener(owner), index(place), io(std::move(socket)) {}

void DatagramListener::Port::readable() {
  read_armed = false;
  listener.read(*this);
}

void DatagramListener::Port::writable() {
  write_armed = false;
  for (const auto& waiting : std::exchange(writers, {})) {
    if (const auto session = waiting.lock()) session->drive();
  }
}

void DatagramListener::Port::drop_operations() { listener.drop_operations(); }

DatagramListener::DatagramListener(EndpointCore& endpoint) : endpoint_(endpoint) {}

DatagramListener::~DatagramListener() = default;

// --- sockets
// --------------------------------------------------------------------------------------

void DatagramListener::listen(const DatagramPlaces& places, error_code& ec) {
  for (DatagramPort& port : open_datagram_ports({&endpoint_.executor(), 1}, places, ec)) {
    endpoint_.note_socket(port.front()->counts());
    adopt(std::move(port.front()));
  }
}

void DatagramListener::adopt(std::shared_ptr<DatagramIo> socket) {
  arm_read(*ports_.emplace_back(std::make_unique<Port>(*this, ports_.size(), std::move(socket))));
}

std::vector<net::ip::udp::endpoint> DatagramListener::local_endpoints() const {
  std::vector<net::ip::udp::endpoint> out;
  for (const auto& port : ports_) {
    if (!is_closing_ && port->io->is_open()) out.push_back(port->io->local_endpoint());
  }
  return out;
}

/// Its waits keep the endpoint, and so the listener and the port.
std::shared_ptr<DatagramSink> DatagramListener::sink_of(Port& port) const {
  return {endpoint_.shared_from_this(), &port};
}

void DatagramListener::arm_read(Port& port) {
  if (port.read_armed || !port.io->is_open()) return;
  port.read_armed = true;
  port.io->wait_readable(sink_of(port));
}

void DatagramListener::wait_writable(const DatagramIo& io, SessionCore& core) {
  for (const auto& port : ports_) {
    if (port->io.get() != &io) continue;
    port->writers.push_back(core.weak_from_this());
    if (std::exchange(port->write_armed, true)) return;
    port->io->wait_writable(sink_of(*port));
    return;
  }
}

void DatagramListener::close() {
  is_closing_ = true;
  close_if_unused();
}

void DatagramListener::forget(const SessionId& session) {
  endpoint_.counts().sessions.fetch_sub(sessions_.erase(number_of(session)),
                                        std::memory_order_relaxed);
  close_if_unused();
}

void DatagramListener::close_if_unused() {
  if (!is_closing_ || !sessions_.empty()) return;
  for (const auto& port : ports_) port->io->close();
}

void DatagramListener::end_sessions() {
  is_closing_ = true;
  std::vector<std::shared_ptr<SessionCore>> all;  // each forgets itself
  for (const auto& [id, session] : sessions_) all.push_back(session.core);
  for (const auto& session : all) {
    session->abandon();
    session->end();
  }
  close_if_unused();
}

void DatagramListener::drop_operations() {
  is_closing_ = true;
  for (const auto& [id, session] : std::exchange(sessions_, {})) session.core->drop_operations();
  endpoint_.drop_operations();
}

// --- what comes
// -----------------------------------------------------------------------------------

void DatagramListener::read(Port& port) {
  ReceiveBatch& batch = endpoint_.receive_batch();
  std::size_t taken = 0;
  while (port.io->is_open() && taken < kPortTurnBytes) {
    error_code ec;
    port.io->receive(batch, ec);
    if (ec == net::error::would_block) break;
    taken += ReceiveBatch::kTrainBytes;
    if (ec) continue;  // of an earlier datagram of ours: nothing that this socket would end for
    const TimePoint now = detail::now();
    for (const IncomingTrain& train : batch.trains()) {
      taken += train.bytes.size();
      for (MutableBytes rest = train.bytes; !rest.empty();) {
        const std::size_t length = std::min(rest.size(), train.datagram_bytes);
        take(port, rest.first(length), train, now);
        rest = rest.subspan(length);
      }
    }
    drive_touched();
  }
  arm_read(port);
}

// Each session once for all that came together.
void DatagramListener::drive_touched() {
  for (const Served& session : touched_) {
    session.wire->untouch();
    session.core->drive();
  }
  touched_.clear();
}

void DatagramListener::take(Port& port, MutableBytes datagram, const IncomingTrain& from,
                            TimePoint now) {
  if (datagram.size() <= kIdEnd || hand_over(port, datagram, from)) return;
  const auto type = static_cast<FrameType>(datagram[kTypeAt]);
  if (type == FrameType::handshake || type == FrameType::auth) {
    return take_handshake(port, datagram, from, now);
  }
  take_frames(port, datagram, from, now);
}

// Trains are steered by their first datagram, and a kernel that has lost a socket of the group
// steers by other rules for a while. Also what belongs to a handshake goes to the worker that its
// id names, so that a cookie and the HELLO that brings it back meet.
bool DatagramListener::hand_over(const Port& port, ByteView datagram, const IncomingTrain& from) {
  const WorkerSeat* const seat = endpoint_.seat();
  if (seat == nullptr) return false;
  const std::size_t owner =
      ::sealine::stt::worker_of(datagram.subspan<kIdAt, sizeof(SessionId)>(), seat->count);
  if (owner == seat->index) return false;
  seat->workers->hand_over(owner, std::make_unique<StrayDatagram>(port.index, datagram, from));
  return true;
}

void DatagramListener::take_strays(std::vector<std::unique_ptr<StrayDatagram>> strays) {
  const TimePoint now = detail::now();
  for (const auto& stray : strays) {
    if (stray->port < ports_.size()) take(*ports_[stray->port], stray->bytes, stray->from, now);
  }
  drive_touched();
}

void DatagramListener::take_frames(Port& port, MutableBytes frames, const IncomingTrain& from,
                                   TimePoint now) {
  if (frames.size() <= kIdEnd) return;
  const auto found = sessions_.find(number_of(frames.subspan(kIdAt, sizeof(SessionId))));
  if (found == sessions_.end()) return;
  const Served& session = found->second;
  if (session.wire->touch()) touched_.push_back(session);
  session.wire->take(frames, from, port.io, now);
}

// Every fault is silence.
void DatagramListener::take_handshake(Port& port, MutableBytes datagram, const IncomingTrain& from,
                                      TimePoint now) {
  const auto frame = ::sealine::stt::parse_frame(datagram);
  if (!frame) return;
  const bool is_new = !sessions_.contains(number_of(frame->head.session_id));
  std::optional<SessionPlace> place;
  if (is_new) {
    if (is_closing_) return;
    ListenerCounts& counts = endpoint_.counts();
    const std::size_t most = endpoint_.options().listener.connections;
    bool has_place = most == 0 || counts.sessions.load(std::memory_order_relaxed) < most;
    if (frame->head.type == FrameType::auth) has_place = place.emplace(counts, most).is_free();
    if (!has_place) {
      return endpoint_.note_failure(address_of(from), {Errc::too_many_connections, 0});
    }
    if (endpoint_.has_enough_waiting()) {
      return endpoint_.note_failure(address_of(from), {Errc::half_open_full, 0});
    }
  }
  const std::vector<std::uint8_t> address = address_bytes(from.from);
  const ::sealine::stt::Origin origin{.address = address,
                                      .transport = ::sealine::stt::Transport::udp,
                                      .datagram_bytes = datagram.size()};
  std::array<std::uint8_t, ::sealine::stt::kMaxHandshakeFrameBytes> out{};
  auto reply = endpoint_.responder().handle_frame(*frame, origin, unix_millis(), now, out);
  if (!reply) {
    const Error why = reply.error();
    if (is_worth_telling(why.code)) endpoint_.note_failure(address_of(from), why);
    return;
  }
  if (reply->reply_bytes > 0 && reply->reply_bytes <= kReplyFactor * datagram.size()) {
    error_code ignored;  // what is lost is asked for again
    port.io->send({.bytes = ByteView(out).first(reply->reply_bytes),
                   .datagram_bytes = reply->reply_bytes,
                   .to = &from.from,
                   .from = from.to},
                  ignored);
  }
  if (reply->established) {
    SEALINE_ASSERT(place);
    place->keep();
    begin_session(port, from, std::move(*reply->established));
  }
  // Frames of the session may stand behind the proof.
  take_frames(port, datagram.subspan(frame->frame_bytes), from, now);
}

void DatagramListener::begin_session(Port& port, const IncomingTrain& from,
                                     ::sealine::stt::Established result) {
  const std::uint64_t id = number_of(result.session_id);
  auto core = std::make_shared<SessionCore>(endpoint_.shared_from_this());
  DatagramWire& wire = core->answer(address_of(from));
  const Served session{.core = core, .wire = &wire};
  sessions_.emplace(id, session);
  wire.answer(*this, port.io, from.from, from.to, std::move(result));
  if (wire.touch()) touched_.push_back(session);
  endpoint_.session_ready(std::move(core));
}

}  // namespace sealine::io::stt
