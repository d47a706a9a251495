"""T16 for STX: the stream is cut. An end without CLOSE is never an end: nothing stands at the final name before the
root has verified, and the same command resumes."""

import random
import socket

import stx_harness
from badwire import END, RESET, Badwire, Cut
from stx_harness import BLOCK, PACK_BLOCKS, First, content, st, stx1

DATA = content((PACK_BLOCKS + 5) * BLOCK + 3, 16)
SMALL = ["--block", "16KiB", "--compress", "never"]


class Truncation(stx_harness.StxCase):
    def test_cut_at_a_byte(self) -> None:
        receiver = self.receive()
        path = self.file("probe", DATA)
        with Badwire(receiver.address, source=st.fresh_source) as wire:
            self.assertEqual(self.run_send(path, to=wire.name, options=SMALL)[0], 0)
            wire.link().wait()
            sizes = dict(wire.link().sizes)
        rng = random.Random(16)
        for n in range(st.count(80, 8)):
            direction = rng.choice(("c2s", "s2c"))
            size, how = rng.randrange(sizes[direction]), rng.choice((END, RESET))
            path = self.file(f"cut-{n}", DATA)
            with self.subTest(direction=direction, size=size, rst=how is RESET), \
                    Badwire(receiver.address, source=st.fresh_source,
                            **{direction: First(lambda _: Cut(size, how))}) as wire:
                code, err = self.run_send(path, to=wire.name, options=SMALL)
                self.assertEqual(code, 0, err)
                self.assertEqual(receiver.read(path.name), DATA)

    def test_cut_every_time(self) -> None:
        receiver = self.receive()
        path = self.file("never", DATA)
        for size in (200, 30_000) if not st.FULL else (1, 87, 155, 200, 30_000, 60_000):
            with self.subTest(size), Badwire(receiver.address, source=st.fresh_source,
                                             c2s=lambda _: Cut(size, RESET)) as wire:
                code, err = self.run_send(path, to=wire.name, options=[*SMALL, "--retry", "300ms"])
                self.assertIn(code, (3,) if size < 156 else (5, 7), err)
                self.assertNotIn("never", receiver.names())
        code, err = self.run_send(path, to=receiver.own_name, options=SMALL)
        self.assertEqual(code, 0, err)
        self.assertEqual(receiver.read("never"), DATA)

    def test_what_is_done_stays_done(self) -> None:
        """CLOSE is missing, but DONE was said: the file stands; the one behind it does not."""
        receiver = self.receive()
        for how in ("fin", "rst"):
            with receiver.connect() as client:
                self.assertEqual(client.send_item(stx1.Item([stx1.Entry(b"done-" + how.encode(), DATA)])).code, 0)
                client.send_item(stx1.Item([stx1.Entry(b"open-" + how.encode(), DATA)]), stop_after=3)
                if how == "rst":
                    st.reset(client.sock)
                else:
                    client.sock.shutdown(socket.SHUT_WR)
                    self.assertEqual([m.kind for m in client.rest() if m.kind not in (stx1.ACK, stx1.KEEPALIVE)
                                      and m.kind != stx1.CLOSE], [])
        self.assertEqual(receiver.names(), {"done-fin", "done-rst"})
        self.assertEqual(receiver.parts(), [".open-fin.stxpart", ".open-rst.stxpart"])

    def test_all_blocks_and_no_end(self) -> None:
        receiver = self.receive()
        with receiver.connect() as client:
            item = client.announce(stx1.Item([stx1.Entry(b"no-end", DATA)]))
            client.next(stx1.META_OK)
            for seq, block in enumerate(item.blocks):
                client.block(0, seq, block)
            while client.durable < client.out.ctr:
                client.next(stx1.ACK)
        self.assertEqual(receiver.names(), set())
        with receiver.connect() as client:
            result = client.send_item(stx1.Item([stx1.Entry(b"no-end", DATA)]))
            self.assertEqual((result.code, result.have, result.start, result.sent), (0, len(item.blocks), len(item.blocks), []))
            client.finish()
        self.assertEqual(receiver.read("no-end"), DATA)


if __name__ == "__main__":
    stx_harness.main()
