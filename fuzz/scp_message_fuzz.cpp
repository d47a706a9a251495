// Heads of messages, and a server's handshake over arbitrary bytes.
//
//   byte 0   what the receiver expects: bit 0 any type, bits 1.. the type; bit 7: feed a handshake
//   then     14 bytes of a head, or the bytes of a client
#include "sealine/base/assert.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/scp/handshake.hpp"
#include "sealine/scp/message.hpp"

#include <algorithm>
#include <memory>
#include <vector>

namespace {

using namespace sealine;

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

const scp::ServerConfig& config() {
  static const scp::ServerConfig one = [] {
    CountingRng rng;
    scp::ServerConfig made;
    made.modes = {scp::Mode::anonymous, scp::Mode::pinned, scp::Mode::mutual, scp::Mode::psk,
                  scp::Mode::pinned_psk};
    made.identity =
        std::make_shared<const crypto::KeyPair>(crypto::KeyPair::generate(engine(), rng));
    made.psks = {std::make_shared<const crypto::Psk>()};
    return made;
  }();
  return one;
}

void feed_handshake(ByteView input) {
  CountingRng rng;
  auto handshake = scp::ServerHandshake::create(config(), engine(), rng).value();
  std::vector<std::uint8_t> held(input.begin(), input.end());
  std::vector<std::uint8_t> out(1024);
  for (;;) {
    std::size_t consumed = 0;
    const auto progress = handshake.handle_bytes(held, consumed);
    if (!progress) {
      // A fault is silent and final.
      SEALINE_ASSERT(!handshake.has_transmit());
      SEALINE_ASSERT(!handshake.handle_bytes(held, consumed));
      return;
    }
    SEALINE_ASSERT(consumed <= held.size());
    held.erase(held.begin(), held.begin() + static_cast<std::ptrdiff_t>(consumed));
    if (*progress == scp::Progress::key_shown && !handshake.accept_peer_key()) return;
    static_cast<void>(handshake.poll_transmit(out));
    if (consumed == 0) return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  if (input.empty()) return 0;
  if ((input[0] & 0x80U) != 0) {
    feed_handshake(input.subspan(1));
    return 0;
  }
  if (input.size() < 1 + scp::kHeadBytes) return 0;
  const auto bytes = input.subspan(1).first<scp::kHeadBytes>();
  const scp::Expected expected{.sequence = 7,
                               .min_payload_bytes = scp::kMinPayloadBytes,
                               .max_payload_bytes = scp::kMaxPayloadBytes,
                               .any_type = (input[0] & 1U) != 0,
                               .type = static_cast<scp::Type>(1 + (input[0] >> 1U) % 5)};
  if (const auto head = scp::parse_head(bytes, expected)) {
    SEALINE_ASSERT(std::ranges::equal(scp::encode(*head), bytes));
    SEALINE_ASSERT(head->message_bytes() <= scp::kMaxWireMessageBytes);
  }
  return 0;
}
