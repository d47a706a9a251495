"""A receiver with a valid key who then lies: every rule of stx.md 3 that a sender relies on is broken once. The sender
says CLOSE{1} where the lie is authentic, exits with 9, and nothing of it is retried for ever."""

import struct

import stx_harness
from stx_harness import BLOCK, KEY, Entry, content, st, stx1
from stx1 import ACK, CLOSE, DONE, KEEPALIVE, META_OK, NAK, RESUME_OK

DATA = content(20 * BLOCK + 9, 21)


def instead(kind: int, *messages):
    """The first message of this kind is replaced."""
    state = []

    def twist(_, k: int, fields: tuple) -> list:
        if k != kind or state:
            return [(k, fields)]
        state.append(1)
        return [(m[0], m[1:]) for m in messages]

    return lambda: twist


def edited(kind: int, edit):
    def twist(server, k: int, fields: tuple) -> list:
        return [(k, fields)] if k != kind else [(k, edit(server, *fields))]

    return lambda: twist


def before(kind: int, *messages):
    """Said once, before the first message of this kind."""
    state = []

    def twist(_, k: int, fields: tuple) -> list:
        if k != kind or state:
            return [(k, fields)]
        state.append(1)
        return [(m[0], m[1:]) for m in messages] + [(k, fields)]

    return lambda: twist


def raw_instead(kind: int, wrong: int, data: bytes):
    def twist(server, k: int, fields: tuple) -> list:
        if k != kind:
            return [(k, fields)]
        server.send(wrong, raw=data)
        return []

    return lambda: twist


def data_frame(server, kind: int, fields: tuple) -> list:
    if kind == ACK:
        server.send_raw(server.out.seal(0, b"data from a receiver", 0))
    return [(kind, fields)]


LIES = {
    "META_OK of another item": instead(META_OK, (META_OK, 1, 0, 0)),
    "META_OK twice": instead(META_OK, (META_OK, 0, 0, 0), (META_OK, 0, 0, 0)),
    "META_OK unasked": before(META_OK, (META_OK, 7, 0, 0)),
    "have beyond the end": instead(META_OK, (META_OK, 0, 0, 22)),
    "have of 2^32-1": instead(META_OK, (META_OK, 0, 0, (1 << 32) - 1)),
    "code 15": instead(META_OK, (META_OK, 0, 15, 0)),
    "RESUME_OK unasked": before(ACK, (RESUME_OK, 0, 0)),
    "ACK beyond what was sent": edited(ACK, lambda s, r, d: (r + 1000, d)),
    "ACK of 2^64-1": edited(ACK, lambda s, r, d: ((1 << 64) - 1, d)),
    "durable beyond received": edited(ACK, lambda s, r, d: (r, r + 1)),
    "ACK going back": instead(DONE, (ACK, 0, 0), (DONE, 0, 0, [])),
    "NAK of what was never sent": before(ACK, (NAK, 1 << 40)),
    "NAK of what was acknowledged": instead(DONE, (NAK, 2), (DONE, 0, 0, [])),
    "DONE{0} before END": before(ACK, (DONE, 0, 0, [])),
    "DONE of another item": before(DONE, (DONE, 1, 0, [])),
    "DONE that names an entry there is not": instead(DONE, (DONE, 0, 0, [(1, 5)])),
    "META_OK short": raw_instead(META_OK, META_OK, bytes(8)),
    "META_OK long": raw_instead(META_OK, META_OK, bytes(10)),
    "ACK long": raw_instead(ACK, ACK, bytes(17)),
    "NAK short": raw_instead(ACK, NAK, bytes(7)),
    "DONE with a list cut short": raw_instead(DONE, DONE, b"\0\0\0\0\0\0\1\0\0"),
    "CLOSE of nothing": raw_instead(ACK, CLOSE, b""),
    "KEEPALIVE with something": raw_instead(ACK, KEEPALIVE, b"x"),
    "CLOSE{0} in the middle": instead(ACK, (CLOSE, 0)),
}

WRONG_SIDE = {
    "META": raw_instead(ACK, stx1.META, b"\0\0\0\0\x0e\0\0\1" + Entry(b"x").encode()),
    "SELECT": raw_instead(ACK, stx1.SELECT, bytes(4)), "END": raw_instead(ACK, stx1.END, bytes(48)),
    "DROP": raw_instead(ACK, stx1.DROP, bytes(5)), "ZERO": raw_instead(ACK, stx1.ZERO, bytes(12)),
}


class HostileReceiver(stx_harness.StxCase):
    def lied_to(self, twist, *, codes=(9,), options=(), path=None, store=None, close=1, **handshake) -> str:
        path = path or self.file("data", DATA)
        with stx1.Receiver(KEY, twist=twist, **handshake) as rogue:
            if store:
                rogue.store = store
            program = self.send(path, to=f"127.0.0.1:{rogue.port}",
                                options=["--block", "16KiB", "--compress", "never", "--retry", "300ms", *options])
            code = program.wait()
            program.assert_sound()
            self.assertIn(code, codes, program.stderr)
            if close is not None:
                ends = rogue.wait_ends(1)
                self.assertIn(f"CLOSE{{{close}}}", ends, f"{rogue.errors}\n{program.stderr}")
                self.assertEqual(rogue.connections, 1, "a fault was tried again")
            if code:
                self.assertRegex(program.stderr, r"error\[SL-")
            return program.stderr

    def test_every_lie(self) -> None:
        for name, make in LIES.items():
            with self.subTest(name):
                self.lied_to(make())

    def test_messages_of_the_sender(self) -> None:
        """Known by their heads, of which nothing is authenticated yet: the connection ends without a word."""
        for name, make in WRONG_SIDE.items():
            with self.subTest(name):
                # Tried again: where all was there before the word of the wrong side came, the file is proved.
                said = self.lied_to(make(), codes=(0, 5, 7), close=None)
                self.assertIn("the line damages what is sent", said)

    def test_done_twice(self) -> None:
        """The second one meets a sender that has said CLOSE, or is a fault."""
        self.lied_to(instead(DONE, (DONE, 0, 0, []), (DONE, 0, 0, []))(), codes=(0, 9), close=None)

    def test_data_frame_from_a_receiver(self) -> None:
        self.lied_to(data_frame, codes=(5, 7, 9), close=None)

    def part(self, blocks: int) -> stx1.Store:
        """A receiver that holds the first blocks."""
        path = self.file("data", DATA)
        info = path.stat()
        store = stx1.Store()
        item = stx1.Item([Entry(b"data", DATA, mtime=info.st_mtime_ns)])
        part = stx1.receiver.Part([(0, info.st_mode & 0o777, info.st_mtime_ns, len(DATA), b"data")], 14, 0)
        part.blocks = dict(enumerate(item.blocks[:blocks]))
        store.parts[part.key] = part
        return store

    def test_start_beyond_have(self) -> None:
        for start in (11, (1 << 32) - 1):
            with self.subTest(start):
                self.lied_to(instead(RESUME_OK, (RESUME_OK, 0, start))(), store=self.part(10))

    def test_start_in_a_run(self) -> None:
        """Any number up to have is the receiver's word alone; the end still speaks of everything."""
        path = self.file("data", DATA)
        with stx1.Receiver(KEY) as receiver:
            receiver.store = self.part(10)
            code, err = self.run_send(path, to=f"127.0.0.1:{receiver.port}",
                                      options=["--block", "16KiB", "--compress", "never"])
            self.assertEqual(code, 0, err)
            self.assertEqual(receiver.store.files[b"data"][3], DATA)
            self.assertEqual([m.fields[0] for m in receiver.servers[0].seen if m.kind == 0], list(range(10, 21)))

    def test_start_that_claims_what_it_has_not(self) -> None:
        """A receiver who lies about what it holds fools nobody but itself: its own root differs."""
        store = self.part(10)
        for part in store.parts.values():
            part.blocks[4] = bytes(BLOCK)
        self.lied_to(instead(RESUME_OK, (RESUME_OK, 0, 10))(), store=store, codes=(0, 5, 6, 7, 9), close=None)

    def test_the_same_block_again_and_again(self) -> None:
        """Three NAKs of a block: line damage, CLOSE{6}. Tried again, where this one says that it has the block."""
        def nak(server, kind: int, fields: tuple) -> list:
            return [(kind, fields)]

        def on_frame(server, message) -> None:
            if message.kind == 0 and message.fields[0] == 3:
                server.send(NAK, message.ctr)

        with stx1.Receiver(KEY, twist=nak, on_frame=on_frame) as rogue:
            code, err = self.run_send(self.file("data", DATA), to=f"127.0.0.1:{rogue.port}",
                                      options=["--block", "16KiB", "--compress", "never", "--retry", "300ms"])
            self.assertIn(code, (0, 5, 7), err)
            self.assertIn("CLOSE{6}", rogue.wait_ends(1))
            blocks = [m for m in rogue.servers[0].seen if m.kind == 0 and m.fields[0] == 3]
            self.assertLessEqual(len(blocks), 4)

    def test_nak_of_a_control_frame_costs_a_session(self) -> None:
        state = []

        def on_frame(server, message) -> None:
            if message.kind == stx1.SELECT and not state:
                state.append(1)
                server.send(NAK, message.ctr)

        with stx1.Receiver(KEY, on_frame=on_frame) as receiver:
            code, err = self.run_send(self.file("data", DATA), to=f"127.0.0.1:{receiver.port}",
                                      options=["--block", "16KiB", "--compress", "never"])
            self.assertEqual(code, 0, err)
            self.assertIn("CLOSE{6}", receiver.wait_ends(2))
            self.assertEqual(receiver.store.files[b"data"][3], DATA)

    def test_refusals_are_believed(self) -> None:
        """Codes of META_OK, DONE and CLOSE: final but for 6, 7, 8, and said to the user."""
        path = self.file("data", DATA)
        for kind in (META_OK, DONE):
            for code in (2, 3, 4, 5, 10, 11) if st.FULL else (2, 3, 11):
                fields = (kind, 0, code, 0 if kind == META_OK else [])
                with self.subTest(kind=kind, code=code), \
                        stx1.Receiver(KEY, twist=instead(kind, fields)()) as rogue:
                    got, err = self.run_send(path, to=f"127.0.0.1:{rogue.port}", options=["--retry", "300ms"])
                    self.assertEqual((got, rogue.connections), (6, 1), err)
        for code in (2, 4, 14) if st.FULL else (2, 14):
            with self.subTest(close=code), stx1.Receiver(KEY, twist=instead(META_OK, (CLOSE, code))()) as rogue:
                got, err = self.run_send(path, to=f"127.0.0.1:{rogue.port}", options=["--retry", "300ms"])
                self.assertNotEqual(got, 0, err)
                self.assertEqual(rogue.connections, 1, err)
        for code in (7, 8):
            with self.subTest(close=code), stx1.Receiver(KEY, twist=instead(META_OK, (CLOSE, code))()) as rogue:
                got, err = self.run_send(path, to=f"127.0.0.1:{rogue.port}")
                self.assertEqual((got, rogue.connections), (0, 2), err)

    def test_root_differs(self) -> None:
        """DONE{13} is tried once more, and then believed."""
        path = self.file("data", DATA)
        with stx1.Receiver(KEY, twist=instead(DONE, (DONE, 0, 13, []))()) as rogue:
            got, err = self.run_send(path, to=f"127.0.0.1:{rogue.port}")
            self.assertEqual(got, 0, err)
        with stx1.Receiver(KEY, twist=edited(DONE, lambda s, n, c, e: (n, 13, []))()) as rogue:
            got, err = self.run_send(path, to=f"127.0.0.1:{rogue.port}", options=["--retry", "1s"])
            self.assertNotEqual(got, 0, err)
            self.assertEqual(sum(1 for s in rogue.servers for m in s.seen if m.kind == stx1.END), 2)

    def test_receiver_that_falls_silent(self) -> None:
        """No ACK, or nothing at all: the sender bounds its window and its patience."""
        path = self.file("large", bytes(1) + content(1 << 20, 2) * st.count(200, 80))
        for drop in ((ACK,), (ACK, META_OK), (DONE,)):
            ended = []

            def twist(session, kind: int, fields: tuple, drop=drop, ended=ended) -> list:
                if kind == DONE and kind in drop:
                    ended.append(session)  # from here on it says nothing at all
                return [] if kind in drop or session in ended else [(kind, fields)]

            with self.subTest(drop), stx1.Receiver(KEY, twist=twist) as rogue:
                program = self.send(path, to=f"127.0.0.1:{rogue.port}", options=[
                    "--compress", "never", "--retry", "200ms", "--idle-timeout", "500ms"])
                code = program.wait()
                self.assertIn(code, (5, 7), program.stderr)
                if drop == (ACK,):
                    sent = max(s.bytes_in for s in rogue.servers)
                    self.assertLessEqual(sent, (64 << 20) + (4 << 20), "the window")

    def test_params_of_the_receiver(self) -> None:
        rows = {"log2 13": (32, 13), "log2 21": (32, 21), "caps 2": (33, 2), "zero byte": (34, 1), "last byte": (47, 1)}
        path = self.file("data", DATA)
        for name, (at, value) in rows.items():
            def edit(which: str, data: bytes, at=at, value=value) -> bytes:
                return data[:at] + bytes([value]) + data[at + 1:] if which == "SKC plain" else data

            with self.subTest(name), stx1.Receiver(KEY, edit=edit) as rogue:
                got, err = self.run_send(path, to=f"127.0.0.1:{rogue.port}", options=["--retry", "300ms"])
                self.assertIn(got, (3, 9), err)
                self.assertEqual([m for s in rogue.servers for m in s.seen], [])

    def test_small_blocks_alone(self) -> None:
        """A receiver that takes 16 KiB at most is given no more, and one without zstd none."""
        path = self.file("data", b"words " * 100_000)
        with stx1.Receiver(KEY, max_block_log2=14, caps=0) as receiver:
            code, err = self.run_send(path, to=f"127.0.0.1:{receiver.port}", options=["--compress", "always"])
            self.assertEqual(code, 0, err)
            self.assertEqual(receiver.store.files[b"data"][3], path.read_bytes())
            metas = [m.fields for m in receiver.servers[0].seen if m.kind == stx1.META]
            self.assertEqual([(m[1], m[2] & 1) for m in metas], [(14, 0)])

    def test_garbage_after_the_handshake(self) -> None:
        def twist(server, kind: int, fields: tuple) -> list:
            server.send_raw(struct.pack(">II", 0xFFFFFF03, 16) + bytes(20))
            return []

        self.lied_to(twist, codes=(5, 7), close=None)


if __name__ == "__main__":
    stx_harness.main()
