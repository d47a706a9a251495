#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/stt/control.hpp"
#include "sealine/stt/limits.hpp"
#include "sealine/stt/session.hpp"
#include "stt/detail/stream_buffer.hpp"

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace sealine::stt::detail {

/// What a fault of the peer ends the session with.
struct Fault {
  CloseCode code{};
};

/// A DATA frame behind its INIT parameters.
struct DataBody {
  std::uint64_t id = 0;      ///< modes 1 to 3
  std::uint64_t offset = 0;  ///< of the stream, or of the fragment in its message
  ByteView bytes;
  bool fin = false;
  bool message_end = false;
};

/// Errors: protocol_broken.
[[nodiscard]] Result<DataBody> parse_data(StreamMode mode, std::uint8_t flags, ByteView body);

/// The peer's direction of a stream: what came, put together, until it is read.
class ReceiveStream {
 public:
  explicit ReceiveStream(StreamMode mode, RingPool* rings = nullptr)
      : mode_(mode), buffer_(rings) {}

  /// What a frame adds: bytes of credit used (modes 0 and 1), or a fault.
  struct Added {
    std::uint64_t credit = 0;
    std::optional<Fault> fault;
    bool is_dropped = false;  ///< too many gaps: as if it had never come
  };

  /// Nothing is kept, or allocated, for more than `allowed` bytes of new credit.
  [[nodiscard]] Added add(const DataBody& data, std::uint64_t allowed);
  /// RESET: nothing more is read; `final_size` counts as used.
  [[nodiscard]] Added reset(std::uint64_t final_size, std::uint64_t allowed);
  /// Nobody wants more of it.
  void stop();
  void abandon(std::uint64_t up_to);

  /// Mode ordered: where the next bytes in order are put at once, if nothing waits before them. A
  /// read() into the same place begins with them. Empty: no longer.
  void offer(MutableBytes place);
  [[nodiscard]] Read read(MutableBytes out);
  /// Credit that was consumed since the last call: read, or given up.
  [[nodiscard]] std::uint64_t take_consumed() noexcept;
  [[nodiscard]] std::size_t readable_bytes() const noexcept;
  /// The reader was told of its end; or it was reset, or stopped and all came that will.
  [[nodiscard]] bool is_over() const noexcept;
  [[nodiscard]] bool is_readable() const noexcept;

  [[nodiscard]] bool is_reset() const noexcept { return ending_ == Ending::reset; }

  /// All that the peer will ever send is known to be here.
  [[nodiscard]] bool has_all() const noexcept;

  [[nodiscard]] std::uint64_t used() const noexcept { return used_; }

 private:
  enum class Ending : std::uint8_t { none, fin, reset };

  struct Assembly {
    std::vector<std::uint8_t> bytes;
    SpanSet there;
    std::optional<std::uint64_t> size;
    std::uint64_t highest = 0;
  };

  [[nodiscard]] Added add_bytes(const DataBody& data, std::uint64_t allowed);
  [[nodiscard]] Added add_fragment(const DataBody& data, std::uint64_t allowed);
  [[nodiscard]] Added add_message_end(const DataBody& data);
  void store(Span span, ByteView bytes);
  void take_offer_back();
  void slide_window(std::uint64_t id);
  void store_fragment(const DataBody& data, std::uint64_t end);
  [[nodiscard]] bool use(std::uint64_t credit, std::uint64_t allowed) noexcept;
  [[nodiscard]] bool is_all_read() const noexcept;
  [[nodiscard]] bool is_known(std::uint64_t id) const noexcept;
  void complete(std::uint64_t id, std::vector<std::uint8_t> message);
  void advance_oldest();
  void give_up_below(std::uint64_t id);
  void trim_open();
  void trim_queue();

  StreamMode mode_;
  Ending ending_ = Ending::none;
  bool stopped_ = false;
  bool end_was_read_ = false;
  std::uint64_t final_ = 0;  ///< size, or number of messages
  std::uint64_t used_ = 0;
  std::uint64_t consumed_ = 0;
  std::uint64_t reported_ = 0;  ///< of consumed_

  // mode ordered
  StreamBuffer buffer_;
  SpanSet there_;
  std::uint64_t read_ = 0;
  MutableBytes place_;      ///< offered, for what follows read_
  std::size_t placed_ = 0;  ///< of it taken: positions that there_ has and buffer_ has not
  std::uint64_t highest_ = 0;

  // messages
  std::map<std::uint64_t, Assembly> open_;
  std::size_t open_bytes_ = 0;  ///< that open_ takes
  std::deque<std::vector<std::uint8_t>> whole_;
  std::size_t whole_bytes_ = 0;
  std::size_t read_of_front_ = 0;
  std::uint64_t oldest_ = 0;  ///< all below are complete, or given up
  std::uint64_t next_ = 0;    ///< one above the newest id
  using Done = std::bitset<kMessageIdWindow>;
  std::unique_ptr<Done> done_;  ///< by id modulo the window
};

}  // namespace sealine::stt::detail
