#include "io/detail/clock.hpp"
#include "io/detail/dialer.hpp"
#include "io/stt/addresses.hpp"
#include "io/stt/datagram_wire.hpp"
#include "io/stt/session_core.hpp"
#include "sealine/io/engine.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace sealine::io::stt {

using net::ip::tcp;

namespace {

/// The next address of a name is dialled so long after the last one (RFC 8305).
constexpr std::chrono::milliseconds kNextAddress{250};
/// Bytes of one socket before the others have their turn.
constexpr std::size_t kAttemptTurnBytes = std::size_t{128} << 10U;

}  // namespace

DatagramWire::Attempt::Attempt(DatagramWire& owner, std::shared_ptr<DatagramSocket> socket,
                               const UdpAddress& to)
    : wire(owner), io(std::move(socket)), peer(to) {}

void DatagramWire::Attempt::readable() { wire.read_attempt(*this); }

void DatagramWire::Attempt::writable() {
  wire.write_armed_ = false;
  wire.core_.drive();
}

void DatagramWire::Attempt::drop_operations() { wire.core_.drop_operations(); }

/// Its waits keep the core, and so the wire and the attempt.
std::shared_ptr<DatagramSink> DatagramWire::sink_of(Attempt& attempt) const {
  return {core_.shared_from_this(), &attempt};
}

// --- addresses
// ------------------------------------------------------------------------------------

void DatagramWire::dial(const Url& url) {
  may_fall_back_ = url.scheme == Scheme::stt;
  const EndpointOptions& options = endpoint_.options();
  deadline_ = detail::now() + options.connect_timeout;
  const auto is_wanted = [family = options.family](const net::ip::address& address) {
    return family == AddressFamily::any || address.is_v4() == (family == AddressFamily::ipv4);
  };
  error_code ec;
  const net::ip::address literal = net::ip::make_address(url.host, ec);
  if (!ec) {
    if (is_wanted(literal)) addresses_ = {tcp::endpoint(literal, url.port)};
    // Not from within the call that began it.
    net::post(core_.executor(), [this, keep = core_.shared_from_this()] {
      if (!is_closed_) begin_attempts(std::move(addresses_));
    });
    return;
  }
  resolver_.async_resolve(url.host, std::to_string(url.port), tcp::resolver::numeric_service,
                          [this, is_wanted, keep = core_.shared_from_this()](
                              const error_code& failed, const auto& results) {
                            if (is_closed_) return;
                            if (failed) return core_.fail(to_error(failed));
                            std::vector<tcp::endpoint> found;
                            for (const auto& entry : results) {
                              if (is_wanted(entry.endpoint().address()))
                                found.push_back(entry.endpoint());
                            }
                            begin_attempts(found.empty() ? found : detail::interleave(found));
                          });
}

void DatagramWire::begin_attempts(std::vector<tcp::endpoint> addresses) {
  addresses_ = std::move(addresses);
  deadline_ = TimePoint::max();
  last_error_ = net::error::host_not_found;
  if (may_fall_back_) fall_back_at_ = detail::now() + endpoint_.options().fall_back_after;
  try_next();
  if (!is_closed_) core_.drive();
}

bool DatagramWire::has_live_attempt() const {
  return std::ranges::any_of(attempts_, [](const auto& one) { return one->io->is_open(); });
}

// The next address that can be tried at all; where there is none any more, the dial is over.
void DatagramWire::try_next() {
  const TimePoint now = detail::now();
  next_attempt_at_ = TimePoint::max();
  while (next_address_ < addresses_.size()) {
    const tcp::endpoint& next = addresses_[next_address_++];
    try_address(UdpAddress(next.address(), next.port()), now);
    if (!is_dialling() || is_closed_) return;
    if (!attempts_.empty() && attempts_.back()->io->is_open()) {
      if (next_address_ < addresses_.size()) next_attempt_at_ = now + kNextAddress;
      return;
    }
  }
  if (!has_live_attempt()) no_answer();
}

void DatagramWire::try_address(const UdpAddress& peer, TimePoint now) {
  auto socket = std::make_shared<DatagramSocket>(core_.executor(), DatagramSettings{});
  error_code ec;
  socket->connect(peer, ec);
  if (ec) {
    last_error_ = ec;
    return;
  }
  endpoint_.note_socket(socket->counts());
  Attempt& attempt =
      *attempts_.emplace_back(std::make_unique<Attempt>(*this, std::move(socket), peer));
  attempt.initiator.emplace(endpoint_.handshake(), ::sealine::stt::Transport::udp, thread_engine(),
                            system_rng(), unix_millis(), now);
  send_handshake(attempt);
}

// --- the handshake
// --------------------------------------------------------------------------------

void DatagramWire::send_handshake(Attempt& attempt) {
  std::array<std::uint8_t, ::sealine::stt::kMaxHandshakeFrameBytes> out{};
  const std::size_t length = attempt.initiator->poll_transmit(out);
  if (length == 0) return;
  error_code ec;
  attempt.io->send({.bytes = ByteView(out).first(length), .datagram_bytes = length}, ec);
  // What did not go is repeated in time; that nobody is there is known at once.
  if (ec && ec != net::error::would_block) refused(attempt, ec);
}

void DatagramWire::read_attempt(Attempt& attempt) {
  ReceiveBatch& batch = endpoint_.receive_batch();
  std::size_t taken = 0;
  while (attempt.io->is_open() && taken < kAttemptTurnBytes) {
    error_code ec;
    attempt.io->receive(batch, ec);
    if (ec == net::error::would_block) break;
    if (ec) {
      // Of a session that stands it says nothing that would be proved.
      if (is_dialling()) refused(attempt, ec);
      taken += ReceiveBatch::kTrainBytes;
      core_.drive();
      continue;
    }
    const TimePoint now = detail::now();
    for (const IncomingTrain& train : batch.trains()) {
      taken += train.bytes.size();
      for (MutableBytes rest = train.bytes; !rest.empty();) {
        const std::size_t length = std::min(rest.size(), train.datagram_bytes);
        if (is_dialling()) {
          take_handshake(attempt, rest.first(length), train, now);
        } else {
          take(rest.first(length), train, attempt.io, now);
        }
        rest = rest.subspan(length);
      }
    }
    core_.drive();  // what came together is acknowledged together
  }
  attempt.read_armed = false;
  arm();
}

void DatagramWire::take_handshake(Attempt& attempt, MutableBytes datagram,
                                  const IncomingTrain& from, TimePoint now) {
  while (!datagram.empty() && attempt.io->is_open()) {
    const auto frame = ::sealine::stt::parse_frame(datagram);
    if (!frame) return;
    // What is wrong is ignored, and the wait goes on.
    if (!attempt.initiator->handle_frame(*frame, now)) return;
    datagram = datagram.subspan(frame->frame_bytes);
    was_answered_ = true;
    send_handshake(attempt);
    if (attempt.initiator->is_done()) {
      reached(attempt);
      if (!datagram.empty()) take(datagram, from, attempt.io, now);
      return;
    }
    if (!attempt.initiator->has_proved()) continue;
    // This one knows the seed: no other is asked any more.
    next_attempt_at_ = TimePoint::max();
    for (const auto& other : attempts_) {
      if (other.get() != &attempt) other->io->close();
    }
  }
}

void DatagramWire::reached(Attempt& attempt) {
  auto result = std::move(*attempt.initiator).take();
  attempt.initiator.reset();
  for (auto& other : attempts_) {
    if (other.get() != &attempt) continue;
    std::swap(other, attempts_.front());  // the others are closed, and end with their waits
    break;
  }
  paths_.push_back({.io = attempt.io, .peer = attempt.peer, .ours = {}, .is_proven = true});
  begin_session(std::move(result), attempt.peer);
}

// --- what does not come
// ---------------------------------------------------------------------------

/// Nobody is there: the kernel says so.
void DatagramWire::refused(Attempt& attempt, const error_code& ec) {
  if (was_answered_ || !attempt.io->is_open()) return;
  last_error_ = ec;
  attempt.io->close();
  if (next_address_ < addresses_.size() || !has_live_attempt()) try_next();
}

void DatagramWire::no_answer() {
  if (may_fall_back_ && !was_answered_) return core_.fall_back();
  core_.fail(to_error(last_error_));
}

std::optional<TimePoint> DatagramWire::poll_timeout() const {
  if (!is_dialling()) return std::nullopt;
  TimePoint next =
      std::min({deadline_, next_attempt_at_, was_answered_ ? TimePoint::max() : fall_back_at_});
  for (const auto& attempt : attempts_) {
    if (!attempt->initiator || !attempt->io->is_open()) continue;
    if (const auto when = attempt->initiator->poll_timeout()) next = std::min(next, *when);
  }
  if (next == TimePoint::max()) return std::nullopt;
  return next;
}

void DatagramWire::handle_timeout(TimePoint now) {
  if (!is_dialling()) return;
  if (now >= deadline_) return core_.fail({Errc::connect_timeout, 0});
  if (now >= fall_back_at_ && !was_answered_) return core_.fall_back();
  // Over UDP a refusal is silence: our first message has proved that we know the seed.
  std::optional<Error> silence;
  for (std::size_t i = 0; i < attempts_.size() && !is_closed_; ++i) {
    Attempt& attempt = *attempts_[i];
    if (!attempt.io->is_open()) continue;
    attempt.initiator->handle_timeout(now);
    if (attempt.initiator->has_failed()) {
      const auto fault = attempt.initiator->last_fault();
      const bool is_telling =
          fault && (fault->code == Errc::own_node || fault->code == Errc::answer_not_authentic);
      silence = is_telling ? *fault : Error{Errc::peer_fell_silent, 0};
      attempt.io->close();
    } else {
      send_handshake(attempt);
    }
  }
  if (is_closed_) return;
  if (now >= next_attempt_at_) return try_next();
  if (!silence || has_live_attempt() || next_address_ < addresses_.size()) return;
  if (may_fall_back_ && !was_answered_) return core_.fall_back();
  core_.fail(*silence);
}

}  // namespace sealine::io::stt
