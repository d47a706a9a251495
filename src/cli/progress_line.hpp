#pragma once

#include "cli/asio.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "sealine/io/stx_events.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

namespace sealine::cli {

/// " photos/IMG_0412.CR3   38%  1.1 GB/s  eta 2s", at most `columns` wide: the name gives way. What
/// a name holds can neither move the cursor nor break the line.
[[nodiscard]] std::string render_bar(const io::stx::Progress& progress, std::size_t columns);

/// "38 %, 1.6 GB of 4.1 GB, 1.1 GB/s": the same in a log.
[[nodiscard]] std::string render_progress(const io::stx::Progress& progress);

/// How far a transfer is: the terminal's last line, a line each ten seconds where there is no
/// terminal, or events. Goes out of the way of the lines of `output`. One thread.
class ProgressLine final {
 public:
  /// Nothing is shown with --quiet unless `choice` is always.
  ProgressLine(const net::any_io_executor& executor, ProgressChoice choice, Output& output);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void show(const io::stx::Progress& progress);

  /// Keeps the line away while somebody is asked something on the terminal.
  void pause();
  void resume();

  /// Takes the line away for good.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  enum class Form : std::uint8_t { none, bar, lines, events };

  void draw();
  void clear();
  void watch_size();
  [[nodiscard]] bool is_due(Clock::duration interval);

  Output* output_;
  Form form_ = Form::none;
  net::signal_set resized_;
  std::optional<io::stx::Progress> latest_;
  std::optional<Clock::time_point> shown_at_;
  std::size_t pauses_ = 0;
  bool is_drawn_ = false;
};

}  // namespace sealine::cli
