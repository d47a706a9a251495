"""T2, T4, T8, T9, T14 for STT over UDP: datagrams of a running session that are altered, replayed, late, or another's, and a peer
that holds the keys and lies about what came. A fault before the tag has verified is silence, and the session does not mind; one
behind it ends the session with CLOSE and its code."""

import os
import random

import stt_udp_harness
from stt_udp_harness import KEYS, PROTOCOL, Ended, frames, st, tlv

INIT, FIN, PADDED, REL = frames.INIT, frames.FIN, frames.PADDED, frames.REL
v = tlv.varint


class Sessions(stt_udp_harness.UdpCase):
    def setUp(self) -> None:
        super().setUp()
        self.server = self.serve()

    def check_ignored(self, peer, what: str, *datagrams: bytes) -> None:
        """None of them says anything to the server, and none is acknowledged."""
        for data in datagrams:
            peer.send(data)
        came = peer.settle()
        self.assertEqual([f.type for f, _ in came if f.type != frames.CONTROL], [], what)
        self.assertEqual(peer.messages_of(came), [], what)

    def test_each_flipped_bit_is_silence(self) -> None:
        with self.server.session() as peer:
            peer.settle()
            data = peer.data(1, v(0) + b"x" * 20, INIT | FIN)
            number = peer.next_sent - 1
            for bit in range(0, len(data) * 8, 1 if st.FULL else 3):
                wrong = bytearray(data)
                wrong[bit // 8] ^= 1 << bit % 8
                peer.send(bytes(wrong))
                if bit % 64 == 0:
                    self.check_ignored(peer, f"to bit {bit}")
            self.check_ignored(peer, "all of them")
            self.assertNotIn(number, peer.acked)
            peer.send(data)
            peer.pump(lambda: 1 in peer.streams and peer.streams[1].is_whole)
            self.assertEqual(bytes(peer.streams[1].got), b"x" * 20, "and the right one counts, once")
            peer.settle()
            self.assertIn(number, peer.acked)

    def test_frames_that_are_none(self) -> None:
        with self.server.session() as peer:
            sid, body = peer.session_id, bytes(16)

            def head(kind=2, stream=v(1), number=v(1000), flags=b"\3") -> bytes:
                return b"ST" + bytes([kind]) + sid + stream + number + flags

            rows = {
                "magic": b"TS" + head()[2:] + v(16) + body + b"\1\0",
                "type 0": head(kind=0) + v(16) + body + b"\1\0",
                "type 6": head(kind=6) + v(16) + body + b"\1\0",
                "stream 65536": head(stream=v(65536)) + v(16) + body + b"\1\0",
                "an overlong stream id": head(stream=b"\x81\0") + v(16) + body + b"\1\0",
                "number 2^62": head(number=v(1 << 62)) + v(16) + body + b"\1\0",
                "number 2^62 - 1": head(number=v((1 << 62) - 1)) + v(16) + body + b"\1\0",
                "a reserved flag": head(flags=b"\x41") + v(16) + body + b"\1\0",
                "FIN on CONTROL": head(kind=3, stream=v(0), flags=b"\5") + v(16) + body + b"\1\0",
                "DATA on stream 0": head(stream=v(0)) + v(16) + body + b"\1\0",
                "15 bytes of payload": head() + v(15) + body[1:] + b"\1\0",
                "2^32 bytes told": head() + v(1 << 32) + body + b"\1\0",
                "2^64 - 1 bytes told": head() + v((1 << 64) - 1) + body + b"\1\0",
                "no Meta": head() + v(16) + body + b"\0",
                "an epoch above 32 bits": head() + v(16) + body + b"\5" + v(1 << 32),
                "2^63 bytes of Meta told": head() + v(16) + body + v(1 << 63),
                "a cut head": head()[:11],
                "no tag of ours": head() + v(16) + body + b"\1\0",
                "an epoch that nobody asked for": frames.Keys(peer.sending.root, 1).seal(
                    frames.Frame(frames.CONTROL, sid, 0, 1000), frames.control(frames.ping(1))),
                "another stream's key": self.resealed(peer),
                "a stream that was never opened": peer.data(1, v(0) + b"a"),
                "HELLO": peer.initiator.hello_frame(),
            }
            for what, data in rows.items():
                self.check_ignored(peer, what, data)
            peer.bye()

    @staticmethod
    def resealed(peer) -> bytes:
        """A DATA frame of stream 3 under stream 1's key."""
        frame = frames.Frame(frames.DATA, peer.session_id, 3, 1000, INIT | REL)
        header = frame.make_header(16 + 4)
        sealed = frames.stc.gcm_seal(peer.sending.of_stream(1), peer.sending.nonce(1000), header + v(0), frames.init() + v(0))
        return header + sealed + b"\1\0"

    def test_frames_before_a_fault_stand(self) -> None:
        with self.server.session() as peer:
            number = peer.next_sent
            first, third = peer.control(frames.ping(1)), peer.control(frames.ping(3))
            peer.send(first + b"ST" + third)
            peer.settle()
            self.assertIn(number, peer.acked)
            self.assertNotIn(number + 1, peer.acked)
            peer.bye()

    def test_replays_bring_nothing_again(self) -> None:
        with self.server.session() as peer:
            recorded: list[bytes] = []
            send = peer.send
            peer.send = lambda data, *rest: (recorded.append(data), send(data, *rest))
            data = os.urandom(50_000)
            self.assertEqual(peer.echo(data), data)
            for epoch in range(3):
                peer.rotate()
                data = os.urandom(20_000)
                self.assertEqual(peer.echo(data, 2 * epoch + 3), data)
            peer.settle()
            peer.send = send
            before = peer.frames_in
            for _ in range(st.count(20)):
                random.Random(1).shuffle(recorded)
                self.check_ignored(peer, "datagrams of four epochs, in any order", *recorded)
            self.assertLess(peer.frames_in - before, 20 * st.count(20), "they are not acknowledged anew")
            self.assertEqual(peer.echo(b"new", 99), b"new")
            peer.bye()

    def test_late_frames_of_the_last_epoch(self) -> None:
        with self.server.session() as peer:
            early = peer.data(1, v(0) + b"first ", INIT)
            old = peer.sending
            peer.rotate()
            self.assertEqual(peer.echo(b"in epoch 1", 3), b"in epoch 1")
            beyond = peer.next_sent + 5
            forged = old.seal(frames.Frame(frames.DATA, peer.session_id, 5, beyond, INIT | FIN | REL),
                              frames.init() + v(0) + b"no")
            self.check_ignored(peer, "an old key for a number of the new epoch", forged)
            self.assertNotIn(5, peer.streams)
            peer.send(early)
            peer.post(frames.DATA, 1, v(6) + b"second", FIN | REL)
            peer.pump(lambda: 1 in peer.streams and peer.streams[1].is_whole)
            self.assertEqual(bytes(peer.streams[1].got), b"first second", "what was overtaken by the rotation counts")
            peer.bye()

    def test_any_order_and_gaps(self) -> None:
        with self.server.session() as peer:
            data = os.urandom(100_000)
            datagrams = [peer.data(1, v(at) + data[at:at + 1000], INIT | (FIN if at + 1000 == len(data) else 0))
                         for at in range(0, len(data), 1000)]
            random.Random(2).shuffle(datagrams)
            for one in datagrams[:-1]:
                peer.send(one)
            peer.settle()
            self.assertFalse(1 in peer.streams and peer.streams[1].is_whole, "one is missing")
            peer.send(datagrams[-1])
            out = peer.streams.setdefault(1, stt_udp_harness.datagram.Stream(own=True))
            peer.pump(lambda: out.is_whole)
            self.assertEqual(bytes(out.got), data)
            peer.bye()

    def test_another_sessions_datagrams(self) -> None:
        with self.server.session() as one, self.server.session() as other:
            stolen = [one.control(frames.close(0)), one.data(1, v(0) + b"a", INIT)]
            self.check_ignored(other, "under this session's id", *(s[:3] + other.session_id + s[11:] for s in stolen))
            reflected = []
            receive = other.receive
            other.receive = lambda *rest: (lambda d: (reflected.append(d) if d else None, d)[1])(receive(*rest))
            data = os.urandom(5000)
            self.assertEqual(other.echo(data, 3), data)
            other.receive = receive
            self.check_ignored(other, "the server's own", *reflected)
            self.assertEqual(one.echo(b"still here", 3), b"still here")
            one.bye()
            other.bye()

    # -- lies about what came --
    def check_close(self, what: str, code: int, *make) -> None:
        with self.subTest(what), self.server.session() as peer:
            peer.settle()
            for one in make:
                peer.send(one(peer))
            self.assertEqual(peer.end_code(), code)

    @staticmethod
    def ack(largest: int, ranges: bytes, ecn: tuple = (tlv.NULL, None)):
        message = 3, tlv.u64(largest), tlv.u32(0), tlv.octets(ranges), ecn
        return lambda peer: peer.seal(frames.CONTROL, 0, frames.control(message), 0)

    def test_acknowledgements_of_what_was_never_sent(self) -> None:
        self.check_close("one ahead", PROTOCOL, lambda peer: self.ack(peer.got.ranges[-1][1] + 1000, v(1))(peer))
        self.check_close("far ahead", PROTOCOL, self.ack((1 << 62) - 1, v(1)))
        self.check_close("2^64 - 1", PROTOCOL, self.ack((1 << 64) - 1, v(1)))
        with self.subTest("while much is on its way"), self.server.session() as peer:
            out = peer.write(1, os.urandom(400_000))
            peer.send_streams()
            with self.assertRaises(Ended) as ended:
                peer.pump(lambda: len(out.got) > 100_000)
                peer.send(self.ack(10_000_000, v(10_000_001))(peer))
                peer.pump(lambda: False)
            self.assertEqual(ended.exception.code, PROTOCOL)

    def test_ranges_that_are_none(self) -> None:
        rows = {
            "none": b"", "zero long": v(0), "below 0": v(2), "a gap of 0": v(1) + v(0) + v(1), "ends with a gap": v(1) + v(1),
            "a gap to below 0": v(1) + v(1) + v(1), "an overlong varint": b"\x81\0", "cut": b"\x81",
            "2^64 - 1 long": v((1 << 64) - 1), "a gap of 2^63": v(1) + v(1 << 63) + v(1),
        }
        for what, ranges in rows.items():
            self.check_close(what, PROTOCOL, self.ack(0, ranges))
        self.check_close("33 ranges", PROTOCOL, self.enough, self.ack(64, b"\1\1" * 32 + b"\1"))
        self.check_close("marks that are none", PROTOCOL, self.ack(0, v(1), tlv.octets(v(1) + v(2))))
        self.check_close("a small largest", PROTOCOL, lambda peer: peer.seal(frames.CONTROL, 0, frames.control(
            (3, tlv.u32(0), tlv.u32(0), tlv.octets(v(1)), (tlv.NULL, None))), 0))

    @staticmethod
    def enough(peer) -> bytes:
        """The server has sent more than 64 frames."""
        while peer.got.ranges[-1][1] < 70:
            peer.settle()
        return peer.control(frames.ping(1))

    def test_acknowledgements_that_overlap_and_repeat(self) -> None:
        with self.server.session() as peer:
            data = os.urandom(200_000)
            self.assertEqual(peer.echo(data), data)
            top = peer.got.ranges[-1][1]
            for _ in range(st.count(2000)):
                peer.send(self.ack(top, v(top + 1))(peer))
                peer.send(self.ack(top // 2, v(1) + v(1) + v(top // 2 - 1))(peer))
            peer.send(self.ack(64, b"\1\1" * 31 + b"\1")(peer))
            self.assertEqual(peer.messages_of(peer.settle()), [])
            self.assertEqual(peer.echo(data, 3), data)
            peer.bye()

    def test_an_optimist_gets_nothing_that_was_not_asked_for(self) -> None:
        """Acknowledges, and asks for credit, without having read: the window stays within what the server may hold."""
        with self.server.session() as peer:
            out = peer.write(1, os.urandom(1_000_000))
            peer.pump(lambda: len(out.got) >= 200_000)
            while peer.closed is None and not out.is_whole:
                top = peer.got.ranges[-1][1]
                peer.send(self.ack(top, v(top + 1))(peer))
                peer.step(1)
                peer.send_streams()
            self.assertTrue(out.is_whole)
            peer.bye()

    def test_fresh_keys_that_are_none(self) -> None:
        message = lambda *m: lambda peer: peer.control(*m)  # noqa: E731
        public = stt_udp_harness.stcp1.KeyPair().public
        self.check_close("two ahead", KEYS, message(frames.rotate(2, bytes(32), public)))
        self.check_close("of now", KEYS, message(frames.rotate(0, bytes(32), public)))
        self.check_close("without an ephemeral", KEYS, message(frames.rotate(1, bytes(32), None)))
        self.check_close("a point of small order", KEYS, message(frames.rotate(1, bytes(32), bytes(32))))
        self.check_close("unasked", KEYS, message(frames.rotated(1, bytes(32))))
        self.check_close("changed on the second telling", KEYS, message(frames.rotate(1, bytes(32), public)),
                         message(frames.rotate(1, b"\1" * 32, public)))
        with self.subTest("the same twice gets the same"), self.server.session() as peer:
            for _ in range(2):
                peer.send(message(frames.rotate(1, bytes(32), public))(peer))
            said = [m for m in peer.messages_of(peer.settle()) if m[0] == 14]
            self.assertEqual(len({bytes(m[1][1]) for m in said}), 1, said)

    def test_padding_longer_than_its_frame(self) -> None:
        self.check_close("", PROTOCOL, lambda peer: peer.seal(frames.CONTROL, 0, b"\xff\xff", PADDED | REL))

    def test_a_close_is_said_again_and_nothing_after_one(self) -> None:
        with self.server.session() as peer:
            peer.settle()
            peer.send(peer.control(frames.rotated(1, bytes(32))))
            first = peer.receive()
            while b"" == first or peer.closed is None:
                peer.take(first)
                if peer.closed is None:
                    first = peer.receive()
            self.assertEqual(peer.closed[0], KEYS)
            for _ in range(3):
                peer.send(peer.control(frames.ping(9)))
            again = [data for _ in range(3) if (data := peer.receive(0.2)) is not None]
            self.assertEqual([data for data in again if data != first], [], "the same bytes, once for each datagram")
        with self.server.session() as peer, self.server.prober() as prober:
            peer.settle()
            peer.flush_ack()
            peer.send(peer.control(frames.close(0)))
            peer.send(peer.control(frames.ping(9)))
            prober.settle()
            while (data := peer.receive(0)) is not None:
                for _, plaintext in peer.take(data):
                    self.assertNotIn((2, [9]), frames.read_control(plaintext), "nothing is said to one who has closed")


if __name__ == "__main__":
    stt_udp_harness.main()
