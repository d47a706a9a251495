"""STT through the command: much data through one stream, and many connections to a real HTTP server over one session."""

import concurrent.futures
import functools
import hashlib
import http.server
import os
import subprocess
import sys
import threading
import urllib.request
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
import sealine_test as st  # noqa: E402

MIB = 1 << 20


class Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_) -> None:
        pass


class SttStreams(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        st.require_binary()

    def setUp(self) -> None:
        self.dir = st.temporary_directory(self)
        self.seed = self.dir / "seed"
        made = st.sealine("key", "new", "-o", self.seed, state=self.dir)
        self.assertEqual(0, made.wait(), made.stderr)

    def serve(self, *flags: str) -> st.Listener:
        server = st.Listener(["stt", "listen", "ws://127.0.0.1:0", "--seed-file", self.seed, *flags], state=self.dir)
        self.addCleanup(server.kill)
        return server

    def test_much_through_one_stream(self) -> None:
        """1 GiB with SEALINE_TEST_FULL, an eighth of it else: SHA-256 equal, and memory that does not grow."""
        server = self.serve("--echo")
        size = st.count(1024, 128) * MIB
        piece = os.urandom(MIB)
        sent, came = hashlib.sha256(), hashlib.sha256()
        process = subprocess.Popen([str(st.SEALINE), "stt", "connect", f"ws://{server.name}", "--seed-file",
                                    str(self.seed)], env=st.environment(self.dir), stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

        def feed() -> None:
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
        process.stdout.close()
        thread.join(st.WAIT)
        self.assertEqual(0, process.wait(st.WAIT))
        self.assertEqual((size, sent.hexdigest()), (total, came.hexdigest()))
        if not st.is_sanitized():
            self.assertLess(server.memory_bytes(), 96 * MIB)

    def test_two_hundred_connections_over_one_session(self) -> None:
        root = self.dir / "root"
        root.mkdir()
        files = {f"f{i}": os.urandom(1000 + 997 * i) for i in range(40)}
        for name, content in files.items():
            (root / name).write_bytes(content)
        web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(root)))
        web.daemon_threads = True
        threading.Thread(target=web.serve_forever, daemon=True).start()
        self.addCleanup(web.server_close)
        self.addCleanup(web.shutdown)
        place = f"127.0.0.1:{web.server_port}"
        server = self.serve("--forward", place)
        near = st.Listener(["stt", "forward", f"ws://{server.name}", "-L", f"0:{place}", "--seed-file", self.seed],
                           state=self.dir)
        self.addCleanup(near.kill)

        def fetch(i: int) -> bool:
            name = f"f{i % len(files)}"
            with urllib.request.urlopen(f"http://{near.name}/{name}", timeout=st.WAIT) as answer:
                return answer.read() == files[name]

        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            self.assertEqual(200, sum(pool.map(fetch, range(200))))
        sessions = [line for line in near.stderr_lines + server.stderr_lines if "connected to" in line]
        self.assertEqual(2, len(sessions), sessions)
        self.assertEqual(0, near.terminate(), near.stderr)
        self.assertEqual(0, server.terminate(), server.stderr)
        for program in (near, server):
            program.assert_sound()


if __name__ == "__main__":
    st.main()
