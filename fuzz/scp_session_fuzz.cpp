// A server's channel against a client that holds valid keys and does as it likes. The harness owns
// the client's keys, so that every mutation reaches behind the MAC.
//
//   operations:  0 type n bytes   seal n bytes of plaintext as a message of that type
//                1 n bytes        n raw bytes on the wire        2 bit   seal, then flip one bit
//                3 n              the server sends n bytes       4       the server takes a message
//                5 n              n seconds pass                 6       the server ends
//                7                the server closes              8       the connection ends
#include "sealine/base/assert.hpp"
#include "sealine/base/reader.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/scp/channel.hpp"

#include <algorithm>
#include <memory>
#include <optional>
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

// A server's channel, and the client's end of its keys.
class Session {
 public:
  explicit Session(bool reconnect) {
    server_config_.modes = {scp::Mode::anonymous};
    server_config_.reconnect = reconnect;
    client_config_.mode = scp::Mode::anonymous;
    client_config_.reconnect = reconnect;
    auto client = scp::ClientHandshake::create(client_config_, engine(), rng_, {}).value();
    auto server = scp::ServerHandshake::create(server_config_, engine(), rng_).value();
    std::vector<std::uint8_t> wire(1024);
    std::size_t consumed = 0;
    MutableBytes message = MutableBytes(wire).first(client.poll_transmit(wire));
    SEALINE_ASSERT(server.handle_bytes(message, consumed) == scp::Progress::reply);
    message = MutableBytes(wire).first(server.poll_transmit(wire));
    SEALINE_ASSERT(client.handle_bytes(message, consumed) == scp::Progress::done);
    message = MutableBytes(wire).first(client.poll_transmit(wire));
    SEALINE_ASSERT(server.handle_bytes(message, consumed) == scp::Progress::done);
    liar_.emplace(std::move(client).take().link);
    channel_.emplace(
        scp::ChannelEnd::accept(server_config_, std::move(server).take(), engine(), rng_, now_));
  }

  [[nodiscard]] std::vector<std::uint8_t> seal(std::uint8_t type, ByteView plaintext) {
    std::vector<std::uint8_t> message(scp::Link::sealed_size(plaintext.size()));
    SEALINE_ASSERT(
        liar_->seal(static_cast<scp::Type>(1 + type % 5), plaintext, {}, message).has_value());
    return message;
  }

  void deliver(ByteView bytes) {
    held_.insert(held_.end(), bytes.begin(), bytes.end());
    while (!held_.empty()) {
      const std::size_t used = channel_->handle_bytes(held_, now_);
      SEALINE_ASSERT(used <= held_.size());
      held_.erase(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(used));
      drain();
      if (used == 0) break;
    }
  }

  void drain() {
    std::vector<std::uint8_t> out(scp::kMaxWireMessageBytes);
    while (channel_->poll_transmit(out, now_) > 0) {
    }
    while (channel_->poll_event()) {
    }
    SEALINE_ASSERT(channel_->receipted() <= channel_->sent());
    SEALINE_ASSERT(channel_->outcome().has_value() == (channel_->state() == scp::State::closed));
  }

  void pass(std::uint8_t seconds) {
    now_ += std::chrono::seconds(seconds);
    channel_->handle_timeout(now_);
    drain();
  }

  scp::ChannelEnd& channel() { return *channel_; }

  [[nodiscard]] TimePoint now() const { return now_; }

 private:
  CountingRng rng_;
  TimePoint now_{std::chrono::seconds(1)};
  scp::ServerConfig server_config_;
  scp::ClientConfig client_config_;
  std::optional<scp::Link> liar_;
  std::optional<scp::ChannelEnd> channel_;
  std::vector<std::uint8_t> held_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Reader input{ByteView(data, size)};
  Session session((input.be<std::uint8_t>().value_or(0) & 1U) != 0);
  session.drain();
  const auto some = [&input](std::size_t most) {
    const std::size_t wanted = input.be<std::uint8_t>().value_or(0);
    const std::size_t there = std::min({wanted, most, input.remaining()});
    return input.bytes(there).value_or(ByteView());
  };
  while (const auto operation = input.be<std::uint8_t>()) {
    scp::ChannelEnd& channel = session.channel();
    switch (*operation % 9) {
      case 0: {
        const std::uint8_t type = input.be<std::uint8_t>().value_or(0);
        session.deliver(session.seal(type, some(255)));
        break;
      }
      case 1:
        session.deliver(some(255));
        break;
      case 2: {
        auto message = session.seal(2, some(64));
        const std::size_t bit = input.be<std::uint16_t>().value_or(0) % (message.size() * 8);
        message[bit / 8] = static_cast<std::uint8_t>(message[bit / 8] ^ (1U << (bit % 8)));
        const std::uint64_t before = channel.received();
        session.deliver(message);
        SEALINE_ASSERT(channel.received() == before);
        break;
      }
      case 3: {
        const std::vector<std::uint8_t> message(input.be<std::uint8_t>().value_or(0), 0x5a);
        static_cast<void>(channel.send(message));
        session.drain();
        break;
      }
      case 4:
        if (channel.front()) channel.pop();
        session.drain();
        break;
      case 5:
        session.pass(input.be<std::uint8_t>().value_or(0));
        break;
      case 6:
        channel.end(session.now());
        session.drain();
        break;
      case 7:
        channel.close(session.now());
        session.drain();
        break;
      default:
        channel.handle_disconnected(session.now());
        session.drain();
        break;
    }
  }
  return 0;
}
