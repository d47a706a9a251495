#include "cli/msg_lines.hpp"

namespace sealine::cli {

void LineBuffer::append(ByteView bytes) {
  if (begin_ == buffer_.size()) {
    buffer_.clear();
    begin_ = scanned_ = 0;
  } else if (begin_ > buffer_.size() / 2) {
    buffer_.erase(0, begin_);
    scanned_ -= begin_;
    begin_ = 0;
  }
  buffer_.append(as_text(bytes));
}

std::optional<std::string_view> LineBuffer::next() {
  const std::size_t end = buffer_.find('\n', scanned_);
  const bool is_whole = end != std::string::npos;
  scanned_ = is_whole ? end + 1 : buffer_.size();
  const std::size_t size = (is_whole ? end : buffer_.size()) - begin_;
  if (size > limit_bytes_) is_too_long_ = true;
  if (!is_whole || is_too_long_) return std::nullopt;
  const std::string_view line(buffer_.data() + begin_, size);
  begin_ = end + 1;
  return line;
}

std::string_view LineBuffer::rest() const noexcept {
  return std::string_view(buffer_).substr(begin_);
}

}  // namespace sealine::cli
