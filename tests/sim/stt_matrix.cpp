// How much of a path STT over UDP uses, in virtual time: bulk data over a bottleneck, for each of
// rate, round trip, random loss and length of the queue, with CUBIC and with BBR; and two CUBIC
// flows that share one. Prints a table; fails where a path without loss is used by less than 90 %,
// BBR at 1 % of loss by less than 80 %, or Jain's index of the two flows is below 0.95. The rate of
// a path counts whole datagrams, what is printed the bytes of the application.
#include "sealine/crypto/engine.hpp"
#include "sealine/stt/session.hpp"
#include "tests/sim/stt_matrix/flow.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace sealine::sim {
namespace {

using stt::CongestionControl;

constexpr double kLeastWithoutLoss = 0.90;
constexpr double kLeastAtOnePercent = 0.80;  ///< BBR
constexpr double kLeastFairness = 0.95;

struct Cell {
  std::uint64_t mbit = 0;
  int rtt_ms = 0;
  double loss = 0;
  double queue = 0;  ///< in bandwidth-delay products
  CongestionControl congestion{};
  bool is_shared = false;  ///< by two flows; the result is Jain's index

  [[nodiscard]] double least() const {
    if (is_shared) return kLeastFairness;
    if (loss == 0) return kLeastWithoutLoss;
    return loss == 0.01 && congestion == CongestionControl::bbr ? kLeastAtOnePercent : 0;
  }

  [[nodiscard]] double bdp_bytes() const {
    return static_cast<double>(mbit) * 1e6 / 8 * rtt_ms / 1000;
  }
};

/// `is_full`: all of them; else those that have a criterion, to 100 Mbit/s.
std::vector<Cell> all_cells(bool is_full) {
  std::vector<Cell> cells;
  for (const std::uint64_t mbit : {10U, 100U, 1000U}) {
    if (mbit > 100 && !is_full) break;
    for (const int rtt_ms : {2, 20, 100, 300}) {
      for (const double loss : {0.0, 0.001, 0.01, 0.03}) {
        for (const double queue : {0.25, 1.0, 4.0}) {
          for (const auto congestion : {CongestionControl::cubic, CongestionControl::bbr}) {
            const Cell cell{.mbit = mbit,
                            .rtt_ms = rtt_ms,
                            .loss = loss,
                            .queue = queue,
                            .congestion = congestion};
            if (is_full || cell.least() > 0) cells.push_back(cell);
          }
        }
      }
    }
  }
  for (const std::uint64_t mbit : {10U, 100U}) {
    for (const int rtt_ms : {20, 100}) {
      if (mbit * static_cast<std::uint64_t>(rtt_ms) > 2000 && !is_full) continue;
      cells.push_back({.mbit = mbit,
                       .rtt_ms = rtt_ms,
                       .queue = 1,
                       .congestion = CongestionControl::cubic,
                       .is_shared = true});
    }
  }
  return cells;
}

test::LinkSettings link_of(const Cell& cell) {
  constexpr double kLeastQueue = 3 * 1472;  // less would not hold one train
  return {
      .bits_per_second = cell.mbit * 1'000'000,
      .delay = std::chrono::milliseconds(cell.rtt_ms) / 2,
      .queue_bytes = static_cast<std::size_t>(std::max(cell.queue * cell.bdp_bytes(), kLeastQueue)),
      .loss = cell.loss};
}

stt::SessionConfig config_of(const Cell& cell) {
  stt::SessionConfig config;
  config.transport = stt::Transport::udp;
  config.recovery.congestion = cell.congestion;
  // Nothing but the path is to be the limit.
  config.limits.send_buffer_bytes = std::size_t{1} << 20U;
  config.limits.max_stream_window_bytes = std::uint64_t{512} << 20U;
  config.limits.max_session_window_bytes = std::uint64_t{512} << 20U;
  return config;
}

/// The share of the rate that one flow uses once it has settled.
double utilisation(const Cell& cell, crypto::Engine& engine, std::uint64_t seed) {
  DiceRng rng(mix(seed));
  Path path(link_of(cell), seed);
  path.add(std::make_unique<Flow>(config_of(cell), 0, engine, rng, path.now()));
  path.flow(0).begin(path.now());
  const Duration rtt = std::chrono::milliseconds(cell.rtt_ms);
  path.run(2s + 20 * rtt);
  const std::uint64_t before = path.flow(0).bytes_read();
  const Duration time = 6s + 30 * rtt;
  path.run(time);
  if (!path.flow(0).is_alive()) return 0;
  const auto bytes = static_cast<double>(path.flow(0).bytes_read() - before);
  return bytes * 8 / std::chrono::duration<double>(time).count() /
         (static_cast<double>(cell.mbit) * 1e6);
}

/// (sum x)^2 / (n sum x^2) of two flows, the second of which comes later.
double fairness(const Cell& cell, crypto::Engine& engine, std::uint64_t seed) {
  DiceRng rng(mix(seed));
  Path path(link_of(cell), seed);
  for (std::uint64_t i = 0; i < 2; ++i) {
    path.add(std::make_unique<Flow>(config_of(cell), i, engine, rng, path.now()));
  }
  path.flow(0).begin(path.now());
  path.run(3s);
  path.flow(1).begin(path.now());
  path.run(15s);
  std::array<double, 2> got{};
  for (std::size_t i = 0; i < 2; ++i) got[i] = -static_cast<double>(path.flow(i).bytes_read());
  path.run(30s);
  for (std::size_t i = 0; i < 2; ++i) got[i] += static_cast<double>(path.flow(i).bytes_read());
  const double sum = got[0] + got[1];
  const double squares = got[0] * got[0] + got[1] * got[1];
  return squares == 0 ? 0 : sum * sum / (2 * squares);
}

double result_of(const Cell& cell, crypto::Engine& engine, std::uint64_t seed) {
  return cell.is_shared ? fairness(cell, engine, seed) : utilisation(cell, engine, seed);
}

const char* name_of(CongestionControl congestion) {
  return congestion == CongestionControl::bbr ? "bbr" : "cubic";
}

struct Options {
  bool is_full = false;
  std::uint64_t seed = 1;
  std::uint64_t processes = 2;
  std::optional<std::size_t> cell;
};

/// The results of all cells, worked out by several processes. Those that ended badly give 0.
std::vector<double> run_cells(const std::vector<Cell>& cells, const Options& options,
                              crypto::Engine& engine) {
  std::vector<double> results(cells.size(), 0);
  std::vector<int> outputs;
  for (std::uint64_t i = 0; i < options.processes; ++i) {
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) return results;
    if (::fork() == 0) {
      ::close(ends[0]);
      for (std::size_t at = i; at < cells.size(); at += options.processes) {
        const double result = result_of(cells[at], engine, options.seed + at);
        if (::write(ends[1], &result, sizeof result) != sizeof result) ::_exit(1);
      }
      ::_exit(0);
    }
    ::close(ends[1]);
    outputs.push_back(ends[0]);
  }
  for (std::uint64_t i = 0; i < options.processes; ++i) {
    for (std::size_t at = i; at < cells.size(); at += options.processes) {
      double result = 0;
      if (::read(outputs[i], &result, sizeof result) != sizeof result) break;
      results[at] = result;
    }
    ::close(outputs[i]);
  }
  while (::wait(nullptr) > 0) {
  }
  return results;
}

int print(const std::vector<Cell>& cells, const std::vector<double>& results) {
  int failed = 0;
  std::printf("%8s %7s %7s %6s %-6s %7s\n", "Mbit/s", "rtt ms", "loss %", "queue", "", "share");
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const Cell& cell = cells[i];
    std::printf("%8llu %7d %7.1f %6.2f %-6s %7.3f%s", static_cast<unsigned long long>(cell.mbit),
                cell.rtt_ms, cell.loss * 100, cell.queue, name_of(cell.congestion), results[i],
                cell.is_shared ? "  (fairness of two)" : "");
    if (results[i] < cell.least()) {
      ++failed;
      std::printf("  not ok: less than %.2f; repeat: sim_stt_matrix --cell %zu", cell.least(), i);
    }
    std::printf("\n");
  }
  std::printf("sim_stt_matrix: %zu cells, %d below what they should have\n", cells.size(), failed);
  return failed == 0 ? 0 : 1;
}

bool read_options(int argc, char** argv, Options& options) {
  const char* const scale = std::getenv("SEALINE_TEST_SCALE");
  options.is_full = scale != nullptr && std::strcmp(scale, "full") == 0;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--full") {
      options.is_full = true;
      continue;
    }
    if (i + 1 == argc) return false;
    const std::uint64_t value = std::strtoull(argv[++i], nullptr, 10);
    if (name == "--seed") {
      options.seed = value;
    } else if (name == "--processes") {
      options.processes = std::max<std::uint64_t>(value, 1);
    } else if (name == "--cell") {
      options.cell = value;
    } else {
      return false;
    }
  }
  return true;
}

int run(int argc, char** argv) {
  Options options;
  if (!read_options(argc, argv, options)) {
    std::fprintf(stderr, "usage: sim_stt_matrix [--full] [--cell N] [--seed N] [--processes N]\n");
    return 2;
  }
  const std::vector<Cell> cells = all_cells(options.is_full);
  auto engine = crypto::make_engine();
  if (!engine) return 1;
  if (!options.cell) return print(cells, run_cells(cells, options, **engine));
  if (*options.cell >= cells.size()) return 2;
  const Cell& cell = cells[*options.cell];
  return print({cell}, {result_of(cell, **engine, options.seed + *options.cell)});
}

}  // namespace
}  // namespace sealine::sim

int main(int argc, char** argv) { return sealine::sim::run(argc, argv); }
