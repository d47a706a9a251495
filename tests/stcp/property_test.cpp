#include "sealine/stcp/connection.hpp"
#include "support/stcp_pair.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <string_view>

// Random sessions on a random network, each a function of its seed. A failing seed is printed;
// SEALINE_SEED runs it alone.

namespace sealine::stcp {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::Bytes;
using test::StcpEnd;
using test::StcpPair;

struct Sent {
  Bytes bytes;
  bool closed = false;
};

/// One random session. `flip_one_in`: 0 for a network that only splits and delays.
class RandomSession {
 public:
  RandomSession(std::uint64_t seed, std::uint64_t flip_one_in)
      : choice_(seed ^ 0x5EA1U), pair_(options(seed)) {
    if (flip_one_in != 0) {
      const auto tamper = [this, flip_one_in](Bytes& wire) {
        if (wire.empty() || choice_.below(flip_one_in) != 0) return;
        const std::size_t bit = choice_.below(wire.size() * 8);
        wire[bit / 8] = static_cast<std::uint8_t>(wire[bit / 8] ^ (1U << (bit % 8)));
        flipped_ = true;
      };
      pair_.client_to_server = tamper;
      pair_.server_to_client = tamper;
    }
  }

  void play(int steps) {
    pair_.run();
    for (int i = 0; i < steps; ++i) {
      act();
      if (choice_.below(3) != 0) pair_.run();
      check_prefixes();
      if (testing::Test::HasFatalFailure()) return;
    }
    pair_.run();
    finish();
  }

 private:
  StcpPair::Options options(std::uint64_t seed) {
    constexpr std::array kModes = {Mode::anonymous, Mode::tofu, Mode::mutual, Mode::psk};
    StcpPair::Options o{.mode = kModes[choice_.below(4)], .seed = seed};
    o.max_chunk_bytes = std::array<std::size_t, 4>{0, 7, 50, 3000}[choice_.below(4)];
    takes_long_runs_ = o.max_chunk_bytes == 0 || o.max_chunk_bytes == 3000;
    o.client_limits.rekey_bytes =
        std::array<std::uint64_t, 3>{2'000, 100'000, 1U << 30U}[choice_.below(3)];
    o.client_limits.max_record_log2 = static_cast<std::uint8_t>(12 + choice_.below(4));
    o.server_limits.max_record_log2 = static_cast<std::uint8_t>(12 + choice_.below(4));
    o.client_padding = padding();
    o.server_padding = padding();
    return o;
  }

  Padding padding() {
    switch (choice_.below(5)) {
      case 0:
        return PadToMultiple{64};
      case 1:
        return PadPadme{};
      case 2:
        return PadConstantRate{1000, milliseconds(20)};
      default:
        return PadNone{};
    }
  }

  void act() {
    const bool by_client = choice_.below(2) == 0;
    StcpEnd& end = by_client ? pair_.client : pair_.server;
    Sent& sent = by_client ? up_ : down_;
    end.out_bytes = choice_.below(3) == 0 ? choice_.below(100) : 4096;
    switch (choice_.below(12)) {
      case 0:
        pair_.now += milliseconds(choice_.below(1500));
        break;
      case 1:
        end.machine->ping(pair_.now);
        break;
      case 2:
        end.machine->request_rekey(pair_.now);
        break;
      case 3: {
        crypto::PublicKey next;
        static_cast<void>(end.machine->announce_next_key(next));
        break;
      }
      case 4:
        end.machine->run_ahead();
        break;
      case 5:
        pair_.advance(milliseconds(choice_.below(3000)));
        break;
      case 6:
        if (choice_.below(30) == 0 && end.to_send.empty()) {
          end.machine->close(pair_.now);
          sent.closed = true;
        }
        break;
      default: {
        if (!end.machine->can_send()) break;
        Bytes data(choice_.below(takes_long_runs_ && choice_.below(4) == 0 ? 20'000 : 200));
        choice_.fill(data);
        sent.bytes.insert(sent.bytes.end(), data.begin(), data.end());
        pair_.send(end, data);
        break;
      }
    }
  }

  void check_prefixes() {
    for (const auto& [end, sent] :
         {std::pair{&pair_.server, &up_}, std::pair{&pair_.client, &down_}}) {
      ASSERT_LE(end->received.size(), sent->bytes.size());
      ASSERT_TRUE(std::equal(end->received.begin(), end->received.end(), sent->bytes.begin()));
      if (end->find<DataEnded>() != nullptr) {
        ASSERT_TRUE(sent->closed);
      }
    }
  }

  void finish() {
    pair_.client_to_server = nullptr;
    pair_.server_to_client = nullptr;
    // No end reached ENCRYPTED with another view.
    if (pair_.both_encrypted()) {
      Bytes one(32);
      Bytes two(32);
      ASSERT_TRUE(pair_.client.machine->export_key("view", {}, one));
      ASSERT_TRUE(pair_.server.machine->export_key("view", {}, two));
      ASSERT_EQ(one, two);
    }
    if (flipped_) {
      for (StcpEnd* end : {&pair_.client, &pair_.server}) {
        if (!end->machine->fault()) continue;
        ASSERT_EQ(end->state(), State::error);
        ASSERT_TRUE(pair_.take_output(*end).empty());
      }
      return;
    }
    // Liveness: nobody stalls any more, so all is done in a while.
    pair_.advance(seconds(60));
    for (StcpEnd* end : {&pair_.client, &pair_.server}) {
      ASSERT_FALSE(end->fault()) << to_string(*end->fault());
      end->machine->close(pair_.now);
    }
    pair_.advance(seconds(60));
    ASSERT_EQ(pair_.server.received, up_.bytes);
    ASSERT_EQ(pair_.client.received, down_.bytes);
    ASSERT_EQ(pair_.client.state(), State::closed);
    ASSERT_EQ(pair_.server.state(), State::closed);
    ASSERT_TRUE(pair_.client.find<DataEnded>());
    ASSERT_TRUE(pair_.server.find<DataEnded>());
    ASSERT_EQ(pair_.client.machine->statistics().epoch_sent,
              pair_.server.machine->statistics().epoch_received);
    ASSERT_EQ(pair_.server.machine->statistics().epoch_sent,
              pair_.client.machine->statistics().epoch_received);
  }

  test::SeededRng choice_;
  bool takes_long_runs_ = false;
  StcpPair pair_;
  Sent up_;
  Sent down_;
  bool flipped_ = false;
};

void run_seeds(std::uint64_t first, std::uint64_t count, std::uint64_t flip_one_in) {
  if (const char* seed = std::getenv("SEALINE_SEED")) {
    first = std::strtoull(seed, nullptr, 0);
    count = 1;
  }
  if (const char* scale = std::getenv("SEALINE_TEST_SCALE");
      scale != nullptr && std::string_view(scale) == "full") {
    count *= 20;
  }
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("SEALINE_SEED=" + std::to_string(seed));
    RandomSession(seed, flip_one_in).play(120);
    if (testing::Test::HasFatalFailure()) return;
  }
}

// SPEC stcp.md#state-machine
TEST(StcpProperty, all_arrives_in_order_on_any_split_and_delay) { run_seeds(1, 60, 0); }

// SPEC stcp.md#faults
TEST(StcpProperty, nothing_false_arrives_on_a_network_that_flips) { run_seeds(10'001, 150, 40); }

}  // namespace
}  // namespace sealine::stcp
