#include "cli/recv_stranger.hpp"

#include "cli/report.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"
#include "sealine/crypto/key_text.hpp"
#include "sealine/io/engine.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <mutex>
#include <thread>
#include <unistd.h>

namespace sealine::cli {
namespace {

constexpr std::size_t kMaxStrangers = 16;
constexpr std::size_t kMaxRemembered = 1000;

/// A folder stands for what it holds.
std::string offered_name(const io::stx::Stranger& stranger) {
  const std::size_t slash = stranger.name.find('/');
  if (slash == std::string::npos) return stranger.name;
  return stranger.name.substr(0, slash + 1);
}

/// One line of the terminal; an empty one is yes, none at all is no.
bool ask_on_terminal(const std::string& text) {
  const int terminal = ::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  if (terminal < 0) return false;
  write_fully(terminal, text);
  std::string line;
  char letter = 0;
  bool is_whole = false;
  while (::read(terminal, &letter, 1) == 1) {
    if (letter == '\n') {
      is_whole = true;
      break;
    }
    if (line.size() < 16) line += letter;
  }
  ::close(terminal);
  return is_whole && (line.empty() || line[0] == 'y' || line[0] == 'Y');
}

void remember(std::set<crypto::PublicKey>& keys, const crypto::PublicKey& key) {
  if (keys.size() >= kMaxRemembered) keys.erase(keys.begin());
  keys.insert(key);
}

}  // namespace

/// The way back from the thread that asks, as long as there is somebody to come back to.
struct StrangerGate::Asking {
  std::mutex mutex;
  StrangerGate* gate = nullptr;  ///< null once it is gone

  static void answer(const std::shared_ptr<Asking>& self, bool is_taken) {
    const std::scoped_lock lock(self->mutex);
    if (self->gate == nullptr) return;
    net::post(self->gate->executor_, [self, is_taken] {
      if (self->gate != nullptr) self->gate->on_answer(is_taken);
    });
  }
};

std::string stranger_question(const io::stx::Stranger& stranger) {
  const std::string count =
      fmt::format("{}{} file{}, {}", stranger.more ? "at least " : "", stranger.files,
                  stranger.files == 1 ? "" : "s", format_bytes(stranger.bytes));
  return fmt::format("{} {} (new) offers {} ({}). take it? [Y/n] ",
                     printable(with_plain_ipv4(stranger.address)),
                     crypto::public_key_text(io::thread_engine(), stranger.key),
                     printable(offered_name(stranger)), count);
}

StrangerGate::StrangerGate(const net::any_io_executor& executor, const TrustOptions& trust,
                           bool yes, ProgressLine& progress, Output& output)
    : executor_(executor),
      policy_(trust.policy.value_or(io::TrustPolicy::first)),
      yes_(yes),
      progress_(&progress),
      output_(&output),
      asking_(std::make_shared<Asking>()) {
  asking_->gate = this;
}

StrangerGate::~StrangerGate() {
  const std::scoped_lock lock(asking_->mutex);
  asking_->gate = nullptr;
}

void StrangerGate::judge(const io::stx::Stranger& stranger, std::function<void(bool)> answer) {
  if (policy_ == io::TrustPolicy::pinned) return answer(false);
  if (yes_) return answer(true);
  if (stranger.is_loopback && policy_ == io::TrustPolicy::first) return answer(true);
  if (declined_.contains(stranger.key)) return answer(false);
  if (::isatty(STDIN_FILENO) != 1) {
    refuse_unasked(stranger);
    return answer(false);
  }
  if (waiting_.size() >= kMaxStrangers) return answer(false);
  waiting_.push_back({stranger, std::move(answer)});
  if (waiting_.size() == 1) ask_next();
}

void StrangerGate::refuse_unasked(const io::stx::Stranger& stranger) {
  if (told_.contains(stranger.key)) return;
  remember(told_, stranger.key);
  const std::string key = crypto::public_key_text(io::thread_engine(), stranger.key);
  Failure why{{Errc::peer_key_refused}, {}, {}, {}, {}};
  why.text = fmt::format("{} is new and was refused: nobody can be asked without a terminal",
                         printable(with_plain_ipv4(stranger.address)));
  why.details.push_back("shown   " + key);
  why.hint =
      "--yes takes everybody, --allow FILE takes the keys of a list, --key FILE a shared key";
  output_->fail(why);
}

void StrangerGate::ask_next() {
  progress_->pause();
  std::thread([asking = asking_,
               text = "sealine: " + stranger_question(waiting_.front().stranger)] {
    Asking::answer(asking, ask_on_terminal(text));
  }).detach();
}

void StrangerGate::on_answer(bool is_taken) {
  Pending asked = std::move(waiting_.front());
  waiting_.pop_front();
  progress_->resume();
  if (!is_taken) remember(declined_, asked.stranger.key);
  asked.answer(is_taken);
  // Others of the same sender wait for the same answer.
  std::deque<Pending> others;
  for (Pending& pending : waiting_) {
    if (pending.stranger.key == asked.stranger.key) {
      pending.answer(is_taken);
    } else {
      others.push_back(std::move(pending));
    }
  }
  waiting_ = std::move(others);
  if (!waiting_.empty()) ask_next();
}

}  // namespace sealine::cli
