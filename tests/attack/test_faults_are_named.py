"""F1 to F15: each fault has its name in the local log, where the people who run the program look, and nothing of it is on
the wire (the other tests show that)."""

import socket
import threading

import harness
from harness import ANON, MUTUAL, PSK, TOFU, KeyPair, st, stcp1
from stcp1.session import hint_for

SECRET = b"\xf5" * 32


class AtTheListener(harness.AttackCase):
    def named(self, code: str, server, attack) -> None:
        lines = len(server.program.stderr_lines)
        attack(server)
        server.program.wait_line(rf"\b{code}\b", after=lines)

    def first(self, edit):
        def attack(server) -> None:
            message = bytearray(server.initiator().step1())
            edit(message)
            server.assert_silent(bytes(message))
        return attack

    def record(self, make):
        def attack(server) -> None:
            with server.connect() as peer:
                peer.send_raw(make(peer.session.out))
                st.read_to_end(peer.sock)
        return attack

    @staticmethod
    def put(at: int, value: bytes):
        def edit(message: bytearray) -> None:
            message[at:at + len(value)] = value
        return edit

    def test_each_fault_of_a_client(self) -> None:
        def seen_hint(server) -> None:
            client = server.initiator(psk=bytes(32))
            server.assert_silent(client.step1(hint=hint_for(SECRET, client.ephemeral.public)))

        def bad_finish(server) -> None:
            with server.dial() as sock:
                client = server.initiator()
                sock.sendall(client.step1())
                client.step2(stcp1.read_exactly(sock, 24 + 130))
                sock.sendall(client.session().out.seal(stcp1.FINISH, bytes(32)))
                st.read_to_end(sock)

        def wait_for_the_deadline(server) -> None:
            with server.dial() as sock:
                st.read_to_end(sock)

        def crowd(server) -> None:
            source = st.fresh_source()
            socks = [server.dial(source) for _ in range(40)]
            self.addCleanup(lambda: [s.close() for s in socks])

        def spoiled(out) -> bytes:
            record = bytearray(out.seal(stcp1.DATA, b"data"))
            record[-1] ^= 1
            return bytes(record)

        cases = [
            ("F1", TOFU, (), self.first(self.put(8, b"HTTP"))),
            ("F2", TOFU, (), self.first(self.put(14, b"\0"))),
            ("F3", TOFU, (), self.first(self.put(24, bytes(32)))),
            ("F4", PSK, (), seen_hint),
            ("F5", PSK, (), self.first(self.put(16, b"\1" * 8))),
            ("F8", TOFU, (), bad_finish),
            ("F9", TOFU, ("--handshake-timeout", "1s"), wait_for_the_deadline),
            ("F10", TOFU, (), crowd),
            ("F11", TOFU, (), self.record(lambda out: stcp1.head_record(20, bytes(16)) + bytes(20))),
            ("F12", TOFU, (), self.record(spoiled)),
            ("F13", TOFU, (), self.record(lambda out: out.seal(9, b""))),
            ("F14", TOFU, (), self.record(lambda out: out.seal(stcp1.FINISH, bytes(32)))),
            ("F15", TOFU, (), self.record(lambda out: b"".join(out.seal(stcp1.PING, b"") for _ in range(65 * 61)))),
        ]
        for code, mode, flags, attack in cases:
            with self.subTest(code):
                server = self.serve(*flags, mode=mode, psk=SECRET if mode == PSK else None, name=code)
                self.named(code, server, attack)


class AtTheClient(harness.AttackCase):
    def meet(self, mode: int, serve, *flags, state: str = "client") -> tuple[int, bytes, str]:
        """The real client before `serve(sock)`."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]

        def run() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(st.WAIT)
                serve(sock)
                st.read_to_end(sock)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            return self.run_pipe(f"127.0.0.1:{self.port}", b"data", *self.client_flags(mode, SECRET), *flags,
                                 state=state)
        finally:
            thread.join(st.WAIT)
            listener.close()

    def setUp(self) -> None:
        super().setUp()
        self.port = 0

    def second_step(self, mode: int, spoil=None, **ends):
        def serve(sock) -> None:
            server = stcp1.Responder(mode, static=KeyPair(), psk=SECRET if mode == PSK else None, **ends)
            server.step1(stcp1.read_exactly(sock, 24 + stcp1.message_length(mode, 1)))
            message = bytearray(server.step2())
            if spoil is not None:
                message[spoil] ^= 1
            sock.sendall(message)
        return serve

    def after_finish(self, make):
        def serve(sock) -> None:
            peer = stcp1.serve_one(sock, TOFU, timeout=st.WAIT)
            peer.send_raw(make(peer.session.out))
        return serve

    def test_each_fault_of_a_server(self) -> None:
        def spoiled(out) -> bytes:
            record = bytearray(out.seal(stcp1.DATA, b"data"))
            record[-1] ^= 1
            return bytes(record)

        class Zero:
            public = bytes(32)

            def exchange(self, _: bytes) -> bytes:
                return bytes(32)

        cases = [
            ("F1", (9,), ANON, self.second_step(ANON, 8)),
            ("F3", (3, 9), ANON, self.second_step(ANON, ephemeral=Zero())),
            ("F6", (3,), TOFU, self.second_step(TOFU, -1)),
            ("F6", (3,), PSK, self.second_step(PSK, -1)),
            ("F6", (3,), MUTUAL, self.second_step(MUTUAL, 60)),
            ("F11", (7,), TOFU, self.after_finish(lambda out: stcp1.head_record(20, bytes(16)) + bytes(20))),
            ("F12", (7,), TOFU, self.after_finish(spoiled)),
            ("F13", (7, 9), TOFU, self.after_finish(lambda out: out.seal(9, b""))),
            ("F14", (7, 9), TOFU, self.after_finish(lambda out: out.seal(stcp1.FINISH, bytes(32)))),
            ("F15", (6, 7, 9), TOFU, self.after_finish(
                lambda out: b"".join(out.seal(stcp1.PING, b"") for _ in range(65 * 61)))),
        ]
        for i, (code, exits, mode, serve) in enumerate(cases):
            with self.subTest(code, mode=mode):
                self.port = 0
                got, out, err = self.meet(mode, serve, state=f"client-{i}")
                self.assertIn(got, exits, err)
                self.assertEqual(out, b"")
                self.assertRegex(err, rf"\b{code}\b")

    def test_changed_key_is_F7(self) -> None:
        def honest(sock) -> None:
            peer = stcp1.serve_one(sock, TOFU, timeout=st.WAIT)
            peer.end()
            peer.receive_all()

        self.assertEqual(self.meet(TOFU, honest)[0], 0)
        code, out, err = self.meet(TOFU, self.second_step(TOFU))
        self.assertEqual((code, out), (3, b""), err)
        self.assertRegex(err, r"\bF7\b")

    def test_silent_server_is_known_at_the_deadline(self) -> None:
        code, out, err = self.meet(TOFU, lambda sock: None, "--handshake-timeout", "1s")
        self.assertEqual((code, out), (4, b""), err)
        self.assertIn("kept silent", err)


if __name__ == "__main__":
    harness.main()
