"""T4, T5, T6, T7, T8, T10, T11 for STT over UDP: a handshake that is altered, replayed, reflected, or made without the seed.
Whatever is wrong, the answer is the same: none."""

import os
import threading

import stt_udp_harness
from stt_udp_harness import SMALL_ORDER, UdpServer, answering, frames, handshake, st, stcp1, tlv

IMPATIENT = ("--handshake-timeout", "1s")


class Handshakes(stt_udp_harness.UdpCase):
    def setUp(self) -> None:
        super().setUp()
        self.server = self.serve()

    def altered(self, **fields) -> bytes:
        initiator = self.initiator()
        initiator.hello |= fields
        initiator.commit()
        initiator.hello |= fields
        initiator.hello["commitment"] = handshake.commitment_of(initiator.prk0, initiator.hello)
        return initiator.hello_frame()

    def test_each_flipped_bit_of_hello_is_silence(self) -> None:
        bits = [*range(11 * 8, 420 * 8, 1 if st.FULL else 23), *range(420 * 8, 1200 * 8, 1 if st.FULL else 397)]
        with self.server.prober() as prober:  # behind the dial's own id
            for group in range(0, len(bits), 50):
                for bit in bits[group:group + 50]:
                    hello = bytearray(self.initiator().hello_frame())
                    hello[bit // 8] ^= 1 << bit % 8
                    prober.send(bytes(hello))
                self.assertEqual(prober.settle(), [], f"bits {bits[group:group + 50]}")

    def test_each_flipped_bit_of_the_proof_is_silence_and_ends_nothing(self) -> None:
        with self.server.peer() as peer, self.server.prober() as prober:
            proof = peer.hello()
            peer.begin()
            for bit in range(0, len(proof) * 8, 1 if st.FULL else 7):
                wrong = bytearray(proof)
                wrong[bit // 8] ^= 1 << bit % 8
                peer.send(bytes(wrong))
            self.assertEqual(prober.answers_to(proof), [], "another address")
            peer.send(peer.control(frames.ping(1)))
            self.assertIsNone(peer.receive(0), "nor is there a session")
            rest = peer.repeat(proof, peer.take_final)
            peer.take(rest)
            self.assertEqual(peer.frames_in, 0, "the first answer of all is FINAL")
            self.assertEqual(peer.echo(b"both have the same view"), b"both have the same view")
            peer.bye()

    def test_a_datagram_with_hello_is_1200_bytes(self) -> None:
        with self.server.prober() as prober:
            for size in (0, 1199):
                self.assertEqual(prober.answers_to(self.initiator(fill=size).hello_frame()), [])
            for size in (1200, 1201, 1400):
                answer, = prober.answers_to(self.initiator(fill=size).hello_frame())
                self.assertLess(len(answer), 1200)

    def test_points_of_small_order(self) -> None:
        rows = [self.altered(eph=point[:31] + bytes([point[31] | high])) for point in SMALL_ORDER for high in (0, 0x80)]
        self.assertEqual(self.server.answers_to(*rows), [])

    def test_every_refusal_is_silence(self) -> None:
        wrong_mac = self.initiator()
        wrong_mac.hello["commitment"] = bytes(32)
        rows = {
            "another seed": self.initiator(seed=os.urandom(32)).hello_frame(),
            "a wrong commitment": wrong_mac.hello_frame(),
            "a suite to come": self.initiator(suite=2).hello_frame(),
            "no ephemeral": self.initiator(eph=None).hello_frame(),
            "a cookie that was never given": self.altered(cookie=bytes(16)),
            "seventeen capabilities": self.altered(capabilities=[tlv.text("x")] * 17),
            "a long capability": self.altered(capabilities=[tlv.text("x" * 33)]),
            "a pad that is not zero": self.altered(pad=b"\1" * 1000),
            "no value at all": handshake.framed(frames.HANDSHAKE, bytes(8), b"\x42" * 1200),
            "another message": handshake.framed(frames.HANDSHAKE, bytes(8), handshake.encode_message(
                {"type": "RETRY", "cookie": bytes(16)})).ljust(1200, b"\0"),
            "a proof of nothing": handshake.framed(frames.AUTH, os.urandom(8), handshake.encode_message(
                {"type": "AUTH_PROOF", "session_id": bytes(8), "proof": bytes(24), "metadata": bytes(33)})),
            "a FINAL": handshake.framed(frames.AUTH, bytes(8), handshake.encode_message(
                {"type": "FINAL", "session_id": bytes(8), "confirm": bytes(32)})),
            "a session that is not": b"ST\3" + os.urandom(8) + b"\0\0\1\x10" + bytes(16) + b"\1\0",
            "another protocol": os.urandom(1200),
            "nothing but a head": b"ST\1",
            "a byte": b"S",
            "no byte": b"",
            "65,507 bytes": b"ST\1" + bytes(65504),
        }
        with self.server.prober() as prober:
            for what, data in rows.items():
                with self.subTest(what):
                    self.assertEqual(prober.answers_to(data), [])

    def test_a_replayed_hello(self) -> None:
        with self.server.peer() as peer, self.server.prober() as elsewhere:
            hello = peer.initiator.hello_frame()
            marker = handshake.Initiator(self.seed, fill=1200, timestamp=1)

            def answers(count: int) -> list[bytes]:
                """What comes for so many copies, and a question that is always answered."""
                marker.hello["nonce"] = os.urandom(32)
                marker.commit()
                for _ in range(count):
                    peer.send(hello)
                peer.send(marker.hello_frame())
                came = []
                while (data := peer.receive(st.WAIT))[3:11] != marker.handshake_id:
                    came += [data] if data[2] == frames.HANDSHAKE else []
                return came

            first, = answers(1)
            self.assertEqual(elsewhere.answers_to(hello), [], "another address")
            self.assertEqual(answers(10), [first] * 3, "three times more, the same")
            self.assertEqual(answers(10), [])
            proof = peer.initiator.take_response(frames.parse(first)[0])
            peer.begin()
            peer.take(peer.repeat(proof, peer.take_final))
            self.assertEqual(answers(3), [], "and when its session stands")
            self.assertEqual(elsewhere.answers_to(hello, proof), [], "the whole flight from elsewhere")
            self.assertEqual(peer.echo(b"goes on"), b"goes on")
            peer.bye()
        with self.server.prober() as prober:
            self.assertEqual(prober.answers_to(hello, proof), [], "when it is over")

    def test_a_replayed_proof(self) -> None:
        with self.server.peer() as peer:
            proof = peer.hello()
            peer.begin()
            final = peer.repeat(proof, lambda data: data if data[2] == frames.AUTH else None)
            peer.initiator.take_final(frames.parse(final)[0])
            frame = frames.parse(final)[0]
            for _ in range(20):
                again = peer.repeat(proof, lambda data: data if data[2] == frames.AUTH else None)
                self.assertEqual(frames.parse(again)[0].payload, frame.payload, "the same FINAL while the session lives")
            self.assertEqual(self.server.answers_to(proof), [], "and none from another address")
            self.assertEqual(peer.echo(b"one session"), b"one session")
            peer.bye()
            source = peer.sock.getsockname()
        with self.server.prober(*source) as prober:
            finals = lambda: [data for data in prober.answers_to(proof, proof) if data[2] == frames.AUTH]  # noqa: E731
            st.wait_until(lambda: finals() == [], what="the session is over")
            self.assertEqual(finals(), [], "and begins no other")

    def test_a_whole_flight_in_another_session(self) -> None:
        with self.server.session() as peer:
            recorded: list[bytes] = []
            send = peer.send
            peer.send = lambda data, *rest: (recorded.append(data), send(data, *rest))
            data = os.urandom(20_000)
            self.assertEqual(peer.echo(data), data)
            peer.bye()
        with self.server.session() as other:
            for one in recorded:
                other.send(one)  # of a session that is over
                other.send(one[:3] + other.session_id + one[11:])
            came = other.settle()
            self.assertEqual([f for f, _ in came if f.type != frames.CONTROL], [])
            self.assertEqual(other.messages_of(came), [])
            self.assertEqual(other.echo(b"untouched"), b"untouched")
            other.bye()

    def test_its_own_node_id_and_its_own_words(self) -> None:
        with self.server.peer() as peer, self.server.prober() as prober:
            response: list[bytes] = []
            proof = peer.repeat(peer.initiator.hello_frame(), lambda data: (response.append(data), peer.take_answer(data))[1])
            message = handshake.parse_message(handshake.unframed(frames.parse(response[0])[0]))
            mirror = self.initiator(node_id=message["node_id"])
            self.assertEqual(prober.answers_to(mirror.hello_frame()), [], "its own node id")
            self.assertEqual(prober.answers_to(response[0], response[0].ljust(1200, b"\0")), [], "its RESPONSE")
            peer.begin()
            final = peer.repeat(proof, lambda data: data if data[2] == frames.AUTH else None)
            peer.initiator.take_final(frames.parse(final)[0])
            peer.send(response[0])
            peer.send(final)
            peer.send(peer.control(frames.ping(5)))
            pong = peer.receive()
            peer.send(pong)  # a frame of the other direction
            peer.take(pong)
            self.assertEqual(peer.messages_of(peer.settle()), [])
            self.assertEqual(peer.echo(b"not confused"), b"not confused")
            peer.bye()

    def test_guessed_seeds(self) -> None:
        with self.server.prober() as prober:
            for guess in range(st.count(2000)):
                seed = self.seed[:-1] + bytes([(self.seed[-1] + 1 + guess % 255) % 256])
                prober.send(self.initiator(seed=seed).hello_frame())
                if guess % 50 == 49:
                    self.assertEqual(prober.settle(), [])
            self.assertEqual(prober.settle(), [])


class Clients(stt_udp_harness.UdpCase):
    """The real client against a server that lies, or a path that does. What is wrong it passes over, and waits on."""

    def check_refused(self, what: str, lie) -> None:
        server = UdpServer(self.seed, lie=lie)
        with answering(server):
            code, out, err = self.run_connect(server.port, b"secret words", *IMPATIENT)
        self.assertNotEqual(code, 0, what)
        self.assertEqual(out, b"", what)
        self.assertGreater(len(server.hellos), 1, f"{what}: it asked on")
        self.assertEqual(server.proofs, [], f"{what}: nothing is proved to a liar")
        self.assertNotIn("secret words", err)

    def test_servers_that_lie(self) -> None:
        def edited(**changes):
            def make(hello):
                answer = handshake.Responder(self.seed).take_hello(hello)
                frame = frames.parse(answer)[0]
                message = handshake.parse_message(handshake.unframed(frame)) | changes
                return handshake.framed(frames.HANDSHAKE, frame.session_id, handshake.encode_message(
                    {k: v for k, v in message.items() if v is not None}))
            return make

        def own_node_id(hello):
            message = handshake.parse_message(handshake.unframed(hello))
            return handshake.Responder(self.seed, node_id=message["node_id"]).take_hello_blindly(hello)

        def elsewhere(hello):
            frame = frames.parse(handshake.Responder(self.seed).take_hello(hello))[0]
            frame.session_id = os.urandom(8)
            return frame.encode()

        rows = {
            "a server without the seed": lambda hello: handshake.Responder(os.urandom(32)).take_hello_blindly(hello),
            "its own HELLO": lambda hello: hello.encode(),
            "its own node id": own_node_id,
            "another dial's id": elsewhere,
            "node_id": edited(node_id=os.urandom(32)),
            "nonce": edited(nonce=os.urandom(32)),
            "eph": edited(eph=stcp1.KeyPair().public),
            "no eph": edited(eph=None),
            "a point of small order": edited(eph=bytes(32)),
            "challenge": edited(challenge=bytes(80)),
            "noise": lambda hello: os.urandom(1200),
        }
        threads = [threading.Thread(target=self.check_row, args=row) for row in rows.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.refused, set(rows))

    refused: set

    def check_row(self, what: str, lie) -> None:
        self.check_refused(what, lie)
        self.refused.add(what)

    def setUp(self) -> None:
        super().setUp()
        self.refused = set()
        self.seed_file(self.seed)

    def test_a_bit_that_is_flipped_on_its_way_costs_a_repeat(self) -> None:
        """The first copy of a message has a wrong bit: it is passed over, the next one counts, and both ends agree."""
        server = self.serve()
        types = {"HELLO": "up", "RESPONSE": "down", "AUTH_PROOF": "up", "FINAL": "down"}
        results: dict = {}

        def run(name: str, place: int) -> None:
            flipped = []

            def hook(_: int, data: bytes) -> list[bytes] | None:
                if flipped or b"\x31" + len(name).to_bytes(4, "big") + name.encode() not in data or data[2] not in (1, 5):
                    return None
                end = frames.parse(data)[1]
                wrong = bytearray(data)
                bit = place * 8 * end // 1000
                wrong[bit // 8] ^= 1 << bit % 8
                flipped.append(bit)
                return [bytes(wrong)]

            with stt_udp_harness.Relay(server.address, st.fresh_source(), **{types[name]: hook}) as relay:
                data = os.urandom(5000)
                code, out, err = self.run_connect(relay.port, data)
            results[name, place] = (code, out == data, len(flipped)) if code == 0 else (code, err)

        places = range(5, 1000, 7) if st.FULL else range(30, 1000, 239)
        rows = [(name, place) for place in places for name in types]
        for begin in range(0, len(rows), 8):
            threads = [threading.Thread(target=run, args=row) for row in rows[begin:begin + 8]]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.assertEqual(set(results), set(rows))
        self.assertEqual({row: result for row, result in results.items() if result != (0, True, 1)}, {})

    def test_a_bit_that_is_flipped_each_time_ends_in_nothing(self) -> None:
        server = self.serve()
        for name, way in {"RESPONSE": "down", "FINAL": "down"}.items():
            def hook(_: int, data: bytes, name: str = name) -> list[bytes] | None:
                if b"\x31" + len(name).to_bytes(4, "big") + name.encode() not in data or data[2] not in (1, 5):
                    return None
                return [data[:100] + bytes([data[100] ^ 1]) + data[101:]]

            relay = self.relay(server, **{way: hook})
            code, out, err = self.run_connect(relay.port, b"secret words", *IMPATIENT)
            self.assertNotEqual(code, 0, name)
            self.assertEqual(out, b"", name)


if __name__ == "__main__":
    stt_udp_harness.main()
