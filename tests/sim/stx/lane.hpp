#pragma once

#include "sealine/stx/frame.hpp"
#include "sealine/stx/handshake.hpp"
#include "sealine/stx/message.hpp"
#include "tests/sim/base/inbox.hpp"
#include "tests/sim/base/pipe.hpp"
#include "tests/sim/base/watching_engine.hpp"
#include "tests/sim/base/way.hpp"
#include "tests/sim/base/wire.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

namespace sealine::sim {

/// One connection of a transfer. Each end has its own of everything.
struct StxLane : Ways<Pipe> {
  template <class Handshake>
  struct LaneEnd {
    std::optional<Handshake> handshake;
    std::optional<stx::LaneOpening> opening;
    Inbox inbox;
    std::uint64_t consumed = 0;  ///< bytes of the handshake
    std::uint64_t received = 0;  ///< frames
    bool is_open = true;         ///< it has not closed the connection
    bool has_closed = false;     ///< its CLOSE is written

    /// Whether frames go.
    [[nodiscard]] bool is_up() const { return is_open && opening.has_value(); }

    void take_from(Pipe& pipe, std::size_t count) {
      inbox.put(pipe.front(count));
      pipe.take(count);
    }

    void say(Wire& wire) {
      ByteArray<512> out{};
      const std::size_t written = handshake->poll_transmit(out);
      if (written != 0) wire.write(ByteView(out).first(written));
    }

    /// Goes on with the handshake. Returns whether there is an opening now; an error: the
    /// connection is to be closed.
    [[nodiscard]] Result<bool> shake(Wire& wire, TimePoint now) {
      while (!opening) {
        std::size_t used = 0;
        SEALINE_TRY(progress, handle(used, now));
        consumed += used;
        inbox.take(used);
        if (progress == stx::HandshakeProgress::need_bytes) return false;
        say(wire);
        if (progress == stx::HandshakeProgress::done) {
          opening.emplace(std::move(*handshake).take());
        }
      }
      return true;
    }

    /// The size of the frame at the front, once that is whole; 0: not yet.
    [[nodiscard]] Result<std::size_t> whole_frame(stx::Side from) const {
      const ByteView bytes = inbox.rest();
      if (bytes.size() < stx::kFrameHeadBytes) return std::size_t{0};
      SEALINE_TRY(head, stx::parse_frame_head(bytes.first<stx::kFrameHeadBytes>(), from));
      return bytes.size() < head.frame_bytes() ? 0 : head.frame_bytes();
    }

   private:
    Result<stx::HandshakeProgress> handle(std::size_t& used, TimePoint now) {
      if constexpr (std::is_same_v<Handshake, stx::ServerHandshake>) {
        return handshake->handle_bytes(inbox.rest(), now, used);
      } else {
        return handshake->handle_bytes(inbox.rest(), used);
      }
    }
  };

  void close(bool by_client) {
    (by_client ? client.is_open : server.is_open) = false;
    Ways::close(by_client);
  }

  [[nodiscard]] bool is_closed() const { return !client.is_open && !server.is_open; }

  stx::LaneId number = 0;
  LaneEnd<stx::ClientHandshake> client;  ///< the sender
  LaneEnd<stx::ServerHandshake> server;  ///< the receiver
  TimePoint opened{};
};

/// Seals a frame and writes it, its plaintext standing where a frame's does.
inline void write_frame(crypto::Engine& engine, KeyBook& book, const stx::FrameKey& key,
                        std::uint64_t counter, stx::FrameHead head, stx::ItemId item,
                        MutableBytes frame, Wire& wire) {
  stx::seal_frame(engine, key, counter, head, item, frame);
  write_sealed(wire, book, frame);
}

}  // namespace sealine::sim
