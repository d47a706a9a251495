#pragma once

#include <stdexcept>
#include <string>
#include <sys/types.h>
#include <utility>

namespace sealine::netsim {

/// This machine or this user may not do it: no error of the path's.
class NotAllowed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A file descriptor that is closed with its owner.
class Descriptor {
 public:
  explicit Descriptor(int value = -1) noexcept : value_(value) {}

  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}

  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }

  ~Descriptor();

  [[nodiscard]] int value() const noexcept { return value_; }

 private:
  int value_;
};

/// A network namespace without a name, that ends with its last descriptor and process: nothing has
/// to be cleaned up, however this program ends. It has its loopback, and a TUN device `path` with
/// an address of 10.77.0.0/24 whose packets are read and written here.
class Place {
 public:
  /// Throws NotAllowed (no root, no TUN), std::system_error.
  explicit Place(const std::string& address);

  /// Reads and writes IP packets; does not block.
  [[nodiscard]] int packets() const noexcept { return packets_.value(); }

  /// What `nsenter --net=` takes while this program runs.
  [[nodiscard]] std::string path() const;

  /// Starts a command in it, in a process group of its own, that dies with this program.
  [[nodiscard]] pid_t start(char* const* command) const;

 private:
  Descriptor namespace_;
  Descriptor packets_;
};

}  // namespace sealine::netsim
