#pragma once

#include "cli/failure.hpp"
#include "cli/output.hpp"
#include "sealine/io/stt_session.hpp"

#include <optional>
#include <string>

namespace sealine::cli {

/// Who was reached: one line, and the event.
void report_connected(const io::stt::Session& session, Output& output);

/// The peer of a session: as it was dialled, or the client's address (IPv4 as such).
[[nodiscard]] std::string peer_text(const io::stt::Session& session);

/// A session that did not come to be: words and exit code.
[[nodiscard]] Failure stt_connect_failure(const Error& error, const io::stt::Url& url);

/// How a session ended; nothing if it ended well, or has not.
[[nodiscard]] std::optional<Failure> stt_session_failure(const io::stt::Session& session);

/// A stream that did not end well while its session goes on.
[[nodiscard]] Failure stt_stream_failure(const Error& error, const std::string& peer);

}  // namespace sealine::cli
