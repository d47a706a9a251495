#include "cli/exit_code.hpp"

#include <cerrno>

namespace sealine::cli {
namespace {

bool stands(Phase phase) { return phase == Phase::session || phase == Phase::unanswered; }

/// What an end of the connection means that the peer did not seal. Where we prove a secret, its
/// refusal is silence: only its first sealed record tells it from an accident.
int silence(Phase phase, Proof proof) {
  if (phase == Phase::session) return kExitDamaged;
  if (proof == Proof::secret) return kExitAuthentication;
  return stands(phase) ? kExitDamaged : kExitUnreachable;
}

int of_environment(const Error& error, Phase phase) {
  const bool is_permission = error.detail == EACCES || error.detail == EPERM;
  if (phase == Phase::connect) return kExitUnreachable;
  return is_permission ? kExitLocal : kExitFailure;
}

}  // namespace

int exit_code(const Error& error, Phase phase, Proof proof) {
  switch (error.code) {
    case Errc::usage:
    case Errc::bad_secret_file:
    case Errc::secret_in_arguments:
    case Errc::bad_configuration:
    case Errc::plaintext_off_loopback:
    case Errc::bad_key_text:
    case Errc::bad_file_line:
      return kExitUsage;

    case Errc::unknown_hint:
    case Errc::answer_not_authentic:
    case Errc::peer_key_changed:
    case Errc::peer_key_refused:
    case Errc::hello_not_authentic:
    case Errc::finish_not_authentic:
    case Errc::record_out_of_place:
    case Errc::record_not_authentic:
    case Errc::dh_all_zero:
    case Errc::peer_fell_silent:
    case Errc::tag_mismatch:
    case Errc::packet_not_authentic:
    case Errc::mac_mismatch:
    case Errc::own_node:
    case Errc::certificate_untrusted:
    case Errc::certificate_of_another:
      return stands(phase) && error.code != Errc::peer_fell_silent ? kExitDamaged
                                                                   : kExitAuthentication;

    case Errc::truncated:
    case Errc::connection_lost:
      return phase == Phase::connect ? kExitUnreachable : silence(phase, proof);
    case Errc::handshake_timeout:
      return silence(Phase::handshake, proof);

    case Errc::aborted:
    case Errc::content_differs:
    case Errc::line_damaged:
      return kExitDamaged;
    case Errc::bad_length:
      // Within a session the length's bytes were altered on the way: no honest record has such.
      return stands(phase) ? kExitDamaged : kExitProtocol;

    case Errc::bad_record_head:
    case Errc::bad_settings:
    case Errc::bad_trailer:
    case Errc::input_too_short:
    case Errc::trailing_bytes:
    case Errc::bad_handshake_message:
    case Errc::bad_encoding:
    case Errc::version_refused:
    case Errc::mode_refused:
    case Errc::wrong_state:
    case Errc::too_many_empty:
    case Errc::protocol_broken:
    case Errc::stream_unknown:
    case Errc::not_this_protocol:
    case Errc::tls_failed:
    case Errc::no_tls:
    case Errc::bad_compression:
      return kExitProtocol;

    case Errc::peer_going_away:
    case Errc::half_open_full:
    case Errc::sequence_exhausted:
    case Errc::idle_timeout:
    case Errc::too_slow:
    case Errc::value_too_large:
    case Errc::too_many_handshakes:
    case Errc::too_many_connections:
    case Errc::message_too_large:
    case Errc::too_many_messages:
    case Errc::stream_limit:
    case Errc::window_full:
    case Errc::no_message_in_time:
    case Errc::file_name_refused:
    case Errc::link_target_refused:
    case Errc::quota_full:
    case Errc::refused_by_peer:
    case Errc::peer_busy:
    case Errc::superseded:
    case Errc::file_exists:
    case Errc::item_busy:
      return kExitRefused;

    case Errc::name_not_found:
    case Errc::unreachable:
    case Errc::connection_refused:
    case Errc::connect_timeout:
    case Errc::no_answer:
      return kExitUnreachable;
    case Errc::gave_up:
      return kExitGivenUp;

    case Errc::file_error:
    case Errc::file_locked:
    case Errc::disk_full:
    case Errc::source_changed:
      return kExitLocal;
    case Errc::system_error:
      return of_environment(error, phase);

    case Errc::stream_reset:
    case Errc::stream_stopped:
    case Errc::peer_failed:
    case Errc::peer_io_failed:
    case Errc::transfer_unknown:
    case Errc::channel_unknown:
    case Errc::not_encrypted:
    case Errc::already_closed:
    case Errc::buffer_too_small:
    case Errc::operation_in_progress:
    case Errc::forked:
    case Errc::out_of_space:
    case Errc::random_failed:
    case Errc::command_failed:
    case Errc::cancelled:
      return kExitFailure;
  }
  return kExitFailure;
}

}  // namespace sealine::cli
