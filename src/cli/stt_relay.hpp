#pragma once

#include "cli/asio.hpp"
#include "cli/msg_lines.hpp"
#include "cli/plain_socket.hpp"
#include "cli/rate_limit.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/io/stt_stream.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

namespace sealine::cli {

class Child;

/// What a stream has carried.
struct SttCounts {
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
};

/// What all of them have carried, on whatever thread.
struct SttTotals {
  std::atomic<std::uint64_t> bytes_in = 0;
  std::atomic<std::uint64_t> bytes_out = 0;
  std::atomic<std::uint64_t> streams = 0;
};

/// What they share: both limits, of one thread where they limit, and the counts.
struct SttShared {
  RateLimit& up;
  RateLimit& down;
  SttTotals& counts;
};

/// Why a stream was given up by us: codes of our own, from 256 on.
inline constexpr std::uint16_t kStreamRefused = 256;  ///< a target that nobody allowed
inline constexpr std::uint16_t kStreamFailed = 257;   ///< our end of it failed

/// A plaintext connection as the end of a stream.
class SocketEnds final : public LineEnds {
 public:
  explicit SocketEnds(PlainSocket socket) : socket_(std::move(socket)) {}

  net::awaitable<Result<std::size_t>> read(MutableBytes out) override;
  net::awaitable<Result<>> write(ByteView bytes) override;
  void close_output() override;
  /// Resets the connection: what is no clean end stays none.
  void cancel() override;

 private:
  PlainSocket socket_;
  bool is_cancelled_ = false;
};

/// One stream of mode 0 and what stands at our end of it: copies both ways until both directions
/// have ended.
///
/// Each end of data is handed on by itself. What is no clean end resets both.
class SttRelay final {
 public:
  /// `command` is `ends`, where these are a command's: one that fails resets the stream.
  SttRelay(io::stt::Stream stream, LineEnds& ends, Child* command, const SttShared& shared,
           std::size_t piece_bytes);

  /// `first` is sent before anything else, `came` was read already.
  [[nodiscard]] net::awaitable<void> run(ByteView first = {}, ByteView came = {});

  /// Ends it from outside, as a failure of ours.
  void abort();

  /// A terminal at our end has nobody to talk to once the peer is done.
  void end_input_with_peer() noexcept { input_ends_with_peer_ = true; }

  [[nodiscard]] io::stt::StreamId id() const noexcept { return stream_.id(); }

  /// What failed first, here or on the way.
  [[nodiscard]] std::optional<Error> local_error() const noexcept { return local_; }

  [[nodiscard]] std::optional<Error> network_error() const noexcept { return network_; }

  [[nodiscard]] std::optional<int> status() const noexcept { return status_; }

  [[nodiscard]] const SttCounts& counts() const noexcept { return counts_; }

 private:
  [[nodiscard]] net::awaitable<void> send(ByteView first);
  [[nodiscard]] net::awaitable<void> send_rest();
  [[nodiscard]] net::awaitable<bool> put(ByteView bytes);
  [[nodiscard]] net::awaitable<void> finish();
  [[nodiscard]] net::awaitable<void> receive(ByteView came);
  void stream_failed(const error_code& ec);
  void ends_failed(const Error& error);

  io::stt::Stream stream_;
  LineEnds* ends_;
  Child* command_;
  SttShared shared_;
  std::size_t piece_bytes_;
  net::steady_timer up_pause_;
  net::steady_timer down_pause_;
  std::optional<Error> local_;
  std::optional<Error> network_;
  std::optional<int> status_;
  SttCounts counts_;
  bool is_peer_done_ = false;
  bool input_ends_with_peer_ = false;
};

}  // namespace sealine::cli
