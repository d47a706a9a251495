#include "cli/prompt.hpp"

#include "cli/output.hpp"
#include "cli/text.hpp"
#include "sealine/crypto/key_text.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/io/stcp_options.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <string>
#include <thread>
#include <unistd.h>
#include <utility>

namespace sealine::cli {
namespace {

std::string question(const io::Introduction& stranger) {
  crypto::Engine& engine = io::thread_engine();
  std::string text = fmt::format("sealine: {} is new: {} {}", printable(stranger.peer),
                                 crypto::public_key_text(engine, stranger.key),
                                 crypto::fingerprint(engine, stranger.key));
  if (stranger.sas) text += fmt::format(", sas {}", io::stcp::sas_text(*stranger.sas));
  return text + "\nsealine: trust this key from now on? [y/N] ";
}

/// One line of the terminal; yes if it begins with y.
bool ask(const std::string& text) {
  const int terminal = ::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  if (terminal < 0) return false;
  write_fully(terminal, text);
  std::string line;
  char letter = 0;
  while (::read(terminal, &letter, 1) == 1 && letter != '\n') {
    if (line.size() < 16) line += letter;
  }
  ::close(terminal);
  return line == "y" || line == "Y" || line == "yes";
}

}  // namespace

io::Prompt make_prompt(bool yes, std::shared_ptr<PromptRecord> record) {
  return [yes, record = std::move(record)](const io::Introduction& stranger,
                                           std::move_only_function<void(bool)> answer) {
    if (yes) return answer(true);
    if (::isatty(STDIN_FILENO) != 1) {
      record->could_not_ask = true;
      return answer(false);
    }
    // The handshake's deadline goes on meanwhile, so the question has a thread of its own.
    std::thread([record, text = question(stranger), answer = std::move(answer)]() mutable {
      const bool is_trusted = ask(text);
      if (!is_trusted) record->was_declined = true;
      answer(is_trusted);
    }).detach();
  };
}

}  // namespace sealine::cli
