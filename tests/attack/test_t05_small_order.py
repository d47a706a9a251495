"""T5: points of small order, as ephemeral and as static key. They make every shared secret zero, so an attacker who
sends one knows the keys of whoever does not look. This attacker does his part of the bargain: he takes zero for each
Diffie-Hellman, and would be served by a server (believed by a client) that does the same."""

import json
import os
import socket
import threading
from pathlib import Path

import harness
from harness import ALL_MODES, ANON, MUTUAL, PSK, TOFU, KeyPair, st, stcp1

P = 2**255 - 19
SMALL_ORDER = [n.to_bytes(32, "little") for n in (
    0, 1, P - 1, P, P + 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823)]
SMALL_ORDER += [p[:31] + bytes([p[31] | 0x80]) for p in SMALL_ORDER]


def wycheproof() -> list[bytes]:
    place = Path(os.environ.get("SEALINE_VECTORS", st.SOURCE.parent / "shared" / "vectors")) / "wycheproof"
    for path in sorted(place.glob("x25519*test.json")):
        groups = json.loads(path.read_text())["testGroups"]
        return [bytes.fromhex(t["public"]) for g in groups for t in g["tests"]
                if "LowOrderPublic" in t["flags"] and len(t["public"]) == 64]
    return []


class Zero:
    """A key pair whose every shared secret is zero."""

    def __init__(self, point: bytes):
        self.public = point

    def exchange(self, _: bytes) -> bytes:
        return bytes(32)


class SmallOrder(harness.AttackCase):
    def setUp(self) -> None:
        super().setUp()
        self.points = sorted({*SMALL_ORDER, *wycheproof()})
        if not st.FULL:
            self.points = self.points[::3] + SMALL_ORDER[:2]

    def test_points_are_of_small_order(self) -> None:
        for point in self.points:
            with self.assertRaises(stcp1.DhZero):
                KeyPair().exchange(point)

    def test_as_ephemeral_of_a_client(self) -> None:
        for mode in ALL_MODES:
            psk = b"\x31" * 32 if mode == PSK else None
            server = self.serve(mode=mode, psk=psk, name=f"server-{mode}")
            for point in self.points:
                with self.subTest(mode=mode, point=point.hex()):
                    server.assert_silent(server.initiator(ephemeral=Zero(point)).step1())

    def test_as_static_key_of_a_client(self) -> None:
        server = self.serve(mode=MUTUAL)
        served = self.echo.connections
        for point in self.points:
            with self.subTest(point=point.hex()), server.dial() as sock:
                client = server.initiator(static=Zero(point))
                sock.sendall(client.step1())
                client.step2(stcp1.read_exactly(sock, 24 + 130))
                last = client.step3()
                session = client.session()
                sock.sendall(last + session.finish() + session.data(b"let me in"))
                self.assertEqual(st.read_to_end(sock), harness.SILENT)
        self.assertEqual(self.echo.connections, served)

    def test_as_ephemeral_and_static_key_of_a_server(self) -> None:
        """Each point in one of its two places, against the real client, which must send nothing."""
        for mode, place in ((ANON, "e"), (TOFU, "e"), (TOFU, "s"), (MUTUAL, "s"), (PSK, "e")):
            psk = b"\x32" * 32 if mode == PSK else None
            for point in self.points[:: 1 if st.FULL else 4]:
                with self.subTest(mode=mode, place=place, point=point.hex()):
                    listener = socket.create_server(("127.0.0.1", 0))
                    after = []

                    def serve() -> None:
                        sock, _ = listener.accept()
                        with sock:
                            sock.settimeout(st.WAIT)
                            server = stcp1.Responder(
                                mode, static=Zero(point) if place == "s" else KeyPair(), psk=psk,
                                ephemeral=Zero(point) if place == "e" else None)
                            server.step1(stcp1.read_exactly(sock, 24 + stcp1.message_length(mode, 1)))
                            sock.sendall(server.step2())
                            after.append(st.read_to_end(sock)[0])

                    thread = threading.Thread(target=serve)
                    thread.start()
                    code, out, err = self.run_pipe(f"127.0.0.1:{listener.getsockname()[1]}", b"for my server alone",
                                                   *self.client_flags(mode, psk))
                    thread.join(st.WAIT)
                    listener.close()
                    self.assertIn(code, (3, 9), err)
                    self.assertEqual((out, after), (b"", [b""]), "the client went on")


if __name__ == "__main__":
    harness.main()
