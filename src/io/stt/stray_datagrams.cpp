#include "io/stt/stray_datagrams.hpp"

#include <algorithm>
#include <utility>

namespace sealine::io::stt {

StrayDatagrams::~StrayDatagrams() { static_cast<void>(take()); }

// What one thread writes into a datagram, the one that takes it sees: release here, acquire there.
StrayDatagrams::Pushed StrayDatagrams::push(std::unique_ptr<StrayDatagram> datagram) {
  if (count_.fetch_add(1, std::memory_order_relaxed) >= kMost) {
    count_.fetch_sub(1, std::memory_order_relaxed);
    return Pushed::dropped;
  }
  StrayDatagram* const ours = datagram.release();
  StrayDatagram* before = newest_.load(std::memory_order_relaxed);
  do {  // once it is in, it may be gone at any time
    ours->next = before;
  } while (!newest_.compare_exchange_weak(before, ours, std::memory_order_release,
                                          std::memory_order_relaxed));
  return before == nullptr ? Pushed::first : Pushed::behind_others;
}

std::vector<std::unique_ptr<StrayDatagram>> StrayDatagrams::take() {
  std::vector<std::unique_ptr<StrayDatagram>> out;
  StrayDatagram* next = newest_.exchange(nullptr, std::memory_order_acquire);
  while (next != nullptr) {
    StrayDatagram* const taken = std::exchange(next, next->next);
    out.emplace_back(taken);
  }
  count_.fetch_sub(out.size(), std::memory_order_relaxed);
  std::ranges::reverse(out);
  return out;
}

}  // namespace sealine::io::stt
