#pragma once

#include "sealine/base/time.hpp"
#include "sealine/stt/control.hpp"
#include "sealine/stt/datagram.hpp"
#include "sealine/stt/session.hpp"
#include "stt/detail/path_mtu.hpp"
#include "stt/detail/received_packets.hpp"
#include "stt/detail/recovery.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace sealine::stt::detail {

/// An ACK for so many frames, where nobody asks for anything else.        spec: stt.md#ack-policy
inline constexpr std::uint16_t kUsualAckFrequency = 10;

/// An address that the peer's newest frame came from, not proven yet.        spec:
/// stt.md#migration
struct PathCandidate {
  PathId path = 0;
  PathChallenge challenge;
  bool is_due = true;
  unsigned asked = 0;  ///< challenges sent
  TimePoint ask_again_at{};
  std::uint64_t received_bytes = 0;
  std::uint64_t sent_bytes = 0;  ///< at most three times what was received
};

/// What a session keeps because datagrams get lost, overtake one another and come from elsewhere.
struct Datagrams {
  Datagrams(const SessionConfig& config, TimePoint now)
      : recovery(config.recovery, now), mtu(base_of(config), config.largest_datagram_bytes, now) {
    recovery.set_datagram_bytes(mtu.bytes());
  }

  /// Of a path that nothing is known of.
  void begin_mtu(const SessionConfig& config, TimePoint now) {
    mtu = PathMtu(base_of(config), config.largest_datagram_bytes, now);
    recovery.set_datagram_bytes(mtu.bytes());
  }

  Recovery recovery;
  ReceivedPackets received;
  PathMtu mtu;
  PathId path = 0;  ///< where datagrams go
  Arrival arrival;  ///< of the datagram that is being handled
  std::size_t arrival_bytes = 0;
  TimePoint heard_at{};  ///< when the input came that is being handled
  std::optional<PathCandidate> candidate;
  std::optional<PathResponse> response_due;
  std::uint16_t acks_every = kUsualAckFrequency;  ///< as we have asked
  Duration ack_delay_asked{};                     ///< with it, for recovery once the peer knows
  bool ack_frequency_due = false;
  std::optional<TimePoint> paced_until;  ///< something waits for its turn
  std::vector<std::uint8_t> last_close;  ///< our CLOSE, said again to whatever still comes
  bool close_due = false;
  TimePoint linger_until{};

 private:
  [[nodiscard]] static std::size_t base_of(const SessionConfig& config) noexcept {
    return config.probe_mtu ? std::min(PathMtu::kBaseBytes, config.largest_datagram_bytes)
                            : config.largest_datagram_bytes;
  }
};

}  // namespace sealine::stt::detail
