// Legacy packets: arbitrary bytes, and packets of our own sealing that are bent before they are
// opened. The harness owns the key, so that what it makes reaches behind the tag.
//
//   byte 0        key and IV size, role, any_time
//   then          operations: 0 n  seal n bytes      1 at bit  flip, open      2  open again
//                             3 rest of the input as a packet      4 rest as a framed stream
#include "sealine/base/assert.hpp"
#include "sealine/base/reader.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/stcp/legacy.hpp"
#include "sealine/stcp/legacy_stream.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace {

using namespace sealine;

constexpr UnixMillis kStart = 1'760'000'000'000;

class CountingRng final : public crypto::Rng {
 public:
  void fill(MutableBytes out) override {
    for (auto& byte : out) byte = next_++;
  }

 private:
  std::uint8_t next_ = 0;
};

crypto::Engine& engine() {
  static const std::unique_ptr<crypto::Engine> one =
      std::move(crypto::make_engine(crypto::EngineChoice::openssl).value());
  return *one;
}

void open_stream(ByteView input, std::size_t iv_size, stcp::LegacyOpener& opener) {
  stcp::LegacyStreamReader reader(iv_size);
  std::size_t taken = 0;
  while (taken < input.size()) {
    const std::size_t step = std::min<std::size_t>(1 + input[taken] % 64, input.size() - taken);
    reader.append(input.subspan(taken, step));
    taken += step;
    for (;;) {
      const auto next = reader.next_packet();
      if (!next) return;
      if (!*next) break;
      static_cast<void>(opener.open(**next, kStart));
    }
  }
  static_cast<void>(reader.finish());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kSizes[] = {16, 24, 32};
  Reader input{ByteView(data, size)};
  const unsigned setup = input.be<std::uint8_t>().value_or(0);
  const stcp::LegacyKey key{SecretBytes(kSizes[setup % 3]), kSizes[setup / 3 % 3]};
  const auto role = (setup & 0x40U) != 0 ? stcp::LegacyRole::server : stcp::LegacyRole::client;
  CountingRng rng;
  auto sealer = stcp::LegacySealer::create(key, role, kStart, engine(), rng).value();
  auto opener =
      stcp::LegacyOpener::create(key, role, kStart, {.any_time = (setup & 0x80U) != 0}, engine())
          .value();

  std::vector<std::uint8_t> packet;  // the last one sealed
  bool is_open = false;
  while (const auto operation = input.be<std::uint8_t>()) {
    switch (*operation % 5) {
      case 0: {
        const std::vector<std::uint8_t> plain(input.be<std::uint8_t>().value_or(0), 0xa5);
        packet.resize(plain.size() + sealer.overhead());
        SEALINE_ASSERT(sealer.seal(plain, kStart, packet).value() == packet.size());
        is_open = false;
        break;
      }
      case 1: {
        if (packet.empty()) break;
        std::vector<std::uint8_t> bent = packet;
        const std::size_t at = input.be<std::uint16_t>().value_or(0) % bent.size();
        bent[at] = static_cast<std::uint8_t>(bent[at] ^ (1U << (setup % 8)));
        const auto opened = opener.open(bent, kStart);
        SEALINE_ASSERT(!opened && opened.error() == Error{Errc::packet_not_authentic});
        break;
      }
      case 2: {
        if (packet.empty()) break;
        std::vector<std::uint8_t> copy = packet;
        const auto opened = opener.open(copy, kStart);
        SEALINE_ASSERT(opened.has_value() == !is_open);
        is_open = true;
        break;
      }
      case 3: {
        std::vector<std::uint8_t> rest(input.rest().begin(), input.rest().end());
        static_cast<void>(opener.open(rest, kStart));
        std::vector<std::uint8_t> out(rest.size());
        static_cast<void>(stcp::open_legacy_raw(key, input.rest(), out));
        return 0;
      }
      default:
        open_stream(input.rest(), key.iv_size, opener);
        return 0;
    }
  }
  return 0;
}
