#include "cli/progress_line.hpp"

#include "cli/text.hpp"
#include "cli/units.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <string_view>
#include <sys/ioctl.h>
#include <unistd.h>

namespace sealine::cli {
namespace {

constexpr std::size_t kDefaultColumns = 80;
constexpr std::size_t kLeastNameColumns = 8;
constexpr std::chrono::seconds kLineInterval{10};
constexpr std::chrono::milliseconds kEventInterval{500};
constexpr double kLongestEta = 100.0 * 3600;

bool is_good_terminal() {
  const char* const terminal = std::getenv("TERM");
  if (terminal == nullptr || std::string_view(terminal) == "dumb") return false;
  return ::isatty(STDERR_FILENO) == 1;
}

std::size_t columns_of_terminal() {
  ::winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kDefaultColumns;
  return size.ws_col;
}

/// Bytes of the UTF-8 character that begins here; the text is printable(), so it is whole.
std::size_t character_bytes(char first) {
  const auto byte = static_cast<unsigned char>(first);
  if (byte < 0x80) return 1;
  if (byte < 0xE0) return 2;
  return byte < 0xF0 ? 3 : 4;
}

/// Columns of a character by its first byte: those of three bytes and more count two, as the
/// letters of East Asia need; a line that is a little short does no harm.
std::size_t character_columns(std::size_t bytes) { return bytes >= 3 ? 2 : 1; }

std::size_t columns_of(std::string_view text) {
  std::size_t columns = 0;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t bytes = character_bytes(text[i]);
    columns += character_columns(bytes);
    i += bytes;
  }
  return columns;
}

/// The end of a path says more than its beginning.
std::string cut_front(std::string_view text, std::size_t columns) {
  if (columns_of(text) <= columns) return std::string(text);
  while (!text.empty() && columns_of(text) + 2 > columns) {
    text.remove_prefix(std::min(character_bytes(text[0]), text.size()));
  }
  return ".." + std::string(text);
}

std::string percent_of(const io::stx::Progress& p) {
  if (!p.total_is_final || p.total_bytes == 0) return {};
  const double share = static_cast<double>(p.done_bytes) / static_cast<double>(p.total_bytes);
  return fmt::format("{:.0f}", std::min(share, 1.0) * 100);
}

std::string rate_of(const io::stx::Progress& p) {
  return fmt::format("{}/s", format_bytes(static_cast<std::uint64_t>(std::max(p.rate, 0.0))));
}

/// "2s", "1:05", "2:01:05"; empty where nobody can say.
std::string eta_of(const io::stx::Progress& p) {
  if (!p.total_is_final || p.rate < 1 || p.done_bytes >= p.total_bytes) return {};
  const double left = static_cast<double>(p.total_bytes - p.done_bytes) / p.rate;
  if (left > kLongestEta) return {};
  const auto seconds = static_cast<unsigned>(left + 0.5);
  if (seconds < 60) return fmt::format("{}s", seconds);
  if (seconds < 3600) return fmt::format("{}:{:02}", seconds / 60, seconds % 60);
  return fmt::format("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

}  // namespace

std::string render_bar(const io::stx::Progress& progress, std::size_t columns) {
  const std::string percent = percent_of(progress);
  std::string tail = percent.empty() ? fmt::format("  {:>8}", format_bytes(progress.done_bytes))
                                     : fmt::format("  {:>3}%", percent);
  tail += fmt::format("  {}", rate_of(progress));
  if (const std::string eta = eta_of(progress); !eta.empty()) tail += fmt::format("  eta {}", eta);
  if (tail.size() + kLeastNameColumns > columns) return tail.substr(0, columns);
  return " " + cut_front(printable(progress.name), columns - tail.size() - 1) + tail;
}

std::string render_progress(const io::stx::Progress& progress) {
  const std::string percent = percent_of(progress);
  std::string text = percent.empty() ? std::string() : fmt::format("{} %, ", percent);
  text += format_bytes(progress.done_bytes);
  if (progress.total_is_final) text += fmt::format(" of {}", format_bytes(progress.total_bytes));
  text += fmt::format(", {}", rate_of(progress));
  if (const std::string eta = eta_of(progress); !eta.empty()) text += fmt::format(", eta {}", eta);
  return text;
}

ProgressLine::ProgressLine(const net::any_io_executor& executor, ProgressChoice choice,
                           Output& output)
    : output_(&output), resized_(executor) {
  if (choice == ProgressChoice::never) return;
  const bool is_wanted = choice == ProgressChoice::always;
  if (output.is_json()) {
    form_ = Form::events;
  } else if (is_wanted || (is_good_terminal() && !output.is_quiet())) {
    form_ = Form::bar;
    output.set_before_line([this] { clear(); });
    watch_size();
  } else if (!output.is_quiet()) {
    form_ = Form::lines;
    shown_at_ = Clock::now();  // the first line is due after the interval, if it lasts so long
  }
}

ProgressLine::~ProgressLine() { finish(); }

void ProgressLine::watch_size() {
  error_code ec;
  static_cast<void>(resized_.add(SIGWINCH, ec));
  resized_.async_wait([this](const error_code& failed, int /*number*/) {
    if (failed) return;
    draw();
    watch_size();
  });
}

bool ProgressLine::is_due(Clock::duration interval) {
  const auto now = Clock::now();
  if (shown_at_ && now - *shown_at_ < interval) return false;
  shown_at_ = now;
  return true;
}

void ProgressLine::show(const io::stx::Progress& progress) {
  latest_ = progress;
  switch (form_) {
    case Form::none:
      return;
    case Form::bar:
      return draw();
    case Form::lines:
      if (is_due(kLineInterval)) output_->say(render_progress(progress));
      return;
    case Form::events:
      if (!is_due(kEventInterval)) return;
      output_->event("progress", {{"bytes", progress.done_bytes},
                                  {"total", progress.total_is_final ? Value(progress.total_bytes)
                                                                    : Value(nullptr)},
                                  {"rate", progress.rate}});
      return;
  }
}

void ProgressLine::draw() {
  if (!latest_ || pauses_ > 0) return;
  // The cursor stays in column 1 of the line, so that a narrower terminal wraps nothing.
  const std::size_t columns = columns_of_terminal();
  const std::string bar = render_bar(*latest_, columns > 1 ? columns - 1 : columns);
  write_fully(STDERR_FILENO, fmt::format("\r{}\x1b[K\r", bar));
  is_drawn_ = true;
}

void ProgressLine::clear() {
  if (!is_drawn_) return;
  is_drawn_ = false;
  write_fully(STDERR_FILENO, "\r\x1b[K");
}

void ProgressLine::pause() {
  ++pauses_;
  clear();
}

void ProgressLine::resume() {
  if (pauses_ > 0) --pauses_;
}

void ProgressLine::finish() {
  if (form_ == Form::bar) {
    clear();
    output_->set_before_line({});
  }
  form_ = Form::none;
  error_code ec;
  static_cast<void>(resized_.cancel(ec));
}

}  // namespace sealine::cli
