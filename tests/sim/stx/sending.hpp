#pragma once

#include "sealine/stx/sender.hpp"
#include "sealine/stx/tree.hpp"
#include "tests/sim/dice.hpp"
#include "tests/sim/stx/disk.hpp"
#include "tests/sim/stx/lane.hpp"
#include "tests/sim/violation.hpp"
#include "tests/sim/watching_engine.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace sealine::sim {

inline stx::Hash leaf_of(crypto::Engine& engine, ByteView block) {
  stx::Hash leaf{};
  engine.sha256({ByteView(&stx::kLeafPrefix, 1), block}, leaf);
  return leaf;
}

/// What a sender has on its disk. It may change while it is sent, as files do.
struct StxSource {
  std::string name;
  Octets content;
  std::vector<std::uint32_t> pack;  ///< sizes of the entries; none: one file
  bool is_stream = false;           ///< of unknown size, read once
  bool has_holes = false;
  bool is_padded = false;
  unsigned version = 0;      ///< counts the changes that size or time show
  bool was_changed = false;  ///< ever, shown or not
  bool is_done = false;
  std::optional<stx::Code> failed;  ///< given up, and said so
  unsigned attempts = 0;            ///< that ended in another root or a change
  std::uint32_t durable = 0;        ///< blocks that nobody may ask for again

  static constexpr std::uint8_t kBlockLog2 = stx::kMinBlockLog2;
  static constexpr std::size_t kBlock = std::size_t{1} << kBlockLog2;

  [[nodiscard]] ByteView block(std::uint32_t number) const {
    const std::size_t at = number * kBlock;
    if (at >= content.size()) return {};
    return ByteView(content).subspan(at, std::min(kBlock, content.size() - at));
  }

  [[nodiscard]] std::uint32_t blocks() const {
    return static_cast<std::uint32_t>((content.size() + kBlock - 1) / kBlock);
  }

  [[nodiscard]] std::int64_t mtime_ns() const { return 1'700'000'000 + std::int64_t{version}; }

  [[nodiscard]] stx::Meta meta() const {
    stx::Meta meta{.block_log2 = kBlockLog2, .size_unknown = is_stream, .entries = {}};
    const auto entry = [&](const std::string& called, std::uint64_t size) {
      meta.entries.push_back(stx::Entry{.kind = stx::EntryKind::file,
                                        .mode = 0644,
                                        .mtime_ns = mtime_ns(),
                                        .size_bytes = size,
                                        .name = called});
    };
    if (pack.empty()) {
      entry(name, is_stream ? 0 : content.size());
    } else {
      for (std::size_t i = 0; i < pack.size(); ++i) entry(name + std::to_string(i), pack[i]);
    }
    return meta;
  }
};

/// A sender with its sources: session after session until all is there, or said not to be.
class StxSending final : public stx::ZeroRuns {
 public:
  /// An item of the present session, and its bytes as they were read last: what must arrive.
  struct Item {
    std::size_t source = 0;
    unsigned version = 0;
    Octets image;
    bool is_open = true;
  };

  StxSending(std::vector<StxSource> its_sources, const stx::Limits& limits, crypto::Engine& engine,
             KeyBook& book)
      : sources(std::move(its_sources)), limits_(limits), engine_(engine), book_(book) {}

  // --- sessions

  void begin(TimePoint now) {
    sender_.emplace(limits_, *this, engine_, now);
    items.clear();
    over_.reset();
    is_told_to_finish_ = false;
  }

  [[nodiscard]] bool has_session() const { return sender_.has_value() && !over_; }

  void forget_session() {
    sender_.reset();
    over_.reset();
  }

  void lane_opened(stx::LaneId lane, TimePoint now) { sender_->handle_lane_opened(lane, now); }

  void lane_ended(stx::LaneId lane, TimePoint now) {
    if (sender_) sender_->handle_lane_ended(lane, now);
  }

  // --- inputs

  /// A whole frame of a lane; false: the connection is to be closed.
  [[nodiscard]] bool handle_frame(StxLane& lane, MutableBytes frame, TimePoint now) {
    if (!stx::has_valid_crc(frame)) return false;
    const auto head = stx::parse_frame_head(frame.first<stx::kFrameHeadBytes>(), stx::Side::server);
    const auto plaintext = stx::open_frame(engine_, lane.client.opening->receive_key,
                                           lane.client.received++, 0, frame);
    if (!plaintext) return false;
    const auto message = stx::parse_message(head->type(), *plaintext, stx::Side::server);
    require(message.has_value(), "what an honest receiver writes can be read");
    sender_->handle_message(lane.number, *message, now);
    return true;
  }

  void timeout(TimePoint now) {
    if (sender_) sender_->handle_timeout(now);
  }

  [[nodiscard]] std::optional<TimePoint> deadline() const {
    return sender_ ? sender_->poll_timeout() : std::nullopt;
  }

  void close(stx::Code code) {
    if (sender_) sender_->close(code);
  }

  // --- outputs

  /// Offers what can be offered, and writes what waits on lanes that are not full.
  void pump(std::span<const std::unique_ptr<StxLane>> lanes, TimePoint now) {
    if (!sender_) return;
    for (bool again = true; again;) {
      again = false;
      offer(now);
      for (const auto& lane : lanes) {
        while (lane->client.is_up() && !lane->up.is_full()) {
          if (!write_next(*lane, now)) break;
          again = true;
        }
      }
      while (const auto event = sender_->poll_event()) {
        handle(*event);
        again = true;
      }
    }
  }

  // --- getters

  [[nodiscard]] const std::optional<stx::SessionOver>& over() const { return over_; }

  [[nodiscard]] bool is_done() const {
    return std::ranges::all_of(sources, [](const auto& one) { return one.is_done || one.failed; });
  }

  /// Lanes that fell silent since the last call.
  [[nodiscard]] std::vector<stx::LaneId> take_silent() { return std::exchange(silent_, {}); }

  /// Items that ended well since the last call.
  [[nodiscard]] std::vector<stx::ItemId> take_finished() { return std::exchange(finished_, {}); }

  [[nodiscard]] std::uint32_t zero_blocks(stx::ItemId item, std::uint32_t block) override {
    Item& it = items.at(item);
    const StxSource& source = sources[it.source];
    std::uint32_t count = 0;
    if (!source.has_holes || it.version != source.version) return 0;
    for (;; ++count) {
      const ByteView bytes = source.block(block + count);
      if (bytes.empty() || std::ranges::any_of(bytes, [](auto byte) { return byte != 0; })) break;
      read_into(it, block + count, bytes);
    }
    return count;
  }

  std::vector<StxSource> sources;
  std::map<stx::ItemId, Item> items;
  std::uint64_t blocks_sent = 0;
  std::uint64_t resumed = 0;  ///< blocks that were proved to be there

 private:
  static constexpr unsigned kAttempts = 3;

  static void read_into(Item& item, std::uint32_t block, ByteView bytes) {
    const std::size_t at = block * StxSource::kBlock;
    if (item.image.size() < at + bytes.size()) item.image.resize(at + bytes.size());
    std::ranges::copy(bytes, item.image.begin() + static_cast<std::ptrdiff_t>(at));
  }

  void offer(TimePoint now) {
    for (std::size_t i = 0; i < sources.size() && sender_->can_offer(); ++i) {
      StxSource& source = sources[i];
      if (source.is_done || source.failed || is_offered(i)) continue;
      const stx::ItemId item = sender_->offer(source.meta(), now);
      items[item] = {.source = i, .version = source.version, .image = source.content};
      if (source.is_stream) sender_->supply(item, source.blocks(), source.content.size());
    }
    if (is_done() && !is_told_to_finish_) {
      is_told_to_finish_ = true;
      sender_->finish();
    }
  }

  [[nodiscard]] bool is_offered(std::size_t source) const {
    return std::ranges::any_of(items, [&](const auto& entry) {
      return entry.second.source == source && entry.second.is_open;
    });
  }

  [[nodiscard]] bool write_next(StxLane& lane, TimePoint now) {
    const auto order = sender_->poll_frame(lane.number, now);
    if (!order) return false;
    require(!lane.client.has_closed, "CLOSE is the last frame of its direction");
    if (const auto* control = std::get_if<stx::ControlFrame>(&*order)) {
      frame_.resize(control->head.frame_bytes());
      std::ranges::copy(control->plaintext, frame_.begin() + stx::kFrameHeadBytes);
      lane.client.has_closed = control->head.type() == 9;
      write_frame(engine_, book_, lane.client.opening->send_key, control->counter, control->head, 0,
                  frame_, lane.up);
      return true;
    }
    const auto& block = std::get<stx::BlockFrame>(*order);
    Item& item = items.at(block.item);
    const StxSource& source = sources[item.source];
    const ByteView bytes = source.block(block.block);
    Octets body(bytes.begin(), bytes.end());
    if (item.version != source.version || body.size() != block.block_bytes) {
      // Its frame goes all the same; the item is dropped, and comes again as another.
      body.resize(block.block_bytes);
      give_up_item(block.item, item);
    } else {
      read_into(item, block.block, bytes);
    }
    sender_->handle_leaf(block.item, block.block, leaf_of(engine_, body));
    if (source.is_padded && !source.is_stream) body.resize(StxSource::kBlock);
    const stx::FrameHead head{.sequence = block.block,
                              .size_bytes = static_cast<std::uint32_t>(body.size())};
    frame_.resize(head.frame_bytes());
    std::ranges::copy(body, frame_.begin() + stx::kFrameHeadBytes);
    write_frame(engine_, book_, lane.client.opening->send_key, block.counter, head, block.item,
                frame_, lane.up);
    ++blocks_sent;
    return true;
  }

  void give_up_item(stx::ItemId number, Item& item) {
    if (!item.is_open) return;
    item.is_open = false;
    sender_->drop(number, stx::Code::source_changed);
    StxSource& source = sources[item.source];
    if (++source.attempts >= kAttempts) source.failed = stx::Code::source_changed;
  }

  void handle(const stx::Sender::Event& event) {
    if (const auto* answered = std::get_if<stx::ItemAnswered>(&event)) {
      require(answered->code == stx::Code::normal, "what is taken is not refused");
    } else if (const auto* wanted = std::get_if<stx::LeavesWanted>(&event)) {
      give_leaves(*wanted);
    } else if (const auto* started = std::get_if<stx::ItemStarted>(&event)) {
      resumed += started->start;
    } else if (const auto* durable = std::get_if<stx::BlocksDurable>(&event)) {
      StxSource& source = sources[items.at(durable->item).source];
      source.durable = std::max(source.durable, durable->blocks);
    } else if (const auto* over = std::get_if<stx::ItemOver>(&event)) {
      item_over(*over);
    } else if (const auto* silent = std::get_if<stx::LaneSilent>(&event)) {
      silent_.push_back(silent->lane);
    } else if (const auto* end = std::get_if<stx::SessionOver>(&event)) {
      require(!over_, "a session is over once");
      require(end->code != stx::Code::protocol, "no fault between honest ends");
      over_ = *end;
    }
  }

  void give_leaves(const stx::LeavesWanted& wanted) {
    Item& item = items.at(wanted.item);
    const StxSource& source = sources[item.source];
    if (source.is_stream) return sender_->cannot_read_twice(wanted.item);
    if (item.version != source.version) return give_up_item(wanted.item, item);
    for (std::uint32_t i = 0; i < wanted.count; ++i) {
      const ByteView bytes = source.block(i);
      require(!bytes.empty(), "no more leaves are wanted than there are blocks");
      read_into(item, i, bytes);
      const stx::Hash leaf = leaf_of(engine_, bytes);
      sender_->handle_leaves(wanted.item, std::span(&leaf, 1));
    }
  }

  void item_over(const stx::ItemOver& over) {
    Item& item = items.at(over.item);
    if (!item.is_open) return;
    item.is_open = false;
    StxSource& source = sources[item.source];
    if (over.code == stx::Code::normal) {
      source.is_done = true;
      finished_.push_back(over.item);
      return;
    }
    require(over.code == stx::Code::root_differs && source.was_changed,
            "an item fails for a reason");
    if (++source.attempts >= kAttempts) source.failed = over.code;
  }

  const stx::Limits& limits_;
  crypto::Engine& engine_;
  KeyBook& book_;
  std::optional<stx::Sender> sender_;
  std::optional<stx::SessionOver> over_;
  std::vector<stx::LaneId> silent_;
  std::vector<stx::ItemId> finished_;
  bool is_told_to_finish_ = false;
  Octets frame_;
};

}  // namespace sealine::sim
