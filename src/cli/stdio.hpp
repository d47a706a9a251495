#pragma once

#include "cli/asio.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"

#include <cstddef>

namespace sealine::cli {

/// One read(2), tried again after a signal; 0 at the end. Errors: file_error (detail = errno).
[[nodiscard]] Result<std::size_t> read_descriptor(int descriptor, MutableBytes out);

/// All of `bytes`. Errors: file_error (detail = errno).
[[nodiscard]] Result<> write_descriptor(int descriptor, ByteView bytes);

/// Whether an error says that nobody reads our standard output any more: no word about that.
[[nodiscard]] bool is_closed_output(const Error& error) noexcept;

/// Standard input or output within an io_context, whatever it is: pipe, file, terminal, socket.
///
/// Neither changes the mode of the descriptor that other programs share (O_NONBLOCK belongs to the
/// open file, not to us): where possible it is opened once more through /proc.
class StandardInput final {
 public:
  explicit StandardInput(const net::any_io_executor& executor);
  ~StandardInput();
  StandardInput(const StandardInput&) = delete;
  StandardInput& operator=(const StandardInput&) = delete;

  /// At least one byte, or 0 at the end. Errors: file_error, cancelled.
  [[nodiscard]] net::awaitable<Result<std::size_t>> read(MutableBytes out);

  /// Ends a read under way, and all later ones until resume(), with cancelled.
  void cancel();

  void resume() noexcept { is_cancelled_ = false; }

  [[nodiscard]] bool is_terminal() const noexcept { return is_terminal_; }

 private:
  net::posix::stream_descriptor descriptor_;
  int fd_;
  bool is_terminal_ = false;
  bool is_nonblocking_ = false;
  bool can_wait_ = true;
  bool is_cancelled_ = false;
};

class StandardOutput final {
 public:
  explicit StandardOutput(const net::any_io_executor& executor);
  ~StandardOutput();
  StandardOutput(const StandardOutput&) = delete;
  StandardOutput& operator=(const StandardOutput&) = delete;

  /// All of `bytes`. Errors: file_error (EPIPE: see is_closed_output), cancelled.
  [[nodiscard]] net::awaitable<Result<>> write(ByteView bytes);

  void cancel();
  /// Says the end to whoever reads us.
  void close() noexcept;

 private:
  [[nodiscard]] ::ssize_t write_some(ByteView bytes) const noexcept;

  net::posix::stream_descriptor descriptor_;
  int fd_;
  bool is_socket_ = false;
  bool is_cancelled_ = false;
};

}  // namespace sealine::cli
