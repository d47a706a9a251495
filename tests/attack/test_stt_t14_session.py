"""T2, T3, T8, T9, T14 for STT: sessions whose peer holds the keys and keeps to no rule. A fault before the tag has verified
closes the WebSocket with 1002 and says nothing; one behind it ends the session with CLOSE and its code."""

import os

import stt_harness
from stt_harness import FLOW, KEYS, LIMIT, PROTOCOL, STREAM, Ended, frames, st, tlv

INIT, FIN, MSG_END, PADDED = frames.INIT, frames.FIN, frames.MSG_END, frames.PADDED
v = tlv.varint


def ended(peer) -> tuple[int | None, int | None]:
    return peer.end_code()


class Sessions(stt_harness.SttCase):
    def setUp(self) -> None:
        super().setUp()
        self.server = self.serve()

    def check(self, what: str, expected: tuple, *make) -> None:
        """Each of `make` gives a datagram from the peer; the end must be (code of CLOSE, code of the WebSocket)."""
        with self.subTest(what), self.server.session() as peer:
            for one in make:
                peer.send(one(peer))
            self.assertEqual(ended(peer), expected)

    def check_silent(self, what: str, *make) -> None:
        self.check(what, (None, 1002), *make)

    def check_close(self, what: str, code: int, *make) -> None:
        self.check(what, (code, 3000 + code), *make)

    def test_frames_that_are_none(self) -> None:
        def raw(make):
            return lambda peer: make(peer.session_id)

        head = lambda sid, kind=2, stream=v(1), number=v(0), flags=b"\2": (  # noqa: E731
            b"ST" + bytes([kind]) + sid + stream + number + flags)
        body = bytes(16)
        rows = {
            "magic": lambda sid: b"TS" + head(sid)[2:] + v(16) + body + b"\1\0",
            "type 0": lambda sid: head(sid, kind=0) + v(16) + body + b"\1\0",
            "type 6": lambda sid: head(sid, kind=6) + v(16) + body + b"\1\0",
            "another session": lambda sid: head(os.urandom(8)) + v(16) + body + b"\1\0",
            "stream 65536": lambda sid: head(sid, stream=v(65536)) + v(16) + body + b"\1\0",
            "an overlong stream id": lambda sid: head(sid, stream=b"\x81\0") + v(16) + body + b"\1\0",
            "number 2^62": lambda sid: head(sid, number=v(1 << 62)) + v(16) + body + b"\1\0",
            "a reserved flag": lambda sid: head(sid, flags=b"\x40") + v(16) + body + b"\1\0",
            "FIN on CONTROL": lambda sid: head(sid, kind=3, stream=v(0), flags=b"\4") + v(16) + body + b"\1\0",
            "DATA on stream 0": lambda sid: head(sid, stream=v(0)) + v(16) + body + b"\1\0",
            "CONTROL on stream 1": lambda sid: head(sid, kind=3, flags=b"\0") + v(16) + body + b"\1\0",
            "15 bytes of payload": lambda sid: head(sid) + v(15) + body[1:] + b"\1\0",
            "2^32 bytes told": lambda sid: head(sid) + v(1 << 32) + body + b"\1\0",
            "2^63 bytes told": lambda sid: head(sid) + v(1 << 63) + body + b"\1\0",
            "2^64 - 1 bytes told": lambda sid: head(sid) + v((1 << 64) - 1) + body + b"\1\0",
            "more than the limit": lambda sid: head(sid) + v(131073) + bytes(131073) + b"\1\0",
            "no Meta": lambda sid: head(sid) + v(16) + body + b"\0",
            "an epoch above 32 bits": lambda sid: head(sid) + v(16) + body + b"\5" + v(1 << 32),
            "2^63 bytes of Meta told": lambda sid: head(sid) + v(16) + body + v(1 << 63),
            "a cut head": lambda sid: head(sid)[:9],
            "one byte": lambda sid: b"S",
        }
        for what, make in rows.items():
            self.check_silent(what, raw(make))

    def test_a_flipped_bit(self) -> None:
        size = 60
        for bit in range(0, size * 8, 1 if st.FULL else 41):
            def flipped(peer):
                frame = bytearray(peer.data(1, v(0) + b"x" * 20, INIT))
                frame[bit // 8 % len(frame)] ^= 1 << bit % 8
                return bytes(frame)

            self.check_silent(f"bit {bit}", flipped)

    def test_frames_out_of_their_order(self) -> None:
        ping = frames.control(frames.ping(7))

        def twice(peer):
            frame = peer.control(frames.ping(1))
            return frame + frame

        def swapped(peer):
            first, second = peer.control(frames.ping(1)), peer.control(frames.ping(2))
            return second + first

        self.check_silent("a replay in one message", twice)
        self.check_silent("two frames that changed places", swapped)
        self.check_silent("one that was dropped", lambda peer: (peer.control(frames.ping(1)), peer.control(frames.ping(2)))[1])
        self.check_silent("a number far ahead", lambda peer: peer.seal(frames.CONTROL, 0, ping, number=1 << 40))
        self.check_silent("an epoch that nobody asked for", lambda peer: frames.Keys(peer.sending.root, 1).seal(
            frames.Frame(frames.CONTROL, peer.session_id, 0, 0), ping))
        self.check_silent("bytes left over", lambda peer: peer.control(frames.ping(1)) + b"S")
        self.check_silent("another stream's key", lambda peer: self.resealed(peer))
        with self.server.session() as other:
            stolen = other.control(frames.ping(1))
            self.check_silent("another session's frame", lambda peer: stolen)
            self.check_silent("under this session's id", lambda peer: stolen[:3] + peer.session_id + stolen[11:])

        def reflected(peer):
            peer.send(peer.control(frames.ping(5)))
            answer = peer.receive()
            peer.take(answer)
            return answer

        self.check_silent("the server's own frame", reflected)

    @staticmethod
    def resealed(peer) -> bytes:
        """A DATA frame of stream 3 under stream 1's key."""
        frame = frames.Frame(frames.DATA, peer.session_id, 3, 0, INIT)
        header = frame.make_header(16 + 4)
        sealed = frames.stc.gcm_seal(peer.sending.of_stream(1), peer.sending.nonce(0), header + v(0), frames.init() + v(0))
        return header + sealed + b"\1\0"

    def test_wrong_states(self) -> None:
        hello = lambda peer: peer.initiator.hello_frame()  # noqa: E731
        self.check_silent("HELLO inside a session", hello)
        with self.server.peer() as peer:
            peer.send(peer.initiator.hello_frame())
            peer.initiator.take_response(frames.parse(peer.receive())[0])
            peer.begin()
            peer.send(peer.control(frames.ping(1)))
            with self.assertRaises(Ended) as before_proof:
                peer.receive()
            self.assertIn(before_proof.exception.code, (1002, 1008), "a session frame before the proof")
        with self.server.session() as peer:
            peer.send(peer.control(frames.close(0)))
            peer.send(peer.data(1, v(0) + b"late", INIT))
            self.assertEqual(ended(peer)[1], 1000, "after CLOSE nothing counts")
        with self.server.session() as peer:
            peer.send(peer.control(frames.close(300, "so\x07so")))
            self.assertIn(ended(peer)[1], (1000, 3300), "who takes a CLOSE has nothing to complain about")

    def test_streams_that_may_not_be(self) -> None:
        one = lambda peer: peer.data(1, v(0) + b"a", INIT)  # noqa: E731
        self.check_silent("a stream that was never opened", lambda peer: peer.data(1, v(0) + b"a"))
        self.check_close("INIT in the server's parity", STREAM, lambda peer: peer.data(2, v(0) + b"a", INIT))
        self.check_close("a server's stream that is not", STREAM, lambda peer: peer.data(2, v(0) + b"a"))
        self.check_close("mode 4", PROTOCOL, lambda peer: peer.data(1, v(0) + b"a", INIT, mode=4))
        self.check_close("INIT that is cut", PROTOCOL, lambda peer: peer.seal(frames.DATA, 1, b"\0", INIT))
        self.check_close("an overlong offset", PROTOCOL, lambda peer: peer.data(1, b"\x80\0", INIT))
        self.check_close("MSG_END on bytes", PROTOCOL, lambda peer: peer.data(1, v(0) + b"a", INIT | MSG_END))
        self.check_close("data beyond FIN", STREAM,  # in one message, before the echo has ended the stream
                         lambda peer: peer.data(1, v(0) + b"a", INIT | FIN) + peer.data(1, v(1) + b"b"))
        self.check_close("another final size", STREAM, lambda peer: peer.data(1, v(4) + b"b", INIT | FIN),
                         lambda peer: peer.data(1, v(0) + b"a", FIN))
        self.check_close("RESET below what was seen", STREAM, one,
                         lambda peer: peer.stream_control(1, frames.reset(300, 0)))
        self.check_close("padding longer than its frame", PROTOCOL,
                         lambda peer: peer.seal(frames.CONTROL, 0, b"\xff\xff", PADDED))
        self.check_close("a message too long", LIMIT, lambda peer: peer.data(1, v(0) + v(131072) + b"a", INIT | MSG_END, mode=1))
        self.check_close("a message far ahead", STREAM, lambda peer: peer.data(1, v(16384) + v(0) + b"a", INIT | MSG_END, mode=1))
        self.check_close("FIN with bytes among messages", STREAM, lambda peer: peer.data(1, v(0) + v(0) + b"a", INIT | FIN, mode=1))
        self.check_close("part of an unreliable message", PROTOCOL, lambda peer: peer.data(1, v(0) + v(0) + b"a", INIT, mode=3))

    def test_a_closed_streams_id_is_not_opened_again(self) -> None:
        with self.server.session() as peer:
            self.assertEqual(peer.echo(b"first"), b"first")
            peer.send(peer.data(1, v(0) + b"again", INIT | FIN) + peer.control(frames.ping(3)))
            while True:
                frame, plaintext = peer.next_frame()
                self.assertNotEqual(frame.type, frames.DATA, "the id is used up")
                if (2, [3]) in peer.messages(frame, plaintext):
                    break
            self.assertEqual(peer.echo(b"third", 3), b"third")

    def test_a_thousand_streams_and_one(self) -> None:
        with self.server.session() as peer:
            for i in range(1025):
                peer.send(peer.data(2 * i + 1, v(0), INIT))
            self.assertEqual(ended(peer), (LIMIT, 3000 + LIMIT))

    def test_credit_is_not_exceeded(self) -> None:
        self.check_close("a byte over a stream's window", FLOW, lambda peer: peer.data(1, v(262144) + b"a", INIT))
        self.check_close("a RESET over it", FLOW, lambda peer: peer.data(1, v(0), INIT),
                         lambda peer: peer.stream_control(1, frames.reset(300, 262145)))
        self.check_close("2^62 bytes away", FLOW, lambda peer: peer.data(1, v(1 << 62) + b"a", INIT))
        with self.subTest("a byte over the session's"), self.server.session() as peer:
            for i in range(4):  # gaps, so that nothing is read and nothing granted
                peer.send(peer.data(2 * i + 1, v(262143) + b"a", INIT))
            peer.send(peer.data(9, v(0) + b"a", INIT))
            self.assertEqual(ended(peer), (FLOW, 3000 + FLOW))
        with self.subTest("empty messages cost too"), self.server.session() as peer:
            body = b"".join(peer.data(1, v(i) + v(1) + b"a", (INIT if i == 1 else 0) | MSG_END, mode=1)
                            for i in range(1, 16384))  # each lacks its first byte
            peer.send(body)
            self.assertEqual(ended(peer), (FLOW, 3000 + FLOW))

    def test_control_messages(self) -> None:
        control = lambda body: lambda peer: peer.seal(frames.CONTROL, 0, body)  # noqa: E731
        message = lambda *m: control(frames.control(*m))  # noqa: E731
        self.check_close("no list", PROTOCOL, control(tlv.encode(tlv.u8(1))))
        self.check_close("an empty list", PROTOCOL, control(frames.control()))
        self.check_close("bytes left over", PROTOCOL, control(frames.control(frames.ping(1)) + b"\0"))
        self.check_close("a count of 2^32 - 1", PROTOCOL, control(b"\x40\xff\xff\xff\xff"))
        self.check_close("PING with an i64", PROTOCOL, message((1, (tlv.I64, 5))))
        self.check_close("PING of nothing", PROTOCOL, message((1,)))
        self.check_close("ACK on a WebSocket", PROTOCOL, message(frames.ack(0, 0, v(1))))
        self.check_close("deep nesting in what is unknown", PROTOCOL, message((99, self.nested(20))))
        self.check_close("ROTATE two ahead", KEYS, message(frames.rotate(2, bytes(32), stt_harness.stcp1.KeyPair().public)))
        self.check_close("ROTATE without an ephemeral", KEYS, message(frames.rotate(1, bytes(32), None)))
        self.check_close("ROTATE with a point of small order", KEYS, message(frames.rotate(1, bytes(32), bytes(32))))
        self.check_close("ROTATED unasked", KEYS, message(frames.rotated(1, bytes(32))))
        with self.subTest("an unknown message is passed over"), self.server.session() as peer:
            peer.send(message((99, tlv.text("later")), (13,), frames.ping(8))(peer))
            self.assertEqual(peer.messages(*peer.next_frame()), [(2, [8])])

    @staticmethod
    def nested(depth: int) -> tuple:
        value = tlv.items()
        for _ in range(depth):
            value = tlv.items(value)
        return value

    def test_fresh_keys_of_the_peer(self) -> None:
        with self.server.session() as peer:
            for epoch in (1, 2, 3):
                eph, nonce = stt_harness.stcp1.KeyPair(), os.urandom(32)
                peer.send(peer.control(frames.rotate(epoch, nonce, eph.public)))
                (code, (told, answer)), = peer.messages(*peer.next_frame())
                self.assertEqual((code, told), (14, epoch))
                peer.sending = peer.sending.next(nonce, eph.exchange(answer))
                data = os.urandom(1000)
                self.assertEqual(peer.echo(data, 2 * epoch - 1), data)
            old = frames.Keys(peer.initiator.schedule.i2r)
            peer.sending = old
            peer.send(peer.control(frames.ping(1)))
            self.assertEqual(ended(peer), (None, 1002), "the first epoch is gone")


if __name__ == "__main__":
    stt_harness.main()
