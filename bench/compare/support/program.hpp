#pragma once

#include "support/options.hpp"
#include "support/process.hpp"
#include "support/workload.hpp"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <exception>
#include <iostream>
#include <string>

namespace sealine::bench {

/// Runs one end of a contestant: `role=server|client core=N work=...`. The server's first line on
/// stdout is what the client needs to know, and the client reads it from stdin; the last line of
/// both is what they measured.
template <ContestantLike Contestant>
int run_contestant(int argc, char** argv) try {
  die_with_parent();
  raise_descriptor_limit();
  const Options options(argc, argv);
  const bool serves = options.text("role", "") == "server";
  pin_to_core(options.number("core", serves ? 1 : 0));
  const Work work = Work::from(options);
  Contestant contestant(options);
  options.finish();
  if (serves) {
    std::cout << contestant.listen().dump() << std::endl;
    std::cout << serve(contestant, work).dump() << std::endl;
  } else {
    std::string line;
    std::getline(std::cin, line);
    contestant.learn(nlohmann::json::parse(line));
    std::cout << request(contestant, work).dump() << std::endl;
  }
  return 0;
} catch (const std::exception& failure) {
  std::cerr << failure.what() << std::endl;
  return 1;
}

}  // namespace sealine::bench
