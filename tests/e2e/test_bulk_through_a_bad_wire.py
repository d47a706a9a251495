"""Much random data through `sealine pipe` and a recording proxy: equal at the other end, nothing of it in the capture.
Then the proxy turns bad: a flipped bit, a dropped, repeated or swapped record, a cut connection. Each time the exit
code is the documented one and the receiver gives a prefix."""

import hashlib
import mmap
import random
import sys
import threading
import time
import unittest
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "attack"), str(TESTS / "support")]
import badwire  # noqa: E402
import sealine_test as st  # noqa: E402
from badwire import Badwire, Cut, FlipBit  # noqa: E402

MARK = b"CANARY-of-plaintext-7b1e"  # stands in each 64 KiB of what is sent
SIZE = 1 << 30 if st.FULL else 64 << 20


def write_random(path: Path, size: int, seed: int) -> str:
    """Random bytes with the mark in them; their SHA-256."""
    rng, digest, left = random.Random(seed), hashlib.sha256(), size
    with path.open("wb") as file:
        while left:
            piece = MARK + rng.randbytes(min(left, 1 << 16) - len(MARK))
            file.write(piece)
            digest.update(piece)
            left -= len(piece)
    return digest.hexdigest()


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_prefix(part: Path, whole: Path) -> bool:
    size = part.stat().st_size
    with part.open("rb") as a, whole.open("rb") as b:
        while size:
            piece = a.read(min(size, 1 << 20))
            if not piece or piece != b.read(len(piece)):
                return False
            size -= len(piece)
    return True


class Bulk(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        st.require_binary()

    def setUp(self) -> None:
        self.place = st.temporary_directory(self)

    def transfer(self, source: Path, target: Path, c2s=None, s2c=None, sinks=(None, None), flags=(), seed: int = 1,
                 timeout: float = 600) -> tuple:
        """source -> pipe -> proxy -> pipe -l -> target: (client's code, listener's code, listener, client, link)."""
        with target.open("wb") as out, source.open("rb") as feed:
            listener = st.Listener(["pipe", "-l", "127.0.0.1:0", *flags], state=self.place / "server", stdout=out)
            self.addCleanup(listener.kill)
            with Badwire(listener.address, c2s=c2s, s2c=s2c, keep=False, sinks=sinks, seed=seed) as wire:
                client = st.sealine("pipe", wire.name, *flags, state=self.place / f"client-{seed}", stdin=feed)
                self.addCleanup(client.kill)
                codes = client.wait(timeout), listener.wait(timeout)
                link = wire.link()
                self.assertTrue(link.wait(), "the proxy is not done")
        for program in (listener, client):
            program.assert_sound()
        return codes, listener, client, link

    def test_random_data_arrives_and_its_capture_shows_nothing(self) -> None:
        source, target = self.place / "sent", self.place / "received"
        digest = write_random(source, SIZE, 7)
        captures = [self.place / "c2s", self.place / "s2c"]
        begin = time.monotonic()
        with captures[0].open("wb") as c2s, captures[1].open("wb") as s2c:
            codes, listener, client, link = self.transfer(source, target, sinks=(c2s, s2c))
        elapsed = time.monotonic() - begin
        self.assertEqual(codes, (0, 0), f"{client.stderr}\n{listener.stderr}")
        self.assertEqual(sha256(target), digest)
        self.assertGreater(captures[0].stat().st_size, SIZE)
        with source.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as sent:
            rng = random.Random(11)
            canaries = [MARK] + [sent[at:at + 16] for at in (rng.randrange(SIZE - 16) for _ in range(8))]
        for capture in captures:
            with capture.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as seen:
                for canary in canaries:
                    self.assertEqual(seen.find(canary), -1, f"plaintext on the wire: {canary!r}")
        print(f"  {SIZE >> 20} MiB in {elapsed:.1f} s through a recording proxy; {len(canaries)} canaries not found",
              flush=True)

    def test_both_directions_at_once(self) -> None:
        size = SIZE // 8
        there, back, got_there, got_back = (self.place / n for n in ("there", "back", "got-there", "got-back"))
        digests = write_random(there, size, 1), write_random(back, size, 2)
        with there.open("rb") as a, back.open("rb") as b, got_there.open("wb") as x, got_back.open("wb") as y:
            listener = st.Listener(["pipe", "-l", "127.0.0.1:0"], state=self.place / "s", stdin=b, stdout=x)
            self.addCleanup(listener.kill)
            client = st.sealine("pipe", listener.name, state=self.place / "c", stdin=a, stdout=y)
            self.addCleanup(client.kill)
            self.assertEqual((client.wait(600), listener.wait(600)), (0, 0), client.stderr + listener.stderr)
        self.assertEqual((sha256(got_there), sha256(got_back)), digests)

    def test_every_harm_is_noticed_and_only_a_prefix_is_given(self) -> None:
        source, target = self.place / "sent", self.place / "received"
        size = 4 << 20
        write_random(source, size, 3)
        middle = 166 + size // 2  # behind the handshake: bytes of some record
        harms = {
            "flipped bit": lambda rng: FlipBit(rng.randrange(200, size), rng.randrange(8)),
            "flipped bit in the first record": lambda rng: FlipBit(166 + rng.randrange(24), rng.randrange(8)),
            "dropped record": lambda rng: badwire.drop(rng.randrange(2, 20)),
            "repeated record": lambda rng: badwire.repeat(rng.randrange(2, 20)),
            "swapped records": lambda rng: badwire.swap(rng.randrange(2, 20)),
            "cut by FIN": lambda rng: Cut(middle + rng.randrange(1000), badwire.END),
            "cut by RST": lambda rng: Cut(middle + rng.randrange(1000), badwire.RESET),
        }
        for seed in range(st.count(20, 2)):
            for what, make in harms.items():
                with self.subTest(what, seed=seed):
                    codes, listener, client, _ = self.transfer(source, target, c2s=make, seed=100 + seed)
                    self.assertEqual(codes[1], 7, f"the receiver: {listener.stderr}")
                    # The sender knows if the connection ends while it still sends. If all was written, and the
                    # receiver, who has nothing to say, has ended its own direction before, it cannot know.
                    self.assertIn(codes[0], (0, 7), f"the sender: {client.stderr}")
                    self.assertTrue(is_prefix(target, source), "no prefix of what was sent")
                    self.assertLess(target.stat().st_size, size)

    def test_harm_to_the_answer_is_noticed_by_the_client(self) -> None:
        """The other direction: the listener's file comes to the client."""
        source, target = self.place / "sent", self.place / "received"
        size = 4 << 20
        write_random(source, size, 4)
        for what, make in {
            "flipped bit": lambda rng: FlipBit(rng.randrange(200, size), rng.randrange(8)),
            "dropped record": lambda rng: badwire.drop(rng.randrange(1, 20)),
            "swapped records": lambda rng: badwire.swap(rng.randrange(1, 20)),
            "cut by FIN": lambda rng: Cut(size // 2, badwire.END),
            "cut by RST": lambda rng: Cut(size // 2, badwire.RESET),
        }.items():
            with self.subTest(what), source.open("rb") as feed, target.open("wb") as out:
                listener = st.Listener(["pipe", "-l", "127.0.0.1:0"], state=self.place / "server", stdin=feed)
                self.addCleanup(listener.kill)
                with Badwire(listener.address, s2c=make, keep=False, seed=5) as wire:
                    client = st.sealine("pipe", wire.name, state=self.place / f"c-{what}", stdout=out)
                    self.addCleanup(client.kill)
                    self.assertEqual(client.wait(600), 7, client.stderr)
                    self.assertIn(listener.wait(600), (0, 7), listener.stderr)  # it may have been done before
                self.assertTrue(is_prefix(target, source))
                self.assertLess(target.stat().st_size, size)

    def test_slow_reader_and_stalls_lose_nothing(self) -> None:
        """Back-pressure: a wire that gives little at a time, and memory that does not grow with the work."""
        source, target = self.place / "sent", self.place / "received"
        digest = write_random(source, 8 << 20, 6)
        peak = [0]

        def watch(program) -> None:
            while program.is_running():
                try:
                    peak[0] = max(peak[0], program.memory_bytes("VmHWM"))
                except (OSError, AssertionError):
                    return
                done.wait(0.05)

        done = threading.Event()
        with target.open("wb") as out, source.open("rb") as feed:
            listener = st.Listener(["pipe", "-l", "127.0.0.1:0"], state=self.place / "server", stdout=out)
            self.addCleanup(listener.kill)
            with Badwire(listener.address, c2s=lambda rng: badwire.Delay(rng, 0.05), keep=False) as wire:
                client = st.sealine("pipe", wire.name, state=self.place / "client", stdin=feed)
                self.addCleanup(client.kill)
                watcher = threading.Thread(target=watch, args=(client,))
                watcher.start()
                self.assertEqual((client.wait(600), listener.wait(600)), (0, 0), client.stderr + listener.stderr)
                done.set()
                watcher.join()
        self.assertEqual(sha256(target), digest)
        print(f"  the sender's memory was at most {peak[0] / 2**20:.1f} MiB", flush=True)
        if not st.is_sanitized():
            self.assertLess(peak[0], 48 << 20)


if __name__ == "__main__":
    st.main()
