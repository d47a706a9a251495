#pragma once

#include "cli/addresses.hpp"
#include "cli/asio.hpp"
#include "cli/failure.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "cli/trust_setup.hpp"
#include "sealine/io/stcp_stream.hpp"

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

namespace sealine::cli {

/// Attempts to reach a peer, for as long as --retry says. Only what has not reached the peer is
/// tried again: a handshake that fails is an answer.
class Retry final {
 public:
  Retry(Duration retry, std::string name, Output& output);

  /// An attempt ended so. Nothing: one more is due now; it has waited for it. Else what to end
  /// with.
  [[nodiscard]] net::awaitable<std::optional<Failure>> after(Failure why);

 private:
  Duration retry_;
  std::string name_;
  Output* output_;
  std::chrono::steady_clock::time_point deadline_;
  std::chrono::milliseconds pause_;
  bool is_first_ = true;
};

/// One sealed peer that is dialled, once or for each connection of a tunnel.
class Dialer final {
 public:
  Dialer(HostPort peer, ClientSetup setup, Duration retry, std::filesystem::path state_dir,
         Output& output);

  /// An established stream; with --retry as often as it takes.
  [[nodiscard]] net::awaitable<Outcome<io::stcp::Stream>> dial();

  /// The words for a session of ours that failed later.
  [[nodiscard]] Failure failure_of(const Error& error, const io::stcp::Stream& stream) const;

  /// HOST:PORT as known_peers has it.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

 private:
  HostPort peer_;
  ClientSetup setup_;
  Duration retry_;
  std::filesystem::path state_dir_;
  Output* output_;
  std::string name_;
};

}  // namespace sealine::cli
