#pragma once

#include "sealine/crypto/engine.hpp"
#include "tests/sim/base/run_result.hpp"
#include "tests/sim/base/violation.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace sealine::sim {

/// How much a simulation does where nothing else is asked for.
struct Plan {
  std::uint64_t seeds = 400;
  std::uint64_t seeds_full = 4000;  ///< with SEALINE_TEST_SCALE=full, or --full
  std::uint64_t events = 5000;      ///< of a seed
  std::uint64_t repeats = 25;       ///< seeds that are run twice
};

/// Runs seeds, in two processes or as many as are asked for, and says what came of them.
///
/// `World(seed, events, engine, keys)` runs one seed by run(), which throws a Violation;
/// `Keys(engine)` is what all seeds of a process share.
template <class Keys, class World>
class Runner {
 public:
  Runner(const char* program, const Plan& plan) : program_(program), plan_(plan) {}

  /// The status that the program ends with.
  int run(int argc, char** argv) {
    const char* const scale = std::getenv("SEALINE_TEST_SCALE");
    if (scale != nullptr && std::strcmp(scale, "full") == 0) plan_.seeds = plan_.seeds_full;
    if (!read_options(argc, argv)) {
      std::fprintf(stderr,
                   "usage: %s [--seeds N] [--first N] [--seed N] [--events N] [--processes N] "
                   "[--full]\n",
                   program_);
      return 2;
    }
    if (plan_.seeds < 2 || processes_ < 2) return run_seeds(0, 1) ? 0 : 1;
    std::vector<pid_t> children;
    for (std::uint64_t i = 0; i < processes_; ++i) {
      const pid_t child = ::fork();
      if (child == 0) ::_exit(run_seeds(i, processes_) ? 0 : 1);
      if (child > 0) children.push_back(child);
    }
    bool is_good = children.size() == processes_;
    for (const pid_t child : children) {
      int status = 0;
      is_good = ::waitpid(child, &status, 0) == child && status == 0 && is_good;
      if (WIFSIGNALED(status)) {
        std::printf("not ok %s: a process was ended by signal %d\n", program_, WTERMSIG(status));
      }
    }
    return is_good ? 0 : 1;
  }

 private:
  static constexpr unsigned kEnoughFailures = 5;

  bool read_options(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
      const std::string_view name = argv[i];
      if (name == "--full") {
        plan_.seeds = plan_.seeds_full;
        continue;
      }
      if (i + 1 == argc) return false;
      const std::uint64_t value = std::strtoull(argv[++i], nullptr, 10);
      if (name == "--seeds") {
        plan_.seeds = value;
      } else if (name == "--first") {
        first_ = value;
      } else if (name == "--events") {
        plan_.events = value;
      } else if (name == "--processes") {
        processes_ = value;
      } else if (name == "--seed") {
        first_ = value;
        plan_.seeds = 1;
        is_single_ = true;
      } else {
        return false;
      }
    }
    return true;
  }

  /// Every `stride`-th seed; false if one of them failed.
  bool run_seeds(std::uint64_t offset, std::uint64_t stride) {
    const auto started = std::chrono::steady_clock::now();
    auto engine = crypto::make_engine();
    if (!engine) {
      std::fprintf(stderr, "%s: no engine\n", program_);
      return false;
    }
    const Keys keys(**engine);
    unsigned failed = 0;
    for (std::uint64_t i = offset; i < plan_.seeds && failed < kEnoughFailures; i += stride) {
      const std::uint64_t seed = first_ + i;
      try {
        const RunResult result = World(seed, plan_.events, **engine, keys).run();
        if (i < plan_.repeats) {
          const RunResult again = World(seed, plan_.events, **engine, keys).run();
          if (again.trace != result.trace) throw Violation("the same seed gives the same run");
          ++repeated_;
        }
        add(result);
        if (is_single_) {
          std::printf("seed %llu: trace %016llx\n", number(seed), number(result.trace));
        }
      } catch (const Violation& violation) {
        ++failed;
        std::printf("not ok %s: %s\n  repeat: %s --seed %llu --events %llu\n", program_,
                    violation.what(), program_, number(seed), number(plan_.events));
        std::fflush(stdout);
      }
    }
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    report(seconds, std::string((*engine)->name()));
    return failed == 0;
  }

  void add(const RunResult& result) {
    sum_.events += result.events;
    if (sum_.counts.empty()) {
      sum_.counts = result.counts;
      return;
    }
    for (std::size_t i = 0; i < sum_.counts.size(); ++i) {
      sum_.counts[i].value += result.counts[i].value;
    }
  }

  void report(double seconds, const std::string& engine) const {
    std::string words;
    for (const auto& count : sum_.counts) {
      words += ", " + std::to_string(count.value) + " " + count.name;
    }
    std::printf("%s: %llu events%s, %llu seeds run twice; %.1f s, %.0f events/s (%s)\n", program_,
                number(sum_.events), words.c_str(), number(repeated_), seconds,
                static_cast<double>(sum_.events) / seconds, engine.c_str());
    std::fflush(stdout);
  }

  static unsigned long long number(std::uint64_t value) { return value; }

  const char* program_;
  Plan plan_;
  std::uint64_t first_ = 1;
  std::uint64_t processes_ = 2;
  std::uint64_t repeated_ = 0;
  bool is_single_ = false;
  RunResult sum_;
};

/// The whole of a simulation's main().
template <class Keys, class World>
int run_simulation(const char* program, const Plan& plan, int argc, char** argv) {
  return Runner<Keys, World>(program, plan).run(argc, argv);
}

}  // namespace sealine::sim
