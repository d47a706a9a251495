// sealine msg: a line is a message, both ways. Dials a peer, or waits for one; with a command,
// serves everybody who comes.
#include "cli/commands.hpp"
#include "cli/dial.hpp"
#include "cli/event_queue.hpp"
#include "cli/exit_code.hpp"
#include "cli/join.hpp"
#include "cli/msg_child.hpp"
#include "cli/msg_report.hpp"
#include "cli/msg_session.hpp"
#include "cli/msg_trust.hpp"
#include "cli/process.hpp"
#include "cli/sealed_listener.hpp"
#include "cli/signals.hpp"
#include "cli/stdio.hpp"
#include "cli/text.hpp"
#include "sealine/io/known_peers.hpp"
#include "sealine/io/scp_server.hpp"

#include <fmt/format.h>

#include <csignal>
#include <memory>
#include <optional>
#include <set>
#include <utility>

namespace sealine::cli {
namespace {

class Msg final {
 public:
  Msg(const MsgOptions& options, const CommonOptions& common, Output& output)
      : options_(options),
        common_(common),
        output_(&output),
        input_(context_.get_executor()),
        data_out_(context_.get_executor()),
        sessions_changed_(context_, net::steady_timer::time_point::max()),
        signals_(context_, options.is_listener(), [this](int number) { on_signal(number); }) {}

  int run() {
    if (is_server()) raise_descriptor_limit();
    if (output_->is_json()) {
      events_ = std::make_unique<EventQueue>(context_.get_executor(), data_out_, *output_);
      net::co_spawn(context_, events_->run(), net::detached);
    }
    net::co_spawn(context_, work(), [this](const std::exception_ptr& thrown) {
      signals_.stop();
      context_.stop();  // nothing that still waits has anybody to wait for it
      if (thrown) std::rethrow_exception(thrown);
    });
    context_.run();
    if (!code_) code_ = kExitFailure;
    for (const MsgSession* session : sessions_) counts_ += session->counts();
    events_.reset();
    output_->done(*code_, {{"bytes_in", counts_.bytes_in},
                           {"bytes_out", counts_.bytes_out},
                           {"messages_in", counts_.messages_in},
                           {"messages_out", counts_.messages_out},
                           {"receipts", counts_.receipts},
                           {"unknown", counts_.unknown}});
    return *code_;
  }

 private:
  /// Everybody who comes has a command of his own.
  [[nodiscard]] bool is_server() const {
    return options_.is_listener() && !options_.command.empty();
  }

  net::awaitable<void> work() {
    int code = kExitDone;
    if (options_.is_listener()) {
      code = co_await serve();
    } else {
      code = co_await connect();
    }
    if (!code_) code_ = code;
    if (events_) co_await events_->finish();
  }

  int fail(const Failure& failure) {
    output_->fail(failure);
    return failure.exit.value_or(exit_code(failure.error, Phase::start, Proof::none));
  }

  // --- dialling ----------------------------------------------------------------------------------

  net::awaitable<int> connect() {
    auto setup = set_up_msg_client(options_, common_);
    if (!setup) co_return fail(setup.error());
    auto channel = co_await dial(*setup);
    if (!channel) co_return fail(channel.error());
    const bool proves = setup->options->protocol.mode != scp::Mode::anonymous;
    co_return co_await converse(std::move(*channel), proves ? Proof::secret : Proof::none);
  }

  net::awaitable<Outcome<io::scp::Channel>> dial(const MsgClientSetup& setup) {
    std::string name = to_text(options_.peer);
    if (auto known = io::peer_name(options_.peer.host, options_.peer.port)) name = *known;
    Retry retry(options_.network.retry, name, *output_);
    for (;;) {
      auto channel = co_await io::scp::connect(options_.peer.host, options_.peer.port,
                                               setup.options, io::scp::as_result);
      if (channel) co_return std::move(*channel);
      const Failure why = connect_failure(channel.error(), name, setup, common_.state_dir);
      if (auto end = co_await retry.after(why)) co_return std::unexpected(std::move(*end));
    }
  }

  // --- listening ---------------------------------------------------------------------------------

  net::awaitable<int> serve() {
    auto setup = set_up_msg_server(options_, common_);
    if (!setup) co_return fail(setup.error());
    server_setup_ = std::move(*setup);
    server_ = std::make_unique<io::scp::Server>(server_setup_->options);
    server_->on_failure(
        [this](const io::scp::HandshakeFailure& failure) { failures_.note(as_logged(failure)); });
    const HostPort& address = *options_.listen;
    if (const auto bound = server_->bind(context_.get_executor(), address.host, address.port,
                                         options_.network.family);
        !bound) {
      co_return fail(listen_failure(bound.error(), address.host.empty()
                                                       ? fmt::format("port {}", address.port)
                                                       : to_text(address)));
    }
    say_listening();
    // Not one expression with both: g++ 12 takes the first of them whatever is asked.
    if (is_server()) co_return co_await serve_all();
    co_return co_await serve_first();
  }

  void say_listening() {
    for (const auto& endpoint : server_->local_endpoints()) {
      const std::string place = endpoint_text(endpoint);
      output_->say("listening on " + place);
      output_->event("listening", {{"address", place}});
    }
    if (server_setup_->is_anonymous) {
      output_->warn("encrypted, but nobody is authenticated (--anonymous)");
    }
  }

  /// The first channel has standard input and output; its connection may come again, others may
  /// not.
  net::awaitable<int> serve_first() {
    auto channel = co_await server_->accept(io::scp::as_result);
    if (!channel) co_return kExitDone;  // told to stop; on_signal has set the code
    net::co_spawn(context_, refuse_others(), net::detached);
    const int code = co_await converse(std::move(*channel), Proof::none);
    server_->stop();
    co_return code;
  }

  net::awaitable<void> refuse_others() {
    for (;;) {
      auto channel = co_await server_->accept(io::scp::as_result);
      if (!channel) co_return;
      output_->log(LogLevel::warning, "one channel is served, another was refused",
                   {{"peer", peer_text(*channel)}});
      channel->abort(io::scp::Code::going_away);
    }
  }

  net::awaitable<int> serve_all() {
    for (;;) {
      auto channel = co_await server_->accept(io::scp::as_result);
      if (!channel) break;
      net::co_spawn(context_, serve_one(std::move(*channel)), net::detached);
    }
    while (!sessions_.empty()) {
      error_code ec;
      co_await sessions_changed_.async_wait(net::redirect_error(net::use_awaitable, ec));
    }
    co_return kExitDone;
  }

  net::awaitable<void> serve_one(io::scp::Channel channel) {
    const std::string peer = peer_text(channel);
    const int code = co_await converse(std::move(channel), Proof::none);
    output_->log(LogLevel::info, "channel ended",
                 {{"peer", peer}, {"exit", static_cast<std::uint64_t>(code)}});
    sessions_changed_.cancel();
  }

  // --- one channel -------------------------------------------------------------------------------

  /// From its report to its end.
  net::awaitable<int> converse(io::scp::Channel channel, Proof proof) {
    report_connected(channel, *output_);
    std::unique_ptr<Child> command;
    StandardLines lines(input_, data_out_);
    if (!options_.command.empty()) {
      auto started = Child::start(context_.get_executor(), options_.command);
      if (!started) {
        channel.abort(io::scp::Code::internal);
        static_cast<void>(co_await channel.closed());
        co_return fail({started.error(), "the command was not started", {}, {}, {}});
      }
      command = std::move(*started);
    }
    MsgSession::Settings settings{.peer = peer_text(channel),
                                  .shows_receipts = options_.receipts,
                                  .rate = options_.network.limit_rate,
                                  .idle_timeout = options_.network.idle_timeout,
                                  .padding = options_.trust.padding};
    LineEnds& ends = command ? static_cast<LineEnds&>(*command) : lines;
    MsgSession session(std::move(channel), {ends, command.get(), events_.get()},
                       std::move(settings), *output_);
    sessions_.insert(&session);
    co_await session.run();
    sessions_.erase(&session);
    counts_ += session.counts();
    co_return tell_end(session, proof);
  }

  int tell_end(const MsgSession& session, Proof proof) {
    if (const auto failure = session_failure(session, proof)) {
      // Our reader has seen enough: nothing to be said.
      if (is_closed_output(failure->error) && session.status() == std::nullopt) return kExitLocal;
      if (is_told_to_stop_) return kExitFailure;
      return fail(*failure);
    }
    if (session.status().value_or(0) == 0) return kExitDone;
    if (is_server()) return kExitFailure;  // the log has it
    return fail({{Errc::command_failed},
                 fmt::format("the command ended with status {}", *session.status()),
                 {},
                 {},
                 {}});
  }

  // --- signals -----------------------------------------------------------------------------------

  void on_signal(int number) {
    if (number == SIGUSR1) return show_status();
    if (number == SIGHUP) return reload_keys();
    if (is_server() && server_ && !is_draining_) {
      is_draining_ = true;
      server_->stop();
      if (!sessions_.empty()) {
        output_->say(fmt::format("draining {} channels; a second signal ends them at once",
                                 sessions_.size()));
      }
      return;
    }
    code_ = exit_code_of_signal(number);
    if (sessions_.empty() || is_told_to_stop_) return context_.stop();
    is_told_to_stop_ = true;
    for (MsgSession* const session : sessions_) session->abort(io::scp::Code::going_away);
    if (server_) server_->stop();
  }

  void reload_keys() {
    if (!server_) return;
    auto done = reload(*server_setup_);
    if (done) {
      if (const auto taken = server_->set_options(server_setup_->options); !taken) {
        done = failure(taken.error());
      }
    }
    if (!done) return output_->fail(done.error());
    output_->log(LogLevel::warning, "keys were read again", {});
  }

  void show_status() {
    MsgCounts now = counts_;
    for (const MsgSession* session : sessions_) now += session->counts();
    output_->warn(fmt::format(
        "{} channels, {} messages in, {} out, {} of these with a receipt, {} of unknown fate",
        sessions_.size(), now.messages_in, now.messages_out, now.receipts, now.unknown));
  }

  net::io_context context_{1};
  const MsgOptions& options_;
  const CommonOptions& common_;
  Output* output_;
  StandardInput input_;
  StandardOutput data_out_;
  std::unique_ptr<EventQueue> events_;
  FailureLog failures_{*output_};
  std::optional<MsgServerSetup> server_setup_;
  std::unique_ptr<io::scp::Server> server_;
  std::set<MsgSession*> sessions_;
  net::steady_timer sessions_changed_;
  Signals signals_;
  MsgCounts counts_;
  std::optional<int> code_;
  bool is_draining_ = false;
  bool is_told_to_stop_ = false;
};

}  // namespace

int run_msg(const MsgOptions& options, const CommonOptions& common, Output& output) {
  Msg msg(options, common, output);
  return msg.run();
}

}  // namespace sealine::cli
