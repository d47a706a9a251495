"""What the attack tests of SCP/1 share: `sealine msg -l ... --exec cat` under attack, and the real client before a
server that is not honest. When a test has ended, tearDown proves of each listener that it still runs, that fresh honest
clients (ours and the real one) are served, that its memory is within budget and that no sanitizer has reported."""

import contextlib
import os
import socket
import threading

import harness
import scp1
from harness import SILENT, st
from scp1 import ANON, MUTUAL, PINNED, PINNED_PSK, PSK, KeyPair

ALL_MODES = (ANON, PINNED, MUTUAL, PSK, PINNED_PSK)
SOME_MODES = ALL_MODES if st.FULL else (MUTUAL, PINNED_PSK)
SECRET = bytes(range(40, 72))
ECHO = "cat"


class ScpCase(harness.AttackCase):
    def setUp(self) -> None:
        self.state = st.temporary_directory(self)
        self.servers: list[Served] = []

    def serve(self, *options, mode: int = MUTUAL, psk: bytes = SECRET, name: str = "server", command: str = ECHO,
              memory_budget: int = 24 << 20) -> "Served":
        server = Served(self, options, mode, psk, name, command, memory_budget)
        self.servers.append(server)
        return server

    def make_identity(self, state: str) -> KeyPair:
        """The key of a state directory, which is made."""
        keys, place = KeyPair(), self.state / state
        place.mkdir(mode=0o700, exist_ok=True)
        (place / "identity").touch(0o600)
        (place / "identity").write_text(scp1.format_key("slk1", keys.secret) + "\n")
        return keys

    def server_flags(self, mode: int, psk: bytes) -> list:
        if mode == ANON:
            return ["--anonymous"]
        return ["--psk-file", self.psk_file(psk)] if mode in (PSK, PINNED_PSK) else []

    def client_flags(self, mode: int, psk: bytes = SECRET, key: bytes | None = None) -> list:
        pins = ["--peer-key", scp1.format_key("slp1", key)] if mode in (PINNED, PINNED_PSK) else []
        return self.server_flags(mode, psk) + pins

    def msg(self, name: str, *options, state: str = "client", stdin="null", **rest) -> st.Program:
        program = st.sealine("msg", name, *options, state=self.state / state, stdin=stdin, **rest)
        self.addCleanup(program.kill)
        return program

    def run_msg(self, name: str, data: bytes, *options, **rest) -> tuple[int, bytes, str]:
        """Feeds a client and waits for its end: exit code, standard output, standard error."""
        program = self.msg(name, *options, stdin="pipe", **rest)
        with contextlib.suppress(BrokenPipeError):
            program.write(data)
        with contextlib.suppress(BrokenPipeError):
            program.close_stdin()
        code = program.wait()
        program.assert_sound()
        return code, bytes(program.output), program.stderr

    def meet(self, serve, *options, data: bytes = b"for an honest server alone\n", state: str = "client",
             ends: bool = True) -> tuple[int, bytes, str]:
        """The real client before `serve(sock)`, which has one connection after the other. Without `ends` its standard
        input stays open."""
        with Rogue(serve) as rogue:
            if ends:
                return self.run_msg(rogue.name, data, *options, state=state)
            program = self.msg(rogue.name, *options, stdin="pipe", state=state)
            with contextlib.suppress(BrokenPipeError):
                program.write(data)
            code = program.wait()
            program.assert_sound()
            return code, bytes(program.output), program.stderr


class Rogue:
    """A server that is not honest: `serve(sock)` for each connection, then it reads to the end."""

    def __init__(self, serve):
        self.serve = serve
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.name = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.faults: list[BaseException] = []
        self.after: list[tuple[bytes, str]] = []
        self.connections = 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while True:
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            with sock:
                sock.settimeout(st.WAIT)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                try:
                    if self.serve(sock) is not None:
                        continue
                    self.after.append(st.read_to_end(sock))
                except BaseException as error:  # noqa: BLE001 - shown by the test that asks
                    self.faults.append(error)

    def __enter__(self) -> "Rogue":
        return self

    def __exit__(self, *_) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(st.WAIT)


class Served:
    """A listener under attack: what a client says comes back, line by line."""

    def __init__(self, case: ScpCase, options, mode: int, psk: bytes, name: str, command: str, memory_budget: int):
        self.case, self.mode, self.psk, self.name = case, mode, psk, name
        self.memory_budget = memory_budget * (8 if st.is_sanitized() else 1)
        self.is_echo = command == ECHO
        self.options = options
        self.key = case.make_identity(name).public if mode not in (ANON, PSK) else None
        self.program = st.Listener(
            ["msg", "-l", "127.0.0.1:0", "--exec", command, *case.server_flags(mode, psk), *options],
            state=case.state / name,
            # The quarantine of AddressSanitizer would hide what is held; leaks are looked for all the same.
            extra_env={"ASAN_OPTIONS": "quarantine_size_mb=4:detect_leaks=1"})
        case.addCleanup(self.program.kill)
        self.address, self.own_name = self.program.address, self.program.name
        self.be_honest()
        self.memory_before = self.program.memory_bytes()

    # -- the attacker's end --
    def dial(self, source: str | None = None, timeout: float = st.WAIT) -> socket.socket:
        sock = socket.create_connection(self.address, timeout, (source or st.fresh_source(), 0))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(timeout)
        return sock

    def initiator(self, **rest) -> scp1.Initiator:
        mode = rest.pop("mode", self.mode)
        if mode in (PINNED, MUTUAL, PINNED_PSK):
            rest.setdefault("static", KeyPair())
        if mode in (PINNED, PINNED_PSK):
            rest.setdefault("server_key", self.key)
        if mode in (PSK, PINNED_PSK):
            rest.setdefault("psk", self.psk)
        return scp1.Initiator(mode, **rest)

    def connect(self, *, channel=None, acknowledges: bool = True, confirm: bool = True, resume=None,
                source: str | None = None, **ends) -> scp1.Peer:
        """An open channel of the second implementation."""
        ends.setdefault("reconnect", channel is not None or resume is not None)
        sock = self.dial(source)
        try:
            return scp1.connect(self.address, sock=sock, timeout=st.WAIT, channel=channel, confirm=confirm,
                                acknowledges=acknowledges, resume=resume, ends=self.initiator(**ends))
        except BaseException:
            sock.close()
            raise

    def shaken(self, **ends) -> tuple[socket.socket, scp1.Initiator]:
        """A connection on which ACK alone is missing."""
        sock, client = self.dial(), self.initiator(**ends)
        sock.sendall(client.init())
        client.response(scp1.read_exactly(sock, scp1.HEAD + scp1.response_length(client.mode) + scp1.MAC))
        return sock, client

    def answer_to(self, data: bytes, end: bool = False) -> tuple[bytes, str]:
        with self.dial() as sock:
            with contextlib.suppress(OSError):
                sock.sendall(data)
                if end:
                    sock.shutdown(socket.SHUT_WR)
            return st.read_to_end(sock)

    def assert_silent(self, data: bytes, what: str = "") -> None:
        self.case.assertEqual(self.answer_to(data), SILENT, what)

    def named(self, code: str, attack):
        """The attack, and the name that the log has for it."""
        lines = len(self.program.stderr_lines)
        result = attack()
        self.program.wait_line(rf"\b{code}\b", after=lines)
        return result

    # -- what must hold --
    def be_honest(self) -> None:
        if not self.is_echo:
            return
        lines = [os.urandom(n).replace(b"\n", b" ") for n in (0, 1, 3000)]
        with self.connect() as peer:
            for line in lines:
                peer.send(line)
            peer.end()
            self.case.assertEqual(lines, peer.receive_all(), "echo for an honest client")

    def be_honest_for_real(self) -> None:
        data = b"".join(b"%d\n" % i for i in range(2000))
        code, out, err = self.case.run_msg(self.own_name, data,
                                           *self.case.client_flags(self.mode, self.psk, self.key),
                                           state=f"honest-{self.name}")
        self.case.assertEqual((code, out == data), (0, True), f"honest `sealine msg`: {err}")

    def prove_sound(self) -> None:
        self.program.assert_sound()
        self.case.assertTrue(self.program.is_running(), f"the listener has ended: {self.program.stderr}")
        if self.is_echo and "--max-rate" not in self.options:
            self.be_honest()
            self.be_honest_for_real()
        grown = self.program.memory_bytes() - self.memory_before
        self.case.assertLess(grown, self.memory_budget, "memory of the listener")
        self.case.assertEqual(self.program.terminate(), 0, f"drained listener: {self.program.stderr}")
        self.program.assert_sound()


def closes(peer: scp1.Peer) -> int | None:
    """The code with which the other end closes, None if it ends without a word. It need not wait for our end then."""
    try:
        return peer.wait_close()
    except scp1.Truncated:
        return None
    finally:
        with contextlib.suppress(OSError):
            peer.sock.shutdown(socket.SHUT_WR)


say = harness.say
main = harness.main
