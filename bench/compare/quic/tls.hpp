#pragma once

#include <gnutls/gnutls.h>

#include <memory>
#include <string>

/// TLS 1.3 inside QUIC, by GnuTLS: as support/tls.hpp has it for TLS over TCP.
namespace sealine::bench::quic {

struct FreeSession {
  void operator()(gnutls_session_t session) const { gnutls_deinit(session); }
};

struct FreeCredentials {
  void operator()(gnutls_certificate_credentials_t credentials) const {
    gnutls_certificate_free_credentials(credentials);
  }
};

using Session = std::unique_ptr<gnutls_session_int, FreeSession>;

/// A server's key and certificate, or the certificate that a client trusts. Must outlive its
/// sessions. Failures throw std::runtime_error.
class Credentials {
 public:
  Credentials();

  /// Makes a key and a certificate of its own, and gives the latter as PEM.
  [[nodiscard]] std::string make_certificate();
  void trust(const std::string& pem);

  [[nodiscard]] Session server_session() const;
  [[nodiscard]] Session client_session() const;

 private:
  [[nodiscard]] Session make_session(unsigned flags) const;

  std::unique_ptr<gnutls_certificate_credentials_st, FreeCredentials> credentials_;
};

/// Throws unless it is TLS 1.3 with AES-256-GCM.
void check_protocol(gnutls_session_t session);

}  // namespace sealine::bench::quic
