"""Numbered messages both ways through `sealine msg`, while the wire is cut again and again, while keys are changed
all the time, and while the server is killed: nothing is lost, nothing comes twice, the order stays, or it is said
exactly how many messages are of unknown fate."""

import json
import random
import re
import signal
import sys
import unittest
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "attack"), str(TESTS / "support")]
import sealine_test as st  # noqa: E402
from badwire import END, RESET, Badwire, Cut, Mangler  # noqa: E402

MESSAGES, CUTS = 100_000, 100
INIT = 1


class Cuts:
    """Cuts the first `count` connections, each after some random byte of one of its directions."""

    def __init__(self, count: int, longest: int, seed: int):
        self.left, self.longest, self.rng = count, longest, random.Random(seed)
        self.made = 0
        self._other = Mangler()

    def c2s(self, _) -> Mangler:
        cut = self._cut()
        mine, self._other = (cut, Mangler()) if self.rng.random() < 0.5 else (Mangler(), cut)
        return mine

    def s2c(self, _) -> Mangler:
        return self._other

    def _cut(self) -> Mangler:
        if self.left == 0:
            return Mangler()
        self.left -= 1
        return CountedCut(self, self.rng.randrange(self.longest), RESET if self.rng.random() < 0.7 else END)


class CountedCut(Cut):
    def __init__(self, cuts: Cuts, size: int, how):
        super().__init__(size, how)
        self.cuts = cuts

    def feed(self, data: bytes) -> list:
        was_whole = self.left >= 0
        out = super().feed(data)
        if was_whole and self.left < 0:
            self.cuts.made += 1
        return out


def heads(stream: bytes) -> list[tuple[int, int]]:
    """(type, sequence) of each message of one direction: the heads stand in clear."""
    out, at = [], 0
    while at + 14 <= len(stream):
        out.append((stream[at + 1], int.from_bytes(stream[at + 2:at + 10], "big")))
        at += 14 + int.from_bytes(stream[at + 10:at + 14], "big") + 32
    return out


class Messages(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        st.require_binary()

    def setUp(self) -> None:
        self.place = st.temporary_directory(self)

    def listen(self, *flags, port: int = 0, state: str = "server", **rest) -> st.Listener:
        listener = st.Listener(["msg", "-l", f"127.0.0.1:{port}", *flags], state=self.place / state, **rest)
        self.addCleanup(listener.kill)
        return listener

    def client(self, name: str, *flags, **rest) -> st.Program:
        program = st.sealine("msg", name, *flags, state=self.place / "client", **rest)
        self.addCleanup(program.kill)
        return program

    def exchange(self, data: bytes, wire: Badwire, *flags) -> None:
        """All of `data` to a listener and back, through `wire`; both ends must have got exactly that."""
        sent, back = self.place / "sent", self.place / "back"
        sent.write_bytes(data)
        with sent.open("rb") as feed, back.open("wb") as out:
            client = self.client(wire.name, *flags, stdin=feed, stdout=out)
            code = client.wait(300)
        self.assertEqual(0, code, client.stderr)
        client.assert_sound()
        self.assertTrue(back.read_bytes() == data, "what came back is not what was sent")

    def finish(self, listener: st.Listener) -> None:
        self.assertEqual(0, listener.terminate(), listener.stderr)
        listener.assert_sound()

    def test_a_hundred_cuts_lose_and_repeat_nothing(self) -> None:
        data = b"".join(b"%d\n" % i for i in range(MESSAGES))
        taken = self.place / "taken"
        listener = self.listen("--exec", f"tee {taken}")
        # Shorter than what a hundred connections carry together: all of them are cut before the last message.
        cuts = Cuts(CUTS, 100_000, 20)
        with Badwire(listener.address, c2s=cuts.c2s, s2c=cuts.s2c, keep=False, source=st.fresh_source) as wire:
            self.exchange(data, wire, "--reconnect", "--retry", "1m")
            self.assertGreater(len(wire.links), CUTS)
        self.finish(listener)
        self.assertEqual((CUTS, 0), (cuts.made, cuts.left))
        self.assertTrue(taken.read_bytes() == data, "what the server's command got is not what was sent")

    def test_without_reconnect_a_cut_is_truncation(self) -> None:
        listener = self.listen("--exec", "cat")
        with Badwire(listener.address, s2c=lambda _: Cut(40_000, RESET), keep=False) as wire:
            numbers = b"".join(b"%d\n" % i for i in range(5000))
            feed = self.place / "numbers"
            feed.write_bytes(numbers)
            with feed.open("rb") as file:
                client = self.client(wire.name, stdin=file)
            self.assertEqual(7, client.wait(), client.stderr)
        self.assertTrue(numbers.startswith(bytes(client.output)))
        found = re.search(r"(\d+) of (\d+) messages have their receipt, (\d+) of unknown fate", client.stderr)
        receipts, out, unknown = map(int, found.groups())
        self.assertEqual(out, receipts + unknown)
        self.assertGreater(out, 0)
        self.finish(listener)

    def test_fresh_keys_after_each_megabyte(self) -> None:
        rng = random.Random(5)
        data = b"".join(b"%d %s\n" % (i, rng.randbytes(500).hex().encode()) for i in range(8000))
        listener = self.listen("--exec", "cat")
        with Badwire(listener.address) as wire:
            self.exchange(data, wire, "--rotate-bytes", "1M")
            link = wire.link()
            self.assertTrue(link.wait())
        self.finish(listener)
        rotations = sum(kind == INIT for kind, seq in heads(bytes(link.c2s)) if seq > 0)
        # It counts both directions, what is under way when one begins still has the old keys.
        self.assertGreaterEqual(rotations, 4)
        self.assertNotIn(data[100:140], bytes(link.c2s) + bytes(link.s2c))

    def test_fresh_keys_every_100_ms(self) -> None:
        data = b"".join(b"%d %s\n" % (i, b"x" * 1000) for i in range(3000))
        listener = self.listen("--exec", "cat")
        with Badwire(listener.address) as wire:
            self.exchange(data, wire, "--rotate-after", "100ms", "--limit-rate", "2M")
            link = wire.link()
            self.assertTrue(link.wait())
        self.finish(listener)
        numbers = [seq for kind, seq in heads(bytes(link.c2s)) if kind == INIT]
        self.assertGreaterEqual(len(numbers), 5)  # the first is the handshake's
        self.assertEqual(list(range(len(heads(bytes(link.c2s))))), [seq for _, seq in heads(bytes(link.c2s))],
                         "the numbers of messages begin again with no keys")

    def test_killed_server_is_the_end_of_the_channel_and_the_numbers_are_right(self) -> None:
        known, unknown = 40, 25
        for flags in ((), ("--json",)):
            with self.subTest(flags):
                listener = self.listen("--exec", "cat")
                client = self.client(listener.name, "--reconnect", *flags, stdin="pipe")
                if not flags:
                    client.wait_line("connected to")  # the signal that asks for its state is heard from here on
                client.write(b"".join(b"%d\n" % i for i in range(known)))
                self.wait_for(client, flags, known, known)
                if not flags:  # a receipt may come before the answer
                    st.wait_until(lambda client=client: len(bytes(client.output).splitlines()) == known,
                                  what="every answer")
                # It lives and says nothing: what is written now has no receipt, ever.
                listener.process.send_signal(signal.SIGSTOP)
                client.write(b"".join(b"%d\n" % i for i in range(known, known + unknown)))
                self.wait_for(client, flags, known + unknown, known)
                listener.kill()
                again = self.listen("--exec", "cat", port=listener.port)
                self.assertEqual(1, client.wait(), client.stderr)
                client.assert_sound()
                counts = f"{known} of {known + unknown} messages have their receipt, {unknown} of unknown fate"
                if flags:
                    events = [json.loads(line) for line in bytes(client.output).splitlines()]
                    self.assertEqual([(1, known + unknown, known, unknown)],
                                     [(e["exit"], e["messages_out"], e["receipts"], e["unknown"]) for e in events
                                      if e["t"] == "done"])
                    self.assertEqual(["SL-P09"], [e["code"] for e in events if e["t"] == "error"])
                else:
                    self.assertIn("error[SL-P09]", client.stderr)
                    self.assertIn(counts, client.stderr)
                    self.assertEqual(list(range(known)), [int(line) for line in bytes(client.output).splitlines()])
                self.finish(again)

    def wait_for(self, client: st.Program, flags, out: int, receipts: int) -> None:
        """Until the client has taken so many lines, and so many have their receipt."""
        if flags:
            def said() -> bool:
                lines = bytes(client.output).splitlines()
                return (sum(b'"dir":"out"' in line for line in lines), sum(b'"t":"receipt"' in line for line in lines)
                        ) >= (out, receipts)
            st.wait_until(said, what=f"{out} messages, {receipts} receipts")
            return

        def status() -> bool:
            before = len(client.stderr_lines)
            client.process.send_signal(signal.SIGUSR1)
            return client.wait_line(r"channels, \d+ messages in", after=before).string.endswith(
                f"{out} out, {receipts} of these with a receipt, 0 of unknown fate")
        st.wait_until(status, what=f"{out} messages, {receipts} receipts")

    def test_another_key_at_the_same_place_ends_it(self) -> None:
        listener = self.listen("--exec", "cat")
        client = self.client(listener.name, "--reconnect", stdin="pipe")
        client.write(b"one\n")
        client.wait_output(4)
        listener.kill()
        impostor = self.listen("--exec", "cat", port=listener.port, state="impostor")
        client.write(b"for the first one alone\n")
        self.assertEqual(1, client.wait(), client.stderr)
        self.assertIn("error[SL-A03]", client.stderr)
        self.assertIn("1 of 2 messages have their receipt, 1 of unknown fate", client.stderr)
        self.finish(impostor)


if __name__ == "__main__":
    st.main()
