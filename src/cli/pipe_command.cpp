// sealine pipe: dials a peer, or waits for one (or for one after another).
#include "cli/commands.hpp"
#include "cli/dial.hpp"
#include "cli/exit_code.hpp"
#include "cli/pipe_session.hpp"
#include "cli/report.hpp"
#include "cli/sealed_listener.hpp"
#include "cli/signals.hpp"
#include "cli/stdio.hpp"
#include "cli/text.hpp"
#include "cli/trust_setup.hpp"

#include <fmt/format.h>

#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace sealine::cli {
namespace {

class Pipe final {
 public:
  Pipe(const PipeOptions& options, const CommonOptions& common, Output& output)
      : options_(options),
        common_(common),
        output_(&output),
        input_(context_.get_executor()),
        data_out_(context_.get_executor()),
        signals_(context_, options.keep, [this](int number) { on_signal(number); }) {}

  int run() {
    net::co_spawn(context_, work(), [this](const std::exception_ptr& thrown) {
      signals_.stop();
      if (thrown) std::rethrow_exception(thrown);
    });
    context_.run();
    if (!code_) code_ = kExitFailure;
    // A session that a second signal has ended counts as well.
    if (session_) count(*session_);
    output_->done(*code_, {{"bytes_in", received_}, {"bytes_out", sent_}});
    return *code_;
  }

 private:
  net::awaitable<void> work() {
    int code = kExitDone;
    if (options_.is_listener()) {
      code = co_await serve();
    } else {
      code = co_await connect();
    }
    if (!code_) code_ = code;
  }

  int fail(const Failure& failure) {
    output_->fail(failure);
    return failure.exit.value_or(exit_code(failure.error, Phase::start, Proof::none));
  }

  net::awaitable<int> connect() {
    auto setup = set_up_client(options_.trust, options_.network, common_, *output_);
    if (!setup) co_return fail(setup.error());
    Dialer dialer(options_.peer, std::move(*setup), options_.network.retry, common_.state_dir,
                  *output_);
    auto stream = co_await dialer.dial();
    if (!stream) co_return fail(stream.error());
    co_return co_await converse(std::move(*stream),
                                [&](const Error& error, const io::stcp::Stream& ended) {
                                  return dialer.failure_of(error, ended);
                                });
  }

  net::awaitable<int> serve() {
    auto setup = set_up_server(options_.trust, options_.network, common_);
    if (!setup) co_return fail(setup.error());
    listener_ = std::make_unique<SealedListener>(context_.get_executor(), std::move(*setup),
                                                 limits(), *output_);
    if (const auto listening = listener_->listen(*options_.listen, options_.network.family);
        !listening) {
      co_return fail(listening.error());
    }
    for (;;) {
      error_code ec;
      io::stcp::Stream stream =
          co_await (*listener_)->async_accept(net::redirect_error(net::use_awaitable, ec));
      if (ec == net::error::operation_aborted) co_return kExitDone;  // told to stop, and drained
      if (ec) {
        Failure why{io::to_error(ec), "no connection can be accepted", {}, {}, {}};
        co_return fail(why);
      }
      if (!options_.keep) (*listener_)->close();
      const std::string peer = peer_text(stream);
      const int code = co_await converse(
          std::move(stream), [&](const Error& error, const io::stcp::Stream& /*ended*/) {
            return session_failure(error, peer);
          });
      if (!options_.keep) co_return code;
      if (is_output_gone_) co_return kExitLocal;
    }
  }

  using Words = std::function<Failure(const Error&, const io::stcp::Stream&)>;

  /// One session from its report to its end.
  net::awaitable<int> converse(io::stcp::Stream stream, Words words) {
    report_connected(stream, *output_);
    session_ = std::make_unique<PipeSession>(
        std::move(stream),
        PipeSession::Ends{input_, data_out_, !options_.keep, options_.network.limit_rate});
    co_await session_->run();
    const std::unique_ptr<PipeSession> ended = std::move(session_);
    count(*ended);
    if (const auto local = ended->local_error()) {
      if (is_closed_output(*local)) {
        is_output_gone_ = true;
        co_return kExitLocal;  // our reader has seen enough: nothing to be said
      }
      co_return fail({*local, "standard input or output failed", {}, {}, {}});
    }
    if (const auto error = ended->network_error()) co_return fail(words(*error, ended->stream()));
    co_return kExitDone;
  }

  void count(const PipeSession& session) {
    received_ += session.bytes_received();
    sent_ += session.bytes_sent();
  }

  io::stcp::ListenerLimits limits() const {
    io::stcp::ListenerLimits out;
    if (!options_.keep) out.waiting = 1;
    return out;
  }

  void on_signal(int number) {
    if (number == SIGUSR1) return show_status();
    if (number == SIGHUP) {
      if (listener_) listener_->reload_keys();
      return;
    }
    const bool drains = listener_ && options_.keep;
    if (drains && !is_stopping_) {
      is_stopping_ = true;
      (*listener_)->close();
      if (session_) output_->say("the connection under way goes on; a second signal ends it");
      return;
    }
    code_ = exit_code_of_signal(number);
    if (session_ && !is_aborting_) {
      is_aborting_ = true;
      net::co_spawn(context_, session_->abort(io::stcp::CloseReason::going_away), net::detached);
      if (listener_) (*listener_)->close();
      return;
    }
    context_.stop();
  }

  void show_status() {
    const std::uint64_t in = received_ + (session_ ? session_->bytes_received() : 0);
    const std::uint64_t out = sent_ + (session_ ? session_->bytes_sent() : 0);
    output_->warn(fmt::format("{}, {} bytes in, {} bytes out",
                              session_ ? "connected" : "not connected", in, out));
  }

  net::io_context context_{1};
  const PipeOptions& options_;
  const CommonOptions& common_;
  Output* output_;
  StandardInput input_;
  StandardOutput data_out_;
  Signals signals_;
  std::unique_ptr<SealedListener> listener_;
  std::unique_ptr<PipeSession> session_;
  std::optional<int> code_;
  std::uint64_t received_ = 0;
  std::uint64_t sent_ = 0;
  bool is_stopping_ = false;
  bool is_aborting_ = false;
  bool is_output_gone_ = false;
};

}  // namespace

int run_pipe(const PipeOptions& options, const CommonOptions& common, Output& output) {
  Pipe pipe(options, common, output);
  return pipe.run();
}

}  // namespace sealine::cli
