// Both machines of a transfer, each against a peer that holds valid keys and does as it likes:
// every message is authentic, so that the input reaches all rules of content and order.
//
//   first byte even: the receiver is attacked          odd: the sender is attacked
//   operations:  0 lane type n bytes   a control frame whose plaintext is these n bytes
//                1 lane block size     receiver: the head of a data frame     2 n   it is written
//                                      sender: take up to n frames
//                3 lane                receiver: the frame's CRC is wrong
//                4 n                   n seconds pass       5 lane 6 lane  a lane opens, ends
//                7 item n              receiver: answer META with have = n    8 item n  n leaves
//                9 item n              receiver: n blocks are durable; sender: n more can be read
//               10 item code           receiver: finish, refuse; sender: drop
//               11 blocks flags        sender: offer             12            no more items
#include "sealine/base/assert.hpp"
#include "sealine/base/reader.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/stx/receiver.hpp"
#include "sealine/stx/sender.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if __has_feature(address_sanitizer)
#include <sanitizer/allocator_interface.h>
#else
#include <malloc.h>
#endif

namespace {

using namespace sealine;
using namespace sealine::stx;

// What the machines may hold. 64 items with their META, roots of two RESUMEs each and pieces, and
// 16 lanes of frames: no input brings them further.
constexpr std::size_t kMostBytes = std::size_t{256} << 20U;

std::size_t held_bytes() {
#if __has_feature(address_sanitizer)
  return __sanitizer_get_current_allocated_bytes();
#else
  return mallinfo2().uordblks;
#endif
}

crypto::Engine& engine() {
  static const std::unique_ptr<crypto::Engine> one =
      std::move(crypto::make_engine(crypto::EngineChoice::openssl).value());
  return *one;
}

LaneId lane_of(std::uint8_t byte) { return static_cast<LaneId>(byte % 4); }

/// What holds for the frames of either machine.
class Watch {
 public:
  explicit Watch(Side side) : side_(side) {}

  void control(LaneId lane, const ControlFrame& frame) {
    SEALINE_ASSERT(!closed_[lane]);
    SEALINE_ASSERT(frame.head.size_bytes == frame.plaintext.size());
    const auto message = parse_message(frame.head.type(), frame.plaintext, side_);
    SEALINE_ASSERT(message.has_value());
    closed_[lane] = std::holds_alternative<Close>(*message);
    count(lane, frame.counter);
  }

  void count(LaneId lane, std::uint64_t counter) { SEALINE_ASSERT(counter == next_[lane]++); }

  void lane_opened(LaneId lane) {
    next_[lane] = 0;
    closed_[lane] = false;
  }

  [[nodiscard]] bool is_closed(LaneId lane) const { return closed_[lane]; }

 private:
  Side side_;
  std::uint64_t next_[kMaxLanes] = {};
  bool closed_[kMaxLanes] = {};
};

/// Where a session is over it stays so, and was told once.
template <class Machine>
void drain_events(Machine& machine, unsigned& told, auto on_event) {
  while (const auto event = machine.poll_event()) {
    if (std::holds_alternative<SessionOver>(*event)) ++told;
    on_event(*event);
  }
  SEALINE_ASSERT(told == (machine.state() == Sender::State::closed ? 1U : 0U));
}

class AttackOnReceiver {
 public:
  AttackOnReceiver() : receiver_({}, kMaxBlockLog2, true, engine(), now_) {}

  Result<> step(std::uint8_t what, Reader& in) {
    SEALINE_TRY(first, in.be<std::uint8_t>());
    switch (what) {
      case 0: {
        SEALINE_TRY(type, in.be<std::uint8_t>());
        SEALINE_TRY(body, in.prefixed(std::uint8_t{255}));
        control(lane_of(first), static_cast<std::uint8_t>(1 + type % 13), body.rest());
        break;
      }
      case 1: {
        SEALINE_TRY(block, in.be<std::uint16_t>());
        SEALINE_TRY(size, in.be<std::uint16_t>());
        const LaneId lane = lane_of(first);
        const auto slot =
            receiver_.expect_frame(lane, {.sequence = block, .size_bytes = size}, now_);
        if (slot) slots_.push_back({lane, *slot});
        break;
      }
      case 2:
        if (!slots_.empty()) write(first % slots_.size());
        break;
      case 3:
        if (!slots_.empty()) {
          const auto [lane, slot] = slots_.back();
          slots_.pop_back();
          receiver_.handle_damaged(lane, slot, now_);
        }
        break;
      case 4:
        now_ += std::chrono::seconds(first);
        receiver_.handle_timeout(now_);
        break;
      case 5:
        forget(lane_of(first));
        receiver_.handle_lane_opened(lane_of(first), now_);
        if (receiver_.state() == Sender::State::running) watch_.lane_opened(lane_of(first));
        break;
      case 6:
        forget(lane_of(first));
        receiver_.handle_lane_ended(lane_of(first), now_);
        break;
      default:
        SEALINE_TRY(n, in.be<std::uint16_t>());
        command(what, first, n);
    }
    drain();
    return {};
  }

 private:
  struct Pending {
    LaneId lane;
    FrameSlot slot;
  };

  void control(LaneId lane, std::uint8_t type, ByteView body) {
    const auto slot =
        receiver_.expect_frame(lane,
                               {.sequence = kControlSequence | type,
                                .size_bytes = static_cast<std::uint32_t>(body.size())},
                               now_);
    if (!slot) return;
    const auto message = parse_message(type, body, Side::client);
    if (message) {
      receiver_.handle_message(lane, *slot, *message, now_);
    } else {
      receiver_.handle_fault(message.error(), now_);
    }
  }

  void write(std::size_t which) {
    const auto [lane, slot] = slots_[which];
    slots_.erase(slots_.begin() + static_cast<std::ptrdiff_t>(which));
    if (slot.wanted && !Receiver::block_form(slot, slot.head.size_bytes)) {
      receiver_.handle_fault({Errc::protocol_broken}, now_);
      return;
    }
    const std::uint32_t bytes = slot.size_unknown ? slot.head.size_bytes : slot.block_bytes;
    receiver_.handle_block(lane, slot, Hash{static_cast<std::uint8_t>(slot.head.sequence)}, bytes,
                           now_);
  }

  void forget(LaneId lane) {
    std::erase_if(slots_, [lane](const Pending& pending) { return pending.lane == lane; });
  }

  void command(std::uint8_t what, ItemId item, std::uint16_t n) {
    if (what == 7) {
      receiver_.answer(item, {.code = static_cast<Code>(n % 7 == 6 ? 2 : 0),
                              .have = n,
                              .in_place = n % 3 == 1,
                              .keep_old = n % 2 == 1});
    } else if (what == 8) {
      const std::vector<Hash> leaves(n % 2048);
      receiver_.handle_leaves(item, leaves, n % 5 == 0);
    } else if (what == 9) {
      receiver_.handle_durable(item, n);
      SEALINE_ASSERT(receiver_.leading_blocks(item) <= kMaxBlocks);
    } else if (n % 2 == 0) {
      receiver_.finish(item, static_cast<Code>(n % 15), {});
    } else {
      receiver_.refuse(item, static_cast<Code>(1 + n % 14));
    }
  }

  void drain() {
    drain_events(receiver_, told_, [](const Receiver::Event&) {});
    for (LaneId lane = 0; lane < kMaxLanes; ++lane) {
      while (const auto frame = receiver_.poll_frame(lane, now_)) watch_.control(lane, *frame);
    }
  }

  TimePoint now_{};
  Receiver receiver_;
  Watch watch_{Side::server};
  std::vector<Pending> slots_;
  unsigned told_ = 0;
};

class Holes final : public ZeroRuns {
 public:
  Holes() = default;

  std::uint32_t zero_blocks(ItemId item, std::uint32_t block) override {
    return (item + block) % 11 == 3 ? 1 + item % 5 : 0;
  }
};

class AttackOnSender {
 public:
  AttackOnSender() : sender_({}, holes_, engine(), now_) {}

  Result<> step(std::uint8_t what, Reader& in) {
    SEALINE_TRY(first, in.be<std::uint8_t>());
    const LaneId lane = lane_of(first);
    switch (what) {
      case 0: {
        SEALINE_TRY(type, in.be<std::uint8_t>());
        SEALINE_TRY(body, in.prefixed(std::uint8_t{255}));
        const auto message =
            parse_message(static_cast<std::uint8_t>(1 + type % 13), body.rest(), Side::server);
        if (message) {
          sender_.handle_message(lane, *message, now_);
        } else {
          sender_.handle_bad_message(message.error(), now_);
        }
        break;
      }
      case 1:
      case 2:
      case 3:
        for (unsigned i = 0; i < 1U + first / 4U && take(lane); ++i) {
        }
        break;
      case 4:
        now_ += std::chrono::seconds(first);
        sender_.handle_timeout(now_);
        break;
      case 5:
        sender_.handle_lane_opened(lane, now_);
        if (sender_.state() == Sender::State::running) watch_.lane_opened(lane);
        break;
      case 6:
        sender_.handle_lane_ended(lane, now_);
        break;
      case 12:
        sender_.finish();
        break;
      default:
        SEALINE_TRY(n, in.be<std::uint16_t>());
        command(what, first, n);
    }
    drain_events(sender_, told_, [](const Sender::Event&) {});
    return {};
  }

 private:
  bool take(LaneId lane) {
    const auto order = sender_.poll_frame(lane, now_);
    if (!order) return false;
    if (const auto* control = std::get_if<ControlFrame>(&*order)) {
      watch_.control(lane, *control);
      return true;
    }
    const auto& block = std::get<BlockFrame>(*order);
    SEALINE_ASSERT(!watch_.is_closed(lane));
    watch_.count(lane, block.counter);
    SEALINE_ASSERT(block.block_bytes > 0 && block.block_bytes <= kMaxFrameBytes);
    if (block.block % 17 != 16) sender_.handle_leaf(block.item, block.block, Hash{});
    return true;
  }

  void command(std::uint8_t what, ItemId item, std::uint16_t n) {
    switch (what) {
      case 8: {
        if (n % 5 == 0) return sender_.cannot_read_twice(item);
        const std::vector<Hash> leaves(n % 2048);
        return sender_.handle_leaves(item, leaves);
      }
      case 9: {
        // What could be read once does not become less.
        std::uint32_t& readable = readable_[item];
        readable = std::max<std::uint32_t>(readable, n / 2U);
        return sender_.supply(
            item, readable,
            n % 2 == 0 ? std::nullopt : std::optional(std::uint64_t{readable} << kMinBlockLog2));
      }
      case 10:
        return sender_.drop(item, Code::source_changed);
      default:
        offer(item, n);
    }
  }

  void offer(std::uint32_t blocks, std::uint16_t flags) {
    if (!sender_.can_offer()) return;
    Meta meta{.block_log2 = kMinBlockLog2, .size_unknown = flags % 4 == 3, .entries = {Entry{}}};
    meta.entries[0].size_bytes = meta.size_unknown ? 0 : std::uint64_t{blocks} * 10000 + flags;
    sender_.offer(std::move(meta), now_);
  }

  TimePoint now_{};
  Holes holes_;
  Sender sender_;
  Watch watch_{Side::client};
  std::map<ItemId, std::uint32_t> readable_;
  unsigned told_ = 0;
};

template <class Attack>
void run(Reader& in) {
  Attack attack;
  const std::size_t before = held_bytes();
  while (const auto what = in.be<std::uint8_t>()) {
    if (!attack.step(*what % 13, in)) return;
    SEALINE_ASSERT(held_bytes() < before + kMostBytes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Reader in(ByteView(data, size));
  const auto side = in.be<std::uint8_t>();
  if (!side) return 0;
  if (*side % 2 == 0) {
    run<AttackOnReceiver>(in);
  } else {
    run<AttackOnSender>(in);
  }
  return 0;
}
