// What both ends parse before anything is authentic: heads, settings, trailers; and any bytes at
// all as the first that a machine ever sees.
#include "sealine/base/assert.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/stcp/connection.hpp"
#include "stcp/detail/handshake_record.hpp"
#include "stcp/detail/record.hpp"
#include "stcp/detail/settings.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace {

using namespace sealine;
using namespace sealine::stcp;

constexpr ModeSet kAllModes = {Mode::anonymous, Mode::tofu, Mode::mutual, Mode::psk};

class CountingRng final : public crypto::Rng {
 public:
  void fill(MutableBytes out) override {
    for (auto& byte : out) byte = next_++;
  }

 private:
  std::uint8_t next_ = 1;
};

struct World {
  World() {
    server.modes = kAllModes;
    server.identity = std::make_shared<crypto::KeyPair>(crypto::KeyPair::generate(*engine, rng));
    server.psks.push_back(ServerPsk::make(*engine, crypto::Psk(FixedView<32>(ByteArray<32>{1}))));
    client.mode = Mode::tofu;
  }

  std::unique_ptr<crypto::Engine> engine =
      std::move(crypto::make_engine(crypto::EngineChoice::openssl).value());
  CountingRng rng;
  ServerConfig server;
  ClientConfig client;
};

World& world() {
  static World one;
  return one;
}

void check_parsers(ByteView input) {
  if (input.size() >= kRecordHeadBytes) {
    const auto head = input.first<kRecordHeadBytes>();
    if (const auto hello = detail::parse_hello_head(head, kAllModes)) {
      const auto again = detail::encode_head(hello->mode, detail::Step::hello, hello->hint);
      SEALINE_ASSERT(std::ranges::equal(again, head));
    }
  }
  if (input.size() >= detail::kSettingsBytes) {
    const auto bytes = input.first<detail::kSettingsBytes>();
    if (const auto settings = detail::parse_settings(bytes)) {
      SEALINE_ASSERT(std::ranges::equal(detail::encode(*settings), bytes));
    }
  }
  if (input.size() >= kRecordTrailerBytes) {
    const auto bytes = input.last<kRecordTrailerBytes>();
    if (const auto trailer = detail::parse_trailer(bytes, input.size())) {
      ByteArray<kRecordTrailerBytes> again{};
      detail::encode_trailer(*trailer, again);
      SEALINE_ASSERT(std::ranges::equal(again, bytes));
      SEALINE_ASSERT(trailer->pad_bytes + kRecordTrailerBytes <= input.size());
    }
  }
}

/// Nobody without keys gets further than KEY_EXCHANGE, and a fault is silent.
void check_machine(Connection& machine, ByteView input) {
  constexpr TimePoint kNow{};
  std::vector<std::uint8_t> bytes(input.begin(), input.end());
  std::vector<std::uint8_t> out(256);
  std::size_t at = 0;
  while (at < bytes.size()) {
    const auto opened = machine.handle_bytes(MutableBytes(bytes).subspan(at), out, kNow);
    if (!opened) {
      SEALINE_ASSERT(machine.state() == State::error && !machine.has_transmit());
      SEALINE_ASSERT(machine.poll_transmit(out, kNow) == 0);
      return;
    }
    SEALINE_ASSERT(opened->delivered == 0 && opened->spill.empty());
    SEALINE_ASSERT(machine.wanted_bytes() >= 1 &&
                   machine.wanted_bytes() <= kRecordHeadBytes + kMaxHandshakeBytes);
    while (machine.poll_event()) {
    }
    if (opened->consumed == 0) break;
    at += opened->consumed;
    static_cast<void>(machine.poll_transmit(out, kNow));
  }
  SEALINE_ASSERT(machine.state() == State::key_exchange);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  check_parsers(input);
  World& w = world();
  auto server = ServerConnection::create(w.server, *w.engine, w.rng, TimePoint{});
  SEALINE_ASSERT(server.has_value());
  check_machine(*server, input);
  auto client = ClientConnection::create(w.client, *w.engine, w.rng, TimePoint{});
  SEALINE_ASSERT(client.has_value());
  check_machine(*client, input);
  return 0;
}
