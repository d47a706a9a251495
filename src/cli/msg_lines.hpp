#pragma once

#include "cli/asio.hpp"
#include "cli/stdio.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace sealine::cli {

/// Cuts bytes into lines, each of at most `limit_bytes` without its line feed; whatever else stands
/// in them is the line's own. Holds one line and what came with it.
class LineBuffer final {
 public:
  explicit LineBuffer(std::size_t limit_bytes) : limit_bytes_(limit_bytes) {}

  void append(ByteView bytes);

  /// The next whole line, good until the next append().
  [[nodiscard]] std::optional<std::string_view> next();

  /// What stands behind the last line feed, once nothing more comes: a line too, unless it is
  /// empty.
  [[nodiscard]] std::string_view rest() const noexcept;

  /// The line at hand is longer than it may be.
  [[nodiscard]] bool is_too_long() const noexcept { return is_too_long_; }

 private:
  std::size_t limit_bytes_;
  std::string buffer_;
  std::size_t begin_ = 0;    ///< of the next line
  std::size_t scanned_ = 0;  ///< up to where there is no line feed
  bool is_too_long_ = false;
};

/// The two ends of lines beside a channel: standard input and output, or those of a command.
class LineEnds {
 public:
  virtual ~LineEnds() = default;
  LineEnds(const LineEnds&) = delete;
  LineEnds& operator=(const LineEnds&) = delete;

  /// At least one byte, or 0 at the end. Errors: file_error, cancelled.
  [[nodiscard]] virtual net::awaitable<Result<std::size_t>> read(MutableBytes out) = 0;
  /// All of `bytes`. Errors: file_error, cancelled.
  [[nodiscard]] virtual net::awaitable<Result<>> write(ByteView bytes) = 0;
  /// Says the end to whoever reads us.
  virtual void close_output() = 0;
  /// Ends what waits, and all later reads and writes, with cancelled.
  virtual void cancel() = 0;

  /// Somebody types the lines.
  [[nodiscard]] virtual bool is_terminal() const noexcept { return false; }

 protected:
  LineEnds() = default;
};

class StandardLines final : public LineEnds {
 public:
  StandardLines(StandardInput& input, StandardOutput& output) : input_(&input), output_(&output) {}

  net::awaitable<Result<std::size_t>> read(MutableBytes out) override { return input_->read(out); }

  net::awaitable<Result<>> write(ByteView bytes) override { return output_->write(bytes); }

  void close_output() override { output_->close(); }

  /// Standard output goes on: what has come is still to be said.
  void cancel() override { input_->cancel(); }

  [[nodiscard]] bool is_terminal() const noexcept override { return input_->is_terminal(); }

 private:
  StandardInput* input_;
  StandardOutput* output_;
};

}  // namespace sealine::cli
