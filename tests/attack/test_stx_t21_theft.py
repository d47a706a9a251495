"""T21: somebody with a key of his own, or the true sender himself, tries to get at what others have sent, or to pass for
the holder of content that he has not. A receiver says no more than a number, and that to the owner alone."""

import stx_harness
from stx_harness import BLOCK, PACK_BLOCKS, Entry, Item, content, st, stx1

DATA = content((PACK_BLOCKS + 2) * BLOCK, 21)
THIEF = b"t" * 32


class Theft(stx_harness.StxCase):
    def setUp(self) -> None:
        super().setUp()
        self.receiver = self.receive("--key", self.key_file(THIEF))

    def begun(self, name: bytes, blocks: int = 5) -> None:
        with self.receiver.connect() as client:
            client.send_item(Item([Entry(name, DATA)]), stop_after=blocks)

    def have(self, name: bytes, key: bytes) -> int:
        with self.receiver.connect(psk=key) as client:
            client.announce(Item([Entry(name, DATA)]))
            return client.next(stx1.META_OK).fields[2]

    def test_part_of_somebody_else(self) -> None:
        self.begun(b"f")
        self.assertEqual(self.have(b"f", THIEF), 0)
        with self.receiver.connect(psk=THIEF) as client:
            item = client.announce(Item([Entry(b"f", bytes(len(DATA)))]))
            self.assertEqual(client.next(stx1.META_OK).fields, (0, 0, 0))
            for seq in range(3):
                client.block(0, seq, item.blocks[seq])
            while client.durable < client.out.ctr:
                client.next(stx1.ACK)
        # What the owner has sent is as it was, and proved.
        with self.receiver.connect() as client:
            result = client.send_item(Item([Entry(b"f", DATA)]))
            self.assertEqual((result.code, result.have, result.start, result.sent), (0, 5, 5, list(range(5, PACK_BLOCKS + 2))))
            client.finish()
        self.assertEqual(self.receiver.read("f"), DATA)

    def test_roots_of_what_he_has_not(self) -> None:
        """The true key, false content: start is 0, and not a byte of the part comes back."""
        self.begun(b"f")
        for n, roots in enumerate(([bytes(32)] * 5, [stx1.leaf(b"")] * 5)):
            with self.subTest(n), self.receiver.connect() as client:
                item = client.announce(Item([Entry(b"f", DATA)]))
                self.assertEqual(client.next(stx1.META_OK).fields, (0, 0, 5))
                client.resume(item, 5, roots=roots)
                self.assertEqual(client.next(stx1.RESUME_OK).fields, (0, 0))
                client.send(stx1.CLOSE, 7)
                got = client.rest()
                self.assertEqual([m.kind for m in got if m.kind not in (stx1.ACK, stx1.CLOSE)], [])
            if n == 0:
                break  # start 0 makes the part anew: there is nothing left to lie about

    def test_finished_file_of_somebody_else(self) -> None:
        """Same name, other content: in the way. Nothing is said about what it holds."""
        self.receiver.give(Item([Entry(b"f", DATA)]))
        with self.receiver.connect(psk=THIEF) as client:
            result = client.send_item(Item([Entry(b"f", bytes(len(DATA)))]))
            self.assertEqual((result.code, result.have), (11, 0))
            client.finish()
        self.assertEqual(self.receiver.read("f"), DATA)

    def test_pretending_to_hold_it_all(self) -> None:
        """END with the right root, but no block: a root is no content."""
        with self.receiver.connect(psk=THIEF) as client:
            item = client.announce(Item([Entry(b"g", DATA)]))
            client.next(stx1.META_OK)
            client.end_item(item)
            self.assertEqual(client.fate(), "CLOSE{1}")
        self.receiver.give(Item([Entry(b"f", DATA)]))
        with self.receiver.connect(psk=THIEF) as client:
            item = client.announce(Item([Entry(b"f", DATA)]))
            self.assertEqual(client.next(stx1.META_OK).fields[2], 0)

    def test_per_sender_places(self) -> None:
        receiver = self.receive("--key", self.key_file(THIEF), "--per-sender", name="each", honest=False)
        receiver.give(Item([Entry(b"f", b"of the owner")]))
        with receiver.connect(psk=THIEF) as client:
            self.assertEqual(client.send_item(Item([Entry(b"f", b"of the thief")])).code, 0)
            client.finish()
        found = {v[3] for v in stx_harness.tree_of(receiver.root).values() if v[0] == "file"}
        self.assertEqual(found, {b"of the owner", b"of the thief"})

    def test_quota(self) -> None:
        receiver = self.receive("--key", self.key_file(THIEF), "--quota", "64KiB", name="quota", honest=False)
        with receiver.connect() as client:
            self.assertEqual(client.send_item(Item([Entry(b"a", DATA[:BLOCK])])).code, 0)
            self.assertEqual(client.send_item(Item([Entry(b"b", DATA[:4 * BLOCK])])).code, 4)
            self.assertEqual(client.send_item(Item([Entry(b"c", size=1 << 40)])).code, 4)
            client.finish()
        with receiver.connect(psk=THIEF) as client:
            self.assertEqual(client.send_item(Item([Entry(b"d", DATA[:2 * BLOCK])])).code, 0)
            client.finish()

    def test_two_sessions_of_one_name(self) -> None:
        """The newer wins, the older gets CLOSE{14}."""
        with self.receiver.connect() as older, self.receiver.connect() as newer:
            item = older.announce(Item([Entry(b"f", DATA)]))
            older.next(stx1.META_OK)
            older.block(0, 0, item.blocks[0])
            while older.received < older.out.ctr:
                older.next(stx1.ACK)
            result = newer.send_item(Item([Entry(b"f", DATA)]))
            self.assertEqual(result.code, 0)
            newer.finish()
            self.assertEqual(older.fate(), "CLOSE{14}")
        self.assertEqual(self.receiver.read("f"), DATA)

    def test_same_names_twice_in_one_session(self) -> None:
        with self.receiver.connect() as client:
            client.announce(Item([Entry(b"f", DATA)]))
            self.assertEqual(client.next(stx1.META_OK).fields[1], 0)
            client.announce(Item([Entry(b"f", DATA)]))
            self.assertEqual(client.next(stx1.META_OK).fields[1], 11)
            client.send(stx1.CLOSE, 7)

    def test_two_peers_of_one_name_at_once(self) -> None:
        """Both may begin; one file stands at the end, whole, and the other is told."""
        with self.receiver.connect() as one, self.receiver.connect(psk=THIEF) as two:
            items = []
            for client, data in ((one, DATA), (two, DATA[::-1])):
                item = client.announce(Item([Entry(b"f", data)]))
                self.assertEqual(client.next(stx1.META_OK).fields[1], 0)
                for seq, block in enumerate(item.blocks):
                    client.block(0, seq, block)
                items.append(item)
            codes = []
            for client, item in zip((one, two), items):
                while client.received < client.out.ctr:
                    client.next(stx1.ACK)
                client.end_item(item)
                codes.append(client.next(stx1.DONE).fields[1])
                client.finish()
        self.assertEqual(codes, [0, 11])
        self.assertEqual(self.receiver.read("f"), DATA)


class Flood(stx_harness.StxCase):
    def test_resumes_cost_their_own_reading(self) -> None:
        """The same begun transfer is asked for again and again: bounded memory, and the others are served."""
        receiver = self.receive()
        with receiver.connect() as client:
            client.send_item(Item([Entry(b"f", DATA)]), stop_after=5)
        for _ in range(st.count(500, 30)):
            with receiver.connect() as client:
                item = client.announce(Item([Entry(b"f", DATA)]))
                self.assertEqual(client.next(stx1.META_OK).fields, (0, 0, 5))
                client.resume(item, 5)
                self.assertEqual(client.next(stx1.RESUME_OK).fields, (0, 5))


if __name__ == "__main__":
    stx_harness.main()
