// sealine key new | show
#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "cli/qr_code.hpp"
#include "cli/secret_files.hpp"
#include "cli/text.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/crypto/key_text.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/io/identity.hpp"
#include "sealine/io/secret_file.hpp"
#include "sealine/io/state_dir.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace sealine::cli {
namespace {

/// A new key as text that is wiped, and its public half where it has one.
struct NewKey {
  SecretBytes text;
  std::optional<crypto::PublicKey> public_key;
};

NewKey make_key(bool is_identity) {
  crypto::Engine& engine = io::thread_engine();
  crypto::Rng& rng = io::system_rng();
  if (is_identity) {
    const crypto::KeyPair pair = crypto::KeyPair::generate(engine, rng);
    return {io::identity_text(pair), pair.public_key};
  }
  crypto::Psk psk;
  rng.fill(psk.writable());
  const SecretBytes text = crypto::psk_text(engine, psk);
  SecretBytes line(text.size() + 1);
  std::ranges::copy(text.expose(), line.writable().begin());
  line.writable().back() = '\n';
  return {std::move(line), std::nullopt};
}

/// The secret to standard output; a regular file there becomes ours alone first.
Outcome<> print_secret(ByteView text) {
  struct stat status{};
  const bool is_file = ::fstat(STDOUT_FILENO, &status) == 0 && S_ISREG(status.st_mode);
  if (is_file && ::fchmod(STDOUT_FILENO, S_IRUSR | S_IWUSR) != 0) {
    return failure(Error{Errc::file_error, static_cast<std::uint32_t>(errno)},
                   "standard output is a file whose mode cannot be set to 0600",
                   "write it with -o FILE instead");
  }
  while (!text.empty()) {
    const ::ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      return failure(Error{Errc::file_error, static_cast<std::uint32_t>(errno)},
                     "the key cannot be written to standard output");
    }
    text = text.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

void print_qr(std::string_view text, Output& output) {
  const auto picture = qr_code(text, output.colors_stdout());
  if (picture) output.data(*picture);
}

/// One line of `key show`: a text, and what stands beside it.
void show_line(std::string_view kind, const std::string& text, const std::string& beside,
               const std::filesystem::path& file, bool qr, Output& output) {
  output.data(beside.empty() ? fmt::format("{}\n", text) : fmt::format("{} {}\n", text, beside));
  Fields fields{{"kind", std::string(kind)}};
  if (kind == "identity") {
    fields.push_back({"key", text});
    fields.push_back({"fingerprint", beside});
  } else {
    // An event may end in a log: the secret itself does not stand in it.
    fields.push_back({"name", beside});
  }
  fields.push_back({"file", file.string()});
  output.event("key", fields);
  if (qr) print_qr(text, output);
}

void show_public(const crypto::PublicKey& key, const std::filesystem::path& file, bool qr,
                 Output& output) {
  crypto::Engine& engine = io::thread_engine();
  show_line("identity", crypto::public_key_text(engine, key), crypto::fingerprint(engine, key),
            file, qr, output);
}

}  // namespace

int run_key_new(const KeyNewOptions& options, Output& output) {
  const NewKey key = make_key(options.is_identity);
  if (options.output.empty() || options.output == "-") {
    if (const auto printed = print_secret(key.text.expose()); !printed) {
      return give_up(printed.error(), output);
    }
    return kExitDone;
  }
  const std::string name = in_quotes(options.output.string());
  if (const auto written = io::write_secret_file(options.output, key.text.expose()); !written) {
    const bool is_there = written.error().detail == EEXIST;
    return give_up({written.error(),
                    is_there ? fmt::format("{} is there already and is not overwritten", name)
                             : fmt::format("{} cannot be written", name),
                    {},
                    is_there ? "choose another name, or move the old file away" : "",
                    {}},
                   output);
  }
  Fields fields{{"kind", options.is_identity ? "identity" : "psk"},
                {"file", options.output.string()}};
  if (key.public_key) {
    crypto::Engine& engine = io::thread_engine();
    const std::string text = crypto::public_key_text(engine, *key.public_key);
    const std::string fingerprint = crypto::fingerprint(engine, *key.public_key);
    output.say(fmt::format("a new identity is in {}: {} {}", name, text, fingerprint));
    fields.push_back({"key", text});
    fields.push_back({"fingerprint", fingerprint});
  } else {
    output.say(fmt::format("a new shared secret is in {}: both ends need a copy", name));
  }
  output.event("key", fields);
  output.done(kExitDone, {});
  return kExitDone;
}

int run_key_show(const KeyShowOptions& options, const CommonOptions& common, Output& output) {
  if (options.file.empty()) {
    const auto pair = io::open_default_identity(common.state_dir);
    const auto directory = io::state_dir_path(common.state_dir);
    const std::filesystem::path file = directory ? *directory / "identity" : "identity";
    if (!pair) return give_up(secret_file_failure(pair.error(), file, "the identity"), output);
    show_public(pair->public_key, file, options.qr, output);
    output.done(kExitDone, {});
    return kExitDone;
  }
  const auto content = io::read_secret_file(options.file);
  if (!content)
    return give_up(secret_file_failure(content.error(), options.file, "the key"), output);
  const auto keys = parse_key_file(content->expose());
  if (!keys) return give_up(secret_file_failure(keys.error(), options.file, "the key"), output);
  crypto::Engine& engine = io::thread_engine();
  if (keys->identity) show_public(keys->identity->public_key, options.file, options.qr, output);
  for (const io::NamedPsk& psk : keys->psks) {
    const SecretBytes text = crypto::psk_text(engine, psk.psk);
    show_line("psk", std::string(as_text(text.expose())), psk.name, options.file, options.qr,
              output);
  }
  output.done(kExitDone, {});
  return kExitDone;
}

}  // namespace sealine::cli
