#pragma once

#include "cli/exit_code.hpp"
#include "cli/failure.hpp"
#include "cli/output.hpp"
#include "cli/trust_setup.hpp"
#include "sealine/io/stcp_listener.hpp"
#include "sealine/io/stcp_stream.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace sealine::cli {

/// Who was reached: one line, and the event. In mode anonymous also that nobody was authenticated.
void report_connected(const io::stcp::Stream& stream, Output& output);

/// A key that was shown, and what became of it.
struct ShownKey {
  std::optional<io::Verdict> verdict;
  std::optional<crypto::PublicKey> key;
};

/// The words and the exit code where a key was refused, or nobody could say whether it is good;
/// nothing where the failure has another cause.
[[nodiscard]] std::optional<Failure> key_failure(const Error& error, const ShownKey& shown,
                                                 const std::string& peer, bool is_key_given,
                                                 const PromptRecord& prompt,
                                                 const std::filesystem::path& state_dir);

/// The words where the peer ended, or kept silent, before it had sealed an answer.
[[nodiscard]] Failure silence_failure(const Error& error, const std::string& peer, Proof proof);

/// The words and the exit code of a connection that we dialled and that failed, at whatever phase.
[[nodiscard]] Failure dial_failure(const Error& error, const io::stcp::Stream& stream,
                                   const std::string& peer, const ClientSetup& setup,
                                   const std::filesystem::path& state_dir);

/// The same for a session that a listener had accepted.
[[nodiscard]] Failure session_failure(const Error& error, const std::string& peer);

/// The peer of an established stream: as it was dialled, or the client's address (IPv4 as such).
[[nodiscard]] std::string peer_text(const io::stcp::Stream& stream);

/// HOST:PORT with IPv4 in IPv6 as IPv4.
[[nodiscard]] std::string with_plain_ipv4(const std::string& peer);

/// Logs handshakes that came to nothing, so many a second and then their number.
class FailureLog final {
 public:
  explicit FailureLog(Output& output) : output_(&output) {}

  void note(const io::stcp::HandshakeFailure& failure);
  void note(const std::string& client, const Error& error,
            const std::optional<crypto::PublicKey>& key);

 private:
  Output* output_;
  std::uint64_t window_ = 0;
  std::uint32_t in_window_ = 0;
  std::uint64_t suppressed_ = 0;
};

/// An address as people write it; IPv4 in IPv6 as IPv4.
[[nodiscard]] std::string endpoint_text(const io::net::ip::tcp::endpoint& endpoint);

}  // namespace sealine::cli
