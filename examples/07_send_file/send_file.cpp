// Sends files and folders to a receiver that nobody has set up: `receive_files` beside this, or
// `sealine recv`. The same line again goes on where it was, and proves what is there.
//   send_file PATH... HOST PORT
#include <sealine/io/stx.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace stx = sealine::io::stx;

int main(int argc, char** argv) {
  if (argc < 4) return std::fprintf(stderr, "usage: send_file PATH... HOST PORT\n"), 2;
  const std::vector<std::filesystem::path> paths(argv + 1, argv + argc - 2);
  const std::string host = argv[argc - 2];
  const auto port = static_cast<std::uint16_t>(std::atoi(argv[argc - 1]));

  stx::SendOptions options;
  options.on_connected = [](const stx::Connected& peer) {
    std::fprintf(stderr, "connected to %s %s\n", peer.peer.c_str(), describe(peer).c_str());
  };
  options.on_retry = [](const stx::Retrying& retry) {
    std::fprintf(stderr, "%s; trying again\n", std::string(to_string(retry.error.code)).c_str());
  };
  const auto report = stx::blocking::send_files(host, port, paths, options);
  if (!report) {
    std::fprintf(stderr, "send_file: %s\n", std::string(to_string(report.error().code)).c_str());
    return 1;
  }
  std::printf("%llu files in their place, %llu bytes sent, %llu found there\n",
              static_cast<unsigned long long>(report->files),
              static_cast<unsigned long long>(report->sent_bytes),
              static_cast<unsigned long long>(report->resumed_bytes + report->skipped_bytes));
  return report->failures.empty() ? 0 : 1;
}
