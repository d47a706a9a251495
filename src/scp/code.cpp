#include "sealine/scp/code.hpp"

#include "sealine/scp/config.hpp"

namespace sealine::scp {

bool is_wire_code(Code code) noexcept {
  switch (code) {
    case Code::normal:
    case Code::protocol:
    case Code::too_large:
    case Code::timeout:
    case Code::rate_limited:
    case Code::going_away:
    case Code::internal:
    case Code::unknown_channel:
      return true;
    case Code::authentication:
    case Code::decrypt:
    case Code::sequence:
    case Code::version:
    case Code::truncated:
      return false;
  }
  return false;
}

Errc errc_of(Code code) noexcept {
  switch (code) {
    case Code::normal:
      return Errc::already_closed;
    case Code::protocol:
      return Errc::protocol_broken;
    case Code::authentication:
      return Errc::mac_mismatch;
    case Code::decrypt:
      return Errc::record_not_authentic;
    case Code::sequence:
      return Errc::record_out_of_place;
    case Code::too_large:
      return Errc::message_too_large;
    case Code::timeout:
      return Errc::idle_timeout;
    case Code::rate_limited:
      return Errc::too_many_messages;
    case Code::version:
      return Errc::version_refused;
    case Code::going_away:
      return Errc::peer_going_away;
    case Code::internal:
      return Errc::peer_failed;
    case Code::unknown_channel:
      return Errc::channel_unknown;
    case Code::truncated:
      return Errc::truncated;
  }
  return Errc::protocol_broken;
}

std::string_view to_string(Code code) noexcept {
  switch (code) {
    case Code::normal:
      return "normal";
    case Code::protocol:
      return "protocol";
    case Code::authentication:
      return "authentication";
    case Code::decrypt:
      return "decrypt";
    case Code::sequence:
      return "sequence";
    case Code::too_large:
      return "too large";
    case Code::timeout:
      return "timeout";
    case Code::rate_limited:
      return "rate limited";
    case Code::version:
      return "version";
    case Code::going_away:
      return "going away";
    case Code::internal:
      return "internal";
    case Code::unknown_channel:
      return "unknown channel";
    case Code::truncated:
      return "truncated";
  }
  return "protocol";
}

std::string_view pattern_name(Mode mode) noexcept {
  switch (mode) {
    case Mode::anonymous:
      return "NN";
    case Mode::pinned:
      return "IK";
    case Mode::mutual:
      return "XX";
    case Mode::psk:
      return "NNpsk0";
    case Mode::pinned_psk:
      return "IKpsk2";
  }
  return "?";
}

}  // namespace sealine::scp
