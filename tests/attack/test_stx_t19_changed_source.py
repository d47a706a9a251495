"""T19: a transfer is taken up again after its source, or its part, has changed. The first differing run is found, what
follows is sent, and the result is the source as it is now."""

import os

import stx_harness
from badwire import Badwire
from stx_harness import BLOCK, PACK_BLOCKS, Entry, Item, content, st, stx1, total_sent

DATA = content((PACK_BLOCKS + 8) * BLOCK + 77, 19)
HAVE = PACK_BLOCKS + 4
OPTIONS = ["--block", "16KiB", "--compress", "never"]
MTIME = stx1.items.MTIME


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


class Changed(stx_harness.StxCase):
    def setUp(self) -> None:
        super().setUp()
        self.receiver = self.receive()

    def begin(self, *names: str) -> None:
        """Leaves HAVE durable blocks of DATA at the receiver, under the key that the real sender has too."""
        with self.receiver.connect() as client:
            for name in names:
                item = client.announce(Item([Entry(name.encode(), DATA)]))
                self.assertEqual(client.next(stx1.META_OK).fields, (item.number, 0, 0))
                for seq, block in enumerate(item.blocks[:HAVE]):
                    client.block(item.number, seq, block)
            while client.durable < client.out.ctr:
                client.next(stx1.ACK)
        self.assertEqual(self.receiver.parts(), sorted(f".{name}.stxpart" for name in names))

    def go_on(self, name: str, data: bytes, start: int) -> None:
        """The real sender takes it up: how many bytes that costs says where it began."""
        path = self.file(name, data, MTIME)
        with Badwire(self.receiver.address, source=st.fresh_source) as wire:
            code, err = self.run_send(path, to=wire.name, options=OPTIONS)
            self.assertEqual(code, 0, err)
            sent = total_sent(wire)
        self.assertEqual(self.receiver.read(name), data)
        need = max(0, len(data) - start * BLOCK)
        self.assertGreaterEqual(sent, need)
        self.assertLess(sent, need + 6000, f"began before block {start}")
        self.assertEqual(os.stat(self.receiver.root / name).st_mtime_ns, MTIME)
        if len(data) > stx_harness.MIB:  # a pack has no part, and leaves an old one to `recv --discard`
            self.assertNotIn(f".{name}.stxpart", self.receiver.parts())

    def test_sources(self) -> None:
        rows = {
            "same": (DATA, HAVE), "byte-before": (flipped(DATA, 3 * BLOCK + 5), 3), "first-byte": (flipped(DATA, 0), 0),
            "last-byte-before": (flipped(DATA, HAVE * BLOCK - 1), HAVE - 1),
            "first-byte-after": (flipped(DATA, HAVE * BLOCK), HAVE), "last-byte": (flipped(DATA, len(DATA) - 1), HAVE),
            "grown": (DATA + content(3 * BLOCK, 1), HAVE), "shrunk-behind": (DATA[:(HAVE + 2) * BLOCK], HAVE),
            "shrunk-before": (DATA[:(HAVE - 2) * BLOCK], HAVE - 2),
            "shrunk-in-a-block": (DATA[:(HAVE - 2) * BLOCK + 9], HAVE - 2), "shrunk-to-a-pack": (DATA[:5 * BLOCK], 0),
            "emptied": (b"", 0), "all-new": (content(len(DATA), 5), 0)}
        self.begin(*rows)
        for name, (data, start) in rows.items():
            with self.subTest(name):
                self.go_on(name, data, start)

    def test_parts(self) -> None:
        """The same of the other end: what lies on the disk is hashed, not believed."""
        def damage(at: int):
            def act(part) -> None:
                with part.open("r+b") as file:
                    file.seek(at)
                    byte = file.read(1)
                    file.seek(at)
                    file.write(bytes([byte[0] ^ 0x10]))

            return act

        rows = {"damaged": (damage(4 * BLOCK + 1), 4), "damaged-first": (damage(0), 0),
                "truncated": (lambda p: os.truncate(p, 2 * BLOCK + 100), 2), "emptied": (lambda p: os.truncate(p, 0), 0),
                "gone": (lambda p: p.unlink(), 0), "longer": (lambda p: os.truncate(p, 2 * len(DATA)), HAVE)}
        self.begin(*rows)
        for name, (act, start) in rows.items():
            with self.subTest(name):
                act(self.receiver.root / f".{name}.stxpart")
                self.go_on(name, DATA, start)

    def test_finished_file_that_was_changed_in_place(self) -> None:
        """Skipped only where the proof holds: policy decides about the rest."""
        path = self.file("whole", DATA, MTIME)
        self.assertEqual(self.run_send(path, to=self.receiver.own_name, options=OPTIONS)[0], 0)
        place = self.receiver.root / "whole"
        changed = flipped(DATA, 9 * BLOCK)
        place.write_bytes(changed)
        os.utime(place, ns=(MTIME, MTIME))
        code, err = self.run_send(path, to=self.receiver.own_name, options=OPTIONS)
        self.assertEqual(code, 6, err)
        self.assertEqual(self.receiver.read("whole"), changed)

    def test_source_that_changes_while_it_is_sent(self) -> None:
        """Its size or mtime moved between open and end: sent again as a new item, three times at most."""
        path = self.file("moving", DATA, MTIME)
        changes = []

        def on_frame(_, message) -> None:
            if message.kind == 0 and message.fields[0] == 3 and len(changes) < limit:
                changes.append(1)
                with path.open("r+b") as file:
                    file.write(b"change %d" % len(changes))
                os.utime(path, ns=(MTIME + len(changes), MTIME + len(changes)))

        for limit in (1, 100):
            changes.clear()
            with self.subTest(limit), stx1.Receiver(stx_harness.KEY, on_frame=on_frame) as receiver:
                original = content(600 * BLOCK, 7)
                path.write_bytes(original)
                code, err = self.run_send(path, to=f"127.0.0.1:{receiver.port}", options=[*OPTIONS, "--retry", "2s"])
                kinds = [m.kind for s in receiver.servers for m in s.seen]
                if limit == 1:
                    self.assertEqual(code, 0, err)
                    # All of it may have been read before the change, which is a state of the file too.
                    state = original if kinds.count(stx1.META) == 1 else path.read_bytes()
                    self.assertEqual(receiver.store.files[b"moving"][3], state)
                elif code == 0:  # all was read between two changes: it is one of the file's states
                    there, now = receiver.store.files[b"moving"][3], path.read_bytes()
                    self.assertTrue(there.startswith(b"change "))
                    self.assertEqual(there[len(b"change 100"):], now[len(b"change 100"):])
                else:
                    self.assertEqual(code, 8, err)
                    self.assertNotIn(b"moving", receiver.store.files)
                self.assertLessEqual(kinds.count(stx1.META), 4)


if __name__ == "__main__":
    stx_harness.main()
