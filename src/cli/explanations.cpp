#include "cli/explanations.hpp"

#include <algorithm>
#include <array>

namespace sealine::cli {
namespace {

using enum Errc;

constexpr auto kTable = std::to_array<Explanation>({
    // A: authentication
    {unknown_hint,
     "A client named a shared secret (or a key) that this listener does not hold. Mostly the two "
     "ends have different PSK files, or the client speaks to the wrong listener.",
     "Compare the files at both ends; `sealine key new -o FILE` makes a secret, which both need."},
    {answer_not_authentic,
     "The server's answer was altered on the way, or it comes from somebody who does not hold the "
     "key that the handshake asks for.",
     "Try again once; if it stays, something between the two ends changes what is sent, or it is "
     "not your server that answers."},
    {peer_key_changed,
     "Another key than the pinned one was shown. Either somebody stands between you and the peer, "
     "or the peer was set up anew or has a new identity file. Nothing was sent.",
     "Ask the peer's owner, by another way, for the fingerprint that `sealine key show` prints "
     "there. If it is the new one: `sealine peers forget NAME`, and connect again."},
    {peer_key_refused,
     "The peer proved a key that this side does not take: it is not in the --allow file, not the "
     "--peer-key, or a stranger while --trust pinned (or your answer) refuses strangers.",
     "If it belongs to a friend, add its slp1 key to the allow file, or `sealine peers add NAME "
     "KEY`."},
    {hello_not_authentic,
     "A client's first message does not verify under the shared secret that it named.",
     "Somebody tries without the secret, or a message was altered on the way. The listener goes "
     "on; nothing needs to be done."},
    {finish_not_authentic,
     "A client's last handshake message does not verify: it was altered, or an old handshake is "
     "being replayed.",
     "The listener goes on; nothing needs to be done."},
    {record_out_of_place,
     "Within an encrypted session a record came that is not the next one: it was repeated, "
     "reordered, dropped or inserted by something on the way. What was delivered before is good.",
     "Transfer again. If it stays, look for a device that tampers with connections."},
    {record_not_authentic,
     "Within an encrypted session a record was altered on the way. What was delivered before is "
     "good.",
     "Transfer again. If it stays, look for broken hardware or a device that tampers with "
     "connections."},
    {dh_all_zero,
     "The peer sent one of the few points with which no secret can be agreed. No honest program "
     "does.",
     "Do not trust this peer, or look for a device that tampers with connections."},
    {peer_fell_silent,
     "We proved to hold a secret or a key, and the peer closed or kept silent instead of "
     "answering. Servers do so to anyone whose proof is wrong or whose key they do not accept.",
     "Compare the PSK files, or have your key (`sealine key show`) added to the peer's allow "
     "file."},
    {tag_mismatch, "A sealed piece of data does not verify: it was altered, or the key is wrong.",
     "Make sure that both ends use the same key, and transfer again."},
    {packet_not_authentic,
     "A legacy packet was altered, repeated, is older than 120 seconds, was sealed by the other "
     "role, or under another key or IV size.",
     "Compare --key, --iv and --role at both ends; for stored packets add --any-time."},
    {mac_mismatch,
     "The authentication code of a message is wrong: the message was altered, or the keys differ.",
     "Connect again; if it stays, look for a device that tampers with connections."},
    {own_node, "The other end shows the node id of this end: its own messages came back to it.",
     "Look for a loop: does the address lead to this very program?"},
    {certificate_untrusted,
     "The TLS server that a wss:// URL names showed a certificate that does not lead to an "
     "authority this system trusts, or that is out of date. Nothing was sent.",
     "Have the server use a certificate of a known authority; or name your own authority's file "
     "in SSL_CERT_FILE. There is no switch to go on without."},
    {certificate_of_another,
     "The TLS server that a wss:// URL names showed a certificate that this system trusts, made "
     "for another name or address. Nothing was sent.",
     "Dial the name that the certificate is for, or have the server get one for this name."},

    // M: malformed
    {bad_record_head,
     "The peer's first bytes are no handshake record of this version: another version, or another "
     "program altogether.",
     "Check that the port is the one of a sealine listener, and the versions at both ends."},
    {bad_settings, "The peer asks for record sizes that the protocol does not have.",
     "Check the version at the other end."},
    {bad_length, "A record says a length that no record may have. Nothing was allocated for it.",
     "In a session: something altered the stream; transfer again. In a legacy stream: compare --iv "
     "at both ends."},
    {bad_trailer,
     "A record verifies, and yet its type, padding or size is not allowed. The peer's program is "
     "faulty.",
     "Update the program at the other end."},
    {bad_key_text,
     "A key in text form has 60 characters: slp1 (public), slk1 (private) or sls1 (shared secret), "
     "and a checksum. This one is cut, mistyped or of another kind.",
     "Copy it again, whole: `sealine key show` prints it."},
    {bad_file_line,
     "A line of a file of keys cannot be read. It is not skipped, since a skipped line could turn "
     "a friend into a stranger.",
     "Correct or remove the line named; comments begin with #."},
    {input_too_short, "Bytes are missing at the end of a message or file.",
     "Transfer or copy it again."},
    {trailing_bytes, "There are bytes behind the end of a message or file.",
     "Transfer or copy it again."},
    {bad_handshake_message, "The peer sent a handshake message of a length that it cannot have.",
     "Check the version at the other end."},
    {version_refused, "The peer speaks another version of the protocol.",
     "Update the older end; `sealine version` tells."},
    {bad_compression, "A block that came compressed does not open to what it should be.",
     "Update the program at the other end."},
    {bad_encoding,
     "The peer wrote a number or a value in another way than the one that is allowed.",
     "Update the program at the other end."},

    // P: misbehaved
    {mode_refused,
     "A client asked for a way of authentication that this listener does not take, such as "
     "--anonymous, or none of --psk-file and --mutual where one of them is required.",
     "Start the client with the flags that fit the listener's."},
    {wrong_state, "The peer sent a record at a moment when it is not allowed.",
     "Update the program at the other end."},
    {too_many_empty,
     "The peer sent very many records without data, or asked for fresh keys all the time.",
     "Update the program at the other end, or keep it out."},
    {truncated,
     "The connection ended without the sealed close: it was cut, the peer's program was killed, or "
     "somebody on the way ended it. What was delivered is a true beginning of the data, no more.",
     "Transfer again; do not use what came as if it were whole."},
    {aborted,
     "The peer ended the connection with an error of its own; the reason 1 is its program, 2 that "
     "it goes away, 3 that nothing was sent for too long.",
     "Look at the other end's messages."},
    {protocol_broken, "The peer sent a message that is not allowed now.",
     "Update the program at the other end."},
    {peer_going_away, "The peer shuts down and takes no more.", "Try again later."},
    {peer_failed, "The peer's program had an error of its own.",
     "Look at the other end's messages."},
    {channel_unknown,
     "The peer no longer knows the channel that was to be resumed: it was restarted, or too much "
     "time has passed.",
     "Open a new channel."},
    {file_name_refused,
     "A file name could lead out of the receive folder, is too long or too deep (32 folders), or "
     "is "
     "one that the receiver keeps for itself (.stx-..., ....stxpart).",
     "Rename the file, or leave it out with --exclude; the others are sent."},
    {link_target_refused,
     "A symbolic link is absolute or climbs above the receive folder; it was not made.",
     "If such links are wanted, start the receiver with --any-links."},
    {transfer_unknown,
     "A second connection of a transfer came to a receiver that does not hold the first one: it "
     "was restarted, or the first connection ended.",
     "The sender begins anew by itself; if it does not, run the same command again."},
    {superseded,
     "The same sender began another session with the same files; the newer one goes on, this one "
     "was ended.",
     "Nothing is lost. Let one sender at a time send a file."},
    {content_differs,
     "The tree of hashes over what arrived is not the one over what was sent: the file was written "
     "to while it was sent, or memory or disk changes bytes. Nothing wrong was put in its place.",
     "Run the same command again; if it stays, test the memory and disks of both machines."},
    {peer_io_failed, "The other end could not read or write a file.",
     "Look at the other end's messages: disk, permissions, limits."},
    {stream_reset, "The program at the other end gave up this stream before its end.",
     "Look there for the reason; the other streams of the session go on."},
    {stream_stopped, "The program at the other end does not want the rest of this stream.",
     "Nothing is wrong with the session; look at the other end for the reason."},
    {tls_failed,
     "The TLS of a wss:// connection ended with an alert, or the two ends have no version (1.2 or "
     "later) and no cipher in common.",
     "Look into the log of the TLS server; if it is old, it has to be renewed."},

    // U: misuse
    {not_encrypted,
     "A program tried to send before the connection was encrypted, or after its end.",
     "This is a fault of the program that uses the library; please report it."},
    {already_closed, "A program tried to send after it had closed its own direction.",
     "This is a fault of the program that uses the library; please report it."},
    {buffer_too_small, "A program handed in a buffer that is too small.",
     "This is a fault of the program that uses the library; please report it."},
    {bad_configuration,
     "Two settings exclude each other, or one needs another: --anonymous beside a key, --psk-file "
     "beside --mutual, or a crypto engine in SEALINE_CRYPTO that is not there.",
     "Leave one of them out; `sealine help trust` shows which go together."},
    {usage, "The command line has something that the command does not know, or lacks something.",
     "`sealine help COMMAND` shows its form on one screen."},
    {bad_secret_file,
     "A file with a secret belongs to somebody else, or others may read it. It is refused, as ssh "
     "does, before anything is sent.",
     "`chmod 600 FILE`; if others could read it for long, make a new secret."},
    {secret_in_arguments,
     "A secret stood on the command line, where every user of the machine can read it (ps) and the "
     "shell keeps it.",
     "Put it into a file (`umask 077; cat > FILE`) and name the file, or `-` for standard input; "
     "consider the secret known and make a new one."},
    {operation_in_progress, "Two reads or two writes of one connection were under way at once.",
     "This is a fault of the program that uses the library; please report it."},
    {forked, "A connection was used in a child process; its keys belong to the parent.",
     "This is a fault of the program that uses the library; please report it."},
    {plaintext_off_loopback,
     "The side of a tunnel that is not encrypted would listen on an address that other machines "
     "reach.",
     "Listen on 127.0.0.1 or on unix:/path; if it shall be open all the same: --unsafe-listen."},
    {stream_unknown, "A stream was named that is not open, or no longer.",
     "This is a fault of the program that uses the library."},

    // L: limits
    {handshake_timeout,
     "The handshake was not complete within its time (10 s, --handshake-timeout).",
     "Mostly a dead or very slow route, or a port of another program that waits for its own "
     "protocol. Try again, or give more time."},
    {half_open_full, "So many handshakes were under way that one more was not begun.",
     "Under attack this is right; otherwise try again."},
    {sequence_exhausted, "A connection has carried all records that its keys may seal (2^48).",
     "Open a new connection."},
    {idle_timeout, "Nothing was sent or received for the time of --idle-timeout.",
     "Give a longer time, or 0 for none."},
    {too_slow, "The peer began a record and then sent less than 256 bytes a second.",
     "The route is broken, or the peer wants to hold the connection. Try again."},
    {out_of_space, "A result is larger than the room for it.",
     "This is a fault of the program that uses the library; please report it."},
    {value_too_large, "A number or a file is larger than its limit.",
     "Check the value; the manual page names the limits."},
    {too_many_handshakes, "One address began more handshakes than a listener takes in a second.",
     "Wait a second; use fewer, longer connections."},
    {too_many_connections, "As many connections are open as the listener takes.",
     "Try again later, or raise --max-connections."},
    {message_too_large, "A message is larger than the peer takes.", "Send it in parts."},
    {too_many_messages, "The peer sent more messages a second than was agreed.",
     "Slow it down, or raise the limit."},
    {window_full, "Many messages wait for their receipts; more would be too many.",
     "Wait for receipts before sending on."},
    {no_message_in_time, "The wait for a message was given a limit, and it has passed.",
     "The channel still stands: wait again, or for longer."},
    {quota_full,
     "What one sender may store in the receive folder is used up, or the disk quota of the user "
     "that receives.",
     "Raise the quota at the receiver, or make room there."},
    {refused_by_peer, "The receiver's owner or its settings refuse this sender, or this file.",
     "Ask there: --yes, --allow or --key let a sender in."},
    {peer_busy, "The receiver has as much to do as it takes on.", "Try again later."},
    {stream_limit,
     "A session has at most 1,024 streams open at once, and 32,767 of each side in its life.",
     "Close streams that are done, or begin a new session."},

    // E: environment
    {system_error, "The operating system refused something; the text behind it says what.",
     "For a listener: is the port taken, or below 1024? Otherwise look at the limits (ulimit -a)."},
    {name_not_found, "The name has no address, or no name server answered.",
     "Check the spelling, and that this machine has a network."},
    {unreachable, "No route leads to the address, or a firewall says so.",
     "Check address and network; -4 or -6 tries one family alone."},
    {connection_refused, "The machine answers, and nobody listens on that port.",
     "Start the listener, or check the port. --retry 1m waits for it."},
    {connect_timeout, "No answer came within the time for connecting.",
     "A firewall drops packets, or the machine is off. --retry 10m goes on trying."},
    {connection_lost, "The connection was reset, or the network went away.",
     "Transfer again; what came before is a true beginning."},
    {file_error, "A file cannot be opened, read or written; the text behind it says why.",
     "Check path, permissions and free space."},
    {file_locked, "Another program holds the lock of a file of keys for more than ten seconds.",
     "See whether a sealine hangs; the lock ends with its process."},
    {random_failed, "The operating system gave no random numbers; without them nothing is safe.",
     "Look at the system's log."},
    {no_answer, "The peer accepted the connection and ended it, or said nothing sealed.",
     "Is it a sealine listener? One that wants --psk-file or --mutual answers nobody else."},
    {gave_up, "The peer could not be reached for the time of --retry.",
     "The same command may be run again."},
    {command_failed, "A command that was to be run ended with an error.",
     "Run it by hand and look."},
    {cancelled, "The work was ended before it was done.", "Run it again."},
    {not_this_protocol,
     "The first bytes of the peer belong to another protocol, such as HTTP or TLS.",
     "Check the port; both ends need sealine."},
    {disk_full, "The disk of the receive folder has no space for the file.",
     "Make room there and run the same command again: it goes on where it stopped."},
    {file_exists,
     "A file of that name and other content stands in the receive folder, and the receiver was "
     "told to keep it (--on-conflict fail, which is the default).",
     "Move it away, or start the receiver with --on-conflict rename, overwrite or newer."},
    {source_changed,
     "A file was written to, became shorter or was deleted while it was being sent, three times in "
     "a row.",
     "Send it again when nobody writes to it, or send a snapshot."},
    {item_busy, "Another session, or another sealine, is writing the same file just now.",
     "Wait for it to end; the sender tries again by itself."},
    {line_damaged,
     "Again and again data arrived with a wrong checksum, though nobody altered it on purpose: a "
     "cable, a network card or its driver damages what passes.",
     "Run the same command again, it goes on where it stopped; try another cable or network."},
    {no_tls,
     "A wss:// URL was dialled, and what answers there is not TLS: mostly a listener without TLS, "
     "or another port.",
     "Dial ws:// where no proxy with TLS stands in front, or check the port."},
});

}  // namespace

std::span<const Explanation> explanations() noexcept { return kTable; }

const Explanation& explanation_of(Errc code) noexcept {
  const auto row = std::ranges::find(kTable, code, &Explanation::code);
  if (row != kTable.end()) return *row;
  return explanation_of(Errc::system_error);
}

}  // namespace sealine::cli
