"""STT over UDP through the command: much data, another address in the middle, and a net that lets no datagram pass.

What needs a network of its own (two namespaces and a cable between them) needs root, and is skipped by name without.
"""

import contextlib
import hashlib
import os
import subprocess
import sys
import threading
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
import sealine_test as st  # noqa: E402

MIB = 1 << 20


class SttUdp(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        st.require_binary()

    def setUp(self) -> None:
        self.dir = st.temporary_directory(self)
        self.seed = self.dir / "seed"
        made = st.sealine("key", "new", "-o", self.seed, state=self.dir)
        self.assertEqual(0, made.wait(), made.stderr)

    def connect(self, *argv: str, prefix: tuple = ()) -> subprocess.Popen:
        process = subprocess.Popen([*prefix, str(st.SEALINE), "stt", "connect", *argv, "--seed-file", str(self.seed)],
                                   env=st.environment(self.dir), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        for stream in (process.stdin, process.stdout, process.stderr):
            self.addCleanup(stream.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process


class Bulk(SttUdp):
    def carry(self, size: int, *flags: str) -> None:
        """Through --echo and back: SHA-256 equal, and memory that does not grow."""
        server = st.Listener(["stt", "listen", "udp://127.0.0.1:0", "--echo", "--seed-file", self.seed, *flags],
                             state=self.dir)
        self.addCleanup(server.kill)
        piece = os.urandom(MIB)
        sent, came = hashlib.sha256(), hashlib.sha256()
        process = self.connect(f"udp://{server.name}", *flags)
        threading.Thread(target=process.stderr.read, daemon=True).start()

        def feed() -> None:
            with contextlib.suppress(BrokenPipeError):
                for _ in range(size // MIB):
                    sent.update(piece)
                    process.stdin.write(piece)
                process.stdin.close()

        thread = threading.Thread(target=feed, daemon=True)
        thread.start()
        total = 0
        while data := process.stdout.read1(MIB):
            came.update(data)
            total += len(data)
        thread.join(st.WAIT)
        self.assertEqual(0, process.wait(st.WAIT))
        self.assertEqual((size, sent.hexdigest()), (total, came.hexdigest()))
        if not st.is_sanitized():
            self.assertLess(server.memory_bytes(), 160 * MIB)
        self.assertEqual(0, server.terminate(), server.stderr)
        server.assert_sound()

    def test_much_through_one_stream(self) -> None:
        self.carry(st.count(1024, 128) * MIB)

    def test_every_congestion_control(self) -> None:
        for name in ("new-reno", "bbr"):
            with self.subTest(name):
                self.carry(st.count(128, 16) * MIB, "--congestion", name)

    def test_a_path_that_is_said_to_be_small(self) -> None:
        self.carry(st.count(128, 16) * MIB, "--mtu", "1280")


def run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)


@unittest.skipUnless(os.geteuid() == 0, "network namespaces need root")
class OwnNetwork(SttUdp):
    """A server at 10.77.0.1 and a client at 10.77.0.2, each in a namespace of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.spaces = [f"sealine-{os.getpid()}-{end}" for end in ("server", "client")]
        try:
            for space in self.spaces:
                run("ip", "netns", "add", space)
                self.addCleanup(subprocess.run, ["ip", "netns", "del", space], check=False, capture_output=True)
            run("ip", "-n", self.spaces[0], "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns",
                self.spaces[1])
            for number, space in enumerate(self.spaces, 1):
                self.ip(space, "addr", "add", f"10.77.0.{number}/24", "dev", "wire")
                self.ip(space, "link", "set", "wire", "up")
                self.ip(space, "link", "set", "lo", "up")
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            self.skipTest(f"no network namespaces here: {error}")

    @staticmethod
    def ip(space: str, *argv: str) -> None:
        run("ip", "-n", space, *argv)

    def inside(self, number: int) -> tuple:
        return ("ip", "netns", "exec", self.spaces[number])

    def serve(self, url: str) -> st.Program:
        server = st.Program([*self.inside(0), st.SEALINE, "stt", "listen", url, "--echo", "--seed-file", self.seed],
                            env=st.environment(self.dir))
        self.addCleanup(server.kill)
        server.wait_line("listening on 10.77.0.1:9001")
        return server

    def echo(self, process: subprocess.Popen, data: bytes) -> None:
        """While the other end is at work: all of it comes back."""
        thread = threading.Thread(target=lambda: (process.stdin.write(data), process.stdin.flush()), daemon=True)
        thread.start()
        self.assertTrue(process.stdout.read(len(data)) == data)
        thread.join(st.WAIT)

    def test_the_clients_address_changes_and_the_session_goes_on(self) -> None:
        self.serve("udp://10.77.0.1:9001")
        process = self.connect("udp://10.77.0.1:9001", prefix=self.inside(1))
        data = os.urandom(4 * MIB)
        self.echo(process, data)
        for last in (2, 3):
            with self.subTest(last):
                self.ip(self.spaces[1], "addr", "del", f"10.77.0.{last}/24", "dev", "wire")
                self.ip(self.spaces[1], "addr", "add", f"10.77.0.{last + 1}/24", "dev", "wire")
                self.echo(process, data)
        process.stdin.close()
        self.assertEqual(b"", process.stdout.read())
        self.assertEqual(0, process.wait(st.WAIT), process.stderr.read())

    def test_where_no_datagram_passes_stt_goes_by_websocket(self) -> None:
        server = self.spaces[0]
        # Dropped at the server's door, without a word.
        self.ip(server, "rule", "add", "pref", "1", "ipproto", "udp", "blackhole")
        self.ip(server, "rule", "add", "pref", "2", "table", "local")
        self.ip(server, "rule", "del", "pref", "0")
        self.serve("stt://10.77.0.1:9001")
        process = self.connect("stt://10.77.0.1:9001", prefix=self.inside(1))
        self.echo(process, os.urandom(MIB))
        process.stdin.close()
        self.assertEqual(0, process.wait(st.WAIT))
        self.assertIn(b"STT/1 WebSocket", process.stderr.read())
        silent = self.connect("udp://10.77.0.1:9001", "--handshake-timeout", "300ms", prefix=self.inside(1))
        silent.stdin.close()
        self.assertEqual(3, silent.wait(st.WAIT))
        self.assertIn(b"no datagram passes", silent.stderr.read())


if __name__ == "__main__":
    st.main()
