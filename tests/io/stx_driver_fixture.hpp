#pragma once

#include "sealine/io/stx.hpp"
#include "stcp_fixture.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace sealine::io::test {

inline std::shared_ptr<const crypto::Psk> fresh_psk() {
  auto psk = std::make_shared<crypto::Psk>();
  system_rng().fill(psk->writable());
  return psk;
}

inline void write_file(const std::filesystem::path& path, const std::vector<std::uint8_t>& bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

inline std::vector<std::uint8_t> read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// An open descriptor, closed with the object.
class OpenFile {
 public:
  explicit OpenFile(const std::filesystem::path& path)
      : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}

  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  ~OpenFile() { ::close(fd_); }

  [[nodiscard]] int value() const { return fd_; }

 private:
  int fd_;
};

/// Everything below a folder, as a text a line: kind, mode, mtime, size or target, name; and the
/// content of files. The receiver's own files are left out.
inline std::map<std::string, std::string> tree_of(const std::filesystem::path& root) {
  std::map<std::string, std::string> tree;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    const std::string name = std::filesystem::relative(entry.path(), root).string();
    if (name.starts_with(".stx-")) continue;
    struct ::stat status{};
    if (::lstat(entry.path().c_str(), &status) != 0) continue;
    std::string text;
    if (S_ISLNK(status.st_mode)) {
      text = "link " + std::filesystem::read_symlink(entry.path()).string();
    } else {
      text = S_ISDIR(status.st_mode) ? "folder " : "file ";
      text += std::to_string(status.st_mode & 0777U) + " " + std::to_string(status.st_mtim.tv_sec) +
              "." + std::to_string(status.st_mtim.tv_nsec) + " ";
      if (S_ISREG(status.st_mode)) {
        const auto bytes = read_file(entry.path());
        text.append(bytes.begin(), bytes.end());
      }
    }
    tree.emplace(name, std::move(text));
  }
  return tree;
}

/// A relay between senders and a receiver that can cut what passes it.
class FaultyRelay {
 public:
  FaultyRelay(net::io_context& context, std::uint16_t target)
      : acceptor_(context, {net::ip::address_v4::loopback(), 0}), target_(target) {
    net::co_spawn(context, accept(), net::detached);
  }

  [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

  /// The connections to come are cut after so many bytes towards the receiver, one number each;
  /// further ones not at all.
  void cut_after(std::vector<std::uint64_t> bytes) { cuts_.assign(bytes.rbegin(), bytes.rend()); }

  /// The byte at this place towards the receiver is flipped, in the next connection.
  void damage_at(std::uint64_t offset) { damage_ = offset; }

  [[nodiscard]] unsigned connections() const { return connections_; }

  void close() {
    error_code ignored;
    acceptor_.close(ignored);
  }

 private:
  using Socket = net::ip::tcp::socket;

  net::awaitable<void> accept() {
    error_code ec;
    for (;;) {
      Socket client = co_await acceptor_.async_accept(net::redirect_error(net::use_awaitable, ec));
      if (ec) co_return;
      ++connections_;
      std::uint64_t limit = std::numeric_limits<std::uint64_t>::max();
      if (!cuts_.empty()) {
        limit = cuts_.back();
        cuts_.pop_back();
      }
      auto left = std::make_shared<Socket>(std::move(client));
      auto right = std::make_shared<Socket>(left->get_executor());
      co_await right->async_connect({net::ip::address_v4::loopback(), target_},
                                    net::redirect_error(net::use_awaitable, ec));
      if (ec) continue;
      const auto damage = std::exchange(damage_, std::nullopt);
      net::co_spawn(left->get_executor(), pass(left, right, limit, damage), net::detached);
      net::co_spawn(left->get_executor(),
                    pass(right, left, std::numeric_limits<std::uint64_t>::max(), std::nullopt),
                    net::detached);
    }
  }

  static net::awaitable<void> pass(std::shared_ptr<Socket> from, std::shared_ptr<Socket> to,
                                   std::uint64_t limit, std::optional<std::uint64_t> damage) {
    std::vector<std::uint8_t> buffer(65536);
    error_code ec;
    std::uint64_t passed = 0;
    while (!ec && passed < limit) {
      const std::size_t n = co_await from->async_read_some(
          net::buffer(buffer.data(), std::min<std::uint64_t>(buffer.size(), limit - passed)),
          net::redirect_error(net::use_awaitable, ec));
      if (ec) break;
      if (damage && *damage >= passed && *damage < passed + n) buffer[*damage - passed] ^= 1U;
      passed += n;
      co_await net::async_write(*to, net::buffer(buffer.data(), n),
                                net::redirect_error(net::use_awaitable, ec));
    }
    error_code ignored;
    from->close(ignored);
    to->close(ignored);
  }

  net::ip::tcp::acceptor acceptor_;
  std::uint16_t target_;
  std::vector<std::uint64_t> cuts_;
  std::optional<std::uint64_t> damage_;
  unsigned connections_ = 0;
};

/// A receiver and senders over loopback, in one io_context. Nothing waits for time: a run ends when
/// what it was asked for has happened, and ctest bounds what never does.
class StxLoopback {
 public:
  StxLoopback() {
    key = fresh_psk();
    send_options.key = key;
    send_options.worker_threads = 1;
    send_options.on_file = [this](const stx::FileEvent& event) { sent.push_back(event); };
    send_options.on_retry = [this](const stx::Retrying&) { ++retries; };
  }

  ~StxLoopback() {
    if (!receiver) return;
    receiver->stop();
    if (proxy) proxy->close();
    run_all();
  }

  /// The receiver, listening.
  stx::Receiver& listening() {
    if (!receiver) {
      stx::ReceiveOptions options;
      options.keys = {key};
      options.directory = target.path();
      options.handshakes = Loopback::generous();
      options.worker_threads = 2;
      options.on_file = [this](const stx::FileEvent& event) { received.push_back(event); };
      options.on_session_end = [this](const stx::SessionEnd& end) { ends.push_back(end); };
      options.on_refusal = [this](const stx::Refusal& refusal) { refusals.push_back(refusal); };
      if (configure) configure(options);
      receiver.emplace(context, std::move(options));
      EXPECT_TRUE(receiver->open());
      EXPECT_TRUE(receiver->listen("127.0.0.1", 0));
      net::co_spawn(context, receiver->run(),
                    [this](const std::exception_ptr& error, Result<stx::ReceiveReport> report) {
                      if (error) std::rethrow_exception(error);
                      receive_report = std::move(report);
                    });
    }
    return *receiver;
  }

  /// A relay in front of it; senders go that way from now on.
  FaultyRelay& through_proxy() {
    if (!proxy) proxy.emplace(context, listening().port());
    return *proxy;
  }

  [[nodiscard]] std::uint16_t port() { return proxy ? proxy->port() : listening().port(); }

  void start_send(std::vector<std::filesystem::path> paths, stx::SendOptions options,
                  std::function<void(Result<stx::SendReport>)> done) {
    net::co_spawn(
        context, stx::send_files("127.0.0.1", port(), std::move(paths), std::move(options)),
        [done = std::move(done)](const std::exception_ptr& error, Result<stx::SendReport> report) {
          if (error) std::rethrow_exception(error);
          done(std::move(report));
        });
  }

  /// Sends, and comes back when that is over.
  Result<stx::SendReport> send(std::vector<std::filesystem::path> paths) {
    return send(std::move(paths), send_options);
  }

  Result<stx::SendReport> send(std::vector<std::filesystem::path> paths, stx::SendOptions options) {
    std::optional<Result<stx::SendReport>> outcome;
    start_send(std::move(paths), std::move(options),
               [&](Result<stx::SendReport> report) { outcome.emplace(std::move(report)); });
    run_until([&] { return outcome.has_value(); });
    return std::move(*outcome);
  }

  void run_until(const std::function<bool()>& condition) {
    context.restart();
    while (!condition() && context.run_one() != 0) {
    }
  }

  /// Ends the receiver; the next one is made anew.
  void restart_receiver() {
    receiver->stop();
    run_until([&] { return receive_report.has_value(); });
    receive_report.reset();
    receiver.reset();
  }

  void run_all() {
    context.restart();
    context.run();
  }

  /// Waits until so many sessions have ended at the receiver.
  void wait_for_ends(std::size_t count) {
    run_until([&] { return ends.size() >= count; });
  }

  net::io_context context;
  TemporaryFolder source;
  TemporaryFolder target;
  std::shared_ptr<const crypto::Psk> key;
  std::function<void(stx::ReceiveOptions&)> configure;  ///< before the receiver is made
  stx::SendOptions send_options;
  std::optional<stx::Receiver> receiver;
  std::optional<FaultyRelay> proxy;
  std::optional<Result<stx::ReceiveReport>> receive_report;
  std::vector<stx::FileEvent> received;
  std::vector<stx::FileEvent> sent;
  std::vector<stx::SessionEnd> ends;
  std::vector<stx::Refusal> refusals;
  unsigned retries = 0;
};

}  // namespace sealine::io::test
