#include "sealine/stx/code.hpp"

namespace sealine::stx {

Retry retry_after(Code code) noexcept {
  switch (code) {
    case Code::line_damage:
    case Code::shutting_down:
    case Code::busy:
      return Retry::always;
    case Code::root_differs:
      return Retry::once;
    case Code::normal:
    case Code::protocol:
    case Code::refused:
    case Code::no_space:
    case Code::quota:
    case Code::io_error:
    case Code::unknown_transfer:
    case Code::name:
    case Code::exists:
    case Code::source_changed:
    case Code::superseded:
      return Retry::never;
  }
  return Retry::never;
}

Errc errc_of(Code code) noexcept {
  switch (code) {
    case Code::normal:
      return Errc::already_closed;
    case Code::protocol:
      return Errc::protocol_broken;
    case Code::refused:
      return Errc::refused_by_peer;
    case Code::no_space:
      return Errc::disk_full;
    case Code::quota:
      return Errc::quota_full;
    case Code::io_error:
      return Errc::peer_io_failed;
    case Code::line_damage:
      return Errc::line_damaged;
    case Code::shutting_down:
      return Errc::peer_going_away;
    case Code::busy:
      return Errc::peer_busy;
    case Code::unknown_transfer:
      return Errc::transfer_unknown;
    case Code::name:
      return Errc::file_name_refused;
    case Code::exists:
      return Errc::file_exists;
    case Code::source_changed:
      return Errc::source_changed;
    case Code::root_differs:
      return Errc::content_differs;
    case Code::superseded:
      return Errc::superseded;
  }
  return Errc::protocol_broken;
}

std::string_view to_string(Code code) noexcept {
  switch (code) {
    case Code::normal:
      return "normal";
    case Code::protocol:
      return "protocol";
    case Code::refused:
      return "refused";
    case Code::no_space:
      return "no space";
    case Code::quota:
      return "quota";
    case Code::io_error:
      return "input or output error";
    case Code::line_damage:
      return "line damage";
    case Code::shutting_down:
      return "shutting down";
    case Code::busy:
      return "busy";
    case Code::unknown_transfer:
      return "unknown transfer";
    case Code::name:
      return "name not taken";
    case Code::exists:
      return "exists";
    case Code::source_changed:
      return "source changed or gone";
    case Code::root_differs:
      return "content differs";
    case Code::superseded:
      return "superseded";
  }
  return "protocol";
}

}  // namespace sealine::stx
