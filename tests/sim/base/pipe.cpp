#include "tests/sim/base/pipe.hpp"

#include "sealine/base/bytes.hpp"
#include "tests/sim/base/dice.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sealine::sim {

void Pipe::write(ByteView bytes) {
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

ByteView Pipe::front(std::size_t count) const { return ByteView(bytes_).subspan(at_, count); }

void Pipe::take(std::size_t count) {
  at_ += count;
  taken_ += count;
}

void Pipe::drop_all() {
  bytes_.clear();
  marks_.clear();
  at_ = 0;
}

std::vector<std::vector<std::uint8_t>> Pipe::take_pieces() {
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

std::size_t Pipe::place(Dice& dice) const {
  if (!marks_.empty() && dice.chance(70)) {
    const std::size_t mark = marks_[dice.below(marks_.size())];
    if (mark >= at_) return mark - at_;
  }
  return dice.below(size());
}

void Pipe::flip(std::size_t at, unsigned bit) {
  bytes_[at_ + at] = static_cast<std::uint8_t>(bytes_[at_ + at] ^ (1U << bit));
}

void Pipe::damage(Dice& dice) {
  const std::size_t at = dice.below(size());
  flip(at, static_cast<unsigned>(dice.below(8)));
  is_tampered = true;
  good_bytes = std::min(good_bytes, taken_ + at);
}

void Pipe::insert(std::size_t at, ByteView what) {
  const std::vector<std::uint8_t> copy(what.begin(), what.end());  // it may be our own
  bytes_.insert(bytes_.begin() + offset(at), copy.begin(), copy.end());
  marks_.clear();
}

void Pipe::erase(std::size_t at, std::size_t count) {
  bytes_.erase(bytes_.begin() + offset(at), bytes_.begin() + offset(at + count));
  marks_.clear();
}

void Pipe::compare_with(ByteView before) {
  const ByteView now = front(size());
  const auto differs = std::ranges::mismatch(before, now).in2;
  if (differs == now.end() && before.size() == now.size()) return;
  is_tampered = true;
  good_bytes = std::min(good_bytes, taken_ + static_cast<std::uint64_t>(differs - now.begin()));
}

std::ptrdiff_t Pipe::offset(std::size_t at) const { return static_cast<std::ptrdiff_t>(at_ + at); }

void tamper(Pipe& pipe, ByteView seen, Dice& dice) {
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
