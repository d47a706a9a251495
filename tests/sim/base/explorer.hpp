#pragma once

#include "tests/sim/base/violation.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace sealine::sim {

/// Every order of a few events, breadth first, on real machines with toy algorithms.
///
/// Two peers with at most four messages on their way. A state is the list of actions that leads to
/// it, replayed from the start, since machines hold secrets and are not copied; it is known by the
/// hash of what can be seen of both ends and of what is in flight. Each new state is held against
/// the protocol's invariants; from some of them the rest is played without faults, and must end
/// well.
///
/// `Setting` is what all replays share. `Play(setting, root)` is both ends from the start; it knows
/// kRoots, kActions, name(code), is_possible(code), apply(code), finish_well(), hash() and print(),
/// and throws a Violation.
template <class Setting, class Play>
class Explorer {
 public:
  explicit Explorer(const char* program) : program_(program) {}

  /// Looks at states until there are `most` of them, or no more. Returns false after a violation.
  bool run(std::size_t most) {
    const auto started = std::chrono::steady_clock::now();
    known_.reserve(most * 2);
    for (std::uint8_t root = 0; root < Play::kRoots; ++root) visit({kNone, root, 0, root});
    for (std::size_t at = 0; at < states_.size() && known_.size() < most && !failed_; ++at) {
      expand(at, most);
    }
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    std::printf(
        "%s: %zu states, %zu played to their end, depth %u, %llu replays; %.1f s, %.0f states/s\n",
        program_, known_.size(), finished_, states_.empty() ? 0U : unsigned{states_.back().depth},
        static_cast<unsigned long long>(replays_), seconds,
        static_cast<double>(known_.size()) / seconds);
    return !failed_;
  }

  /// Plays one path with words.
  bool repeat(std::size_t root, const std::vector<std::uint8_t>& path) {
    try {
      Play play(setting_, root);
      play.print();
      for (const std::uint8_t code : path) {
        std::printf("%s\n", Play::name(code).c_str());
        play.apply(code);
        play.print();
      }
      play.finish_well();
      play.print();
    } catch (const Violation& violation) {
      std::printf("not ok %s: %s\n", program_, violation.what());
      return false;
    }
    return true;
  }

 private:
  static constexpr std::uint32_t kNone = 0xffffffff;
  static constexpr std::uint64_t kFinishEach = 8;

  struct Node {
    std::uint32_t parent;
    std::uint8_t code;  ///< of the action behind the parent
    std::uint8_t depth;
    std::uint8_t root;
  };

  [[nodiscard]] std::vector<std::uint8_t> path_to(const Node& node) const {
    std::vector<std::uint8_t> path(node.depth);
    const Node* here = &node;
    for (std::size_t i = node.depth; i-- > 0;) {
      path[i] = here->code;
      here = &states_[here->parent];
    }
    return path;
  }

  void expand(std::size_t at, std::size_t most) {
    const Node node = states_[at];
    const std::vector<std::uint8_t> path = path_to(node);
    std::vector<std::uint8_t> possible;
    {
      Play play(setting_, node.root);
      for (const std::uint8_t code : path) play.apply(code);
      for (std::size_t code = 0; code < Play::kActions; ++code) {
        const auto small = static_cast<std::uint8_t>(code);
        if (play.is_possible(small)) possible.push_back(small);
      }
    }
    for (const std::uint8_t code : possible) {
      if (failed_ || known_.size() >= most) return;
      visit({static_cast<std::uint32_t>(at), code, static_cast<std::uint8_t>(node.depth + 1),
             node.root});
    }
  }

  void visit(const Node& node) {
    const std::vector<std::uint8_t> path = path_to(node);
    ++replays_;
    try {
      Play play(setting_, node.root);
      for (const std::uint8_t code : path) play.apply(code);
      const std::uint64_t hash = play.hash();
      if (!known_.insert(hash).second) return;
      states_.push_back(node);
      if (hash % kFinishEach == 0) {
        ++finished_;
        play.finish_well();
      }
    } catch (const Violation& violation) {
      failed_ = true;
      std::printf("not ok %s: %s\n  path:", program_, violation.what());
      std::string codes = std::to_string(node.root) + ":";
      for (const std::uint8_t code : path) {
        std::printf(" %s", Play::name(code).c_str());
        codes += std::to_string(code) + ",";
      }
      std::printf("\n  repeat: %s --path %s\n", program_, codes.c_str());
    }
  }

  const char* program_;
  Setting setting_;
  std::vector<Node> states_;
  std::unordered_set<std::uint64_t> known_;
  std::size_t finished_ = 0;
  std::uint64_t replays_ = 0;
  bool failed_ = false;
};

/// The whole of an explorer's main().
template <class Setting, class Play>
int explore(const char* program, int argc, char** argv) {
  const auto usage = [program] {
    std::fprintf(stderr, "usage: %s [--states N] [--full] [--path ROOT:CODE,CODE,...]\n", program);
    return 2;
  };
  std::size_t states = 100'000;
  const char* const scale = std::getenv("SEALINE_TEST_SCALE");
  if (scale != nullptr && std::strcmp(scale, "full") == 0) states = 1'000'000;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--full") {
      states = 1'000'000;
    } else if (name == "--states" && i + 1 < argc) {
      states = std::strtoull(argv[++i], nullptr, 10);
    } else if (name == "--path" && i + 1 < argc) {
      char* next = argv[++i];
      const std::size_t root = std::strtoull(next, &next, 10);
      std::vector<std::uint8_t> path;
      while (*next != '\0' && next[1] != '\0') {
        const unsigned long code = std::strtoul(next + 1, &next, 10);
        if (code >= Play::kActions || root >= Play::kRoots) return usage();
        path.push_back(static_cast<std::uint8_t>(code));
      }
      return Explorer<Setting, Play>(program).repeat(root, path) ? 0 : 1;
    } else {
      return usage();
    }
  }
  return Explorer<Setting, Play>(program).run(states) ? 0 : 1;
}

}  // namespace sealine::sim
