#pragma once

#include "cli/asio.hpp"
#include "cli/output.hpp"
#include "cli/stdio.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace sealine::cli {

/// The events of a command on a standard output whose reader may be slow: they wait here while
/// everything else goes on. For as long as it lives, it is where `output` has its events go.
class EventQueue final {
 public:
  EventQueue(const net::any_io_executor& executor, StandardOutput& target, Output& output);
  ~EventQueue();
  EventQueue(const EventQueue&) = delete;
  EventQueue& operator=(const EventQueue&) = delete;

  /// Writes what comes until finish(). Once.
  [[nodiscard]] net::awaitable<void> run();

  /// Waits while more is queued than should be. Errors: file_error, once nobody takes events.
  [[nodiscard]] net::awaitable<Result<>> room();

  /// Waits until all is written; run() ends then.
  [[nodiscard]] net::awaitable<void> finish();

 private:
  void push(std::string_view line);

  StandardOutput* target_;
  Output* output_;
  net::steady_timer filled_;
  net::steady_timer emptied_;
  std::string queue_;
  std::optional<Error> error_;
  bool is_writing_ = false;
  bool is_finishing_ = false;
};

}  // namespace sealine::cli
