#pragma once

#include <memory>
#include <utility>

namespace sealine::io::detail {

/// A core inside of a handler that Asio holds. Taken out when the handler runs; where it is dropped
/// unrun, its context is gone, and so are the operations that wait: they may hold the core.
template <class Core>
class CoreGuard {
 public:
  explicit CoreGuard(std::shared_ptr<Core> core) : core_(std::move(core)) {}

  CoreGuard(CoreGuard&&) noexcept = default;
  CoreGuard& operator=(CoreGuard&&) noexcept = default;
  CoreGuard(const CoreGuard&) = delete;
  CoreGuard& operator=(const CoreGuard&) = delete;

  ~CoreGuard() {
    if (core_) core_->drop_operations();
  }

  [[nodiscard]] std::shared_ptr<Core> take() { return std::move(core_); }

 private:
  std::shared_ptr<Core> core_;
};

}  // namespace sealine::io::detail
