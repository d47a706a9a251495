"""T13: thousands of connections that say nothing, or just enough. Budgets hold, accepting goes on, honest clients are
served among them."""

import contextlib
import resource
import time

import harness
from harness import st, stcp1


def raise_descriptor_limit() -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Flood(harness.AttackCase):
    """More than the 1024 that may be half open, over many /24s with fewer than 32 each."""

    def setUp(self) -> None:
        super().setUp()
        limit = raise_descriptor_limit()
        self.size = min(st.count(9000, 1300), limit - 200)

    def flood(self, server, say: bytes, sources: int) -> list:
        socks = []
        self.addCleanup(lambda: [s.close() for s in socks])
        names = [st.fresh_source() for _ in range(sources)]
        for i in range(self.size):
            with contextlib.suppress(OSError):  # refused at once is as good as closed at once
                sock = server.dial(names[i % sources])
                socks.append(sock)
                if say:
                    sock.sendall(say)
        return socks

    def honest_within(self, server, seconds: float) -> float:
        """An honest client, persistent as people are, is served in this time."""
        begin = time.monotonic()
        while True:
            try:
                server.be_honest()
                return time.monotonic() - begin
            except (stcp1.Truncated, OSError):
                self.assertLess(time.monotonic() - begin, seconds, "no honest client is served")

    def check(self, say_something: bool) -> None:
        server = self.serve("--handshake-timeout", "3s")
        say = server.initiator().step1() if say_something else b""
        begin = time.monotonic()
        socks = self.flood(server, say, max(200, self.size // 20))
        opened = time.monotonic() - begin
        grown = server.memory_grown()
        waited = self.honest_within(server, 40)
        harness.say(f"{len(socks)} connections opened in {opened:.1f} s; memory +{grown / 2**20:.1f} MiB; "
                    f"an honest client was served after {waited:.2f} s")
        self.assertLess(grown, server.memory_budget)
        ends = 0
        for sock in socks:
            _, end = st.read_to_end(sock)
            ends += end in ("fin", "rst")
            sock.close()
        self.assertEqual(ends, len(socks), "half-open connections outlive their deadline")

    def test_connections_that_say_nothing(self) -> None:
        self.check(False)

    def test_connections_that_stop_after_step_1(self) -> None:
        self.check(True)

    def test_one_network_cannot_take_every_place(self) -> None:
        """32 half-open connections from a /24 at most; the others' places stay free."""
        server = self.serve("--handshake-timeout", "20s")
        source = st.fresh_source()
        network = source.rsplit(".", 1)[0]
        socks = [server.dial(f"{network}.{1 + i % 250}") for i in range(100)]
        self.addCleanup(lambda: [s.close() for s in socks])
        waited = self.honest_within(server, 5)
        closed = 0
        for sock in socks:
            sock.setblocking(False)
        def count_closed() -> bool:
            nonlocal closed
            for sock in list(socks):
                with contextlib.suppress(BlockingIOError, ConnectionResetError):
                    if sock.recv(1) == b"":
                        closed += 1
                        socks.remove(sock)
                        sock.close()
            return closed >= 100 - 32
        st.wait_until(count_closed, 15, "more than 32 are half open from a /24")
        harness.say(f"{closed} of 100 refused; an honest client from elsewhere was served after {waited:.2f} s")
        self.assertLessEqual(closed, 100 - 32 + 1)

    def test_places_are_free_again_after_resets(self) -> None:
        server = self.serve("--handshake-timeout", "30s")
        for _ in range(st.count(30, 3)):
            names = [st.fresh_source() for _ in range(60)]
            socks = [server.dial(names[i % 60]) for i in range(1100)]
            for sock in socks:
                st.reset(sock)
        self.honest_within(server, 20)

    def test_descriptors_run_out_and_come_back(self) -> None:
        """A listener with few descriptors goes on when they are there again."""
        if st.is_sanitized():
            self.skipTest("UBSan looks at the type of an object by a pipe, and takes it for broken where there is none")
        resource_before = resource.getrlimit(resource.RLIMIT_NOFILE)
        server = self.serve("--handshake-timeout", "2s")
        resource.prlimit(server.program.pid, resource.RLIMIT_NOFILE, (64, resource_before[1]))
        names = [st.fresh_source() for _ in range(20)]
        socks = []
        self.addCleanup(lambda: [s.close() for s in socks])
        for i in range(150):
            with contextlib.suppress(OSError):
                socks.append(server.dial(names[i % 20], timeout=5))
        used = server.program.cpu_seconds()
        begin = time.monotonic()
        self.honest_within(server, 60)
        spent = server.program.cpu_seconds() - used
        self.assertLess(spent, 0.8 * (time.monotonic() - begin) + 0.5, "it spins while it has no descriptors")


if __name__ == "__main__":
    harness.main()
