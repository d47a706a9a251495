#pragma once

#include "cli/asio.hpp"
#include "cli/rate_limit.hpp"
#include "cli/stdio.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/io/stcp_stream.hpp"

#include <cstdint>
#include <memory>
#include <optional>

namespace sealine::cli {

/// Standard input to a peer and the peer to standard output, until both are done.
///
/// Each end of data is handed on by itself. A terminal counts as done when the peer is. A failure
/// of either direction ends both.
class PipeSession final {
 public:
  struct Ends {
    StandardInput& input;
    StandardOutput& output;
    bool closes_output = true;  ///< say the end of the peer's data to our reader at once
    std::uint64_t rate = 0;
  };

  PipeSession(io::stcp::Stream stream, const Ends& ends);

  [[nodiscard]] net::awaitable<void> run();

  /// Ends it with an error for the peer.
  [[nodiscard]] net::awaitable<void> abort(io::stcp::CloseReason reason);

  [[nodiscard]] const io::stcp::Stream& stream() const noexcept { return stream_; }

  /// What failed first, here or on the way; nothing after an abort of ours.
  [[nodiscard]] std::optional<Error> local_error() const noexcept { return local_; }

  [[nodiscard]] std::optional<Error> network_error() const noexcept;

  [[nodiscard]] std::uint64_t bytes_sent() const noexcept { return sent_; }

  [[nodiscard]] std::uint64_t bytes_received() const noexcept { return received_; }

 private:
  [[nodiscard]] net::awaitable<void> send();
  [[nodiscard]] net::awaitable<void> receive();
  [[nodiscard]] net::awaitable<void> give_up_locally(Error error);
  void note(const error_code& ec);

  io::stcp::Stream stream_;
  Ends ends_;
  RateLimit up_;
  RateLimit down_;
  net::steady_timer up_pause_;
  net::steady_timer down_pause_;
  std::unique_ptr<std::uint8_t[]> up_buffer_;
  std::unique_ptr<std::uint8_t[]> down_buffer_;
  std::optional<Error> local_;
  std::optional<Error> network_;
  bool is_peer_done_ = false;
  bool is_aborted_ = false;
  std::uint64_t sent_ = 0;
  std::uint64_t received_ = 0;
};

}  // namespace sealine::cli
