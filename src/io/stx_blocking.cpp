#include "sealine/io/stx_blocking.hpp"

#include "sealine/io/stx_receiver.hpp"
#include "sealine/io/stx_sender.hpp"

#include <optional>
#include <string>
#include <utility>

namespace sealine::io::stx::blocking {

namespace {

/// Runs a coroutine on a context of its own until it is over.
template <class Report>
Result<Report> run(net::awaitable<Result<Report>> job) {
  net::io_context context(1);
  std::optional<Result<Report>> outcome;
  net::co_spawn(context, std::move(job),
                [&](const std::exception_ptr& error, Result<Report> result) {
                  if (error) std::rethrow_exception(error);
                  outcome.emplace(std::move(result));
                });
  // Also what lingers after it: the last word to a peer.
  context.run();
  if (!outcome) return fail(Errc::cancelled);
  return std::move(*outcome);
}

}  // namespace

Result<SendReport> send_files(std::string_view host, std::uint16_t port,
                              std::vector<std::filesystem::path> paths, SendOptions options) {
  return run(stx::send_files(std::string(host), port, std::move(paths), std::move(options)));
}

Result<ReceiveReport> receive_files(
    std::string_view host, std::uint16_t port, ReceiveOptions options,
    std::function<void(const std::vector<net::ip::tcp::endpoint>&)> on_listening) {
  return run(
      stx::receive_files(std::string(host), port, std::move(options), std::move(on_listening)));
}

}  // namespace sealine::io::stx::blocking
