#pragma once

#include "sealine/base/bytes.hpp"
#include "support/options.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace sealine::bench {

/// Where a server is, and how its packets get there.
struct Route {
  std::string address = "127.0.0.1";
  std::string congestion{};  ///< control, as tcp(7) names it; empty: the system's

  /// `address=IP cc=NAME`
  static Route from(const Options& options);
};

/// A TCP socket, blocking. Every failure throws std::system_error.
class Socket {
 public:
  /// Listens on a free port.
  static Socket listen(const Route& route);
  static Socket connect(const Route& route, std::uint16_t port);

  static Socket listen_on_loopback() { return listen({}); }

  static Socket connect_to_loopback(std::uint16_t port) { return connect({}, port); }

  Socket(Socket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

  Socket& operator=(Socket&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }

  ~Socket();

  [[nodiscard]] Socket accept() const;
  [[nodiscard]] std::uint16_t port() const;

  /// Writes all of `bytes`.
  void write(ByteView bytes) const;
  /// At least one byte, or 0 at the end of the stream.
  [[nodiscard]] std::size_t read_some(MutableBytes into) const;
  void end_writing() const;

  /// A reader is woken once so many bytes wait, or at the end of the stream.
  void set_low_water_mark(std::size_t bytes) const;
  /// Closing resets the connection, so that no port is kept in TIME_WAIT.
  void reset_on_close() const;

  [[nodiscard]] int native() const { return descriptor_; }

 private:
  explicit Socket(int descriptor) : descriptor_(descriptor) {}

  void set_option(int level, int name, int value) const;
  void set_congestion(const std::string& name) const;

  int descriptor_ = -1;
};

}  // namespace sealine::bench
