// TLS 1.3 by OpenSSL's libssl: AES-256-GCM, X25519, a certificate with ECDSA P-256 that the client
// verifies.
//   tuned=1       read-ahead with a buffer of 256 KiB, and SO_RCVLOWAT where only bulk comes in
//   handshake=psk an external PSK with (EC)DHE in place of the certificate (no ticket to issue or
//   open)
//   release=1     SSL_MODE_RELEASE_BUFFERS
//   address=IP, cc=NAME: support/socket.hpp
#include "support/program.hpp"
#include "support/socket.hpp"
#include "support/tls.hpp"

#include <openssl/rand.h>
#include <openssl/ssl.h>

#include <array>
#include <memory>
#include <optional>
#include <string>

namespace sealine::bench {
namespace {

using tls::Freed;
using tls::require;

using Context = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;
using Ssl = std::unique_ptr<SSL, Freed<SSL_free>>;
using Session = std::unique_ptr<SSL_SESSION, Freed<SSL_SESSION_free>>;

constexpr std::array<std::uint8_t, 2> kSuiteId = {0x13, 0x02};
constexpr std::size_t kPskBytes = 48;

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
      : route_(Route::from(options)),
        tuned_(options.flag("tuned")),
        uses_psk_(options.text("handshake", "full") == "psk") {
    const bool serves = options.text("role", "") == "server";
    context_.reset(SSL_CTX_new(serves ? TLS_server_method() : TLS_client_method()));
    require(context_ != nullptr, "SSL_CTX_new");
    tls::choose_protocol(context_.get());
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
      hello["certificate"] = tls::make_certificate(context_.get());
    }
    listener_ = Socket::listen(route_);
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
    tls::trust_certificate(context_.get(), hello.at("certificate").get<std::string>());
  }

  Channel connect() {
    Socket socket = Socket::connect(route_, port_);
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
    tls::check_protocol(ssl.get());
    require((SSL_session_reused(ssl.get()) == 1) == uses_psk_, "another kind of handshake");
    return {std::move(socket), std::move(ssl), tuned_};
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

  Route route_;
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
