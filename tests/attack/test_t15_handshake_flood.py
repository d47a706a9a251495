"""T15: handshakes as fast as one can, from one address and from two hundred. One address is held to its rate, and
others are served meanwhile."""

import contextlib
import threading
import time

import harness
from harness import st, stcp1


class HandshakeFlood(harness.AttackCase):
    def handshake(self, server, source: str) -> bool:
        """Whether the server has done its part."""
        with contextlib.suppress(OSError, stcp1.Truncated), server.dial(source) as sock:
            client = server.initiator()
            sock.sendall(client.step1())
            client.step2(stcp1.read_exactly(sock, 24 + 130))
            sock.sendall(client.session().finish())
            return True
        return False

    def drain(self, server, source: str) -> int:
        """Connects as fast as it can until a handshake is refused; how many connections that took."""
        for tried in range(0, 20000, 50):
            for _ in range(50):
                with contextlib.suppress(OSError):
                    server.dial(source).close()
            if not self.handshake(server, source):
                return tried + 51
        self.fail("no limit of rate")

    def test_one_address_is_held_to_its_rate(self) -> None:
        server = self.serve()
        source = st.fresh_source()
        begin, used = time.monotonic(), server.program.cpu_seconds()
        tried = self.drain(server, source)
        answered, honest = 0, []
        for i in range(st.count(5000)):
            answered += self.handshake(server, source)
            if i % 100 == 0:
                honest.append(server.be_honest())
        harness.say(f"refused after {tried} connections; then {answered} of {st.count(5000)} handshakes served, in "
                    f"{time.monotonic() - begin:.1f} s and {server.program.cpu_seconds() - used:.2f} s of CPU; honest "
                    f"connect at most {max(honest):.2f} s")
        self.assertGreater(tried, 40, "a burst of 40 is everybody's right")

    def test_the_address_is_served_again_when_it_is_quiet(self) -> None:
        server = self.serve()
        source = st.fresh_source()
        self.drain(server, source)
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
