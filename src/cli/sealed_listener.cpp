#include "cli/sealed_listener.hpp"

#include "cli/exit_code.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <utility>

namespace sealine::cli {

Failure listen_failure(const error_code& ec, const std::string& place) {
  return listen_failure(io::to_error(ec), place);
}

Failure listen_failure(Error error, const std::string& place) {
  const bool is_name = error.code == Errc::name_not_found;
  const auto number = is_name ? 0 : static_cast<int>(error.detail);
  if (number != 0) error.code = Errc::system_error;  // of listening, whatever dialling calls it
  Failure out{error, fmt::format("cannot listen on {}", place), {}, {}, {}};
  if (number == EADDRINUSE) out.hint = "another program listens there; port 0 takes any free one";
  if (number == EACCES) out.hint = "ports below 1024 need a privilege";
  out.exit = is_name ? kExitUnreachable : exit_code(error, Phase::start, Proof::none);
  return out;
}

SealedListener::SealedListener(const net::any_io_executor& executor, ServerSetup setup,
                               const io::stcp::ListenerLimits& limits, Output& output)
    : setup_(std::move(setup)),
      output_(&output),
      failures_(output),
      listener_(executor, setup_.options, limits) {
  listener_.on_failure(
      [this](const io::stcp::HandshakeFailure& failure) { failures_.note(failure); });
}

Outcome<> SealedListener::listen(const HostPort& address, io::stcp::AddressFamily family) {
  error_code ec;
  listener_.listen(address.host, address.port, ec, family);
  const std::string wanted =
      address.host.empty() ? fmt::format("port {}", address.port) : to_text(address);
  if (ec) return std::unexpected(listen_failure(ec, wanted));
  for (const auto& endpoint : listener_.local_endpoints()) {
    const std::string place = endpoint_text(endpoint);
    output_->say("listening on " + place);
    output_->event("listening", {{"address", place}});
  }
  if (setup_.is_anonymous) {
    output_->warn("encrypted, but nobody is authenticated (--anonymous)");
  } else if (setup_.is_open_to_all) {
    output_->say(
        "clients need not prove who they are (--allow FILE or --psk-file FILE asks them to)");
  }
  return {};
}

void SealedListener::reload_keys() {
  const auto done = reload(setup_);
  if (!done) {
    output_->fail(done.error());
    return;
  }
  if (const auto taken = listener_.set_options(setup_.options); !taken) {
    output_->fail({taken.error(), {}, {}, {}, {}});
    return;
  }
  output_->log(LogLevel::warning, "keys were read again", {});
}

}  // namespace sealine::cli
