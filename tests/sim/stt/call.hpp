#pragma once

#include "sealine/base/time.hpp"
#include "sealine/stt/handshake.hpp"
#include "tests/sim/base/watching_engine.hpp"
#include "tests/sim/base/way.hpp"
#include "tests/sim/base/wire.hpp"
#include "tests/sim/stt/end.hpp"
#include "tests/sim/stt/line.hpp"

#include <cstddef>
#include <memory>
#include <optional>

namespace sealine::sim {

/// Writes what an initiator has to say.
inline void transmit(stt::Initiator& initiator, Wire& wire, KeyBook& book) {
  ByteArray<stt::kMaxHandshakeFrameBytes> out{};
  while (const std::size_t bytes = initiator.poll_transmit(out)) {
    write_sealed(wire, book, ByteView(out).first(bytes));
  }
}

/// One connection: a dial, and what becomes of it. An attacker's has one honest end.
struct SttCall : Ways<SttLine> {
  std::optional<stt::Initiator> initiator;
  std::unique_ptr<SttEnd> client;
  std::unique_ptr<SttEnd> server;
  stt::SessionConfig config;
  std::optional<stt::SessionId> server_id;
  Octets address;
  TimePoint opened{};
  bool is_client_open = true;  ///< it has not closed the connection
  bool is_server_open = true;
  bool has_seed = true;  ///< the dialler knows the responder's seed
  bool is_attack = false;
  bool is_disturbed = false;  ///< cut, tampered with, or silent for long
  bool is_rough = false;      ///< an application closed it in the midst of all

  [[nodiscard]] bool is_over() const { return !is_client_open && !is_server_open; }

  [[nodiscard]] bool is_open(bool at_client) const {
    return at_client ? is_client_open : is_server_open;
  }

  [[nodiscard]] SttEnd* end(bool of_client) { return of_client ? client.get() : server.get(); }
};

}  // namespace sealine::sim
