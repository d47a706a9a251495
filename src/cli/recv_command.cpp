// sealine recv, stx-recv: takes files from any number of senders into one folder.
#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "cli/progress_line.hpp"
#include "cli/recv_hook.hpp"
#include "cli/recv_ledger.hpp"
#include "cli/recv_stranger.hpp"
#include "cli/report.hpp"
#include "cli/sealed_listener.hpp"
#include "cli/signals.hpp"
#include "cli/text.hpp"
#include "cli/transfer_keys.hpp"
#include "cli/transfer_report.hpp"
#include "cli/trust_setup.hpp"
#include "cli/units.hpp"
#include "sealine/io/allow_file.hpp"
#include "sealine/io/known_peers.hpp"
#include "sealine/io/state_dir.hpp"
#include "sealine/io/stx_receiver.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace sealine::cli {
namespace {

class Recv final {
 public:
  Recv(const RecvOptions& options, const CommonOptions& common, Output& output)
      : options_(options),
        common_(common),
        output_(&output),
        progress_(context_.get_executor(), options.progress, output),
        files_(FileReport::Side::receiver, output),
        refusals_(output),
        strangers_(context_.get_executor(), options.trust, common.yes, progress_, output),
        signals_(context_, true, [this](int number) { on_signal(number); }) {}

  int run() {
    net::co_spawn(context_, work(), [this](const std::exception_ptr& thrown) {
      signals_.stop();
      progress_.finish();
      if (thrown) std::rethrow_exception(thrown);
    });
    context_.run();
    progress_.finish();
    if (!code_) code_ = kExitFailure;
    output_->done(*code_, {{"bytes_in", report_.received_bytes},
                           {"bytes_out", std::uint64_t{0}},
                           {"files", report_.files},
                           {"resumed", report_.resumed_bytes},
                           {"proved", report_.files > 0},
                           {"unknown", std::uint64_t{0}}});
    return *code_;
  }

 private:
  net::awaitable<void> work() {
    auto setup = set_up();
    if (!setup) {
      code_ = fail(setup.error());
      co_return;
    }
    receiver_ = std::make_unique<io::stx::Receiver>(context_, std::move(*setup));
    if (const auto listening = listen(); !listening) {
      code_ = fail(listening.error());
      co_return;
    }
    if (!options_.hook.empty()) {
      hooks_ = std::make_unique<Hooks>(
          context_.get_executor(), options_.hook, [this](const std::string& path, int status) {
            output_->warn(fmt::format("the hook for {} ended with {}", in_quotes(path), status));
          });
    }
    auto report = co_await receiver_->run();
    progress_.finish();
    if (report) report_ = *report;
    const bool was_cancelled = !report && report.error().code == Errc::cancelled;
    if (!report && !was_cancelled) {
      hooks_.reset();
      code_ = fail({report.error(), "the receiver ended", {}, {}, {}});
      co_return;
    }
    if (hooks_) co_await hooks_->finish();
    if (!code_) code_ = conclude();
  }

  Outcome<> listen() {
    std::error_code ec;
    std::filesystem::create_directory(options_.directory, ec);  // its parents are the user's
    if (const auto opened = receiver_->open(); !opened)
      return std::unexpected(open_failure(opened.error()));
    const HostPort& address = options_.listen;
    const auto listening = receiver_->listen(address.host, address.port, options_.network.family);
    if (!listening) {
      const std::string wanted =
          address.host.empty() ? fmt::format("port {}", address.port) : to_text(address);
      return std::unexpected(listen_failure(listening.error(), wanted));
    }
    for (const auto& endpoint : receiver_->local_endpoints()) {
      const std::string place = endpoint_text(endpoint);
      output_->say("listening on " + place);
      output_->event("listening", {{"address", place}});
    }
    return {};
  }

  [[nodiscard]] Failure open_failure(const Error& error) const {
    Failure out{error,
                fmt::format("the folder {} cannot be used", in_quotes(options_.directory.string())),
                {},
                {},
                {}};
    if (error.code == Errc::file_locked) out.hint = "another receiver uses it; give each its own";
    return out;
  }

  Outcome<io::stx::ReceiveOptions> set_up() {
    io::stx::ReceiveOptions out;
    out.directory = options_.directory;
    out.on_conflict = options_.on_conflict;
    out.per_sender = options_.per_sender;
    out.quota_bytes = options_.quota_bytes;
    out.any_links = options_.any_links;
    out.require_clock = options_.require_clock;
    out.once = options_.once;
    out.limits.handshake_timeout = options_.network.handshake_timeout;
    out.stcp.protocol.limits.handshake_timeout = options_.network.handshake_timeout;
    if (const auto idle = options_.network.idle_timeout) {
      out.limits.silence_timeout = *idle;
      out.limits.keep_alive_after = std::min(out.limits.keep_alive_after, *idle / 3);
    }
    SEALINE_TRY(set_up_keys(out));
    listen_to(out);
    return out;
  }

  Outcome<> set_up_keys(io::stx::ReceiveOptions& out) {
    const TrustOptions& trust = options_.trust;
    if (!trust.peer_key.empty()) {
      return failure(Errc::bad_configuration, "--peer-key is for one who sends",
                     "a receiver says with --allow FILE whom to accept");
    }
    const bool has_trust_flag =
        !trust.allow.empty() || !trust.identity.empty() || trust.policy.has_value();
    sources_ = key_sources(options_.keys, !has_trust_flag || options_.needs_key);
    if (!sources_.empty()) {
      if (has_trust_flag) {
        return failure(Errc::bad_configuration,
                       "--key and --trust, --allow or --identity exclude each other",
                       "sealine help trust");
      }
      SEALINE_TRY(keys, load_receiver_keys(sources_, *output_));
      out.keys = std::move(keys);
      return {};
    }
    if (options_.needs_key) {
      return usage("stx-recv needs the key that senders have: --key FILE",
                   "`sealine key new -o FILE` makes one; `sealine recv` needs none");
    }
    return set_up_identities(out);
  }

  Outcome<> set_up_identities(io::stx::ReceiveOptions& out) {
    const TrustOptions& trust = options_.trust;
    SEALINE_TRY(identity, load_identity(trust, common_));
    out.stcp.protocol.identity = std::move(identity);
    if (!trust.allow.empty()) {
      SEALINE_TRY(judge, server_trust(trust, common_, allow_));
      out.stcp.trust = std::move(judge);
      return {};
    }
    const auto state = io::open_state_dir(common_.state_dir);
    if (!state) {
      return failure(state.error(), "the state directory cannot be used",
                     "name another one with --state-dir DIR");
    }
    // Those in known_clients are let in; all others are the gate's, which pins whom it takes.
    io::KnownPeers clients(*state / "known_clients", io::KnownPeers::Kind::clients);
    out.stcp.trust = std::make_shared<io::KnownPeersTrust>(clients, io::TrustPolicy::pinned);
    out.known_clients = std::move(clients);
    out.on_stranger = [this](const io::stx::Stranger& stranger, std::function<void(bool)> answer) {
      strangers_.judge(stranger, std::move(answer));
    };
    return {};
  }

  void listen_to(io::stx::ReceiveOptions& out) {
    out.on_connected = [this](const io::stx::Connected& who) { report_connected(who, *output_); };
    out.on_file = [this](const io::stx::FileEvent& file) {
      using io::stx::FileState;
      files_.note(file);
      const bool is_new = file.state == FileState::done || file.state == FileState::resumed;
      if (hooks_ && is_new && file.kind == io::stx::FileKind::file) hooks_->add(file.path);
    };
    out.on_progress = [this](const io::stx::Progress& progress) { progress_.show(progress); };
    out.on_notice = [this](const io::stx::Notice& notice) {
      output_->warn(io::stx::describe(notice));
    };
    out.on_refusal = [this](const io::stx::Refusal& refusal) {
      refusals_.note(with_plain_ipv4(refusal.address), refusal.error, refusal.key);
    };
    out.on_session_end = [this](const io::stx::SessionEnd& session) { tell_end_of(session); };
  }

  void tell_end_of(const io::stx::SessionEnd& session) {
    files_.finish();
    const std::string peer = printable(with_plain_ipv4(session.peer));
    if (session.error) {
      output_->warn(fmt::format("{}: {}; what has arrived stays, the same command there resumes",
                                peer, to_string(session.error->code)));
    }
    if (!session.error || session.files > 0) {
      output_->say(fmt::format("{}: {}", peer, summary_of(session)));
    }
  }

  [[nodiscard]] int conclude() const {
    if (const auto& last = report_.last; options_.once && last) {
      if (last->error) {
        const int code = exit_code(*last->error, Phase::session, Proof::secret);
        if (code != kExitDone) return code;
      }
      if (last->failed > 0) return kExitRefused;
    }
    if (hooks_ && hooks_->failed() > 0) return kExitFailure;
    return kExitDone;
  }

  int fail(const Failure& failure) {
    output_->fail(failure);
    return failure.exit.value_or(exit_code(failure.error, Phase::start, Proof::none));
  }

  void on_signal(int number) {
    if (number == SIGUSR1) return show_status();
    if (number == SIGHUP) return reload_keys();
    if (!receiver_) {
      code_ = exit_code_of_signal(number);
      context_.stop();
      return;
    }
    const bool is_busy = receiver_->statistics().sessions > 0;
    ++signals_seen_;
    if (signals_seen_ == 1 && number == SIGTERM) {
      receiver_->drain();
      if (is_busy) output_->say("transfers under way go on; a second signal ends them");
      return;
    }
    const bool is_stopping = std::exchange(is_stopping_, true);
    if (is_busy || is_stopping) code_ = exit_code_of_signal(number);
    if (is_stopping) {
      context_.stop();
      return;
    }
    receiver_->stop();
    if (is_busy) output_->say("stopped; what has arrived stays, and its senders resume");
  }

  void show_status() {
    if (!receiver_) return;
    const io::stx::ReceiverStatistics now = receiver_->statistics();
    output_->warn(fmt::format("{} sessions, {} files, {} in", now.sessions, now.files,
                              format_bytes(now.received_bytes)));
  }

  void reload_keys() {
    if (const auto done = read_keys_again(); !done) {
      output_->fail(done.error());
      return;
    }
    output_->log(LogLevel::warning, "keys were read again", {});
  }

  Outcome<> read_keys_again() {
    if (allow_) {
      if (const auto read = allow_->reload(); !read) {
        return failure(read.error(), "the allow file was not read again: the old list stays");
      }
    }
    const bool is_stdin = std::ranges::find(sources_.files, "-") != sources_.files.end();
    if (receiver_ && !sources_.files.empty() && !is_stdin) {
      SEALINE_TRY(keys, load_receiver_keys(sources_, *output_));
      if (const auto set = receiver_->set_keys(std::move(keys)); !set) return failure(set.error());
    }
    return {};
  }

  net::io_context context_{1};
  const RecvOptions& options_;
  const CommonOptions& common_;
  Output* output_;
  ProgressLine progress_;
  FileReport files_;
  FailureLog refusals_;
  StrangerGate strangers_;
  Signals signals_;
  KeySources sources_;
  std::shared_ptr<io::AllowFile> allow_;
  std::unique_ptr<Hooks> hooks_;
  std::unique_ptr<io::stx::Receiver> receiver_;
  io::stx::ReceiveReport report_;
  std::optional<int> code_;
  unsigned signals_seen_ = 0;
  bool is_stopping_ = false;
};

}  // namespace

int run_recv(const RecvOptions& options, const CommonOptions& common, Output& output) {
  if (options.action == RecvOptions::Action::list) return list_transfers(options, output);
  if (options.action == RecvOptions::Action::discard) return discard_transfers(options, output);
  Recv recv(options, common, output);
  return recv.run();
}

}  // namespace sealine::cli
