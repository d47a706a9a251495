#pragma once

#include "io/stt/datagram_io.hpp"
#include "sealine/base/bytes.hpp"

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

namespace sealine::io::stt {

/// A datagram that came to another worker than that of its session, with what is known of it.
struct StrayDatagram {
  StrayDatagram(std::size_t port_index, ByteView datagram, const IncomingTrain& train)
      : port(port_index),
        bytes(datagram.begin(), datagram.end()),
        from{.bytes = {},
             .datagram_bytes = datagram.size(),
             .from = train.from,
             .to = train.to,
             .mark = train.mark} {}

  std::size_t port;  ///< at which of the listener's addresses
  std::vector<std::uint8_t> bytes;
  IncomingTrain from;  ///< of it alone
  StrayDatagram* next = nullptr;
};

/// Datagrams on their way from workers that they came to, to the one that they are for.
/// spec: stt.md#session-ids
///
/// Holds no lock: any thread pushes, one thread takes all. A full one drops, as sockets do.
class StrayDatagrams {
 public:
  static constexpr std::size_t kMost = 1024;

  enum class Pushed : std::uint8_t {
    first,  ///< wake whoever takes: there was nothing
    behind_others,
    dropped,
  };

  StrayDatagrams() = default;
  StrayDatagrams(const StrayDatagrams&) = delete;
  StrayDatagrams& operator=(const StrayDatagrams&) = delete;
  ~StrayDatagrams();

  /// Any thread.
  Pushed push(std::unique_ptr<StrayDatagram> datagram);

  /// All of them, in the order in which each thread pushed its own. One thread.
  [[nodiscard]] std::vector<std::unique_ptr<StrayDatagram>> take();

 private:
  std::atomic<StrayDatagram*> newest_ = nullptr;
  std::atomic<std::size_t> count_ = 0;
};

}  // namespace sealine::io::stt
