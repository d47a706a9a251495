#include "cli/help.hpp"

#include <algorithm>
#include <array>

namespace sealine::cli {
namespace {

constexpr std::string_view kFront =
    R"(sealine: encrypted streams between programs and machines, nothing to set up

  desk$   sealine recv ~/in              laptop$ sealine send photos/ desk
  server$ sealine pipe -l 9000 > backup.tar
  client$ sealine tunnel --listen 127.0.0.1:2525 --to stcp://server:8025

usage: sealine COMMAND [options]

  send      files and folders, whatever interrupts it
  recv      takes them, from many senders at once
  pipe      standard input to a peer, the peer to standard output
  tunnel    any TCP service, sealed between two machines
  msg       a line is a message, both ways, each with a receipt
  stt       many streams in one session, over UDP or WebSocket
  web       a page in the browser: chat, and files both ways
  key       make and show keys
  peers     the keys of servers that were met: list, add, replace, forget
  legacy    seal and open packets of the first STCP description
  explain   what an error code means, and what to do
  version   which version this is
  help      this page, or: help COMMAND, help TOPIC

topics: options, trust, exit-codes, files, events
A server's key is pinned at first contact; another one later is a hard stop.
)";

constexpr std::string_view kPipe = R"(sealine pipe: an encrypted stream between two programs

  server$ sealine pipe -l 9000 > backup.tar
  client$ tar c /srv | sealine pipe server:9000
  client$ sealine pipe server:9000 --psk-file key < data

usage: sealine pipe -l [ADDR:]PORT | HOST:PORT [options]
Standard input goes to the peer, what the peer sends to standard output; it ends
when both directions are done.

  -l, --listen [ADDR:]PORT    serve one connection, then end; port 0: a free one
  --keep                      serve again and again
  --trust new|ask|pinned      a key never seen: pin it, ask, refuse [new]
  --peer-key KEY              the one key (slp1...) to accept, for this run
  --mutual, --identity FILE   show our own key too; the file that holds it
  --allow FILE                listener: the client keys to accept, a line each
  --psk-file FILE             only who holds this secret; see: sealine key new
  --anonymous                 nobody is authenticated
  --pad none|256|padme        hide the sizes of what is sent [none]
  -4, -6, --retry DUR [0], --handshake-timeout DUR [10s], --idle-timeout DUR
  --limit-rate SIZE           bytes a second; more: sealine help options
)";

constexpr std::string_view kTunnel = R"(sealine tunnel: any TCP service, sealed between two machines

  server$ sealine tunnel --listen stcp://:8025 --to 127.0.0.1:25
  client$ sealine tunnel --listen 127.0.0.1:2525 --to stcp://server:8025
  client$ sealine tunnel --listen unix:/run/db --to stcp://server:8025 --mutual

usage: sealine tunnel --listen END --to END [options]
END is [ADDR:]PORT, unix:/path or stcp://[ADDR:]PORT; exactly one is stcp://.

  --max-connections N         at once; more wait [1024]
  --unsafe-listen             let the plaintext side listen off loopback
  --trust new|ask|pinned      a key never seen: pin it, ask, refuse [new]
  --peer-key KEY              the one key (slp1...) to accept, for this run
  --mutual, --identity FILE   show our own key too; the file that holds it
  --allow FILE                listener: the client keys to accept, a line each
  --psk-file FILE             only who holds this secret; see: sealine key new
  --anonymous                 nobody is authenticated
  --pad none|256|padme        hide the sizes of what is sent [none]
  -4, -6, --retry DUR [0], --handshake-timeout DUR [10s], --idle-timeout DUR
  --limit-rate SIZE           bytes a second; more: sealine help options
SIGTERM drains (a second one ends at once), SIGHUP reads keys again, SIGUSR1
prints what is going on.
)";

constexpr std::string_view kMsg =
    R"(sealine msg: a line is a message, both ways, each with a receipt

  server$ sealine msg -l 9000
  client$ sealine msg server:9000 --receipts
  server$ sealine msg -l 9000 --exec 'sort -u'    # serves everybody who comes

usage: sealine msg -l [ADDR:]PORT | HOST:PORT [options]
Lines of standard input go to the peer, its messages to standard output; it ends
when both ends have ended. Both show a key. Lines have 16 MiB at most.

  -l, --listen [ADDR:]PORT    serve one channel, then end; with --exec many
  --exec CMD                  sh -c CMD for each channel: messages in, lines out
  --receipts, --reconnect     say each receipt; outlive a lost connection
  --rotate-bytes SIZE [1GiB], --rotate-after DUR [1h]     fresh keys so often
  --max-rate N                messages a second that the peer may send
  --trust new|ask|pinned      a key never seen: pin it, ask, refuse [new]
  --peer-key KEY, --identity FILE, --allow FILE, --psk-file FILE, --anonymous
                              who is at the other end: sealine help trust
  --pad none|256|padme        add dummy data to what is sent [none]
  -4, -6, --retry DUR [0], --handshake-timeout DUR [10s], --idle-timeout DUR
  --limit-rate SIZE           bytes a second; more: sealine help options
)";

constexpr std::string_view kStt = R"(sealine stt: many streams in one session, over UDP or WebSocket

  server$ sealine stt listen stt://:9001 --seed-file seed --exec 'sort -u'
  client$ sealine stt connect stt://server:9001 --seed-file seed < names
  client$ sealine stt forward stt://server:9001 -L 8000:localhost:80

usage: sealine stt listen URL | connect URL | forward URL -L ... [options]
URL: udp://HOST:PORT, ws://HOST:PORT[/stt] (wss:// dials a proxy with TLS), or
stt://HOST:PORT: UDP, or WebSocket if no datagram passes. Both hold a seed.
listen without an action serves one stream on standard input and output.

  --seed-file FILE            the seed; see: sealine key new
  --passphrase                in its place, asked for on the terminal; guessable
  --echo                      listen: every stream comes back
  --exec CMD                  sh -c CMD for each stream, its input and output
  --forward HOST:PORT         listen: where streams of stt forward may go; again
  -L [ADDR:]PORT:HOST:PORT    forward: listen here, connect there; again
  --unsafe-listen             forward: let -L listen off loopback
  --origin ORIGIN             listen: pages that may connect, beside our own
  --pad none|128|256|512|1024|full      hide the sizes of frames [none]
  --congestion cubic|bbr|new-reno       UDP: how fast may be sent [cubic]
  --mtu N, --workers N        UDP: what the path takes; threads that listen [1]
  -4, -6, --retry DUR [0], --handshake-timeout DUR [10s], --idle-timeout DUR
  --limit-rate SIZE           bytes a second; more: sealine help options
)";

constexpr std::string_view kWeb = R"(sealine web: a page in the browser: chat, and files both ways

  $ sealine web --new-seed                       # prints the URL, and a QR code
  $ sealine web --seed-file seed --dir ~/in
  $ sealine web --listen 127.0.0.1:0 --seed-file seed

usage: sealine web [--listen [ADDR:]PORT] [options]
Serves its page and a WebSocket on one port [127.0.0.1:8080]. Lines of standard
input are chat to the page, its chat goes to standard output; a line
`/send PATH` sends a file, and files that are dropped on the page land here.

  -l, --listen [ADDR:]PORT    where; port 0: a free one
  --new-seed                  a seed for this run, shown within the URL
  --seed-file FILE            the seed; the page asks for it
  --dir DIR                   where files land, never over another file [.]
  --origin ORIGIN             other pages that may connect, beside our own
  --unsafe-listen             off loopback: the page crosses the net unprotected
  --pad none|128|256|512|1024|full      hide the sizes of frames [none]
  -4, -6, --handshake-timeout DUR [10s], --idle-timeout DUR
  --limit-rate SIZE           bytes a second; more: sealine help options
)";

constexpr std::string_view kSend = R"(sealine send: files and folders that survive any interruption

  laptop$ sealine send photos/ desk
  laptop$ sealine send *.iso desk:9440 --lanes 4       # once more: it resumes
  laptop$ pg_dump db | sealine send - desk --name db.sql

usage: sealine send PATH... HOST[:PORT] [options]
Each PATH arrives as its last component. The same command again sends only what
is not there; 5 is "given up", nothing is lost. Port 9440 unless it is given.

  --key FILE                  the shared key of both ends; see: sealine key new
  --trust new|ask|pinned, --peer-key KEY, --identity FILE
                              without --key: the receiver's key, and ours
  --exclude GLOB, --dry-run   leave out; only say what would be sent
  --name NAME                 what standard input (-) is called there
  --block SIZE [256KiB]       16KiB to 1MiB     --lanes N [1]  connections
  --compress auto|never|always, --progress auto|always|never [auto]
  -4, -6, --retry DUR [10m], --handshake-timeout DUR [10s], --idle-timeout DUR
  --limit-rate SIZE           bytes a second; more: sealine help options
)";

constexpr std::string_view kRecv =
    R"(sealine recv: takes files and folders from many senders at once

  desk$   sealine recv ~/in
  server$ sealine recv -l 12345 /srv/in --key key --hook 'scan "$SEALINE_FILE"'
  server$ sealine recv --list /srv/in

usage: sealine recv [-l [ADDR:]PORT] [DIR] [options]      (port 9440, DIR .)
A sender nobody knows is asked about on the terminal, once; without one only
this machine itself is let in, unless:

  --yes, --allow FILE, --key FILE  all; these keys; who holds a shared key
  --trust new|ask|pinned, --identity FILE           ask also here; nobody new
  --on-conflict fail|rename|overwrite|newer         another file is there [fail]
  --once, --per-sender        end after one transfer; a folder for each sender
  --quota SIZE                what one sender may store
  --hook CMD                  sh -c CMD for each file, in $SEALINE_FILE
  --list, --discard           show, delete what is not finished
  --any-links                 links that lead out of DIR too
  --require-clock, --progress auto|always|never
  -4, -6, --handshake-timeout DUR [10s], --idle-timeout DUR
  --limit-rate SIZE, --retry DUR: sealine help options
)";

constexpr std::string_view kStxSend = R"(stx-send: files that survive any interruption, to stx-recv

  sealine key new -o key                              # for both ends
  stx-send server 12345 dump.sql --key key
  stx-send server 12345 dump.sql 1048576 --key key    # blocks of 1 MiB

usage: stx-send HOST PORT FILE [BLOCK_SIZE] --key FILE [options]
The same command again resumes. The key may also be named by STX_KEY_FILE.
The options are those of `sealine send`: sealine help send
)";

constexpr std::string_view kStxRecv = R"(stx-recv: takes files from stx-send

  sealine key new -o key                              # for both ends
  stx-recv --listen 12345 --out /srv/in --key key
  stx-recv --list --out /srv/in                       # what is under way

usage: stx-recv --listen [ADDR:]PORT --out DIR --key FILE [options]
The key may also be named by STX_KEY_FILE.
The options are those of `sealine recv`: sealine help recv
)";

constexpr std::string_view kKey = R"(sealine key: make and show keys

  sealine key new -o key                   # a shared secret: --psk-file key
  sealine key show                         # our public key, for an allow file
  sealine key show key --qr                # as a picture, for a camera

usage: sealine key new [--psk | --identity] [-o FILE]
       sealine key show [FILE] [--qr]

new    makes a shared secret (--psk, the default), for --psk-file at both ends,
       or an identity (--identity), for --identity FILE. It goes to standard
       output, or to a new FILE, readable for you alone.
show   prints the public key of an identity with its fingerprint, or the text of
       a shared secret. Without FILE: our identity, made at first need.

  -o, --output FILE           never overwrites
  --qr                        draws the text as a QR code
  more: sealine help options
)";

constexpr std::string_view kPeers = R"(sealine peers: the keys of servers that were met

  sealine peers list
  sealine peers add server:9000 slp1...    # before the first contact
  sealine peers forget server:9000         # its key has changed, and rightly

usage: sealine peers list
       sealine peers add NAME KEY
       sealine peers replace NAME KEY
       sealine peers forget NAME

NAME is HOST:PORT as you type it to connect. The file is known_peers in the
state directory; a line of the list has name, key, first contact, fingerprint.

add      pins a key; refused if there is one already
replace  pins this key in place of what was known
forget   removes all keys of this name: the next contact is a first one

  more: sealine help options
)";

constexpr std::string_view kLegacy = R"(sealine legacy: packets of the first STCP description

  sealine legacy seal --key k < plain > packets
  sealine legacy open --key k < packets > plain
  sealine legacy open --key k --any-time < stored-packets

usage: sealine legacy seal|open --key FILE [options]
Standard input to standard output: packets (IV, sealed data), each behind its
length. Both ends need the same key, IV size and role.

  --key FILE                  16, 24 or 32 bytes, raw or as hex digits
  --iv 16|24|32               bytes of the IV [16]
  --role client|server        who seals [client]
  --any-time                  open: packets older than 120 s too
  --insecure-legacy-raw       open: AES-CBC of an earlier program, which
                              authenticates nothing
  more: sealine help options
)";

constexpr std::string_view kExplain = R"(sealine explain: what an error code means, and what to do

  sealine explain SL-A03
  sealine explain F7                       # a fault point of the specification
  sealine explain 3                        # an exit code

usage: sealine explain CODE

The letter is the fault: A authentication, M bytes that no honest peer sends,
P a peer that misbehaves, U usage, L a limit, E the machine or the network.
)";

constexpr std::string_view kVersion = R"(sealine version: which version this is

  sealine version
  sealine version --json
  sealine --version

usage: sealine version
Prints the version, the protocols and the crypto engine in use.
)";

constexpr std::string_view kHelp = R"(sealine help: one screen about a command or a topic

  sealine help pipe
  sealine help trust
  sealine help exit-codes

usage: sealine help [TOPIC]
Topics: send, recv, pipe, tunnel, msg, stt, web, key, peers, legacy, explain,
version; options, trust, exit-codes, files, events. The manual: man sealine
)";

constexpr std::string_view kOptions = R"(options that every command takes

  --state-dir DIR          where identity and known peers are: help files
  --json                   events as JSON lines on standard output (on standard
                           error where that is data): help events
  -q, --quiet              errors and warnings alone
  -v, -vv                  say more
  --color auto|always|never
  --log-format text|json   of a listener's log [text on a terminal, else json]
  --yes                    take every question as answered with yes
  -h, --help, --version

and those that connect or listen

  -4, -6                   IPv4 or IPv6 alone
  --handshake-timeout DUR  from the connected socket to the session [10s]
  --idle-timeout DUR       end a connection on which nothing moves so long
  --retry DUR              go on trying to reach the peer so long [0; send 10m]
  --limit-rate SIZE        bytes a second, each direction

DUR: 250ms, 10s, 10m, 2h. SIZE: 20M, 1GiB. ADDR: name, IPv4, [IPv6]; port 0 any.
)";

constexpr std::string_view kTrust = R"(who is at the other end

  sealine pipe server:9000                       # pins the key at first contact
  sealine pipe server:9000 --peer-key slp1...    # this key, and no other
  sealine pipe -l 9000 --allow friends           # clients with these keys alone

what both ends type             the server is known by     the client by
  (nothing)                     its key, pinned            nothing
  --mutual                      its key, pinned            its key, pinned
  --psk-file FILE               the shared secret          the shared secret
  --anonymous                   nothing                    nothing

Dialling, --trust says what to do with a key never seen (new: pin it; ask;
pinned: refuse), --peer-key gives the key for this run. A listener takes clients
with and without a key; with --mutual only those with one, with --allow only
those keys, with --psk-file or --anonymous only that. Nothing is negotiated.
msg is always mutual, and --psk-file and --peer-key may stand together; so are
send and recv, unless both have --key. stt and web know one another by a seed.

At first contact both ends show a `sas` of six digits: equal ones prove that
nobody stands between. A changed key is a hard stop: see sealine explain SL-A03.
)";

constexpr std::string_view kExitCodes = R"(exit codes

    0  done; a listener that was told to stop and has drained
    1  any other failure
    2  usage, or a key file that may not be used
    3  authentication: before the session stands a pin, key, secret or tag is
       wrong; or, where we prove a secret, the peer falls silent
    4  unreachable: name, route, refused; or no answer
    5  given up after --retry
    6  refused by a policy, ours or the peer's; a limit reached
    7  the session stood, and then data were altered, repeated, reordered or
       cut short
    8  local input or output: no space, permission
    9  the peer does not speak this protocol or version, or breaks it
  130  SIGINT, where no listener drained and nothing above applies
  143  SIGTERM, likewise
)";

constexpr std::string_view kFiles = R"(files and environment

The state directory: --state-dir, else $SEALINE_STATE_DIR, else
$XDG_STATE_HOME/sealine, else ~/.local/state/sealine
  identity           our key, made at first need; secret
  known_peers        HOST:PORT slp1... FIRST-SEEN [name]; `sealine peers`
  known_clients      slp1... FIRST-SEEN [name]; who dialled us with a key

Key texts have 60 letters: slp1 a public key, slk1 an identity, sls1 a shared
secret. A secret is never an argument: name its file, or - for standard input.
A file with a secret must be yours and closed to others (chmod 600).
  --psk-file, --key, --seed-file
                      sls1..., 64 hex digits, or 32 raw bytes; a listener's may
                      have many lines, a seed file one
  --allow             lines `slp1... name`
The receive folder has .stx-ledger, and .NAME.stxpart for what is not whole.

Environment (a flag wins): SEALINE_STATE_DIR, SEALINE_PSK_FILE,
SEALINE_SEED_FILE, SEALINE_KEY_FILE (legacy too) or STX_KEY_FILE, STX_KEY (a key
itself), SEALINE_CRYPTO=auto|ipsec-mb|openssl, NO_COLOR;
$CREDENTIALS_DIRECTORY/sealine.key of systemd counts as any of the files.
)";

constexpr std::string_view kEvents =
    R"(events: --json, an object a line, each with v (1), t and ts (UTC)

  listening  address
  connected  peer key trust protocol mode crypto sas
  progress   bytes total rate                           (send, recv, web)
  stream     id state (opened, closed, failed)          (stt)
  file       name size state (done, resumed, skipped, failed) code
  message    seq dir (in, out) size text|b64            (msg, web)
  receipt    seq seconds                                (msg)
  notice     text
  error      code fault text hint
  done       exit seconds bytes_in bytes_out            (always the last one;
             send, recv: files resumed proved; msg: messages_in messages_out
             receipts unknown; stt: streams)

On standard output; where that is data (pipe, stt connect) on standard error,
and nothing else there. Sizes in bytes, times in seconds; a text that is no
UTF-8 has _b64 behind its field's name. `sealine key` and `sealine peers` add
  key        kind key fingerprint file
  peer       peer key fingerprint first_seen name
New fields may appear; none changes its meaning within v.
)";

constexpr std::array kPages{
    HelpPage{"", kFront},
    HelpPage{"pipe", kPipe},
    HelpPage{"tunnel", kTunnel},
    HelpPage{"msg", kMsg},
    HelpPage{"stt", kStt},
    HelpPage{"web", kWeb},
    HelpPage{"send", kSend},
    HelpPage{"recv", kRecv},
    HelpPage{"stx-send", kStxSend},
    HelpPage{"stx-recv", kStxRecv},
    HelpPage{"key", kKey},
    HelpPage{"peers", kPeers},
    HelpPage{"legacy", kLegacy},
    HelpPage{"explain", kExplain},
    HelpPage{"version", kVersion},
    HelpPage{"help", kHelp},
    HelpPage{"options", kOptions},
    HelpPage{"trust", kTrust},
    HelpPage{"exit-codes", kExitCodes},
    HelpPage{"files", kFiles},
    HelpPage{"events", kEvents},
};

}  // namespace

std::span<const HelpPage> help_pages() noexcept { return kPages; }

std::optional<std::string_view> help_page(std::string_view topic) noexcept {
  const auto page = std::ranges::find(kPages, topic, &HelpPage::topic);
  if (page == kPages.end()) return std::nullopt;
  return page->text;
}

}  // namespace sealine::cli
