"""T4, T9 for STX: bits changed on the way between the two real programs. Whatever was hit, the transfer ends by itself
and is right; only what is hit on every connection ends it, with the code that says what it was. (The machines' own
tests flip every bit.)"""

import random

import stx_harness
from badwire import Badwire, FlipBit
from stx_harness import BLOCK, KEY, First, Frames, content, recrc, st, stx1, total_sent

DATA = content(6 * BLOCK - 100, 4)
SMALL = ["--block", "16KiB", "--compress", "never"]


class OneFlip(stx_harness.StxCase):
    def rounds(self, direction: str, count: int, key: bytes | None) -> None:
        receiver = self.receive(key=key)
        path = self.file("clean", DATA)
        with Badwire(receiver.address, source=st.fresh_source) as wire:
            code, err = self.run_send(path, to=wire.name, key=key, options=SMALL)
            self.assertEqual(code, 0, err)
            link = wire.link()
            link.wait()
            size = link.sizes[direction]
            self.assertNotIn(DATA[:32], bytes(link.c2s) + bytes(link.s2c))
            self.assertNotIn(b"clean", bytes(link.c2s))
        rng = random.Random(direction)
        for n in range(count):
            # Every third in the handshake and the first frames, where there is most to be hit.
            offset, bit = rng.randrange(400 if n % 3 == 0 else size), rng.randrange(8)
            flip = First(lambda _, o=offset, b=bit: FlipBit(o, b))
            path = self.file(f"flip-{n}", DATA)
            with self.subTest(direction=direction, offset=offset, bit=bit), \
                    Badwire(receiver.address, source=st.fresh_source, **{direction: flip}) as wire:
                # A damaged size makes a side wait for what never comes: that is the silence it bounds.
                program = self.send(path, to=wire.name, key=key, state=f"s{n}",
                                    options=[*SMALL, "--idle-timeout", "2s", "--handshake-timeout", "2s"])
                self.assertEqual(program.wait(), 0, program.stderr)
                program.assert_sound()
                self.assertEqual(receiver.read(path.name), DATA)

    def test_what_the_sender_says(self) -> None:
        self.rounds("c2s", st.count(60, 6), KEY)

    def test_what_the_receiver_says(self) -> None:
        self.rounds("s2c", st.count(60, 6), KEY)

    def test_what_the_sender_says_in_the_stcp_form(self) -> None:
        self.rounds("c2s", st.count(40, 3), None)

    def test_what_the_receiver_says_in_the_stcp_form(self) -> None:
        self.rounds("s2c", st.count(40, 3), None)


class EveryConnection(stx_harness.StxCase):
    def test_handshake_is_hit_every_time(self) -> None:
        """Line damage in a handshake looks like a wrong key: final at the third time, and nothing is taken."""
        receiver = self.receive()
        path = self.file("never", DATA)
        places = [("c2s", 10), ("c2s", 60), ("c2s", 100), ("s2c", 70), ("s2c", 120)]
        for direction, offset in places if st.FULL else places[1:4]:
            with self.subTest(direction=direction, offset=offset), \
                    Badwire(receiver.address, source=st.fresh_source, **{direction: lambda _: FlipBit(offset)}) as wire:
                code, err = self.run_send(path, to=wire.name, options=SMALL)
                self.assertEqual(code, 3, err)
                self.assertEqual(len(wire.links), 3)
        self.assertEqual(receiver.names(), set())


class LineOrHand(stx_harness.StxCase):
    """The CRC tells the line from a hand: damage is sent again within the session, tampering ends it in silence."""

    def through(self, edit, direction: str = "c2s", first: int | None = 1, options=(), name: str = "data"):
        receiver = self.receive()
        path = self.file(name, DATA)
        make = lambda _: Frames(direction, edit)  # noqa: E731
        wire = Badwire(receiver.address, source=st.fresh_source,
                       **{direction: First(make, first) if first else make})
        with wire:
            code, err = self.run_send(path, to=wire.name, options=[*SMALL, *options])
        if code == 0:
            self.assertEqual(receiver.read(name), DATA)
        else:
            self.assertNotIn(name, receiver.names())
        return code, err, wire

    @staticmethod
    def block(frame: bytes) -> int | None:
        seq = int.from_bytes(frame[:4], "big")
        return seq if seq < 0xFFFFFF00 else None

    def hit(self, which: set[int], once: bool = True, crc: bool = False):
        seen = set()

        def edit(_, frame: bytes) -> list:
            seq = self.block(frame)
            if seq not in which or seq in seen:
                return [frame]
            if once:
                seen.add(seq)
            frame = frame[:100] + bytes([frame[100] ^ 4]) + frame[101:]
            return [recrc(frame) if crc else frame]

        return edit

    def test_damaged_blocks_are_sent_again_in_the_same_session(self) -> None:
        code, err, wire = self.through(self.hit({0, 3, 5}))
        self.assertEqual((code, len(wire.links)), (0, 1), err)
        self.assertLess(total_sent(wire), len(DATA) + 3 * BLOCK + 8192)

    def test_tampered_block_ends_the_session_and_the_next_one_resumes(self) -> None:
        code, err, wire = self.through(self.hit({3}, crc=True))
        self.assertEqual((code, len(wire.links)), (0, 2), err)
        # Not a byte is said about it: what the receiver sent on that connection ends with no CLOSE.
        self.assertLess(total_sent(wire), 2 * len(DATA) + 8192)

    def test_block_that_is_damaged_every_time_ends_it(self) -> None:
        code, err, wire = self.through(self.hit({2}, once=False), first=None, options=["--retry", "300ms"])
        self.assertIn(code, (5, 7), err)
        self.assertGreaterEqual(len(wire.links), 1)

    def test_tampering_every_time_ends_it(self) -> None:
        code, err, wire = self.through(self.hit({2}, once=False, crc=True), first=None, options=["--retry", "300ms"])
        self.assertIn(code, (5, 7), err)

    def test_control_frame_hit_on_the_line_costs_a_session(self) -> None:
        def edit(index: int, frame: bytes) -> list:
            return [frame[:-1] + bytes([frame[-1] ^ 1])] if index == 0 else [frame]

        for direction in ("c2s", "s2c"):
            with self.subTest(direction):
                code, err, wire = self.through(edit, direction, name=f"data-{direction}")
                self.assertEqual((code, len(wire.links)), (0, 2), err)

    def test_repeated_dropped_and_swapped_frames(self) -> None:
        held = []

        def swap(index: int, frame: bytes) -> list:
            if index == 3:
                held.append(frame)
                return []
            return [frame, held.pop()] if held else [frame]

        edits = {"repeat": lambda i, f: [f, f] if i == 3 else [f], "drop": lambda i, f: [] if i == 3 else [f],
                 "swap": swap}
        for name, edit in edits.items():
            with self.subTest(name):
                code, err, wire = self.through(edit, name=name)
                self.assertEqual((code, len(wire.links)), (0, 2), err)

    def test_three_naks_of_a_block_and_a_hundred_of_a_session(self) -> None:
        receiver = self.receive()
        with receiver.connect() as client:
            item = client.announce(stx_harness.Item([stx_harness.Entry(b"hundred", bytes(300 * BLOCK))]))
            client.next(stx1.META_OK)
            for seq in range(101):
                client.block(0, seq, bytes(BLOCK), damage_crc=True)
            self.assertEqual(client.fate(), "CLOSE{6}")
            self.assertEqual(item.number, 0)


if __name__ == "__main__":
    stx_harness.main()
