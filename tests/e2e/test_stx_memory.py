"""What a transfer costs in memory: at each end, of a large file, of a folder, of standard input, of many senders at once.
The largest resident size of the processes, as the kernel counts it; sanitizers have other needs and are left out."""

import contextlib
import os
import subprocess
import sys
import unittest
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "attack"), str(TESTS / "support")]
import stx_harness  # noqa: E402
from stx_harness import MIB, content, say, st  # noqa: E402

FILE_LIMIT = 64 * MIB
FOLDER_LIMIT = 128 * MIB
STREAM_LIMIT = 192 * MIB
SENDER_LIMIT = 16 * MIB  # of each further one, at the receiver
SENDERS = 50


@unittest.skipIf(st.is_sanitized(), "a sanitizer's memory is not ours")
class Memory(stx_harness.StxCase):
    def start(self, source, receiver, *options, number: int = 0, **rest) -> st.Program:
        return self.send(source, to=receiver.own_name, options=options, state=f"sender-{number}", **rest)

    def peak_of(self, program: st.Program) -> int:
        """Waits for a sender that must succeed; its largest resident size, as last seen while it ran."""
        peak = 0
        while program.is_running():
            with contextlib.suppress(OSError, AssertionError):
                peak = max(peak, program.memory_bytes("VmHWM"))  # it may have ended meanwhile
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.process.wait(0.02)
        self.assertEqual(program.wait(), 0, program.stderr)
        return peak

    def large_file(self, mib: int) -> Path:
        """Bytes that do not compress, and a hole."""
        path = self.place / "out" / "large"
        path.parent.mkdir(exist_ok=True)
        data = content(4 * MIB)
        with path.open("wb") as file:
            for _ in range(mib // 4):
                file.write(data)
            file.truncate(file.tell() + 700 * MIB)
        return path

    def check(self, what: str, limit: int, sender: int, receiver: int) -> None:
        say(f"{what}: sender {sender / MIB:.0f} MiB, receiver {receiver / MIB:.0f} MiB")
        self.assertLessEqual(sender, limit)
        self.assertLessEqual(receiver, limit)

    def test_a_large_file(self) -> None:
        receiver = self.receive()
        path = self.large_file(st.count(4096, 192))
        sender = self.peak_of(self.start(path, receiver))
        self.check("a file", FILE_LIMIT, sender, receiver.peak())
        self.assertEqual(os.stat(receiver.root / "large").st_size, path.stat().st_size)

    def test_a_large_file_over_lanes(self) -> None:
        receiver = self.receive()
        sender = self.peak_of(self.start(self.large_file(st.count(2048, 96)), receiver, "--lanes", "4"))
        self.check("a file over 4 lanes", FILE_LIMIT, sender, receiver.peak())

    def test_a_folder(self) -> None:
        receiver = self.receive()
        root = self.place / "out" / "folder"
        files = st.count(100_000, 3000)
        data = content(MIB)
        for number in range(files):
            if number % 100 == 0:
                (root / f"{number // 100:04}").mkdir(parents=True)
            (root / f"{number // 100:04}" / f"{number:06}").write_bytes(data[number % 5000:][:1 + number * 37 % 40_000])
        for number in range(4):
            (root / f"large-{number}").write_bytes(data * 10)
        sender = self.peak_of(self.start(root, receiver))
        self.check(f"a folder of {files + 4} files", FOLDER_LIMIT, sender, receiver.peak())
        self.assertEqual(sum(len(names) for _, _, names in os.walk(receiver.root / "folder")), files + 4)

    def test_standard_input(self) -> None:
        receiver = self.receive()
        path = self.large_file(st.count(4096, 192))
        os.truncate(path, path.stat().st_size - 700 * MIB)
        with path.open("rb") as source:
            sender = self.peak_of(self.start("-", receiver, "--name", "stream", stdin=source))
        self.check("standard input", STREAM_LIMIT, sender, receiver.peak())
        self.assertEqual(os.stat(receiver.root / "stream").st_size, path.stat().st_size)

    def test_fifty_senders_at_once(self) -> None:
        receiver = self.receive(memory_budget=FILE_LIMIT + (SENDERS - 1) * SENDER_LIMIT)
        paths = [self.file(f"file-{number}", content(2 * MIB, number)) for number in range(SENDERS)]
        # Slow enough that all of them are there together.
        senders = [self.start(path, receiver, "--limit-rate", "1MiB", number=number)
                   for number, path in enumerate(paths)]
        largest = max(self.peak_of(sender) for sender in senders)
        say(f"{SENDERS} senders: receiver {receiver.peak() / MIB:.0f} MiB, largest sender {largest / MIB:.0f} MiB")
        self.assertLessEqual(largest, FILE_LIMIT)
        self.assertLessEqual(receiver.peak(), FILE_LIMIT + (SENDERS - 1) * SENDER_LIMIT)
        for number in range(SENDERS):
            self.assertEqual(receiver.read(f"file-{number}"), content(2 * MIB, number))


if __name__ == "__main__":
    stx_harness.main()
