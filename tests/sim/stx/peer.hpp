#pragma once

#include "sealine/stx/handshake.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/stx/lane.hpp"
#include "tests/sim/stx/receiving.hpp"
#include "tests/sim/stx/sending.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sealine::sim {

/// A sender, its connections and when it tries again.
struct StxPeer {
  std::string name;
  std::size_t psk = 0;
  bool is_known = true;
  std::unique_ptr<StxSending> sending;
  std::vector<std::unique_ptr<StxLane>> lanes;
  stx::TransferId transfer{};
  TimePoint retry_at{};
  unsigned failures = 0;
  bool is_disturbed = false;  ///< bytes of this session were changed on their way
};

struct StxSession {
  std::unique_ptr<StxReceiving> receiving;
  StxPeer* peer = nullptr;
  stx::TransferId transfer{};
};

/// What senders have on their disks: files, packs, streams, of all sorts of sizes.
class SourceMaker {
 public:
  explicit SourceMaker(Dice& dice) : dice_(dice) {}

  [[nodiscard]] StxSource draw(std::size_t number);
  void fill(StxSource& source, std::size_t size);

 private:
  static void empty(StxSource& source, std::uint32_t block);
  Dice& dice_;
  std::uint64_t contents_ = 0;
};

}  // namespace sealine::sim
