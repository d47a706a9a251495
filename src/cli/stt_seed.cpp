#include "cli/stt_seed.hpp"

#include "cli/exit_code.hpp"
#include "cli/secret_files.hpp"
#include "sealine/base/assert.hpp"
#include "sealine/crypto/key_text.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/io/secret_file.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fcntl.h>
#include <string_view>
#include <termios.h>
#include <unistd.h>
#include <utility>

namespace sealine::cli {
namespace {

constexpr std::string_view kWhat = "the seed";
constexpr std::size_t kMostPhraseBytes = 1024;

/// While the user has not asked for an end of idle sessions, life is shown often enough for the far
/// end and for every box between.
constexpr Duration kPingAfter = std::chrono::seconds(20);

std::filesystem::path path_of_environment() {
  if (const char* const named = std::getenv("SEALINE_SEED_FILE"); named != nullptr && *named != 0) {
    return named;
  }
  if (const char* const directory = std::getenv("CREDENTIALS_DIRECTORY");
      directory != nullptr && *directory != 0) {
    std::filesystem::path path = std::filesystem::path(directory) / "sealine.key";
    std::error_code ec;
    if (std::filesystem::exists(path, ec)) return path;
  }
  return {};
}

SharedSeed seed_of(ByteView bytes) { return std::make_shared<const stc::Seed>(bytes); }

/// The terminal without echo, for as long as it lives.
class QuietTerminal final {
 public:
  explicit QuietTerminal(int fd) : fd_(fd) {
    if (::tcgetattr(fd_, &before_) != 0) return;
    struct termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    is_quiet_ = ::tcsetattr(fd_, TCSAFLUSH, &quiet) == 0;
  }

  ~QuietTerminal() {
    if (is_quiet_) ::tcsetattr(fd_, TCSAFLUSH, &before_);
  }

  QuietTerminal(const QuietTerminal&) = delete;
  QuietTerminal& operator=(const QuietTerminal&) = delete;

  [[nodiscard]] bool is_quiet() const noexcept { return is_quiet_; }

 private:
  int fd_;
  struct termios before_{};
  bool is_quiet_ = false;
};

/// One line of the terminal, unseen.
Outcome<SecretBytes> ask_phrase() {
  const int terminal = ::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  if (terminal < 0) {
    return usage("there is no terminal on which --passphrase could be asked for",
                 "--seed-file FILE takes a seed from a file");
  }
  SecretBytes line(kMostPhraseBytes);
  std::size_t used = 0;
  bool is_quiet = false;
  {
    const QuietTerminal quiet(terminal);
    is_quiet = quiet.is_quiet();
    if (is_quiet) {
      write_fully(terminal, "sealine: passphrase: ");
      std::uint8_t letter = 0;
      while (::read(terminal, &letter, 1) == 1 && letter != '\n') {
        if (used < line.size()) line.writable()[used++] = letter;
      }
      write_fully(terminal, "\n");
    }
  }
  ::close(terminal);
  if (!is_quiet) return usage("the terminal cannot be kept from showing the passphrase");
  if (used == 0) return usage("the passphrase is empty");
  if (used == line.size()) return usage("the passphrase is longer than 1024 bytes");
  return SecretBytes(ByteView(line.expose()).first(used));
}

Outcome<SharedSeed> seed_of_terminal(Output& output) {
  SEALINE_TRY(phrase, ask_phrase());
  output.warn(
      "whoever records one dial can try phrases at leisure: `sealine key new` makes a seed that "
      "cannot be guessed");
  auto seed = stc::seed_of_passphrase(phrase.expose());
  if (!seed) return failure(seed.error(), "the seed of the passphrase cannot be made");
  return std::make_shared<const stc::Seed>(std::move(*seed));
}

}  // namespace

Outcome<SharedSeed> load_seed(const SeedOptions& options, Output& output) {
  if (options.asks_passphrase) return seed_of_terminal(output);
  const std::filesystem::path path = options.file.empty() ? path_of_environment() : options.file;
  if (path.empty()) {
    return usage("the seed is missing: --seed-file FILE",
                 "sealine key new -o FILE makes one, and both ends need a copy");
  }
  auto psk = io::read_one_psk_file(path);
  if (!psk) return std::unexpected(secret_file_failure(psk.error(), path, kWhat));
  return seed_of(psk->psk.expose());
}

SharedSeed new_seed() {
  SecretBytes bytes(stc::kMinSeedBytes);
  io::system_rng().fill(bytes.writable());
  return seed_of(bytes.expose());
}

SecretBytes seed_text(const stc::Seed& seed) {
  SEALINE_ASSERT(seed.size() == crypto::kKeyBytes);
  const crypto::Psk psk(seed.expose().first<crypto::kKeyBytes>());
  return crypto::psk_text(io::thread_engine(), psk);
}

io::stt::EndpointOptions endpoint_options(SharedSeed seed, const NetworkOptions& network,
                                          io::stt::Padding padding) {
  io::stt::EndpointOptions out;
  out.seed = std::move(seed);
  out.family = network.family;
  out.handshake_timeout = network.handshake_timeout;
  out.session.padding = padding;
  if (network.idle_timeout && *network.idle_timeout > Duration::zero()) {
    out.session.limits.idle_timeout = *network.idle_timeout;
  } else {
    out.session.limits.ping_after = kPingAfter;
  }
  return out;
}

}  // namespace sealine::cli
