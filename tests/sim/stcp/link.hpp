#pragma once

#include "sealine/stcp/connection.hpp"
#include "tests/sim/base/expectation.hpp"
#include "tests/sim/base/pipe.hpp"
#include "tests/sim/base/way.hpp"
#include "tests/sim/stcp/end.hpp"

#include <cstdint>
#include <memory>
#include <vector>

namespace sealine::sim {

/// A connection between two nodes; an attacker's has one honest end.
struct StcpLink : Ways<Pipe> {
  std::unique_ptr<StcpEnd> client;
  std::unique_ptr<StcpEnd> server;
  bool client_closes = true;  ///< once all is sent; else stays open until something happens
  bool server_closes = true;
  Expectation expectation = Expectation::works;
  TimePoint opened{};
  bool was_cut = false;
  bool has_constant_rate = false;
  bool has_last_sequence = false;

  /// Those that there are.
  [[nodiscard]] std::vector<StcpEnd*> ends() const {
    std::vector<StcpEnd*> both;
    for (StcpEnd* end : {client.get(), server.get()}) {
      if (end != nullptr) both.push_back(end);
    }
    return both;
  }

  [[nodiscard]] bool is_tampered() const { return up.is_tampered || down.is_tampered; }

  [[nodiscard]] bool is_attack() const { return !client || !server; }
};

}  // namespace sealine::sim
