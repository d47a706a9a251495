"""T4 for SCP/1: one bit changed on the way between the two real programs. The machines' own tests flip every bit; here
some of them, so that what stands around the machines does right too: nothing false is delivered at either end, the
exit code says what it was, and a channel that may reconnect goes on as if nothing had been."""

import random

import scp1
import scp_harness
from badwire import Badwire, FlipBit
from scp_harness import ALL_MODES, ANON, MUTUAL, PINNED, st

CANARY = b"canary: the user's own line, which nobody on the way may read or change.\n" * 4
FRAME = scp1.HEAD + scp1.MAC


def handshake_bytes(mode: int) -> dict:
    return {"c2s": 2 * FRAME + scp1.init_length(mode) + scp1.ack_length(mode),
            "s2c": FRAME + scp1.response_length(mode)}


class BitFlips(scp_harness.ScpCase):
    def flips(self, mode: int, direction: str, places, rounds: int, codes: set) -> None:
        server = self.serve(mode=mode, name=f"server-{mode}-{direction}")
        rng = random.Random(mode * 10 + places[0])
        for _ in range(rounds):
            offset, bit = rng.choice(places), rng.randrange(8)
            with self.subTest(mode=mode, direction=direction, offset=offset, bit=bit), \
                    Badwire(server.address, source=st.fresh_source,
                            **{direction: lambda _: FlipBit(offset, bit)}) as wire:
                code, out, err = self.run_msg(wire.name, CANARY, *self.client_flags(mode, server.psk, server.key),
                                              state=f"client-{offset}-{bit}")
                self.assertIn(code, codes, err)
                self.assertTrue(CANARY.startswith(out), "standard output is no prefix")
                link = wire.link()
                self.assertTrue(link.wait(), "a side holds on to a dead connection")
                self.assertNotIn(CANARY[:24], bytes(link.c2s) + bytes(link.s2c))
                if offset < handshake_bytes(mode)[direction]:
                    self.assertEqual(b"", out, "open all the same")

    def test_handshake_of_the_client(self) -> None:
        for mode in ALL_MODES:
            # Nothing is proved in NN, and in XX nothing before the server's key was seen. Where the handshake's last
            # message is the one that was changed, the client's channel stands already.
            codes = {ANON: {4, 7}, MUTUAL: {3, 4}}.get(mode, {3})
            self.flips(mode, "c2s", range(handshake_bytes(mode)["c2s"]), st.count(40, 2), codes)

    def test_handshake_of_the_server(self) -> None:
        for mode in ALL_MODES:
            self.flips(mode, "s2c", range(handshake_bytes(mode)["s2c"]), st.count(40, 2), {3, 4, 9})

    def test_first_message(self) -> None:
        # All but the length: a longer one is waited for, until the silence is too long.
        places = [*range(10), *range(14, FRAME + 24)]
        for direction, codes in (("c2s", {3, 7}), ("s2c", {7, 9})):
            low = handshake_bytes(MUTUAL)[direction]
            self.flips(MUTUAL, direction, [low + at for at in places], st.count(40, 3), codes)

    def test_reconnecting_channel_does_not_notice(self) -> None:
        server = self.serve(mode=PINNED)
        rng = random.Random(4)
        data = b"".join(b"%d\n" % i for i in range(500))
        # Behind what the server says first, which makes the channel one that may be taken up again.
        low = {"c2s": handshake_bytes(PINNED)["c2s"], "s2c": handshake_bytes(PINNED)["s2c"] + FRAME + 24}
        for direction in ("c2s", "s2c"):
            offsets = iter([low[direction] + rng.choice(range(14, FRAME + 17))])
            with self.subTest(direction), Badwire(server.address, source=st.fresh_source, **{
                    direction: lambda _: FlipBit(next(offsets, 1 << 40), 3)}) as wire:
                code, out, err = self.run_msg(wire.name, data, "--reconnect", "--peer-key",
                                              scp1.format_key("slp1", server.key))
                self.assertEqual((0, data), (code, out), err)
                self.assertEqual(2, len(wire.links))


if __name__ == "__main__":
    scp_harness.main()
