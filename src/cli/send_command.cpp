// sealine send, stx-send: files and folders to a receiver.
#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "cli/progress_line.hpp"
#include "cli/report.hpp"
#include "cli/signals.hpp"
#include "cli/text.hpp"
#include "cli/transfer_keys.hpp"
#include "cli/transfer_report.hpp"
#include "cli/transfer_trust.hpp"
#include "cli/trust_setup.hpp"
#include "cli/units.hpp"
#include "sealine/io/known_peers.hpp"
#include "sealine/io/stx_sender.hpp"
#include "sealine/stx/code.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace sealine::cli {
namespace {

class Send final {
 public:
  Send(const SendOptions& options, const CommonOptions& common, Output& output)
      : options_(options),
        common_(common),
        output_(&output),
        progress_(context_.get_executor(), options.progress, output),
        files_(FileReport::Side::sender, output),
        signals_(context_, false, [this](int number) { on_signal(number); }),
        name_(to_text(options.peer)) {
    if (auto name = io::peer_name(options.peer.host, options.peer.port)) name_ = *name;
  }

  int run() {
    net::co_spawn(context_, work(), [this](const std::exception_ptr& thrown) {
      signals_.stop();
      progress_.finish();
      if (thrown) std::rethrow_exception(thrown);
    });
    context_.run();
    progress_.finish();
    if (!code_) code_ = kExitFailure;
    tell_end(*code_);
    return *code_;
  }

 private:
  net::awaitable<void> work() {
    auto setup = set_up();
    if (!setup) {
      code_ = fail(setup.error());
      co_return;
    }
    std::vector<std::filesystem::path> paths(options_.paths.begin(), options_.paths.end());
    auto report = co_await io::stx::send_files(options_.peer.host, options_.peer.port,
                                               std::move(paths), std::move(*setup));
    progress_.finish();
    files_.finish();
    if (report) {
      code_ = conclude(*report);
    } else if (signal_ && report.error().code == Errc::cancelled) {
      code_ = exit_code_of_signal(*signal_);
    } else {
      code_ = fail(failure_of(report.error()));
    }
  }

  Outcome<io::stx::SendOptions> set_up() {
    io::stx::SendOptions out;
    out.exclude = options_.exclude;
    out.block_bytes = options_.block_bytes;
    out.lanes = options_.lanes;
    out.compression = options_.compression;
    out.rate_limit = options_.network.limit_rate;
    out.input_name = options_.input_name;
    out.dry_run = options_.dry_run;
    if (options_.has_retry) out.retry = options_.network.retry;
    out.limits.handshake_timeout = options_.network.handshake_timeout;
    if (const auto idle = options_.network.idle_timeout) {
      out.limits.silence_timeout = *idle;
      out.limits.keep_alive_after = std::min(out.limits.keep_alive_after, *idle / 3);
    }
    out.stop = stop_.get_token();
    out.stcp.family = options_.network.family;
    out.stcp.protocol.limits.handshake_timeout = options_.network.handshake_timeout;
    listen_to(out);
    if (!options_.dry_run) SEALINE_TRY(set_up_keys(out));
    return out;
  }

  Outcome<> set_up_keys(io::stx::SendOptions& out) {
    if (!options_.trust.allow.empty()) {
      return failure(Errc::bad_configuration, "--allow is for the receiver",
                     "one who sends says with --peer-key whom to accept");
    }
    const bool has_trust_flag = !options_.trust.peer_key.empty() ||
                                !options_.trust.identity.empty() ||
                                options_.trust.policy.has_value();
    std::vector<std::filesystem::path> given;
    if (!options_.key.empty()) given.push_back(options_.key);
    const KeySources sources = key_sources(given, !has_trust_flag || options_.needs_key);
    if (!sources.empty()) {
      if (has_trust_flag) {
        return failure(Errc::bad_configuration,
                       "--key and --trust, --peer-key or --identity exclude each other",
                       "sealine help trust");
      }
      SEALINE_TRY(key, load_sender_key(sources, *output_));
      out.key = std::move(key);
      return {};
    }
    if (options_.needs_key) {
      return usage("stx-send needs the key that the receiver has: --key FILE",
                   "`sealine key new -o FILE` makes one; `sealine send` needs none");
    }
    SEALINE_TRY(identity, load_identity(options_.trust, common_));
    SEALINE_TRY(judge, client_trust(options_.trust, common_, prompt_));
    watched_ = std::make_shared<WatchedTrust>(std::move(judge));
    out.stcp.protocol.identity = std::move(identity);
    out.stcp.trust = watched_;
    return {};
  }

  void listen_to(io::stx::SendOptions& out) {
    out.on_connected = [this](const io::stx::Connected& who) {
      was_connected_ = true;
      is_retrying_ = false;
      report_connected(who, *output_);
    };
    out.on_file = [this](const io::stx::FileEvent& file) {
      if (file.state == io::stx::FileState::planned && !output_->is_json()) {
        output_->data(
            fmt::format("{:>8}  {}\n", format_bytes(file.size_bytes), printable(file.name)));
        return;
      }
      files_.note(file);
    };
    out.on_progress = [this](const io::stx::Progress& progress) {
      sent_ = progress.done_bytes;
      progress_.show(progress);
    };
    out.on_notice = [this](const io::stx::Notice& notice) {
      const std::string about = notice.name.empty() ? "" : in_quotes(notice.name) + ": ";
      output_->warn(about + io::stx::describe(notice));
    };
    out.on_retry = [this](const io::stx::Retrying& retry) {
      last_error_ = retry.error;
      const std::string why = sentence({retry.error, {}, {}, {}, {}});
      if (!is_retrying_) {
        output_->say(
            fmt::format("{}: {}, trying for {}", name_, why, format_duration(retry.time_left)));
      } else if (output_->shows(LogLevel::info)) {
        output_->say(fmt::format("{}: {}, again in {}", name_, why, format_duration(retry.delay)));
      }
      is_retrying_ = true;
    };
  }

  int conclude(const io::stx::SendReport& report) {
    report_ = report;
    if (options_.dry_run) {
      output_->say(fmt::format("would send {} file{}, {}", report.files,
                               report.files == 1 ? "" : "s", format_bytes(report.total_bytes)));
    } else {
      output_->say(summary_of(report));
    }
    if (report.failures_here > 0) return kExitLocal;
    return report.failures_at_receiver > 0 ? kExitRefused : kExitDone;
  }

  int fail(const Failure& failure) {
    output_->fail(failure);
    return failure.exit.value_or(exit_code(failure.error, Phase::start, Proof::none));
  }

  Failure failure_of(const Error& error) const {
    if (watched_) {
      auto refused = key_failure(error, watched_->shown(), name_, !options_.trust.peer_key.empty(),
                                 *prompt_, common_.state_dir);
      if (refused) return *refused;
    }
    if (error.code == Errc::gave_up) return given_up();
    if (error.code == Errc::file_error && !was_connected_) {
      if (auto path = unreadable_path()) {
        return {error, in_quotes(*path) + " cannot be read", {}, {}, {}};
      }
    }
    static constexpr std::array kSilent{Errc::peer_fell_silent, Errc::mac_mismatch,
                                        Errc::handshake_timeout};
    if (!was_connected_ && std::ranges::find(kSilent, error.code) != kSilent.end()) {
      Failure out = silence_failure(error, name_, Proof::secret);
      if (!options_.needs_key && options_.key.empty()) {
        out.hint = "is it `sealine recv`, and does it have --key or --allow?";
      }
      return out;
    }
    const Phase phase = was_connected_ ? Phase::session : Phase::handshake;
    Failure out{error, {}, {}, {}, exit_code(error, phase, Proof::secret)};
    if (error.code == Errc::usage || error.code == Errc::file_error ||
        error.code == Errc::bad_configuration) {
      return out;
    }
    out.text = fmt::format("{}: {}", name_, to_string(error.code));
    if (error.code == Errc::refused_by_peer) {
      out.hint = "at the receiver --yes, --allow FILE or --key FILE let a sender in";
    } else if (error.code == Errc::connection_refused) {
      out.hint = "start `sealine recv` there; --retry 10m waits for it";
    } else if (was_connected_) {
      out.hint = "the same command resumes: " + options_.command_line;
    }
    return out;
  }

  /// The first path that is not there.
  std::optional<std::string> unreadable_path() const {
    for (const std::string& path : options_.paths) {
      std::error_code ec;
      const auto status = std::filesystem::symlink_status(path, ec);
      if (path != "-" && !std::filesystem::exists(status)) return path;
    }
    return std::nullopt;
  }

  Failure given_up() const {
    Failure out{{Errc::gave_up},
                fmt::format("{}: given up, nothing has moved for the time of --retry", name_),
                {},
                "the same command resumes: " + options_.command_line,
                kExitGivenUp};
    if (last_error_) out.details.push_back("last: " + sentence({*last_error_, {}, {}, {}, {}}));
    return out;
  }

  void on_signal(int number) {
    if (number == SIGUSR1) {
      output_->warn(fmt::format("{}, {} there", was_connected_ ? "sending" : "not connected",
                                format_bytes(sent_)));
      return;
    }
    const bool is_second = signal_.has_value();
    signal_ = number;
    if (!is_second) {
      stop_.request_stop();
      return;
    }
    code_ = exit_code_of_signal(number);
    context_.stop();
  }

  void tell_end(int code) {
    if (signal_ && code == exit_code_of_signal(*signal_)) {
      output_->say(was_connected_
                       ? "stopped; what has arrived stays. to go on: " + options_.command_line
                       : "stopped");
    }
    const io::stx::SendReport report = report_.value_or(io::stx::SendReport{});
    output_->done(code, {{"bytes_in", std::uint64_t{0}},
                         {"bytes_out", report_ ? report.sent_bytes : sent_},
                         {"files", report.files},
                         {"resumed", report.resumed_bytes + report.skipped_bytes},
                         {"proved", report.proved},
                         {"unknown", std::uint64_t{0}}});
  }

  net::io_context context_{1};
  const SendOptions& options_;
  const CommonOptions& common_;
  Output* output_;
  ProgressLine progress_;
  FileReport files_;
  Signals signals_;
  std::string name_;
  std::stop_source stop_;
  std::shared_ptr<PromptRecord> prompt_ = std::make_shared<PromptRecord>();
  std::shared_ptr<WatchedTrust> watched_;
  std::optional<io::stx::SendReport> report_;
  std::optional<Error> last_error_;
  std::optional<int> code_;
  std::optional<int> signal_;
  std::uint64_t sent_ = 0;
  bool was_connected_ = false;
  bool is_retrying_ = false;
};

}  // namespace

int run_send(const SendOptions& options, const CommonOptions& common, Output& output) {
  Send send(options, common, output);
  return send.run();
}

}  // namespace sealine::cli
