// A session against a peer that holds valid keys and does as it likes. The harness owns the peer's
// keys of the first epoch, so that every mutation reaches behind the tag.
//
//   byte 0       bit 0: the session is the responder; bits 1 to 3: its padding; bit 4: over UDP;
//                bit 5: small windows; bit 6: it rotates soon; bit 7: datagrams come from elsewhere
//                and with gaps
//   operations:  0 type stream flags n bytes   seal n bytes as the body of that frame
//                1 n bytes     n raw bytes        2 bit    seal a PING, then flip one bit
//                3 mode        open a stream      4 stream n   write n bytes, finish if n is odd
//                5 stream n    read n bytes       6 n      n seconds pass
//                7 stream how  reset or stop      8        rotate          9        drain
//                10 n          close with 256 + n 11       the connection ends
#include "sealine/base/assert.hpp"
#include "sealine/base/reader.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/stt/session.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

namespace {

using namespace sealine;
using Bytes = std::vector<std::uint8_t>;

class CountingRng final : public crypto::Rng {
 public:
  void fill(MutableBytes out) override {
    for (auto& byte : out) byte = next_++;
  }

 private:
  std::uint8_t next_ = 1;
};

crypto::Engine& engine() {
  static const std::unique_ptr<crypto::Engine> one =
      std::move(crypto::make_engine(crypto::EngineChoice::openssl).value());
  return *one;
}

stt::SessionConfig config_of(std::uint8_t how) {
  stt::SessionConfig config;
  config.transport = (how & 16U) != 0 ? stt::Transport::udp : stt::Transport::websocket;
  config.padding = static_cast<stt::Padding>((how >> 1U & 7U) % 6);
  if ((how & 32U) != 0) {
    config.limits.stream_window_bytes = 300;
    config.limits.session_window_bytes = 500;
    config.limits.max_stream_window_bytes = 600;
    config.limits.max_session_window_bytes = 1000;
    config.limits.send_buffer_bytes = 200;
  }
  if ((how & 64U) != 0) {
    config.limits.rotate_frames = 4;
    config.limits.ping_after = std::chrono::seconds(20);
  }
  return config;
}

stt::Established established_as(stt::Role role) {
  return {.role = role,
          .session_id = {1, 2, 3, 4, 5, 6, 7, 8},
          .initiator_key = stt::DirectionKey(ByteArray<32>{1}),
          .responder_key = stt::DirectionKey(ByteArray<32>{2}),
          .forward_secrecy = false,
          .peer = {},
          .peer_capabilities = {}};
}

class Duel {
 public:
  explicit Duel(std::uint8_t how)
      : wanders_((how & 128U) != 0),
        role_((how & 1U) != 0 ? stt::Role::responder : stt::Role::initiator),
        session_(config_of(how), established_as(role_), engine(), rng_, now_),
        keys_(engine(), 0,
              stt::DirectionKey(ByteArray<32>{
                  static_cast<std::uint8_t>(role_ == stt::Role::responder ? 1 : 2)})) {}

  Bytes seal(std::uint8_t type, stt::StreamId stream, std::uint8_t flags, ByteView body) {
    const stt::FrameHead head{.type = static_cast<stt::FrameType>(2 + type % 3),
                              .session_id = {1, 2, 3, 4, 5, 6, 7, 8},
                              .stream = stream,
                              .number = next_,
                              .flags = flags};
    Bytes frame(body.size() + stt::kMaxFrameOverheadBytes);
    frame.resize(keys_.seal(head, {}, body, frame));
    return frame;
  }

  void deliver(Bytes datagram) {
    const std::uint64_t before = session_.statistics().frames_received;
    const stt::Arrival from{.path = wanders_ && !datagram.empty() ? datagram.back() % 4U : 0,
                            .mark = static_cast<stt::EcnMark>(next_ % 4)};
    static_cast<void>(session_.handle_datagram(datagram, from, now_));
    next_ += session_.statistics().frames_received - before;
    drain();
  }

  // What goes out are whole frames under the session's id, one number after the other; but a CLOSE
  // over UDP is said again as it was.
  void drain() {
    static Bytes out(131072);  // large, and the same for all
    while (true) {
      const std::size_t length = session_.poll_transmit(out, now_);
      if (length == 0) break;
      MutableBytes rest = MutableBytes(out).first(length);
      while (!rest.empty()) {
        const auto frame = stt::parse_frame(rest);
        SEALINE_ASSERT(frame.has_value());
        const bool is_again = session_.state() == stt::SessionState::closing;
        SEALINE_ASSERT(frame->head.number == sent_ ||
                       (is_again && frame->head.number + 1 == sent_));
        sent_ = frame->head.number + 1;
        rest = rest.subspan(frame->frame_bytes);
      }
    }
    while (session_.poll_event()) {
    }
    if (const auto next = session_.poll_timeout())
      SEALINE_ASSERT(next->time_since_epoch().count() > 0);
  }

  void pass(std::uint8_t seconds) {
    now_ += std::chrono::seconds(seconds);
    if (wanders_) next_ += seconds % 5;
    session_.handle_timeout(now_);
    drain();
  }

  stt::Session& session() { return session_; }

  [[nodiscard]] TimePoint now() const { return now_; }

 private:
  bool wanders_;
  CountingRng rng_;
  TimePoint now_{std::chrono::seconds(1000)};
  stt::Role role_;
  stt::Session session_;
  stt::EpochKeys keys_;
  stt::PacketNumber next_ = 0;
  stt::PacketNumber sent_ = 0;
};

void command(Duel& duel, std::uint8_t operation, Reader& input) {
  stt::Session& session = duel.session();
  const auto byte = [&input] { return input.be<std::uint8_t>().value_or(0); };
  switch (operation) {
    case 3:
      static_cast<void>(session.open(
          {.mode = static_cast<stt::StreamMode>(byte() % 4), .priority = 1, .deadline_ms = 1500},
          duel.now()));
      break;
    case 4: {
      const stt::StreamId stream = byte();
      const Bytes data(std::size_t{byte()} * 7, 0x5A);
      static_cast<void>(session.write(stream, data, duel.now()));
      if (data.size() % 2 == 1) static_cast<void>(session.finish(stream, duel.now()));
      break;
    }
    case 5: {
      const stt::StreamId stream = byte();
      Bytes out(byte());
      const std::size_t there = session.readable_bytes(stream);
      const auto read = session.read(stream, out, duel.now());
      SEALINE_ASSERT(!read || read->bytes <= std::min(out.size(), there));
      break;
    }
    case 7: {
      const stt::StreamId stream = byte();
      const auto done = (byte() & 1U) != 0 ? session.reset(stream, 300, duel.now())
                                           : session.stop(stream, 301, duel.now());
      static_cast<void>(done);
      break;
    }
    case 8:
      session.rotate(duel.now());
      break;
    case 9:
      session.drain(duel.now());
      break;
    case 10:
      session.close(static_cast<std::uint16_t>(256 + byte()), "enough", duel.now());
      break;
    default:
      session.handle_disconnected(duel.now());
      break;
  }
  duel.drain();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Reader input{ByteView(data, size)};
  Duel duel(input.be<std::uint8_t>().value_or(0));
  const auto byte = [&input] { return input.be<std::uint8_t>().value_or(0); };
  const auto some = [&] {
    const std::size_t wanted = byte();
    return input.bytes(std::min(wanted, input.remaining())).value_or(ByteView());
  };
  while (const auto operation = input.be<std::uint8_t>()) {
    switch (*operation % 12) {
      case 0: {
        const std::uint8_t type = byte();
        const stt::StreamId stream = byte();
        const std::uint8_t flags = byte();
        duel.deliver(duel.seal(type, stream, flags, some()));
        break;
      }
      case 1: {
        const ByteView bytes = some();
        duel.deliver({bytes.begin(), bytes.end()});
        break;
      }
      case 2: {
        constexpr std::array<std::uint8_t, 21> kPing{0x40, 0,    0, 0, 1, 0x40, 0, 0, 0, 2, 0x14,
                                                     1,    0x17, 0, 0, 0, 0,    0, 0, 0, 9};
        Bytes frame = duel.seal(1, 0, 0, kPing);
        const std::size_t bit = input.be<std::uint16_t>().value_or(0) % (frame.size() * 8);
        frame[bit / 8] = static_cast<std::uint8_t>(frame[bit / 8] ^ (1U << (bit % 8)));
        const std::uint64_t before = duel.session().statistics().frames_received;
        duel.deliver(std::move(frame));
        SEALINE_ASSERT(duel.session().statistics().frames_received == before);
        break;
      }
      case 6:
        duel.pass(byte());
        break;
      default:
        command(duel, *operation % 12, input);
        break;
    }
  }
  return 0;
}
