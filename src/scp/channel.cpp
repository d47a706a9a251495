#include "sealine/scp/channel.hpp"

#include "scp/detail/channel_machine.hpp"
#include "sealine/base/assert.hpp"
#include "sealine/base/reader.hpp"
#include "sealine/base/writer.hpp"
#include "sealine/crypto/constant_time.hpp"
#include "sealine/crypto/kdf.hpp"

#include <algorithm>
#include <deque>
#include <utility>

namespace sealine::scp {

Channel::Channel(std::unique_ptr<Machine> machine) noexcept : machine_(std::move(machine)) {}

Channel::Channel(Channel&&) noexcept = default;
Channel& Channel::operator=(Channel&&) noexcept = default;
Channel::~Channel() = default;

Result<Channel> Channel::connect(const ClientConfig& config, crypto::Engine& engine,
                                 crypto::Rng& rng, TimePoint now) {
  auto machine = std::make_unique<Machine>(config.limits, Link::Role::client, engine, rng, now);
  machine->client_config = &config;
  SEALINE_TRY(machine->begin_handshake(now));
  return Channel(std::move(machine));
}

Channel Channel::accept(const ServerConfig& config, Opening opening, crypto::Engine& engine,
                        crypto::Rng& rng, TimePoint now) {
  auto machine = std::make_unique<Machine>(config.limits, Link::Role::server, engine, rng, now);
  machine->adopt(opening);
  machine->become_open(false, now);
  machine->confirmation_due = opening.reconnect;
  return Channel(std::move(machine));
}

std::size_t Channel::handle_bytes(MutableBytes in, TimePoint now) {
  return machine_->handle_bytes(in, now);
}

void Channel::handle_disconnected(TimePoint now) { machine_->handle_disconnected(now); }

void Channel::handle_timeout(TimePoint now) { machine_->handle_timeout(now); }

Result<> Channel::begin_connection(TimePoint now) {
  if (machine_->state != State::lost || machine_->role != Link::Role::client)
    return fail(Errc::wrong_state);
  return machine_->begin_handshake(now);
}

Result<> Channel::resume(Opening& opening, TimePoint now) { return machine_->resume(opening, now); }

std::size_t Channel::refuse(Opening& opening, Code code, MutableBytes out) {
  const auto reason = static_cast<std::uint8_t>(code);
  return opening.link.seal(Type::close, ByteView(&reason, 1), {}, out).value_or(0);
}

void Channel::accept_peer_key(TimePoint now) { machine_->accept_peer_key(now); }

void Channel::refuse_peer_key(Errc why, TimePoint now) {
  if (machine_->state == State::handshake) machine_->fault(Code::authentication, {why}, now);
}

Result<std::uint64_t> Channel::send(ByteView message, TimePoint) { return machine_->send(message); }

void Channel::end(TimePoint) { machine_->end(); }

void Channel::close(TimePoint now) { machine_->close(now); }

void Channel::abort(Code code, TimePoint now) {
  SEALINE_ASSERT(is_wire_code(code));
  machine_->fault(code, {errc_of(code)}, now);
}

void Channel::rotate() {
  if (machine_->role == Link::Role::client) machine_->rotation_wanted = true;
}

std::optional<ByteView> Channel::front() const {
  const Machine& m = *machine_;
  if (m.inbox.empty() || m.inbox.kind(0) == MessageQueue::Kind::end) return std::nullopt;
  return m.inbox[0];
}

void Channel::pop(TimePoint) {
  Machine& m = *machine_;
  SEALINE_ASSERT(front().has_value());
  const std::size_t bytes = m.inbox[0].size();
  m.inbox.pop_front();
  m.book.on_taken(bytes, m.inbox);
}

std::size_t Channel::poll_transmit(MutableBytes out, TimePoint now) {
  return machine_->poll_transmit(out, now);
}

std::optional<TimePoint> Channel::poll_timeout() const { return machine_->timers.earliest(); }

std::optional<Event> Channel::poll_event() {
  if (machine_->events.empty()) return std::nullopt;
  const Event event = machine_->events.front();
  machine_->events.pop_front();
  return event;
}

State Channel::state() const noexcept { return machine_->state; }

bool Channel::can_send() const noexcept { return machine_->can_send(); }

bool Channel::at_end() const noexcept {
  return !machine_->inbox.empty() && machine_->inbox.kind(0) == MessageQueue::Kind::end;
}

const Peer& Channel::peer() const noexcept { return machine_->peer; }

ByteArray<16> Channel::id() const noexcept { return machine_->channel_id; }

bool Channel::can_reconnect() const noexcept { return machine_->reconnect; }

std::uint64_t Channel::sent() const noexcept {
  return machine_->outbox_base + machine_->outbox.size();
}

std::uint64_t Channel::receipted() const noexcept { return machine_->outbox_base; }

std::uint64_t Channel::received() const noexcept { return machine_->book.have(); }

const std::optional<Outcome>& Channel::outcome() const noexcept { return machine_->outcome; }

Result<> Channel::export_key(std::string_view label, ByteView context, MutableBytes out) const {
  if (!machine_->link) return fail(Errc::not_encrypted);
  if (label.starts_with("scp1 ")) return fail(Errc::bad_configuration);
  machine_->link->export_key(label, context, out);
  return {};
}

}  // namespace sealine::scp
