"""STT over UDP between the two implementations, both ways: on a good path, and on one that loses, repeats and overtakes."""

import os
import random

import stt_udp_harness
from stt_udp_harness import Relay, UdpServer, answering, handshake, st


def unreliable(seed: int, loss: float = 0.03, copies: float = 0.03, late: float = 0.03):
    """A hook: some are lost, some come twice, some behind the next one."""
    chance, held = random.Random(seed), []

    def hook(_: int, data: bytes) -> list[bytes]:
        out = [] if chance.random() < loss else [data, data] if chance.random() < copies else [data]
        if not held and chance.random() < late:
            held.extend(out)
            return []
        out += held
        held.clear()
        return out

    return hook


class Interop(stt_udp_harness.UdpCase):
    def test_our_client(self) -> None:
        server = self.serve()
        with server.session() as peer:
            for stream, size in ((1, 0), (3, 1), (5, 100_000), (7, 700_000)):
                data = os.urandom(size)
                self.assertEqual(peer.echo(data, stream), data)
            peer.bye()

    def test_our_client_asks_for_fresh_keys(self) -> None:
        server = self.serve()
        with server.session() as peer:
            for epoch in range(1, 5):
                peer.rotate()
                self.assertEqual(peer.sending.epoch, epoch)
                data = os.urandom(20_000)
                self.assertEqual(peer.echo(data, 2 * epoch - 1), data)
            peer.bye()

    def test_our_client_on_a_bad_path(self) -> None:
        server = self.serve()
        relay = self.relay(server, up=unreliable(1), down=unreliable(2))
        initiator = self.initiator()
        peer = stt_udp_harness.UdpPeer(stt_udp_harness.open_socket(), ("127.0.0.1", relay.port), initiator).shake()
        with peer:
            for stream in (1, 3, 5):
                data = os.urandom(st.count(2_000_000))
                self.assertEqual(peer.echo(data, stream), data)
                peer.rotate()
            peer.bye()

    def check_their_client(self, size: int = 700_000, path: dict | None = None, ends_with: tuple = (0,), **rest) -> None:
        server = UdpServer(self.seed, **rest)
        with answering(server) as ends, Relay(("127.0.0.1", server.port), **(path or {})) as relay:
            self.check_real_echo(relay.port, size)
        self.assertIn(ends[0], ends_with, "an end and no fault")
        self.assertTrue(all(len(hello) >= 1200 for hello in server.hellos))

    def test_their_client(self) -> None:
        self.check_their_client()

    def test_their_client_is_asked_back(self) -> None:
        self.check_their_client(1000, asks_back=True)

    def test_their_client_on_a_bad_path(self) -> None:
        self.check_their_client(st.count(3_000_000), {"up": unreliable(3), "down": unreliable(4)},
                                ends_with=(0, None))  # its CLOSE may be lost

    def test_their_client_repeats_each_message(self) -> None:
        """The first two copies of each message of the handshake are lost."""
        server = self.serve()
        seen: dict[str, int] = {}

        def lossy(_: int, data: bytes) -> list[bytes] | None:
            for name in ("HELLO", "RESPONSE", "AUTH_PROOF", "FINAL"):
                if data[2] in (1, 5) and b"\x31" + len(name).to_bytes(4, "big") + name.encode() in data:
                    seen[name] = seen.get(name, 0) + 1
                    return [] if seen[name] <= 2 else None
            return None

        relay = self.relay(server, up=lossy, down=lossy)
        self.check_real_echo(relay.port, 1000)
        self.assertEqual(len([n for n in seen.values() if n > 2]), 4, seen)


if __name__ == "__main__":
    stt_udp_harness.main()
