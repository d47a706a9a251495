"""sealine stt: streams on standard input and output, on commands, to targets; seeds, and how it ends."""

import base64
import hashlib
import http.server
import os
import signal
import socket
import threading

import cli_case
from cli_case import st


class SttCase(cli_case.CliCase):
    def setUp(self) -> None:
        super().setUp()
        self.seed = self.secret("seed")

    def url(self, listener: st.Listener) -> str:
        return f"ws://{listener.name}"

    def serve(self, *flags, **rest) -> st.Listener:
        return self.listener("stt", "listen", "ws://127.0.0.1:0", "--seed-file", self.seed, *flags, **rest)

    def connect(self, listener: st.Listener, *flags, data: bytes = b"", **rest) -> cli_case.Done:
        return self.run_sealine("stt", "connect", self.url(listener), "--seed-file", self.seed, *flags, data=data,
                                state=self.dir / "client", **rest)

    def stop(self, program: st.Program, code: int = 0) -> bytes:
        program.process.send_signal(signal.SIGTERM)
        return self.finish(program, code)


class Streams(SttCase):
    def test_echo(self) -> None:
        listener = self.serve("--echo")
        for size in (0, 1, 65536, 5_000_001):
            data = os.urandom(size)
            done = self.assert_exit(0, self.connect(listener, data=data))
            self.assertTrue(done.out == data, size)
            self.assertEqual(f"sealine: connected to {listener.name} (seed), STT/1 WebSocket, AES-256-GCM", done.err)
        self.stop(listener)

    def test_first_stream_is_on_standard_input_and_output(self) -> None:
        listener = self.serve(stdin="pipe")
        listener.write(b"down")
        listener.close_stdin()
        self.assertEqual(b"down", self.assert_exit(0, self.connect(listener, data=b"up" * 100000)).out)
        self.assertEqual(b"up" * 100000, self.finish(listener))

    def test_half_close(self) -> None:
        """The answer of a command comes after the end of its input alone."""
        listener = self.serve("--exec", "sort")
        lines = [b"%d\n" % (i * 7919 % 1000) for i in range(1000)]
        done = self.assert_exit(0, self.connect(listener, data=b"".join(lines)))
        self.assertEqual(b"".join(sorted(lines)), done.out)

    def test_a_command_that_fails(self) -> None:
        listener = self.serve("--exec", "cat; exit 3")
        done = self.connect(listener, data=b"x")
        self.assert_exit(1, done)
        self.assertIn("error[SL-", done.err)
        ours = self.connect(self.serve("--echo"), "--exec", "exit 5")
        self.assert_exit(1, ours)
        self.assertIn("the command ended with status 5", ours.err)

    def test_padding(self) -> None:
        listener = self.serve("--echo", "--pad", "full")
        data = os.urandom(300_000)
        for pad in ("none", "128", "full"):
            self.assertTrue(self.assert_exit(0, self.connect(listener, "--pad", pad, data=data)).out == data, pad)


class Seeds(SttCase):
    def test_another_seed(self) -> None:
        listener = self.serve("--echo")
        other = self.secret("other")
        done = self.run_sealine("stt", "connect", self.url(listener), "--seed-file", other, data=b"x")
        self.assert_error("A10", 3, done)
        self.assertIn("the seed is wrong", done.err)
        listener.wait_line("handshake failed")
        self.assertEqual(b"x", self.assert_exit(0, self.connect(listener, data=b"x")).out)

    def test_forms_of_the_file(self) -> None:
        listener = self.serve("--echo")
        raw = self.dir / "raw"
        text = self.seed.read_text().strip()
        value = base64.b32decode(text[4:].upper() + "=" * (-len(text[4:]) % 8))[:32]
        raw.write_bytes(value)
        raw.chmod(0o600)
        digits = self.dir / "hex"
        digits.write_text(value.hex() + "\n")
        digits.chmod(0o600)
        for path in (raw, digits):
            done = self.run_sealine("stt", "connect", self.url(listener), "--seed-file", path, data=b"x")
            self.assertEqual(b"x", self.assert_exit(0, done).out)
        named = self.run_sealine("stt", "connect", self.url(listener), data=b"y", env={"SEALINE_SEED_FILE": str(raw)})
        self.assertEqual(b"y", self.assert_exit(0, named).out)
        piped = self.run_sealine("stt", "connect", self.url(listener), "--seed-file", "-", data=value)
        self.assertEqual(b"", self.assert_exit(0, piped).out)

    def test_files_that_may_not_be_used(self) -> None:
        open_to_all = self.secret("open")
        open_to_all.chmod(0o640)
        done = self.run_sealine("stt", "connect", "ws://127.0.0.1:1", "--seed-file", open_to_all)
        self.assert_exit(2, done)
        self.assertIn("hint: chmod 600", done.err)
        none = self.run_sealine("stt", "connect", "ws://127.0.0.1:1")
        self.assert_error("U05", 2, none)
        self.assertIn("--seed-file", none.err)
        short = self.dir / "short"
        short.write_bytes(b"x" * 31)
        short.chmod(0o600)
        self.assert_exit(2, self.run_sealine("stt", "connect", "ws://127.0.0.1:1", "--seed-file", short))
        in_argv = self.run_sealine("stt", "connect", "ws://127.0.0.1:1", "--seed-file", self.seed.read_text().strip())
        self.assert_exit(2, in_argv)
        self.assertIn("a secret stands in the command line", in_argv.err)

    def test_passphrase_without_a_terminal(self) -> None:
        done = self.run_sealine("stt", "connect", "ws://127.0.0.1:1", "--passphrase", start_new_session=True)
        self.assert_error("U05", 2, done)
        self.assertIn("--seed-file", done.err)


class Silent(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_) -> None:
        pass


class Ends(SttCase):
    def test_nobody_listens(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
            done = self.run_sealine("stt", "connect", f"ws://127.0.0.1:{port}", "--seed-file", self.seed)
        self.assert_exit(4, done)
        self.assertIn("--retry", done.err)

    def test_something_else_listens(self) -> None:
        server = http.server.HTTPServer(("127.0.0.1", 0), Silent)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        done = self.run_sealine("stt", "connect", f"ws://127.0.0.1:{server.server_port}", "--seed-file", self.seed)
        self.assert_exit(9, done)
        self.assertIn("is its path /stt?", done.err)
        listener = self.serve("--echo")
        elsewhere = self.run_sealine("stt", "connect", self.url(listener) + "/elsewhere", "--seed-file", self.seed)
        self.assert_exit(9, elsewhere)
        self.assertIn("is its path /elsewhere?", elsewhere.err)

    def test_a_lost_listener_is_truncation(self) -> None:
        listener = self.serve("--echo")
        client = self.program("stt", "connect", self.url(listener), "--seed-file", self.seed, stdin="pipe")
        client.write(b"hello")
        client.wait_output(5)
        listener.kill()
        self.assertEqual(b"hello", self.finish(client, 7))

    def test_json(self) -> None:
        listener = self.serve("--echo")
        done = self.assert_exit(0, self.connect(listener, "--json", data=b"abc"))
        self.assertEqual(b"abc", done.out)
        events = done.events("err")
        self.assertEqual(["connected", "stream", "stream", "done"], [event["t"] for event in events])
        self.assertEqual((3, 3, 0), (events[-1]["bytes_in"], events[-1]["bytes_out"], events[-1]["exit"]))
        self.assertEqual("seed", events[0]["trust"])

    def test_words_that_are_refused(self) -> None:
        cases = (("connect",), ("connect", "http://h:1"), ("connect", "ws://h"), ("connect", "tls://h:1"),
                 ("connect", "ws://:1"), ("connect", "ws://h:1", "--echo"), ("listen", "wss://:1"),
                 ("listen", "ws://:1", "--echo", "--exec", "cat"), ("listen", "ws://:1", "--pad", "3"),
                 ("listen", "ws://:1", "--origin", "example.com"), ("forward", "ws://h:1"),
                 ("forward", "ws://h:1", "-L", "80"), ("forward", "ws://h:1", "-L", "1:h:0"),
                 ("connect", "ws://h:1", "--passphrase", "--seed-file", "x"))
        for case in cases:
            with self.subTest(case):
                self.assert_error("U05", 2, self.run_sealine("stt", *case))


class Forward(SttCase):
    def setUp(self) -> None:
        super().setUp()
        self.target = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.addCleanup(self.target.close)
        port = self.target.getsockname()[1]
        self.place = f"127.0.0.1:{port}"
        self.server = self.serve("--forward", self.place)

    def forward(self, *flags, target: str | None = None) -> st.Listener:
        return self.listener("stt", "forward", self.url(self.server), "-L", f"0:{target or self.place}", "--seed-file",
                             self.seed, *flags, state="client")

    def test_both_half_closes(self) -> None:
        forward = self.forward()
        with socket.create_connection(forward.address, timeout=st.WAIT) as near:
            far = self.accepted()
            with far:
                far.settimeout(st.WAIT)
                near.sendall(b"question")
                near.shutdown(socket.SHUT_WR)
                self.assertEqual(b"question", self.all_of(far))
                far.sendall(b"answer")
                far.shutdown(socket.SHUT_WR)
                self.assertEqual(b"answer", self.all_of(near))
        self.stop(forward)
        self.stop(self.server)

    def accepted(self) -> socket.socket:
        self.target.settimeout(st.WAIT)
        far, _ = self.target.accept()
        self.addCleanup(far.close)
        return far

    def all_of(self, connection: socket.socket) -> bytes:
        out = b""
        while piece := connection.recv(65536):
            out += piece
        return out

    def test_a_target_that_is_not_allowed(self) -> None:
        forward = self.forward(target="127.0.0.1:9")
        with self.assertRaises(ConnectionResetError):  # perhaps before it is known to be connected
            with socket.create_connection(forward.address, timeout=st.WAIT) as near:
                while near.recv(100):
                    pass
        self.server.wait_line("target refused")

    def test_off_loopback(self) -> None:
        done = self.run_sealine("stt", "forward", self.url(self.server), "-L", f"0.0.0.0:0:{self.place}",
                                "--seed-file", self.seed)
        self.assert_exit(2, done)
        self.assertIn("--unsafe-listen", done.err)

    def test_a_stalled_reader_slows_no_other(self) -> None:
        forward = self.forward()
        with socket.create_connection(forward.address, timeout=st.WAIT) as stalled:
            far = self.accepted()

            def flood() -> None:
                try:
                    far.settimeout(st.WAIT)
                    far.sendall(bytes(64 << 20))
                except OSError:
                    pass

            thread = threading.Thread(target=flood, daemon=True)
            thread.start()
            data = os.urandom(4 << 20)
            with socket.create_connection(forward.address, timeout=st.WAIT) as near:
                other = self.accepted()
                with other:
                    other.sendall(data)
                    other.shutdown(socket.SHUT_WR)
                    self.assertEqual(hashlib.sha256(data).digest(), hashlib.sha256(self.all_of(near)).digest())
            del stalled
            far.close()
        thread.join(st.WAIT)

    def test_a_lost_session(self) -> None:
        forward = self.forward()
        with socket.create_connection(forward.address, timeout=st.WAIT):
            far = self.accepted()
            self.server.kill()
            self.finish(forward, 7)
            far.close()


if __name__ == "__main__":
    cli_case.main()
