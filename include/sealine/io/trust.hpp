#pragma once

#include "sealine/base/errc.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/crypto/x25519.hpp"
#include "sealine/io/allow_file.hpp"
#include "sealine/io/known_peers.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sealine::io {

/// What to do with a peer that nobody has met before (`--trust`).
enum class TrustPolicy : std::uint8_t {
  first,   ///< "new": take its key and pin it
  ask,     ///< ask the user, then pin it
  pinned,  ///< refuse it
};

/// "new", "ask", "pinned". Errors: usage.
[[nodiscard]] SEALINE_API Result<TrustPolicy> parse_trust_policy(std::string_view text);

/// How far the peer at the other end is known.
enum class TrustWord : std::uint8_t {
  not_authenticated,  ///< it has proved nothing
  first_contact,      ///< "new, pinned": its key was pinned just now
  known,              ///< its key is the pinned one
  given,              ///< its key was given for this run, or stands in the allow file
  psk,                ///< it holds the shared secret
};

/// The words of the one-line report: "not authenticated", "new, pinned", "known", "given", "psk".
[[nodiscard]] SEALINE_API std::string_view to_string(TrustWord word) noexcept;

/// A peer that has shown its key and proved to hold it.
struct Introduction {
  enum class Role : std::uint8_t { server, client };
  Role role{};       ///< what the peer is
  std::string peer;  ///< HOST:PORT as dialled; of a client its address
  crypto::PublicKey key;
  std::optional<std::uint32_t> sas;  ///< for two people to compare, where it is known by now
};

/// The answer to an Introduction.
struct Verdict {
  std::optional<Error> refused;         ///< peer_key_changed, peer_key_refused, or why nobody knows
  TrustWord word{};                     ///< if not refused
  std::vector<crypto::PublicKey> pins;  ///< what was known: of a changed key, the old ones
  std::string name;                     ///< the name beside the key in its file

  [[nodiscard]] bool is_accepted() const noexcept { return !refused; }

  [[nodiscard]] static Verdict accept(TrustWord how) { return {std::nullopt, how, {}, {}}; }

  [[nodiscard]] static Verdict refuse(Error why) { return {why, {}, {}, {}}; }
};

/// Judges the keys that peers show.
///
/// decide() answers through `answer`, once: at once or later, from any thread. Until then the
/// handshake waits, within its deadline, and nothing is sent. A stream that is gone when the answer
/// comes ignores it. Shared by many connections; any thread. An answer holds nothing of its
/// connection that could end in the thread that has it.
class SEALINE_API Trust {
 public:
  using Answer = std::move_only_function<void(Verdict)>;

  virtual ~Trust() = default;
  Trust(const Trust&) = delete;
  Trust& operator=(const Trust&) = delete;

  virtual void decide(const Introduction& introduction, Answer answer) = 0;

  /// The peer has announced its next key inside of a channel that `introduction.key` authenticated.
  virtual void next_key(const Introduction& introduction, const crypto::PublicKey& next);

 protected:
  Trust() = default;
};

/// Asks a person. The answer says whether to go on; it may come later and from any thread.
using Prompt =
    std::move_only_function<void(const Introduction&, std::move_only_function<void(bool)>)>;

/// Known peers (servers that we dialled) or known clients (those who dialled us in mode mutual).
class SEALINE_API KnownPeersTrust final : public Trust {
 public:
  /// `prompt` is needed by TrustPolicy::ask alone; without it a stranger is refused.
  KnownPeersTrust(KnownPeers file, TrustPolicy policy, Prompt prompt = {});

  void decide(const Introduction& introduction, Answer answer) override;
  void next_key(const Introduction& introduction, const crypto::PublicKey& next) override;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

/// One or several keys given for this run (`--peer-key`).
class SEALINE_API GivenKeyTrust final : public Trust {
 public:
  explicit GivenKeyTrust(std::vector<crypto::PublicKey> keys) : keys_(std::move(keys)) {}

  void decide(const Introduction& introduction, Answer answer) override;

 private:
  std::vector<crypto::PublicKey> keys_;
};

/// The keys of an allow file (`--allow`), and nobody else.
class SEALINE_API AllowFileTrust final : public Trust {
 public:
  explicit AllowFileTrust(std::shared_ptr<AllowFile> file) : file_(std::move(file)) {}

  void decide(const Introduction& introduction, Answer answer) override;

 private:
  std::shared_ptr<AllowFile> file_;
};

/// `known_peers` of the state directory, made at first need; strangers by `policy`.
/// Errors: those of open_state_dir.
[[nodiscard]] SEALINE_API Result<std::shared_ptr<Trust>> default_client_trust(
    TrustPolicy policy = TrustPolicy::first, Prompt prompt = {},
    const std::filesystem::path& state_dir = {});

/// `known_clients` of the state directory, likewise.
[[nodiscard]] SEALINE_API Result<std::shared_ptr<Trust>> default_server_trust(
    TrustPolicy policy = TrustPolicy::first, Prompt prompt = {},
    const std::filesystem::path& state_dir = {});

}  // namespace sealine::io
