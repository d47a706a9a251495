#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"

#include <cstddef>
#include <memory>
#include <string>

namespace sealine::io::detail {

inline constexpr std::size_t kTlsRecordBytes = 16384;  ///< of plain bytes, at most

/// Whom a TLS client believes: the system's store of certificates, as OpenSSL finds it (the
/// environment's SSL_CERT_FILE and SSL_CERT_DIR before it). TLS 1.2 at least.
///
/// Reading the store takes milliseconds, so the clients of an endpoint share one. One thread.
class TlsTrust {
 public:
  /// Errors: system_error.
  [[nodiscard]] static Result<std::shared_ptr<const TlsTrust>> of_the_system();

  TlsTrust(const TlsTrust&) = delete;
  TlsTrust& operator=(const TlsTrust&) = delete;
  ~TlsTrust();

 private:
  friend class TlsClient;
  struct Context;
  explicit TlsTrust(std::unique_ptr<Context> context);

  std::unique_ptr<Context> context_;
};

/// The client's end of one TLS connection, without a socket: what came goes in, what is to be sent
/// comes out.                                                       spec: websocket.md#wss
///
/// The server's certificate must lead to the store and be made for `host`, a name or an address: no
/// setting switches that off. After create and after any call take what `pending` gives, and send
/// it, after a failure too: it is an alert then. One thread.
class TlsClient {
 public:
  /// Errors: system_error.
  [[nodiscard]] static Result<TlsClient> create(std::shared_ptr<const TlsTrust> trust,
                                                const std::string& host);
  TlsClient(TlsClient&&) noexcept;
  TlsClient& operator=(TlsClient&&) noexcept;
  ~TlsClient();

  /// What came from the socket, in any pieces; it stays as it is until read gives nothing.
  /// Errors: no_tls (the first bytes are of another protocol), certificate_untrusted and
  /// certificate_of_another (detail = OpenSSL's X509_V_ERR_...), tls_failed (detail = OpenSSL's
  /// reason). After one the connection is of no use.
  [[nodiscard]] Result<> handle_bytes(ByteView in);
  /// Plain bytes that were opened; 0: none now. Errors: tls_failed.
  [[nodiscard]] Result<std::size_t> read(MutableBytes out);
  /// Seals all of it. Only once established. Errors: tls_failed.
  [[nodiscard]] Result<> write(ByteView plain);
  /// Says close_notify, where the handshake was done.
  void close();

  /// What is to be sent; good until the next call.
  [[nodiscard]] ByteView pending() const;
  void drop_pending();

  /// The handshake is done, the certificate verified.
  [[nodiscard]] bool is_established() const noexcept;
  /// The peer said close_notify.
  [[nodiscard]] bool has_ended() const noexcept;

 private:
  struct Machine;
  explicit TlsClient(std::unique_ptr<Machine> machine);

  std::unique_ptr<Machine> machine_;
};

}  // namespace sealine::io::detail
