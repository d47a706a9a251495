#pragma once

#include "cli/report.hpp"
#include "sealine/io/trust.hpp"

#include <memory>
#include <mutex>

namespace sealine::cli {

/// A trust that remembers the last key it judged and how, for the words of a failure. Any thread.
class WatchedTrust final : public io::Trust, public std::enable_shared_from_this<WatchedTrust> {
 public:
  explicit WatchedTrust(std::shared_ptr<io::Trust> judge) : judge_(std::move(judge)) {}

  void decide(const io::Introduction& introduction, Answer answer) override;
  void next_key(const io::Introduction& introduction, const crypto::PublicKey& next) override;

  [[nodiscard]] ShownKey shown() const;

 private:
  std::shared_ptr<io::Trust> judge_;
  mutable std::mutex mutex_;
  ShownKey shown_;
};

}  // namespace sealine::cli
