"""T5 for STX: points of small order as e_c and e_s, from a peer who holds the key and takes zero for the secret, as his
own sum says. Refused in silence."""

import stx_harness
from stx_harness import KEY, Truncated, st, stx1
from test_t05_small_order import SMALL_ORDER, Zero, wycheproof


class SmallOrder(stx_harness.StxCase):
    def test_as_the_senders_key(self) -> None:
        receiver = self.receive()
        for point in SMALL_ORDER + wycheproof():
            with self.subTest(point.hex()), self.assertRaises(Truncated) as caught:
                receiver.connect(ephemeral=Zero(point))
            self.assertIn("0 of 68", str(caught.exception))
        self.assertEqual(receiver.names(), set())

    def test_as_the_receivers_key(self) -> None:
        path = self.file("data", bytes(50_000))
        for point in SMALL_ORDER if st.FULL else SMALL_ORDER[1:2]:
            with self.subTest(point.hex()), stx1.Receiver(KEY, ephemeral=Zero(point)) as rogue:
                code, err = self.run_send(path, to=f"127.0.0.1:{rogue.port}", options=["--retry", "1s"])
                self.assertEqual(code, 3, err)
                self.assertEqual([m for s in rogue.servers for m in s.seen], [], "a frame under a key of zeros")


if __name__ == "__main__":
    stx_harness.main()
