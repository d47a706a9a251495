#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/time.hpp"
#include "tests/sim/base/dice.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sealine::sim {

/// Takes what an end writes.
class Wire {
 public:
  virtual ~Wire() = default;
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;
  virtual void write(ByteView bytes) = 0;

  /// No byte comes behind those that were written.
  virtual void end() {}

  /// It pushes back: nothing more should be written now.
  [[nodiscard]] virtual bool is_full() const { return false; }

 protected:
  Wire() = default;
};

/// One direction of a stream: bytes on their way, and what an attacker has seen of them.
class Pipe final : public Wire {
 public:
  void write(ByteView bytes) override {
    if (is_deaf) return;
    if (at_ == bytes_.size()) {
      bytes_.clear();
      marks_.clear();
      at_ = 0;
    }
    marks_.push_back(bytes_.size());
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    if (seen_.size() < kSeen) seen_.insert(seen_.end(), bytes.begin(), bytes.end());
  }

  void end() override { is_ended = true; }

  [[nodiscard]] bool is_full() const override { return !is_deaf && size() >= capacity; }

  [[nodiscard]] std::size_t size() const { return bytes_.size() - at_; }

  [[nodiscard]] ByteView front(std::size_t count) const {
    return ByteView(bytes_).subspan(at_, count);
  }

  void take(std::size_t count) {
    at_ += count;
    taken_ += count;
  }

  void drop_all() {
    bytes_.clear();
    marks_.clear();
    at_ = 0;
  }

  /// What is on its way, write by write; it is there no more.
  [[nodiscard]] std::vector<std::vector<std::uint8_t>> take_pieces() {
    std::vector<std::vector<std::uint8_t>> pieces;
    for (std::size_t i = 0; i <= marks_.size(); ++i) {
      const std::size_t from = i == 0 ? at_ : std::max(at_, marks_[i - 1]);
      const std::size_t to = i == marks_.size() ? bytes_.size() : std::max(at_, marks_[i]);
      if (from < to)
        pieces.emplace_back(bytes_.begin() + offset(from - at_), bytes_.begin() + offset(to - at_));
    }
    drop_all();
    return pieces;
  }

  [[nodiscard]] const std::vector<std::uint8_t>& seen() const { return seen_; }

  /// A place in what is on its way: the start of something written, or anywhere.
  [[nodiscard]] std::size_t place(Dice& dice) const {
    if (!marks_.empty() && dice.chance(70)) {
      const std::size_t mark = marks_[dice.below(marks_.size())];
      if (mark >= at_) return mark - at_;
    }
    return dice.below(size());
  }

  void flip(std::size_t at, unsigned bit) {
    bytes_[at_ + at] = static_cast<std::uint8_t>(bytes_[at_ + at] ^ (1U << bit));
  }

  /// Line damage: a bit, anywhere.
  void damage(Dice& dice) {
    const std::size_t at = dice.below(size());
    flip(at, static_cast<unsigned>(dice.below(8)));
    is_tampered = true;
    good_bytes = std::min(good_bytes, taken_ + at);
  }

  void insert(std::size_t at, ByteView what) {
    const std::vector<std::uint8_t> copy(what.begin(), what.end());  // it may be our own
    bytes_.insert(bytes_.begin() + offset(at), copy.begin(), copy.end());
    marks_.clear();
  }

  void erase(std::size_t at, std::size_t count) {
    bytes_.erase(bytes_.begin() + offset(at), bytes_.begin() + offset(at + count));
    marks_.clear();
  }

  /// Notes where what is on its way now differs from what it was.
  void compare_with(ByteView before) {
    const ByteView now = front(size());
    const auto differs = std::ranges::mismatch(before, now).in2;
    if (differs == now.end() && before.size() == now.size()) return;
    is_tampered = true;
    good_bytes = std::min(good_bytes, taken_ + static_cast<std::uint64_t>(differs - now.begin()));
  }

  std::size_t capacity = ~std::size_t{0};  ///< what it holds before it pushes back
  TimePoint stalled_until{};
  std::uint64_t good_bytes = ~std::uint64_t{0};  ///< before the first that the attacker changed
  bool is_ended = false;  ///< no byte comes behind those that are on their way
  bool is_deaf = false;   ///< nobody reads: what is written is gone
  bool is_tampered = false;

 private:
  static constexpr std::size_t kSeen = 4096;

  [[nodiscard]] std::ptrdiff_t offset(std::size_t at) const {
    return static_cast<std::ptrdiff_t>(at_ + at);
  }

  std::vector<std::uint8_t> bytes_;
  std::size_t at_ = 0;
  std::uint64_t taken_ = 0;
  std::vector<std::size_t> marks_;
  std::vector<std::uint8_t> seen_;
};

/// One thing that an attacker does to what is on its way; `seen` is what he has captured, here or
/// elsewhere.
inline void tamper(Pipe& pipe, ByteView seen, Dice& dice) {
  const std::vector<std::uint8_t> before(pipe.front(pipe.size()).begin(),
                                         pipe.front(pipe.size()).end());
  const std::size_t at = pipe.place(dice);
  const std::size_t to = pipe.place(dice);
  switch (dice.below(6)) {
    case 0:
    case 1:
      pipe.flip(at, static_cast<unsigned>(dice.below(8)));
      break;
    case 2:  // a piece is lost
      pipe.erase(at, at < to ? to - at : std::min<std::size_t>(pipe.size() - at, 60));
      break;
    case 3:  // a piece comes twice
      pipe.insert(at, pipe.front(pipe.size()).subspan(at, at < to ? to - at : pipe.size() - at));
      break;
    case 4: {  // a piece of what was seen: replayed, spliced or reflected
      if (seen.empty()) return;
      const std::size_t from = dice.below(seen.size());
      pipe.insert(at, seen.subspan(from, dice.between(1, seen.size() - from)));
      break;
    }
    default: {  // two pieces change places
      if (at >= to) return;
      const std::vector<std::uint8_t> piece(
          pipe.front(to).begin() + static_cast<std::ptrdiff_t>(at), pipe.front(to).end());
      pipe.erase(at, to - at);
      pipe.insert(std::min(at + dice.below(200), pipe.size()), piece);
      break;
    }
  }
  pipe.compare_with(before);
}

}  // namespace sealine::sim
