#include "cli/transfer_report.hpp"

#include "cli/report.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"
#include "sealine/crypto/key_text.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/stx/code.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace sealine::cli {
namespace {

constexpr std::uint64_t kShownFailures = 20;

std::string count_of(std::uint64_t count, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

std::string rate_over(std::uint64_t bytes, Duration elapsed) {
  const double seconds = std::max(std::chrono::duration<double>(elapsed).count(), 1e-6);
  return fmt::format(
      "{}/s", format_bytes(static_cast<std::uint64_t>(static_cast<double>(bytes) / seconds)));
}

std::string percent(std::uint64_t part, std::uint64_t whole) {
  if (whole == 0) return "0";
  const double share = static_cast<double>(part) / static_cast<double>(whole);
  return fmt::format("{:.0f}", std::min(share, 1.0) * 100);
}

}  // namespace

void report_connected(const io::stx::Connected& connected, Output& output) {
  const std::string peer = with_plain_ipv4(connected.peer);
  output.say(fmt::format("connected to {} {}", printable(peer), io::stx::describe(connected)));
  const auto& channel = connected.channel;
  const bool has_key = channel && channel->key;
  const bool has_sas = channel && channel->sas;
  Fields fields{{"peer", peer}};
  fields.push_back({"key", has_key
                               ? Value(crypto::public_key_text(io::thread_engine(), *channel->key))
                               : Value(nullptr)});
  fields.push_back({"trust", std::string(channel ? io::to_string(channel->trust) : "psk")});
  fields.push_back({"protocol", "STX/1"});
  fields.push_back({"mode", std::string(channel ? stcp::pattern_name(channel->mode) : "psk")});
  fields.push_back({"crypto", "AES-256-GCM"});
  fields.push_back({"sas", has_sas ? Value(io::stcp::sas_text(*channel->sas)) : Value(nullptr)});
  fields.push_back({"peer_id", connected.peer_id});
  if (channel && !channel->name.empty()) fields.push_back({"name", channel->name});
  output.event("connected", fields);
}

std::string reason_of(const io::stx::FileEvent& file) {
  if (file.error) return sentence({*file.error, {}, {}, {}, {}});
  return std::string(to_string(stx::errc_of(file.code)));
}

void FileReport::note(const io::stx::FileEvent& file) {
  const bool has_failed = file.state == io::stx::FileState::failed;
  Fields fields{{"name", file.name},
                {"size", file.size_bytes},
                {"state", std::string(io::stx::to_string(file.state))},
                {"code", std::uint64_t{static_cast<std::uint8_t>(file.code)}}};
  if (has_failed) {
    const Errc code = file.error ? file.error->code : stx::errc_of(file.code);
    fields.push_back({"error", code_text(code)});
    fields.push_back({"text", reason_of(file)});
  }
  if (!file.path.empty()) fields.push_back({"path", file.path});
  if (!file.peer_id.empty()) fields.push_back({"peer_id", file.peer_id});
  output_->event("file", fields);
  if (output_->is_json()) return;
  if (has_failed) {
    if (++failed_ <= kShownFailures || output_->shows(LogLevel::info)) {
      output_->warn(fmt::format("{} was not {}: {}", in_quotes(file.name),
                                side_ == Side::sender ? "sent" : "taken", reason_of(file)));
    }
  } else if (output_->shows(LogLevel::info)) {
    output_->say(fmt::format("{}  {}  {}", printable(file.name), format_bytes(file.size_bytes),
                             io::stx::to_string(file.state)));
  }
}

void FileReport::finish() {
  if (failed_ > kShownFailures && !output_->shows(LogLevel::info)) {
    output_->warn(fmt::format("and {} more; -v names all", failed_ - kShownFailures));
  }
  failed_ = 0;
}

std::string summary_of(const io::stx::SendReport& report) {
  const std::uint64_t failures = report.failures_here + report.failures_at_receiver;
  std::string text =
      fmt::format("{}  {}, {} in {}, {}",
                  failures == 0 ? "ok" : "not all:", count_of(report.files, "file", "files"),
                  format_bytes(report.total_bytes), format_duration(report.elapsed),
                  rate_over(report.sent_bytes, report.elapsed));
  const std::uint64_t there = report.resumed_bytes + report.skipped_bytes;
  if (there > 0) {
    text += fmt::format(", resumed at {} % ({} proved)", percent(there, report.total_bytes),
                        format_bytes(there));
  }
  if (report.proved) text += ", proved (SHA-256 tree)";
  if (report.failures_at_receiver > 0) {
    text += fmt::format("; {} left out by the receiver", report.failures_at_receiver);
  }
  if (report.failures_here > 0) text += fmt::format("; {} not readable", report.failures_here);
  return text;
}

std::string summary_of(const io::stx::SessionEnd& session) {
  const bool is_whole = !session.error && session.failed == 0;
  std::string text =
      fmt::format("{}  {}, {} in {}, {}",
                  is_whole ? "ok" : "not all:", count_of(session.files, "file", "files"),
                  format_bytes(session.received_bytes), format_duration(session.elapsed),
                  rate_over(session.received_bytes, session.elapsed));
  if (session.resumed_bytes > 0) {
    text += fmt::format(", resumed behind {} (proved)", format_bytes(session.resumed_bytes));
  }
  if (is_whole && session.files > 0) text += ", proved (SHA-256 tree)";
  if (session.failed > 0) text += fmt::format("; {} left out", session.failed);
  return text;
}

}  // namespace sealine::cli
