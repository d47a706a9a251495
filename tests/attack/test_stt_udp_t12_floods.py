"""T12, T13, T15 for STT over UDP: floods of HELLO, from forged addresses and from one, with the seed and without, and handshakes
that are begun and left. What comes back is less than what was sent, an honest client is served, and memory has its bounds."""

import itertools
import os
import time

import stt_udp_harness
from stt_udp_harness import MEMORY_BUDGET, frames, handshake, st

HALF_OPEN, PLACES = 4096, 16  # handshakes that may be half open; where the flood comes from
HELLOS_A_SECOND = 50


def is_response(data: bytes) -> bool:
    return b"\x31\0\0\0\x08RESPONSE" in data


def is_retry(data: bytes) -> bool:
    return b"\x31\0\0\0\x05RETRY" in data


class Floods(stt_udp_harness.UdpCase):
    def probers(self, server, count: int) -> list:
        """Sockets, each with an address of its own."""
        return [self.enterContext(server.prober()) for _ in range(count)]

    @staticmethod
    def read_all(prober) -> list[bytes]:
        came = []
        while (data := prober.receive(0)) is not None:
            came.append(data)
        return came

    def test_without_the_seed(self) -> None:
        server = self.serve()
        flood = [self.initiator(seed=os.urandom(32)).hello_frame() for _ in range(20)]
        flood += [os.urandom(n) for n in (0, 1, 11, 100, 1200)] + [b"ST\1" + os.urandom(1300), b"ST\5" + os.urandom(200)]
        everywhere = self.probers(server, PLACES)
        sent = itertools.islice(itertools.cycle(itertools.product(everywhere, flood)), st.count(50_000))
        for n, (prober, data) in enumerate(sent):
            prober.send(data)
            if n % 2000 == 1999:
                server.be_honest()
        for prober in everywhere:
            self.assertEqual(prober.settle(), [])
        self.assertLess(len(server.program.stderr), 65536, "what is said about it is bounded too")

    def test_one_hello_from_everywhere(self) -> None:
        server = self.serve()
        with server.peer() as peer:
            hello = peer.initiator.hello_frame()
            peer.repeat(hello, peer.take_answer)
        everywhere = self.probers(server, PLACES)
        for prober in itertools.islice(itertools.cycle(everywhere), st.count(20_000)):
            prober.send(hello)
        for prober in everywhere:
            self.assertEqual(prober.settle(), [])

    def test_hellos_with_the_seed_from_everywhere(self) -> None:
        """Whoever recorded HELLOs that did not arrive, or has the seed. Half of the places go to him, then he has to show that he
        gets what is sent to him."""
        server = self.serve(memory_budget=2 * MEMORY_BUDGET)
        node = os.urandom(32)
        counts = {"RESPONSE": 0, "RETRY": 0}
        for _ in range(st.count(500, 90)):
            with server.prober() as prober:  # an address for so many that its own rate is kept
                for _ in range(HELLOS_A_SECOND // 2):
                    prober.send(self.initiator(node_id=node).hello_frame())
                for data in prober.settle():
                    counts["RESPONSE"] += is_response(data)
                    counts["RETRY"] += is_retry(data)
                    self.assertTrue(is_response(data) or is_retry(data), data[:40])
                self.assertLessEqual(prober.bytes_in, prober.bytes_out)
        stt_udp_harness.say(f"half open: {counts}")
        server.be_honest()  # by way of a RETRY, if they are still there
        self.check_real_echo(server.port, 1000)
        self.assertGreater(counts["RESPONSE"], 0)
        self.assertGreaterEqual(server.memory_budget * (8 if st.is_sanitized() else 1),
                                server.program.memory_bytes() - server.memory_before)

    def test_all_places_are_taken(self) -> None:
        """Handshakes that are begun and left, by one who shows his cookies. They go by themselves."""
        seconds = st.count(30, 4)  # as many as a machine begins in that time
        server = self.serve("--handshake-timeout", f"{seconds}s", memory_budget=3 * MEMORY_BUDGET)
        responses, begin, asked = 0, time.monotonic(), 0
        with server.prober() as prober:
            open_dials: dict[bytes, handshake.Initiator] = {}
            while asked < 2 * HALF_OPEN:
                for _ in range(64):
                    dial = self.initiator(timestamp=1)  # so long ago that it is always asked back
                    open_dials[dial.handshake_id] = dial
                    prober.send(dial.hello_frame())
                    asked += 1
                for data in prober.settle():
                    if is_retry(data) and data[3:11] in open_dials:
                        prober.send(open_dials.pop(data[3:11]).take_retry(frames.parse(data)[0]))
                taken = sum(map(is_response, prober.settle()))
                responses += taken
                if not taken or time.monotonic() > begin + seconds:
                    break  # there is no place, or the first ones have gone already
            self.assertLessEqual(prober.bytes_in, prober.bytes_out)
        stt_udp_harness.say(f"{responses} half open after {time.monotonic() - begin:.1f} s")
        self.assertLessEqual(responses, HALF_OPEN)
        server.be_honest()  # repeats its HELLO until there is a place

    def test_one_address(self) -> None:
        """However many ports it has."""
        server = self.serve()
        source = st.fresh_source()
        came, begin = [], time.monotonic()
        for _ in range(8):
            with server.prober(source) as prober:
                for _ in range(40):
                    prober.send(self.initiator().hello_frame())
                came += prober.settle()
        seconds = int(time.monotonic() - begin) + 2
        answered = sum(map(is_response, came))
        self.assertLessEqual(answered, HELLOS_A_SECOND * seconds, "without a cookie")
        self.assertEqual(answered + sum(map(is_retry, came)), 320)
        with server.session() as peer:
            self.assertNotIn("cookie", peer.initiator.hello, "who comes from elsewhere does not notice")
            peer.bye()
        with server.session(source=source) as peer:
            peer.bye()  # and who shares the address loses a round trip

    def test_two_hundred_addresses(self) -> None:
        server = self.serve(memory_budget=2 * MEMORY_BUDGET)
        for _ in range(st.count(200)):
            with server.prober() as prober:
                for _ in range(10):
                    prober.send(self.initiator().hello_frame())
                came = prober.settle()
                self.assertTrue(all(is_response(data) or is_retry(data) for data in came))
            server.be_honest(100)


if __name__ == "__main__":
    stt_udp_harness.main()
