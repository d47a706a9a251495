// Connections driven by a list of operations. The harness owns the keys, so that what it bends
// reaches behind the tag.
//
//   byte 0    bits 0-1 mode · bit 2 rogue: one machine against a peer that may send anything
//             bit 3 the machine is the client · bits 4-5 padding · bit 6 small rekey limit
//   then      operations of one to four bytes, see Pair::operate and Rogue::operate
//
// Pair: both machines are honest. Unless a byte on the wire was changed there is no fault, and what
// arrives is what was sent. Rogue: the machine may find a fault at any time; then it is silent.
#include "sealine/base/assert.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/stcp/connection.hpp"
#include "support/stcp_rogue.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace {

using namespace sealine;
using namespace sealine::stcp;
using test::Bytes;

class CountingRng final : public crypto::Rng {
 public:
  void fill(MutableBytes out) override {
    for (auto& byte : out) byte = static_cast<std::uint8_t>(next_++ * 167U >> 3U);
  }

 private:
  std::uint32_t next_ = 1;
};

/// The operations that are left. Reading past the end gives zeros.
class Input {
 public:
  explicit Input(ByteView bytes) : bytes_(bytes) {}

  [[nodiscard]] bool is_over() const { return bytes_.empty(); }

  std::uint8_t byte() {
    if (bytes_.empty()) return 0;
    const std::uint8_t first = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return first;
  }

  std::size_t number() { return std::size_t{byte()} << 8U | byte(); }

 private:
  ByteView bytes_;
};

struct World {
  explicit World(std::uint8_t choices) {
    constexpr std::array kModes = {Mode::anonymous, Mode::tofu, Mode::mutual, Mode::psk};
    const Mode mode = kModes[choices & 3U];
    const auto identity =
        std::make_shared<crypto::KeyPair>(crypto::KeyPair::generate(engine(), rng));
    client.mode = mode;
    client.identity = server.identity = identity;
    server.modes = {mode};
    const ByteArray<32> psk{1};
    client.psk = std::make_shared<crypto::Psk>(FixedView<32>(psk));
    server.psks.push_back(ServerPsk::make(engine(), crypto::Psk(FixedView<32>(psk))));
    client.limits.max_record_log2 = server.limits.max_record_log2 = 12;
    if ((choices & 64U) != 0) client.limits.rekey_bytes = server.limits.rekey_bytes = 3000;
    switch (choices >> 4U & 3U) {
      case 1:
        client.padding = server.padding = PadToMultiple{64};
        break;
      case 2:
        client.padding = server.padding = PadPadme{};
        break;
      case 3:
        client.padding = PadConstantRate{300, std::chrono::milliseconds(50)};
        break;
      default:
        break;
    }
  }

  static crypto::Engine& engine() {
    static const std::unique_ptr<crypto::Engine> one =
        std::move(crypto::make_engine(crypto::EngineChoice::openssl).value());
    return *one;
  }

  CountingRng rng;
  ClientConfig client;
  ServerConfig server;
  TimePoint now{};
};

struct End {
  std::unique_ptr<Connection> machine;
  Bytes sent;      ///< application bytes taken by seal
  Bytes received;  ///< application bytes delivered
  Bytes inbox;
  bool failed = false;
};

void expect_silence(Connection& machine, TimePoint now) {
  Bytes out(512);
  SEALINE_ASSERT(machine.state() == State::error || machine.state() == State::closed);
  SEALINE_ASSERT(machine.fault().has_value());
  SEALINE_ASSERT(!machine.has_transmit() && machine.poll_transmit(out, now) == 0);
  SEALINE_ASSERT(!machine.seal(out, out, now).has_value());
}

void read(End& end, std::size_t out_bytes, TimePoint now) {
  Bytes out(out_bytes);
  while (!end.failed) {
    Bytes in = end.inbox;
    const auto opened = end.machine->handle_bytes(in, out, now);
    if (!opened) {
      end.failed = true;
      if (opened.error().code != Errc::aborted) expect_silence(*end.machine, now);
      return;
    }
    SEALINE_ASSERT(opened->consumed <= in.size() && opened->delivered <= out.size());
    end.received.insert(end.received.end(), out.begin(),
                        out.begin() + static_cast<std::ptrdiff_t>(opened->delivered));
    end.received.insert(end.received.end(), opened->spill.begin(), opened->spill.end());
    end.inbox.erase(end.inbox.begin(),
                    end.inbox.begin() + static_cast<std::ptrdiff_t>(opened->consumed));
    bool moved = opened->consumed != 0;
    while (const auto event = end.machine->poll_event()) {
      moved = true;
      if (std::holds_alternative<PeerKeyShown>(*event)) end.machine->accept_peer_key(now);
    }
    if (!moved || end.inbox.empty()) return;
  }
}

void command(End& end, std::uint8_t which, TimePoint now) {
  switch (which % 8) {
    case 0:
      end.machine->ping(now);
      break;
    case 1:
    case 2:
      end.machine->request_rekey(now);
      break;
    case 3:
      static_cast<void>(end.machine->announce_next_key({}));
      break;
    case 4:
      end.machine->run_ahead();
      break;
    case 5:
      end.machine->pause_receiving();
      break;
    case 6:
      end.machine->close(now);
      break;
    default:
      if (which >= 0xF0) end.machine->abort(which, now);
      break;
  }
}

class Pair {
 public:
  explicit Pair(std::uint8_t choices) : world_(choices) {
    client_.machine = std::make_unique<ClientConnection>(std::move(
        ClientConnection::create(world_.client, World::engine(), world_.rng, world_.now).value()));
    server_.machine = std::make_unique<ServerConnection>(std::move(
        ServerConnection::create(world_.server, World::engine(), world_.rng, world_.now).value()));
  }

  void operate(Input& input) {
    const std::uint8_t op = input.byte();
    End& end = (op & 1U) != 0 ? client_ : server_;
    End& peer = (op & 1U) != 0 ? server_ : client_;
    Bytes& wire = (op & 1U) != 0 ? up_ : down_;
    switch (op >> 1U & 7U) {
      case 0:
      case 1:
        seal(end, wire, input.number() % 6000);
        break;
      case 2:
        deliver(wire, peer, wire.size(), input.byte());
        break;
      case 3:
        deliver(wire, peer, input.byte(), input.byte());
        break;
      case 4:
        command(end, input.byte(), world_.now);
        break;
      case 5:
        world_.now += std::chrono::milliseconds(input.number());
        client_.machine->handle_timeout(world_.now);
        server_.machine->handle_timeout(world_.now);
        timed_ = true;
        break;
      case 6:
        bend(wire, input);
        break;
      default:
        if ((op & 0x80U) != 0) {
          end.machine->handle_end_of_stream(world_.now);
          tampered_ = true;
        }
        break;
    }
    poll(client_, up_);
    poll(server_, down_);
    check();
  }

 private:
  void seal(End& end, Bytes& wire, std::size_t count) {
    Bytes data(count);
    for (std::size_t i = 0; i < count; ++i) {
      data[i] = static_cast<std::uint8_t>(end.sent.size() + i);
    }
    Bytes out(4500);
    const auto sealed = end.machine->seal(data, out, world_.now);
    if (!sealed) return;
    end.sent.insert(end.sent.end(), data.begin(),
                    data.begin() + static_cast<std::ptrdiff_t>(sealed->taken));
    wire.insert(wire.end(), out.begin(),
                out.begin() + static_cast<std::ptrdiff_t>(sealed->written));
  }

  void deliver(Bytes& wire, End& to, std::size_t count, std::size_t out_bytes) {
    const auto end = wire.begin() + static_cast<std::ptrdiff_t>(std::min(count, wire.size()));
    to.inbox.insert(to.inbox.end(), wire.begin(), end);
    wire.erase(wire.begin(), end);
    read(to, out_bytes, world_.now);
  }

  void bend(Bytes& wire, Input& input) {
    const std::size_t at = input.number();
    const std::uint8_t how = input.byte();
    if (wire.empty() || how == 0) return;
    tampered_ = true;
    wire[at % wire.size()] = static_cast<std::uint8_t>(wire[at % wire.size()] ^ how);
  }

  void poll(End& end, Bytes& wire) {
    Bytes out(512);
    while (const std::size_t written = end.machine->poll_transmit(out, world_.now)) {
      wire.insert(wire.end(), out.begin(), out.begin() + static_cast<std::ptrdiff_t>(written));
    }
    static_cast<void>(end.machine->poll_timeout());
    while (const auto event = end.machine->poll_event()) {
      if (std::holds_alternative<PeerKeyShown>(*event)) end.machine->accept_peer_key(world_.now);
    }
  }

  void check() const {
    for (const auto& [from, to] : {std::pair{&client_, &server_}, std::pair{&server_, &client_}}) {
      SEALINE_ASSERT(to->received.size() <= from->sent.size());
      SEALINE_ASSERT(std::equal(to->received.begin(), to->received.end(), from->sent.begin()));
      if (tampered_) continue;
      const auto fault = to->machine->fault();
      const bool honest = !fault || fault->code == Errc::aborted ||
                          fault->code == Errc::cancelled ||
                          (timed_ && describe(fault->code).fault == Fault::limit) ||
                          // Records that were held up arrive at once: the count is then too high.
                          (timed_ && fault->code == Errc::too_many_empty);
      SEALINE_ASSERT(honest);
    }
  }

  World world_;
  End client_;
  End server_;
  Bytes up_;
  Bytes down_;
  bool tampered_ = false;
  bool timed_ = false;
};

class Rogue {
 public:
  explicit Rogue(std::uint8_t choices) : world_(choices), plays_server_((choices & 8U) != 0) {
    if (plays_server_) {
      rogue_ = std::make_unique<test::StcpRogue>(world_.server, World::engine(), world_.rng);
      end_.machine = std::make_unique<ClientConnection>(
          std::move(ClientConnection::create(world_.client, World::engine(), world_.rng, world_.now)
                        .value()));
    } else {
      rogue_ = std::make_unique<test::StcpRogue>(world_.client, World::engine(), world_.rng);
      end_.machine = std::make_unique<ServerConnection>(
          std::move(ServerConnection::create(world_.server, World::engine(), world_.rng, world_.now)
                        .value()));
    }
    SEALINE_ASSERT(rogue_->shake_hands(*end_.machine, world_.now));
  }

  void operate(Input& input) {
    const std::uint8_t op = input.byte();
    switch (op & 7U) {
      case 0:
      case 1: {  // a good record of any type
        const std::uint8_t type = input.byte();
        const Bytes data(data_size(input.byte()), op);
        give(rogue_->seal(type, data, (op & 8U) != 0 ? input.byte() : 0U));
        if (type == 0) said_ += data.size();
        break;
      }
      case 2: {  // a trailer that lies
        const std::uint8_t type = input.byte();
        const Bytes body(input.byte(), op);
        const auto pad = static_cast<std::uint32_t>(input.number());
        give(rogue_->seal_with_trailer(type, body, pad));
        if (type == 0 && pad <= body.size()) said_ += body.size() - pad;
        break;
      }
      case 3:  // a length that lies
        give(rogue_->seal(input.byte(), Bytes(input.byte()), 0,
                          static_cast<std::int64_t>(input.byte()) - 128));
        break;
      case 4:  // its side of a rekey, as it should be
        share_ = crypto::KeyPair::generate(World::engine(), world_.rng);
        give(rogue_->seal(2, share_->public_key.bytes));
        mix();
        break;
      case 5:
        command(end_, input.byte(), world_.now);
        break;
      case 6:
        world_.now += std::chrono::milliseconds(input.number());
        end_.machine->handle_timeout(world_.now);
        break;
      default: {
        Bytes out(4500);
        static_cast<void>(end_.machine->seal(Bytes(input.byte()), out, world_.now));
        give(Bytes(op >> 5U, 0));
        break;
      }
    }
    poll();
    SEALINE_ASSERT(end_.received.size() <= said_);
    if (end_.machine->state() == State::error) expect_silence(*end_.machine, world_.now);
  }

 private:
  static std::size_t data_size(std::uint8_t chosen) {
    constexpr std::array<std::size_t, 8> kSizes = {0, 1, 32, 31, 33, 100, 4092, 4096};
    return kSizes[chosen & 7U];
  }

  void give(const Bytes& wire) {
    end_.inbox.insert(end_.inbox.end(), wire.begin(), wire.end());
    read(end_, 64, world_.now);
  }

  /// Server's part: R2 was given, so s2c changes. A client's R3 waits for the answer (poll).
  void mix() {
    if (plays_server_ && client_share_) mix_into(rogue_->send, *client_share_, true);
  }

  void mix_into(detail::RecordRatchet& chain, const crypto::PublicKey& peer, bool we_answer) {
    detail::SharedX x;
    if (!World::engine().x25519(share_->secret.expose(), peer.view(), x.writable())) return;
    ByteArray<32> hk{};
    const auto& first = we_answer ? peer : share_->public_key;
    const auto& second = we_answer ? share_->public_key : peer;
    World::engine().sha256({rogue_->agreement.keys.h, first.bytes, second.bytes}, hk);
    chain.mix(World::engine(), x, hk);
  }

  void poll() {
    Bytes out(512);
    Bytes wire;
    while (const std::size_t written = end_.machine->poll_transmit(out, world_.now)) {
      wire.insert(wire.end(), out.begin(), out.begin() + static_cast<std::ptrdiff_t>(written));
    }
    while (const auto record = rogue_->open(wire)) {
      if (record->type != 2) continue;
      if (record->data.size() == 32) {
        crypto::PublicKey peer;
        std::ranges::copy(record->data, peer.bytes.begin());
        if (plays_server_) {
          client_share_ = peer;
        } else if (share_) {
          mix_into(rogue_->receive, peer, false);
          give(rogue_->seal(2));
          mix_into(rogue_->send, peer, false);
        }
      } else if (plays_server_ && client_share_ && share_) {
        mix_into(rogue_->receive, *client_share_, true);
        client_share_.reset();
      }
    }
  }

  World world_;
  bool plays_server_;
  std::unique_ptr<test::StcpRogue> rogue_;
  End end_;
  std::size_t said_ = 0;
  std::optional<crypto::KeyPair> share_;
  std::optional<crypto::PublicKey> client_share_;
};

template <class Run>
void run(Run run, Input input) {
  for (int i = 0; i < 400 && !input.is_over(); ++i) run.operate(input);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(ByteView(data, size));
  const std::uint8_t choices = input.byte();
  if ((choices & 4U) != 0) {
    run(Rogue(choices), input);
  } else {
    run(Pair(choices), input);
  }
  return 0;
}
