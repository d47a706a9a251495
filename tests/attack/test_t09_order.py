"""T9: records swapped, dropped, moved between sessions and directions. Each is found before anything is decrypted."""

import random

import harness
from badwire import Badwire, drop, repeat, swap
from harness import MUTUAL, PSK, TOFU, st, stcp1


class Order(harness.AttackCase):
    def assert_dead_after(self, peer, taken: bytes) -> None:
        answer, end = st.read_to_end(peer.sock)
        self.assertEqual(end, "fin")
        self.assertTrue(taken.startswith(bytes(self.echo.received)), "not a prefix")
        self.echo.received.clear()

    def setUp(self) -> None:
        super().setUp()
        self.server = self.serve()
        self.echo.received.clear()

    def test_swapped_records(self) -> None:
        with self.server.connect() as peer:
            a, b = peer.session.data(b"first"), peer.session.data(b"second")
            peer.send_raw(b + a)
            self.assert_dead_after(peer, b"")

    def test_dropped_record(self) -> None:
        with self.server.connect() as peer:
            a, _, c = (peer.session.data(x) for x in (b"first", b"second", b"third"))
            peer.send_raw(a + c)
            self.assert_dead_after(peer, b"first")

    def test_record_of_the_other_direction(self) -> None:
        with self.server.connect() as peer:
            peer.send(b"x")
            own = stcp1.wire.read_record(peer.sock)
            self.echo.received.clear()
            peer.send_raw(own)
            self.assert_dead_after(peer, b"")

    def test_record_under_the_key_of_the_other_direction(self) -> None:
        with self.server.connect() as peer:
            peer.send_raw(peer.session.s2c.seal(stcp1.DATA, b"mirrored"))
            self.assert_dead_after(peer, b"")

    def test_record_with_the_key_of_a_later_place(self) -> None:
        """Right key chain, wrong sequence number: as if one had been lost."""
        with self.server.connect() as peer:
            peer.session.out.seq += 1
            peer.send(b"skipped one")
            self.assert_dead_after(peer, b"")

    def test_rekeyed_record_before_its_rekey(self) -> None:
        with self.server.connect() as peer:
            peer.session.out.epoch += 1
            peer.send(b"from an epoch that never began")
            self.assert_dead_after(peer, b"")

    def test_wire_that_drops_repeats_or_swaps_is_noticed_by_both_real_ends(self) -> None:
        """Records of a session between the real programs; the client's exit code tells."""
        data = random.Random(9).randbytes(400000)
        for what, make in (("drop", drop), ("repeat", repeat), ("swap", swap)):
            for direction in ("c2s", "s2c"):
                for mode in (TOFU, MUTUAL, PSK) if st.FULL else (TOFU,):
                    which = 3 if direction == "c2s" else 2  # behind the handshake
                    with self.subTest(what=what, direction=direction, mode=mode):
                        psk = b"\x91" * 32 if mode == PSK else None
                        server = self.serve(mode=mode, psk=psk, name=f"s-{what}-{direction}-{mode}")
                        self.echo.received.clear()
                        with Badwire(server.address, source=st.fresh_source,
                                     **{direction: lambda _: make(which + (mode == MUTUAL))}) as wire:
                            code, out, err = self.run_pipe(wire.name, data, *self.client_flags(mode, psk),
                                                           state=f"c-{what}-{direction}-{mode}")
                            # Before any sealed answer it is an end without one.
                            self.assertEqual(code, 7, err)
                            self.assertTrue(data.startswith(out))
                            self.assertLess(len(out), len(data))
                            self.assertTrue(data.startswith(bytes(self.echo.received)))


if __name__ == "__main__":
    harness.main()
