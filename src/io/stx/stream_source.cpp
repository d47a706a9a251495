#include "io/stx/stream_source.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utility>

namespace sealine::io::stx {

StreamSource::StreamSource(int descriptor, std::uint32_t block_bytes,
                           std::function<void()> supplied)
    : descriptor_(descriptor),
      block_bytes_(block_bytes),
      supplied_(std::move(supplied)),
      wake_(::eventfd(0, EFD_CLOEXEC)),
      thread_([this] { run(); }) {}

StreamSource::~StreamSource() { stop(); }

void StreamSource::stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  room_.notify_all();
  const std::uint64_t one = 1;
  (void)!::write(wake_.value(), &one, sizeof one);
  if (thread_.joinable()) thread_.join();
}

Result<std::size_t> StreamSource::fill(MutableBytes block) {
  std::size_t filled = 0;
  while (filled < block.size()) {
    std::array<::pollfd, 2> waits{{{descriptor_, POLLIN, 0}, {wake_.value(), POLLIN, 0}}};
    if (::poll(waits.data(), waits.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return io::detail::file_failure();
    }
    if (waits[1].revents != 0) return fail(Errc::cancelled);
    const ssize_t n = ::read(descriptor_, block.data() + filled, block.size() - filled);
    if (n == 0) break;
    if (n > 0) {
      filled += static_cast<std::size_t>(n);
    } else if (errno != EINTR && errno != EAGAIN) {
      return io::detail::file_failure();
    }
  }
  return filled;
}

void StreamSource::run() {
  const std::size_t most = std::max<std::size_t>(2, kStreamKeepBytes / block_bytes_);
  for (;;) {
    std::vector<std::uint8_t> block(block_bytes_);
    const auto filled = fill(block);
    {
      std::unique_lock lock(mutex_);
      if (stopping_) return;
      if (!filled) {
        supply_.error = filled.error();
      } else {
        read_bytes_ += *filled;
        if (*filled != 0) {
          block.resize(*filled);
          kept_.push_back(std::move(block));
          ++supply_.blocks;
        }
        if (*filled < block_bytes_) supply_.size_bytes = read_bytes_;
      }
      if (supply_.error || supply_.size_bytes) {
        lock.unlock();
        return supplied_();
      }
    }
    supplied_();
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return stopping_ || kept_.size() < most; });
    if (stopping_) return;
  }
}

StreamSource::Supply StreamSource::supply() const {
  const std::scoped_lock lock(mutex_);
  return supply_;
}

void StreamSource::release(std::uint32_t first_block) {
  std::vector<std::vector<std::uint8_t>> freed;
  {
    const std::scoped_lock lock(mutex_);
    while (first_ < first_block && !kept_.empty()) {
      freed.push_back(std::move(kept_.front()));
      kept_.pop_front();
      ++first_;
    }
  }
  room_.notify_all();
}

std::uint32_t StreamSource::first_kept() const {
  const std::scoped_lock lock(mutex_);
  return first_;
}

Result<> StreamSource::read(std::uint64_t offset, MutableBytes out) {
  const std::scoped_lock lock(mutex_);
  const std::uint64_t block = offset / block_bytes_;
  if (block < first_ || block - first_ >= kept_.size()) return fail(Errc::source_changed);
  const std::vector<std::uint8_t>& bytes = kept_[block - first_];
  if (out.size() > bytes.size()) return fail(Errc::source_changed);
  std::memcpy(out.data(), bytes.data(), out.size());
  return {};
}

void StreamSource::keep_leaf(std::uint32_t block, const sealine::stx::Hash& leaf) {
  // Blocks are first ordered in their order: what comes out of it was resent.
  if (block == leaves_.size())
    leaves_.push_back(leaf);
  else if (block < leaves_.size())
    leaves_[block] = leaf;
}

}  // namespace sealine::io::stx
