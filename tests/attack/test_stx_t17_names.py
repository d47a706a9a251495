"""T17: names as weapons, sent by a sender with a valid key. What stx.md 3.6 refuses is refused, the entry alone, and
nothing outside of the root changes; what it takes is never printed raw."""

import os

import stx_harness
from stx_harness import Entry, Item, stx1
from stx1.items import DIRECTORY, FILE, SYMLINK

DEEP = b"/".join([b"d"] * 33)
REFUSED = [
    b"", b"/", b"/etc/passwd", b"../x", b"..", b".", b"./x", b"x/.", b"x/./y", b"a/../../b", b"a/..", b"a/../b", b"a//b",
    b"a/", b"//a", b"a\0b", b"\0", b"a/\0", b"x" * 256, b"a/" + b"x" * 300, DEEP, b"/".join([b"d"] * 40), b"../precious",
    b"../etc/passwd", b".stx-ledger", b".stx-ledger-wal", b".stx-0123456789abcdef", b"a/.stx-x", b".stx-/x",
    b"a.stxpart", b".name.stxpart", b".stxpart", b"dir.stxpart/x", b"/".join([b"y" * 200] * 21),
]
NASTY = [
    b"\x1b]0;owned\x07", b"\x1b[2J\x1b[31mred", b"line\nbreak", b"cr\roverwritten", b"tab\there", b"bell\x07",
    b"\x7fdelete", b"\xc2\x9b31mC1", "right\u202eto\u202cleft".encode(), "zero\u200bwidth".encode(), b"latin-1 \xe9\xff",
    b"\xed\xa0\x80surrogate", b"back\\slash", b"quote'\"`$(touch owned)", b"-rf", b"--key", b"~", b"*", b" space ", b"...",
    b"..a", b"C:\\con", "名前".encode(), b"\xf0\x28\x8c\x28", b".stx", b"stx-x", b".stxpart.x", b"x" * 255,
    b"/".join([b"e"] * 31 + [b"leaf"]),
]


class Names(stx_harness.StxCase):
    def test_refused_alone(self) -> None:
        receiver = self.receive("--on-conflict", "overwrite")
        kinds = ((FILE, b"evil"), (SYMLINK, b"target"), (DIRECTORY, b""))
        with receiver.connect() as client:
            for name in REFUSED:
                for kind, data in kinds:
                    with self.subTest(name=name[:40], kind=kind):
                        item = client.announce(Item([Entry(name, data, kind)]))
                        self.assertEqual(client.next(stx1.META_OK).fields, (item.number, 10, 0))
            client.finish()
        self.assertEqual(receiver.names(), set())

    def test_refused_among_others(self) -> None:
        """A pack: the entry alone stays out, by its number."""
        receiver = self.receive("--on-conflict", "overwrite")
        with receiver.connect() as client:
            for n in range(0, len(REFUSED), 6):
                bad = REFUSED[n:n + 6]
                entries = []
                for i, name in enumerate(bad):
                    entries += [Entry(b"good-%d-%d" % (n, i), b"good"), Entry(name, b"evil")]
                result = client.send_item(Item(entries))
                self.assertEqual((result.code, result.left_out), (0, [(2 * i + 1, 10) for i in range(len(bad))]))
            client.finish()
        self.assertEqual({v[3] for v in stx_harness.tree_of(receiver.root).values()}, {b"good"})

    def test_taken_and_never_printed_raw(self) -> None:
        for tool in ((), ("--json",), ("-v",)):
            receiver = self.receive(*tool, name=f"tool{len(self.receivers)}")
            with receiver.connect() as client:
                for i, name in enumerate(NASTY):
                    item = Item([Entry(name, b"%d" % i)] if i % 2 else [Entry(name, b"%d" % i), Entry(b"p%d" % i)])
                    self.assertEqual((client.send_item(item).code, i), (0, i))
                client.announce(Item([Entry(b"\x1b[31m../x", b"evil")]))
                client.finish(7)
            for i, name in enumerate(NASTY):
                self.assertEqual(receiver.read(name), b"%d" % i)
            receiver.prove_sound()
            shown = receiver.program.stderr.encode("utf-8", "replace") + bytes(receiver.program.output)
            for byte in b"\x1b\x07\r\x7f":
                self.assertNotIn(bytes([byte]), shown)
            for text in ("\u202e", "\u200b", "\x9b"):
                self.assertNotIn(text.encode(), shown)
            self.assertNotIn(b"\nbreak", shown)
        self.assertFalse(os.path.exists("owned"))

    def test_real_sender_shows_them_quoted(self) -> None:
        receiver = self.receive()
        folder = self.place / "out" / "nasty"
        folder.mkdir(parents=True)
        for i, name in enumerate(NASTY[:-1]):
            with open(os.path.join(os.fsencode(folder), name), "wb") as file:
                file.write(b"%d" % i)
        for options in ([], ["-v"], ["--json"]):
            program = self.send(folder, to=receiver.own_name, options=options)
            self.assertEqual(program.wait(), 0, program.stderr)
            shown = program.stderr.encode("utf-8", "replace") + bytes(program.output)
            for raw in (b"\x1b", b"\x07", "\u202e".encode(), b"\nbreak"):
                self.assertNotIn(raw, shown)
        for i, name in enumerate(NASTY[:-1]):
            self.assertEqual(receiver.read(b"nasty/" + name), b"%d" % i)


class Links(stx_harness.StxCase):
    BAD = [b"/etc/passwd", b"/", b"..", b"../..", b"../precious", b"a/../../precious", b"./../x", b"a/b/../../../x"]

    def test_links_that_leave_the_root(self) -> None:
        receiver = self.receive()
        with receiver.connect() as client:
            for n, target in enumerate(self.BAD):
                with self.subTest(target):
                    result = client.send_item(Item([Entry(b"l%d" % n, target, SYMLINK), Entry(b"g%d" % n, b"good")]))
                    self.assertEqual((result.code, [i for i, _ in result.left_out]), (0, [0]))
            # From deeper down the same step up stays inside.
            result = client.send_item(Item([Entry(b"a/b/l", b"../../g0", SYMLINK), Entry(b"a/b/m", b"../../../x", SYMLINK)]))
            self.assertEqual((result.code, [i for i, _ in result.left_out]), (0, [1]))
            client.finish()
        links = {k: v for k, v in stx_harness.tree_of(receiver.root).items() if v[0] == "link"}
        self.assertEqual({k: v[1] for k, v in links.items()}, {"a/b/l": b"../../g0"})

    def test_links_anywhere_on_request(self) -> None:
        receiver = self.receive("--any-links")
        with receiver.connect() as client:
            for n, target in enumerate(self.BAD):
                self.assertEqual(client.send_item(Item([Entry(b"l%d" % n, target, SYMLINK)])).code, 0)
            client.finish()
        for n, target in enumerate(self.BAD):
            self.assertEqual(os.readlink(os.fsencode(receiver.root) + b"/l%d" % n), target)

    def test_links_are_never_followed(self) -> None:
        """Not even those that the sender made himself, in the same pack, before, or in between."""
        for option in ((), ("--any-links", "--on-conflict", "overwrite")):
            receiver = self.receive(*option, name=f"links{len(option)}")
            with receiver.connect() as client:
                client.send_item(Item([Entry(b"in/file", b"good"), Entry(b"in", kind=DIRECTORY, mode=0o755)]))
                pack = Item([Entry(b"up", b"..", SYMLINK), Entry(b"up/precious", b"evil"), Entry(b"ok", b"ok"),
                             Entry(b"side", b"in", SYMLINK), Entry(b"side/file", b"evil"),
                             Entry(b"side/new", b"evil"), Entry(b"etc", b"../etc", SYMLINK), Entry(b"etc/passwd", b"evil")])
                result = client.send_item(pack)
                self.assertEqual(result.code, 0)
                out = {i for i, _ in result.left_out}
                # Where the link was made nothing goes below it; else a directory of that name may stand in its place.
                for link, below in ((0, {1}), (3, {4, 5}), (6, {7})):
                    self.assertTrue(link in out or below <= out, out)
                for link, name in ((3, b"side/alone"), (0, b"up/alone")):
                    result = client.send_item(Item([Entry(name, b"evil" * 9)]))
                    if link not in out:
                        self.assertNotEqual(result.code, 0)
                client.finish()
            self.assertEqual(receiver.read("in/file"), b"good")
            self.assertEqual(sorted(os.listdir(receiver.root / "in")), ["file"])


class Modes(stx_harness.StxCase):
    def test_no_bit_above_the_nine(self) -> None:
        receiver = self.receive()
        with receiver.connect() as client:
            for mode in (0o777, 0o000, 0o644, 0o421):
                self.assertEqual(client.send_item(Item([Entry(b"m%o" % mode, b"x", mode=mode)])).code, 0)
            client.finish()
        for mode in (0o777, 0o000, 0o644, 0o421):
            self.assertEqual((receiver.root / f"m{mode:o}").stat().st_mode & 0o7777, mode)

    def test_times_at_the_edges(self) -> None:
        receiver = self.receive()
        times = [0, -1, -(1 << 63), (1 << 63) - 1, 1 << 62, 1]
        with receiver.connect() as client:
            for n, mtime in enumerate(times):
                self.assertIn(client.send_item(Item([Entry(b"t%d" % n, b"x", mtime=mtime)])).code, (0, 5))
            client.finish()
        self.assertEqual(os.stat(receiver.root / "t0").st_mtime_ns, 0)
        self.assertEqual(os.stat(receiver.root / "t1").st_mtime_ns, -1)


if __name__ == "__main__":
    stx_harness.main()
