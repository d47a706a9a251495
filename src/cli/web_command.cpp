// sealine web: a page and its WebSocket on one port; chat on standard input and output, files.
#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "cli/msg_lines.hpp"
#include "cli/process.hpp"
#include "cli/progress_line.hpp"
#include "cli/qr_code.hpp"
#include "cli/rate_limit.hpp"
#include "cli/report.hpp"
#include "cli/sealed_listener.hpp"
#include "cli/signals.hpp"
#include "cli/stdio.hpp"
#include "cli/stt_report.hpp"
#include "cli/stt_seed.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"
#include "cli/web_assets.hpp"
#include "cli/web_page.hpp"
#include "cli/web_session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <list>
#include <memory>
#include <optional>
#include <unistd.h>
#include <utility>

namespace sealine::cli {
namespace {

constexpr std::size_t kMostLineBytes = 65536;
constexpr std::size_t kInputPieceBytes = 65536;
constexpr std::string_view kSend = "/send ";

/// A browser comes with some connections at a time, for each file of the page and for each reload.
constexpr std::uint32_t kPageHandshakesPerSecond = 200;
constexpr std::uint32_t kPageHandshakeBurst = 400;

/// The page goes over the net as it is, and would be anybody's to change.
Outcome<bool> is_on_loopback(const HostPort& place) {
  net::io_context context;
  net::ip::tcp::resolver resolver(context);
  error_code ec;
  const auto results =
      resolver.resolve(place.host, std::to_string(place.port), net::ip::tcp::resolver::passive, ec);
  if (ec) return std::unexpected(listen_failure(ec, to_text(place)));
  return std::ranges::all_of(
      results, [](const auto& entry) { return entry.endpoint().address().is_loopback(); });
}

class Web final {
 public:
  Web(const WebOptions& options, WebFolder folder, Output& output)
      : options_(options),
        output_(&output),
        folder_(std::move(folder)),
        up_(options.network.limit_rate),
        down_(options.network.limit_rate),
        input_(context_.get_executor()),
        data_out_(context_.get_executor()),
        progress_(context_.get_executor(), ProgressChoice::automatic, output),
        failures_(output),
        shared_{folder_, up_, down_, progress_, data_out_, output, ::isatty(STDOUT_FILENO) == 1},
        changed_(context_, net::steady_timer::time_point::max()),
        signals_(context_, true, [this](int number) { on_signal(number); }) {}

  int run() {
    raise_descriptor_limit();
    shared_.on_transfer_end = [this] { changed_.cancel(); };
    if (const auto started = start(); !started) {
      output_->fail(started.error());
      code_ = started.error().exit.value_or(
          exit_code(started.error().error, Phase::start, Proof::none));
    } else {
      net::co_spawn(context_, work(), [this](const std::exception_ptr& thrown) {
        signals_.stop();
        context_.stop();  // nothing that still waits has anybody to wait for it
        if (thrown) std::rethrow_exception(thrown);
      });
      context_.run();
    }
    progress_.finish();
    output_->done(code_, {{"bytes_in", shared_.bytes_in},
                          {"bytes_out", shared_.bytes_out},
                          {"files", shared_.files},
                          {"messages_in", shared_.messages_in},
                          {"messages_out", shared_.messages_out}});
    return code_;
  }

 private:
  Outcome<> start() {
    SEALINE_TRY(is_loopback, is_on_loopback(options_.listen));
    if (!is_loopback && !options_.unsafe_listen) {
      return failure(Errc::plaintext_off_loopback,
                     fmt::format("{} is not on loopback: the page itself would cross the net "
                                 "without encryption",
                                 to_text(options_.listen)),
                     "listen on 127.0.0.1, behind a proxy with TLS if others are to come; "
                     "--unsafe-listen allows it all the same");
    }
    SEALINE_TRY(seed, seed_of_options());
    auto settings = endpoint_options(seed, options_.network, options_.padding);
    settings.web.origins = options_.origins;
    settings.listener.handshakes_per_second = kPageHandshakesPerSecond;
    settings.listener.handshake_burst = kPageHandshakeBurst;
    endpoint_ = std::make_unique<io::stt::Endpoint>(context_.get_executor(), std::move(settings));
    error_code ec;
    endpoint_->listen(
        {.scheme = io::stt::Scheme::ws, .host = options_.listen.host, .port = options_.listen.port},
        ec);
    if (ec) return std::unexpected(listen_failure(ec, to_text(options_.listen)));
    const std::uint16_t port = endpoint_->local_endpoints().front().port();
    page_ = std::make_unique<WebPage>(
        web_assets(), is_loopback ? loopback_hosts(port) : std::vector<std::string>());
    endpoint_->on_request(
        [this](const websocket::Request& request) { return page_->answer(request); });
    endpoint_->on_failure([this](const io::stt::DialFailure& failed) {
      failures_.note(endpoint_text(failed.client), failed.error, std::nullopt);
    });
    say_listening(*seed);
    return {};
  }

  Outcome<SharedSeed> seed_of_options() {
    if (options_.makes_seed) return new_seed();
    return load_seed(options_.seed, *output_);
  }

  void say_listening(const stc::Seed& seed) {
    for (const auto& endpoint : endpoint_->local_endpoints()) {
      const std::string place = endpoint_text(endpoint);
      const std::string url = fmt::format("http://{}/", place);
      output_->say("listening on " + place);
      output_->event("listening", {{"address", place}, {"url", url}});
      if (!options_.makes_seed) {
        output_->say(fmt::format("the page is {}; it asks for the seed", url));
        continue;
      }
      // A browser does not send what stands behind the #.
      const SecretBytes text = seed_text(seed);
      const std::string whole = url + "#" + std::string(as_text(text.expose()));
      output_->warn("the page, with a seed for this run: " + whole);
      if (::isatty(STDERR_FILENO) != 1) continue;
      if (const auto picture = qr_code(whole, false)) write_fully(STDERR_FILENO, *picture);
    }
  }

  // --- pages -------------------------------------------------------------------------------------

  net::awaitable<void> work() {
    net::co_spawn(context_, read_input(), net::detached);
    for (;;) {
      error_code ec;
      io::stt::Session session =
          co_await endpoint_->async_accept(net::redirect_error(net::use_awaitable, ec));
      if (ec == net::error::operation_aborted) break;
      if (ec) continue;
      report_connected(session, *output_);
      const auto page =
          pages_.insert(pages_.end(), std::make_shared<WebSession>(std::move(session), shared_));
      net::co_spawn(context_, (*page)->run(), [this, page](const std::exception_ptr& thrown) {
        pages_.erase(page);
        changed_.cancel();
        if (thrown) std::rethrow_exception(thrown);
      });
    }
    while (!pages_.empty()) {
      error_code ec;
      co_await changed_.async_wait(net::redirect_error(net::use_awaitable, ec));
      if (shared_.transfers == 0) say_goodbye();
    }
    code_ = kExitDone;
  }

  void say_goodbye() {
    for (const auto& page : pages_) page->close();
  }

  // --- standard input ----------------------------------------------------------------------------

  net::awaitable<void> read_input() {
    const auto buffer = std::make_unique_for_overwrite<std::uint8_t[]>(kInputPieceBytes);
    LineBuffer lines(kMostLineBytes);
    for (;;) {
      const auto n = co_await input_.read({buffer.get(), kInputPieceBytes});
      if (!n || *n == 0) break;
      lines.append({buffer.get(), *n});
      while (const auto line = lines.next()) take_line(*line);
      if (lines.is_too_long()) {
        output_->warn("a line of chat has 64 KiB at most: standard input is not read any more");
        co_return;
      }
    }
    if (!lines.rest().empty()) take_line(lines.rest());
  }

  void take_line(std::string_view line) {
    if (line.starts_with(kSend)) return send_to_all(std::string(line.substr(kSend.size())));
    if (!is_utf8(line)) {
      output_->warn("a line of chat is UTF-8, and this was none");
      return;
    }
    const auto takers = std::ranges::count_if(
        pages_, [text = std::string(line)](const auto& page) { return page->chat(text); });
    if (takers == 0) {
      output_->warn("nobody has the page open: the line was not sent");
    } else {
      output_->event(
          "message",
          {{"dir", "out"}, {"size", std::uint64_t{line.size()}}, {"text", std::string(line)}});
    }
  }

  void send_to_all(const std::string& path) {
    if (pages_.empty()) {
      output_->warn(fmt::format("nobody has the page open: {} was not sent", in_quotes(path)));
    }
    for (const auto& page : pages_) {
      net::co_spawn(context_, page->send_file(path), net::detached);
    }
  }

  // --- signals -----------------------------------------------------------------------------------

  void on_signal(int number) {
    if (number == SIGUSR1) return show_status();
    if (number == SIGHUP) return;
    if (is_draining_) {
      code_ = exit_code_of_signal(number);
      return context_.stop();
    }
    is_draining_ = true;
    endpoint_->close();
    input_.cancel();
    if (shared_.transfers == 0) return say_goodbye();
    output_->say(fmt::format("{} files are under way; a second signal ends them at once",
                             shared_.transfers));
  }

  void show_status() {
    output_->warn(fmt::format("{} pages, {} files so far, {} under way, {} in, {} out",
                              pages_.size(), shared_.files, shared_.transfers,
                              format_bytes(shared_.bytes_in), format_bytes(shared_.bytes_out)));
  }

  net::io_context context_{1};
  const WebOptions& options_;
  Output* output_;
  WebFolder folder_;
  RateLimit up_;
  RateLimit down_;
  StandardInput input_;
  StandardOutput data_out_;
  ProgressLine progress_;
  FailureLog failures_;
  WebShared shared_;
  std::unique_ptr<io::stt::Endpoint> endpoint_;
  std::unique_ptr<WebPage> page_;
  std::list<std::shared_ptr<WebSession>> pages_;
  net::steady_timer changed_;
  Signals signals_;
  bool is_draining_ = false;
  int code_ = kExitFailure;
};

}  // namespace

int run_web(const WebOptions& options, const CommonOptions& /*common*/, Output& output) {
  if (web_assets().empty()) {
    return give_up({{Errc::system_error},
                    "this program was built without its page",
                    {},
                    "a build where Node.js 20 and npm are has it",
                    kExitFailure},
                   output);
  }
  if (options.makes_seed && output.is_json()) {
    return give_up({{Errc::usage},
                    "--new-seed and --json exclude each other: events may end in a log",
                    {},
                    "sealine key new -o FILE makes a seed for --seed-file",
                    {}},
                   output);
  }
  auto folder = WebFolder::open(options.directory);
  if (!folder) {
    return give_up(
        {folder.error(),
         fmt::format("{} cannot be used for files", in_quotes(options.directory.string())),
         {},
         {},
         {}},
        output);
  }
  Web web(options, std::move(*folder), output);
  return web.run();
}

}  // namespace sealine::cli
