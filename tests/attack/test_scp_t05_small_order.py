"""T5 for SCP/1: points of small order, as ephemeral, as static key, and in a rotation. This attacker takes zero for
each Diffie-Hellman, and would be served by an end that does the same."""

import scp1
import scp_harness
from scp_harness import ANON, MUTUAL, PINNED, PSK, SILENT, SOME_MODES, KeyPair, st
from test_t05_small_order import SMALL_ORDER, Zero

POINTS = SMALL_ORDER if st.FULL else SMALL_ORDER[::4]


class SmallOrder(scp_harness.ScpCase):
    def test_as_ephemeral_of_a_client(self) -> None:
        for mode in SOME_MODES:
            server = self.serve(mode=mode, name=f"server-{mode}")
            for point in POINTS:
                with self.subTest(mode=mode, point=point.hex()):
                    server.assert_silent(server.initiator(ephemeral=Zero(point)).init())

    def test_as_static_key_of_a_client(self) -> None:
        for mode in (MUTUAL, PINNED):
            server = self.serve(mode=mode, name=f"server-{mode}")
            for point in POINTS:
                with self.subTest(mode=mode, point=point.hex()):
                    if mode == PINNED:
                        server.assert_silent(server.initiator(static=Zero(point)).init())
                        continue
                    sock, client = server.shaken(static=Zero(point))
                    with sock:
                        sock.sendall(client.ack())
                        self.assertEqual(SILENT, st.read_to_end(sock))

    def test_in_a_rotation(self) -> None:
        server = self.serve()
        for point in POINTS:
            with self.subTest(point=point.hex()), server.connect() as peer:
                def attack() -> None:
                    peer.send_raw(peer.connection.make_rotation(Zero(point)))
                    self.assertEqual(scp1.wire.PROTOCOL, scp_harness.closes(peer))
                server.named("SL-A09", attack)

    def test_as_keys_of_a_server(self) -> None:
        for mode, place in ((ANON, "e"), (MUTUAL, "e"), (MUTUAL, "s"), (PSK, "e")):
            for point in POINTS[:2]:
                sent = []

                def serve(sock) -> None:
                    server = scp1.Responder(mode, static=Zero(point) if place == "s" else KeyPair(),
                                            psk=scp_harness.SECRET, ephemeral=Zero(point) if place == "e" else None)
                    server.init(scp1.read_exactly(sock, scp1.HEAD + scp1.init_length(mode) + scp1.MAC))
                    sock.sendall(server.response())
                    sent.append(st.read_to_end(sock)[0])

                with self.subTest(mode=mode, place=place, point=point.hex()):
                    code, out, err = self.meet(serve, *self.client_flags(mode))
                    self.assertIn(code, (3, 9), err)
                    self.assertEqual((b"", [b""]), (out, sent), "the client went on")


if __name__ == "__main__":
    scp_harness.main()
