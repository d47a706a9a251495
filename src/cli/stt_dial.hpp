#pragma once

#include "cli/asio.hpp"
#include "cli/failure.hpp"
#include "cli/output.hpp"
#include "sealine/base/time.hpp"
#include "sealine/io/stt_endpoint.hpp"

namespace sealine::cli {

/// A session with the far end, which is reported; with --retry as often as it takes.
[[nodiscard]] net::awaitable<Outcome<io::stt::Session>> dial_session(io::stt::Endpoint& endpoint,
                                                                     const io::stt::Url& url,
                                                                     Duration retry,
                                                                     Output& output);

}  // namespace sealine::cli
