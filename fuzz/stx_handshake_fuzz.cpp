// Both halves of the handshake against a peer that holds the PSK and does as it likes, and against
// bytes of any kind. The harness owns the keys, so that a mutation reaches behind CA and the seals.
//
//   byte 0   bit 0  the client is looked at, else the server
//            bit 1  the rest is fed as it is, in pieces of byte 1
//            bit 2  what is sealed is changed after sealing, too
//   then     bytes that are laid over (xor) each field that the peer chooses
#include "sealine/base/assert.hpp"
#include "sealine/base/reader.hpp"
#include "sealine/base/writer.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/stx/handshake.hpp"
#include "stx/detail/keys.hpp"

#include <algorithm>
#include <memory>
#include <vector>

namespace {

using namespace sealine;
using namespace sealine::stx;
using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kHelloBytes = 56;
constexpr std::size_t kProofBytes = 32;
constexpr UnixMillis kUnixMs = 1'700'000'000'000;

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

std::shared_ptr<const crypto::Psk> psk() {
  static const auto one = std::make_shared<const crypto::Psk>(ByteArray<32>{1, 2, 3});
  return one;
}

std::shared_ptr<const ServerHandshakeConfig> config() {
  static const auto one = [] {
    auto made = std::make_shared<ServerHandshakeConfig>();
    made->psks = {std::make_shared<const crypto::Psk>(), psk()};
    made->require_clock = true;
    return made;
  }();
  return one;
}

template <class End>
Bytes transmit(End& end) {
  Bytes out(256);
  out.resize(end.poll_transmit(out));
  return out;
}

Result<HandshakeProgress> feed(ClientHandshake& client, ByteView bytes, std::size_t& used) {
  return client.handle_bytes(bytes, used);
}

Result<HandshakeProgress> feed(ServerHandshake& server, ByteView bytes, std::size_t& used) {
  return server.handle_bytes(bytes, TimePoint{}, used);
}

/// A fault is silent and final.
template <class End>
bool takes(End& end, ByteView bytes) {
  std::size_t used = 0;
  const auto progress = feed(end, bytes, used);
  SEALINE_ASSERT(used <= bytes.size());
  if (progress) return true;
  SEALINE_ASSERT(transmit(end).empty());
  const auto again = feed(end, bytes, used);
  SEALINE_ASSERT(!again && again.error().code == Errc::wrong_state);
  return false;
}

template <class End>
void feed_pieces(End& end, ByteView input) {
  const std::size_t piece = input.empty() ? 1 : 1U + input[0];
  Bytes held;
  while (!input.empty()) {
    const ByteView next = input.first(std::min(piece, input.size()));
    held.insert(held.end(), next.begin(), next.end());
    input = input.subspan(next.size());
    std::size_t used = 0;
    const auto progress = feed(end, held, used);
    if (!progress) return;
    SEALINE_ASSERT(*progress != HandshakeProgress::done);
    held.erase(held.begin(), held.begin() + static_cast<std::ptrdiff_t>(used));
    static_cast<void>(transmit(end));
  }
}

/// The peer's choices: the next bytes of the input over what an honest peer writes.
class Liar {
 public:
  Liar(ByteView input, bool is_rough) : input_(input), is_rough_(is_rough) {}

  /// Whether anything was changed.
  bool lay_over(MutableBytes honest) {
    bool changed = false;
    for (auto& byte : honest) {
      const std::uint8_t mask = input_.be<std::uint8_t>().value_or(0);
      changed = changed || mask != 0;
      byte ^= mask;
    }
    return changed;
  }

  /// For what nobody may change unseen.
  bool damage(MutableBytes sealed) { return is_rough_ && lay_over(sealed); }

 private:
  Reader input_;
  bool is_rough_;
};

Bytes seal_offer(const detail::HandshakeKey& key, const detail::Transcript& aad, ByteView offer) {
  Bytes message(4 + 48 + 16);
  Writer(message).be(std::uint32_t{64}).bytes(offer);
  engine().gcm_seal(key.expose(), ByteArray<12>{}, aad, {}, MutableBytes(message).subspan(4));
  return message;
}

Bytes offer_of(std::uint8_t first_parameter) {
  ByteArray<32> secret{7};
  ByteArray<32> ephemeral{};
  engine().x25519_public(secret, ephemeral);
  Bytes offer(48);
  Writer(offer).bytes(ephemeral).be(first_parameter);
  return offer;
}

Bytes hello_of(UnixMillis unix_ms) {
  Bytes hello(kHelloBytes);
  Writer(hello).bytes(as_bytes("STX1")).be(std::uint32_t{0x01000100}).zeros(32).be(unix_ms);
  return hello;
}

void lie_to_server(Liar liar) {
  CountingRng rng;
  NonceMemory nonces;
  auto server = ServerHandshake::create(config(), nonces, engine(), rng, kUnixMs).value();
  const Bytes sh = transmit(server);
  const detail::Root root = detail::root_of(engine(), *psk());
  Bytes ch = hello_of(kUnixMs);
  liar.lay_over(MutableBytes(ch).first(48));
  const auto hint = detail::make_hint(engine(), root, ByteView(sh).subspan<8, 32>(),
                                      ByteView(ch).subspan<8, 32>());
  std::ranges::copy(hint, ch.begin() + 48);
  bool is_damaged = liar.damage(MutableBytes(ch).subspan(48));
  const auto th1 = detail::transcript(engine(), {sh, ch});
  auto ca = detail::client_proof(engine(), root, th1);
  is_damaged = liar.damage(ca) || is_damaged;
  Bytes flight = ch;
  flight.insert(flight.end(), ca.begin(), ca.end());
  if (!takes(server, flight)) return;
  SEALINE_ASSERT(!is_damaged && nonces.size() == 1);
  const Bytes sa = transmit(server);
  SEALINE_ASSERT(sa.size() == kProofBytes);
  const auto th2 = detail::transcript(engine(), {th1, ca});
  const auto th3 = detail::transcript(engine(), {th2, sa});
  Bytes offer = offer_of(0);
  liar.lay_over(offer);
  Bytes skn = seal_offer(detail::client_handshake_key(engine(), root, th3), th3, offer);
  is_damaged = liar.damage(skn);
  if (!takes(server, skn)) return;
  SEALINE_ASSERT(!is_damaged && transmit(server).size() == 68);
  const LaneOpening opening = std::move(server).take();
  SEALINE_ASSERT(opening.psk_index == 1 && opening.client.lane < kMaxLanes);
}

void lie_to_client(Liar liar) {
  CountingRng rng;
  auto client =
      ClientHandshake::create(psk(), {.lane = 1, .transfer = {}}, engine(), rng, kUnixMs).value();
  const detail::Root root = detail::root_of(engine(), *psk());
  Bytes sh = hello_of(kUnixMs);
  liar.lay_over(sh);
  if (!takes(client, sh)) return;
  const Bytes flight = transmit(client);
  SEALINE_ASSERT(flight.size() == kHelloBytes + kProofBytes && client.awaits_proof());
  const auto th1 = detail::transcript(engine(), {sh, ByteView(flight).first(kHelloBytes)});
  const auto th2 = detail::transcript(engine(), {th1, ByteView(flight).subspan(kHelloBytes)});
  auto sa = detail::server_proof(engine(), root, th1, th2);
  bool is_damaged = liar.damage(sa);
  if (!takes(client, sa)) return;
  SEALINE_ASSERT(!is_damaged);
  const auto th3 = detail::transcript(engine(), {th2, sa});
  const auto th4 = detail::transcript(engine(), {th3, transmit(client)});
  Bytes offer = offer_of(20);
  liar.lay_over(offer);
  Bytes skc = seal_offer(detail::server_handshake_key(engine(), root, th3), th4, offer);
  is_damaged = liar.damage(skc);
  if (!takes(client, skc)) return;
  SEALINE_ASSERT(!is_damaged);
  const LaneOpening opening = std::move(client).take();
  SEALINE_ASSERT(opening.server.max_block_log2 >= kMinBlockLog2 &&
                 opening.server.max_block_log2 <= kMaxBlockLog2);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  if (input.empty()) return 0;
  const bool at_client = (input[0] & 1U) != 0;
  const bool is_raw = (input[0] & 2U) != 0;
  const bool is_rough = (input[0] & 4U) != 0;
  const ByteView rest = input.subspan(1);
  if (is_raw) {
    CountingRng rng;
    NonceMemory nonces;
    if (at_client) {
      auto client = ClientHandshake::create(psk(), {}, engine(), rng, kUnixMs).value();
      feed_pieces(client, rest);
    } else {
      auto server = ServerHandshake::create(config(), nonces, engine(), rng, kUnixMs).value();
      feed_pieces(server, rest);
    }
  } else if (at_client) {
    lie_to_client(Liar(rest, is_rough));
  } else {
    lie_to_server(Liar(rest, is_rough));
  }
  return 0;
}
