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

ChannelEnd::ChannelEnd(std::unique_ptr<Machine> machine) noexcept : machine_(std::move(machine)) {}

ChannelEnd::ChannelEnd(ChannelEnd&&) noexcept = default;
ChannelEnd& ChannelEnd::operator=(ChannelEnd&&) noexcept = default;
ChannelEnd::~ChannelEnd() = default;

Result<ChannelEnd> ChannelEnd::connect(const ClientConfig& config, crypto::Engine& engine,
                                       crypto::Rng& rng, TimePoint now) {
  auto machine = std::make_unique<Machine>(config.limits, Link::Role::client, engine, rng, now);
  machine->client_config = &config;
  SEALINE_TRY(machine->begin_handshake(now));
  return ChannelEnd(std::move(machine));
}

ChannelEnd ChannelEnd::accept(const ServerConfig& config, Opening opening, crypto::Engine& engine,
                              crypto::Rng& rng, TimePoint now) {
  auto machine = std::make_unique<Machine>(config.limits, Link::Role::server, engine, rng, now);
  machine->adopt(opening);
  machine->become_open(false, now);
  machine->confirmation_due = opening.reconnect;
  return ChannelEnd(std::move(machine));
}

std::size_t ChannelEnd::handle_bytes(MutableBytes in, TimePoint now) {
  return machine_->handle_bytes(in, now);
}

void ChannelEnd::handle_disconnected(TimePoint now) { machine_->handle_disconnected(now); }

void ChannelEnd::handle_timeout(TimePoint now) { machine_->handle_timeout(now); }

Result<> ChannelEnd::begin_connection(TimePoint now) {
  if (machine_->state != State::lost || machine_->role != Link::Role::client)
    return fail(Errc::wrong_state);
  return machine_->begin_handshake(now);
}

Result<> ChannelEnd::resume(Opening& opening, TimePoint now) {
  return machine_->resume(opening, now);
}

std::size_t ChannelEnd::refuse(Opening& opening, Code code, MutableBytes out) {
  const auto reason = static_cast<std::uint8_t>(code);
  return opening.link.seal(Type::close, ByteView(&reason, 1), {}, out).value_or(0);
}

void ChannelEnd::accept_peer_key(TimePoint now) { machine_->accept_peer_key(now); }

void ChannelEnd::refuse_peer_key(Errc why, TimePoint now) {
  if (machine_->state == State::handshake) machine_->fault(Code::authentication, {why}, now);
}

Result<std::uint64_t> ChannelEnd::send(ByteView message) { return machine_->send(message); }

void ChannelEnd::end(TimePoint) { machine_->end(); }

void ChannelEnd::close(TimePoint now) { machine_->close(now); }

void ChannelEnd::abort(Code code, TimePoint now) {
  SEALINE_ASSERT(is_wire_code(code));
  machine_->fault(code, {errc_of(code)}, now);
}

void ChannelEnd::forbid_resume() {
  machine_->resume_forbidden = true;
  machine_->reconnect = false;
  if (machine_->state == State::lost) {
    machine_->finish(Code::truncated, false, {Errc::truncated});
  }
}

void ChannelEnd::pad(std::size_t bytes) { machine_->pad(bytes); }

void ChannelEnd::rotate() {
  if (machine_->role == Link::Role::client) machine_->rotation_wanted = true;
}

std::optional<ByteView> ChannelEnd::front() const {
  const Machine& m = *machine_;
  if (m.inbox.empty() || m.inbox.kind(0) == MessageQueue::Kind::end) return std::nullopt;
  return m.inbox[0];
}

void ChannelEnd::pop() {
  Machine& m = *machine_;
  SEALINE_ASSERT(front().has_value());
  const std::size_t bytes = m.inbox[0].size();
  m.inbox.pop_front();
  m.book.on_taken(bytes, m.inbox);
}

std::size_t ChannelEnd::poll_transmit(MutableBytes out, TimePoint now) {
  return machine_->poll_transmit(out, now);
}

bool ChannelEnd::has_receipt_due() const noexcept {
  return machine_->receipt_due || machine_->book.is_due();
}

std::optional<TimePoint> ChannelEnd::poll_timeout() const { return machine_->timers.earliest(); }

std::optional<Event> ChannelEnd::poll_event() {
  if (machine_->events.empty()) return std::nullopt;
  const Event event = machine_->events.front();
  machine_->events.pop_front();
  return event;
}

State ChannelEnd::state() const noexcept { return machine_->state; }

bool ChannelEnd::can_send() const noexcept { return machine_->can_send(); }

bool ChannelEnd::at_end() const noexcept {
  return !machine_->inbox.empty() && machine_->inbox.kind(0) == MessageQueue::Kind::end;
}

const Peer& ChannelEnd::peer() const noexcept { return machine_->peer; }

ByteArray<16> ChannelEnd::id() const noexcept { return machine_->channel_id; }

bool ChannelEnd::can_reconnect() const noexcept { return machine_->reconnect; }

std::uint64_t ChannelEnd::sent() const noexcept {
  return machine_->outbox_base + machine_->outbox.size();
}

std::uint64_t ChannelEnd::receipted() const noexcept { return machine_->outbox_base; }

std::uint64_t ChannelEnd::received() const noexcept { return machine_->book.have(); }

const std::optional<Outcome>& ChannelEnd::outcome() const noexcept { return machine_->outcome; }

Result<> ChannelEnd::export_key(std::string_view label, ByteView context, MutableBytes out) const {
  if (!machine_->link) return fail(Errc::not_encrypted);
  if (label.starts_with("scp1 ")) return fail(Errc::bad_configuration);
  machine_->link->export_key(label, context, out);
  return {};
}

}  // namespace sealine::scp
