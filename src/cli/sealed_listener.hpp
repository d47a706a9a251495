#pragma once

#include "cli/addresses.hpp"
#include "cli/asio.hpp"
#include "cli/failure.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "cli/report.hpp"
#include "cli/trust_setup.hpp"
#include "sealine/io/stcp_listener.hpp"

namespace sealine::cli {

/// A listener for sealed connections that says where it listens, logs what fails, and takes new
/// keys at SIGHUP.
class SealedListener final {
 public:
  SealedListener(const net::any_io_executor& executor, ServerSetup setup,
                 const io::stcp::ListenerLimits& limits, Output& output);

  /// Errors: those of the system, with words.
  [[nodiscard]] Outcome<> listen(const HostPort& address, io::stcp::AddressFamily family);

  [[nodiscard]] io::stcp::Listener& operator*() noexcept { return listener_; }

  [[nodiscard]] io::stcp::Listener* operator->() noexcept { return &listener_; }

  /// SIGHUP. What cannot be read is told; the old keys stay.
  void reload_keys();

 private:
  ServerSetup setup_;
  Output* output_;
  FailureLog failures_;
  io::stcp::Listener listener_;
};

/// "cannot listen on 0.0.0.0:80 (Permission denied)", with its exit code.
[[nodiscard]] Failure listen_failure(const error_code& ec, const std::string& place);
[[nodiscard]] Failure listen_failure(Error error, const std::string& place);

}  // namespace sealine::cli
