"""T15: handshakes as fast as one can, from one address and from two hundred. One address is held to its rate, and
others are served meanwhile."""

import contextlib
import threading
import time

import harness
from harness import st, stcp1


class HandshakeFlood(harness.AttackCase):
    BURST, RATE = 40, 20

    def handshake(self, server, source: str) -> bool:
        """Whether the server has done its part."""
        with contextlib.suppress(OSError, stcp1.Truncated), server.dial(source) as sock:
            client = server.initiator()
            sock.sendall(client.step1())
            client.step2(stcp1.read_exactly(sock, 24 + 130))
            sock.sendall(client.session().finish())
            return True
        return False

    def test_one_address_is_held_to_its_rate(self) -> None:
        server = self.serve()
        source = st.fresh_source()
        begin = time.monotonic()
        used = server.program.cpu_seconds()
        answered, tried = 0, st.count(5000, 300)
        honest = []
        for i in range(tried):
            answered += self.handshake(server, source)
            if i % (tried // 10) == 0:
                honest.append(server.be_honest())
        elapsed = time.monotonic() - begin
        harness.say(f"{answered} of {tried} handshakes served in {elapsed:.1f} s, "
                    f"{server.program.cpu_seconds() - used:.2f} s of CPU; honest connect at most {max(honest):.2f} s")
        self.assertGreaterEqual(answered, min(tried, self.BURST))
        self.assertLessEqual(answered, self.BURST + self.RATE * elapsed + 2, "no limit of rate")
        self.assertLess(answered, tried, "the flood was too slow to show anything")

    def test_the_address_is_served_again_when_it_is_quiet(self) -> None:
        server = self.serve()
        source = st.fresh_source()
        for _ in range(2000):
            if not self.handshake(server, source):
                break
        else:
            self.fail("no limit of rate")
        st.wait_until(lambda: self.handshake(server, source), 20, "served again")

    def test_two_hundred_addresses(self) -> None:
        """Each within its rate: a crowd is no attack as long as there is room."""
        server = self.serve()
        sources = [st.fresh_source() for _ in range(200)]
        served = [0] * 4
        per_source = st.count(20, 3)

        def crowd(part: int) -> None:
            for _ in range(per_source):
                for source in sources[part::4]:
                    served[part] += self.handshake(server, source)

        threads = [threading.Thread(target=crowd, args=(part,)) for part in range(4)]
        for thread in threads:
            thread.start()
        honest = []
        while any(t.is_alive() for t in threads) and len(honest) < 50:
            honest.append(server.be_honest())
        for thread in threads:
            thread.join()
        harness.say(f"{sum(served)} of {200 * per_source} served; honest connect at most {max(honest):.2f} s")
        self.assertGreater(sum(served), 200 * per_source * 0.9)


if __name__ == "__main__":
    harness.main()
