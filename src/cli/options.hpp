#pragma once

#include "cli/addresses.hpp"
#include "cli/output.hpp"
#include "sealine/base/time.hpp"
#include "sealine/io/stcp_options.hpp"
#include "sealine/io/stt_options.hpp"
#include "sealine/io/stx_conflict.hpp"
#include "sealine/io/stx_options.hpp"
#include "sealine/io/trust.hpp"
#include "sealine/stcp/legacy.hpp"
#include "sealine/stcp/padding.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace sealine::cli {

/// What every command takes.
struct CommonOptions {
  std::filesystem::path state_dir;  ///< empty: environment and defaults
  OutputOptions output;
  bool yes = false;
};

/// What all take that connect or listen.
struct NetworkOptions {
  io::stcp::AddressFamily family = io::stcp::AddressFamily::any;
  Duration handshake_timeout = std::chrono::seconds(10);
  std::optional<Duration> idle_timeout;
  Duration retry{0};
  std::uint64_t limit_rate = 0;  ///< bytes a second, 0: none
};

/// How the two ends know each other.
struct TrustOptions {
  std::optional<io::TrustPolicy> policy;
  std::string peer_key;  ///< the text as typed
  std::filesystem::path identity;
  std::filesystem::path allow;
  std::filesystem::path psk_file;
  bool anonymous = false;
  bool mutual = false;
  stcp::Padding padding = stcp::PadNone{};
};

struct PipeOptions {
  std::optional<HostPort> listen;
  HostPort peer;  ///< without `listen`
  bool keep = false;
  NetworkOptions network;
  TrustOptions trust;

  [[nodiscard]] bool is_listener() const { return listen.has_value(); }
};

struct MsgOptions {
  std::optional<HostPort> listen;
  HostPort peer;        ///< without `listen`
  std::string command;  ///< --exec; empty: standard input and output
  bool receipts = false;
  bool reconnect = false;
  std::uint64_t rotate_bytes = std::uint64_t{1} << 30U;
  Duration rotate_after = std::chrono::hours(1);
  std::uint32_t max_rate = 0;  ///< messages a second that the peer may send, 0: no limit
  NetworkOptions network;
  TrustOptions trust;

  [[nodiscard]] bool is_listener() const { return listen.has_value(); }
};

struct TunnelOptions {
  End listen;
  End to;
  std::size_t max_connections = 1024;
  bool unsafe_listen = false;
  NetworkOptions network;
  TrustOptions trust;
};

enum class ProgressChoice : std::uint8_t { automatic, always, never };

struct SendOptions {
  std::vector<std::string> paths;  ///< "-": standard input, as `input_name`
  HostPort peer;
  std::string input_name;
  bool needs_key = false;  ///< stx-send: the key form alone
  std::filesystem::path key;
  std::vector<std::string> exclude;
  std::uint32_t block_bytes = 0;  ///< 0: the default
  std::size_t lanes = 1;
  io::stx::Compression compression = io::stx::Compression::automatic;
  bool dry_run = false;
  ProgressChoice progress = ProgressChoice::automatic;
  bool has_retry = false;  ///< network.retry was given
  NetworkOptions network;
  TrustOptions trust;
  std::string command_line;  ///< to be typed again
};

struct RecvOptions {
  enum class Action : std::uint8_t { receive, list, discard };
  Action action = Action::receive;
  HostPort listen;
  std::filesystem::path directory = ".";
  bool needs_key = false;  ///< stx-recv: the key form alone
  std::vector<std::filesystem::path> keys;
  io::stx::OnConflict on_conflict = io::stx::OnConflict::fail;
  bool once = false;
  bool per_sender = false;
  std::uint64_t quota_bytes = 0;  ///< 0: none
  std::string hook;               ///< --hook; empty: none
  bool require_clock = false;
  bool any_links = false;
  ProgressChoice progress = ProgressChoice::automatic;
  NetworkOptions network;
  TrustOptions trust;
};

/// Where the seed of an STT session comes from.
struct SeedOptions {
  std::filesystem::path file;  ///< empty: the environment's
  bool asks_passphrase = false;
};

/// [ADDR:]PORT:HOST:PORT, as ssh has it.
struct PortForward {
  HostPort listen;
  HostPort target;
};

struct SttOptions {
  enum class Role : std::uint8_t { listen, connect, forward };
  /// What is at our end of a stream.
  enum class Work : std::uint8_t { standard, echo, command, targets };
  Role role = Role::listen;
  Work work = Work::standard;
  io::stt::Url url;
  std::string command;                ///< --exec
  std::vector<HostPort> targets;      ///< --forward: where a stream may ask to be taken
  std::vector<PortForward> forwards;  ///< -L
  std::vector<std::string> origins;
  io::stt::Padding padding = io::stt::Padding::none;
  stt::CongestionControl congestion = stt::CongestionControl::cubic;
  std::size_t mtu_bytes = 0;  ///< 0: found out
  std::size_t workers = 1;
  bool unsafe_listen = false;
  SeedOptions seed;
  NetworkOptions network;
};

struct WebOptions {
  HostPort listen{"127.0.0.1", 8080};
  std::filesystem::path directory = ".";  ///< where files land
  bool makes_seed = false;                ///< --new-seed: for this run
  bool unsafe_listen = false;
  std::vector<std::string> origins;
  io::stt::Padding padding = io::stt::Padding::none;
  SeedOptions seed;
  NetworkOptions network;
};

struct KeyNewOptions {
  bool is_identity = false;
  std::filesystem::path output;  ///< empty: standard output
};

struct KeyShowOptions {
  std::filesystem::path file;  ///< empty: the identity of the state directory
  bool qr = false;
};

struct PeersOptions {
  enum class Action : std::uint8_t { list, add, replace, forget };
  Action action = Action::list;
  std::string name;
  std::string key;
};

struct LegacyOptions {
  bool is_sealing = true;
  std::filesystem::path key;
  std::size_t iv_size = 16;
  stcp::LegacyRole role = stcp::LegacyRole::client;
  bool any_time = false;
  bool raw = false;
};

struct ExplainOptions {
  std::string code;
};

struct VersionOptions {};

struct HelpOptions {
  std::string topic;  ///< empty: the front page
  bool is_answer_to_nothing = false;
};

using Command =
    std::variant<HelpOptions, VersionOptions, ExplainOptions, KeyNewOptions, KeyShowOptions,
                 PeersOptions, LegacyOptions, PipeOptions, TunnelOptions, MsgOptions, SendOptions,
                 RecvOptions, SttOptions, WebOptions>;

}  // namespace sealine::cli
