#pragma once

#include "sealine/base/export.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace sealine {

/// Whose fault an error is. The fault decides what a peer is told (mostly nothing) and, with the
/// phase, the exit code of the command.
enum class Fault : std::uint8_t {
  authentication,   ///< A: a key, tag, hint or MAC is wrong
  peer_malformed,   ///< M: bytes that no honest peer sends
  peer_misbehaved,  ///< P: well-formed, but not now or not so much
  api_misuse,       ///< U: the caller, or the user on the command line
  limit,            ///< L: a named limit was reached
  environment,      ///< E: the machine or the network
};

/// Every error of the library. Values are stable: `letter * 1000 + number`, A = 1 .. E = 6, so that
/// SL-A03 is 1003. Text, fault and code stand in one table (errc.cpp).
enum class Errc : std::uint16_t {
  // A: authentication
  unknown_hint = 1001,          ///< F5
  answer_not_authentic = 1002,  ///< F6: step 2 does not verify at the client
  peer_key_changed = 1003,      ///< F7: another key than the pinned one
  peer_key_refused =
      1004,  ///< F7: not in the allow list, or a stranger where strangers are refused
  hello_not_authentic = 1005,     ///< F4: step 1 does not verify (psk)
  finish_not_authentic = 1006,    ///< F8
  record_out_of_place = 1007,     ///< F11: replayed, reordered, dropped or inserted
  record_not_authentic = 1008,    ///< F12
  dh_all_zero = 1009,             ///< F3
  peer_fell_silent = 1010,        ///< no sealed answer to a proof of ours
  tag_mismatch = 1011,            ///< an AEAD tag, outside of a named step
  packet_not_authentic = 1012,    ///< a legacy packet: tag, time, repeat
  mac_mismatch = 1013,            ///< the HMAC of a message
  own_node = 1014,                ///< the peer shows our own node id
  certificate_untrusted = 1015,   ///< TLS; detail = OpenSSL's X509_V_ERR_...
  certificate_of_another = 1016,  ///< TLS: made for another name than the one that was dialled

  // M: malformed
  bad_record_head = 2001,        ///< F1: magic, version, step or length of a handshake record
  bad_settings = 2002,           ///< F1
  bad_length = 2003,             ///< F1: a record's length is out of bounds
  bad_trailer = 2004,            ///< F13: padding, type or data size
  bad_key_text = 2005,           ///< a key in text form: length, letter or checksum
  bad_file_line = 2006,          ///< detail = line number
  input_too_short = 2007,        ///< Reader: bytes are missing
  trailing_bytes = 2008,         ///< Reader: bytes are left over
  bad_handshake_message = 2009,  ///< Noise: a message of the wrong length
  version_refused = 2010,        ///< a message of another version
  bad_compression = 2011,        ///< a compressed block is no single frame of its length
  bad_encoding = 2012,           ///< a varint or tagged value; detail = offset

  // P: misbehaved
  mode_refused = 3001,         ///< F2
  wrong_state = 3002,          ///< F14
  too_many_empty = 3003,       ///< F15: counts and rates of section 4 and 5
  truncated = 3004,            ///< the stream ended without CLOSE
  aborted = 3005,              ///< CLOSE with a reason other than 0; detail = reason
  protocol_broken = 3006,      ///< a message that is not allowed now
  peer_going_away = 3007,      ///< the peer shuts down
  peer_failed = 3008,          ///< the peer had an internal error
  channel_unknown = 3009,      ///< the peer no longer knows the channel to be resumed
  file_name_refused = 3010,    ///< a file name that may not become a path
  link_target_refused = 3011,  ///< a symbolic link that leads out of the receive folder
  transfer_unknown = 3012,     ///< a lane of a transfer that is not there
  superseded = 3013,           ///< a newer session of the same sender took over
  content_differs = 3014,      ///< what arrived is not what was sent
  peer_io_failed = 3015,       ///< the peer could not read or write its disk
  stream_reset = 3016,         ///< the peer gave up its direction of a stream
  stream_stopped = 3017,       ///< the peer wants no more of ours
  tls_failed = 3018,           ///< detail = OpenSSL's reason

  // U: misuse
  not_encrypted = 4001,   ///< application data outside ENCRYPTED
  already_closed = 4002,  ///< sending after our own CLOSE
  buffer_too_small = 4003,
  bad_configuration = 4004,
  usage = 4005,            ///< command line
  bad_secret_file = 4006,  ///< a file with a secret is not ours, or open to others
  secret_in_arguments = 4007,
  operation_in_progress = 4008,
  forked = 4009,  ///< the session was made in another process
  plaintext_off_loopback = 4010,
  stream_unknown = 4011,  ///< no stream of that number is open

  // L: limits
  handshake_timeout = 5001,   ///< F9
  half_open_full = 5002,      ///< F10
  sequence_exhausted = 5003,  ///< F15 of our own making: 2^48 records
  idle_timeout = 5004,
  too_slow = 5005,      ///< less than the minimum progress
  out_of_space = 5006,  ///< Writer: the output does not fit
  value_too_large = 5007,
  too_many_handshakes = 5008,  ///< rate limit of an address
  too_many_connections = 5009,
  message_too_large = 5010,
  too_many_messages = 5011,  ///< over the rate that was agreed
  window_full = 5012,        ///< wait for receipts before sending more
  no_message_in_time = 5013,
  quota_full = 5014,  ///< what a peer, or a user, may store
  refused_by_peer = 5015,
  peer_busy = 5016,
  stream_limit = 5017,  ///< streams of a session, at once or in all

  // E: environment
  system_error = 6001,    ///< detail = errno
  name_not_found = 6002,  ///< name resolution; detail = EAI code
  unreachable = 6003,     ///< detail = errno
  connection_refused = 6004,
  connect_timeout = 6005,
  connection_lost = 6006,  ///< reset or broken pipe; detail = errno
  file_error = 6007,       ///< detail = errno
  file_locked = 6008,
  random_failed = 6009,
  no_answer = 6010,  ///< silence where no secret was proved
  gave_up = 6011,    ///< after --retry
  command_failed = 6012,
  cancelled = 6013,
  not_this_protocol = 6014,  ///< the peer's first bytes are of another protocol
  disk_full = 6015,          ///< detail = errno, or 0 where it was seen beforehand
  file_exists = 6016,        ///< the place of a received file is held by another
  source_changed = 6017,     ///< a file changed, shrank or went while it was read
  item_busy = 6018,          ///< another session is writing the same file
  line_damaged = 6019,       ///< frames whose CRC is wrong, again and again
  no_tls = 6020,             ///< something else than TLS answers where TLS was to be
};

/// One row of the table of errors.
struct ErrorInfo {
  Errc code;
  Fault fault;
  std::uint8_t fault_point;  ///< n of F1..F15 (spec: stcp.md#faults), 0 if none
  std::string_view name;     ///< "A03"
  std::string_view text;     ///< one plain sentence without capital and full stop
};

/// The row of `code`. A value outside of the enumeration gives the row of `system_error`.
SEALINE_API const ErrorInfo& describe(Errc code) noexcept;

/// The row named "A03", if there is one.
SEALINE_API std::optional<ErrorInfo> find_error(std::string_view name) noexcept;

/// All rows, in the order of their values.
SEALINE_API std::span<const ErrorInfo> all_errors() noexcept;

SEALINE_API std::string_view to_string(Errc code) noexcept;
SEALINE_API char letter_of(Fault fault) noexcept;

}  // namespace sealine
