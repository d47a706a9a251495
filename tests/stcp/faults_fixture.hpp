#pragma once

#include "sealine/stcp/connection.hpp"
#include "support/stcp_pair.hpp"
#include "support/stcp_rogue.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

namespace sealine::stcp {

/// After a fault: its code and number, no byte, no state but ERROR, and no use of the keys.
inline void expect_silent(test::StcpPair& pair, test::StcpEnd& end, Errc code, int fault_point) {
  ASSERT_TRUE(end.machine->fault()) << "no fault";
  EXPECT_EQ(end.machine->fault()->code, code) << to_string(end.machine->fault()->code);
  EXPECT_EQ(describe(code).fault_point, fault_point);
  if (describe(code).fault == Fault::authentication) {
    EXPECT_EQ(end.machine->fault()->detail, 0U);
  }
  EXPECT_EQ(end.state(), State::error);
  EXPECT_FALSE(end.machine->has_transmit());
  test::Bytes out(4096);
  EXPECT_EQ(end.machine->poll_transmit(out, pair.now), 0U);
  EXPECT_FALSE(end.machine->poll_timeout());
  const auto sealed = end.machine->seal(out, out, pair.now);
  ASSERT_FALSE(sealed);
  EXPECT_EQ(sealed.error().code, code);
  test::Bytes in(100);
  const auto opened = end.machine->handle_bytes(in, out, pair.now);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, code);
  test::Bytes key(32);
  EXPECT_FALSE(end.machine->export_key("anything", {}, key));
  end.machine->close(pair.now);
  end.machine->abort(1, pair.now);
  end.machine->ping(pair.now);
  end.machine->request_rekey(pair.now);
  end.machine->run_ahead();
  end.machine->accept_peer_key(pair.now);
  end.machine->handle_timeout(pair.now + std::chrono::hours(10));
  EXPECT_EQ(end.machine->poll_transmit(out, pair.now), 0U);
  EXPECT_FALSE(end.machine->can_send());
  EXPECT_FALSE(end.machine->can_receive());
  EXPECT_FALSE(end.machine->poll_event());
  end.machine->handle_end_of_stream(pair.now);
  EXPECT_EQ(end.state(), State::closed);
  EXPECT_EQ(end.fault(), code);
}

/// A machine of one role in ENCRYPTED, and a rogue with its keys.
struct Behind {
  explicit Behind(Mode mode, bool machine_is_server, test::StcpPair::Options options = {})
      : pair([&] {
          options.mode = mode;
          return options;
        }()) {
    if (machine_is_server) {
      rogue = std::make_unique<test::StcpRogue>(pair.client_config, *pair.engine, pair.rng);
      end = &pair.server;
    } else {
      rogue = std::make_unique<test::StcpRogue>(pair.server_config, *pair.engine, pair.rng);
      end = &pair.client;
    }
  }

  bool start() { return rogue->shake_hands(*end->machine, pair.now) && end->is_encrypted(); }

  void give(const test::Bytes& wire) { pair.deliver(*end, wire); }

  test::StcpPair pair;
  std::unique_ptr<test::StcpRogue> rogue;
  test::StcpEnd* end;
};

/// The seven points of small order and their twins with the high bit, which X25519 ignores.
inline std::vector<test::Bytes> small_order_points() {
  std::vector<test::Bytes> points;
  for (const char* hex : {"0000000000000000000000000000000000000000000000000000000000000000",
                          "0100000000000000000000000000000000000000000000000000000000000000",
                          "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
                          "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
                          "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                          "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                          "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"}) {
    points.push_back(test::from_hex(hex));
    points.push_back(points.back());
    points.back()[31] = static_cast<std::uint8_t>(points.back()[31] | 0x80U);
  }
  return points;
}

}  // namespace sealine::stcp
