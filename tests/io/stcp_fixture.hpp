#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/crypto/x25519.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/io/stcp_listener.hpp"
#include "sealine/io/stcp_options.hpp"
#include "sealine/io/stcp_stream.hpp"
#include "sealine/io/trust.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sealine::io::test {

/// A folder that is gone with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string form = (std::filesystem::temp_directory_path() / "sealine-test-XXXXXX").string();
    path_ = ::mkdtemp(form.data());
  }

  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  ~TemporaryFolder() { std::filesystem::remove_all(path_); }

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline std::shared_ptr<const crypto::KeyPair> fresh_identity() {
  return std::make_shared<const crypto::KeyPair>(
      crypto::KeyPair::generate(thread_engine(), system_rng()));
}

inline std::vector<std::uint8_t> pattern(std::size_t size, std::uint32_t seed = 1) {
  std::vector<std::uint8_t> bytes(size);
  for (auto& byte : bytes) {
    seed = seed * 1664525U + 1013904223U;
    byte = static_cast<std::uint8_t>(seed >> 24U);
  }
  return bytes;
}

/// A listener and clients over loopback, in one io_context. Nothing waits for time: a run ends when
/// what it was asked for has happened, and ctest bounds what never does.
class Loopback {
 public:
  explicit Loopback(stcp::ListenerLimits limits = generous()) : limits_(limits) {
    server_options.protocol.identity = fresh_identity();
    server_options.protocol.modes = {stcp::Mode::tofu, stcp::Mode::anonymous};
    server_options.trust = std::make_shared<GivenKeyTrust>(std::vector<crypto::PublicKey>{});
    client_options.trust =
        std::make_shared<GivenKeyTrust>(std::vector{server_options.protocol.identity->public_key});
  }

  static stcp::ListenerLimits generous() {
    stcp::ListenerLimits limits;
    limits.handshakes_per_second = 0;
    limits.half_open_per_network = 100000;
    limits.half_open = 100000;
    return limits;
  }

  stcp::Listener& listener() {
    if (!listener_) {
      listener_.emplace(context, std::move(server_options), limits_);
      listener_->on_failure([this](const stcp::HandshakeFailure& f) { failures.push_back(f); });
      listener_->listen("127.0.0.1", 0);
    }
    return *listener_;
  }

  stcp::Stream new_client() { return stcp::Stream(context, client_options); }

  /// A connected pair; the test fails if there is none.
  std::pair<stcp::Stream, stcp::Stream> pair() {
    std::optional<stcp::Stream> server;
    stcp::Stream client = new_client();
    std::optional<error_code> connected;
    listener().async_accept([&](const error_code& ec, stcp::Stream stream) {
      EXPECT_FALSE(ec) << ec.message();
      server = std::move(stream);
    });
    client.async_connect("127.0.0.1", listener().port(),
                         [&](const error_code& ec) { connected = ec; });
    run_until([&] { return connected && (server || *connected); });
    EXPECT_FALSE(*connected) << connected->message();
    return {std::move(client), server ? std::move(*server) : stcp::Stream()};
  }

  /// What a client's connect comes to.
  error_code try_connect(stcp::Stream& client) {
    std::optional<error_code> connected;
    client.async_connect("127.0.0.1", listener().port(),
                         [&](const error_code& ec) { connected = ec; });
    run_until([&] { return connected.has_value(); });
    return *connected;
  }

  template <class Condition>
  void run_until(Condition done) {
    context.restart();
    while (!done()) {
      if (context.run_one() == 0) {
        context.restart();
        if (!done() && context.poll() == 0) {
          ADD_FAILURE() << "nothing is left that could happen";
          return;
        }
      }
    }
  }

  /// Sends a pattern and compares what comes out.
  std::string transfer(stcp::Stream& from, stcp::Stream& to, std::size_t size) {
    const auto sent = pattern(size);
    std::vector<std::uint8_t> received(size);
    std::optional<error_code> wrote;
    std::optional<error_code> read;
    net::async_write(from, net::buffer(sent),
                     [&](const error_code& ec, std::size_t) { wrote = ec; });
    net::async_read(to, net::buffer(received),
                    [&](const error_code& ec, std::size_t) { read = ec; });
    run_until([&] { return wrote && read; });
    if (*wrote) return "write: " + wrote->message();
    if (*read) return "read: " + read->message();
    return sent == received ? "ok" : "other bytes";
  }

  /// One read: its bytes or its error.
  std::pair<error_code, std::string> read_some(stcp::Stream& stream) {
    std::string text(65536, '\0');
    std::optional<error_code> result;
    std::size_t n = 0;
    stream.async_read_some(net::buffer(text), [&](const error_code& ec, std::size_t got) {
      result = ec;
      n = got;
    });
    run_until([&] { return result.has_value(); });
    text.resize(n);
    return {*result, text};
  }

  error_code write(stcp::Stream& stream, std::string_view text) {
    std::optional<error_code> result;
    net::async_write(stream, net::buffer(text),
                     [&](const error_code& ec, std::size_t) { result = ec; });
    run_until([&] { return result.has_value(); });
    return *result;
  }

  error_code shutdown(stcp::Stream& stream) {
    std::optional<error_code> result;
    stream.async_shutdown([&](const error_code& ec) { result = ec; });
    run_until([&] { return result.has_value(); });
    return *result;
  }

  net::io_context context;
  stcp::ServerOptions server_options;
  stcp::ClientOptions client_options;
  std::vector<stcp::HandshakeFailure> failures;

 private:
  stcp::ListenerLimits limits_;
  std::optional<stcp::Listener> listener_;
};

}  // namespace sealine::io::test
