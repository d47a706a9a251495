"""T10, T11 for STX: reflection, wrong keys, wrong ports. Nothing is taken, nothing is said, and the exit code says
which it was."""

import contextlib
import os
import socket
import threading
import time

import stx_harness
from stx_harness import BLOCK, KEY, Entry, Item, Truncated, st, stcp1, stx1


class Answering:
    """A server that says what `answer(sock)` says, to each who comes."""

    def __init__(self, answer):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.answer, self.connections = answer, 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while True:
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            with sock, contextlib.suppress(OSError, Truncated):
                sock.settimeout(st.WAIT)
                self.answer(sock)

    def __enter__(self) -> "Answering":
        return self

    def __exit__(self, *_) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(10)


class Reflection(stx_harness.StxCase):
    def test_receiver_talks_to_itself(self) -> None:
        receiver = self.receive()
        with receiver.dial() as sock:
            hello = stcp1.read_exactly(sock, 56)
            sock.sendall(hello + hello)
            self.assertEqual(st.read_to_end(sock)[0], b"")

    def test_two_receivers_of_one_key_talk_to_each_other(self) -> None:
        one, two = self.receive(name="one"), self.receive(name="two")
        with one.dial() as a, two.dial() as b:
            hello_a, hello_b = stcp1.read_exactly(a, 56), stcp1.read_exactly(b, 56)
            a.sendall(hello_b + hello_b[:32])
            b.sendall(hello_a + hello_a[:32])
            self.assertEqual((st.read_to_end(a)[0], st.read_to_end(b)[0]), (b"", b""))

    def test_sender_is_given_his_own_proof(self) -> None:
        """The seed's hole: HMAC(psk, both nonces) for both. Here the labels differ, so CA is no SA."""
        path = self.file("data", bytes(BLOCK))

        def answer(sock: socket.socket) -> None:
            sock.sendall(stx1.ServerHandshake([bytes(32)]).hello())
            flight = stcp1.read_exactly(sock, 88)
            sock.sendall(flight[56:])
            after.append(st.read_to_end(sock)[0])

        after: list[bytes] = []
        with Answering(answer) as mirror:
            code, err = self.run_send(path, to=f"127.0.0.1:{mirror.port}", options=["--retry", "5s"])
            self.assertEqual(code, 3, err)
            self.assertEqual(mirror.connections, 3)
        self.assertEqual(after, [b""] * 3)


class WrongKey(stx_harness.StxCase):
    def test_guesses_get_no_answer(self) -> None:
        receiver = self.receive()
        near = [bytes([KEY[0] ^ 1]) + KEY[1:], KEY[:-1] + bytes([KEY[-1] ^ 0x80]), bytes(32), KEY[::-1]]
        for key in near + [os.urandom(32) for _ in range(st.count(1000, 20))]:
            with self.subTest(key.hex()), self.assertRaises(Truncated) as caught:
                receiver.connect(psk=key)
            self.assertIn("0 of 32", str(caught.exception))
        self.assertEqual(receiver.names(), set())

    def test_known_hint_and_wrong_proof_look_alike(self) -> None:
        receiver = self.receive()

        def wrong_proof(name: str, data: bytes) -> bytes:
            return bytes(32) if name == "CA" else data

        with self.assertRaises(Truncated) as caught:
            receiver.connect(edit=wrong_proof)
        self.assertIn("0 of 32", str(caught.exception))

    def test_params_that_break_a_rule(self) -> None:
        receiver = self.receive()
        base = bytes([0, 0, 0, 0])
        rows = {"role": b"\1\0\0\0", "zero byte": b"\0\0\1\0", "last zero byte": b"\0\0\0\1", "lane 16": b"\0\x10\0\0"}
        for what, params in rows.items():
            with self.subTest(what), self.assertRaises(Truncated):
                receiver.connect(edit=lambda n, d, p=params: d[:32] + p + d[36:] if n == "SKN plain" else d)
        self.assertEqual(len(base), 4)

    def test_real_sender_with_a_wrong_key(self) -> None:
        receiver = self.receive()
        path = self.file("data", bytes(BLOCK))
        begin = time.monotonic()
        code, err = self.run_send(path, to=receiver.own_name, key=b"w" * 32)
        stx_harness.say(f"wrong key: exit {code} in {time.monotonic() - begin:.2f} s")
        self.assertEqual(code, 3, err)
        self.assertRegex(err, r"error\[SL-A\d+\]")
        self.assertEqual(receiver.names(), set())
        self.assertEqual(receiver.parts(), [])
        self.assertNotIn(stcp1.format_key("sls1", b"w" * 32), err)

    def test_one_of_many_keys(self) -> None:
        others = [os.urandom(32) for _ in range(5)]
        receiver = self.receive(*[x for k in others for x in ("--key", self.key_file(k))])
        for key in others:
            with receiver.connect(psk=key) as client:
                name = key.hex().encode()
                self.assertEqual(client.send_item(Item([Entry(name, key)])).code, 0)
                client.finish()
            self.assertEqual(receiver.read(name), key)

    def test_key_files_that_may_not_be_used(self) -> None:
        path = self.file("data", bytes(BLOCK))
        empty, short, shared = (self.place / n for n in ("empty", "short", "shared"))
        for file, text in ((empty, b""), (short, b"x" * 31), (shared, stcp1.format_key("sls1", KEY).encode())):
            file.touch(0o600)
            file.write_bytes(text)
        shared.chmod(0o644)
        for file in (empty, short, shared, self.place / "absent"):
            with self.subTest(file.name):
                program = st.sealine("send", "--key", file, path, "127.0.0.1:9", state=self.place / "s")
                self.assertEqual(program.wait(), 2, program.stderr)
        program = st.sealine("send", "--key", stcp1.format_key("sls1", KEY), path, "127.0.0.1:9",
                             state=self.place / "s")
        self.assertEqual(program.wait(), 2, program.stderr)


class WrongPort(stx_harness.StxCase):
    def test_nobody_listens(self) -> None:
        path = self.file("data", bytes(BLOCK))
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            for key in (KEY, None):
                program = self.send(path, to=f"127.0.0.1:{closed.getsockname()[1]}", key=key,
                                    options=["--retry", "300ms"])
                self.assertEqual(program.wait(), 4, program.stderr)
                self.assertIn("error[SL-E", program.stderr)

    def test_somebody_else_listens(self) -> None:
        """Another service: no endless retries, a code that says so."""
        path = self.file("data", bytes(BLOCK))

        def banner(sock: socket.socket) -> None:
            sock.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n" + b"x" * 100)
            st.read_to_end(sock)

        def silence(sock: socket.socket) -> None:
            st.read_to_end(sock)

        for answer, codes in ((banner, (3, 9)), (silence, (3, 4, 9))):
            with self.subTest(answer.__name__), Answering(answer) as other:
                code, err = self.run_send(path, to=f"127.0.0.1:{other.port}",
                                          options=["--retry", "500ms", "--handshake-timeout", "500ms"])
                self.assertIn(code, codes, err)


if __name__ == "__main__":
    stx_harness.main()
