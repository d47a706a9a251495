"""T4, T5, T6, T8, T10, T11 for STT: a handshake that is altered, replayed, reflected, or made without the seed. Whatever is
wrong, the answer is the same: the WebSocket is closed with 1008, and nothing else is said."""

import os

import stt_harness
from stcp1 import KeyPair
from stt_harness import SMALL_ORDER, frames, handshake, st, tlv

SILENT = ([], 1008)


class Handshakes(stt_harness.SttCase):
    def initiator(self, **rest) -> handshake.Initiator:
        return handshake.Initiator(rest.pop("seed", self.seed), **rest)

    def test_each_flipped_bit_of_hello_is_refused(self) -> None:
        server = self.serve()
        whole = self.initiator().hello_frame()
        bits = range(11 * 8, len(whole) * 8) if st.FULL else range(11 * 8, len(whole) * 8, 67)  # behind the dial's own id
        for bit in bits:
            hello = bytearray(self.initiator().hello_frame())
            hello[bit // 8] ^= 1 << bit % 8
            came, code = server.end_of(bytes(hello))
            self.assertEqual(came, [], f"bit {bit}")
            self.assertIn(code, (1002, 1008), f"bit {bit}")

    def test_each_flipped_bit_of_the_proof_is_refused(self) -> None:
        server = self.serve()
        for bit in range(3 * 8, 236 * 8) if st.FULL else range(3 * 8, 236 * 8, 97):
            with server.peer() as peer:
                peer.send(peer.initiator.hello_frame())
                proof = bytearray(peer.initiator.take_response(frames.parse(peer.receive())[0]))
                proof[bit // 8 % len(proof)] ^= 1 << bit % 8
                peer.send(bytes(proof))
                with self.assertRaises(stt_harness.Ended, msg=f"bit {bit}") as ended:
                    peer.receive()
                self.assertIn(ended.exception.code, (1002, 1008), f"bit {bit}")

    def test_points_of_small_order(self) -> None:
        server = self.serve()
        for point in SMALL_ORDER:
            for high in (0, 0x80):
                initiator = self.initiator()
                initiator.hello["eph"] = point[:31] + bytes([point[31] | high])
                initiator.commit()
                self.assertEqual(server.end_of(initiator.hello_frame()), SILENT, point.hex())

    def test_every_refusal_looks_the_same(self) -> None:
        server = self.serve()
        good = self.initiator
        def altered(**fields) -> handshake.Initiator:
            initiator = good()
            initiator.hello |= fields
            initiator.commit()
            return initiator

        wrong_mac = good()
        wrong_mac.hello["commitment"] = bytes(32)
        rows = {
            "another seed": good(seed=os.urandom(32)).hello_frame(),
            "a wrong commitment": wrong_mac.hello_frame(),
            "a suite to come": good(suite=2).hello_frame(),
            "no ephemeral": good(eph=None).hello_frame(),
            "a cookie that was never given": altered(cookie=bytes(16)).hello_frame(),
            "seventeen capabilities": altered(capabilities=[tlv.text("x")] * 17).hello_frame(),
            "a long capability": altered(capabilities=[tlv.text("x" * 33)]).hello_frame(),
            "a pad that is not zero": altered(pad=b"\1" * 10).hello_frame(),
            "no value at all": handshake.framed(frames.HANDSHAKE, bytes(8), b"\x42"),
            "another message": handshake.framed(frames.HANDSHAKE, bytes(8), handshake.encode_message(
                {"type": "RETRY", "cookie": bytes(16)})),
            "a proof of nothing": handshake.framed(frames.AUTH, os.urandom(8), handshake.encode_message(
                {"type": "AUTH_PROOF", "session_id": bytes(8), "proof": bytes(24), "metadata": bytes(33)})),
        }
        for what, datagram in rows.items():
            with self.subTest(what):
                self.assertEqual(server.end_of(datagram), SILENT)

    def test_a_replayed_hello_is_refused(self) -> None:
        server = self.serve()
        with server.peer() as peer:
            hello = peer.initiator.hello_frame()
            peer.send(hello)
            proof = peer.initiator.take_response(frames.parse(peer.receive())[0])
            self.assertEqual(server.end_of(hello), SILENT, "while the first is half open")
            peer.send(proof)
            peer.initiator.take_final(frames.parse(peer.receive())[0])
            self.assertEqual(server.end_of(hello), SILENT, "and when its session stands")
            came, code = server.end_of(hello, proof)
            self.assertEqual(came, [], "the whole flight")
            self.assertIn(code, (1008, None), "what it did not read may cost the Close")
            self.assertEqual(server.end_of(proof), SILENT, "the proof alone")
            peer.begin()
            data = os.urandom(100)
            self.assertEqual(peer.echo(data), data, "the honest session goes on")

    def test_a_wrong_clock_costs_a_round_trip_and_no_more(self) -> None:
        server = self.serve()
        with server.session(timestamp=1000) as peer:
            self.assertIn("cookie", peer.initiator.hello)
            self.assertEqual(peer.echo(b"late"), b"late")
            cookie = peer.initiator.hello["cookie"]
        stolen = self.initiator()
        stolen.hello["cookie"] = cookie
        stolen.commit()
        self.assertEqual(server.end_of(stolen.hello_frame()), SILENT, "another's cookie")

    def test_the_servers_own_node_id_is_refused(self) -> None:
        server = self.serve()
        with server.peer() as peer:
            peer.send(peer.initiator.hello_frame())
            response = handshake.parse_message(handshake.unframed(frames.parse(peer.receive())[0]))
        mirror = self.initiator(node_id=response["node_id"])
        self.assertEqual(server.end_of(mirror.hello_frame()), SILENT)

    def test_what_the_server_says_is_no_use_against_it(self) -> None:
        server = self.serve()
        with server.peer() as peer:
            peer.send(peer.initiator.hello_frame())
            response = peer.receive()
            self.assertEqual(server.end_of(response), SILENT, "its RESPONSE to itself")
            peer.send(response)
            with self.assertRaises(stt_harness.Ended):
                peer.receive()

    def test_guessed_seeds(self) -> None:
        server = self.serve()
        for guess in range(st.count(200)):
            seed = self.seed[:-1] + bytes([(self.seed[-1] + 1 + guess % 255) % 256])
            self.assertEqual(server.end_of(self.initiator(seed=seed).hello_frame()), SILENT)


class Clients(stt_harness.SttCase):
    """The real client against a server that lies."""

    def lie(self, make) -> tuple[int, bytes, str]:
        """`make(hello frame)` gives the answer to HELLO; whether a proof came is for the caller."""
        import socket
        import threading

        from stt1 import websocket

        self.proofs: list[bytes] = []
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(st.WAIT)

            def serve() -> None:
                sock = listener.accept()[0]
                sock.settimeout(st.WAIT)
                with sock:
                    head = websocket.read_head(sock).decode()
                    key = next(line.split(": ")[1] for line in head.split("\r\n") if line.startswith("Sec-WebSocket-Key"))
                    sock.sendall(websocket.answer(key))
                    try:
                        hello = frames.parse(websocket.read_client_frame(sock)[1])[0]
                        sock.sendall(websocket.frame(make(hello), masked=False))
                        opcode, payload = websocket.read_client_frame(sock)
                        if opcode == websocket.BINARY:
                            self.proofs.append(payload)
                    except (EOFError, OSError):
                        pass

            thread = threading.Thread(target=serve)
            thread.start()
            try:
                return self.run_connect(listener.getsockname()[1], b"secret words", "--handshake-timeout", "3s")
            finally:
                thread.join()

    def check_refused(self, make, what: str) -> None:
        code, out, err = self.lie(make)
        self.assertNotEqual(code, 0, what)
        self.assertEqual(out, b"", what)
        self.assertEqual(self.proofs, [], f"{what}: nothing is proved to a liar")
        self.assertNotIn("secret words", err)

    def test_a_server_without_the_seed(self) -> None:
        self.check_refused(lambda hello: handshake.Responder(os.urandom(32)).take_hello_blindly(hello), "another seed")

    def test_its_own_hello_comes_back(self) -> None:
        self.check_refused(lambda hello: hello.encode(), "an echo")

    def test_its_own_node_id(self) -> None:
        def own(hello):
            message = handshake.parse_message(handshake.unframed(hello))
            return handshake.Responder(self.seed, node_id=message["node_id"]).take_hello_blindly(hello)

        self.check_refused(own, "its own node id")

    def test_edited_responses(self) -> None:
        def edited(**changes):
            def make(hello):
                answer = handshake.Responder(self.seed).take_hello(hello)
                frame = frames.parse(answer)[0]
                message = handshake.parse_message(handshake.unframed(frame))
                message |= changes
                return handshake.framed(frames.HANDSHAKE, frame.session_id, handshake.encode_message(
                    {k: v for k, v in message.items() if v is not None}))
            return make

        for what, changes in {"node_id": {"node_id": os.urandom(32)}, "nonce": {"nonce": os.urandom(32)},
                              "eph": {"eph": KeyPair().public}, "no eph": {"eph": None},
                              "a point of small order": {"eph": bytes(32)}, "challenge": {"challenge": bytes(80)}}.items():
            with self.subTest(what):
                self.check_refused(edited(**changes), what)


if __name__ == "__main__":
    stt_harness.main()
