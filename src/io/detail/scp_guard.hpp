#pragma once

#include "io/detail/scp_core.hpp"

#include <memory>
#include <utility>

namespace sealine::io::scp {

/// A core inside of a handler that Asio holds. Taken out when the handler runs; where it is dropped
/// unrun, its context is gone, and so are the waiting calls.
class CoreGuard {
 public:
  explicit CoreGuard(std::shared_ptr<ChannelCore> core) : core_(std::move(core)) {}

  CoreGuard(CoreGuard&&) noexcept = default;
  CoreGuard& operator=(CoreGuard&&) noexcept = default;
  CoreGuard(const CoreGuard&) = delete;
  CoreGuard& operator=(const CoreGuard&) = delete;

  ~CoreGuard() {
    if (core_) core_->drop_calls();
  }

  [[nodiscard]] std::shared_ptr<ChannelCore> take() { return std::move(core_); }

 private:
  std::shared_ptr<ChannelCore> core_;
};

}  // namespace sealine::io::scp
