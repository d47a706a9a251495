#pragma once

// A TLS server in front of a plain listener, as a proxy is, with an authority made for the test.

#include "io/stt_loopback.hpp"

#include <asio/ssl.hpp>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>

namespace sealine::io::stt {

template <auto Function>
struct FreedBy {
  template <class T>
  void operator()(T* object) const {
    Function(object);
  }
};

using TlsKey = std::unique_ptr<EVP_PKEY, FreedBy<EVP_PKEY_free>>;
using TlsCertificate = std::unique_ptr<X509, FreedBy<X509_free>>;

struct Credentials {
  TlsKey key;
  TlsCertificate certificate;
};

// A key and its certificate, signed by `issuer`, or by itself; `names` as "DNS:a.example" or
// "IP:…".
inline Credentials make_credentials(const Credentials* issuer, const std::string& names,
                                    long until_s = 3600) {
  Credentials made{TlsKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256")),
                   TlsCertificate(X509_new())};
  X509* const certificate = made.certificate.get();
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), issuer != nullptr ? 2 : 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -7200);
  X509_gmtime_adj(X509_getm_notAfter(certificate), until_s);
  X509_set_pubkey(certificate, made.key.get());
  const ByteView name = as_bytes(issuer != nullptr ? "a server" : "an authority");
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC, name.data(),
                             static_cast<int>(name.size()), -1, 0);
  X509_set_issuer_name(
      certificate,
      X509_get_subject_name(issuer != nullptr ? issuer->certificate.get() : certificate));
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  const auto extend = [&](int kind, const char* value) {
    const std::unique_ptr<X509_EXTENSION, FreedBy<X509_EXTENSION_free>> extension(
        X509V3_EXT_conf_nid(nullptr, &context, kind, value));
    EXPECT_TRUE(extension && X509_add_ext(certificate, extension.get(), -1) == 1) << value;
  };
  extend(NID_basic_constraints, issuer != nullptr ? "critical,CA:FALSE" : "critical,CA:TRUE");
  if (!names.empty()) extend(NID_subject_alt_name, names.c_str());
  EVP_PKEY* const signer = issuer != nullptr ? issuer->key.get() : made.key.get();
  EXPECT_GT(X509_sign(certificate, signer, EVP_sha256()), 0);
  return made;
}

// The system's store is this authority alone, as long as it lives.
class OnlyAuthority {
 public:
  OnlyAuthority() : credentials_(make_credentials(nullptr, "")) {
    std::string name =
        (std::filesystem::temp_directory_path() / "sealine-authority-XXXXXX").string();
    const int descriptor = ::mkstemp(name.data());
    EXPECT_GE(descriptor, 0);
    const std::unique_ptr<FILE, FreedBy<std::fclose>> file(::fdopen(descriptor, "w"));
    EXPECT_EQ(PEM_write_X509(file.get(), credentials_.certificate.get()), 1);
    path_ = name;
    ::setenv("SSL_CERT_FILE", path_.c_str(), 1);
    ::setenv("SSL_CERT_DIR", "/nonexistent", 1);
  }

  OnlyAuthority(const OnlyAuthority&) = delete;
  OnlyAuthority& operator=(const OnlyAuthority&) = delete;

  ~OnlyAuthority() {
    ::unsetenv("SSL_CERT_FILE");
    ::unsetenv("SSL_CERT_DIR");
    std::filesystem::remove(path_);
  }

  const Credentials& credentials() const { return credentials_; }

 private:
  Credentials credentials_;
  std::filesystem::path path_;
};

// Takes TLS, and gives what is in it to the plain listener of `net`.
class TlsFront {
 public:
  using Tcp = net::ip::tcp;
  using Secured = asio::ssl::stream<Tcp::socket>;

  TlsFront(Loopback& net, const Credentials& shown, int newest = TLS1_3_VERSION)
      : net_(net), acceptor_(net.context, Tcp::endpoint(net::ip::address_v4::loopback(), 0)) {
    SSL_CTX* const context = context_.native_handle();
    SSL_CTX_set_security_level(context, 0);  // so that it can offer what is too old
    EXPECT_EQ(SSL_CTX_use_certificate(context, shown.certificate.get()), 1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey(context, shown.key.get()), 1);
    SSL_CTX_set_min_proto_version(context, 0);
    SSL_CTX_set_max_proto_version(context, newest);
    SSL_CTX_set_tlsext_servername_callback(context, note_name);
    SSL_CTX_set_tlsext_servername_arg(context, this);
    SSL_CTX_set_alpn_select_cb(context, note_protocol, this);
    net.beside([this]() -> Task { co_await serve(); });
  }

  ~TlsFront() { acceptor_.close(); }

  TlsFront(const TlsFront&) = delete;
  TlsFront& operator=(const TlsFront&) = delete;

  Url url(const std::string& host) const {
    return {.scheme = Scheme::wss, .host = host, .port = acceptor_.local_endpoint().port()};
  }

  // Ends the connection as somebody on the way would: no close_notify, no Close.
  void cut() { secured_->lowest_layer().close(); }

  std::optional<std::string> name;  // SNI that was asked for
  std::string protocol;             // ALPN that was offered first
  error_code outcome;               // of the handshake
  error_code ended;                 // what the client's bytes ended with

 private:
  static int note_name(SSL* connection, int*, void* self) {
    const char* const asked = SSL_get_servername(connection, TLSEXT_NAMETYPE_host_name);
    if (asked != nullptr) static_cast<TlsFront*>(self)->name = asked;
    return SSL_TLSEXT_ERR_OK;
  }

  static int note_protocol(SSL*, const unsigned char** chosen, unsigned char* size,
                           const unsigned char* offered, unsigned, void* self) {
    *chosen = offered + 1;
    *size = offered[0];
    static_cast<TlsFront*>(self)->protocol.assign(offered + 1, offered + 1 + offered[0]);
    return SSL_TLSEXT_ERR_OK;
  }

  Task serve() {
    for (;;) {
      error_code ec;
      Tcp::socket socket = co_await acceptor_.async_accept(net::redirect_error(use_awaitable, ec));
      if (ec) co_return;
      auto near = std::make_shared<Secured>(std::move(socket), context_);
      secured_ = near;
      co_await near->async_handshake(asio::ssl::stream_base::server,
                                     net::redirect_error(use_awaitable, outcome));
      if (outcome) continue;
      auto far = std::make_shared<Tcp::socket>(net_.context);
      co_await far->async_connect(net_.server.local_endpoints().at(0), use_awaitable);
      net_.beside([near, far, this]() -> Task {
        ended = co_await relay(*near, *far);
        error_code ignored;
        far->shutdown(Tcp::socket::shutdown_send, ignored);
      });
      net_.beside([near, far]() -> Task {
        co_await relay(*far, *near);
        error_code ignored;
        co_await near->async_shutdown(net::redirect_error(use_awaitable, ignored));
      });
    }
  }

  static net::awaitable<error_code> relay(auto& from, auto& to) {
    Bytes buffer(30000);
    error_code ec;
    while (!ec) {
      const std::size_t n = co_await from.async_read_some(net::buffer(buffer),
                                                          net::redirect_error(use_awaitable, ec));
      if (ec) break;
      co_await net::async_write(to, net::buffer(buffer, n), net::redirect_error(use_awaitable, ec));
    }
    co_return ec;
  }

  Loopback& net_;
  asio::ssl::context context_{asio::ssl::context::tls_server};
  Tcp::acceptor acceptor_;
  std::shared_ptr<Secured> secured_;
};

}  // namespace sealine::io::stt
