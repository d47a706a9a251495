"""What the attack tests share. A test case starts a real listener with self.serve(); when the test has ended, tearDown
proves of each listener that it still runs, that fresh honest clients (ours and the real one) are served, that its
memory is within budget and that nothing was reported by a sanitizer. So a test file holds the attack alone.
"""

import contextlib
import os
import socket
import sys
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

import sealine_test as st  # noqa: E402
import stcp1  # noqa: E402
from stcp1 import ANON, MUTUAL, PSK, TOFU, KeyPair  # noqa: E402

MODE_NAMES = {ANON: "anonymous", TOFU: "tofu", MUTUAL: "mutual", PSK: "psk"}
ALL_MODES = (ANON, TOFU, MUTUAL, PSK)

# Everything that may be half open (1024 connections of 8 KiB), and as much again for allocator and code pages.
MEMORY_BUDGET = 16 << 20
SILENT = (b"", "fin")  # what a prober sees after a fault: no byte, then an orderly end


class AttackCase(unittest.TestCase):
    longMessage = True
    maxDiff = 2000

    @classmethod
    def setUpClass(cls) -> None:
        st.require_binary()

    def setUp(self) -> None:
        self.state = st.temporary_directory(self)
        self.echo = st.EchoServer()
        self.addCleanup(self.echo.close)
        self.servers: list[Served] = []

    def tearDown(self) -> None:
        for server in self.servers:
            server.prove_sound()

    def serve(self, *options, mode: int = TOFU, psk: bytes | None = None, name: str = "server",
              memory_budget: int = MEMORY_BUDGET) -> "Served":
        """A real `sealine tunnel` before an echo server."""
        server = Served(self, options, mode, psk, name, memory_budget)
        self.servers.append(server)
        return server

    def psk_file(self, psk: bytes, name: str = "psk") -> Path:
        path = self.state / name
        path.touch(0o600)
        path.write_text(stcp1.format_key("sls1", psk) + "\n")
        return path

    def flags(self, mode: int, psk: bytes | None = None) -> list:
        if mode == ANON:
            return ["--anonymous"]
        if mode == PSK:
            return ["--psk-file", self.psk_file(psk)]
        return []

    def client_flags(self, mode: int, psk: bytes | None = None) -> list:
        return ["--mutual"] if mode == MUTUAL else self.flags(mode, psk)

    def pipe(self, name: str, *options, state: str = "client", stdin="null", **rest) -> st.Program:
        """A real `sealine pipe` client."""
        program = st.sealine("pipe", name, *options, state=self.state / state, stdin=stdin, **rest)
        self.addCleanup(program.kill)
        return program

    def run_pipe(self, name: str, data: bytes, *options, **rest) -> tuple[int, bytes, str]:
        """Feeds a client and waits for its end: exit code, standard output, standard error."""
        program = self.pipe(name, *options, stdin="pipe", **rest)
        with contextlib.suppress(BrokenPipeError):
            program.write(data)
        with contextlib.suppress(BrokenPipeError):
            program.close_stdin()
        code = program.wait()
        program.assert_sound()
        return code, bytes(program.output), program.stderr


class Served:
    """A listener under attack."""

    def __init__(self, case: AttackCase, options, mode: int, psk: bytes | None, name: str, memory_budget: int):
        self.case, self.mode, self.psk, self.name = case, mode, psk, name
        self.memory_budget = memory_budget * (8 if st.is_sanitized() else 1)
        self.program = st.Listener(
            ["tunnel", "--listen", "stcp://127.0.0.1:0", "--to", f"127.0.0.1:{case.echo.port}",
             *case.flags(mode, psk), *options],
            state=case.state / name,
            # The quarantine of AddressSanitizer would hide what is held; leaks are looked for all the same.
            extra_env={"ASAN_OPTIONS": "quarantine_size_mb=4:detect_leaks=1"})
        case.addCleanup(self.program.kill)
        self.address = self.program.address
        self.own_name = self.program.name
        self.be_honest()
        self.memory_before = self.program.memory_bytes()

    # -- the attacker's end --
    def dial(self, source: str | None = None, timeout: float = st.WAIT) -> socket.socket:
        """A plain TCP connection from a /24 of its own."""
        sock = socket.create_connection(self.address, timeout, (source or st.fresh_source(), 0))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(timeout)
        return sock

    def connect(self, **rest) -> stcp1.Peer:
        """An ENCRYPTED connection of the second implementation."""
        rest.setdefault("source", st.fresh_source())
        rest.setdefault("psk", self.psk)
        rest.setdefault("timeout", st.WAIT)
        return stcp1.connect(self.address, self.mode, **rest)

    def initiator(self, **rest) -> stcp1.Initiator:
        rest.setdefault("static", KeyPair() if self.mode == MUTUAL else None)
        rest.setdefault("psk", self.psk)
        return stcp1.Initiator(self.mode, **rest)

    def answer_to(self, data: bytes, end: bool = False) -> tuple[bytes, str]:
        """What comes back for these bytes on a new connection, and how it ends."""
        with self.dial() as sock:
            with contextlib.suppress(OSError):
                sock.sendall(data)
                if end:
                    sock.shutdown(socket.SHUT_WR)
            return st.read_to_end(sock)

    def assert_silent(self, data: bytes, what: str = "") -> None:
        self.case.assertEqual(self.answer_to(data), SILENT, what)

    # -- what must hold --
    def be_honest(self, size: int = 5000) -> float:
        """An honest client of the second implementation gets its echo; how long it took to be ENCRYPTED."""
        begin = time.monotonic()
        data = os.urandom(size)
        with self.connect() as peer:
            peer.send(data)
            peer.end()
            elapsed = time.monotonic() - begin
            self.case.assertEqual(peer.receive_all(), data, "echo for an honest client")
        return elapsed

    def be_honest_for_real(self) -> None:
        data = os.urandom(70000)
        code, out, err = self.case.run_pipe(self.own_name, data, *self.case.client_flags(self.mode, self.psk),
                                            state=f"honest-{self.name}")
        self.case.assertEqual((code, out == data), (0, True), f"honest `sealine pipe`: {err}")

    def memory_grown(self) -> int:
        return self.program.memory_bytes() - self.memory_before

    def prove_sound(self) -> None:
        self.program.assert_sound()
        self.case.assertTrue(self.program.is_running(), f"the listener has ended: {self.program.stderr}")
        self.be_honest()
        self.be_honest_for_real()
        self.case.assertLess(self.memory_grown(), self.memory_budget, "memory of the listener")
        self.case.assertEqual(self.program.terminate(), 0, f"drained listener: {self.program.stderr}")
        self.program.assert_sound()


def say(text: str) -> None:
    """A measured figure, for people; never a criterion."""
    print(f"  {text}", flush=True)


def welch(a: list[float], b: list[float]) -> float:
    mean = lambda x: sum(x) / len(x)  # noqa: E731
    var = lambda x: sum((v - mean(x)) ** 2 for v in x) / max(1, len(x) - 1)  # noqa: E731
    spread = (var(a) / len(a) + var(b) / len(b)) ** 0.5
    return (mean(a) - mean(b)) / spread if spread else 0.0


main = st.main
