"""What the attack tests of STT share: a real `sealine stt listen --echo` with self.serve(); when the test has ended, tearDown
proves of it that it still runs, that fresh honest clients (ours and the real one) are served, that its memory is within budget
and that nothing was reported by a sanitizer. What is UDP's alone is in stt_udp_harness.py."""

import contextlib
import os
import socket
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

import sealine_test as st  # noqa: E402
import stcp1  # noqa: E402
import stt1  # noqa: E402
from stt1 import frames, handshake, tlv, websocket  # noqa: E402, F401
from stt1.peer import Ended, Peer, dial  # noqa: E402, F401

MEMORY_BUDGET = 16 << 20
PROTOCOL, FLOW, STREAM, KEYS, LIMIT = 1, 2, 3, 4, 5
# Points of small order (and what is the same point): X25519 gives zero for each.
SMALL_ORDER = [bytes(32), (1).to_bytes(32, "little"), (2 ** 255 - 20).to_bytes(32, "little"),
               (2 ** 255 - 19).to_bytes(32, "little"),
               (2 ** 255 - 18).to_bytes(32, "little"),
               bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
               bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157")]


class SttCase(unittest.TestCase):
    scheme = "ws"
    longMessage = True
    maxDiff = 2000

    @classmethod
    def setUpClass(cls) -> None:
        st.require_binary()

    def setUp(self) -> None:
        self.state = st.temporary_directory(self)
        self.seed = os.urandom(32)
        self.servers: list[Served] = []

    def tearDown(self) -> None:
        for server in self.servers:
            server.prove_sound()

    def seed_file(self, seed: bytes) -> Path:
        path = self.state / f"seed-{seed[:4].hex()}"
        if not path.exists():
            path.touch(0o600)
            path.write_text(stcp1.format_key("sls1", seed) + "\n")
        return path

    def serve(self, *options) -> "Served":
        server = Served(self, options)
        self.servers.append(server)
        return server

    def connect(self, port: int, *options, seed: bytes | None = None, **rest) -> st.Program:
        """A real `sealine stt connect`."""
        program = st.sealine("stt", "connect", f"{self.scheme}://127.0.0.1:{port}", "--seed-file",
                             self.seed_file(seed or self.seed), *options, state=self.state / "client", stdin="pipe", **rest)
        self.addCleanup(program.kill)
        return program

    def run_connect(self, port: int, data: bytes, *options, **rest) -> tuple[int, bytes, str]:
        """Feeds it and waits for its end: exit code, standard output, standard error."""
        program = self.connect(port, *options, **rest)
        with contextlib.suppress(BrokenPipeError):
            program.write(data)
        with contextlib.suppress(BrokenPipeError):
            program.close_stdin()
        code = program.wait()
        program.assert_sound()
        return code, bytes(program.output), program.stderr


class Served:
    """A listener under attack."""

    def __init__(self, case: SttCase, options, memory_budget: int = MEMORY_BUDGET, env: dict | None = None):
        self.case, self.seed, self.memory_budget = case, case.seed, memory_budget
        self.program = st.Listener(
            ["stt", "listen", f"{case.scheme}://127.0.0.1:0", "--seed-file", case.seed_file(case.seed), "--echo", *options],
            state=case.state / "server",
            extra_env={"ASAN_OPTIONS": "quarantine_size_mb=4:detect_leaks=1", **(env or {})})
        case.addCleanup(self.program.kill)
        self.port = self.program.port
        self.be_honest()
        self.memory_before = self.program.memory_bytes()

    # -- the attacker's end --
    def dial(self, headers: tuple = (), path: str = "/stt") -> tuple[socket.socket, bytes]:
        """A connection from a /24 of its own, and the answer to its upgrade."""
        return dial(self.port, st.fresh_source(), st.WAIT, headers, path)

    def peer(self, **rest) -> Peer:
        """A WebSocket on which nothing of STT has been said."""
        sock, head = self.dial()
        self.case.assertTrue(head.startswith(b"HTTP/1.1 101"), head)
        return Peer(sock, handshake.Initiator(rest.pop("seed", self.seed), **rest))

    def session(self, **rest) -> Peer:
        return self.peer(**rest).shake()

    def end_of(self, *datagrams: bytes) -> tuple[list[bytes], int | None]:
        """What comes back for these messages on a new WebSocket, and the code that it ends with."""
        with self.peer() as peer:
            for datagram in datagrams:
                with contextlib.suppress(OSError):
                    peer.send(datagram)
            came = []
            try:
                while True:
                    came.append(peer.receive())
            except Ended as ended:
                return came, ended.code

    # -- what must hold --
    def be_honest(self, size: int = 5000) -> None:
        data = os.urandom(size)
        with self.session() as peer:
            self.case.assertEqual(peer.echo(data), data, "echo for an honest client")
            self.case.assertEqual(peer.bye()[1], 1000)

    def prove_sound(self) -> None:
        self.program.assert_sound()
        self.case.assertTrue(self.program.is_running(), f"the listener has ended: {self.program.stderr}")
        self.be_honest()
        data = os.urandom(70000)
        code, out, err = self.case.run_connect(self.port, data)
        self.case.assertEqual((code, out == data), (0, True), f"honest `sealine stt connect`: {err}")
        grown = self.program.memory_bytes() - self.memory_before
        self.case.assertLess(grown, self.memory_budget * (8 if st.is_sanitized() else 1), "memory of the listener")
        self.case.assertEqual(self.program.terminate(), 0, f"drained listener: {self.program.stderr}")
        self.program.assert_sound()


main = st.main
