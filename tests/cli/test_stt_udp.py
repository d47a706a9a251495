"""sealine stt over UDP: what is said, how it ends, and what is refused. spec: stt.md#transports"""

import os
import socket

import cli_case
from cli_case import st


class SttUdpCase(cli_case.CliCase):
    def setUp(self) -> None:
        super().setUp()
        self.seed = self.secret("seed")

    def serve(self, *flags, scheme: str = "udp", **rest) -> st.Listener:
        return self.listener("stt", "listen", f"{scheme}://127.0.0.1:0", "--seed-file", self.seed, *flags, **rest)

    def connect(self, url: str, *flags, data: bytes = b"", seed=None, **rest) -> cli_case.Done:
        return self.run_sealine("stt", "connect", url, "--seed-file", seed or self.seed, *flags, data=data,
                                state=self.dir / "client", **rest)


class Streams(SttUdpCase):
    def test_echo(self) -> None:
        listener = self.serve("--echo")
        for size in (0, 1, 65536, 3_000_001):
            data = os.urandom(size)
            done = self.assert_exit(0, self.connect(f"udp://{listener.name}", data=data))
            self.assertTrue(done.out == data, size)
            self.assertEqual(f"sealine: connected to {listener.name} (seed), STT/1 UDP, AES-256-GCM", done.err)
        self.assertEqual(0, listener.terminate(), listener.stderr)

    def test_first_stream_is_on_standard_input_and_output(self) -> None:
        listener = self.serve(stdin="pipe")
        listener.write(b"down")
        listener.close_stdin()
        done = self.assert_exit(0, self.connect(f"udp://{listener.name}", data=b"up" * 100000))
        self.assertEqual(b"down", done.out)
        self.assertEqual(0, listener.wait(), listener.stderr)
        self.assertEqual(b"up" * 100000, bytes(listener.output))

    def test_padding(self) -> None:
        listener = self.serve("--echo", "--pad", "full")
        data = os.urandom(200_000)
        for pad in ("none", "128", "full"):
            done = self.connect(f"udp://{listener.name}", "--pad", pad, data=data)
            self.assertTrue(self.assert_exit(0, done).out == data, pad)

    def test_workers(self) -> None:
        listener = self.serve("--echo", "--workers", "3", "-v", scheme="stt")
        data = os.urandom(300_000)
        for scheme in ("udp", "udp", "udp", "ws", "udp"):
            done = self.assert_exit(0, self.connect(f"{scheme}://{listener.name}", data=data))
            self.assertTrue(done.out == data)
        second = self.run_sealine("stt", "listen", f"udp://{listener.name}", "--seed-file", self.seed, "--echo",
                                  "--workers", "3")
        self.assert_error("E01", 1, second)
        self.assertEqual(0, listener.terminate(), listener.stderr)
        self.assertEqual(5, sum("session ended" in line for line in listener.stderr_lines), listener.stderr)

    def test_both_on_one_port_number(self) -> None:
        listener = self.serve("--echo", scheme="stt")
        self.assertEqual(1, sum("listening on" in line for line in listener.stderr_lines), listener.stderr)
        for scheme, name in (("udp", "UDP"), ("ws", "WebSocket"), ("stt", "(UDP|WebSocket)")):  # on a slow machine
            done = self.assert_exit(0, self.connect(f"{scheme}://{listener.name}", data=b"x"))
            self.assertEqual(b"x", done.out)
            self.assertRegex(done.err, f"STT/1 {name}, ")

    def test_json(self) -> None:
        listener = self.serve("--echo")
        done = self.assert_exit(0, self.connect(f"udp://{listener.name}", "--json", data=b"abc"))
        self.assertEqual("UDP", done.events("err")[0]["mode"])


class Ends(SttUdpCase):
    def test_another_seed_is_known_at_the_handshake_timeout(self) -> None:
        listener = self.serve("--echo")
        other = self.secret("other")
        done = self.connect(f"udp://{listener.name}", "--handshake-timeout", "300ms", data=b"x", seed=other)
        self.assert_error("A10", 3, done)
        self.assertIn("the seed is wrong", done.err)
        listener.wait_line("handshake failed")
        self.assertEqual(b"x", self.assert_exit(0, self.connect(f"udp://{listener.name}", data=b"x")).out)

    def test_nobody_listens(self) -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        for scheme in ("udp", "stt"):
            done = self.connect(f"{scheme}://127.0.0.1:{port}", "--handshake-timeout", "60s", timeout=30)
            self.assert_exit(4, done)
            self.assertIn("--retry", done.err)

    def test_websocket_where_nothing_listens_to_datagrams(self) -> None:
        listener = self.serve("--echo", scheme="ws")
        done = self.assert_exit(0, self.connect(f"stt://{listener.name}", data=b"x"))
        self.assertEqual(b"x", done.out)
        self.assertIn("STT/1 WebSocket", done.err)

    def test_a_lost_listener_is_truncation(self) -> None:
        listener = self.serve("--echo")
        client = self.program("stt", "connect", f"udp://{listener.name}", "--seed-file", self.seed, "--idle-timeout",
                              "2s", stdin="pipe")
        client.write(b"hello")
        client.wait_output(5)
        listener.kill()
        self.assertEqual(7, client.wait(), client.stderr)
        self.assertEqual(b"hello", bytes(client.output))

    def test_words_that_are_refused(self) -> None:
        cases = (("connect", "udp://h"), ("connect", "udp://:1"), ("connect", "udp://h:1/stt"),
                 ("listen", "udp://:1", "--mtu", "1279"), ("listen", "udp://:1", "--mtu", "65536"),
                 ("listen", "udp://:1", "--congestion", "reno"), ("connect", "ws://h:1", "--mtu", "1500"),
                 ("connect", "ws://h:1", "--congestion", "bbr"),
                 ("listen", "udp://:1", "--echo", "--workers", "0"), ("listen", "udp://:1", "--echo", "--workers", "257"),
                 ("listen", "ws://:1", "--echo", "--workers", "2"), ("listen", "udp://:1", "--workers", "2"),
                 ("listen", "udp://:1", "--exec", "cat", "--workers", "2"),
                 ("listen", "udp://:1", "--echo", "--workers", "2", "--limit-rate", "1M"),
                 ("connect", "udp://h:1", "--workers", "2"))
        for case in cases:
            with self.subTest(case):
                self.assert_error("U05", 2, self.run_sealine("stt", *case))


if __name__ == "__main__":
    cli_case.main()
