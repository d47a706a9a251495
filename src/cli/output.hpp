#pragma once

// How this program speaks.
//
// - Data goes to standard output, everything else to standard error.
// - A line for people begins with "sealine: ", has no capital and no full stop.
// - An error is "sealine: error[SL-A03]: what happened"; details follow behind two spaces each, and
//   at most one "hint: " with the next step.
// - --quiet leaves errors and warnings. --json makes events of all of it (events.hpp): on standard
//   output, or on standard error, and then nothing else there, where standard output is data.
// - Colour only helps the eye: never on what is no terminal, never with NO_COLOR, never alone.
// - No secret is ever printed but by `sealine key`, on standard output, and by `web --new-seed`.
// - Names that came from elsewhere are shown by in_quotes() or printable() (text.hpp).

#include "cli/events.hpp"
#include "cli/failure.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace sealine::cli {

enum class ColorChoice : std::uint8_t { automatic, always, never };
enum class LogFormat : std::uint8_t { automatic, text, json };
enum class LogLevel : std::uint8_t { debug, info, warning };

struct OutputOptions {
  bool is_json = false;
  bool stdout_is_data = false;  ///< events go to standard error
  bool is_quiet = false;
  int verbosity = 0;
  ColorChoice color = ColorChoice::automatic;
  LogFormat log_format = LogFormat::automatic;  ///< logfmt on a terminal, JSON lines elsewhere
};

/// The one way to standard error, and for what is no stream to standard output. One thread.
class Output final {
 public:
  explicit Output(const OutputOptions& options);
  ~Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  /// Data of a command such as `key` or `explain`: to standard output as it is. Not with --json.
  void data(std::string_view bytes);

  /// A line for people, not with --quiet.
  void say(std::string_view line);
  /// One that --quiet does not silence.
  void warn(std::string_view line);
  void fail(const Failure& failure);

  /// Where events go from now on, a whole line each, in place of their descriptor; an empty
  /// function gives it back. For a command whose reader may be slow.
  void set_event_sink(std::function<void(std::string_view)> sink) { sink_ = std::move(sink); }

  /// Called before each line on standard error or output, so that what stands on the terminal's
  /// last line goes away first; an empty function ends it.
  void set_before_line(std::function<void()> clear) { before_line_ = std::move(clear); }

  /// An event, if --json; otherwise nothing.
  void event(std::string_view type, const Fields& fields);

  /// What happens to a listener and its connections: warnings always, info with -v, debug with
  /// -vv. With --json a notice.
  void log(LogLevel level, std::string_view message, const Fields& fields);

  /// The last event.
  void done(int exit, Fields counts);

  [[nodiscard]] bool is_json() const noexcept { return options_.is_json; }

  [[nodiscard]] bool is_quiet() const noexcept { return options_.is_quiet; }

  [[nodiscard]] bool shows(LogLevel level) const noexcept;

  /// Whether colour may be used on standard output.
  [[nodiscard]] bool colors_stdout() const noexcept { return color_stdout_; }

 private:
  struct Logger;

  void line(std::string_view text) const;

  OutputOptions options_;
  std::function<void(std::string_view)> sink_;
  std::function<void()> before_line_;
  bool color_stderr_ = false;
  bool color_stdout_ = false;
  std::unique_ptr<Logger> logger_;
  std::uint64_t started_;
};

/// "SL-A03".
[[nodiscard]] std::string code_text(Errc code);

/// The sentence of a failure: its own, or the error's; behind it errno or reason, and n of F1..F15.
[[nodiscard]] std::string sentence(const Failure& failure);

/// Milliseconds since 1970, and since an arbitrary moment.
[[nodiscard]] UnixMillis wall_clock_ms();
[[nodiscard]] std::uint64_t steady_clock_ms();

/// Writes all of it; a full or closed end is nobody's business here.
void write_fully(int descriptor, std::string_view bytes) noexcept;

}  // namespace sealine::cli
