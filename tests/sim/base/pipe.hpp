#pragma once

#include "sealine/base/bytes.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/way.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sealine::sim {

/// One direction of a stream: bytes on their way, and what an attacker has seen of them.
class Pipe final : public Way {
 public:
  void write(ByteView bytes) override;

  [[nodiscard]] bool is_full() const override { return !is_deaf && size() >= capacity; }

  [[nodiscard]] std::size_t size() const { return bytes_.size() - at_; }

  [[nodiscard]] ByteView front(std::size_t count) const;
  void take(std::size_t count);
  void drop_all() override;
  /// What is on its way, write by write; it is there no more.
  [[nodiscard]] std::vector<std::vector<std::uint8_t>> take_pieces();

  [[nodiscard]] const std::vector<std::uint8_t>& seen() const { return seen_; }

  /// A place in what is on its way: the start of something written, or anywhere.
  [[nodiscard]] std::size_t place(Dice& dice) const;
  void flip(std::size_t at, unsigned bit);
  /// Line damage: a bit, anywhere.
  void damage(Dice& dice);
  void insert(std::size_t at, ByteView what);
  void erase(std::size_t at, std::size_t count);
  /// Notes where what is on its way now differs from what it was.
  void compare_with(ByteView before);

  std::uint64_t good_bytes = ~std::uint64_t{0};  ///< before the first that the attacker changed
  bool is_tampered = false;

 private:
  static constexpr std::size_t kSeen = 4096;

  [[nodiscard]] std::ptrdiff_t offset(std::size_t at) const;

  std::vector<std::uint8_t> bytes_;
  std::size_t at_ = 0;
  std::uint64_t taken_ = 0;
  std::vector<std::size_t> marks_;
  std::vector<std::uint8_t> seen_;
};

/// One thing that an attacker does to what is on its way; `seen` is what he has captured, here or
/// elsewhere.
void tamper(Pipe& pipe, ByteView seen, Dice& dice);

}  // namespace sealine::sim
