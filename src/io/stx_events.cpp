#include "sealine/io/stx_events.hpp"

#include "sealine/base/errc.hpp"
#include "sealine/io/stx_options.hpp"

namespace sealine::io::stx {

std::string describe(const Connected& connected) {
  if (!connected.channel) return "(psk), STX/1, AES-256-GCM";
  std::string text = stcp::describe(*connected.channel);
  // Whoever is new is judged when it is known what he offers; his key has been proved all the same.
  const std::string_view unknown = to_string(TrustWord::not_authenticated);
  const std::size_t word = connected.is_stranger ? text.find(unknown) : std::string::npos;
  if (word != std::string::npos) text.replace(word, unknown.size(), "new");
  // "slp1... (known), STCP/1 XX, ..." becomes "slp1... (known), STX/1 in STCP/1 XX, ...".
  const std::size_t place = text.find("STCP/1");
  if (place != std::string::npos) text.insert(place, "STX/1 in ");
  return text;
}

std::string_view to_string(FileState state) noexcept {
  switch (state) {
    case FileState::done:
      return "done";
    case FileState::resumed:
      return "resumed";
    case FileState::skipped:
      return "skipped";
    case FileState::failed:
      return "failed";
    case FileState::planned:
      return "planned";
  }
  return "";
}

std::string describe(const Notice& notice) {
  switch (notice.kind) {
    case Notice::Kind::special_file:
      return "a device, socket or fifo is left out";
    case Notice::Kind::source_changed:
      return "the file changed while it was sent, and is sent again";
    case Notice::Kind::ledger_set_aside:
      return "a damaged ledger was set aside; transfers begin anew";
    case Notice::Kind::lane_lost:
      return "a lane was lost and is replaced";
    case Notice::Kind::superseded:
      return "a newer session of the same sender goes on with it";
  }
  return "";
}

stcp::ClientOptions default_stcp_client() {
  stcp::ClientOptions options;
  options.protocol.mode = stcp::Mode::mutual;
  return options;
}

stcp::ServerOptions default_stcp_server() {
  stcp::ServerOptions options;
  options.protocol.modes = {stcp::Mode::mutual};
  return options;
}

}  // namespace sealine::io::stx
