// TLS 1.3 by OpenSSL's libssl: AES-256-GCM, X25519, a certificate with ECDSA P-256 that the client
// verifies.
//   tuned=1       read-ahead with a buffer of 256 KiB, and SO_RCVLOWAT where only bulk comes in
//   handshake=psk an external PSK with (EC)DHE in place of the certificate (no ticket to issue or
//   open) release=1     SSL_MODE_RELEASE_BUFFERS
#include "support/program.hpp"
#include "support/socket.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>
#include <memory>
#include <optional>
#include <string>

namespace sealine::bench {
namespace {

template <auto free_function>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    free_function(object);
  }
};

using Context = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;
using Ssl = std::unique_ptr<SSL, Freed<SSL_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Session = std::unique_ptr<SSL_SESSION, Freed<SSL_SESSION_free>>;
using Memory = std::unique_ptr<BIO, Freed<BIO_free>>;

constexpr const char* kSuite = "TLS_AES_256_GCM_SHA384";
constexpr std::array<std::uint8_t, 2> kSuiteId = {0x13, 0x02};
constexpr std::size_t kPskBytes = 48;

[[noreturn]] void fail(const std::string& what) {
  const char* reason = ERR_reason_error_string(ERR_get_error());
  throw std::runtime_error(what + ": " + (reason != nullptr ? reason : "no reason given"));
}

void require(bool good, const char* what) {
  if (!good) {
    fail(what);
  }
}

class TlsChannel {
 public:
  TlsChannel(Socket socket, Ssl ssl, bool low_water_mark)
      : socket_(std::move(socket)), ssl_(std::move(ssl)), low_water_mark_(low_water_mark) {}

  void write(ByteView bytes) {
    std::size_t written = 0;
    require(SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written) == 1 &&
                written == bytes.size(),
            "SSL_write");
  }

  void flush() {}

  std::size_t read_some(MutableBytes into) {
    std::size_t count = 0;
    if (SSL_read_ex(ssl_.get(), into.data(), into.size(), &count) == 1) {
      return count;
    }
    require(SSL_get_error(ssl_.get(), 0) == SSL_ERROR_ZERO_RETURN, "SSL_read");
    return 0;
  }

  void end_writing() {
    require(SSL_shutdown(ssl_.get()) >= 0, "SSL_shutdown");
    socket_.end_writing();  // wakes a reader that waits for more than the close_notify
  }

  void expect_bulk() {
    if (low_water_mark_) {
      socket_.set_low_water_mark(kReadBytes);
    }
  }

  void reset_on_close() { socket_.reset_on_close(); }

 private:
  Socket socket_;
  Ssl ssl_;
  bool low_water_mark_;
};

class Tls13 {
 public:
  using Channel = TlsChannel;

  explicit Tls13(const Options& options)
      : tuned_(options.flag("tuned")), uses_psk_(options.text("handshake", "full") == "psk") {
    const bool serves = options.text("role", "") == "server";
    context_.reset(SSL_CTX_new(serves ? TLS_server_method() : TLS_client_method()));
    require(context_ != nullptr, "SSL_CTX_new");
    SSL_CTX_set_min_proto_version(context_.get(), TLS1_3_VERSION);
    require(SSL_CTX_set_ciphersuites(context_.get(), kSuite) == 1, kSuite);
    require(SSL_CTX_set1_groups_list(context_.get(), "X25519") == 1, "X25519");
    SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context_.get(), 0);
    SSL_CTX_set_app_data(context_.get(), this);
    if (tuned_) {
      SSL_CTX_set_read_ahead(context_.get(), 1);
      SSL_CTX_set_default_read_buffer_len(context_.get(), kReadBytes);
    }
    if (options.flag("release")) {
      SSL_CTX_set_mode(context_.get(), SSL_MODE_RELEASE_BUFFERS);
    }
  }

  Tls13(const Tls13&) = delete;
  Tls13& operator=(const Tls13&) = delete;

  nlohmann::json listen() {
    nlohmann::json hello;
    if (uses_psk_) {
      std::array<std::uint8_t, kPskBytes> psk{};
      require(RAND_bytes(psk.data(), static_cast<int>(psk.size())) == 1, "RAND_bytes");
      set_psk(psk);
      SSL_CTX_set_psk_find_session_callback(context_.get(), find_psk);
      hello["psk"] = psk;
    } else {
      hello["certificate"] = make_certificate();
    }
    listener_ = Socket::listen_on_loopback();
    hello["port"] = listener_->port();
    return hello;
  }

  Channel accept() {
    Socket socket = listener_->accept();
    Ssl ssl = attach(socket);
    require(SSL_accept(ssl.get()) == 1, "SSL_accept");
    return finish(std::move(socket), std::move(ssl));
  }

  void learn(const nlohmann::json& hello) {
    hello.at("port").get_to(port_);
    if (uses_psk_) {
      set_psk(hello.at("psk").get<std::array<std::uint8_t, kPskBytes>>());
      SSL_CTX_set_psk_use_session_callback(context_.get(), use_psk);
      return;
    }
    const auto text = hello.at("certificate").get<std::string>();
    const Memory memory(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
    const Certificate certificate(PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr));
    require(certificate &&
                X509_STORE_add_cert(SSL_CTX_get_cert_store(context_.get()), certificate.get()) == 1,
            "the server's certificate");
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
  }

  Channel connect() {
    Socket socket = Socket::connect_to_loopback(port_);
    Ssl ssl = attach(socket);
    require(SSL_connect(ssl.get()) == 1, "SSL_connect");
    return finish(std::move(socket), std::move(ssl));
  }

 private:
  Ssl attach(const Socket& socket) {
    Ssl ssl(SSL_new(context_.get()));
    require(ssl && SSL_set_fd(ssl.get(), socket.native()) == 1, "SSL_new");
    return ssl;
  }

  /// A run under another protocol, suite or kind of handshake than its name says is an error.
  Channel finish(Socket socket, Ssl ssl) const {
    require(SSL_version(ssl.get()) == TLS1_3_VERSION, "not TLS 1.3");
    require(std::string(SSL_get_cipher_name(ssl.get())) == kSuite, "another cipher suite");
    require((SSL_session_reused(ssl.get()) == 1) == uses_psk_, "another kind of handshake");
    return {std::move(socket), std::move(ssl), tuned_};
  }

  std::string make_certificate() {
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
                SSL_CTX_use_certificate(context_.get(), certificate.get()) == 1 &&
                SSL_CTX_use_PrivateKey(context_.get(), key.get()) == 1,
            "the certificate");
    const Memory memory(BIO_new(BIO_s_mem()));
    require(PEM_write_bio_X509(memory.get(), certificate.get()) == 1, "the certificate");
    char* text = nullptr;
    const long size = BIO_get_mem_data(memory.get(), &text);
    return {text, static_cast<std::size_t>(size)};
  }

  void set_psk(const std::array<std::uint8_t, kPskBytes>& psk) {
    const Ssl ssl(SSL_new(context_.get()));
    session_.reset(SSL_SESSION_new());
    require(ssl && session_ &&
                SSL_SESSION_set1_master_key(session_.get(), psk.data(), psk.size()) == 1 &&
                SSL_SESSION_set_cipher(session_.get(),
                                       SSL_CIPHER_find(ssl.get(), kSuiteId.data())) == 1 &&
                SSL_SESSION_set_protocol_version(session_.get(), TLS1_3_VERSION) == 1,
            "the PSK");
  }

  static SSL_SESSION* share_psk(SSL* ssl) {
    auto* self = static_cast<Tls13*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
    SSL_SESSION_up_ref(self->session_.get());
    return self->session_.get();
  }

  static int use_psk(SSL* ssl, const EVP_MD*, const unsigned char** id, std::size_t* id_bytes,
                     SSL_SESSION** session) {
    const ByteView name = as_bytes("bench");
    *id = name.data();
    *id_bytes = name.size();
    *session = share_psk(ssl);
    return 1;
  }

  static int find_psk(SSL* ssl, const unsigned char*, std::size_t, SSL_SESSION** session) {
    *session = share_psk(ssl);
    return 1;
  }

  bool tuned_;
  bool uses_psk_;
  Context context_;
  Session session_;
  std::optional<Socket> listener_;
  std::uint16_t port_ = 0;
};

}  // namespace
}  // namespace sealine::bench

int main(int argc, char** argv) {
  return sealine::bench::run_contestant<sealine::bench::Tls13>(argc, argv);
}
