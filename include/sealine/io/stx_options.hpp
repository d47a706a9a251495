#pragma once

#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/time.hpp"
#include "sealine/crypto/key_text.hpp"
#include "sealine/crypto/x25519.hpp"
#include "sealine/io/known_peers.hpp"
#include "sealine/io/stcp_options.hpp"
#include "sealine/io/stx_conflict.hpp"
#include "sealine/io/stx_events.hpp"
#include "sealine/stx/limits.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace sealine::io::stx {

using ::sealine::stx::Limits;

/// Where a receiver listens unless told otherwise.
inline constexpr std::uint16_t kDefaultPort = 9440;

/// --compress
enum class Compression : std::uint8_t {
  automatic,  ///< where a sample shows that it pays
  never,
  always,
};

/// STCP's options as STX uses them: mode mutual unless they say psk. Others are bad_configuration.
[[nodiscard]] SEALINE_API stcp::ClientOptions default_stcp_client();
[[nodiscard]] SEALINE_API stcp::ServerOptions default_stcp_server();

/// What a sender decides. Read only while a transfer lasts.
struct SendOptions {
  // --- who we are, and who the receiver is

  /// Set: the key form (`--key`). Null: the STCP form, by `stcp`.
  std::shared_ptr<const crypto::Psk> key;
  /// Mode mutual (identity null: `identity` of the state directory, made at first need; trust null:
  /// known_peers) or psk. `family` and `connect_timeout` count in the key form too.
  stcp::ClientOptions stcp = default_stcp_client();

  // --- what is sent, and how

  std::vector<std::string> exclude;  ///< globs, against the name and against the whole path
  std::uint32_t block_bytes = 0;     ///< a power of two, 16 KiB to 1 MiB; 0: 256 KiB
  std::size_t lanes = 1;             ///< connections at once, up to kMaxLanes
  Compression compression = Compression::automatic;
  std::uint64_t rate_limit = 0;    ///< bytes a second on the wire; 0: none
  int input = 0;                   ///< the descriptor that the path "-" stands for
  std::string input_name;          ///< --name: what "-" is called at the receiver
  bool dry_run = false;            ///< walk and report, connect to nobody
  std::size_t worker_threads = 0;  ///< beside the network's; 0: by the machine

  // --- how long

  /// How long to try again without progress, 0: not at all. Unset: 10 minutes, but only 10 s until
  /// the receiver has once been reached.
  std::optional<Duration> retry;
  Limits limits;  ///< handshake_timeout and silence_timeout among them
  /// Ends the transfer with `cancelled`; any thread may ask. What is durable stays so.
  std::stop_token stop;

  // --- what is heard of it; called on the executor of the transfer

  std::function<void(const Connected&)> on_connected;  ///< for each session
  std::function<void(const FileEvent&)> on_file;
  std::function<void(const Progress&)> on_progress;  ///< a few times a second
  std::function<void(const Notice&)> on_notice;
  std::function<void(const Retrying&)> on_retry;
};

/// Somebody whose key is in no list offers files; nothing of it is taken yet.
struct Stranger {
  std::string address;
  bool is_loopback = false;
  crypto::PublicKey key;
  std::string name;         ///< of the first entry: show it quoted
  std::uint64_t files = 0;  ///< offered so far; with `more` there are others behind
  std::uint64_t bytes = 0;
  bool more = false;
};

/// Answers once, at once or later, from any thread. Until then the sender waits.
using JudgeStranger = std::function<void(const Stranger&, std::function<void(bool)> answer)>;

/// What a receiver decides. Read only while it lasts, but for set_keys.
struct ReceiveOptions {
  std::filesystem::path directory = ".";

  // --- who may send

  /// Not empty: the key form. Empty: the STCP form, by `stcp`.
  std::vector<std::shared_ptr<const crypto::Psk>> keys;
  /// Modes mutual or psk. Trust null: `known_clients` of the state directory, and `on_stranger` for
  /// those who are not in it. A trust that refuses with peer_key_refused leaves the sender to
  /// on_stranger as well, where that is set.
  stcp::ServerOptions stcp = default_stcp_server();
  /// Unset: strangers from loopback are taken, others are not, as long as `stcp.trust` is null.
  JudgeStranger on_stranger;
  /// Where a stranger who was taken is pinned. Unset: `known_clients` of the state directory, as
  /// long as `stcp.trust` is null; else nowhere.
  std::optional<KnownPeers> known_clients;
  bool require_clock = false;  ///< senders whose clock is over 300 s away are refused

  // --- what is taken

  OnConflict on_conflict = OnConflict::fail;
  bool per_sender = false;        ///< a sub-directory for each peer id
  std::uint64_t quota_bytes = 0;  ///< of a peer; 0: none
  std::uint64_t quota_files = 0;  ///< of a peer; 0: none
  bool any_links = false;         ///< symlinks that point outside too
  std::uint32_t max_block_bytes = std::uint32_t{1} << ::sealine::stx::kMaxBlockLog2;
  bool accept_compressed = true;

  // --- how many, how long

  bool once = false;                ///< end after the first transfer
  std::size_t max_senders = 64;     ///< sessions at once; more are refused
  stcp::ListenerLimits handshakes;  ///< what strangers may cost
  Limits limits;
  std::size_t worker_threads = 0;  ///< beside the network's; 0: by the machine
  std::stop_token stop;            ///< ends all, with CLOSE{7} for the senders

  // --- what is heard of it; called on the receiver's executor

  std::function<void(const Connected&)> on_connected;
  std::function<void(const FileEvent&)> on_file;  ///< after DONE: the hook's place
  std::function<void(const Progress&)> on_progress;
  std::function<void(const SessionEnd&)> on_session_end;
  std::function<void(const Refusal&)> on_refusal;  ///< a handshake that came to nothing
  std::function<void(const Notice&)> on_notice;
};

}  // namespace sealine::io::stx
