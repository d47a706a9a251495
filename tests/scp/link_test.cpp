// Runs of messages: sealed together, verified together, and nothing to tell them by from messages
// that came one at a time.
#include "sealine/scp/link.hpp"

#include "support/engines.hpp"
#include "support/fixed_rng.hpp"
#include "support/hex.hpp"
#include "support/no_alloc.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace sealine::scp {
namespace {

using test::Bytes;
using test::SeededRng;

class LinkRun : public test::EngineTest {
 protected:
  [[nodiscard]] Link begin(Link::Role role) const {
    return Link::begin(engine(), role, ByteArray<32>{1}, ByteArray<32>{2}, ByteArray<32>{3});
  }

  // Both ends of a link, prepared for a rotation.
  void prepare(Link& client, Link& server) const {
    const crypto::PublicKey a{{1}};
    const crypto::PublicKey b{{2}};
    const crypto::SharedSecret x(ByteArray<32>{9});
    client.prepare_rotation(a, b, x);
    server.prepare_rotation(a, b, x);
  }

  // DATA messages of the sizes, as bytes of the wire.
  static Bytes seal_all(Link& link, std::span<const Bytes> plaintexts) {
    Bytes out(1 << 20);
    SealRun run(out);
    for (const Bytes& plaintext : plaintexts)
      EXPECT_TRUE(link.seal(Type::data, {}, plaintext, run));
    link.finish(run);
    out.resize(run.used());
    return out;
  }

  // Opens what is whole in `wire`, run by run, and takes it off; the error that stopped it, if any.
  static std::optional<Errc> open_all(Link& link, Bytes& wire, std::vector<Bytes>& opened) {
    for (;;) {
      std::array<Arrived, kRunMessages> run;
      const std::size_t count = link.verify(wire, run);
      if (count == 0) return std::nullopt;
      std::size_t at = 0;
      for (const Arrived& arrived : std::span(run).first(count)) {
        Bytes to(arrived.head.payload_bytes - crypto::kTagBytes);
        const auto plaintext =
            link.open(arrived, MutableBytes(wire).subspan(at, arrived.head.message_bytes()), to);
        if (!plaintext) return plaintext.error().code;
        opened.emplace_back(plaintext->begin(), plaintext->end());
        at += arrived.head.message_bytes();
      }
      wire.erase(wire.begin(), wire.begin() + static_cast<std::ptrdiff_t>(at));
    }
  }

  static std::vector<Bytes> any_plaintexts(SeededRng& rng, std::size_t count) {
    std::vector<Bytes> plaintexts(count);
    for (Bytes& plaintext : plaintexts) {
      plaintext.resize(rng.below(rng.below(8) == 0 ? 9000 : 120));
      rng.fill(plaintext);
    }
    return plaintexts;
  }
};

SEALINE_FOR_EACH_ENGINE(LinkRun);

TEST_P(LinkRun, has_the_bytes_of_messages_sealed_one_by_one) {
  for (const std::size_t count : {1U, 2U, 31U, 32U, 33U, 100U}) {
    SeededRng rng(count);
    const std::vector<Bytes> plaintexts = any_plaintexts(rng, count);
    Link together = begin(Link::Role::client);
    Link single = begin(Link::Role::client);
    Bytes expected;
    for (const Bytes& plaintext : plaintexts) {
      // However the plaintext is cut.
      const std::size_t cut = plaintext.empty() ? 0 : rng.below(plaintext.size());
      Bytes one(Link::sealed_size(plaintext.size()));
      ASSERT_EQ(single.seal(Type::data, ByteView(plaintext).first(cut),
                            ByteView(plaintext).subspan(cut), one),
                one.size());
      expected.insert(expected.end(), one.begin(), one.end());
    }
    ASSERT_EQ(seal_all(together, plaintexts), expected);
  }
}

TEST_P(LinkRun, is_opened_whatever_is_at_hand_at_a_time) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRng rng(seed);
    Link client = begin(Link::Role::client);
    Link server = begin(Link::Role::server);
    const std::vector<Bytes> plaintexts = any_plaintexts(rng, rng.below(80));
    const Bytes wire = seal_all(client, plaintexts);
    std::vector<Bytes> opened;
    Bytes at_hand;
    for (std::size_t at = 0; at < wire.size();) {
      const std::size_t more = std::min<std::size_t>(wire.size() - at, 1 + rng.below(20'000));
      at_hand.insert(at_hand.end(), wire.begin() + static_cast<std::ptrdiff_t>(at),
                     wire.begin() + static_cast<std::ptrdiff_t>(at + more));
      at += more;
      ASSERT_EQ(open_all(server, at_hand, opened), std::nullopt);
    }
    ASSERT_TRUE(at_hand.empty());
    ASSERT_EQ(opened, plaintexts);
  }
}

// Spec scp.md#message: all before the first fault count, none after it.
TEST_P(LinkRun, counts_up_to_a_forged_message_and_no_further) {
  constexpr std::size_t kCount = 20;
  const Bytes plaintext(40, 7);
  const std::size_t each = Link::sealed_size(plaintext.size());
  for (std::size_t forged = 0; forged < kCount; ++forged) {
    // In the payload, the tag, and the HMAC.
    for (const std::size_t place : {kHeadBytes, each - kMacBytes - 1, each - 1}) {
      Link client = begin(Link::Role::client);
      Link server = begin(Link::Role::server);
      Bytes wire = seal_all(client, std::vector<Bytes>(kCount, plaintext));
      wire[forged * each + place] ^= 1;
      std::vector<Bytes> opened;
      ASSERT_EQ(open_all(server, wire, opened), Errc::mac_mismatch);
      ASSERT_EQ(opened.size(), forged);
    }
  }
}

TEST_P(LinkRun, stops_short_of_a_head_that_is_refused) {
  Link client = begin(Link::Role::client);
  Link server = begin(Link::Role::server);
  const Bytes plaintext(10, 7);
  const std::size_t each = Link::sealed_size(plaintext.size());
  Bytes wire = seal_all(client, std::vector<Bytes>(5, plaintext));
  wire[3 * each + 9] ^= 1;  // its number
  std::vector<Bytes> opened;
  ASSERT_EQ(open_all(server, wire, opened), std::nullopt);
  EXPECT_EQ(opened.size(), 3U);
  EXPECT_EQ(server.check_head(ByteView(wire).first<kHeadBytes>()).error().code,
            Errc::record_out_of_place);
}

TEST_P(LinkRun, verifies_again_nothing_that_was_verified) {
  Link client = begin(Link::Role::client);
  Link server = begin(Link::Role::server);
  const Bytes plaintext(10, 7);
  const std::size_t each = Link::sealed_size(plaintext.size());
  Bytes wire = seal_all(client, std::vector<Bytes>(6, plaintext));
  std::array<Arrived, kRunMessages> run;
  ASSERT_EQ(server.verify(wire, run), 6U);
  ASSERT_TRUE(server.open(run[0], MutableBytes(wire).first(each), {}));
  // What is left comes again: of two whole messages and a piece, then all.
  const MutableBytes rest = MutableBytes(wire).subspan(each);
  ASSERT_EQ(server.verify(rest.first(2 * each + 5), run), 2U);
  EXPECT_TRUE(run[0].authentic && run[1].authentic);
  ASSERT_EQ(server.verify(rest, run), 5U);
  for (std::size_t i = 0; i < 5; ++i) {
    const auto opened = server.open(run[i], rest.subspan(i * each, each), {});
    ASSERT_TRUE(opened);
    EXPECT_TRUE(std::ranges::equal(*opened, plaintext));
  }
}

// Spec scp.md#message: the two messages after which keys change show in their heads.
TEST_P(LinkRun, ends_where_the_keys_turn) {
  Link client = begin(Link::Role::client);
  Link server = begin(Link::Role::server);
  prepare(client, server);
  const Bytes plaintext(10, 7);
  Bytes wire(10'000);
  SealRun run(wire);
  ASSERT_TRUE(client.seal(Type::data, {}, plaintext, run));
  ASSERT_TRUE(client.seal(Type::ack, {}, {}, run));
  client.switch_sending(run);
  ASSERT_TRUE(client.seal(Type::data, {}, plaintext, run));
  client.finish(run);
  wire.resize(run.used());

  std::array<Arrived, kRunMessages> arrived;
  ASSERT_EQ(server.verify(wire, arrived), 2U);
  std::size_t at = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    const std::size_t size = arrived[i].head.message_bytes();
    ASSERT_TRUE(server.open(arrived[i], MutableBytes(wire).subspan(at, size), {}));
    at += size;
  }
  server.switch_receiving();
  ASSERT_EQ(server.verify(ByteView(wire).subspan(at), arrived), 1U);
  EXPECT_TRUE(server.open(arrived[0], MutableBytes(wire).subspan(at), {}));

  // The server's RESPONSE turns the other direction.
  Bytes down(10'000);
  SealRun answer(down);
  ASSERT_TRUE(server.seal(Type::response, ByteArray<32>{}, {}, answer));
  server.switch_sending(answer);
  ASSERT_TRUE(server.seal(Type::data, {}, plaintext, answer));
  server.finish(answer);
  ASSERT_EQ(client.verify(ByteView(down).first(answer.used()), arrived), 1U);
}

TEST_P(LinkRun, allocates_nothing) {
  Link client = begin(Link::Role::client);
  Link server = begin(Link::Role::server);
  const Bytes plaintext(100, 7);
  Bytes wire(100'000);
  Bytes to(100);
  std::array<Arrived, kRunMessages> arrived;
  bool all = true;
  const auto turn = [&] {
    SealRun run(wire);
    for (int i = 0; i < 50; ++i) all &= client.seal(Type::data, {}, plaintext, run).has_value();
    client.finish(run);
    std::size_t at = 0;
    while (const std::size_t count =
               server.verify(ByteView(wire).first(run.used()).subspan(at), arrived)) {
      for (std::size_t i = 0; i < count; ++i) {
        const std::size_t size = arrived[i].head.message_bytes();
        all &= server.open(arrived[i], MutableBytes(wire).subspan(at, size), to).has_value();
        at += size;
      }
    }
  };
  turn();
  {
    const test::NoAlloc guard;
    turn();
  }
  EXPECT_TRUE(all);
}

}  // namespace
}  // namespace sealine::scp
