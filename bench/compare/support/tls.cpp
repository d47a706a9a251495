#include "support/tls.hpp"

#include "sealine/base/bytes.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <stdexcept>

namespace sealine::bench::tls {
namespace {

using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Memory = std::unique_ptr<BIO, Freed<BIO_free>>;

}  // namespace

void require(bool good, const char* what) {
  if (good) return;
  const char* reason = ERR_reason_error_string(ERR_get_error());
  throw std::runtime_error(std::string(what) + ": " +
                           (reason != nullptr ? reason : "no reason given"));
}

void choose_protocol(SSL_CTX* context) {
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  require(SSL_CTX_set_ciphersuites(context, kSuite) == 1, kSuite);
  require(SSL_CTX_set1_groups_list(context, "X25519") == 1, "X25519");
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
}

std::string make_certificate(SSL_CTX* context) {
  const Key key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  const Certificate certificate(X509_new());
  require(key && certificate, "the certificate");
  constexpr long kHour = 3600;
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -kHour);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 24 * kHour);
  X509_set_pubkey(certificate.get(), key.get());
  X509_NAME* name = X509_get_subject_name(certificate.get());
  const ByteView localhost = as_bytes("localhost");
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, localhost.data(),
                             static_cast<int>(localhost.size()), -1, 0);
  X509_set_issuer_name(certificate.get(), name);
  require(X509_sign(certificate.get(), key.get(), EVP_sha256()) > 0 &&
              SSL_CTX_use_certificate(context, certificate.get()) == 1 &&
              SSL_CTX_use_PrivateKey(context, key.get()) == 1,
          "the certificate");
  const Memory memory(BIO_new(BIO_s_mem()));
  require(PEM_write_bio_X509(memory.get(), certificate.get()) == 1, "the certificate");
  char* text = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

void trust_certificate(SSL_CTX* context, const std::string& pem) {
  const Memory memory(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const Certificate certificate(PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr));
  require(
      certificate && X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate.get()) == 1,
      "the server's certificate");
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
}

void check_protocol(const SSL* ssl) {
  require(SSL_version(ssl) == TLS1_3_VERSION, "not TLS 1.3");
  require(std::string(SSL_get_cipher_name(ssl)) == kSuite, "another cipher suite");
}

}  // namespace sealine::bench::tls
