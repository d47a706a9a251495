#pragma once

#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/crypto/x25519.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sealine::io {

/// The name of a peer as known_peers has it: HOST in lower case without a final dot, IPv6 in
/// brackets, and the port. "Example.COM." and 9000 give "example.com:9000".
/// Errors: usage (empty host, or characters that no host has).
[[nodiscard]] SEALINE_API Result<std::string> peer_name(std::string_view host, std::uint16_t port);

/// The same from one text, HOST:PORT, as the user typed it.
[[nodiscard]] SEALINE_API Result<std::string> parse_peer_name(std::string_view host_port);

/// One line of a file of keys.
struct KnownKey {
  std::string peer;  ///< HOST:PORT; empty in known_clients
  crypto::PublicKey key;
  std::string first_seen;  ///< YYYY-MM-DDTHH:MM:SSZ
  std::string name;        ///< may be empty
  std::size_t line = 0;    ///< 1 for the first line of the file
};

/// What became of a key at first_contact.
enum class Contact : std::uint8_t {
  pinned,   ///< nobody was known under this name: now this key is
  known,    ///< it is the key, or the next key, of this name
  changed,  ///< another key is known
};

struct ContactResult {
  Contact contact{};
  std::vector<KnownKey> keys;  ///< what the file had for that name
};

/// A file of keys that were seen: `HOST:PORT slp1... FIRST-SEEN [name]` (known_peers), or
/// `slp1... FIRST-SEEN [name]` (known_clients).   spec: stcp.md#files
///
/// Two lines for a HOST:PORT are its current and its next key; either is good. Lines that cannot be
/// read are an error with their number (bad_file_line), never a stranger. Every change is made
/// under a lock on FILE.lock, to a temporary file that is synced and renamed; all other lines are
/// kept byte for byte. So any number of processes and threads may use the file at once, each with
/// an object of its own or one shared: it has no state but the path.
///
/// Errors of all: bad_file_line, file_error (detail = errno), file_locked (no lock within ten
/// seconds).
class SEALINE_API KnownPeers {
 public:
  enum class Kind : std::uint8_t { peers, clients };

  explicit KnownPeers(std::filesystem::path file, Kind kind = Kind::peers)
      : file_(std::move(file)), kind_(kind) {}

  /// The lines for `peer`, in the order of the file. A file that is missing has none.
  [[nodiscard]] Result<std::vector<KnownKey>> find(std::string_view peer) const;

  /// The line of a key in known_clients.
  [[nodiscard]] Result<std::optional<KnownKey>> find(const crypto::PublicKey& key) const;

  [[nodiscard]] Result<std::vector<KnownKey>> list() const;

  /// Under the lock: compares `key` with what is known of `peer`, and pins it if that is nothing.
  [[nodiscard]] Result<ContactResult> first_contact(std::string_view peer,
                                                    const crypto::PublicKey& key);

  /// Adds a line. Errors: usage if the name has a key already (known_clients: never).
  [[nodiscard]] Result<> add(std::string_view peer, const crypto::PublicKey& key,
                             std::string_view name = {});

  /// Takes all lines of `peer` out and adds one with `key`.
  [[nodiscard]] Result<> replace(std::string_view peer, const crypto::PublicKey& key);

  /// A planned change: keeps the line of `current` and one of `next`, and no other of this peer.
  /// Does nothing where `current` is not known.
  [[nodiscard]] Result<> set_next(std::string_view peer, const crypto::PublicKey& current,
                                  const crypto::PublicKey& next);

  /// Takes all lines of `peer` out and returns how many they were.
  [[nodiscard]] Result<std::size_t> forget(std::string_view peer);

  [[nodiscard]] const std::filesystem::path& file() const noexcept { return file_; }

 private:
  std::filesystem::path file_;
  Kind kind_;
};

}  // namespace sealine::io
