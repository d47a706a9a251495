#include "io/detail/tls_client.hpp"

#include "sealine/base/assert.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

namespace sealine::io::detail {

namespace {

struct ContextDeleter {
  void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
};

struct ConnectionDeleter {
  void operator()(SSL* connection) const noexcept { SSL_free(connection); }
};

using TlsConnection = std::unique_ptr<SSL, ConnectionDeleter>;

constexpr std::array<unsigned char, 9> kHttp11{8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
/// Records begin with their type; a server's first is of its handshake, or an alert.
constexpr std::uint8_t kAlert = 21;
constexpr std::uint8_t kHandshake = 22;

/// libssl's queue of errors, read and cleared: its last reason.
std::uint32_t take_reason() noexcept {
  const unsigned long last = ERR_peek_last_error();
  ERR_clear_error();
  return static_cast<std::uint32_t>(ERR_GET_REASON(last));
}

bool is_of_another_name(long verdict) noexcept {
  return verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH;
}

// A name is asked for in the hello and looked for in the certificate; an address in the latter
// alone (RFC 6066 section 3).
bool expect(SSL* connection, const std::string& host) {
  X509_VERIFY_PARAM* const wanted = SSL_get0_param(connection);
  if (X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str()) == 1) return true;
  X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return X509_VERIFY_PARAM_set1_host(wanted, host.data(), host.size()) == 1 &&
         SSL_set_tlsext_host_name(connection, host.c_str()) == 1;
}

}  // namespace

// --- TlsTrust
// -------------------------------------------------------------------------------------

struct TlsTrust::Context {
  std::unique_ptr<SSL_CTX, ContextDeleter> handle;
};

TlsTrust::TlsTrust(std::unique_ptr<Context> context) : context_(std::move(context)) {}

TlsTrust::~TlsTrust() = default;

Result<std::shared_ptr<const TlsTrust>> TlsTrust::of_the_system() {
  auto context = std::make_unique<Context>();
  context->handle.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* const handle = context->handle.get();
  const bool is_ready =
      handle != nullptr && SSL_CTX_set_min_proto_version(handle, TLS1_2_VERSION) == 1 &&
      SSL_CTX_set_default_verify_paths(handle) == 1 &&
      SSL_CTX_set_alpn_protos(handle, kHttp11.data(), static_cast<unsigned>(kHttp11.size())) == 0;
  ERR_clear_error();
  if (!is_ready) return fail(Errc::system_error);
  SSL_CTX_set_verify(handle, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_options(handle, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_session_cache_mode(handle, SSL_SESS_CACHE_OFF);
  // An idle connection holds no buffers.
  SSL_CTX_set_mode(handle, SSL_MODE_RELEASE_BUFFERS);
  return std::shared_ptr<const TlsTrust>(new TlsTrust(std::move(context)));
}

// --- TlsClient
// ------------------------------------------------------------------------------------

struct TlsClient::Machine {
  // What the connection reads next: a view. Of what it had before nothing was left.
  [[nodiscard]] bool put_in(ByteView bytes);
  // Drives the handshake as far as the bytes go.
  [[nodiscard]] Result<> shake_hands();
  [[nodiscard]] Result<> failure(int outcome);

  std::shared_ptr<const TlsTrust> trust;
  TlsConnection connection;
  BIO* out = nullptr;   ///< of the connection
  bool is_tls = false;  ///< the peer's first byte was one of TLS
  bool established = false;
  bool ended = false;
};

TlsClient::TlsClient(std::unique_ptr<Machine> machine) : machine_(std::move(machine)) {}

TlsClient::TlsClient(TlsClient&&) noexcept = default;
TlsClient& TlsClient::operator=(TlsClient&&) noexcept = default;
TlsClient::~TlsClient() = default;

Result<TlsClient> TlsClient::create(std::shared_ptr<const TlsTrust> trust,
                                    const std::string& host) {
  auto machine = std::make_unique<Machine>();
  machine->connection.reset(SSL_new(trust->context_->handle.get()));
  machine->trust = std::move(trust);
  SSL* const connection = machine->connection.get();
  machine->out = BIO_new(BIO_s_mem());
  if (connection != nullptr) SSL_set0_wbio(connection, machine->out);
  if (connection == nullptr || machine->out == nullptr || !machine->put_in({}) ||
      !expect(connection, host)) {
    if (connection == nullptr) BIO_free(machine->out);
    ERR_clear_error();
    return fail(Errc::system_error);
  }
  SSL_set_connect_state(connection);
  SEALINE_TRY(machine->shake_hands());
  return TlsClient(std::move(machine));
}

bool TlsClient::Machine::put_in(ByteView bytes) {
  SEALINE_ASSERT(bytes.size() <= static_cast<std::size_t>(std::numeric_limits<int>::max()));
  BIO* const in = bytes.empty() ? BIO_new(BIO_s_mem())
                                : BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size()));
  if (in == nullptr) return false;
  BIO_set_mem_eof_return(in, -1);  // its end is not the stream's
  SSL_set0_rbio(connection.get(), in);
  return true;
}

Result<> TlsClient::Machine::failure(int outcome) {
  const int error = SSL_get_error(connection.get(), outcome);
  if (error == SSL_ERROR_WANT_READ) return {};
  if (error == SSL_ERROR_ZERO_RETURN) {
    ended = true;
    return {};
  }
  const std::uint32_t reason = take_reason();
  const long verdict = SSL_get_verify_result(connection.get());
  if (established || verdict == X509_V_OK) {
    return std::unexpected(Error{Errc::tls_failed, reason});
  }
  return std::unexpected(Error{
      is_of_another_name(verdict) ? Errc::certificate_of_another : Errc::certificate_untrusted,
      static_cast<std::uint32_t>(verdict)});
}

Result<> TlsClient::Machine::shake_hands() {
  ERR_clear_error();
  const int outcome = SSL_do_handshake(connection.get());
  if (outcome != 1) return failure(outcome);
  established = true;
  return {};
}

Result<> TlsClient::handle_bytes(ByteView in) {
  Machine& m = *machine_;
  if (in.empty()) return {};
  if (!m.is_tls && in.front() != kHandshake && in.front() != kAlert) return fail(Errc::no_tls);
  m.is_tls = true;
  if (!m.put_in(in)) return fail(Errc::system_error);
  return m.established ? Result<>() : m.shake_hands();
}

Result<std::size_t> TlsClient::read(MutableBytes out) {
  Machine& m = *machine_;
  std::size_t used = 0;
  while (m.established && !m.ended && used < out.size()) {
    ERR_clear_error();
    std::size_t some = 0;
    const int outcome =
        SSL_read_ex(m.connection.get(), out.data() + used, out.size() - used, &some);
    if (outcome != 1) {
      SEALINE_TRY(m.failure(outcome));
      break;
    }
    used += some;
  }
  return used;
}

Result<> TlsClient::write(ByteView plain) {
  Machine& m = *machine_;
  SEALINE_ASSERT(m.established);
  if (plain.empty()) return {};
  ERR_clear_error();
  std::size_t taken = 0;
  // A BIO of memory takes whatever comes.
  if (SSL_write_ex(m.connection.get(), plain.data(), plain.size(), &taken) != 1) {
    return std::unexpected(Error{Errc::tls_failed, take_reason()});
  }
  SEALINE_ASSERT(taken == plain.size());
  return {};
}

void TlsClient::close() {
  if (!machine_->established) return;
  SSL_shutdown(machine_->connection.get());
  ERR_clear_error();
}

ByteView TlsClient::pending() const {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(machine_->out, &bytes);
  if (size <= 0) return {};
  return as_bytes(std::string_view(bytes, static_cast<std::size_t>(size)));
}

void TlsClient::drop_pending() { BIO_reset(machine_->out); }

bool TlsClient::is_established() const noexcept { return machine_->established; }

bool TlsClient::has_ended() const noexcept { return machine_->ended; }

}  // namespace sealine::io::detail
