#pragma once

#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/time.hpp"
#include "sealine/crypto/x25519.hpp"
#include "sealine/io/stcp_options.hpp"
#include "sealine/io/trust.hpp"
#include "sealine/stx/code.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sealine::io::stx {

using ::sealine::stx::Code;

/// Who was reached, for one line on the terminal.
struct Connected {
  std::string peer;                        ///< HOST:PORT as dialled; of a sender its address
  std::optional<stcp::Connected> channel;  ///< the STCP form's handshake; unset: key form
  std::string peer_id;                     ///< 32 hex digits: ledger, quotas, sub-directories
  bool is_stranger = false;                ///< on_stranger has yet to be asked
};

/// "slp1... (new, pinned), STX/1 in STCP/1 XX, AES-256-GCM", or of the key form
/// "(psk), STX/1, AES-256-GCM": what stands behind the name.
[[nodiscard]] SEALINE_API std::string describe(const Connected& connected);

/// What became of a file, directory or link.
enum class FileState : std::uint8_t {
  done,     ///< sent whole
  resumed,  ///< a part of it was there already, and proved
  skipped,  ///< all of it was there already, and proved
  failed,
  planned,  ///< of a dry run
};

/// "done", "resumed", ...
[[nodiscard]] SEALINE_API std::string_view to_string(FileState state) noexcept;

/// What kind of entry a FileEvent is about.
enum class FileKind : std::uint8_t { file, directory, symlink };

/// One entry is over.
struct FileEvent {
  std::string name;  ///< bytes, relative to the receiver's directory; show it quoted
  std::string path;  ///< at a receiver: where it stands, unless it failed; at a sender its source
  std::string peer_id;  ///< at a receiver: whose it is
  FileKind kind{};
  std::uint64_t size_bytes = 0;
  FileState state{};
  Code code{};                 ///< of a failed one
  std::optional<Error> error;  ///< of a failed one, where it was ours
};

/// How far a transfer is. At a receiver: of all its senders together, `total_bytes` what they have
/// offered so far.
struct Progress {
  std::uint64_t done_bytes = 0;   ///< sent and acknowledged, or found there and proved
  std::uint64_t total_bytes = 0;  ///< as far as it is known
  bool total_is_final = false;    ///< the walk has ended, and no size is unknown
  double rate = 0;                ///< bytes a second, of the last seconds
  std::string name;               ///< what is being sent; may be empty
};

struct Notice {
  enum class Kind : std::uint8_t {
    special_file,      ///< a device, socket or FIFO was left out
    source_changed,    ///< a file changed while it was sent, and is sent again
    ledger_set_aside,  ///< a damaged ledger was renamed; transfers begin anew
    lane_lost,         ///< a lane ended and is replaced
    superseded,        ///< a newer session of the same sender took an item over
  };
  Kind kind{};
  std::string name;  ///< the file's, where it is about one
  Error error{};
};

/// One plain sentence.
[[nodiscard]] SEALINE_API std::string describe(const Notice& notice);

/// A session ended before its time, or could not be begun; another follows.
struct Retrying {
  Error error;
  Duration delay{};      ///< until then
  unsigned attempt = 0;  ///< 1 for the first since the last progress
  Duration time_left{};  ///< until --retry has passed
};

/// An entry that did not arrive.
struct EntryFailure {
  enum class Where : std::uint8_t {
    here,     ///< unreadable, gone, changing: exit 8
    receiver  ///< kept out by its rules or its disk: exit 6
  };
  std::string name;
  Where where{};
  Code code{};
  Error error{};
};

/// A finished transfer at its sender.
struct SendReport {
  std::uint64_t files = 0;  ///< files and links that are in their place now
  std::uint64_t directories = 0;
  std::uint64_t total_bytes = 0;    ///< of those files
  std::uint64_t sent_bytes = 0;     ///< that went over the wire, before compression
  std::uint64_t wire_bytes = 0;     ///< frames and handshakes in both directions
  std::uint64_t resumed_bytes = 0;  ///< found there and proved, of files sent in part
  std::uint64_t skipped_bytes = 0;  ///< found there and proved, of files sent not at all
  std::uint64_t resumed_files = 0;
  std::uint64_t skipped_files = 0;
  bool proved = false;  ///< every file's SHA-256 tree was compared
  Duration elapsed{};
  unsigned connections = 0;            ///< of lane 0: 1 unless it was lost
  std::vector<EntryFailure> failures;  ///< the first kMaxFailuresKept
  std::uint64_t failures_here = 0;
  std::uint64_t failures_at_receiver = 0;
  std::optional<Connected> peer;  ///< of the last session
};

inline constexpr std::size_t kMaxFailuresKept = 1000;

/// A session at a receiver is over.
struct SessionEnd {
  std::string peer;  ///< its address
  std::string peer_id;
  std::optional<Error> error;  ///< unset: all that was offered is in its place or was refused
  Code code{};                 ///< of CLOSE, either way
  std::uint64_t files = 0;
  std::uint64_t received_bytes = 0;
  std::uint64_t resumed_bytes = 0;
  std::uint64_t failed = 0;  ///< entries kept out
  Duration elapsed{};
};

/// A handshake that came to nothing, or a connection that a budget refused.
struct Refusal {
  std::string address;
  Error error;
  std::optional<crypto::PublicKey> key;  ///< where one was shown
  std::optional<io::Verdict> verdict;
};

/// A receiver that has ended.
struct ReceiveReport {
  std::uint64_t sessions = 0;
  std::uint64_t failed_sessions = 0;
  std::uint64_t files = 0;
  std::uint64_t failed = 0;  ///< entries kept out
  std::uint64_t received_bytes = 0;
  std::uint64_t resumed_bytes = 0;
  std::optional<SessionEnd> last;  ///< of `once`: the transfer
};

}  // namespace sealine::io::stx
