#pragma once

#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/crypto/key_text.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/stx_events.hpp"
#include "sealine/io/stx_options.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sealine::io::stx {

class ReceiverCore;

/// Counts of a receiver, now.
struct ReceiverStatistics {
  std::uint64_t accepted = 0;  ///< TCP connections
  std::size_t half_open = 0;
  std::size_t sessions = 0;
  std::uint64_t received_bytes = 0;
  std::uint64_t files = 0;
};

/// Listens and takes files from any number of senders into one directory.
///
///   Receiver receiver(executor, options);
///   receiver.open(); receiver.listen("", 9440);
///   auto report = co_await receiver.run();
///
/// A failed handshake or session never ends it. Not thread-safe: all calls on its executor, which
/// must not be run by several threads at once (else: a strand). Destruction ends everything.
class SEALINE_API Receiver {
 public:
  using executor_type = net::any_io_executor;

  Receiver(executor_type executor, ReceiveOptions options);
  Receiver(net::io_context& context, ReceiveOptions options);
  Receiver(Receiver&&) noexcept;
  Receiver& operator=(Receiver&&) noexcept;
  ~Receiver();

  /// The directory, its ledger and our identity. Errors: file_error (detail = errno), file_locked
  /// (another receiver uses the directory), bad_configuration, those of open_state_dir.
  [[nodiscard]] Result<> open();

  /// Begins to listen, after open(); may be called for several addresses. An empty host is all
  /// addresses, port 0 any free one. Errors: those of the system.
  [[nodiscard]] Result<> listen(std::string_view host, std::uint16_t port,
                                stcp::AddressFamily family = stcp::AddressFamily::any);

  [[nodiscard]] std::vector<net::ip::tcp::endpoint> local_endpoints() const;
  [[nodiscard]] std::uint16_t port() const;

  /// Serves until drain() or stop() has ended the last session, or, with `once`, the first
  /// transfer is over: complete, or given up after its sender has gone (10 minutes) or closed.
  /// Once. Cancelled by its slot or `options.stop`, both as stop().
  [[nodiscard]] net::awaitable<Result<ReceiveReport>> run();

  /// Listens no more; sessions go on to their end. (SIGTERM)
  void drain();
  /// Ends all sessions with CLOSE{7}; what is durable stays so.
  void stop();
  /// New handshakes know these keys from now on (SIGHUP). Key form. Errors: bad_configuration.
  [[nodiscard]] Result<> set_keys(std::vector<std::shared_ptr<const crypto::Psk>> keys);

  [[nodiscard]] ReceiverStatistics statistics() const noexcept;

 private:
  std::shared_ptr<ReceiverCore> core_;
};

/// A Receiver that opens, listens and runs. `on_listening` is told the addresses.
[[nodiscard]] SEALINE_API net::awaitable<Result<ReceiveReport>> receive_files(
    std::string host, std::uint16_t port, ReceiveOptions options,
    std::function<void(const std::vector<net::ip::tcp::endpoint>&)> on_listening = {});

}  // namespace sealine::io::stx
