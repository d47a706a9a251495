#pragma once

#include "sealine/base/bytes.hpp"

#include <cstdint>
#include <string>
#include <utility>

namespace sealine::io::scp {

/// A message that came, or, where it is false, the end of the other end's messages.
class Message {
 public:
  /// The end.
  Message() = default;

  Message(std::uint64_t number, std::string data)
      : data_(std::move(data)), number_(number), is_message_(true) {}

  [[nodiscard]] explicit operator bool() const noexcept { return is_message_; }

  /// Its bytes as they came; nothing says that they are UTF-8.
  [[nodiscard]] const std::string& text() const& noexcept { return data_; }

  [[nodiscard]] std::string text() && noexcept { return std::move(data_); }

  [[nodiscard]] ByteView bytes() const& noexcept { return as_bytes(data_); }

  ByteView bytes() && = delete;  ///< they would be gone with the message

  [[nodiscard]] std::size_t size() const noexcept { return data_.size(); }

  /// Messages of that end before this one, over the channel's life.
  [[nodiscard]] std::uint64_t number() const noexcept { return number_; }

 private:
  std::string data_;
  std::uint64_t number_ = 0;
  bool is_message_ = false;
};

}  // namespace sealine::io::scp
