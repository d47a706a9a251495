"""T4: one bit changed on the way, between the two real programs. The machines' own tests flip every bit; here some of
them, so that the programs around the machines are shown to do right too: nothing false is delivered at either end,
the exit code says what it was, and the server is silent."""

import random

import harness
from badwire import Badwire, FlipBit
from harness import ALL_MODES, ANON, MUTUAL, PSK, TOFU, st, stcp1

CANARY = b"canary: the user's own bytes, which nobody on the way may read or change. " * 4


def handshake_bytes(mode: int, direction: str) -> int:
    steps = stcp1.session.LENGTHS[mode]
    sizes = [24 + n for n in steps]
    return sum(sizes[0::2]) if direction == "c2s" else sizes[1]


class BitFlips(harness.AttackCase):
    def rounds(self, mode: int, direction: str, low: int, high: int, count: int, codes: set, seed: int,
               delivered: bool) -> None:
        psk = b"\x21" * 32 if mode == PSK else None
        server = self.serve(mode=mode, psk=psk)
        code, _, _ = self.run_pipe(server.own_name, b"", *self.client_flags(mode, psk))
        self.assertEqual(code, 0)
        known = (self.state / "client" / "known_peers").read_text() if mode in (TOFU, MUTUAL) else ""
        rng = random.Random(seed)
        for _ in range(count):
            offset, bit = rng.randrange(low, high), rng.randrange(8)
            flip = {direction: lambda _: FlipBit(offset, bit)}
            self.echo.received.clear()
            connections = self.echo.connections
            with self.subTest(mode=harness.MODE_NAMES[mode], direction=direction, offset=offset, bit=bit), \
                    Badwire(server.address, source=st.fresh_source, **flip) as wire:
                if known:  # the same key under the proxy's name: a pinned connection
                    name, rest = known.split(" ", 1)
                    (self.state / "client" / "known_peers").write_text(f"{wire.name} {rest}")
                got, out, err = self.run_pipe(wire.name, CANARY, *self.client_flags(mode, psk))
                self.assertIn(got, codes, err)
                self.assertTrue(CANARY.startswith(out), "standard output is no prefix")
                self.assertTrue(CANARY.startswith(bytes(self.echo.received)), "the server took altered bytes")
                link = wire.link()
                self.assertTrue(link.wait(), "a side holds on to a dead connection")
                self.assertNotIn(CANARY[:24], bytes(link.c2s) + bytes(link.s2c))
                if not delivered:
                    self.assertEqual((out, self.echo.connections), (b"", connections), "ENCRYPTED all the same")

    def test_flip_in_what_the_client_says(self) -> None:
        for mode in ALL_MODES:
            # Where no secret is proved, an end without an answer is "unreachable"; else it is authentication. What is
            # in clear (the commitment) comes back as a wrong tag.
            codes = {3} if mode in (MUTUAL, PSK) else {3, 4}
            self.rounds(mode, "c2s", 0, handshake_bytes(mode, "c2s"), st.count(40, 4), codes, mode, False)

    def test_flip_in_what_the_server_says(self) -> None:
        for mode in ALL_MODES:
            self.rounds(mode, "s2c", 0, handshake_bytes(mode, "s2c"), st.count(40, 4), {3, 9}, mode + 10, False)

    def test_flip_in_finish(self) -> None:
        for mode in (ANON, PSK):
            start = handshake_bytes(mode, "c2s")
            size = 24 + (20 if mode == PSK else 52)
            # For the client its session stands, and ends without CLOSE.
            codes = {3} if mode == PSK else {7}
            self.rounds(mode, "c2s", start, start + size, st.count(20, 2), codes, mode + 20, False)

    def test_flip_in_a_data_record(self) -> None:
        finish = 24 + 52
        start = handshake_bytes(TOFU, "c2s") + finish
        self.rounds(TOFU, "c2s", start, start + 24 + len(CANARY) + 20, st.count(40, 4), {7}, 30, True)
        start = handshake_bytes(TOFU, "s2c")
        # A length made longer, but not too long, is waited for.
        self.rounds(TOFU, "s2c", start, start + 8, st.count(10, 1), {7}, 31, True)
        self.rounds(TOFU, "s2c", start + 8, start + 24 + len(CANARY) + 20, st.count(40, 3), {7}, 32, True)


if __name__ == "__main__":
    harness.main()
