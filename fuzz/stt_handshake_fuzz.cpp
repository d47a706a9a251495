// Both sides of the handshake against a peer that holds the seed and says what it likes. The
// harness makes commitments and proofs, so that mutations reach behind them.
//
//   byte 0       bit 0: UDP, else WebSocket; bit 1: the responder demands an ephemeral
//   operations:  0 n bytes          a raw frame to the responder
//                1 fields           a HELLO of these fields under a right commitment
//                2 bit              a proof to the last RESPONSE; bit 0: right, else one bit
//                flipped 3 n bytes          a raw frame to the initiator 4 bit              the
//                honest answer to the initiator, one bit flipped (0: none) 5 n bytes          a
//                dict of n bytes as a message of the handshake, to both 6 n                n
//                seconds pass
#include "sealine/base/assert.hpp"
#include "sealine/base/reader.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/stt/handshake.hpp"
#include "stt/detail/handshake_messages.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <vector>

namespace {

using namespace sealine;
using Bytes = std::vector<std::uint8_t>;

constexpr stt::NodeId kResponderId{1};
constexpr stt::NodeId kInitiatorId{2};
constexpr UnixMillis kNow = 1'700'000'000'000;
constexpr std::array<std::uint8_t, 6> kAddress{127, 0, 0, 1, 4, 210};

class CountingRng final : public crypto::Rng {
 public:
  void fill(MutableBytes out) override {
    for (auto& byte : out) byte = static_cast<std::uint8_t>(next_++ * 151U >> 3U);
  }

 private:
  std::uint32_t next_ = 1;
};

crypto::Engine& engine() {
  static const std::unique_ptr<crypto::Engine> one =
      std::move(crypto::make_engine(crypto::EngineChoice::openssl).value());
  return *one;
}

stt::HandshakeConfig config_of(const stt::NodeId& node, bool demands) {
  stt::HandshakeConfig config{};
  config.seed_key = stc::seed_key(engine(), ByteArray<32>{7}).value();
  config.node_id = node;
  config.demand_ephemeral = demands;
  config.limits.half_open = 4;
  config.limits.hello_memory_entries = 6;
  config.limits.hellos_per_second = 4;
  return config;
}

void flip(Bytes& frame, std::uint16_t bit) {
  if (bit == 0 || frame.empty()) return;
  const std::size_t at = (bit - 1U) % (frame.size() * 8);
  frame[at / 8] = static_cast<std::uint8_t>(frame[at / 8] ^ (1U << (at % 8)));
}

class Handshakes {
 public:
  Handshakes(stt::Transport transport, bool demands)
      : transport_(transport),
        responder_config_(config_of(kResponderId, demands)),
        initiator_config_(config_of(kInitiatorId, false)),
        responder_(responder_config_, engine(), rng_, now_),
        initiator_(initiator_config_, transport, engine(), rng_, kNow, now_) {}

  // What the responder answers; nothing for a fault.
  Bytes to_responder(Bytes frame, bool is_honest = false) {
    const auto view = stt::parse_frame(frame);
    if (!view || !view->head.is_handshake()) return {};
    Bytes out(stt::kMaxHandshakeFrameBytes);
    const std::size_t datagram =
        transport_ == stt::Transport::udp ? std::max<std::size_t>(frame.size(), 1200) : 0;
    const auto reply = responder_.handle_frame(
        *view, {.address = kAddress, .transport = transport_, .datagram_bytes = datagram}, kNow,
        now_, out);
    SEALINE_ASSERT(responder_.half_open_count() <= responder_config_.limits.half_open);
    if (!reply) return {};
    SEALINE_ASSERT(reply->reply_bytes > 0 && reply->reply_bytes <= stt::kMinHelloDatagramBytes);
    SEALINE_ASSERT(!reply->established || is_honest);
    if (reply->established) responder_.release(reply->established->session_id);
    out.resize(reply->reply_bytes);
    return out;
  }

  void to_initiator(Bytes frame, bool is_honest) {
    const bool was_done = initiator_.is_done();
    if (const auto view = stt::parse_frame(frame)) {
      static_cast<void>(initiator_.handle_frame(*view, now_));
    }
    SEALINE_ASSERT(was_done || is_honest || !initiator_.is_done());
  }

  // A HELLO of the liar's own, and what came of it.
  void hello(Reader& input) {
    const std::uint8_t which = input.be<std::uint8_t>().value_or(0);
    stt::detail::Hello hello{.node_id = kInitiatorId, .timestamp = kNow};
    if ((which & 1U) != 0) hello.suite = 2;
    if ((which & 2U) != 0) hello.node_id = kResponderId;
    if ((which & 4U) != 0) hello.timestamp = input.be<std::uint64_t>().value_or(0);
    hello.nonce[0] = input.be<std::uint8_t>().value_or(0);
    if ((which & 8U) != 0) hello.ephemeral.emplace()[0] = input.be<std::uint8_t>().value_or(9);
    if ((which & 16U) != 0) hello.cookie = cookie_;
    if ((which & 32U) != 0) hello.capabilities.assign(which % 20U, "streaming");
    if (transport_ == stt::Transport::udp) hello.pad_bytes = 1000;
    hello.commitment = stt::detail::commitment_of(engine(), responder_config_.seed_key, hello);
    const Bytes answer = to_responder(framed(stt::FrameType::handshake, {9}, hello.encode(true)));
    Bytes copy = answer;
    const auto view = stt::parse_frame(copy);
    if (!view) return;
    const auto tlv = stt::detail::payload_of(*view).value();
    if (const auto retry = stt::detail::Retry::parse(tlv)) {
      cookie_ = retry->cookie;
      return;
    }
    const auto response = stt::detail::Response::parse(tlv).value();
    SEALINE_ASSERT(response.ephemeral.has_value() == hello.ephemeral.has_value());
    // With an ephemeral the liar would need a secret key: it proves only without.
    last_.reset();
    if (!hello.ephemeral) {
      last_.emplace(engine(), responder_config_.seed_key, hello, response, nullptr);
    }
  }

  void prove(std::uint16_t bit) {
    if (!last_) return;
    const auto proof = last_->make_proof(rng_);
    Bytes frame = framed(stt::FrameType::auth, last_->session_id(), proof.encode());
    flip(frame, bit);
    static_cast<void>(to_responder(std::move(frame), bit == 0));
  }

  void honest_answer(std::uint16_t bit) {
    Bytes out(stt::kMaxHandshakeFrameBytes);
    out.resize(initiator_.poll_transmit(out));
    if (out.empty()) return;
    Bytes answer = to_responder(std::move(out), true);
    flip(answer, bit);
    to_initiator(std::move(answer), bit == 0);
  }

  void pass(std::uint8_t seconds) {
    now_ += std::chrono::seconds(seconds);
    responder_.handle_timeout(now_);
    initiator_.handle_timeout(now_);
  }

  static Bytes framed(stt::FrameType type, const stt::SessionId& id, ByteView tlv) {
    Bytes frame(stt::detail::frame_bytes(tlv.size()));
    frame.resize(stt::detail::encode_frame(type, id, tlv, frame));
    return frame;
  }

 private:
  stt::Transport transport_;
  CountingRng rng_;
  TimePoint now_{std::chrono::seconds(1000)};
  stt::HandshakeConfig responder_config_;
  stt::HandshakeConfig initiator_config_;
  stt::Responder responder_;
  stt::Initiator initiator_;
  ByteArray<16> cookie_{};
  std::optional<stt::detail::KeySchedule> last_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Reader input{ByteView(data, size)};
  const std::uint8_t how = input.be<std::uint8_t>().value_or(0);
  const auto transport = (how & 1U) != 0 ? stt::Transport::udp : stt::Transport::websocket;
  Handshakes all(transport, (how & 2U) != 0);
  const auto some = [&input] {
    const std::size_t wanted = input.be<std::uint16_t>().value_or(0);
    const ByteView bytes =
        input.bytes(std::min<std::size_t>(wanted % 4096, input.remaining())).value_or(ByteView());
    return Bytes(bytes.begin(), bytes.end());
  };
  while (const auto operation = input.be<std::uint8_t>()) {
    switch (*operation % 7) {
      case 0:
        static_cast<void>(all.to_responder(some()));
        break;
      case 1:
        all.hello(input);
        break;
      case 2:
        all.prove(input.be<std::uint16_t>().value_or(0));
        break;
      case 3:
        all.to_initiator(some(), false);
        break;
      case 4:
        all.honest_answer(input.be<std::uint16_t>().value_or(0));
        break;
      case 5: {
        const Bytes frame = Handshakes::framed(stt::FrameType::handshake, {9}, some());
        static_cast<void>(all.to_responder(frame));
        all.to_initiator(frame, false);
        break;
      }
      default:
        all.pass(input.be<std::uint8_t>().value_or(0));
        break;
    }
  }
  return 0;
}
