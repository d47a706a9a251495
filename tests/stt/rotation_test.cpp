#include "stt/detail/rotation.hpp"

#include "support/fixed_rng.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>

namespace sealine::stt::detail {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kStart{1000s};

// Both ends of one direction's rotation, without what is between them.
struct Ends {
  explicit Ends(Limits limits = {})
      : sender(*engine, rng, keys(), false, limits, kStart),
        receiver(*engine, rng, keys(), false) {}

  EpochKeys keys() { return {*engine, 0, DirectionKey(ByteArray<32>{1})}; }

  Rotate ask() {
    sender.request();
    return *sender.poll(kStart);
  }

  // The rotation is over at both ends; what was said.
  std::pair<Rotate, Rotated> rotate() {
    const Rotate question = ask();
    const Rotated answer = *receiver.handle_rotate(question);
    EXPECT_TRUE(sender.handle_rotated(answer));
    EXPECT_TRUE(sender.advance(kStart));
    EXPECT_TRUE(receiver.handle_opened(question.epoch, 10 * question.epoch, kStart + 5s));
    return {question, answer};
  }

  std::unique_ptr<crypto::Engine> engine = *crypto::make_engine();
  test::SeededRng rng{1};
  SendRotation sender;
  ReceiveRotation receiver;
};

// SPEC stt.md#rotation
TEST(SttRotation, AnAnswerThatComesLateIsReadOver) {
  Ends ends;
  const auto first = ends.rotate();
  const auto second = ends.rotate();
  EXPECT_TRUE(ends.sender.handle_rotated(first.second));
  EXPECT_TRUE(ends.sender.handle_rotated(second.second));
  const Rotate third = ends.ask();
  EXPECT_TRUE(ends.sender.handle_rotated(first.second)) << "while another is asked for";
  EXPECT_TRUE(ends.sender.handle_rotated(second.second));
  EXPECT_TRUE(ends.sender.handle_rotated(*ends.receiver.handle_rotate(third)));
}

TEST(SttRotation, AnAnswerThatNobodyAskedForIsAFault) {
  Ends ends;
  EXPECT_FALSE(ends.sender.handle_rotated({.epoch = 1, .ephemeral = {}}));
  EXPECT_FALSE(ends.sender.handle_rotated({.epoch = 0, .ephemeral = {}}));
  (void)ends.rotate();
  EXPECT_FALSE(ends.sender.handle_rotated({.epoch = 2, .ephemeral = {}}));
  (void)ends.ask();
  EXPECT_FALSE(ends.sender.handle_rotated({.epoch = 3, .ephemeral = {}}));
}

TEST(SttRotation, AQuestionThatWasOvertakenIsReadOver) {
  Ends ends;
  const auto first = ends.rotate();
  const auto second = ends.rotate();
  EXPECT_TRUE(ends.receiver.handle_rotate(first.first));
  EXPECT_TRUE(ends.receiver.handle_rotate(second.first));
  const Rotate third = ends.ask();
  ASSERT_TRUE(ends.receiver.handle_rotate(third));
  EXPECT_TRUE(ends.receiver.handle_rotate(first.first)) << "while another is answered";
  EXPECT_EQ(ends.receiver.handle_rotate(third)->epoch, 3U);
}

TEST(SttRotation, AChangedQuestionAndOneTooFarAreFaults) {
  Ends ends;
  Rotate question = ends.ask();
  ASSERT_TRUE(ends.receiver.handle_rotate(question));
  question.nonce[0] ^= 1U;
  EXPECT_FALSE(ends.receiver.handle_rotate(question));
  question.epoch = 2;
  EXPECT_FALSE(ends.receiver.handle_rotate(question));
  question.epoch = 0;
  EXPECT_FALSE(ends.receiver.handle_rotate(question));
}

TEST(SttRotation, ATimeThatIsOverIsNoReasonToWakeAgain) {
  Limits limits;
  limits.rotate_after = 10s;
  Ends ends(limits);
  // Half of it: a ROTATE is due, and may have to wait for the window.
  ASSERT_EQ(ends.sender.poll_timeout(), kStart + 5s);
  ends.sender.handle_timeout(kStart + 5s);
  EXPECT_FALSE(ends.sender.poll_timeout());
  const auto question = ends.sender.poll(kStart + 6s);
  ASSERT_TRUE(question);
  ASSERT_TRUE(ends.sender.handle_rotated(*ends.receiver.handle_rotate(*question)));
  // All of it: the next frame has the next epoch, whenever there is one.
  ASSERT_EQ(ends.sender.poll_timeout(), kStart + 10s);
  ends.sender.handle_timeout(kStart + 10s);
  EXPECT_FALSE(ends.sender.poll_timeout());
  EXPECT_TRUE(ends.sender.advance(kStart + 60s));
  EXPECT_EQ(ends.sender.poll_timeout(), kStart + 65s);
}

}  // namespace
}  // namespace sealine::stt::detail
