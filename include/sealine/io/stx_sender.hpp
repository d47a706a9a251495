#pragma once

#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/stx_events.hpp"
#include "sealine/io/stx_options.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace sealine::io::stx {

/// Sends files and folders, each as its last component below the receiver's directory, and comes
/// back when all that can be there is there: what could not be read or was kept out is counted in
/// the report, and the rest goes on. "-" is `options.input`.
///
/// Lost connections, restarts of the receiver and changed addresses are survived (`retry`); the
/// same call again resumes. Cancelled by the coroutine's cancellation slot or `options.stop`.
/// Runs on the executor of the caller, which must not be run by several threads at once (else:
/// a strand), with worker threads beside it.
///
/// Errors: bad_configuration; usage (nothing to send, "-" without a name, two paths of one name);
/// file_error (detail = errno: no path can be read); those of a handshake; unreachable,
/// connection_refused, name_not_found, connect_timeout (never reached); gave_up; cancelled; those
/// of the receiver's CLOSE (errc_of(Code)); protocol_broken.
[[nodiscard]] SEALINE_API net::awaitable<Result<SendReport>> send_files(
    std::string host, std::uint16_t port, std::vector<std::filesystem::path> paths,
    SendOptions options);

}  // namespace sealine::io::stx
