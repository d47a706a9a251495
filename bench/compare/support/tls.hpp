#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

/// What the contestants on OpenSSL's libssl share. Failures are exceptions with OpenSSL's reason.
namespace sealine::bench::tls {

template <auto free_function>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    free_function(object);
  }
};

inline constexpr const char* kSuite = "TLS_AES_256_GCM_SHA384";

void require(bool good, const char* what);

/// TLS 1.3 with kSuite and X25519 alone, and neither tickets nor a cache of sessions.
void choose_protocol(SSL_CTX* context);

/// A certificate with ECDSA P-256 of its own making, for the server. Returns it as PEM.
[[nodiscard]] std::string make_certificate(SSL_CTX* context);

/// The client's part: verifies that the server has this one.
void trust_certificate(SSL_CTX* context, const std::string& pem);

/// A run under another protocol or suite than its name says is an error.
void check_protocol(const SSL* ssl);

}  // namespace sealine::bench::tls
