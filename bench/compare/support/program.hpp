#pragma once

#include "support/messages.hpp"
#include "support/options.hpp"
#include "support/process.hpp"
#include "support/workload.hpp"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <exception>
#include <iostream>
#include <string>

namespace sealine::bench {

/// Work that a contestant has in a form of its own goes before the common one; one without streams
/// has no other.
template <class Contestant>
nlohmann::json serve_any(Contestant& contestant, const Work& work) {
  if constexpr (requires { contestant.serve_specially(work); }) {
    if (auto report = contestant.serve_specially(work)) return *std::move(report);
  }
  if constexpr (ContestantLike<Contestant>) {
    auto report = serve_messages(work, [&] { return Framed(contestant.accept()); });
    return report ? *std::move(report) : serve(contestant, work);
  }
  throw std::invalid_argument("no such work: " + work.name);
}

template <class Contestant>
nlohmann::json request_any(Contestant& contestant, const Work& work) {
  if constexpr (requires { contestant.request_specially(work); }) {
    if (auto report = contestant.request_specially(work)) return *std::move(report);
  }
  if constexpr (ContestantLike<Contestant>) {
    auto report = request_messages(work, [&] { return Framed(contestant.connect()); });
    return report ? *std::move(report) : request(contestant, work);
  }
  throw std::invalid_argument("no such work: " + work.name);
}

/// Runs one end of a contestant: `role=server|client core=N work=...`. The server's first line on
/// stdout is what the client needs to know, and the client reads it from stdin; the last line of
/// both is what they measured.
template <class Contestant>
int run_contestant(int argc, char** argv) {
  try {
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
      std::cout << serve_any(contestant, work).dump() << std::endl;
    } else {
      std::string line;
      std::getline(std::cin, line);
      contestant.learn(nlohmann::json::parse(line));
      std::cout << request_any(contestant, work).dump() << std::endl;
    }
    return 0;
  } catch (const std::exception& failure) {
    std::cerr << failure.what() << std::endl;
    return 1;
  }
}

}  // namespace sealine::bench
