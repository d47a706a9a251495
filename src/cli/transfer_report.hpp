#pragma once

#include "cli/events.hpp"
#include "cli/failure.hpp"
#include "cli/output.hpp"
#include "sealine/io/stx_events.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace sealine::cli {

/// Who was reached: one line, and the event.
void report_connected(const io::stx::Connected& connected, Output& output);

/// One entry that is over: the event; for people what failed, and with -v everything.
class FileReport final {
 public:
  enum class Side : std::uint8_t { sender, receiver };

  FileReport(Side side, Output& output) : side_(side), output_(&output) {}

  void note(const io::stx::FileEvent& file);

  /// The list of failures is cut for people; this says what was not shown.
  void finish();

 private:
  Side side_;
  Output* output_;
  std::uint64_t failed_ = 0;
};

/// Why an entry failed, in words.
[[nodiscard]] std::string reason_of(const io::stx::FileEvent& file);

/// "ok  312 files, 4.1 GB in 3.9 s, 1.1 GB/s, resumed at 61 % (2.5 GB proved), proved (SHA-256
/// tree)"; where entries are missing it begins with "not all:" and ends with their number.
[[nodiscard]] std::string summary_of(const io::stx::SendReport& report);

/// The same of a session at a receiver.
[[nodiscard]] std::string summary_of(const io::stx::SessionEnd& session);

}  // namespace sealine::cli
