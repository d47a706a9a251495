#include "sealine/io/stcp_stream.hpp"

#include "io/detail/clock.hpp"
#include "io/detail/stcp_core.hpp"
#include "sealine/base/assert.hpp"
#include "sealine/base/errc.hpp"
#include "sealine/crypto/key_text.hpp"
#include "sealine/io/engine.hpp"

#include <utility>

namespace sealine::io::stcp {

std::string sas_text(std::uint32_t sas) {
  std::string digits = std::to_string(sas);
  digits.insert(0, 6 - std::min<std::size_t>(6, digits.size()), '0');
  return digits.substr(0, 3) + " " + digits.substr(3);
}

std::string describe(const Connected& connected) {
  std::string text;
  if (connected.key) text = crypto::public_key_text(thread_engine(), *connected.key) + " ";
  text += "(" + std::string(to_string(connected.trust)) + "), STCP/1 ";
  text += ::sealine::stcp::pattern_name(connected.mode);
  text += ", AES-256-GCM";
  if (connected.sas) text += ", sas " + sas_text(*connected.sas);
  return text;
}

Stream::Stream() noexcept = default;

Stream::Stream(std::shared_ptr<StreamCore> core) noexcept : core_(std::move(core)) {}

Stream::Stream(const executor_type& executor, ClientOptions options)
    : Stream(executor, std::make_shared<const ClientOptions>(std::move(options))) {}

Stream::Stream(const executor_type& executor, std::shared_ptr<const ClientOptions> options)
    : core_(std::make_shared<StreamCore>(next_layer_type(executor), std::move(options), nullptr,
                                         std::string())) {}

Stream::Stream(next_layer_type socket, std::shared_ptr<const ClientOptions> options,
               std::string peer)
    : core_(std::make_shared<StreamCore>(std::move(socket), std::move(options), nullptr,
                                         std::move(peer))) {}

Stream::Stream(next_layer_type socket, std::shared_ptr<const ServerOptions> options)
    : core_(std::make_shared<StreamCore>(std::move(socket), nullptr, std::move(options),
                                         std::string())) {}

Stream::Stream(Stream&& other) noexcept = default;

Stream& Stream::operator=(Stream&& other) noexcept {
  if (this != &other) {
    if (core_) core_->abandon();
    core_ = std::move(other.core_);
  }
  return *this;
}

Stream::~Stream() {
  if (core_) core_->abandon();
}

Stream::executor_type Stream::get_executor() noexcept { return core_->executor(); }

Stream::next_layer_type& Stream::next_layer() noexcept { return core_->socket(); }

const Stream::next_layer_type& Stream::next_layer() const noexcept { return core_->socket(); }

Stream::lowest_layer_type& Stream::lowest_layer() noexcept {
  return core_->socket().lowest_layer();
}

const Stream::lowest_layer_type& Stream::lowest_layer() const noexcept {
  return std::as_const(core_->socket()).lowest_layer();
}

void Stream::throw_if(const error_code& ec) {
  if (ec) throw system_error(ec);
}

// --- blocking
// -------------------------------------------------------------------------------------

void Stream::connect(std::string_view host, std::uint16_t port, error_code& ec) {
  ec = core_->connect_now(std::string(host), port);
}

void Stream::connect(std::string_view host, std::uint16_t port) {
  throw_if(core_->connect_now(std::string(host), port));
}

void Stream::handshake(error_code& ec) { ec = core_->handshake_now(); }

void Stream::handshake() { throw_if(core_->handshake_now()); }

std::size_t Stream::read_now(MutableBytes target, error_code& ec) {
  return core_->read_now(target, ec);
}

std::size_t Stream::write_now(const Gather& source, error_code& ec) {
  return core_->write_now(source, ec);
}

void Stream::flush(error_code& ec) { ec = core_->flush_now(); }

void Stream::flush() { throw_if(core_->flush_now()); }

void Stream::shutdown(error_code& ec) { ec = core_->shutdown_now(); }

void Stream::shutdown() { throw_if(core_->shutdown_now()); }

// --- asynchronous
// ---------------------------------------------------------------------------------

std::uint64_t Stream::take_ticket(const CorePtr& core, Slot slot) noexcept {
  return core->take_ticket(slot);
}

void Stream::cancel_operation(const CorePtr& core, Slot slot, std::uint64_t ticket) {
  core->cancel_operation(slot, ticket);
}

const Stream::executor_type& Stream::executor_of(const CorePtr& core) noexcept {
  return core->executor();
}

void Stream::start_connect(const CorePtr& core, const std::string& host, std::uint16_t port,
                           Done done) {
  core->start_connect(host, port, std::move(done));
}

void Stream::start_handshake(const CorePtr& core, Done done) {
  core->start_handshake(std::move(done));
}

void Stream::start_read(const CorePtr& core, MutableBytes target, Moved done) {
  core->start_read(target, std::move(done));
}

void Stream::start_write(const CorePtr& core, const Gather& source, Moved done) {
  core->start_write(source, std::move(done));
}

void Stream::start_flush(const CorePtr& core, Done done) { core->start_flush(std::move(done)); }

void Stream::start_shutdown(const CorePtr& core, Done done) {
  core->start_shutdown(std::move(done));
}

void Stream::start_abort(const CorePtr& core, std::uint8_t reason, Done done) {
  core->start_abort(reason, std::move(done));
}

void Stream::set_batching(bool on) noexcept { core_->set_batching(on); }

void Stream::cancel() { core_->cancel(); }

void Stream::close() { core_->close(); }

bool Stream::is_open() const noexcept { return core_ && core_->socket().is_open(); }

// --- what is known
// --------------------------------------------------------------------------------

State Stream::state() const noexcept { return core_->state(); }

std::optional<Error> Stream::fault() const noexcept { return core_->fault(); }

unsigned Stream::fault_point() const noexcept {
  const auto error = core_->fault();
  return error ? ::sealine::describe(error->code).fault_point : 0;
}

const Peer& Stream::peer() const noexcept {
  static const Peer nobody;
  return core_->connection() ? core_->connection()->peer() : nobody;
}

const std::optional<Verdict>& Stream::verdict() const noexcept { return core_->verdict(); }

Connected Stream::connected() const { return core_->connected(); }

Statistics Stream::statistics() const noexcept {
  return core_->connection() ? core_->connection()->statistics() : Statistics{};
}

std::size_t Stream::max_record_bytes() const noexcept {
  return core_->connection() ? core_->connection()->max_record_bytes() : 0;
}

Result<> Stream::export_key(std::string_view label, ByteView context, MutableBytes out) const {
  if (!core_->connection()) return fail(Errc::not_encrypted);
  return core_->connection()->export_key(label, context, out);
}

Result<Stream::Underlying> Stream::take_over() { return core_->take_over(); }

void Stream::request_rekey() {
  if (!core_->connection()) return;
  core_->connection()->request_rekey(detail::now());
  core_->nudge();
}

void Stream::ping() {
  if (!core_->connection()) return;
  core_->connection()->ping(detail::now());
  core_->nudge();
}

Result<> Stream::announce_next_key(const crypto::PublicKey& next) {
  if (!core_->connection()) return fail(Errc::wrong_state);
  SEALINE_TRY(core_->connection()->announce_next_key(next));
  core_->nudge();
  return {};
}

}  // namespace sealine::io::stcp
