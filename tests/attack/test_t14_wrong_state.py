"""T14: records in a state that does not expect them, from clients and from servers. Each ends in silence."""

import socket
import threading

import harness
from harness import ALL_MODES, ANON, MUTUAL, PSK, TOFU, KeyPair, st, stcp1
from stcp1 import CLOSE, DATA, FINISH, PIN_UPDATE, PING, REKEY


class FromClient(harness.AttackCase):
    def test_first_record_that_is_no_finish(self) -> None:
        for mode in ALL_MODES:
            server = self.serve(mode=mode, psk=b"\xe1" * 32 if mode == PSK else None, name=f"server-{mode}")
            served = self.echo.connections
            size = 0 if mode == PSK else 32
            for kind in (DATA, CLOSE, REKEY, PING, PIN_UPDATE, 4, 7, 255):
                with self.subTest(mode=mode, kind=kind), server.dial() as sock:
                    client = server.initiator()
                    sock.sendall(client.step1())
                    client.step2(stcp1.read_exactly(sock, 24 + stcp1.message_length(mode, 2)))
                    out = client.step3() if mode == MUTUAL else b""
                    session = client.session()
                    out += session.out.seal(kind, client.finish_data()[:size])
                    out += session.data(b"data behind it")
                    sock.sendall(out)
                    self.assertEqual(st.read_to_end(sock), harness.SILENT)
            self.assertEqual(self.echo.connections, served, "served before FINISH")

    def test_records_out_of_place(self) -> None:
        server = self.serve()
        cases = {
            "FINISH twice": [(FINISH, bytes(32))],
            "FINISH of another size": [(FINISH, b"")],
            "R3 unasked": [(REKEY, b"")],
            "R1 twice": [(REKEY, KeyPair().public), (REKEY, KeyPair().public)],
            "R1 of small order": [(REKEY, bytes(32))],
            "PIN_UPDATE from a client": [(PIN_UPDATE, bytes(32))],
            "REKEY of 31 bytes": [(REKEY, bytes(31))],
            "REKEY of 33 bytes": [(REKEY, bytes(33))],
            "PING with data": [(PING, b"x")],
            "CLOSE without a reason": [(CLOSE, b"")],
            "CLOSE with two": [(CLOSE, b"\0\0")],
            "type 4": [(4, b"")], "type 7": [(7, b"x")], "type 128": [(128, b"x")], "type 255": [(255, b"x" * 32)],
        }
        for name, records in cases.items():
            with self.subTest(name), server.connect() as peer:
                peer.send(b"before")
                self.assertEqual(peer.receive_exactly(6), b"before")
                taken = self.echo.bytes_in
                peer.send_raw(b"".join(peer.session.out.seal(k, d) for k, d in records)
                              + peer.session.out.seal(DATA, b"behind"))
                answer, end = st.read_to_end(peer.sock)
                # Of the two R1 the first may have been answered before the second was read.
                self.assertIn((len(answer), end), ((0, "fin"), (76 if name == "R1 twice" else 0, "fin")))
                self.assertEqual(self.echo.bytes_in, taken)

    def test_pad_that_is_longer_than_its_record(self) -> None:
        server = self.serve()
        for pad in (1, 5, 2**24 - 1):
            with self.subTest(pad=pad), server.connect() as peer:
                peer.send_raw(peer.session.out.seal(DATA, b"", pad_field=pad))
                self.assertEqual(st.read_to_end(peer.sock), harness.SILENT)

    def test_records_after_close(self) -> None:
        """Whatever comes after CLOSE is not delivered, and what was before it is."""
        server = self.serve()
        self.echo.received.clear()
        in_time = []
        for kind, data in ((DATA, b"late"), (DATA, b""), (PING, b""), (CLOSE, b"\0"), (REKEY, KeyPair().public)):
            with self.subTest(kind=kind), server.connect() as peer:
                in_time.append(f"in time {len(in_time)}.".encode())
                peer.send_raw(peer.session.data(in_time[-1]) + peer.session.close()
                              + peer.session.out.seal(kind, data))
                st.read_to_end(peer.sock)
                # What was in time may be on its way still when the attacker sees the end.
                received = bytes(self.echo.received)
                for text in in_time:
                    received = received.replace(text, b"", 1)
                self.assertEqual(received, b"")

    def test_rekeys_that_cross_are_no_fault(self) -> None:
        """The other side of the same rules: what is allowed works, DATA in between included."""
        for mode in ALL_MODES:
            server = self.serve(mode=mode, psk=b"\xe2" * 32 if mode == PSK else None, name=f"rekey-{mode}")
            with server.connect() as peer:
                peer.rekey()
                peer.send(b"between R1 and R3")
                self.assertEqual(peer.receive_exactly(17), b"between R1 and R3")
                self.assertEqual(peer.session.rekeys_done, 1)
                peer.send(b"epoch 1")
                self.assertEqual(peer.receive_exactly(7), b"epoch 1")
                self.assertEqual((peer.session.c2s.epoch, peer.session.s2c.epoch), (1, 1))
                for _ in range(3):
                    peer.rekey()
                    peer.send(b"again")
                    self.assertEqual(peer.receive_exactly(5), b"again")
                peer.end()
                self.assertEqual(peer.receive_all(), b"")

    def test_too_many_rekeys_are_a_fault(self) -> None:
        """16 and one more for each second and each MiB. The attacker keeps every other rule."""
        server = self.serve()
        with server.connect() as peer, self.assertRaises(stcp1.Truncated):
            for _ in range(16 + 120):
                peer.rekey()
                while peer.session.rekey_key is not None:
                    peer.receive_record()
                peer.send(b"x")  # so that it is not the limit of empty records that ends it


class FromServer(harness.AttackCase):
    """The real client before a server that breaks rules after an honest handshake."""

    def meet(self, mode: int, records, first: bytes = b"") -> tuple:
        listener = socket.create_server(("127.0.0.1", 0))
        seen = []
        psk = b"\xe3" * 32 if mode == PSK else None

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                peer = stcp1.serve_one(sock, mode, static=self.key, psk=psk, timeout=st.WAIT)
                peer.send_raw(b"".join(peer.session.out.seal(k, d) for k, d in records))
                seen.append(st.read_to_end(sock))

        thread = threading.Thread(target=serve)
        thread.start()
        # Standard input stays open: the client has something to go on for.
        program = self.pipe(f"127.0.0.1:{listener.getsockname()[1]}", *self.client_flags(mode, psk),
                            state=f"c{mode}-{len(self.seen)}", stdin="pipe")
        self.seen.append(program)
        code = program.wait()
        thread.join(st.WAIT)
        listener.close()
        program.assert_sound()
        return code, bytes(program.output), program.stderr, seen

    def setUp(self) -> None:
        super().setUp()
        self.key = KeyPair()
        self.seen: list = []

    def test_records_out_of_place(self) -> None:
        cases = {
            "FINISH from a server": (ANON, [(FINISH, bytes(32))]),
            "R2 unasked": (TOFU, [(REKEY, KeyPair().public)]),
            "PIN_UPDATE in another mode": (PSK, [(PIN_UPDATE, bytes(32))]),
            "PIN_UPDATE of 31 bytes": (TOFU, [(PIN_UPDATE, bytes(31))]),
            "type 4": (TOFU, [(4, b"")]),
            "CLOSE with two reasons": (MUTUAL, [(CLOSE, b"\0\0")]),
            "65 empty records": (TOFU, [(DATA, b"")] * (65 + 64 * 60)),
        }
        for name, (mode, records) in cases.items():
            with self.subTest(name):
                code, out, err, seen = self.meet(mode, [(DATA, b"good"), *records, (DATA, b"bad")])
                self.assertIn(code, (7, 9), err)
                self.assertEqual(out, b"good")
                answer, end = seen[0]
                self.assertIn(end, ("fin", "rst"))
                self.assertEqual(answer, b"", "bytes after a fault")

    def test_abort_is_an_error_after_the_data(self) -> None:
        for reason in (1, 2, 3, 77, 255):
            with self.subTest(reason=reason):
                code, out, err, seen = self.meet(TOFU, [(DATA, b"so far"), (CLOSE, bytes([reason]))])
                self.assertNotIn(code, (0, 2, 3), err)
                self.assertEqual(out, b"so far")
                self.assertEqual(len(seen[0][0]), 24 + 21, "the answer is CLOSE with the same reason")


if __name__ == "__main__":
    harness.main()
