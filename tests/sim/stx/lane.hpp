#pragma once

#include "sealine/stx/frame.hpp"
#include "sealine/stx/handshake.hpp"
#include "sealine/stx/message.hpp"
#include "tests/sim/base/content.hpp"
#include "tests/sim/base/pipe.hpp"
#include "tests/sim/base/violation.hpp"
#include "tests/sim/base/watching_engine.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace sealine::sim {

/// One connection of a transfer. Each end has its own of everything.
struct StxLane {
  template <class Handshake>
  struct LaneEnd {
    std::optional<Handshake> handshake;
    std::optional<stx::LaneOpening> opening;
    std::vector<std::uint8_t> inbox;
    std::uint64_t consumed = 0;  ///< bytes of the handshake
    std::uint64_t received = 0;  ///< frames
    bool is_open = true;         ///< it has not closed the connection
    bool has_closed = false;     ///< its CLOSE is written

    /// Whether frames go.
    [[nodiscard]] bool is_up() const { return is_open && opening.has_value(); }

    void take_from(Pipe& pipe, std::size_t count) {
      const ByteView bytes = pipe.front(count);
      inbox.insert(inbox.end(), bytes.begin(), bytes.end());
      pipe.take(count);
    }

    void used(std::size_t count) {
      inbox.erase(inbox.begin(), inbox.begin() + static_cast<std::ptrdiff_t>(count));
    }
  };

  /// The size of the frame at the front, once that is whole; 0: not yet.
  [[nodiscard]] static Result<std::size_t> whole_frame(ByteView inbox, stx::Side from) {
    if (inbox.size() < stx::kFrameHeadBytes) return std::size_t{0};
    SEALINE_TRY(head, stx::parse_frame_head(inbox.first<stx::kFrameHeadBytes>(), from));
    return inbox.size() < head.frame_bytes() ? 0 : head.frame_bytes();
  }

  stx::LaneId number = 0;
  Pipe up;    ///< to the receiver
  Pipe down;  ///< to the sender
  LaneEnd<stx::ClientHandshake> client;
  LaneEnd<stx::ServerHandshake> server;
  TimePoint opened{};
};

/// Seals a frame and writes it, its plaintext standing where a frame's does.
inline void write_frame(crypto::Engine& engine, KeyBook& book, const stx::FrameKey& key,
                        std::uint64_t counter, stx::FrameHead head, stx::ItemId item,
                        MutableBytes frame, Wire& wire) {
  stx::seal_frame(engine, key, counter, head, item, frame);
  require(!Content::is_in_clear_in(frame), "the canary is never on the wire");
  require(!book.repeated(), "no key and nonce seal twice");
  book.tidy();
  wire.write(frame);
}

}  // namespace sealine::sim
