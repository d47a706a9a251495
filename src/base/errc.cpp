#include "sealine/base/errc.hpp"

#include <algorithm>
#include <array>

namespace sealine {
namespace {

using enum Errc;

constexpr Fault A = Fault::authentication;
constexpr Fault M = Fault::peer_malformed;
constexpr Fault P = Fault::peer_misbehaved;
constexpr Fault U = Fault::api_misuse;
constexpr Fault L = Fault::limit;
constexpr Fault E = Fault::environment;

constexpr auto kTable = std::to_array<ErrorInfo>({
    {unknown_hint, A, 5, "A01", "the peer named a key that is not known here"},
    {answer_not_authentic, A, 6, "A02", "the peer's answer does not verify"},
    {peer_key_changed, A, 7, "A03", "the key of the peer has changed"},
    {peer_key_refused, A, 7, "A04", "the key of the peer is not accepted here"},
    {hello_not_authentic, A, 4, "A05", "the peer's first message does not verify"},
    {finish_not_authentic, A, 8, "A06", "the peer's last handshake message does not verify"},
    {record_out_of_place, A, 11, "A07", "a record was repeated, reordered, dropped or inserted"},
    {record_not_authentic, A, 12, "A08", "a record was altered"},
    {dh_all_zero, A, 3, "A09", "the peer sent a key that gives no secret"},
    {peer_fell_silent, A, 0, "A10",
     "the peer did not answer our proof: wrong key, or not accepted there"},
    {tag_mismatch, A, 0, "A11", "a sealed message does not verify"},
    {packet_not_authentic, A, 12, "A12", "a packet was altered, repeated or is out of date"},
    {mac_mismatch, A, 0, "A13", "a message's authentication code is wrong"},
    {own_node, A, 0, "A14", "the peer shows our own node id"},
    {certificate_untrusted, A, 0, "A15", "the server's certificate is not trusted"},
    {certificate_of_another, A, 0, "A16", "the server's certificate is made for another name"},

    {bad_record_head, M, 1, "M01", "the peer's handshake record has a wrong head"},
    {bad_settings, M, 1, "M02", "the peer's settings are out of range"},
    {bad_length, M, 1, "M03", "a record's length is out of bounds"},
    {bad_trailer, M, 13, "M04", "a record's type, padding or size is wrong"},
    {bad_key_text, M, 0, "M05", "this is not a key: length, letter or checksum is wrong"},
    {bad_file_line, M, 0, "M06", "a line of the file cannot be read"},
    {input_too_short, M, 0, "M07", "bytes are missing at the end"},
    {trailing_bytes, M, 0, "M08", "bytes are left over at the end"},
    {bad_handshake_message, M, 1, "M09", "a handshake message has a wrong length"},
    {version_refused, M, 0, "M10", "the peer speaks another version"},
    {bad_compression, M, 0, "M11", "a compressed block does not open to its length"},
    {bad_encoding, M, 0, "M12", "a value is not in its one valid encoding"},

    {mode_refused, P, 2, "P01", "the mode or suite is not allowed here"},
    {wrong_state, P, 14, "P02", "a record came in the wrong state"},
    {too_many_empty, P, 15, "P03", "too many records without data, or too many rekeys"},
    {truncated, P, 0, "P04",
     "the connection ended before the peer had closed it: data may be missing"},
    {aborted, P, 0, "P05", "the peer aborted the connection"},
    {protocol_broken, P, 0, "P06", "the peer sent a message that is not allowed now"},
    {peer_going_away, P, 0, "P07", "the peer is shutting down"},
    {peer_failed, P, 0, "P08", "the peer had an internal error"},
    {channel_unknown, P, 0, "P09", "the peer no longer knows this channel"},
    {file_name_refused, P, 0, "P10", "the receiver does not take a file of this name"},
    {link_target_refused, P, 0, "P11", "a symbolic link leads out of the receive folder"},
    {transfer_unknown, P, 0, "P12", "the receiver does not know this transfer"},
    {superseded, P, 0, "P13", "a newer session of the same sender took over"},
    {content_differs, P, 0, "P14", "what arrived is not what was sent"},
    {peer_io_failed, P, 0, "P15", "the peer could not read or write its disk"},
    {stream_reset, P, 0, "P16", "the peer gave up this stream"},
    {stream_stopped, P, 0, "P17", "the peer wants no more of this stream"},
    {tls_failed, P, 0, "P18", "no TLS in common with the peer, or it failed"},

    {not_encrypted, U, 0, "U01", "the connection is not open for data"},
    {already_closed, U, 0, "U02", "this end has already been closed"},
    {buffer_too_small, U, 0, "U03", "the buffer is too small"},
    {bad_configuration, U, 0, "U04", "the settings contradict each other"},
    {usage, U, 0, "U05", "the command line cannot be understood"},
    {bad_secret_file, U, 0, "U06", "a file with a secret may not be used"},
    {secret_in_arguments, U, 0, "U07", "a secret stands in the command line"},
    {operation_in_progress, U, 0, "U08", "another operation of this kind is still running"},
    {forked, U, 0, "U09", "this session belongs to another process"},
    {plaintext_off_loopback, U, 0, "U10",
     "the plaintext side would be reachable from other machines"},
    {stream_unknown, U, 0, "U11", "no stream of this number is open"},

    {handshake_timeout, L, 9, "L01", "the handshake took too long"},
    {half_open_full, L, 10, "L02", "too many handshakes are under way"},
    {sequence_exhausted, L, 15, "L03", "the connection has sent all the records it may"},
    {idle_timeout, L, 0, "L04", "nothing was sent or received for too long"},
    {too_slow, L, 0, "L05", "the peer sends too slowly"},
    {out_of_space, L, 0, "L06", "the output does not fit"},
    {value_too_large, L, 0, "L07", "a value is over its limit"},
    {too_many_handshakes, L, 0, "L08", "too many handshakes from one address"},
    {too_many_connections, L, 0, "L09", "too many connections"},
    {message_too_large, L, 0, "L10", "a message is larger than the peer takes"},
    {too_many_messages, L, 0, "L11", "more messages came than the limit allows"},
    {window_full, L, 0, "L12", "too many messages wait for their receipts"},
    {no_message_in_time, L, 0, "L13", "no message came within the time allowed"},
    {quota_full, L, 0, "L14", "the quota of the receive folder is used up"},
    {refused_by_peer, L, 0, "L15", "the peer refuses it"},
    {peer_busy, L, 0, "L16", "the peer is busy"},
    {stream_limit, L, 0, "L17", "no more streams may be opened"},

    {system_error, E, 0, "E01", "the system refused"},
    {name_not_found, E, 0, "E02", "the name is not known"},
    {unreachable, E, 0, "E03", "the address cannot be reached"},
    {connection_refused, E, 0, "E04", "nobody listens there"},
    {connect_timeout, E, 0, "E05", "no connection within the time allowed"},
    {connection_lost, E, 0, "E06", "the connection was lost"},
    {file_error, E, 0, "E07", "a file cannot be read or written"},
    {file_locked, E, 0, "E08", "a file is locked by another program"},
    {random_failed, E, 0, "E09", "the system gives no random numbers"},
    {no_answer, E, 0, "E10", "the peer did not answer"},
    {gave_up, E, 0, "E11", "given up after the time for retries"},
    {command_failed, E, 0, "E12", "the command failed"},
    {cancelled, E, 0, "E13", "cancelled"},
    {not_this_protocol, E, 0, "E14", "the peer does not speak this protocol"},
    {disk_full, E, 0, "E15", "no space is left on the disk"},
    {file_exists, E, 0, "E16", "another file stands in its place"},
    {source_changed, E, 0, "E17", "a file changed or went while it was being sent"},
    {item_busy, E, 0, "E18", "another session is writing the same file"},
    {line_damaged, E, 0, "E19", "the line damages what is sent"},
    {no_tls, E, 0, "E20", "the server does not speak TLS there"},
});

static_assert(std::ranges::is_sorted(kTable, {}, &ErrorInfo::code));

}  // namespace

const ErrorInfo& describe(Errc code) noexcept {
  const auto row = std::ranges::lower_bound(kTable, code, {}, &ErrorInfo::code);
  if (row != kTable.end() && row->code == code) return *row;
  return describe(Errc::system_error);
}

std::optional<ErrorInfo> find_error(std::string_view name) noexcept {
  const auto row = std::ranges::find(kTable, name, &ErrorInfo::name);
  if (row == kTable.end()) return std::nullopt;
  return *row;
}

std::span<const ErrorInfo> all_errors() noexcept { return kTable; }

std::string_view to_string(Errc code) noexcept { return describe(code).text; }

char letter_of(Fault fault) noexcept {
  switch (fault) {
    case Fault::authentication:
      return 'A';
    case Fault::peer_malformed:
      return 'M';
    case Fault::peer_misbehaved:
      return 'P';
    case Fault::api_misuse:
      return 'U';
    case Fault::limit:
      return 'L';
    case Fault::environment:
      return 'E';
  }
  return 'E';
}

}  // namespace sealine
