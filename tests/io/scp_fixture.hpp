#pragma once

#include "sealine/crypto/x25519.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/scp_channel.hpp"
#include "sealine/io/scp_options.hpp"
#include "sealine/io/scp_server.hpp"
#include "sealine/io/trust.hpp"
#include "stcp_fixture.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <exception>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sealine::io::test {

using scp::Task;

/// The code of what a coroutine's plain form has thrown.
inline Errc code_of(const system_error& error) { return to_error(error.code()).code; }

/// The code of a Result's error; nothing where it has a value.
template <class T>
std::optional<Errc> code_of(const Result<T>& result) {
  if (result) return std::nullopt;
  return result.error().code;
}

/// A server and clients over loopback, in one io_context.
class ScpLoopback {
 public:
  using Pair = std::pair<scp::Channel, scp::Channel>;

  ScpLoopback() {
    server_options.protocol.identity = fresh_identity();
    server_options.trust = std::make_shared<AnyKey>();
    server_options.limits = Loopback::generous();
    client_options.protocol.identity = fresh_identity();
    client_options.trust =
        std::make_shared<GivenKeyTrust>(std::vector{server_options.protocol.identity->public_key});
  }

  /// Takes every key, and keeps none.
  class AnyKey final : public Trust {
   public:
    void decide(const Introduction& /*introduction*/, Answer answer) override {
      answer(Verdict::accept(TrustWord::known));
    }
  };

  /// Listens from the first call on; options are as they are then.
  scp::Server& server() {
    if (!server_) restart_server();
    return *server_;
  }

  /// Another server, that knows nothing of the last one's channels.
  void restart_server() {
    server_.emplace(server_options);
    server_->on_failure([this](const scp::HandshakeFailure& f) { failures.push_back(f); });
    EXPECT_TRUE(server_->bind(context.get_executor(), "127.0.0.1", 0));
  }

  net::awaitable<scp::Channel> dial() { return dial(server().port()); }

  net::awaitable<scp::Channel> dial(std::uint16_t port) {
    return scp::connect("127.0.0.1", port,
                        std::make_shared<const scp::ClientOptions>(client_options));
  }

  /// A channel's two ends: client, server.
  net::awaitable<Pair> pair() { return pair(server().port()); }

  net::awaitable<Pair> pair(std::uint16_t port) {
    auto client = co_await dial(port);
    auto accepted = co_await server_->accept();
    co_return Pair(std::move(client), std::move(accepted));
  }

  /// Runs a coroutine to its end; the test fails with what it throws, and when it hangs.
  template <class Coroutine>
  void run(Coroutine coroutine) {
    bool over = false;
    net::co_spawn(context, coroutine(), [&over](const std::exception_ptr& failure) {
      over = true;
      try {
        if (failure) std::rethrow_exception(failure);
      } catch (const std::exception& error) {
        ADD_FAILURE() << error.what();
      }
    });
    run_until([&over] { return over; });
  }

  template <class Condition>
  void run_until(Condition done) {
    context.restart();
    while (!done()) {
      if (context.run_one_for(std::chrono::seconds(30)) == 0) {
        ADD_FAILURE() << "nothing happens any more";
        return;
      }
    }
  }

  /// Starts a coroutine beside others. What it throws fails the test.
  template <class Coroutine>
  void beside(Coroutine coroutine) {
    net::co_spawn(context, std::move(coroutine), [](const std::exception_ptr& failure) {
      try {
        if (failure) std::rethrow_exception(failure);
      } catch (const std::exception& error) {
        ADD_FAILURE() << error.what();
      }
    });
  }

  net::io_context context;
  scp::ServerOptions server_options;
  scp::ClientOptions client_options;
  std::vector<scp::HandshakeFailure> failures;

 private:
  std::optional<scp::Server> server_;
};

/// Gives way until something is so: other handlers run meanwhile.
template <class Condition>
Task until(Condition condition) {
  net::steady_timer timer(co_await net::this_coro::executor);
  while (!condition()) {
    timer.expires_after(std::chrono::milliseconds(1));
    co_await timer.async_wait(net::use_awaitable);
  }
}

/// Stands between a client and a server: counts, cuts, freezes and refuses.
class CuttingProxy {
 public:
  explicit CuttingProxy(net::io_context& context, std::uint16_t target)
      : context_(context),
        acceptor_(context, {net::ip::make_address("127.0.0.1"), 0}),
        target_(target) {
    accept();
  }

  CuttingProxy(const CuttingProxy&) = delete;
  CuttingProxy& operator=(const CuttingProxy&) = delete;

  ~CuttingProxy() {
    *alive_ = false;
    cut();
  }

  [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

  /// Ends all connections, both halves at once, whatever is on its way.
  void cut() {
    for (const auto& link : links_) {
      error_code ignored;
      link->client.close(ignored);
      link->server.close(ignored);
    }
    links_.clear();
  }

  /// Connections that come from now on go there.
  void set_target(std::uint16_t target) { target_ = target; }

  /// What passes no longer does, and nobody is told.
  void freeze() {
    for (const auto& link : links_) link->frozen = true;
  }

  /// Cuts a connection when it has passed so many bytes from client to server; 0: never.
  std::size_t cut_after = 0;
  /// Connections are accepted and ended at once.
  bool refuses = false;
  std::size_t connections = 0;
  std::size_t reads_from_client = 0;

 private:
  struct Link {
    explicit Link(net::io_context& context) : client(context), server(context) {}

    net::ip::tcp::socket client;
    net::ip::tcp::socket server;
    std::array<std::uint8_t, 65536> up{};
    std::array<std::uint8_t, 65536> down{};
    std::size_t passed = 0;
    bool frozen = false;
  };

  void accept() {
    auto link = std::make_shared<Link>(context_);
    acceptor_.async_accept(link->client, [this, alive = alive_, link](const error_code& ec) {
      if (!*alive || ec) return;
      ++connections;
      if (!refuses) begin(link);
      accept();
    });
  }

  void begin(const std::shared_ptr<Link>& link) {
    error_code ec;
    link->server.connect({net::ip::make_address("127.0.0.1"), target_}, ec);
    if (ec) return;
    links_.push_back(link);
    relay(link, link->client, link->server, link->up, true);
    relay(link, link->server, link->client, link->down, false);
  }

  void relay(const std::shared_ptr<Link>& link, net::ip::tcp::socket& from,
             net::ip::tcp::socket& to, std::array<std::uint8_t, 65536>& buffer, bool is_up) {
    const bool is_counted = is_up && cut_after != 0;
    const std::size_t most = is_counted ? cut_after - link->passed : buffer.size();
    from.async_read_some(net::buffer(buffer, most),
                         [this, alive = alive_, link, &from, &to, &buffer, is_up, is_counted](
                             const error_code& ec, std::size_t n) {
                           if (!*alive) return;
                           error_code ignored;
                           if (ec) {
                             if (!link->frozen)
                               to.shutdown(net::ip::tcp::socket::shutdown_send, ignored);
                             return;
                           }
                           if (is_up) ++reads_from_client;
                           if (is_counted) link->passed += n;
                           if (link->frozen) return relay(link, from, to, buffer, is_up);
                           net::async_write(to, net::buffer(buffer, n),
                                            [this, alive, link, &from, &to, &buffer, is_up,
                                             is_counted](const error_code& failed, std::size_t) {
                                              if (!*alive || failed) return;
                                              if (!is_counted || link->passed < cut_after) {
                                                return relay(link, from, to, buffer, is_up);
                                              }
                                              error_code gone;
                                              link->client.close(gone);
                                              link->server.close(gone);
                                            });
                         });
  }

  net::io_context& context_;
  net::ip::tcp::acceptor acceptor_;
  std::uint16_t target_;
  std::list<std::shared_ptr<Link>> links_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace sealine::io::test
