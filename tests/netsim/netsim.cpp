// A path between two network namespaces, for what must be shown on real sockets: rate, delay, loss
// and a bounded queue without the help of the kernel's own emulators, which many kernels lack.
#include "path.hpp"
#include "place.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <exception>
#include <iostream>
#include <optional>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <vector>

namespace sealine::netsim {
namespace {

constexpr const char* kUsage =
    R"(usage: sealine-netsim [rate_mbit=N] [delay_ms=N] [loss=N] [queue_bytes=N] [seed=N]
                      [-- COMMAND... [-- COMMAND...]]

Makes the network namespaces a (10.77.0.1) and b (10.77.0.2), and a path between them that both
directions have alike:

  rate_mbit    10^6 bits a second, IP headers counted (0: no limit)
  delay_ms     one way (0)
  loss         chance of each packet, 0 to 1 (0)
  queue_bytes  that may wait for the rate (1000000); beyond them packets are dropped
  seed         of the losses (1)

With commands, the first runs in a and the second in b. When the first ends, the second gets SIGTERM,
and the exit code is the first's. Without, the first line on standard output names both namespaces as
`nsenter --net=` takes them, and the path stays until SIGTERM, SIGINT or SIGHUP. At the end standard
output gets one line of JSON: what became of the packets. It ends with the program that started it,
and nothing outlives it. Needs root; exit code 77 where that or TUN is missing, 2: usage.
)";

constexpr double kPerMillisecond = 1e6;
constexpr double kPerMegabit = 1e6;
constexpr std::uint64_t kQueueBytes = 1'000'000;
constexpr int kPacketsPerTurn = 64;
constexpr std::size_t kLargestPacket = 65'536;
constexpr int kPriority = -10;  // a router does not wait for its users' processor
constexpr int kExitNotAllowed = 77;
constexpr int kExitUsage = 2;
constexpr int kSignalled = 128;

struct Usage : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Arguments {
  PathSettings path{.queue_bytes = kQueueBytes};
  std::vector<std::vector<char*>> commands;  ///< each with a null at its end
};

double number(std::string_view name, std::string_view text) {
  std::size_t used = 0;
  double value = -1;
  try {
    value = std::stod(std::string(text), &used);
  } catch (const std::logic_error&) {
    used = 0;
  }
  // Beyond 10^15 no time could be computed from it.
  if (used != text.size() || text.empty() || !(value >= 0 && value <= 1e15)) {
    throw Usage(std::string(name) + " takes a number from 0 on, not '" + std::string(text) + "'");
  }
  return value;
}

void set(PathSettings& path, std::string_view argument) {
  const std::size_t equals = argument.find('=');
  if (equals == std::string_view::npos) throw Usage("what is '" + std::string(argument) + "'?");
  const std::string_view name = argument.substr(0, equals);
  const double value = number(name, argument.substr(equals + 1));
  if (name == "rate_mbit") {
    path.bits_per_second = static_cast<std::uint64_t>(value * kPerMegabit);
  } else if (name == "delay_ms") {
    path.delay_ns = static_cast<Nanoseconds>(value * kPerMillisecond);
  } else if (name == "loss" && value <= 1) {
    path.loss = value;
  } else if (name == "queue_bytes" && value <= 1e9) {
    path.queue_bytes = static_cast<std::uint64_t>(value);
  } else if (name == "seed") {
    path.seed = static_cast<std::uint64_t>(value);
  } else {
    throw Usage("what is '" + std::string(argument) + "'?");
  }
}

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int index = 1; index < argc; ++index) {
    const bool is_separator = std::strcmp(argv[index], "--") == 0;
    if (is_separator && arguments.commands.size() < 2) {
      if (!arguments.commands.empty()) arguments.commands.back().push_back(nullptr);
      arguments.commands.emplace_back();
    } else if (!arguments.commands.empty()) {
      arguments.commands.back().push_back(argv[index]);
    } else {
      set(arguments.path, argv[index]);
    }
  }
  if (arguments.commands.empty()) return arguments;
  arguments.commands.back().push_back(nullptr);
  for (const auto& command : arguments.commands) {
    if (command.front() == nullptr) throw Usage("an empty command");
  }
  return arguments;
}

Nanoseconds now_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return Nanoseconds{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

/// The signals that end the path, and those of ended commands, as a descriptor.
Descriptor take_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) sigaddset(&signals, signal);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  Descriptor descriptor(::signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC));
  if (descriptor.value() < 0) {
    throw std::system_error(errno, std::generic_category(), "signalfd");
  }
  return descriptor;
}

/// Both directions of the path, and where their packets come from and go to.
class Wire {
 public:
  Wire(const PathSettings& settings, int a, int b)
      : ends_{a, b}, paths_{Path(settings, 0), Path(settings, 1)}, buffer_(kLargestPacket) {}

  /// Waits for packets, for the time of the next or for a signal, and moves what is to be moved.
  void turn(int signals) {
    std::array<pollfd, 3> waits = {pollfd{ends_[0], POLLIN, 0}, pollfd{ends_[1], POLLIN, 0},
                                   pollfd{signals, POLLIN, 0}};
    timespec wait{};
    const std::optional<Nanoseconds> next = next_arrival();
    if (next) {
      const Nanoseconds left = std::max<Nanoseconds>(0, *next - now_ns());
      wait = {.tv_sec = left / 1'000'000'000, .tv_nsec = left % 1'000'000'000};
    }
    ::ppoll(waits.data(), waits.size(), next ? &wait : nullptr, nullptr);
    for (std::size_t from = 0; from < ends_.size(); ++from) {
      if ((waits.at(from).revents & POLLIN) != 0) take_in(from);
      give_out(from);
    }
  }

  void report(std::ostream& out) const {
    out << "{";
    for (std::size_t from = 0; from < paths_.size(); ++from) {
      const PathCounts& counts = paths_.at(from).counts();
      out << (from == 0 ? R"("a_to_b":{)" : R"(,"b_to_a":{)") << R"("sent":)" << counts.sent
          << R"(,"delivered":)" << counts.delivered << R"(,"delivered_bytes":)"
          << counts.delivered_bytes << R"(,"lost":)" << counts.lost << R"(,"queue_full":)"
          << counts.queue_full << "}";
    }
    out << "}" << std::endl;
  }

 private:
  [[nodiscard]] std::optional<Nanoseconds> next_arrival() const {
    std::optional<Nanoseconds> first;
    for (const Path& path : paths_) {
      const auto next = path.next_arrival();
      if (next && (!first || *next < *first)) first = next;
    }
    return first;
  }

  void take_in(std::size_t from) {
    constexpr unsigned kVersionShift = 4;
    constexpr unsigned kIpVersion = 4;
    for (int count = 0; count < kPacketsPerTurn; ++count) {
      const ssize_t size = ::read(ends_.at(from), buffer_.data(), buffer_.size());
      if (size <= 0) return;
      if (buffer_[0] >> kVersionShift != kIpVersion) continue;  // nobody's who measures here
      paths_.at(from).send({buffer_.data(), static_cast<std::size_t>(size)}, now_ns());
    }
  }

  void give_out(std::size_t from) {
    const Nanoseconds now = now_ns();
    Path& path = paths_.at(from);
    while (const Path::Packet* packet = path.arrived(now)) {
      // A packet that the device does not take is the receiving machine's loss, not the path's.
      (void)!::write(ends_.at(1 - from), packet->data(), packet->size());
      path.take();
    }
  }

  std::array<int, 2> ends_;
  std::array<Path, 2> paths_;
  std::vector<std::uint8_t> buffer_;
};

/// The commands in the two places; those that still run end with this.
class Commands {
 public:
  Commands(const Arguments& arguments, const Place& a, const Place& b) {
    const std::array<const Place*, 2> places = {&a, &b};
    for (std::size_t index = 0; index < arguments.commands.size(); ++index) {
      pids_.at(index) = places.at(index)->start(arguments.commands[index].data());
    }
  }

  Commands(const Commands&) = delete;
  Commands& operator=(const Commands&) = delete;

  ~Commands() {
    for (const pid_t pid : pids_) {
      if (pid > 0) ::kill(-pid, SIGKILL);
    }
    while (::wait(nullptr) > 0) {
    }
  }

  /// After SIGCHLD.
  void collect() {
    int status = 0;
    for (pid_t ended = 0; (ended = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      if (ended == pids_[1]) pids_[1] = 0;
      if (ended != pids_[0]) continue;
      pids_[0] = 0;
      code_ = WIFEXITED(status) ? WEXITSTATUS(status) : kSignalled + WTERMSIG(status);
      if (pids_[1] > 0) ::kill(-pids_[1], SIGTERM);
    }
  }

  /// The exit code of the first, once both have ended.
  [[nodiscard]] std::optional<int> outcome() const { return pids_[1] > 0 ? std::nullopt : code_; }

 private:
  std::array<pid_t, 2> pids_{};
  std::optional<int> code_;
};

int run(const Arguments& arguments) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  ::prctl(PR_SET_TIMERSLACK, 1UL);
  const Place a("10.77.0.1");
  const Place b("10.77.0.2");
  const Descriptor signals = take_signals();
  ::setpriority(PRIO_PROCESS, 0, kPriority);
  Wire wire(arguments.path, a.packets(), b.packets());
  Commands commands(arguments, a, b);
  if (arguments.commands.empty()) std::cout << a.path() << " " << b.path() << std::endl;
  std::optional<int> code;
  while (!code) {
    wire.turn(signals.value());
    signalfd_siginfo signal{};
    while (::read(signals.value(), &signal, sizeof signal) == sizeof signal) {
      if (signal.ssi_signo == SIGCHLD) {
        commands.collect();
        code = commands.outcome();
      } else {
        code = arguments.commands.empty() ? 0 : kSignalled + static_cast<int>(signal.ssi_signo);
      }
    }
  }
  wire.report(std::cout);
  return *code;
}

}  // namespace
}  // namespace sealine::netsim

int main(int argc, char** argv) {
  try {
    if (argc == 2 && std::string_view(argv[1]) == "--help") {
      std::cout << sealine::netsim::kUsage;
      return 0;
    }
    return sealine::netsim::run(sealine::netsim::parse(argc, argv));
  } catch (const sealine::netsim::Usage& wrong) {
    std::cerr << "sealine-netsim: " << wrong.what() << "\n" << sealine::netsim::kUsage;
    return sealine::netsim::kExitUsage;
  } catch (const sealine::netsim::NotAllowed& missing) {
    std::cerr << "sealine-netsim: " << missing.what() << "\n";
    return sealine::netsim::kExitNotAllowed;
  } catch (const std::exception& failure) {
    std::cerr << "sealine-netsim: " << failure.what() << "\n";
    return 1;
  }
}
