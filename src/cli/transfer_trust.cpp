#include "cli/transfer_trust.hpp"

#include <utility>

namespace sealine::cli {

void WatchedTrust::decide(const io::Introduction& introduction, Answer answer) {
  {
    const std::scoped_lock lock(mutex_);
    shown_ = {.verdict = std::nullopt, .key = introduction.key};
  }
  judge_->decide(introduction, [self = shared_from_this(),
                                answer = std::move(answer)](io::Verdict verdict) mutable {
    {
      const std::scoped_lock lock(self->mutex_);
      self->shown_.verdict = verdict;
    }
    answer(std::move(verdict));
  });
}

void WatchedTrust::next_key(const io::Introduction& introduction, const crypto::PublicKey& next) {
  judge_->next_key(introduction, next);
}

ShownKey WatchedTrust::shown() const {
  const std::scoped_lock lock(mutex_);
  return shown_;
}

}  // namespace sealine::cli
