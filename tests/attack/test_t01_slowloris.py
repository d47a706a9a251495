"""T1: connections that send a byte now and then, in the handshake or inside a record head."""

import contextlib
import selectors
import time

import harness
from harness import MUTUAL, PSK, TOFU, st


class Slowloris(harness.AttackCase):
    DEADLINE = 2.0

    def drip(self, server, socks: list, prefix_of, measured_from: list) -> list[float]:
        """Sends one byte to each every 350 ms until the listener ends it; returns the lives."""
        selector = selectors.DefaultSelector()
        left, lives = {}, []
        for sock, begin in zip(socks, measured_from):
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ)
            left[sock] = [begin, iter(prefix_of(sock))]
        honest, next_drip, next_honest = [], time.monotonic(), time.monotonic()
        limit = max(measured_from) + 10 * self.DEADLINE
        while left:
            now = time.monotonic()
            self.assertLess(now, limit, f"{len(left)} connections outlive the deadline")
            if now >= next_drip:
                for sock, (_, source) in left.items():
                    with contextlib.suppress(OSError, StopIteration):
                        sock.send(bytes([next(source)]))
                next_drip = now + 0.35
            if now >= next_honest and len(honest) < 20:
                honest.append(server.be_honest())
                next_honest = now + 0.1
            for key, _ in selector.select(0.02):
                sock = key.fileobj
                with contextlib.suppress(OSError):
                    if sock.recv(4096):
                        continue  # step 2, or a CLOSE that says why
                selector.unregister(sock)
                lives.append(time.monotonic() - left.pop(sock)[0])
                sock.close()
        honest.sort()
        harness.say(f"{len(lives)} slow connections ended after {min(lives):.2f} to {max(lives):.2f} s; "
                    f"honest connect p99 {honest[int(len(honest) * 0.99)] * 1000:.1f} ms during it")
        return lives

    def test_bytes_of_a_handshake_do_not_prolong_its_deadline(self) -> None:
        for mode, psk in ((TOFU, None), (PSK, b"\x07" * 32)):
            with self.subTest(harness.MODE_NAMES[mode]):
                server = self.serve("--handshake-timeout", f"{self.DEADLINE:.0f}s", mode=mode, psk=psk)
                socks, begun = [], []
                for _ in range(st.count(1000, 60)):
                    begun.append(time.monotonic())
                    socks.append(server.dial())
                hello = server.initiator().step1()
                lives = self.drip(server, socks, lambda _: hello[:-1], begun)
                self.assertGreater(min(lives), self.DEADLINE * 0.9, "closed before its deadline")

    def test_handshake_without_finish_ends_at_the_deadline(self) -> None:
        server = self.serve("--handshake-timeout", f"{self.DEADLINE:.0f}s")
        socks, begun = [], []
        for _ in range(st.count(200)):
            begun.append(time.monotonic())
            sock = server.dial()
            sock.sendall(server.initiator().step1())
            socks.append(sock)
        lives = self.drip(server, socks, lambda _: bytes(75), begun)
        self.assertGreater(min(lives), self.DEADLINE * 0.9)

    def test_bytes_of_a_record_head_do_not_prolong_idleness(self) -> None:
        server = self.serve("--idle-timeout", f"{self.DEADLINE:.0f}s")
        socks, begun, records = [], [], {}
        for i in range(st.count(200)):
            peer = server.connect()
            begun.append(time.monotonic())
            socks.append(peer.sock)
            records[peer.sock] = peer.session.data(bytes(1000))[:-1]
        self.drip(server, socks, records.__getitem__, begun)


class Waiting(harness.AttackCase):
    def test_two_steps_of_a_mutual_handshake_are_under_one_deadline(self) -> None:
        """Each step in time, the sum not: the deadline is a total."""
        server = self.serve("--handshake-timeout", "2s", mode=MUTUAL)
        begin = time.monotonic()
        with server.dial() as sock:
            client = server.initiator()
            sock.sendall(client.step1())
            client.step2(harness.stcp1.read_exactly(sock, 24 + 130))
            answer, end = st.read_to_end(sock)
        self.assertEqual((answer, end), harness.SILENT)
        self.assertGreater(time.monotonic() - begin, 1.8)


if __name__ == "__main__":
    harness.main()
