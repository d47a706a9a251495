#include "cli/recv_ledger.hpp"

#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"
#include "sealine/io/stx_ledger.hpp"

#include <fmt/format.h>

#include <chrono>
#include <string>

namespace sealine::cli {
namespace {

Failure ledger_failure(const Error& error, const RecvOptions& options) {
  Failure out{error,
              fmt::format("the ledger of {} cannot be used", in_quotes(options.directory.string())),
              {},
              {},
              {}};
  if (error.code == Errc::file_locked) out.hint = "a receiver uses the folder; end it first";
  return out;
}

UnixMillis millis_of(std::chrono::sys_seconds time) {
  return static_cast<UnixMillis>(
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count());
}

std::string share_of(const io::stx::LedgerEntry& entry) {
  if (entry.size_bytes == 0) return format_bytes(entry.have_bytes);
  const double share =
      static_cast<double>(entry.have_bytes) / static_cast<double>(entry.size_bytes);
  return fmt::format("{:.0f}% of {}", share * 100, format_bytes(entry.size_bytes));
}

}  // namespace

int list_transfers(const RecvOptions& options, Output& output) {
  const bool with_finished = output.shows(LogLevel::info);
  const auto entries = io::stx::list_transfers(options.directory, with_finished);
  if (!entries) return give_up(ledger_failure(entries.error(), options), output);
  for (const io::stx::LedgerEntry& entry : *entries) {
    const std::string changed = utc_text(millis_of(entry.changed));
    const std::string_view state = entry.is_finished ? "finished" : "part";
    output.data(fmt::format("{:<8}  {:>16}  {}  {}  {}\n", state, share_of(entry), changed,
                            entry.peer_id, printable(entry.name)));
    output.event("transfer", {{"name", entry.name},
                              {"state", std::string(state)},
                              {"have", entry.have_bytes},
                              {"size", entry.size_bytes},
                              {"changed", changed},
                              {"peer_id", entry.peer_id}});
  }
  output.done(kExitDone, {{"files", std::uint64_t{entries->size()}}});
  return kExitDone;
}

int discard_transfers(const RecvOptions& options, Output& output) {
  const auto count = io::stx::discard_transfers(options.directory);
  if (!count) return give_up(ledger_failure(count.error(), options), output);
  output.say(fmt::format("{} unfinished transfer{} deleted", *count, *count == 1 ? "" : "s"));
  output.done(kExitDone, {{"files", std::uint64_t{*count}}});
  return kExitDone;
}

}  // namespace sealine::cli
