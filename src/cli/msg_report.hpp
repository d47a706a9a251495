#pragma once

#include "cli/failure.hpp"
#include "cli/msg_session.hpp"
#include "cli/msg_trust.hpp"
#include "cli/output.hpp"
#include "cli/report.hpp"
#include "sealine/io/scp_channel.hpp"
#include "sealine/io/scp_server.hpp"

#include <filesystem>
#include <optional>
#include <string>

namespace sealine::cli {

/// Who was reached: one line, and the event. In mode NN also that nobody was authenticated.
void report_connected(const io::scp::Channel& channel, Output& output);

/// The peer of a channel: as it was dialled, or the client's address (IPv4 as such).
[[nodiscard]] std::string peer_text(const io::scp::Channel& channel);

/// A channel that did not come to be: words and exit code.
[[nodiscard]] Failure connect_failure(const io::scp::ConnectFailure& failure,
                                      const std::string& peer, const MsgClientSetup& setup,
                                      const std::filesystem::path& state_dir);

/// How a session failed; nothing if it ended well. `proof` is what we proved to the peer.
[[nodiscard]] std::optional<Failure> session_failure(const MsgSession& session, Proof proof);

/// A handshake that came to nothing at a listener, for its log.
[[nodiscard]] io::stcp::HandshakeFailure as_logged(const io::scp::HandshakeFailure& failure);

}  // namespace sealine::cli
