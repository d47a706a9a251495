#include "quic/tls.hpp"

#include <gnutls/x509.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include <array>
#include <cstdint>
#include <ctime>
#include <stdexcept>

namespace sealine::bench::quic {
namespace {

constexpr const char* kPriority =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-256-GCM:-GROUP-ALL:+GROUP-X25519:"
    "%DISABLE_TLS13_COMPAT_MODE";
constexpr const char* kName = "localhost";

void check(int result, const char* what) {
  if (result < 0) throw std::runtime_error(std::string(what) + ": " + gnutls_strerror(result));
}

struct Key {
  gnutls_x509_privkey_t value = nullptr;

  Key() { check(gnutls_x509_privkey_init(&value), "a key"); }

  Key(const Key&) = delete;
  Key& operator=(const Key&) = delete;

  ~Key() { gnutls_x509_privkey_deinit(value); }
};

struct Certificate {
  gnutls_x509_crt_t value = nullptr;

  Certificate() { check(gnutls_x509_crt_init(&value), "a certificate"); }

  Certificate(const Certificate&) = delete;
  Certificate& operator=(const Certificate&) = delete;

  ~Certificate() { gnutls_x509_crt_deinit(value); }
};

}  // namespace

Credentials::Credentials() {
  gnutls_certificate_credentials_t made = nullptr;
  check(gnutls_certificate_allocate_credentials(&made), "credentials");
  credentials_.reset(made);
}

std::string Credentials::make_certificate() {
  constexpr std::time_t kHour = 3600;
  constexpr std::uint8_t kSerial = 1;
  constexpr unsigned kVersion = 3;
  const Key key;
  const Certificate made;
  const std::time_t now = std::time(nullptr);
  const std::string name = kName;
  check(gnutls_x509_privkey_generate(key.value, GNUTLS_PK_ECDSA,
                                     GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
        "a key");
  check(gnutls_x509_crt_set_version(made.value, kVersion), "a certificate");
  check(gnutls_x509_crt_set_serial(made.value, &kSerial, sizeof kSerial), "a certificate");
  check(gnutls_x509_crt_set_activation_time(made.value, now - kHour), "a certificate");
  check(gnutls_x509_crt_set_expiration_time(made.value, now + 24 * kHour), "a certificate");
  check(gnutls_x509_crt_set_dn_by_oid(made.value, GNUTLS_OID_X520_COMMON_NAME, 0, name.data(),
                                      static_cast<unsigned>(name.size())),
        "a certificate");
  check(gnutls_x509_crt_set_subject_alt_name(made.value, GNUTLS_SAN_DNSNAME, name.data(),
                                             static_cast<unsigned>(name.size()), GNUTLS_FSAN_SET),
        "a certificate");
  check(gnutls_x509_crt_set_key(made.value, key.value), "a certificate");
  check(gnutls_x509_crt_sign2(made.value, made.value, key.value, GNUTLS_DIG_SHA256, 0),
        "a certificate");
  gnutls_x509_crt_t list = made.value;
  check(gnutls_certificate_set_x509_key(credentials_.get(), &list, 1, key.value), "a certificate");
  gnutls_datum_t text{};
  check(gnutls_x509_crt_export2(made.value, GNUTLS_X509_FMT_PEM, &text), "a certificate");
  std::string pem(text.data, text.data + text.size);
  gnutls_free(text.data);
  return pem;
}

void Credentials::trust(const std::string& pem) {
  std::string copy = pem;
  const gnutls_datum_t text{reinterpret_cast<unsigned char*>(copy.data()),
                            static_cast<unsigned>(copy.size())};
  check(gnutls_certificate_set_x509_trust_mem(credentials_.get(), &text, GNUTLS_X509_FMT_PEM),
        "the server's certificate");
}

Session Credentials::server_session() const {
  Session session = make_session(GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET);
  check(ngtcp2_crypto_gnutls_configure_server_session(session.get()), "ngtcp2_crypto_gnutls");
  return session;
}

Session Credentials::client_session() const {
  Session session = make_session(GNUTLS_CLIENT);
  check(ngtcp2_crypto_gnutls_configure_client_session(session.get()), "ngtcp2_crypto_gnutls");
  check(gnutls_server_name_set(session.get(), GNUTLS_NAME_DNS, kName, std::string(kName).size()),
        "the server's name");
  gnutls_session_set_verify_cert(session.get(), kName, 0);
  return session;
}

Session Credentials::make_session(unsigned flags) const {
  gnutls_session_t made = nullptr;
  check(gnutls_init(&made, flags), "gnutls_init");
  Session session(made);
  check(gnutls_priority_set_direct(made, kPriority, nullptr), kPriority);
  check(gnutls_credentials_set(made, GNUTLS_CRD_CERTIFICATE, credentials_.get()), "credentials");
  std::array<unsigned char, 5> name = {'b', 'e', 'n', 'c', 'h'};
  const gnutls_datum_t protocol{name.data(), name.size()};
  check(gnutls_alpn_set_protocols(made, &protocol, 1, GNUTLS_ALPN_MANDATORY), "ALPN");
  return session;
}

void check_protocol(gnutls_session_t session) {
  if (gnutls_protocol_get_version(session) != GNUTLS_TLS1_3 ||
      gnutls_cipher_get(session) != GNUTLS_CIPHER_AES_256_GCM) {
    throw std::runtime_error("another protocol or cipher suite");
  }
}

}  // namespace sealine::bench::quic
