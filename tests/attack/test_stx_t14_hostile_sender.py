"""T14 for STX: a sender with a valid key who then lies. Each rule of stx.md 3 is broken once; what is authentic and
against a rule is answered with CLOSE{1}, and nobody else notices."""

import struct
import unittest

import stx_harness
from stx_harness import BLOCK, MIB, Entry, Item, Truncated, content, st, stx1
from stx1 import ACK, CLOSE, DONE, DROP, END, KEEPALIVE, META, META_OK, NAK, RESUME, RESUME_OK, SELECT, ZERO
from stx1.items import DIRECTORY, SYMLINK
from stx1.primitives import HAS_ZSTD, zstd_compress

DATA = content(3 * BLOCK + 7, 14)
FAULT, SILENT = "CLOSE{1}", "silent"
NAME = [0]


def fresh() -> bytes:
    NAME[0] += 1
    return b"n%d" % NAME[0]


def an_item(data: bytes = DATA, **rest) -> Item:
    return Item([Entry(fresh(), data)], **rest)


def taken(client: stx1.Client, item: Item | None = None) -> Item:
    """An item that the receiver has agreed to."""
    item = client.announce(item or an_item())
    assert client.next(META_OK).fields[:2] == (item.number, 0)
    return item


def until_received(client: stx1.Client) -> None:
    """END comes when ACK has covered the blocks, no sooner."""
    while client.received < client.out.ctr:
        client.next(ACK)


def meta(client: stx1.Client, *entries: Entry, **rest) -> None:
    item = Item(list(entries), **rest)
    item.number = rest.get("number", client.next_item) if item.number is None else item.number
    client.send(META, raw=item.meta())


def many(client: stx1.Client, count: int, **rest) -> None:
    for _ in range(count):
        client.announce(Item([Entry(fresh(), DATA, **rest)]))


def with_part(receiver, client_key=None) -> Item:
    """A part of two blocks that lies at the receiver."""
    item = an_item(content(MIB + BLOCK, 15))
    with receiver.connect() as client:
        client.send_item(item, stop_after=2)
    return Item(item.entries)


MALFORMED = {  # raw contents of messages, each with a byte too few or too many, or a list that is not as long as it says
    "META short": (META, struct.pack(">IBBH", 0, 14, 0, 1)[:-1]),
    "META of no entry": (META, struct.pack(">IBBH", 0, 14, 0, 0)),
    "META with an entry cut": (META, struct.pack(">IBBH", 0, 14, 0, 1) + Entry(b"x", DATA).encode()[:-1]),
    "META with a byte left over": (META, struct.pack(">IBBH", 0, 14, 0, 1) + Entry(b"x", DATA).encode() + b"\0"),
    "META with too many entries": (META, struct.pack(">IBBH", 0, 14, 0, 2) + Entry(b"x", DATA).encode()),
    "META with too few entries": (META, struct.pack(">IBBH", 0, 14, 0, 1) + Entry(b"x", DATA).encode() * 2),
    "META with a name longer than it is": (META, struct.pack(">IBBH", 0, 14, 0, 1)
                                           + Entry(b"x", DATA, name_size=2).encode()),
    "RESUME short": (RESUME, b"\0" * 6), "RESUME without its root": (RESUME, b"\0\0\0\0\0\0\1"),
    "END short": (END, bytes(47)), "END long": (END, bytes(49)), "CLOSE empty": (CLOSE, b""),
    "CLOSE long": (CLOSE, b"\0\0"), "KEEPALIVE long": (KEEPALIVE, b"\0"), "SELECT short": (SELECT, bytes(3)),
    "SELECT long": (SELECT, bytes(5)), "DROP short": (DROP, bytes(4)), "DROP long": (DROP, bytes(6)),
    "ZERO short": (ZERO, bytes(11)), "ZERO long": (ZERO, bytes(13)),
}
WRONG_SIDE = {"META_OK": (META_OK, 0, 0, 0), "ACK": (ACK, 0, 0), "NAK": (NAK, 0), "RESUME_OK": (RESUME_OK, 0, 0),
              "DONE": (DONE, 0, 0, [])}
ENTRIES = {  # META whose entries break a rule
    "kind 3": dict(entries=[Entry(b"x", DATA, kind=3)]),
    "mode with setuid": dict(entries=[Entry(b"x", DATA, mode=0o4755)]),
    "mode of 16 bits": dict(entries=[Entry(b"x", DATA, mode=0xFFFF)]),
    "directory with a size": dict(entries=[Entry(b"x", kind=DIRECTORY, size=1)]),
    "symlink to nothing": dict(entries=[Entry(b"x", kind=SYMLINK)]),
    "symlink of 4096 bytes": dict(entries=[Entry(b"x", b"a" * 4096, kind=SYMLINK)]),
    "block_log2 13": dict(entries=[Entry(b"x", DATA)], block_log2=13),
    "block_log2 21": dict(entries=[Entry(b"x", DATA)], block_log2=21),
    "block_log2 255": dict(entries=[Entry(b"x", DATA)], block_log2=255),
    "flag 4": dict(entries=[Entry(b"x", DATA)], flags=4), "flag 80": dict(entries=[Entry(b"x", DATA)], flags=0x80),
    "size unknown and told": dict(entries=[Entry(b"x", DATA)], flags=2),
    "size unknown of two": dict(entries=[Entry(b"x"), Entry(b"y")], flags=2),
    "size unknown of a directory": dict(entries=[Entry(b"x", kind=DIRECTORY)], flags=2),
    "size unknown and zstd": dict(entries=[Entry(b"x")], flags=3),
    "too many blocks": dict(entries=[Entry(b"x", size=(1 << 32) << 14)]),
    "blocks 2^32-256": dict(entries=[Entry(b"x", size=((1 << 32) - 256) << 14)]),
    "size 2^64-1": dict(entries=[Entry(b"x", size=(1 << 64) - 1)]),
    "sizes that overflow": dict(entries=[Entry(b"x", size=(1 << 64) - 1), Entry(b"y", size=2)]),
    "pack larger than 1 MiB": dict(entries=[Entry(b"x", size=MIB), Entry(b"y", size=1)]),
    "pack of 4097": dict(entries=[Entry(b"e%d" % i) for i in range(4097)]),
    "item number 1 first": dict(entries=[Entry(b"x", DATA)], number=1),
    "item number 2^32-1": dict(entries=[Entry(b"x", DATA)], number=(1 << 32) - 1),
}


class HostileSender(stx_harness.StxCase):
    def setUp(self) -> None:
        super().setUp()
        self.receiver = self.receive()

    def check(self, name: str, act, fate: str | tuple = FAULT) -> None:
        with self.subTest(name), self.receiver.connect() as client:
            act(client)
            self.assertIn(client.fate(), (fate,) if isinstance(fate, str) else fate)

    def table(self, rows: dict, fate: str | tuple = FAULT) -> None:
        for name, act in rows.items():
            self.check(name, act, fate)

    def test_messages_that_are_not_whole(self) -> None:
        for name, (kind, raw) in MALFORMED.items():
            self.check(name, lambda c, k=kind, r=raw: c.send(k, raw=r))

    def test_messages_of_the_other_side(self) -> None:
        """Known by their heads, of which nothing is authenticated yet."""
        for name, message in WRONG_SIDE.items():
            self.check(name, lambda c, m=message: c.send(*m), SILENT)

    def test_entries(self) -> None:
        for name, row in ENTRIES.items():
            self.check(name, lambda c, r=row: meta(c, *r["entries"], **{k: v for k, v in r.items() if k != "entries"}))
        self.assertEqual(self.receiver.names(), set())

    def test_items_in_the_wrong_state(self) -> None:
        self.table({
            "SELECT of nothing": lambda c: c.select(0),
            "SELECT of the next": lambda c: (taken(c), c.select(1)),
            "END of nothing": lambda c: c.send(END, 0, 0, 0, bytes(32)),
            "DROP of nothing": lambda c: c.drop(0),
            "RESUME of nothing": lambda c: c.send(RESUME, 0, 0, [bytes(32)]),
            "ZERO of nothing": lambda c: c.zero(0, 0, 1),
            "number used twice": lambda c: (taken(c), meta(c, Entry(b"again", DATA), number=0)),
            "END twice": lambda c: (c.send_item(i := an_item()), c.announce(an_item()), c.end_item(i), c.end_item(i),
                                    c.send(END, 9, 0, 0, bytes(32))),
            "CLOSE{0} with an item not over": lambda c: (taken(c), c.send(CLOSE, 0)),
            "65 items": lambda c: many(c, 65),
        })

    def test_more_than_4_mib_of_meta(self) -> None:
        def act(client) -> None:
            for n in range(6):
                entries = [Entry(fresh() + b"/" + b"x" * 200 + b"/" + b"y" * 30) for _ in range(3000)]
                try:
                    client.announce(Item(entries))
                except OSError:
                    return  # it has been closed on us

        self.check("4 MiB", act, (FAULT, SILENT))

    def test_blocks(self) -> None:
        self.table({  # shown by the head, which is not authentic yet
            "block behind the end": lambda c: c.block(taken(c).number, 4, b"x"),
            "block 0xFFFFFEFF": lambda c: c.block(taken(c).number, 0xFFFFFEFF, b"x"),
            "block of an item of no bytes": lambda c: c.block(taken(c, an_item(b"")).number, 0, b"x"),
        }, (FAULT, SILENT))
        self.table({
            "short block in the middle": lambda c: c.block(taken(c).number, 1, b"x"),
            "last block longer, not filled up": lambda c: c.block(taken(c).number, 3, b"x" * 8),
            "last block filled up with something": lambda c: c.block(taken(c).number, 3,
                                                                     DATA[3 * BLOCK:].ljust(BLOCK, b"\1")),
            "last block filled up, but for its end": lambda c: c.block(
                taken(c).number, 3, DATA[3 * BLOCK:].ljust(BLOCK - 1, b"\0") + b"\1"),
            "short raw block though zstd is allowed": lambda c: c.block(taken(c, an_item(flags=1)).number, 0, b"x" * 9),
            "item left with a block missing": lambda c: (i := taken(c), c.block(0, 0, i.blocks[0]), c.end_item(i)),
            "END without a block": lambda c: c.end_item(taken(c)),
        })
        self.check("data before SELECT", lambda c: (taken(c), c.send_raw(c.out.seal(0, DATA[:BLOCK], 0))),
                   (FAULT, SILENT))

    def test_zero_runs(self) -> None:
        self.table({
            "of nothing": lambda c: c.zero(taken(c).number, 0, 0),
            "behind the end": lambda c: c.zero(taken(c).number, 4, 1),
            "over the end": lambda c: c.zero(taken(c).number, 3, 2),
            "that overflows": lambda c: c.zero(taken(c).number, 2, (1 << 32) - 1),
        })

    def test_pieces_behind_the_first_missing_block(self) -> None:
        def act(client) -> None:
            number = taken(client, Item([Entry(fresh(), size=40_000 * BLOCK)])).number
            try:
                for i in range(16_385):
                    client.zero(number, 2 * i + 1, 1)
            except OSError:
                pass  # it has been closed on us

        self.check("16385 pieces", act, (FAULT, SILENT))

    def test_resume(self) -> None:
        rows = {
            "have is 0": (False, lambda c, i: c.resume(i, 2)),
            "too few roots": (True, lambda c, i: c.resume(i, 2, roots=[bytes(32)])),
            "too many roots": (True, lambda c, i: c.resume(i, 2, roots=[bytes(32)] * 3)),
            "no root": (True, lambda c, i: c.resume(i, 2, roots=[])),
            "another run_log2": (True, lambda c, i: c.resume(i, 2, run_log2=1, roots=[bytes(32)])),
            "run_log2 32": (True, lambda c, i: c.resume(i, 2, run_log2=32, roots=[bytes(32)])),
            "run_log2 255": (True, lambda c, i: c.resume(i, 2, run_log2=255, roots=[bytes(32)])),
            "twice": (True, lambda c, i: (c.resume(i, 2), c.resume(i, 2))),
            "after SELECT": (True, lambda c, i: (c.select(i.number), c.block(i.number, 0, i.blocks[0]),
                                                 c.resume(i, 2))),
        }
        for name, (has_part, act) in rows.items():
            item = with_part(self.receiver) if has_part else an_item()
            with self.subTest(name), self.receiver.connect() as client:
                client.announce(item)
                self.assertEqual(client.next(META_OK).fields, (0, 0, 2 if has_part else 0))
                act(client, item)
                self.assertEqual(client.fate(), FAULT)

    def test_an_end_that_lies(self) -> None:
        """Size, blocks or root other than the server's: DONE{13}, and nothing of it stays."""
        with self.receiver.connect() as client:
            for what in (dict(root=bytes(32)), dict(size=len(DATA) - 1), dict(size=len(DATA) + BLOCK)):
                with self.subTest(what):
                    item = taken(client)
                    for seq, data in enumerate(item.blocks):
                        client.block(item.number, seq, data)
                    until_received(client)
                    client.end_item(item, **what)
                    self.assertEqual(client.next(DONE).fields, (item.number, 13, []))
            pack = stx1.pack(Entry(b"p/a", b"abc"), Entry(b"p/b", b"def"))
            taken(client, pack)
            client.block(pack.number, 0, pack.data)
            until_received(client)
            client.end_item(pack, root=bytes(32))
            self.assertEqual(client.next(DONE).fields, (pack.number, 13, []))
            client.finish()
        self.assertEqual((self.receiver.names() & {"p/a", "p/b", "p"}, self.receiver.parts()), (set(), []))
        self.assertEqual({n for n in self.receiver.names() if n.startswith("n")}, set())

    @unittest.skipUnless(HAS_ZSTD, "no zstd library")
    def test_zstd_that_lies(self) -> None:
        block = bytes(range(256)) * (BLOCK // 256)
        rows = {
            "a byte more": zstd_compress(block + b"x"), "a byte less": zstd_compress(block[:-1]),
            "a bomb": zstd_compress(bytes(128 * MIB)), "a large window": zstd_compress(block, 27),
            "not whole": zstd_compress(block)[:-1], "something behind it": zstd_compress(block) + b"\0",
            "two frames": zstd_compress(block[:100]) + zstd_compress(block[100:]), "no frame": b"\x28\xb5\x2f\xfd",
            "a skippable frame": struct.pack("<II", 0x184D2A50, 4) + b"abcd"}
        for name, data in rows.items():
            self.check(name, lambda c, d=data: c.block(taken(c, an_item(flags=1)).number, 0, d))
        self.check("zstd where the item has none", lambda c: c.block(taken(c).number, 0, zstd_compress(block)))

    def test_clock_of_the_course_is_honest_otherwise(self) -> None:
        """What is legal and odd is served: resent blocks, DROP, SELECT to and fro, an item in any order of blocks."""
        with self.receiver.connect() as client:
            a, b = taken(client), taken(client, an_item(DATA[::-1]))
            for seq in (3, 1, 0, 2):
                client.block(a.number, seq, a.blocks[seq])
                client.block(b.number, seq, b.blocks[seq])
                client.block(b.number, seq, b.blocks[seq])
            gone = taken(client)
            client.block(gone.number, 0, gone.blocks[0])
            client.drop(gone.number)
            for item in (b, a):
                client.end_item(item)
                self.assertEqual(client.next(DONE).fields, (item.number, 0, []))
            client.finish()
        self.assertEqual(self.receiver.read(a.entries[0].name), DATA)
        self.assertEqual(self.receiver.read(b.entries[0].name), DATA[::-1])

    def test_after_close(self) -> None:
        with self.receiver.connect() as client:
            client.send(CLOSE, 0)
            client.announce(an_item())
            self.assertIn(client.fate(), ("CLOSE{0}", FAULT))

    def test_lanes(self) -> None:
        """A lane belongs to a transfer of its peer, and carries data alone."""
        with self.receiver.connect(lane=1) as client:
            client.select(0)
            self.assertEqual(client.fate(), "CLOSE{9}")
        with self.receiver.connect() as main:
            item = taken(main)
            with self.receiver.connect(lane=1, transfer=main.hs.transfer) as lane:
                lane.announce(an_item())
                self.assertEqual(lane.fate(), FAULT)
            self.assertEqual(main.fate(), FAULT)
        with self.receiver.connect() as main:
            item = taken(main)
            with self.receiver.connect(lane=2, transfer=main.hs.transfer) as lane:
                for seq, data in enumerate(item.blocks):
                    lane.block(item.number, seq, data)
                until_received(lane)
                main.end_item(item)
                self.assertEqual(main.next(DONE).fields, (item.number, 0, []))
                main.finish()
        self.assertEqual(self.receiver.read(item.entries[0].name), DATA)

    def test_lane_of_somebody_else(self) -> None:
        other = self.receive("--key", self.key_file(b"o" * 32), name="two-keys")
        with other.connect() as main:
            taken(main)
            with other.connect(psk=b"o" * 32, lane=1, transfer=main.hs.transfer) as lane:
                lane.select(0)
                self.assertEqual(lane.fate(), "CLOSE{9}")
            main.send(CLOSE, 7)

    def test_silence(self) -> None:
        """A sender who says nothing is let go; one who reads nothing too."""
        quick = self.receive("--idle-timeout", "500ms", "--handshake-timeout", "500ms", name="quick")
        with quick.connect() as client, self.assertRaises(Truncated):
            while True:
                client.read()
        with quick.dial() as sock:
            self.assertEqual(st.read_to_end(sock)[0][:8], b"STX1\1\0\1\0")


if __name__ == "__main__":
    stx_harness.main()
