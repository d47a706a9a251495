// However much comes at a time, a channel does what it would have done with one message at a time.
#include "sealine/base/reader.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/scp/channel.hpp"
#include "sealine/scp/handshake.hpp"
#include "support/fixed_rng.hpp"
#include "support/hex.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sealine::scp {
namespace {

using test::Bytes;
using test::SeededRng;
using namespace std::chrono_literals;

constexpr TimePoint kNow{1000s};

// A server that anybody may talk to. Two of them with the same random numbers answer alike.
struct Server {
  std::unique_ptr<crypto::Engine> engine = *crypto::make_engine();
  SeededRng rng{5};
  ServerConfig config;
  std::optional<ServerHandshake> handshake;
  std::optional<ChannelEnd> end;
  std::string heard;  // what came of it: messages and events

  Server() {
    config.modes = {Mode::anonymous};
    handshake.emplace(ServerHandshake::create(config, *engine, rng).value());
  }

  Bytes shake(Bytes bytes) {
    std::size_t used = 0;
    const auto progress = handshake->handle_bytes(bytes, used);
    EXPECT_TRUE(progress);
    Bytes answer(1024);
    answer.resize(handshake->poll_transmit(answer));
    if (*progress == Progress::done) {
      end.emplace(ChannelEnd::accept(config, std::move(*handshake).take(), *engine, rng, kNow));
    }
    return answer;
  }

  // Gives what was used up.
  std::size_t take(MutableBytes bytes) {
    const std::size_t used = end->handle_bytes(bytes, kNow);
    while (const auto message = end->front()) {
      heard += "message " + std::to_string(message->size()) + " " +
               test::to_hex(message->first(std::min<std::size_t>(message->size(), 8))) + "\n";
      end->pop();
    }
    return used;
  }

  void take_all_at_once(Bytes bytes) {
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t used = take(MutableBytes(bytes).subspan(at));
      if (used == 0) break;
      at += used;
    }
  }

  void take_one_by_one(Bytes bytes) {
    for (std::size_t at = 0; at < bytes.size();) {
      const MutableBytes rest = MutableBytes(bytes).subspan(at);
      std::size_t size = rest.size();
      if (rest.size() >= kHeadBytes) {
        Reader reader(ByteView(rest).subspan(10, 4));
        size = std::min<std::size_t>(size,
                                     kHeadBytes + reader.be<std::uint32_t>().value() + kMacBytes);
      }
      const std::size_t used = take(rest.first(size));
      if (used == 0) break;
      at += used;
    }
  }

  Bytes finish_turn() {
    Bytes out(std::size_t{1} << 20U);
    out.resize(end->poll_transmit(out, kNow));
    // Several "something is ready" in a row say as much as one.
    std::size_t last = 99;
    while (const auto event = end->poll_event()) {
      if (event->index() != last) heard += "event " + std::to_string(event->index()) + "\n";
      last = event->index();
    }
    heard += "state " + std::to_string(static_cast<int>(end->state())) + "\n";
    if (const auto& outcome = end->outcome()) {
      heard += "code " + std::to_string(static_cast<int>(outcome->code)) + " " +
               std::to_string(outcome->receipted) + " " + std::to_string(outcome->unknown) + "\n";
    }
    return out;
  }
};

struct Client {
  std::unique_ptr<crypto::Engine> engine = *crypto::make_engine();
  SeededRng rng{6};
  ClientConfig config;
  std::optional<ChannelEnd> end;

  Client() {
    config.mode = Mode::anonymous;
    end.emplace(ChannelEnd::connect(config, *engine, rng, kNow).value());
  }

  Bytes transmit() {
    Bytes all;
    Bytes buffer(std::size_t{1} << 20U);
    while (const std::size_t n = end->poll_transmit(buffer, kNow)) {
      all.insert(all.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(n));
    }
    return all;
  }

  void take(Bytes bytes) {
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t used = end->handle_bytes(MutableBytes(bytes).subspan(at), kNow);
      if (used == 0) break;
      at += used;
    }
  }

  // What a program might do in one turn.
  void act(SeededRng& dice) {
    for (std::size_t i = dice.below(60); i > 0; --i) {
      Bytes message(dice.below(30) == 0 ? 60'000 + dice.below(100'000) : dice.below(300));
      rng.fill(MutableBytes(message).first(std::min<std::size_t>(message.size(), 8)));
      static_cast<void>(end->send(message));
    }
    if (dice.below(3) == 0) end->rotate();
    if (dice.below(12) == 0) end->end(kNow);
    if (dice.below(12) == 0) end->close(kNow);
    if (dice.below(20) == 0) end->abort(Code::going_away, kNow);
  }
};

// SPEC scp.md#message
TEST(ScpTurn, has_the_outcome_of_one_message_at_a_time) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRng dice(seed);
    Client client;
    Server together;
    Server single;
    const Bytes init = client.transmit();
    const Bytes answer = together.shake(init);
    ASSERT_EQ(answer, single.shake(init));
    client.take(answer);
    const Bytes ack = client.transmit();
    together.shake(ack);
    single.shake(ack);

    for (int turn = 0; turn < 6; ++turn) {
      client.act(dice);
      Bytes bytes = client.transmit();
      if (!bytes.empty() && dice.below(6) == 0) {
        bytes[dice.below(bytes.size())] ^= static_cast<std::uint8_t>(1U << dice.below(8));
      }
      together.take_all_at_once(bytes);
      single.take_one_by_one(bytes);
      const Bytes back = together.finish_turn();
      ASSERT_EQ(back, single.finish_turn());
      ASSERT_EQ(together.heard, single.heard);
      client.take(back);
    }
  }
}

}  // namespace
}  // namespace sealine::scp
