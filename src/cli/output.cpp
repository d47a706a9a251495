#include "cli/output.hpp"

#include "cli/text.hpp"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <netdb.h>
#include <system_error>
#include <unistd.h>

namespace sealine::cli {
namespace {

bool may_color(ColorChoice choice, int descriptor) {
  if (choice != ColorChoice::automatic) return choice == ColorChoice::always;
  const char* const no_color = std::getenv("NO_COLOR");
  if (no_color != nullptr && *no_color != '\0') return false;
  const char* const terminal = std::getenv("TERM");
  if (terminal == nullptr || std::string_view(terminal) == "dumb") return false;
  return ::isatty(descriptor) == 1;
}

bool wants_json_logs(LogFormat format) {
  if (format != LogFormat::automatic) return format == LogFormat::json;
  return ::isatty(STDERR_FILENO) != 1;
}

std::string_view name_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      return "warning";
  }
  return "info";
}

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
  }
  return spdlog::level::info;
}

std::string_view fault_name(Fault fault) {
  switch (fault) {
    case Fault::authentication:
      return "authentication";
    case Fault::peer_malformed:
      return "peer_malformed";
    case Fault::peer_misbehaved:
      return "peer_misbehaved";
    case Fault::api_misuse:
      return "api_misuse";
    case Fault::limit:
      return "limit";
    case Fault::environment:
      return "environment";
  }
  return "environment";
}

/// What the detail of an error adds for people.
std::string detail_text(const Error& error) {
  static constexpr std::array kWithErrno{Errc::system_error,    Errc::unreachable,
                                         Errc::connection_lost, Errc::connection_refused,
                                         Errc::file_error,      Errc::file_locked};
  if (error.detail == 0) return {};
  if (std::ranges::find(kWithErrno, error.code) != kWithErrno.end()) {
    return std::generic_category().message(static_cast<int>(error.detail));
  }
  if (error.code == Errc::name_not_found) return ::gai_strerror(static_cast<int>(error.detail));
  if (error.code == Errc::aborted) return fmt::format("reason {}", error.detail);
  if (error.code == Errc::bad_file_line) return fmt::format("line {}", error.detail);
  return {};
}

}  // namespace

struct Output::Logger {
  spdlog::logger logger;
  bool is_json;

  Logger(bool json, spdlog::level::level_enum level)
      : logger("sealine", std::make_shared<spdlog::sinks::stderr_sink_mt>()), is_json(json) {
    logger.set_pattern("%v");
    logger.set_level(level);
    logger.flush_on(spdlog::level::trace);
  }
};

void write_fully(int descriptor, std::string_view bytes) noexcept {
  while (!bytes.empty()) {
    const ::ssize_t n = ::write(descriptor, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

UnixMillis wall_clock_ms() {
  using namespace std::chrono;
  return static_cast<UnixMillis>(
      duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count());
}

std::uint64_t steady_clock_ms() {
  using namespace std::chrono;
  return static_cast<std::uint64_t>(
      duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count());
}

std::string code_text(Errc code) { return fmt::format("SL-{}", describe(code).name); }

std::string sentence(const Failure& failure) {
  const std::string detail = detail_text(failure.error);
  std::string text =
      failure.text.empty() ? std::string(to_string(failure.error.code)) : failure.text;
  if (!detail.empty()) text += fmt::format(" ({})", detail);
  if (const unsigned point = describe(failure.error.code).fault_point; point != 0) {
    text += fmt::format(" (F{})", point);
  }
  return text;
}

Output::Output(const OutputOptions& options)
    : options_(options),
      color_stderr_(may_color(options.color, STDERR_FILENO)),
      color_stdout_(may_color(options.color, STDOUT_FILENO)),
      started_(steady_clock_ms()) {
  const LogLevel least = options.verbosity >= 2   ? LogLevel::debug
                         : options.verbosity == 1 ? LogLevel::info
                                                  : LogLevel::warning;
  logger_ = std::make_unique<Logger>(wants_json_logs(options.log_format), spdlog_level(least));
}

Output::~Output() = default;

void Output::line(std::string_view text) const {
  if (before_line_) before_line_();
  write_fully(STDERR_FILENO, fmt::format("{}\n", text));
}

void Output::data(std::string_view bytes) {
  if (options_.is_json) return;
  if (before_line_) before_line_();
  write_fully(STDOUT_FILENO, bytes);
}

void Output::say(std::string_view text) {
  if (!options_.is_quiet && !options_.is_json) line(fmt::format("sealine: {}", text));
}

void Output::warn(std::string_view text) {
  if (options_.is_json) return event("notice", {{"text", std::string(text)}});
  line(fmt::format("sealine: {}", text));
}

void Output::fail(const Failure& failure) {
  const std::string text = sentence(failure);
  if (options_.is_json) {
    Fields fields{{"code", code_text(failure.error.code)},
                  {"fault", std::string(fault_name(describe(failure.error.code).fault))},
                  {"text", text},
                  {"hint", failure.hint}};
    if (!failure.details.empty()) {
      fields.push_back({"details", fmt::format("{}", fmt::join(failure.details, "\n"))});
    }
    return event("error", fields);
  }
  std::string out =
      color_stderr_ ? fmt::format("sealine: \x1b[1;31merror[{}]\x1b[0m: {}\n",
                                  code_text(failure.error.code), text)
                    : fmt::format("sealine: error[{}]: {}\n", code_text(failure.error.code), text);
  for (const std::string& detail : failure.details) out += fmt::format("  {}\n", detail);
  if (!failure.hint.empty()) out += fmt::format("hint: {}\n", failure.hint);
  if (before_line_) before_line_();
  write_fully(STDERR_FILENO, out);
}

void Output::event(std::string_view type, const Fields& fields) {
  if (!options_.is_json) return;
  const std::string text = encode_event(type, fields, wall_clock_ms()) + "\n";
  if (sink_) return sink_(text);
  write_fully(options_.stdout_is_data ? STDERR_FILENO : STDOUT_FILENO, text);
}

bool Output::shows(LogLevel level) const noexcept {
  if (options_.is_quiet && level != LogLevel::warning) return false;
  return logger_->logger.should_log(spdlog_level(level));
}

void Output::log(LogLevel level, std::string_view message, const Fields& fields) {
  if (!shows(level)) return;
  if (options_.is_json) {
    Fields all{{"text", std::string(message)}, {"level", std::string(name_of(level))}};
    all.insert(all.end(), fields.begin(), fields.end());
    return event("notice", all);
  }
  if (before_line_) before_line_();
  const auto encode = logger_->is_json ? encode_json_log : encode_logfmt;
  logger_->logger.log(spdlog_level(level), "{}",
                      encode(name_of(level), message, fields, wall_clock_ms()));
}

void Output::done(int exit, Fields counts) {
  Fields fields{{"exit", static_cast<std::uint64_t>(exit)},
                {"seconds", static_cast<double>(steady_clock_ms() - started_) / 1000.0}};
  fields.insert(fields.end(), counts.begin(), counts.end());
  event("done", fields);
}

}  // namespace sealine::cli
