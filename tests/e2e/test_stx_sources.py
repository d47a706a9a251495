"""Sources that are no quiet files: standard input, pipes, what cannot be read, what vanishes, what changes, what is no
file at all."""

import os
import socket
import sys
import threading
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "attack"), str(TESTS / "support")]
import stx_harness  # noqa: E402
from badwire import Badwire  # noqa: E402
from stx_harness import KEY, MIB, CutEvery, First, content, st, stx1  # noqa: E402


class Stdin(stx_harness.StxCase):
    def pipe_in(self, data: bytes, to: str, *options) -> tuple[int, str]:
        program = self.send("-", to=to, options=["--name", "from-stdin", *options], stdin="pipe")

        def feed() -> None:
            try:
                for at in range(0, len(data), 1 << 20):
                    program.write(data[at:at + (1 << 20)])
                program.close_stdin()
            except OSError:
                pass

        thread = threading.Thread(target=feed, daemon=True)
        thread.start()
        code = program.wait()
        thread.join(10)
        program.assert_sound()
        return code, program.stderr

    def test_sizes(self) -> None:
        receiver = self.receive("--on-conflict", "overwrite")
        for size in (0, 1, 256 << 10, (256 << 10) + 1, 9 * MIB + 1):
            with self.subTest(size):
                data = content(size, size & 0xFF)
                code, err = self.pipe_in(data, receiver.own_name)
                self.assertEqual(code, 0, err)
                self.assertEqual(receiver.read("from-stdin"), data)

    def test_lost_connections_are_survived(self) -> None:
        receiver = self.receive()
        data = content(MIB, 1) * st.count(200, 24)
        with Badwire(receiver.address, keep=False, c2s=First(lambda rng: CutEvery(rng.randrange(4 * MIB, 8 * MIB)), 4),
                     source=st.fresh_source) as wire:
            code, err = self.pipe_in(data, wire.name)
            self.assertEqual(code, 0, err)
            self.assertGreater(len(wire.links), 2)
        self.assertEqual(receiver.read("from-stdin"), data)

    def test_needs_a_name(self) -> None:
        program = self.send("-", to="127.0.0.1:9")
        self.assertEqual(program.wait(), 2, program.stderr)
        self.assertIn("--name", program.stderr)


class Awkward(stx_harness.StxCase):
    def folder(self) -> Path:
        root = self.place / "out" / "folder"
        root.mkdir(parents=True)
        for n in range(5):
            (root / f"good-{n}").write_bytes(content(100_000, n))
        return root

    def good(self, receiver) -> None:
        for n in range(5):
            self.assertEqual(receiver.read(f"folder/good-{n}"), content(100_000, n))

    def test_no_files_at_all(self) -> None:
        receiver = self.receive()
        root = self.folder()
        os.mkfifo(root / "fifo")
        if os.geteuid() == 0:
            os.mknod(root / "device", 0o600 | 0o020000, os.makedev(1, 5))
        with socket.socket(socket.AF_UNIX) as sock:
            old = os.getcwd()
            os.chdir(root)
            try:
                sock.bind("socket")
            finally:
                os.chdir(old)
            code, err = self.run_send(root, to=receiver.own_name)
        self.assertIn(code, (0, 8), err)
        self.assertIn("fifo", err)
        self.good(receiver)
        self.assertEqual({k for k in receiver.names() if "good" not in k}, {"folder"})

    def test_absent(self) -> None:
        receiver = self.receive()
        good = self.file("good", b"good")
        code, err = self.run_send(self.place / "absent", to=receiver.own_name)
        self.assertIn(code, (2, 8), err)
        self.assertIn("absent", err)
        code, err = self.run_send(good, self.place / "absent", to=receiver.own_name)
        self.assertIn(code, (2, 8), err)

    def test_unreadable(self) -> None:
        """One that cannot be read: the others arrive, and the exit code is 8."""
        receiver = self.receive()
        root = self.folder()
        (root / "secret").write_bytes(content(300_000, 9))
        (root / "secret").chmod(0)
        (root / "shut").mkdir()
        (root / "shut" / "x").write_bytes(b"x")
        (root / "shut").chmod(0)
        wrap = []
        if os.geteuid() == 0:
            # Root reads everything; without its capabilities it does not.
            wrap = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-all", "--"]
            if stx_harness.run(*wrap[:-1], "--", "cat", root / "secret", check=False) == 0:
                self.skipTest("capabilities stay")
        program = st.Program([*wrap, st.SEALINE, "send", "--key", self.key_file(), root, receiver.own_name],
                             env=st.environment(self.place / "s"))
        self.addCleanup(program.kill)
        self.assertEqual(program.wait(), 8, program.stderr)
        self.assertIn("secret", program.stderr)
        self.good(receiver)
        self.assertNotIn("folder/secret", receiver.names())

    def test_vanishing_while_it_is_sent(self) -> None:
        """A file that goes away behind the walk: DROP, exit 8, and the rest arrives."""
        root = self.folder()
        (root / "a-large").write_bytes(content(MIB, 3) * 8)
        (root / "z-gone").write_bytes(content(MIB, 4) * 8)
        gone = []

        def on_frame(_, message) -> None:
            if message.kind == 0 and not gone:
                gone.append((root / "z-gone").rename(self.place / "elsewhere"))

        with stx1.Receiver(KEY, on_frame=on_frame) as receiver:
            code, err = self.run_send(root, to=f"127.0.0.1:{receiver.port}", options=["--compress", "never"])
            # It may have been opened already: then it is read to its end, as any open file is.
            self.assertIn(code, (0, 8), err)
            for n in range(5):
                self.assertEqual(receiver.store.files[b"folder/good-%d" % n][3], content(100_000, n))

    def test_truncated_while_it_is_sent(self) -> None:
        path = self.file("shrinks", content(MIB, 3) * 40)

        def on_frame(_, message) -> None:
            if message.kind == 0 and message.fields[0] == 2:
                os.truncate(path, 500_000)

        with stx1.Receiver(KEY, on_frame=on_frame) as receiver:
            code, err = self.run_send(path, to=f"127.0.0.1:{receiver.port}", options=["--compress", "never"])
            self.assertEqual(code, 0, err)
            self.assertEqual(receiver.store.files[b"shrinks"][3], path.read_bytes())

    def test_growing_while_it_is_sent(self) -> None:
        path = self.file("grows", content(MIB, 3) * 32)  # more than is read ahead of what arrives
        grown = []

        def on_frame(_, message) -> None:
            if message.kind == 0 and not grown:
                with path.open("ab") as file:
                    grown.append(file.write(b"more"))

        with stx1.Receiver(KEY, on_frame=on_frame) as receiver:
            code, err = self.run_send(path, to=f"127.0.0.1:{receiver.port}", options=["--compress", "never"])
            self.assertEqual(code, 0, err)
            self.assertTrue(receiver.store.files[b"grows"][3] == path.read_bytes())

    def test_name_that_no_receiver_takes(self) -> None:
        receiver = self.receive()
        root = self.folder()
        (root / ".x.stxpart").write_bytes(b"leftover")
        (root / ".stx-ledger").write_bytes(b"another's")
        code, err = self.run_send(root, to=receiver.own_name)
        self.assertEqual(code, 6, err)
        self.assertIn(".stx-ledger", err)
        self.good(receiver)

    def test_deep_folder(self) -> None:
        receiver = self.receive()
        root = self.folder()
        deep = root
        for _ in range(40):
            deep = deep / "d"
        deep.mkdir(parents=True)
        (deep / "x").write_bytes(b"x")
        code, err = self.run_send(root, to=receiver.own_name)
        self.assertEqual(code, 6, err)
        self.good(receiver)

    def test_canary_is_never_on_the_wire(self) -> None:
        """Contents, names, sizes of messages: nothing readable in a capture of either form."""
        canary = b"CANARY-of-plaintext-7b1e"
        root = self.folder()
        (root / canary.decode()).write_bytes(canary * 5000)
        (root / "link").symlink_to(canary.decode())
        for key in (KEY, None):
            receiver = self.receive(key=key, name=f"form-{key is None}")
            with Badwire(receiver.address) as wire:
                code, err = self.run_send(root, to=wire.name, key=key, options=["--compress", "never"])
                self.assertEqual(code, 0, err)
                link = wire.link()
                link.wait()
                for stream in (bytes(link.c2s), bytes(link.s2c)):
                    for text in (canary, b"folder", b"good-", b"link", content(100_000, 1)[:24]):
                        self.assertNotIn(text, stream)


if __name__ == "__main__":
    stx_harness.main()
