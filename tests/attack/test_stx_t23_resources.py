"""T23: what a disk and a system refuse: no space, no permission, no descriptor, a limit of file sizes; sizes announced
that nobody has, and sizes beyond 32 bits that are real. The peer learns its code, and others are served."""

import contextlib
import os
import unittest

import stx_harness
from stx_harness import BLOCK, MIB, Entry, Item, content, st, stx1, tmpfs

DATA = content(3 * BLOCK, 23)
SEEK_DATA, SEEK_HOLE = os.SEEK_DATA, os.SEEK_HOLE


def extents(path) -> list[tuple[int, bytes]]:
    """What of a sparse file is no hole and not zero, in pieces of 64 KiB."""
    out, at = [], 0
    with open(path, "rb", 0) as file:
        size = os.fstat(file.fileno()).st_size
        while at < size:
            try:
                at = os.lseek(file.fileno(), at, SEEK_DATA)
            except OSError:
                break
            end = os.lseek(file.fileno(), at, SEEK_HOLE)
            at -= at % 65536
            while at < end:
                piece = os.pread(file.fileno(), 65536, at)
                if piece.strip(b"\0"):
                    out.append((at, piece))
                at += 65536
    return out


class Disk(stx_harness.StxCase):
    def test_full_disk(self) -> None:
        with tmpfs(self.place / "small", "size=1m") as root:
            receiver = self.receive(root=root / "in", honest=False)
            path = self.file("large", content(2 * MIB, 1))
            code, err = self.run_send(path, to=receiver.own_name)
            self.assertEqual(code, 6, err)
            self.assertRegex(err, r"(?i)space")
            with receiver.connect() as client:
                for size in (2 * MIB, 1 << 30, 1 << 40, (1 << 45)):
                    result = client.send_item(Item([Entry(b"f%d" % size, size=size)], block_log2=20))
                    self.assertEqual(result.code, 3)
                # A size that is not told is met by the disk itself.
                item = client.announce(Item([Entry(b"unknown")], flags=2))
                self.assertEqual(client.next(stx1.META_OK).fields[1], 0)
                for seq in range(200):
                    client.block(item.number, seq, content(BLOCK, seq))
                self.assertEqual(client.next(stx1.DONE).fields[:2], (item.number, 3))
                client.finish()
            for part in receiver.parts():  # kept for its sender, and all the space there was
                (receiver.root / part).unlink()
            self.assertEqual(receiver.give(Item([Entry(b"fits", DATA)]))[0].code, 0)
            self.assertEqual(receiver.read("fits"), DATA)
            self.assertEqual(receiver.names(), {"fits"})
            receiver.prove_sound()

    def test_disk_that_fills_up_keeps_the_part(self) -> None:
        """Somebody else takes the space in the middle: the sender is told, and goes on from there later."""
        with tmpfs(self.place / "small", "size=8m") as root:
            receiver = self.receive(root=root / "in", honest=False)
            data = content(200 * BLOCK, 2)
            with receiver.connect() as client:
                client.send_item(Item([Entry(b"f", data)]), stop_after=100)
            self.assertEqual(receiver.parts(), [".f.stxpart"])
            with (root / "hog").open("wb", 0) as hog, contextlib.suppress(OSError):
                while True:
                    hog.write(bytes(BLOCK))
            with receiver.connect() as client:  # refused, or taken because its space was set aside
                client.send_item(Item([Entry(b"g", data)]))
            (root / "hog").unlink()
            result = receiver.give(Item([Entry(b"f", data)]))[0]
            self.assertEqual(result.code, 0)
            self.assertEqual(receiver.read("f"), data)
            receiver.prove_sound()

    def test_directory_that_cannot_be_written(self) -> None:
        receiver = self.receive()
        path = self.file("fixed/data", DATA)
        with tmpfs(receiver.root / "fixed", "size=1m,ro"):
            code, err = self.run_send(path.parent, to=receiver.own_name, options=["--retry", "300ms"])
            self.assertIn(code, (5, 6), err)
            with receiver.connect() as client:
                result = client.send_item(Item([Entry(b"fixed/x", content(2 * MIB, 4))]))
                self.assertIn(result.code, (2, 5))
            self.assertEqual(os.listdir(receiver.root / "fixed"), [])
        self.assertEqual(self.run_send(path.parent, to=receiver.own_name)[0], 0)
        self.assertEqual(receiver.read("fixed/data"), DATA)

    def test_limit_of_file_sizes(self) -> None:
        """RLIMIT_FSIZE: SIGXFSZ does not end a receiver, its sender is told."""
        receiver = self.receive(wrap=("prlimit", f"--fsize={4 * MIB}"))
        path = self.file("large", content(6 * MIB, 3))
        code, err = self.run_send(path, to=receiver.own_name, options=["--compress", "never", "--retry", "300ms"])
        self.assertEqual(code, 6, err)
        self.assertNotIn("large", receiver.names())

    def test_descriptors_run_out(self) -> None:
        receiver = self.receive(wrap=("prlimit", "--nofile=64"))
        clients = []
        for _ in range(80):
            try:
                sock = receiver.dial(5)
                clients.append(sock)
            except OSError:
                break
        for sock in clients:
            sock.close()
        receiver.be_honest()


class Sizes(stx_harness.StxCase):
    def test_tebibyte_that_is_one_hole(self) -> None:
        """Announced, spread out as one ZERO run, and proved: no memory, no disk, no time."""
        receiver = self.receive("--on-conflict", "overwrite")
        size = 1 << 40
        with receiver.connect() as client:
            item = client.announce(Item([Entry(b"hole", size=size)], block_log2=20))
            code = client.next(stx1.META_OK).fields[1]
            self.assertIn(code, (0, 3))  # what the disk says to an announced tebibyte
            if code == 0:
                client.zero(item.number, 0, 1 << 20)
                root = stx1.leaf(bytes(MIB))
                for _ in range(20):
                    root = stx1.node(root, root)
                client.end_item(item, blocks=1 << 20, size=size, root=root)
                self.assertEqual(client.next(stx1.DONE).fields, (item.number, 0, []))
                self.assertEqual((receiver.root / "hole").stat().st_size, size)
                self.assertLess((receiver.root / "hole").stat().st_blocks * 512, MIB)
                (receiver.root / "hole").unlink()
                client.finish()
            stx_harness.say(f"1 TiB hole: code {code}")

    def test_beyond_four_gibibytes(self) -> None:
        """A real sparse file of 5 GiB with data at both ends and around 4 GiB: equal, and sparse on both sides."""
        receiver = self.receive()
        path = self.file("big", b"")
        with path.open("r+b") as file:
            for at in (0, (4 << 30) - 5, (4 << 30) + 100_000, (5 << 30) - 7):
                file.seek(at)
                file.write(b"mark at %d" % at if at < (5 << 30) - 7 else b"the end")
        code, err = self.run_send(path, to=receiver.own_name, timeout=600)
        self.assertEqual(code, 0, err)
        there = receiver.root / "big"
        self.assertEqual(there.stat().st_size, 5 << 30)
        self.assertEqual(extents(there), extents(path))
        self.assertLess(there.stat().st_blocks * 512, 8 * MIB)
        stx_harness.say(f"5 GiB sparse: peak of the receiver {receiver.peak() // MIB} MiB")
        self.assertLess(receiver.peak(), 64 * MIB * (8 if st.is_sanitized() else 1))

    @unittest.skipUnless(st.FULL, "writes 4.5 GiB")
    def test_real_file_beyond_four_gibibytes(self) -> None:
        receiver = self.receive()
        path = self.file("big", b"")
        piece = content(MIB, 9)
        with path.open("wb") as file:
            for n in range(4608):
                file.write(n.to_bytes(8, "big") + piece[8:])
        code, err = self.run_send(path, to=receiver.own_name, timeout=1200)
        self.assertEqual(code, 0, err)
        self.assertEqual(stx_harness.run("cmp", path, receiver.root / "big", check=False), 0)
        self.assertLess(receiver.peak(), 64 * MIB * (8 if st.is_sanitized() else 1))


class Memory(stx_harness.StxCase):
    """Peak memory of both programs, by VmHWM: a file of any size 64 MiB, a folder 128 MiB, standard input 192 MiB."""

    SCALE = 8 if st.is_sanitized() else 1

    def peak_of(self, program: st.Program) -> int:
        peak = 0

        def look() -> bool:
            nonlocal peak
            try:
                peak = max(peak, program.memory_bytes("VmHWM"))
            except (OSError, AssertionError):
                pass
            return not program.is_running()

        st.wait_until(look, 600, "the end of the sender")
        return peak

    def check(self, what: str, limit: int, receiver, program: st.Program) -> None:
        sender = self.peak_of(program)
        self.assertEqual(program.wait(), 0, program.stderr)
        stx_harness.say(f"{what}: sender {sender // MIB} MiB, receiver {receiver.peak() // MIB} MiB")
        self.assertLess(sender, limit * self.SCALE)
        self.assertLess(receiver.peak(), limit * self.SCALE)

    def random_file(self, size: int):
        path = self.file("data", b"")
        piece = content(MIB, 5)
        with path.open("wb") as file:
            for n in range(size // MIB):
                file.write(n.to_bytes(8, "big") + piece[8:])
        return path

    def test_file(self) -> None:
        path = self.random_file(st.count(4096, 192) * MIB)
        receiver = self.receive()
        self.check("a file", 64 * MIB, receiver, self.send(path, to=receiver.own_name))

    def test_folder(self) -> None:
        folder = self.place / "out" / "folder"
        for n in range(st.count(100_000, 3000)):
            if n % 500 == 0:
                (folder / f"d{n // 500}").mkdir(parents=True)
            (folder / f"d{n // 500}" / f"file-{n}").write_bytes(b"%d" % n * (n % 300))
        receiver = self.receive()
        self.check("a folder", 128 * MIB, receiver, self.send(folder, to=receiver.own_name))
        self.assertEqual(len(receiver.names()), len(stx_harness.tree_of(folder)) + 1)

    def test_standard_input(self) -> None:
        path = self.random_file(st.count(2048, 256) * MIB)
        receiver = self.receive()
        with path.open("rb") as file:
            program = self.send("-", to=receiver.own_name, options=["--name", "stdin"], stdin=file)
            self.check("standard input", 192 * MIB, receiver, program)
        self.assertEqual(stx_harness.run("cmp", path, receiver.root / "stdin", check=False), 0)


if __name__ == "__main__":
    stx_harness.main()
