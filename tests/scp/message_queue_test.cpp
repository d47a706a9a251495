#include "sealine/scp/message_queue.hpp"

#include "support/fixed_rng.hpp"
#include "support/hex.hpp"
#include "support/no_alloc.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <string>

namespace sealine::scp {
namespace {

using test::Bytes;
using test::SeededRng;

Bytes some_bytes(SeededRng& rng, std::size_t size) {
  Bytes bytes(size);
  rng.fill(bytes);
  return bytes;
}

void write_to(MutableBytes room, std::uint8_t first, ByteView rest) {
  room[0] = first;
  std::ranges::copy(rest, room.subspan(1).begin());
}

TEST(MessageQueue, gives_messages_in_order_behind_the_byte_of_their_kind) {
  MessageQueue queue;
  queue.push(as_bytes("one"));
  queue.push({}, MessageQueue::Kind::end);
  ASSERT_EQ(queue.size(), 2U);
  EXPECT_EQ(queue.bytes(), 3U);
  EXPECT_EQ(as_text(queue[0]), "one");
  EXPECT_EQ(as_text(queue.plaintext(0)), std::string_view("\0one", 4));
  EXPECT_EQ(queue.kind(0), MessageQueue::Kind::message);
  EXPECT_TRUE(queue[1].empty());
  EXPECT_EQ(as_text(queue.plaintext(1)), "\4");
  EXPECT_EQ(queue.kind(1), MessageQueue::Kind::end);
  queue.pop_front();
  queue.pop_front();
  EXPECT_TRUE(queue.empty());
}

TEST(MessageQueue, forgets_a_reservation_that_was_not_kept) {
  MessageQueue queue;
  queue.push(as_bytes("kept"));
  write_to(queue.reserve(9), 2, as_bytes("dropped."));
  write_to(queue.reserve(4), 0, as_bytes("new"));
  queue.keep_open(4);
  queue.finish_open();
  ASSERT_EQ(queue.size(), 2U);
  EXPECT_EQ(as_text(queue[0]), "kept");
  EXPECT_EQ(as_text(queue[1]), "new");
}

// Against a plain list of copies, through all sizes of the ring and both of its ends.
TEST(MessageQueue, does_what_a_list_of_copies_does) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRng rng(seed);
    const std::size_t largest = 1 + rng.below(rng.below(4) == 0 ? 20'000 : 300);
    MessageQueue queue;
    std::deque<std::pair<MessageQueue::Kind, Bytes>> list;
    std::size_t list_bytes = 0;
    Bytes open;
    bool is_open = false;
    for (int step = 0; step < 400; ++step) {
      const Bytes bytes = some_bytes(rng, rng.below(largest));
      switch (rng.below(8)) {
        case 0:
        case 1:
          if (is_open) break;
          queue.push(bytes);
          list.emplace_back(MessageQueue::Kind::message, bytes);
          list_bytes += bytes.size();
          break;
        case 2:
          if (is_open) break;
          write_to(queue.reserve(1 + bytes.size()), 1, bytes);
          if (rng.below(4) == 0) break;
          queue.keep_open(1 + bytes.size());
          open = bytes;
          is_open = true;
          break;
        case 3:
          if (!is_open) break;
          queue.append_open(bytes);
          open.insert(open.end(), bytes.begin(), bytes.end());
          break;
        case 4:
          if (!is_open) break;
          if (rng.below(4) == 0) {
            queue.drop_open();
          } else {
            queue.finish_open();
            list.emplace_back(MessageQueue::Kind::message, open);
            list_bytes += open.size();
          }
          is_open = false;
          break;
        default:
          if (list.empty()) break;
          queue.pop_front();
          list_bytes -= list.front().second.size();
          list.pop_front();
      }
      ASSERT_EQ(queue.size(), list.size());
      ASSERT_EQ(queue.bytes(), list_bytes);
      ASSERT_EQ(queue.open_bytes(), is_open ? open.size() : 0);
      for (std::size_t i = 0; i < list.size(); ++i) {
        ASSERT_EQ(queue.kind(i), list[i].first);
        ASSERT_TRUE(std::ranges::equal(queue[i], list[i].second)) << step;
      }
    }
  }
}

TEST(MessageQueue, allocates_nothing_once_it_has_grown) {
  SeededRng rng(3);
  const Bytes message = some_bytes(rng, 1000);
  MessageQueue queue;
  const auto turn = [&] {
    for (int i = 0; i < 100; ++i) queue.push(message);
    for (int i = 0; i < 70; ++i) queue.pop_front();
    for (int i = 0; i < 60; ++i) queue.push(message);
    while (!queue.empty()) queue.pop_front();
  };
  turn();
  {
    const test::NoAlloc guard;
    for (int i = 0; i < 50; ++i) turn();
  }
  EXPECT_LE(queue.capacity(), 4U * 130 * 1001);
}

TEST(MessageQueue, takes_at_most_four_times_what_it_keeps) {
  MessageQueue queue;
  SeededRng rng(4);
  const Bytes message = some_bytes(rng, 60'000);
  for (int i = 0; i < 1000; ++i) {
    queue.push(message);
    if (queue.size() > 10) queue.pop_front();
  }
  EXPECT_LE(queue.capacity(), 4U * 11 * 60'001);
}

TEST(MessageQueue, gives_back_what_a_large_message_took) {
  MessageQueue queue;
  queue.push(Bytes(1'000'000, 1));
  queue.pop_front();
  EXPECT_GE(queue.capacity(), 1'000'000U);
  for (int i = 0; i < 100; ++i) {
    queue.push(as_bytes("small"));
    queue.pop_front();
  }
  EXPECT_LE(queue.capacity(), 65'536U);
  queue.push(Bytes(1'000'000, 1));
  queue.give_back();
  EXPECT_EQ(queue.size(), 1U);
  queue.pop_front();
  queue.give_back();
  EXPECT_EQ(queue.capacity(), 0U);
}

}  // namespace
}  // namespace sealine::scp
