#pragma once

#include <cstddef>
#include <cstdint>

namespace sealine::stt {

/// How a datagram was marked on its way (RFC 3168): the two bits of the IP header.
enum class EcnMark : std::uint8_t { none = 0, ect1 = 1, ect0 = 2, ce = 3 };

/// A peer's address, by a number that the driver of a session gives it: the session itself knows no
/// address. Equal numbers, equal addresses (and ports).                 spec: stt.md#migration
using PathId = std::uint64_t;

/// Where a datagram came from. 0 is the path of the handshake.
struct Arrival {
  PathId path = 0;
  EcnMark mark = EcnMark::none;
};

/// A datagram to be sent: its length in the caller's buffer, 0 for none, and where it goes.
struct Departure {
  std::size_t bytes = 0;
  PathId path = 0;
};

}  // namespace sealine::stt
