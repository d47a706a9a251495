"""A folder from one program to the other: equal by content, mode, time and links; again: nothing is sent but proofs; a
byte changed: what follows it in its block, and no more."""

import json
import os
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "attack"), str(TESTS / "support")]
import stx_harness  # noqa: E402
from badwire import Badwire  # noqa: E402
from stx_harness import MIB, content, st, total_sent, tree_of  # noqa: E402

BLOCK = 256 << 10  # the default


def make_folder(root: Path) -> Path:
    """All that a folder may hold."""
    (root / "deep/er/still").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "empty/too").mkdir()
    (root / "closed").mkdir()
    (root / "nothing").write_bytes(b"")
    (root / "one").write_bytes(b"1")
    (root / "block").write_bytes(content(BLOCK, 1))
    (root / "block-and-one").write_bytes(content(BLOCK + 1, 2))
    (root / "large").write_bytes(content(5 * MIB + 77, 3))
    (root / "text").write_bytes(b"the same words again and again\n" * 40_000)
    for n in range(300):
        (root / f"deep/er/small-{n:03}").write_bytes(content(n * 7, n))
    for name in (b"latin \xe9\xff", "漢字".encode(), b"new\nline", b"esc\x1b[31m", b"-dash", b" space ", b"x" * 255):
        with open(os.path.join(os.fsencode(root), name), "wb") as file:
            file.write(name)
    (root / "link").symlink_to("one")
    (root / "deep/link-up").symlink_to("../one")
    (root / "dangling").symlink_to("not/there")
    (root / "link-to-directory").symlink_to("deep")
    os.link(root / "one", root / "hard-link")
    with (root / "sparse").open("wb") as file:
        file.seek(64 * MIB)
        file.write(b"end")
        file.truncate(96 * MIB + 5)
    for mode, name in ((0o600, "one"), (0o755, "text"), (0o444, "block"), (0o4755, "block-and-one")):
        (root / name).chmod(mode)
    os.utime(root / "large", ns=(1, 1_234_567_890_123_456_789))
    os.utime(root / "text", ns=(1, -5_000_000_001))
    os.utime(root / "deep/er", ns=(1, 999_999_999_999_999_999))
    (root / "closed/inside").write_bytes(b"in")
    (root / "closed").chmod(0o500)
    return root


def expected(root: Path) -> dict:
    """What must stand at the other end: nine bits of mode, links as they are."""
    return {k: v if v[0] == "link" else (v[0], v[1] & 0o777, *v[2:]) for k, v in tree_of(root).items()}


class Folders(stx_harness.StxCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = make_folder(self.place / "out" / "folder")

    def there(self, receiver) -> dict:
        return tree_of(receiver.root / "folder")

    def through(self, receiver, *options, paths=None, key=stx_harness.KEY) -> tuple[int, dict, int]:
        """Sends; the exit code, the last event, the bytes on the wire."""
        with Badwire(receiver.address, keep=False) as wire:
            program = self.send(*(paths or [self.folder]), to=wire.name, key=key, options=["--json", *options])
            code = program.wait()
            program.assert_sound()
            events = [json.loads(line) for line in bytes(program.output).decode().splitlines()]
            self.assertEqual(events[-1]["t"], "done", program.stderr)
            self.assertEqual(events[-1]["exit"], code)
            self.events = events
            return code, events[-1], total_sent(wire)

    def test_whole_again_and_changed(self) -> None:
        receiver = self.receive("--on-conflict", "overwrite")
        code, done, first = self.through(receiver)
        self.assertEqual(code, 0, done)
        self.assertEqual(self.there(receiver), expected(self.folder))
        self.assertEqual((receiver.root / "folder").stat().st_mtime_ns, self.folder.stat().st_mtime_ns)
        self.assertLess((receiver.root / "folder/sparse").stat().st_blocks * 512, MIB, "a hole was filled")

        code, done, again = self.through(receiver)
        self.assertEqual(code, 0, done)
        self.assertEqual(self.there(receiver), expected(self.folder))
        self.assertLess(again, 200_000, "more than names and proofs")
        self.assertTrue(done["proved"])

        large = self.folder / "large"
        at = 3 * BLOCK + 9
        with large.open("r+b") as file:
            file.seek(at)
            file.write(bytes([content(at + 1, 3)[-1] ^ 1]))
        code, done, changed = self.through(receiver)
        self.assertEqual(code, 0, done)
        self.assertEqual(self.there(receiver), expected(self.folder))
        print(f"  first {first}, again {again}, a byte changed {changed} bytes on the wire", flush=True)

    def test_stcp_form(self) -> None:
        receiver = self.receive(key=None)
        code, err = self.run_send(self.folder, to=receiver.own_name, key=None)
        self.assertEqual(code, 0, err)
        self.assertRegex(err, r"slp1\S+ +\(new, pinned\), STX/1 in STCP/1 XX, AES-256-GCM")
        self.assertEqual(self.there(receiver), expected(self.folder))
        code, err = self.run_send(self.folder, to=receiver.own_name, key=None)
        self.assertEqual(code, 0, err)
        self.assertRegex(err, r"\(known\)")

    def test_first_differing_block(self) -> None:
        """A file that was begun, and then a byte of its source changes: only blocks from it on are sent."""
        receiver = self.receive()
        data = content(12 * BLOCK, 7)
        path = self.file("begun", data)
        with receiver.connect() as client:
            info = path.stat()
            client.send_item(stx_harness.Item([stx_harness.Entry(b"begun", data, mtime=info.st_mtime_ns)],
                                              block_log2=18), stop_after=10)
        data = data[:4 * BLOCK] + b"!" + data[4 * BLOCK + 1:]
        path.write_bytes(data)
        code, done, sent = self.through(receiver, "--compress", "never", paths=[path])
        self.assertEqual(code, 0, done)
        self.assertEqual(receiver.read("begun"), data)
        self.assertLess(sent, 8 * BLOCK + 8192)
        self.assertGreater(done["resumed"] if isinstance(done["resumed"], int) else 1, 0)

    def test_file_in_the_way(self) -> None:
        for policy, code in (("fail", 6), ("overwrite", 0), ("rename", 0), ("newer", 0)):
            with self.subTest(policy):
                receiver = self.receive("--on-conflict", policy, name=policy)
                path = self.file("one-file", b"from the sender", 2_000_000_000_000_000_000)
                there = receiver.root / "one-file"
                there.write_bytes(b"was here before")
                got, err = self.run_send(path, to=receiver.own_name)
                self.assertEqual(got, code, err)
                if policy == "fail":
                    self.assertEqual(there.read_bytes(), b"was here before")
                    self.assertIn("one-file", err)
                elif policy == "rename":
                    self.assertEqual(there.read_bytes(), b"was here before")
                    other = [v[3] for k, v in tree_of(receiver.root).items() if k != "one-file"]
                    self.assertEqual(other, [b"from the sender"])
                else:
                    self.assertEqual(there.read_bytes(), b"from the sender")
                receiver.prove_sound()

    def test_older_than_what_is_there(self) -> None:
        receiver = self.receive("--on-conflict", "newer")
        path = self.file("one-file", b"old", 1_000_000_000)
        (receiver.root / "one-file").write_bytes(b"newer")
        code, err = self.run_send(path, to=receiver.own_name)
        self.assertIn(code, (0, 6), err)
        self.assertEqual((receiver.root / "one-file").read_bytes(), b"newer")

    def test_equal_content_is_no_conflict(self) -> None:
        receiver = self.receive()
        path = self.file("same", content(MIB, 3))
        path.chmod(0o640)
        there = receiver.root / "same"
        there.write_bytes(content(MIB, 3))
        inode = there.stat().st_ino
        code, err = self.run_send(path, to=receiver.own_name)
        self.assertEqual(code, 0, err)
        self.assertEqual((there.stat().st_ino, there.stat().st_mode & 0o777), (inode, 0o640))
        self.assertEqual(there.stat().st_mtime_ns, path.stat().st_mtime_ns)

    def test_several_paths_lanes_and_compression(self) -> None:
        receiver = self.receive()
        other = self.file("other", b"words " * 500_000)
        code, done, sent = self.through(receiver, "--lanes", "3", "--compress", "always", paths=[other, self.folder])
        self.assertEqual(code, 0, done)
        self.assertEqual(self.there(receiver), expected(self.folder))
        self.assertEqual(receiver.read("other"), other.read_bytes())
        self.assertLess(sent, 10 * MIB)

    def test_exclude_and_dry_run(self) -> None:
        receiver = self.receive()
        code, done, sent = self.through(receiver, "--exclude", "small-*", "--exclude", "deep/er/still", "--dry-run")
        self.assertEqual((code, sent, receiver.names()), (0, 0, set()))
        code, done, _ = self.through(receiver, "--exclude", "small-*", "--exclude", "sparse")
        self.assertEqual(code, 0)
        want = {k for k in expected(self.folder) if "small-" not in k and k != "sparse"}
        self.assertEqual(set(self.there(receiver)), want)

    def test_seeds_tools(self) -> None:
        """stx-send HOST PORT FILE [BLOCK_SIZE] --key FILE, and the key from the environment."""
        receiver = self.receive()
        path = self.file("seed", content(3 * MIB, 6))
        for n, (argv, env) in enumerate((
                (["--key", self.key_file()], {}), ([], {"STX_KEY_FILE": str(self.key_file())}),
                ([], {"STX_KEY": self.key_file().read_text().strip()}))):
            copy = self.file(f"seed-{n}", path.read_bytes())
            program = st.Program([stx_harness.STX_SEND, "127.0.0.1", receiver.port, copy, "65536", *argv],
                                 env=st.environment(self.place / "s", **env))
            self.assertEqual(program.wait(), 0, program.stderr)
            self.assertEqual(receiver.read(copy.name), path.read_bytes())

    def test_list_and_discard(self) -> None:
        receiver = self.receive()
        data = content(10 * MIB, 8)
        with receiver.connect() as client:
            client.send_item(stx_harness.Item([stx_harness.Entry(b"begun", data)], block_log2=18), stop_after=9)
        receiver.give(stx_harness.Item([stx_harness.Entry(b"whole", b"x")]))
        receiver.prove_sound()
        for option, code in (("--list", 0), ("--discard", 0)):
            program = st.sealine("recv", option, receiver.root, state=self.place / "l")
            self.assertEqual(program.wait(), code, program.stderr)
            if option == "--list":
                self.assertIn("begun", program.stderr + bytes(program.output).decode())
        self.assertEqual(receiver.parts(), [])
        self.assertEqual(receiver.read("whole"), b"x")

    def test_hook_and_once(self) -> None:
        log = self.place / "log"
        receiver = self.receive("--once", "--hook", f'printf "%s\\n" "$SEALINE_FILE" >> {log}', honest=False)
        path = self.file("hooked", b"x" * 1000)
        self.assertEqual(self.run_send(path, to=receiver.own_name)[0], 0)
        self.assertEqual(receiver.program.wait(), 0, receiver.program.stderr)
        self.assertEqual(log.read_text(), f"{receiver.root / 'hooked'}\n")
        receiver.is_gone = True


if __name__ == "__main__":
    stx_harness.main()
