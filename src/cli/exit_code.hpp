#pragma once

#include "sealine/base/error.hpp"

#include <array>
#include <cstdint>
#include <string_view>

namespace sealine::cli {

/// How far a command had come when it failed.
enum class Phase : std::uint8_t {
  start,       ///< arguments, files, the listening socket
  connect,     ///< name, route, TCP
  handshake,   ///< connected, the session does not stand yet
  unanswered,  ///< it stands for us, but the peer has sealed nothing yet
  session,     ///< it stands
};

/// Whether we prove a secret to the peer, so that its silence is an answer.
enum class Proof : std::uint8_t { none, secret };

/// The exit code of a failure (docs/man/sealine.1, EXIT STATUS).
[[nodiscard]] int exit_code(const Error& error, Phase phase, Proof proof);

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitAuthentication = 3;
inline constexpr int kExitUnreachable = 4;
inline constexpr int kExitGivenUp = 5;
inline constexpr int kExitRefused = 6;
inline constexpr int kExitDamaged = 7;
inline constexpr int kExitLocal = 8;
inline constexpr int kExitProtocol = 9;
inline constexpr int kExitInterrupted = 130;
inline constexpr int kExitTerminated = 143;

struct ExitMeaning {
  int code;
  std::string_view text;
};

/// The table of codes with a sentence each.
inline constexpr std::array kExitMeanings{
    ExitMeaning{kExitDone, "done; a listener that was told to stop and has drained"},
    ExitMeaning{kExitFailure, "any other failure"},
    ExitMeaning{kExitUsage, "usage, or a key file that may not be used"},
    ExitMeaning{kExitAuthentication, "authentication: a key, secret, tag or pin is wrong"},
    ExitMeaning{kExitUnreachable, "unreachable, refused, or no answer"},
    ExitMeaning{kExitGivenUp, "given up after --retry"},
    ExitMeaning{kExitRefused, "refused by a policy, ours or the peer's; a limit reached"},
    ExitMeaning{kExitDamaged, "the session stood, then data were altered or cut short"},
    ExitMeaning{kExitLocal, "local input or output: no space, permission"},
    ExitMeaning{kExitProtocol, "the peer does not speak this protocol, or breaks it"},
    ExitMeaning{kExitInterrupted, "SIGINT, and nothing above applies"},
    ExitMeaning{kExitTerminated, "SIGTERM, and nothing above applies"},
};

}  // namespace sealine::cli
