#include "cli/stt_dial.hpp"

#include "cli/addresses.hpp"
#include "cli/dial.hpp"
#include "cli/stt_report.hpp"

#include <utility>

namespace sealine::cli {

net::awaitable<Outcome<io::stt::Session>> dial_session(io::stt::Endpoint& endpoint,
                                                       const io::stt::Url& url, Duration retry,
                                                       Output& output) {
  Retry attempts(retry, to_text(HostPort{url.host, url.port}), output);
  for (;;) {
    error_code ec;
    io::stt::Session session =
        co_await endpoint.async_connect(url, net::redirect_error(net::use_awaitable, ec));
    if (!ec) {
      report_connected(session, output);
      co_return std::move(session);
    }
    const Failure why = stt_connect_failure(io::to_error(ec), url);
    if (auto end = co_await attempts.after(why)) co_return std::unexpected(std::move(*end));
  }
}

}  // namespace sealine::cli
