// help, version, explain: what needs neither network nor files.
#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "cli/explanations.hpp"
#include "cli/help.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"
#include "sealine/base/version.hpp"
#include "sealine/io/engine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <unistd.h>
#include <vector>

namespace sealine::cli {
namespace {

constexpr std::size_t kColumns = 80;

/// Breaks a text at blanks so that no line is longer than a screen is wide.
std::string wrapped(std::string_view text) {
  std::string out;
  std::size_t column = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    if (column != 0 && column + 1 + end > kColumns) {
      out += '\n';
      column = 0;
    } else if (column != 0) {
      out += ' ';
      ++column;
    }
    out += text.substr(0, end);
    column += end;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out + '\n';
}

void explain(const ErrorInfo& info, Output& output) {
  const Explanation& row = explanation_of(info.code);
  std::string text = fmt::format("SL-{}: {}\n", info.name, info.text);
  if (info.fault_point != 0) text += fmt::format("F{} of the specification\n", info.fault_point);
  text +=
      fmt::format("\n{}\n{}", wrapped(row.causes), wrapped("To do: " + std::string(row.advice)));
  output.data(text);
  output.event("explanation", {{"code", code_text(info.code)},
                               {"text", std::string(info.text)},
                               {"causes", std::string(row.causes)},
                               {"advice", std::string(row.advice)}});
}

bool explain_exit_code(std::uint64_t code, Output& output) {
  const auto row = std::ranges::find(kExitMeanings, static_cast<int>(code), &ExitMeaning::code);
  if (row == kExitMeanings.end()) return false;
  output.data(fmt::format("exit code {}: {}\nall of them: sealine help exit-codes\n", row->code,
                          row->text));
  output.event("explanation", {{"exit", code}, {"text", std::string(row->text)}});
  return true;
}

bool explain_fault_point(std::uint64_t point, Output& output) {
  bool found = false;
  for (const ErrorInfo& info : all_errors()) {
    if (point == 0 || info.fault_point != point) continue;
    if (found) output.data("\n");
    explain(info, output);
    found = true;
  }
  return found;
}

}  // namespace

int give_up(const Failure& failure, Output& output) {
  output.fail(failure);
  const int code = failure.exit.value_or(exit_code(failure.error, Phase::start, Proof::none));
  output.done(code, {});
  return code;
}

int run_help(const HelpOptions& options, Output& output) {
  const auto page = help_page(options.topic);
  if (!page) {
    return give_up({{Errc::usage},
                    fmt::format("there is no help about {}", in_quotes(options.topic)),
                    {},
                    "sealine help lists what there is",
                    {}},
                   output);
  }
  if (options.is_answer_to_nothing) {
    if (output.is_json()) {
      return give_up({{Errc::usage}, "no command was given", {}, "sealine help", {}}, output);
    }
    write_fully(STDERR_FILENO, *page);
    return kExitUsage;
  }
  output.data(*page);
  output.event("help", {{"topic", options.topic}, {"text", std::string(*page)}});
  output.done(kExitDone, {});
  return kExitDone;
}

int run_version(const VersionOptions& /*options*/, Output& output) {
  const std::string version = ::sealine_version();
  const std::string engine(io::thread_engine().name());
  output.data(
      fmt::format("sealine {}\nSTCP/1\nSCP/1\nSTT/1\nSTX/1\nAES-256-GCM by {}\n", version, engine));
  output.event(
      "version",
      {{"version", version}, {"protocols", "STCP/1 SCP/1 STT/1 STX/1"}, {"engine", engine}});
  output.done(kExitDone, {});
  return kExitDone;
}

int run_explain(const ExplainOptions& options, Output& output) {
  std::string code = options.code;
  for (char& c : code) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  if (code.starts_with("SL-")) code.erase(0, 3);
  bool found = false;
  if (const auto info = find_error(code)) {
    explain(*info, output);
    found = true;
  } else if (const auto exit = parse_count(code, 0, 255)) {
    found = explain_exit_code(*exit, output);
  } else if (code.starts_with('F')) {
    const auto point = parse_count(std::string_view(code).substr(1), 1, 15);
    found = point && explain_fault_point(*point, output);
  }
  if (!found) {
    return give_up({{Errc::usage},
                    fmt::format("there is no code {}", in_quotes(options.code)),
                    {},
                    "codes stand in the brackets of an error, such as SL-A03",
                    {}},
                   output);
  }
  output.done(kExitDone, {});
  return kExitDone;
}

}  // namespace sealine::cli
