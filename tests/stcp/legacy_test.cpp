#include "sealine/stcp/legacy.hpp"

#include "sealine/base/reader.hpp"
#include "sealine/crypto/xaes.hpp"
#include "tests/support/fixed_rng.hpp"
#include "tests/support/hex.hpp"
#include "tests/support/vectors.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace sealine::stcp {
namespace {

using test::Bytes;
using test::copy_of;
using test::from_hex;

constexpr UnixMillis kStart = 1'760'000'000'000;

class Legacy : public testing::Test {
 protected:
  static LegacyKey key(std::size_t key_size = 32, std::size_t iv_size = 16) {
    return {SecretBytes(test::counting(key_size, 7)), iv_size};
  }

  LegacySealer sealer(UnixMillis start, LegacyRole role = LegacyRole::client,
                      std::size_t iv_size = 16) {
    return LegacySealer::create(key(32, iv_size), role, start, *engine, rng).value();
  }

  LegacyOpener opener(UnixMillis start = kStart, LegacyOpener::Options options = {},
                      LegacyRole role = LegacyRole::client, std::size_t iv_size = 16) {
    return LegacyOpener::create(key(32, iv_size), role, start, options, *engine).value();
  }

  static Bytes seal(LegacySealer& sealer, ByteView data, UnixMillis now) {
    Bytes out(data.size() + sealer.overhead());
    EXPECT_EQ(sealer.seal(data, now, out).value(), out.size());
    return out;
  }

  /// A packet with this seq: the first one of a sealer that starts at it is start * 2^20, so the
  /// packet of any other seq is made by hand, from K' and the layout of the specification.
  Bytes packet(std::uint64_t sequence, UnixMillis sent_at, std::string_view data = "x") {
    // K' = HKDF-SHA256("STCP legacy v1", counting(32, 7), u8(16)).
    ByteArray<32> extracted{};
    ByteArray<32> derived{};
    engine->hmac_sha256(as_bytes("STCP legacy v1"), {ByteView(test::counting(32, 7))}, extracted);
    const ByteArray<2> info = {16, 1};
    engine->hmac_sha256(extracted, {ByteView(info)}, derived);

    Bytes head;
    for (const std::uint64_t value : {sequence, sent_at}) {
      for (int shift = 56; shift >= 0; shift -= 8) {
        head.push_back(static_cast<std::uint8_t>(value >> static_cast<unsigned>(shift)));
      }
    }
    Bytes out(16 + 16 + data.size() + 16);
    rng.fill(MutableBytes(out).first(16));
    ByteArray<24> nonce{};
    std::ranges::copy(ByteView(out).first(16), nonce.begin());
    std::ranges::copy(as_bytes(data), out.begin() + 32);
    const ByteArray<1> role = {0};
    crypto::xaes_seal(*engine, derived, nonce, role, head, MutableBytes(out).subspan(16));
    return out;
  }

  std::unique_ptr<crypto::Engine> engine =
      std::move(crypto::make_engine(crypto::EngineChoice::openssl).value());
  test::SeededRng rng{1};
};

// SPEC stcp.md#legacy
TEST_F(Legacy, equals_every_golden_packet_in_both_directions) {
  const auto vectors = test::load_vectors("stcp.json").at("legacy_sealed");
  std::size_t count = 0;
  for (const auto& row : vectors.at("packets")) {
    const LegacyKey given{SecretBytes(from_hex(row.at("key").get<std::string>())),
                          row.at("iv_size").get<std::size_t>()};
    const auto role = static_cast<LegacyRole>(row.at("role").get<int>());
    const auto other = role == LegacyRole::client ? LegacyRole::server : LegacyRole::client;
    const auto start = row.at("sender_start_ms").get<UnixMillis>();
    test::FixedRng ivs;
    auto sealer = LegacySealer::create(given, role, start, *engine, ivs).value();
    auto opener = LegacyOpener::create(given, role, start, {}, *engine).value();
    auto mistaken = LegacyOpener::create(given, other, start, {}, *engine).value();
    EXPECT_EQ(sealer.overhead(), given.iv_size + 32);

    for (const auto& item : row.at("packets")) {
      const Bytes data = from_hex(item.at("data").get<std::string>());
      const Bytes wire = from_hex(item.at("wire").get<std::string>());
      const auto now = item.at("unix_ms").get<UnixMillis>();
      ivs.push(from_hex(item.at("iv").get<std::string>()));
      EXPECT_EQ(seal(sealer, data, now), wire);

      Bytes received = wire;
      EXPECT_EQ(mistaken.open(received, now).error(), Error{Errc::packet_not_authentic});
      received = wire;
      const auto opened = opener.open(received, now);
      ASSERT_TRUE(opened);
      EXPECT_EQ(opened->sequence, item.at("seq").get<std::uint64_t>());
      EXPECT_EQ(opened->sent_at, now);
      EXPECT_EQ(copy_of(opened->data), data);
      received = wire;
      EXPECT_EQ(opener.open(received, now).error(), Error{Errc::packet_not_authentic});
      ++count;
    }
  }
  EXPECT_GT(count, 0U);
  test::report_vectors("sealine", "stcp legacy_sealed", count);
}

TEST_F(Legacy, every_key_and_iv_size_pairs_with_every_other) {
  for (const std::size_t key_size : {16U, 24U, 32U}) {
    for (const std::size_t iv_size : {16U, 24U, 32U}) {
      auto out =
          LegacySealer::create(key(key_size, iv_size), LegacyRole::server, kStart, *engine, rng);
      auto in =
          LegacyOpener::create(key(key_size, iv_size), LegacyRole::server, kStart, {}, *engine);
      ASSERT_TRUE(out && in);
      Bytes packet = seal(*out, as_bytes("hello"), kStart);
      const auto opened = in->open(packet, kStart);
      ASSERT_TRUE(opened);
      EXPECT_EQ(as_text(opened->data), "hello");
    }
  }
}

TEST_F(Legacy, refuses_other_sizes_of_key_and_iv) {
  for (const std::size_t size : {0U, 1U, 15U, 17U, 20U, 31U, 33U, 64U}) {
    for (const LegacyKey& bad : {key(size, 16), key(32, size)}) {
      EXPECT_EQ(LegacySealer::create(bad, LegacyRole::client, kStart, *engine, rng).error(),
                Error{Errc::bad_configuration});
      EXPECT_EQ(LegacyOpener::create(bad, LegacyRole::client, kStart, {}, *engine).error(),
                Error{Errc::bad_configuration});
      Bytes out(64);
      EXPECT_EQ(open_legacy_raw(bad, test::counting(48), out).error(),
                Error{Errc::bad_configuration});
    }
  }
}

TEST_F(Legacy, sequence_starts_at_the_clock_and_grows_by_one) {
  auto out = sealer(kStart);
  auto in = opener();
  for (std::uint64_t i = 0; i < 5; ++i) {
    Bytes packet = seal(out, {}, kStart + i);
    EXPECT_EQ(in.open(packet, kStart).value().sequence, (kStart << 20U) + i);
  }
  // A start that would wrap is refused.
  const UnixMillis last = (UnixMillis{1} << 44U) - 1;
  EXPECT_TRUE(LegacySealer::create(key(), LegacyRole::client, last, *engine, rng));
  EXPECT_EQ(LegacySealer::create(key(), LegacyRole::client, last + 1, *engine, rng).error(),
            Error{Errc::bad_configuration});
}

TEST_F(Legacy, a_failed_seal_uses_up_no_sequence_number) {
  auto out = sealer(kStart);
  Bytes place(out.overhead() + 3);
  EXPECT_EQ(out.seal(as_bytes("four"), kStart, place).error(), Error{Errc::out_of_space});
  const Bytes huge(kMaxLegacyDataBytes + 1);
  EXPECT_EQ(out.seal(huge, kStart, place).error(), Error{Errc::value_too_large});
  Bytes packet = seal(out, as_bytes("one"), kStart);
  auto in = opener();
  EXPECT_EQ(in.open(packet, kStart).value().sequence, kStart << 20U);
}

TEST_F(Legacy, carries_the_largest_packet_and_no_larger) {
  auto out = sealer(kStart);
  auto in = opener();
  Bytes packet = seal(out, Bytes(kMaxLegacyDataBytes, 0x5a), kStart);
  EXPECT_EQ(in.open(packet, kStart).value().data.size(), kMaxLegacyDataBytes);
  Bytes longer(kMaxLegacyDataBytes + out.overhead() + 1);
  EXPECT_EQ(in.open(longer, kStart).error(), Error{Errc::packet_not_authentic});
}

TEST_F(Legacy, flipped_or_cut_anywhere_is_the_one_error_and_changes_nothing) {
  for (const std::size_t iv_size : {16U, 24U, 32U}) {
    auto out = sealer(kStart, LegacyRole::client, iv_size);
    auto in = opener(kStart, {}, LegacyRole::client, iv_size);
    const Bytes packet = seal(out, as_bytes("attack at dawn"), kStart);
    for (std::size_t i = 0; i < packet.size(); ++i) {
      for (unsigned bit = 0; bit < 8; ++bit) {
        Bytes bad = packet;
        bad[i] = static_cast<std::uint8_t>(bad[i] ^ (1U << bit));
        ASSERT_EQ(in.open(bad, kStart).error(), Error{Errc::packet_not_authentic})
            << "byte " << i << " bit " << bit;
      }
      Bytes cut(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(i));
      ASSERT_EQ(in.open(cut, kStart).error(), Error{Errc::packet_not_authentic}) << i;
    }
    Bytes longer = packet;
    longer.push_back(0);
    EXPECT_EQ(in.open(longer, kStart).error(), Error{Errc::packet_not_authentic});
    Bytes good = packet;
    EXPECT_EQ(as_text(in.open(good, kStart).value().data), "attack at dawn");
  }
}

TEST_F(Legacy, an_own_packet_sent_back_is_refused) {
  auto out = sealer(kStart, LegacyRole::client);
  auto in = opener(kStart, {}, LegacyRole::server);
  Bytes packet = seal(out, as_bytes("mirror"), kStart);
  EXPECT_EQ(in.open(packet, kStart).error(), Error{Errc::packet_not_authentic});
}

TEST_F(Legacy, window_cases) {
  struct Case {
    int line;
    std::uint64_t sequence;
    bool accepted;
  };

  constexpr std::uint64_t kBase = 1'000'000;
  constexpr std::uint64_t kWindow = 2048;
  const Case cases[] = {
      {1, kBase, true},                      // the first sets the window, wherever it stands
      {2, kBase, false},                     // again
      {3, kBase + 1, true},                  // in order
      {4, kBase + 1, false},                 //
      {5, kBase - 1, true},                  // below the first, inside of the window
      {6, kBase - 1, false},                 //
      {7, kBase + 1 - kWindow, false},       // one behind the window
      {8, kBase + 1 - (kWindow - 1), true},  // the oldest inside
      {9, kBase + 1 - (kWindow - 1), false},
      {10, kBase + 10, true},            // leaves 2..9 open
      {11, kBase + 9, true},             //
      {12, kBase + 2, true},             //
      {13, kBase + 2, false},            //
      {14, kBase + 1, false},            // seen before the jump
      {15, kBase + 10 + kWindow, true},  // a jump of the whole window
      {16, kBase + 10, false},           // now behind
      {160, kBase + 9, false},           // and so is what would share a bit with one not seen
      {161, kBase + 10 - 60, false},
      {17, kBase + 11, true},                // the oldest inside; not seen though its bit was used
      {18, kBase + 10 + kWindow - 1, true},  //
      {19, kBase + 10 + 5 * kWindow, true},  // a jump over several windows
      {20, kBase + 10 + 4 * kWindow + 1, true},
      {21, kBase + 10 + 4 * kWindow, false},
      {22, kBase + 10 + 5 * kWindow - 63, true},
      {23, kBase + 10 + 5 * kWindow - 64, true},
      {24, kBase + 10 + 5 * kWindow - 65, true},
      {25, kBase + 10 + 5 * kWindow - 64, false},
      {26, 0, false},  //
      {27, std::numeric_limits<std::uint64_t>::max(), true},
      {28, std::numeric_limits<std::uint64_t>::max(), false},
      {29, std::numeric_limits<std::uint64_t>::max() - (kWindow - 1), true},
      {30, std::numeric_limits<std::uint64_t>::max() - kWindow, false},
      {31, 0, false},
  };
  auto in = opener();
  for (const Case& item : cases) {
    Bytes wire = packet(item.sequence, kStart);
    EXPECT_EQ(in.open(wire, kStart).has_value(), item.accepted) << "case " << item.line;
  }
}

TEST_F(Legacy, a_window_that_begins_at_zero_has_no_lower_edge) {
  auto in = opener();
  for (const auto& [sequence, accepted] :
       {std::pair<std::uint64_t, bool>{3, true}, {0, true}, {0, false}, {2, true}, {3, false}}) {
    Bytes wire = packet(sequence, kStart);
    EXPECT_EQ(in.open(wire, kStart).has_value(), accepted) << sequence;
  }
}

TEST_F(Legacy, a_random_order_is_opened_once_each) {
  auto in = opener();
  std::vector<std::uint64_t> order;
  for (std::uint64_t i = 0; i < 2000; ++i) order.push_back(5000 + i);
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  for (const std::uint64_t sequence : order) {
    Bytes wire = packet(sequence, kStart);
    ASSERT_TRUE(in.open(wire, kStart)) << sequence;
    Bytes again = packet(sequence, kStart);  // another packet, the same seq
    ASSERT_FALSE(in.open(again, kStart)) << sequence;
  }
}

TEST_F(Legacy, time_rules) {
  struct Case {
    UnixMillis sent_at;
    UnixMillis now;
    bool accepted;
    bool accepted_any_time;
  };

  constexpr UnixMillis kNow = kStart + 1'000'000;
  constexpr UnixMillis kMax = std::numeric_limits<UnixMillis>::max();
  const Case cases[] = {
      {kNow, kNow, true, true},
      {kNow - 120'000, kNow, true, true},
      {kNow - 120'001, kNow, false, true},
      {kNow + 120'000, kNow, true, true},
      {kNow + 120'001, kNow, false, true},
      {kStart, kStart, true, true},
      {kStart - 1, kStart, false,
       true},  // before the receiver's start: a restart forgot its window
      {kStart, kStart + 120'000, true, true},
      {0, kNow, false, true},
      {kMax, kNow, false, true},
      {kMax, 5, false, true},  // no difference may wrap around
      {0, kMax, false, true},
  };
  std::uint64_t sequence = 1;
  for (const Case& item : cases) {
    auto strict = opener();
    auto stored = opener(kStart, {.any_time = true});
    Bytes wire = packet(++sequence, item.sent_at);
    Bytes copy = wire;
    EXPECT_EQ(strict.open(wire, item.now).has_value(), item.accepted)
        << item.sent_at << " at " << item.now;
    EXPECT_EQ(stored.open(copy, item.now).has_value(), item.accepted_any_time)
        << item.sent_at << " at " << item.now;
  }
}

TEST_F(Legacy, any_time_still_refuses_repeats) {
  auto in = opener(kStart, {.any_time = true});
  const Bytes wire = packet(77, 5);
  Bytes first = wire;
  Bytes second = wire;
  EXPECT_TRUE(in.open(first, kStart));
  EXPECT_FALSE(in.open(second, kStart));
}

TEST_F(Legacy, a_packet_out_of_time_changes_nothing) {
  auto in = opener();
  const Bytes wire = packet(1'000'000, kStart + 200'000);
  Bytes early = wire;
  EXPECT_FALSE(in.open(early, kStart));
  Bytes low = packet(10, kStart);
  EXPECT_TRUE(in.open(low, kStart));  // the refused one has not moved the window
  Bytes late = wire;
  EXPECT_TRUE(in.open(late, kStart + 200'000));
}

TEST_F(Legacy, what_is_refused_is_not_left_in_clear) {
  auto in = opener();
  const std::string secret = "forty-two forty-two";
  Bytes old = packet(5, kStart - 1, secret);
  EXPECT_FALSE(in.open(old, kStart));
  EXPECT_EQ(as_text(old).find("forty"), std::string_view::npos);
}

TEST_F(Legacy, ivs_are_drawn_for_each_packet) {
  auto out = sealer(kStart);
  const Bytes one = seal(out, as_bytes("same"), kStart);
  const Bytes two = seal(out, as_bytes("same"), kStart);
  EXPECT_NE(copy_of(ByteView(one).first(16)), copy_of(ByteView(two).first(16)));
}

// SPEC stcp.md#legacy-raw. Key 00..0f, IV 10..1f; the packets come from the openssl command:
//   printf 'legacy packet' | openssl enc -aes-128-cbc -K 0001.. -iv 1011..
class LegacyRaw : public testing::Test {
 protected:
  static LegacyKey key(std::size_t iv_size = 16) {
    return {SecretBytes(test::counting(16)), iv_size};
  }
};

TEST_F(LegacyRaw, opens_what_another_program_wrote) {
  const Bytes iv = from_hex("101112131415161718191a1b1c1d1e1f");
  const Bytes ciphertext = from_hex("f52a017bb8941cee7eacf6466e157f96");
  for (const std::size_t iv_size : {16U, 24U, 32U}) {
    Bytes packet = iv;
    packet.resize(iv_size, 0xee);  // only the first 16 bytes of an IV count
    packet.insert(packet.end(), ciphertext.begin(), ciphertext.end());
    Bytes out(packet.size());
    const auto size = open_legacy_raw(key(iv_size), packet, out);
    ASSERT_TRUE(size);
    EXPECT_EQ(as_text(ByteView(out).first(*size)), "legacy packet");
  }
}

TEST_F(LegacyRaw, every_defect_is_one_error) {
  Bytes packet = from_hex("101112131415161718191a1b1c1d1e1ff52a017bb8941cee7eacf6466e157f96");
  const std::size_t whole = packet.size();
  for (std::size_t size = 0; size < whole; ++size) {
    Bytes out(whole);
    EXPECT_EQ(open_legacy_raw(key(), ByteView(packet).first(size), out).error(),
              Error{Errc::packet_not_authentic})
        << size;
  }
  // A padding oracle asks for all values of the byte before the last block's end: the answer is
  // either data or the one error, without a detail.
  for (unsigned value = 0; value < 256; ++value) {
    Bytes probe = packet;
    probe[15] = static_cast<std::uint8_t>(value);
    Bytes out(whole);
    const auto answer = open_legacy_raw(key(), probe, out);
    if (!answer) {
      EXPECT_EQ(answer.error(), (Error{Errc::packet_not_authentic, 0}));
    }
  }
}

}  // namespace
}  // namespace sealine::stcp
