"""The codes of SCP/1, each provoked: what the log and the exit code call it, and what of it is on the wire."""

import os
import signal

import scp1
import scp_harness
from scp1 import CLOSE, DATA, wire
from scp_harness import MUTUAL, SILENT, KeyPair, st

NOTHING = None


def spoiled(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


class AtTheListener(scp_harness.ScpCase):
    def test_each_code_of_a_client(self) -> None:
        server = self.serve()
        cases = {
            (1, "SL-P06"): (lambda out: out.seal(DATA, b"\x09"), wire.PROTOCOL),
            (2, "SL-A13"): (lambda out: spoiled(out.seal(DATA, b"\0x")), NOTHING),
            (3, "SL-A08"): (lambda out: out.seal(DATA, b"\0x", nonce_seq=77), NOTHING),
            (4, "SL-A07"): (lambda out: out.seal(DATA, b"\0x", seq=77), NOTHING),
            (8, "SL-M10"): (lambda out: out.seal(DATA, b"\0x", version=2), NOTHING),
        }
        for (code, name), (make, on_wire) in cases.items():
            with self.subTest(code), server.connect() as peer:
                server.named(name, lambda: (peer.send_raw(make(peer.out)),
                                            self.assertEqual(on_wire, scp_harness.closes(peer))))

    def test_end_without_close_is_truncated(self) -> None:
        server = self.serve()
        for how in ("fin", "rst"):
            with self.subTest(how):
                peer = server.connect()
                peer.send(b"x")
                self.assertEqual(b"x", peer.receive())
                server.named("SL-P04", peer.sock.close if how == "fin" else lambda: st.reset(peer.sock))

    def test_unknown_channel(self) -> None:
        server = self.serve()
        thief = scp1.Channel(os.urandom(32))

        def attack() -> None:
            with self.assertRaises(scp1.Fault) as fault:
                server.connect(reconnect=True, resume=thief.resume_block)
            self.assertEqual(wire.UNKNOWN_CHANNEL, fault.exception.code)
        server.named("SL-P09", attack)

    def test_silence_is_a_timeout(self) -> None:
        server = self.serve("--idle-timeout", "500ms")
        with server.connect() as peer:
            self.assertEqual(wire.TIMEOUT, scp_harness.closes(peer))

    def test_second_signal_is_going_away(self) -> None:
        listener = st.Listener(["msg", "-l", "127.0.0.1:0", "--exec", "cat"], state=self.state / "going")
        self.addCleanup(listener.kill)
        with scp1.connect(listener.address, MUTUAL, source=st.fresh_source(), timeout=st.WAIT) as peer:
            peer.send(b"x")
            self.assertEqual(b"x", peer.receive())
            listener.process.send_signal(signal.SIGTERM)
            listener.wait_line("draining")
            listener.process.send_signal(signal.SIGTERM)
            self.assertEqual(wire.GOING_AWAY, scp_harness.closes(peer))
        self.assertEqual(143, listener.wait())

    def test_command_that_fails_is_an_internal_error(self) -> None:
        server = self.serve(command="exit 1")
        with server.connect() as peer:
            self.assertEqual(wire.INTERNAL, scp_harness.closes(peer))


class AtTheClient(scp_harness.ScpCase):
    """The real client, before a server that does it. Its exit code says the kind, its message the code."""

    def test_each_code_of_a_server(self) -> None:
        def raw(make):
            def serve(sock) -> None:
                peer = scp1.serve_one(sock, MUTUAL, timeout=st.WAIT)
                peer.send_raw(make(peer.out))
            return serve

        def close(code: int):
            return raw(lambda out: out.seal(CLOSE, bytes([code])))

        def leave(sock) -> None:
            peer = scp1.serve_one(sock, MUTUAL, timeout=st.WAIT)
            peer.receive()  # and a receipt for it
            sock.close()
            return True

        cases = [
            (1, "SL-P06", 9, raw(lambda out: out.seal(DATA, b"\x09"))), (1, "SL-P06", 9, close(1)),
            (2, "SL-A13", 7, raw(lambda out: spoiled(out.seal(DATA, b"\0x")))),
            (3, "SL-A08", 7, raw(lambda out: out.seal(DATA, b"\0x", nonce_seq=77))),
            (4, "SL-A07", 7, raw(lambda out: out.seal(DATA, b"\0x", seq=77))),
            (5, "SL-L10", 6, close(5)), (6, "SL-L04", 6, close(6)), (7, "SL-L11", 6, close(7)),
            (8, "SL-M10", 9, raw(lambda out: out.seal(DATA, b"\0x", version=2))),
            (9, "SL-P07", 6, close(9)), (10, "SL-P08", 1, close(10)), (11, "SL-P09", 1, close(11)),
            (12, "SL-P04", 7, leave),
        ]
        for i, (code, name, status, serve) in enumerate(cases):
            with self.subTest(code):
                got, out, err = self.meet(serve, state=f"client-{i}", ends=False)
                self.assertEqual((status, b""), (got, out), err)
                self.assertIn(f"error[{name}]", err)
                self.assertRegex(err, r"(?m)^  \d+ of \d+ messages have their receipt, \d+ of unknown fate$")

    def test_normal_close_before_all_has_come_is_said(self) -> None:
        def serve(sock) -> None:
            peer = scp1.serve_one(sock, MUTUAL, timeout=st.WAIT, acknowledges=False)
            peer.receive()
            peer.close(0)
        code, out, err = self.meet(serve, data=b"one\ntwo\n")
        self.assertEqual((1, b""), (code, out), err)
        self.assertIn("of unknown fate", err)

    def test_faults_of_the_handshake_are_silent_and_authentication(self) -> None:
        def response(spoil):
            def serve(sock) -> None:
                server = scp1.Responder(MUTUAL, static=KeyPair())
                server.init(scp1.read_exactly(sock, scp1.HEAD + scp1.init_length(MUTUAL) + scp1.MAC))
                sock.sendall(spoil(server))
                self.after = st.read_to_end(sock)
            return serve

        for i, (statuses, spoil) in enumerate((
                ((3,), lambda s: spoiled(s.response())), ((3,), lambda s: s.response(key=bytes(32))),
                ((3, 9), lambda s: s.response(m4=b"\4\1\0\1")), ((3, 9), lambda s: s.response(payload=b"\x80\1\0\0\0")),
                ((3, 9), lambda s: s.response(payload=b"\0\0\0\0\1")), ((9,), lambda s: b"\2" + s.response()[1:]),
                ((9,), lambda s: b"HTTP/1.1 400 no\r\n\r\n" * 9))):
            with self.subTest(i):
                code, out, err = self.meet(response(spoil), state=f"client-{i}")
                self.assertIn(code, statuses, err)
                self.assertEqual((b"", SILENT), (out, self.after))


if __name__ == "__main__":
    scp_harness.main()
