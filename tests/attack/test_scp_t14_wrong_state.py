"""T14 for SCP/1: messages whose bytes are right, in a state or from an end that may not send them. Each is fault 1 and
CLOSE{1}; in the handshake, silence."""

import socket

import scp1
import scp_harness
from scp1 import ACK, CLOSE, DATA, END, INIT, PAD, PART, RESPONSE, RESUME, WHOLE
from scp_harness import MUTUAL, SILENT, SOME_MODES, KeyPair, st

PROTOCOL = scp1.wire.PROTOCOL
FULL_PART = bytes([PART]) + bytes(65536)


def data(kind: int, rest: bytes = b"") -> tuple:
    return DATA, bytes([kind]) + rest


class FromClient(scp_harness.ScpCase):
    def test_what_no_client_may_send(self) -> None:
        server = self.serve()
        cases = {
            "empty plaintext": [(DATA, b"")],
            "kind 5": [data(5)], "kind 255": [data(255, b"x")],
            "RESUME from a client": [data(RESUME, bytes(40))],
            "part that is too short": [data(PART, bytes(65535))], "empty part": [data(PART)],
            "empty last part": [(DATA, FULL_PART), data(WHOLE)],
            "END with something": [data(END, b"x")],
            "END within a message": [(DATA, FULL_PART), data(END)],
            "END twice": [data(END), data(END)],
            "message after END": [data(END), data(WHOLE, b"late")],
            "part after END": [data(END), (DATA, FULL_PART)],
            "receipt of 7 bytes": [(ACK, bytes(7))], "of 9": [(ACK, bytes(9))],
            "third step of no rotation": [(ACK, b"")],
            "INIT of 31 bytes": [(INIT, bytes(31))], "of 33": [(INIT, bytes(33))], "empty": [(INIT, b"")],
            "two rotations at once": [(INIT, KeyPair().public), (INIT, KeyPair().public)],
            "RESPONSE from a client": [(RESPONSE, KeyPair().public)],
            "CLOSE without a code": [(CLOSE, b"")], "with two": [(CLOSE, b"\0\0")],
            **{f"CLOSE {code}": [(CLOSE, bytes([code]))] for code in (2, 3, 4, 8, 12, 13, 255)},
        }
        for name, messages in cases.items():
            with self.subTest(name), server.connect() as peer:
                def attack() -> None:
                    peer.send_raw(b"".join(peer.out.seal(kind, text) for kind, text in messages))
                    kind = None
                    while kind not in (CLOSE, RESPONSE):  # behind RESPONSE, to the first INIT of two, keys have changed
                        kind, text = peer.connection.incoming.open(scp1.read_message(peer.sock))
                    if kind == CLOSE:
                        self.assertEqual(bytes([PROTOCOL]), text)
                    peer.sock.shutdown(socket.SHUT_WR)
                    st.read_to_end(peer.sock)
                server.named("SL-P06", attack)

    def test_receipt_for_what_was_never_sent(self) -> None:
        server = self.serve()
        for n in (1, 2, 2**32, 2**63, 2**64 - 1):
            with self.subTest(n=n), server.connect() as peer:
                server.named("SL-P06", lambda: (peer.send_raw(peer.connection.make_receipt(n)),
                                                self.assertEqual(PROTOCOL, scp_harness.closes(peer))))

    def test_receipt_that_falls(self) -> None:
        server = self.serve()
        with server.connect() as peer:
            for line in (b"a", b"b"):
                peer.send(line)
                self.assertEqual(line, peer.receive())
            peer.send_raw(peer.connection.make_receipt(1))
            self.assertEqual(PROTOCOL, scp_harness.closes(peer))

    def test_nothing_is_served_before_ack(self) -> None:
        for mode in SOME_MODES:
            server = self.serve(mode=mode, name=f"server-{mode}")
            for kind in (INIT, RESPONSE, DATA, CLOSE, 0, 6, 255):
                with self.subTest(mode=mode, kind=kind):
                    sock, client = server.shaken()
                    with sock:
                        message = bytearray(client.ack())
                        message[1] = kind
                        sock.sendall(bytes(message) + client.c2s.seal(DATA, b"\0behind it"))
                        self.assertEqual(SILENT, st.read_to_end(sock))
            # The honest client before it, of whom the listener may tell late, and nobody else.
            self.assertLessEqual(server.program.stderr.count("connected to"), 1)

    def test_opening_that_is_none(self) -> None:
        server = self.serve(mode=MUTUAL)
        for name, opening in {"flag 04": b"\4\0\1\0\0", "flag 02 alone": b"\2\0\1\0\0" + bytes(56),
                              "flag 02 and no block": b"\3\0\1\0\0", "block and no flag": b"\1\0\1\0\0" + bytes(56),
                              "too small a limit": b"\0\0\0\xff\xff"}.items():
            with self.subTest(name):
                sock, client = server.shaken()
                with sock:
                    sock.sendall(client.ack(opening=opening))
                    self.assertEqual(SILENT, st.read_to_end(sock))

    def test_nothing_is_taken_after_close(self) -> None:
        server = self.serve(command="tee /dev/stderr")
        with server.connect() as peer:
            peer.send_raw(peer.connection.make_message(b"in time") + peer.connection.make_close()
                          + peer.out.seal(DATA, b"\0too late"))
            st.read_to_end(peer.sock)
        server.program.wait_line("^in time$")
        self.assertNotIn("too late", server.program.stderr)

    def test_what_is_allowed_works(self) -> None:
        """The other side of the same rules: PAD between parts, rotations between parts, PAD after END."""
        server = self.serve()
        with server.connect() as peer:
            peer.send_raw(peer.out.seal(DATA, FULL_PART) + peer.connection.make_pad(100)
                          + peer.connection.make_receipt())
            peer.rotate()
            peer.send_raw(peer.out.seal(*data(WHOLE, b"end of it")) + peer.connection.make_pad(0))
            peer.channel.sent.append(b"")
            self.assertEqual(bytes(65536) + b"end of it", peer.receive())
            peer.end()
            peer.send_raw(peer.connection.make_pad(65000))
            self.assertIsNone(peer.receive())


class FromServer(scp_harness.ScpCase):
    def test_what_no_server_may_send(self) -> None:
        cases = {"INIT from a server": (INIT, KeyPair().public), "RESPONSE to nothing": (RESPONSE, KeyPair().public),
                 "third step from a server": (ACK, b""), "RESUME unasked": data(RESUME, bytes(40)),
                 "kind 9": data(9), "receipt for what was never sent": (ACK, (5).to_bytes(8, "big")),
                 "CLOSE 4": (CLOSE, b"\4")}
        for i, (name, message) in enumerate(cases.items()):
            got = []

            def serve(sock) -> None:
                peer = scp1.serve_one(sock, MUTUAL, timeout=st.WAIT)
                peer.send_raw(peer.out.seal(*message))
                got.append(scp_harness.closes(peer))
            with self.subTest(name):
                code, out, err = self.meet(serve, state=f"client-{i}")
                self.assertEqual((9, b"", [PROTOCOL]), (code, out, got), err)
                self.assertIn("SL-P06", err)

    def test_first_message_where_the_channel_may_reconnect(self) -> None:
        """RESUME or CLOSE where it was asked for, ACK{0} where not; in NN anything else may be a stranger's."""
        cases = {"a message": data(WHOLE, b"hello"), "ACK 1": (ACK, (1).to_bytes(8, "big")), "END": data(END),
                 "PAD": data(PAD), "RESUME": data(RESUME, bytes(40))}
        for i, (name, message) in enumerate(cases.items()):
            def serve(sock) -> None:
                ends = scp1.Responder(MUTUAL, static=KeyPair(), reconnect=True)
                ends.init(scp1.read_exactly(sock, scp1.HEAD + scp1.init_length(MUTUAL) + scp1.MAC))
                sock.sendall(ends.response())
                ends.ack(scp1.read_exactly(sock, scp1.HEAD + scp1.ack_length(MUTUAL) + scp1.MAC))
                sock.sendall(ends.s2c.seal(*message))
            with self.subTest(name):
                code, out, err = self.meet(serve, "--reconnect", state=f"client-{i}")
                self.assertEqual((9, b""), (code, out), err)


if __name__ == "__main__":
    scp_harness.main()
