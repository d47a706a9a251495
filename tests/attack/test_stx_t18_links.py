"""T18: links, hard links and FIFOs that somebody else puts into the receive directory, before a transfer and while it
runs. Nothing outside of the root is touched, whatever the policy for files in the way is."""

import ctypes
import os
import threading

import stx_harness
from stx_harness import BLOCK, Entry, Item, content, st

DATA = content(3 * BLOCK, 18)
POLICIES = ("fail", "overwrite", "rename", "newer")
AT_FDCWD, RENAME_EXCHANGE = -100, 2
_libc = ctypes.CDLL(None, use_errno=True)


class Placed(stx_harness.StxCase):
    """Each shape in the way of a single file and of an entry of a pack, under every policy."""

    def shapes(self, receiver) -> dict:
        outside = receiver.guard

        def hard_link(path) -> None:
            os.link(outside / "precious", path)

        return {
            "link to a file": lambda p: p.symlink_to(outside / "precious"),
            "relative link": lambda p: p.symlink_to("../precious"),
            "link to nothing": lambda p: p.symlink_to(outside / "made"),
            "link to a directory": lambda p: p.symlink_to(outside / "etc"),
            "hard link": hard_link,
            "FIFO": lambda p: os.mkfifo(p),
            "directory": lambda p: p.mkdir(),
        }

    def test_in_the_way_of_a_file(self) -> None:
        for policy in POLICIES if st.FULL else ("fail", "overwrite"):
            receiver = self.receive("--on-conflict", policy, name=policy)
            for n, (what, make) in enumerate(self.shapes(receiver).items()):
                for pack in (False, True):
                    name = f"s{n}{'p' if pack else ''}"
                    make(receiver.root / name)
                    with self.subTest(policy=policy, what=what, pack=pack), receiver.connect() as client:
                        entries = [Entry(name.encode(), DATA)] + ([Entry(name.encode() + b"-good", b"g")] if pack else [])
                        result = client.send_item(Item(entries))
                        client.finish()
                        if policy == "fail":
                            self.assertIn((result.code, result.left_out),
                                          [(11, []), (0, [(0, 11)])], (result, receiver.program.stderr))
                        if pack:
                            self.assertEqual(receiver.read(f"{name}-good"), b"g")
                        if policy == "overwrite" and what != "directory" and result.code == 0 and not result.left_out:
                            self.assertFalse((receiver.root / name).is_symlink())
                            self.assertEqual(receiver.read(name), DATA)
            self.assertEqual((receiver.guard / "precious").read_bytes(), b"not yours")
            receiver.prove_sound()

    def test_on_the_way_to_a_file(self) -> None:
        """A component of the path is a link, a FIFO or a file."""
        receiver = self.receive("--on-conflict", "overwrite")
        for n, make in enumerate((lambda p: p.symlink_to(receiver.guard / "etc"), lambda p: p.symlink_to(".."),
                                  lambda p: p.symlink_to("."), lambda p: os.mkfifo(p), lambda p: p.write_bytes(b"x"),
                                  lambda p: p.symlink_to("/proc/self/root"))):
            make(receiver.root / f"w{n}")
            for name in (b"w%d/passwd" % n, b"w%d/a/b" % n):
                with self.subTest(name), receiver.connect() as client:
                    self.assertNotEqual(client.send_item(Item([Entry(name, DATA)])).code, 0)
                    result = client.send_item(Item([Entry(name, b"evil"), Entry(b"g%d" % n, b"g")]))
                    self.assertEqual((result.code, [i for i, _ in result.left_out]), (0, [0]))
                    client.finish()

    def test_in_the_way_of_the_part(self) -> None:
        receiver = self.receive()
        for n, (what, make) in enumerate(self.shapes(receiver).items()):
            make(receiver.root / f".q{n}.stxpart")
            with self.subTest(what), receiver.connect() as client:
                result = client.send_item(Item([Entry(b"q%d" % n, DATA)]))
                client.finish()
                if result.code == 0:
                    self.assertEqual(receiver.read(f"q{n}"), DATA)
                    self.assertFalse((receiver.root / f"q{n}").is_symlink())
        self.assertEqual((receiver.guard / "precious").read_bytes(), b"not yours")
        self.assertFalse((receiver.guard / "made").exists())

    def test_in_the_way_of_the_ledger(self) -> None:
        """A directory whose ledger is a link: not written through."""
        for what in (".stx-ledger", ".stx-ledger-wal"):
            root = self.place / f"guard{what}" / "in"
            root.mkdir(parents=True)
            (root / what).symlink_to("../precious")
            program = st.Program([stx_harness.STX_RECV, "--listen", "127.0.0.1:0", "--out", root, "--key",
                                  self.key_file()], env=st.environment(self.place / "s"))
            self.addCleanup(program.kill)
            (root.parent / "precious").write_bytes(b"not yours")
            st.wait_until(lambda p=program: p.stderr or not p.is_running(), what="a word of it")
            program.terminate()
            program.assert_sound()
            self.assertEqual((root.parent / "precious").read_bytes(), b"not yours")


class Race(stx_harness.StxCase):
    def test_directory_and_link_change_places_all_the_time(self) -> None:
        receiver = self.receive("--on-conflict", "overwrite")
        target = receiver.guard / "etc"
        (receiver.root / "d").mkdir()
        (receiver.root / "swap").symlink_to("../etc")
        a, b = os.fsencode(receiver.root / "d"), os.fsencode(receiver.root / "swap")
        stop = threading.Event()
        swaps = [0]

        def swap() -> None:
            while not stop.is_set():
                _libc.renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE)
                swaps[0] += 1

        threads = [threading.Thread(target=swap, daemon=True)]
        for thread in threads:
            thread.start()
        taken = refused = 0
        total = st.count(10_000, 600)
        try:
            with receiver.connect() as client:
                for n in range(0, total, 50):
                    result = client.send_item(Item([Entry(b"d/f%d" % i, b"evil") for i in range(n, n + 49)]))
                    self.assertIn(result.code, (0, 5, 10, 11))
                    refused += len(result.left_out) if result.code == 0 else 49
                    taken += 49 - len(result.left_out) if result.code == 0 else 0
                    result = client.send_item(Item([Entry(b"d/g%d" % n, DATA[:BLOCK])]))
                    refused += result.code != 0
                    taken += result.code == 0
                client.finish()
        finally:
            stop.set()
            for thread in threads:
                thread.join(10)
        stx_harness.say(f"{swaps[0]} swaps, {taken} entries taken, {refused} refused")
        self.assertEqual(os.listdir(target), ["passwd"], "written through the link")
        self.assertEqual((target / "passwd").read_bytes(), b"root")

    def test_file_and_link_change_places_all_the_time(self) -> None:
        receiver = self.receive("--on-conflict", "overwrite")
        stop = threading.Event()
        place = receiver.root / "f"

        def swap() -> None:
            while not stop.is_set():
                try:
                    place.symlink_to("../precious")
                except FileExistsError:
                    place.unlink(missing_ok=True)

        thread = threading.Thread(target=swap, daemon=True)
        thread.start()
        try:
            with receiver.connect() as client:
                for _ in range(st.count(1000, 60)):
                    self.assertIn(client.send_item(Item([Entry(b"f", DATA)])).code, (0, 5, 11))
                client.finish()
        finally:
            stop.set()
            thread.join(10)
        self.assertEqual((receiver.guard / "precious").read_bytes(), b"not yours")


if __name__ == "__main__":
    stx_harness.main()
