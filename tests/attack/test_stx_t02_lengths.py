"""T2, T3 for STX: sizes and types that no frame may have. Each is met at its head, before anything is allocated, in
silence: nothing is authenticated yet, it may be the line."""

import struct

import stx_harness
from stx_harness import BLOCK, MIB, Entry, Item, Truncated, st, stx1

HEADS = {
    "control of 1 MiB and a byte": (0xFFFFFF01, MIB + 1),
    "control of 2 GiB": (0xFFFFFF01, 1 << 31),
    "control of 4 GiB": (0xFFFFFF0A, (1 << 32) - 1),
    "type 00": (0xFFFFFF00, 0),
    "type 0E": (0xFFFFFF0E, 1),
    "type FF": (0xFFFFFFFF, 1),
    "block of nothing": (0, 0),
    "block larger than the item's": (0, BLOCK + 1),
    "block of 1 MiB and a byte": (0, MIB + 1),
    "block of 4 GiB": (5, (1 << 32) - 1),
}


class Lengths(stx_harness.StxCase):
    def open_item(self, client: stx1.Client) -> None:
        client.announce(Item([Entry(b"file", bytes(3 * BLOCK))]))
        self.assertEqual(client.next(stx1.META_OK).fields, (0, 0, 0))
        client.select(0)

    def test_head_that_no_frame_has_is_silence(self) -> None:
        # What is larger than the item's block and no larger than any may be is judged when it is whole, or silence is.
        receiver = self.receive("--idle-timeout", "3s")
        receiver.be_honest()
        before = receiver.program.memory_bytes()
        for what, (seq, size) in HEADS.items():
            with self.subTest(what), receiver.connect() as client:
                self.open_item(client)
                client.send_raw(struct.pack(">II", seq, size))
                self.assertEqual(client.fate(), "silent")
        self.assertLess(receiver.program.memory_bytes() - before, 16 * MIB * (8 if st.is_sanitized() else 1))

    def test_announced_frames_cost_nothing_until_they_come(self) -> None:
        receiver = self.receive()
        receiver.be_honest()
        before = receiver.program.memory_bytes()
        clients = []
        for _ in range(st.count(60, 20)):
            client = receiver.connect()
            self.addCleanup(client.sock.close)
            client.send_raw(struct.pack(">II", 0xFFFFFF01, MIB) + b"x")
            clients.append(client)
        receiver.be_honest()
        grown = receiver.program.memory_bytes() - before
        stx_harness.say(f"{len(clients)} frames of 1 MiB announced: {grown >> 10} KiB")
        self.assertLess(grown, 24 * MIB * (8 if st.is_sanitized() else 1))
        for client in clients:
            client.sock.close()

    def test_length_of_the_key_message(self) -> None:
        receiver = self.receive()
        for length in (0, 63, 65, 1 << 20, (1 << 32) - 1):
            with self.subTest(length), self.assertRaises(Truncated):
                receiver.connect(edit=lambda name, data, n=length: n.to_bytes(4, "big") + data[4:]
                                 if name == "SKN" else data)

    def test_empty_messages_in_number_are_served(self) -> None:
        receiver = self.receive()
        with receiver.connect() as client:
            for _ in range(st.count(20_000)):
                client.keepalive()
            self.assertEqual(client.send_item(Item([Entry(b"after", b"all that")])).code, 0)
            client.finish()
        self.assertEqual(receiver.read("after"), b"all that")


class LengthsOfAReceiver(stx_harness.StxCase):
    def test_head_that_no_frame_has_ends_the_session(self) -> None:
        """The sender's end: nothing is allocated, nothing is said, and it gives up in the end."""
        path = self.file("victim", bytes(100_000))
        rows = [(0xFFFFFF03, MIB + 1), (0xFFFFFF02, (1 << 32) - 1), (0xFFFFFF0E, 1), (0, 20)]
        for seq, size in rows:
            def twist(server, kind, fields, head=(seq, size)):
                server.send_raw(struct.pack(">II", *head))
                return []

            with self.subTest(seq=seq, size=size), stx1.Receiver(stx_harness.KEY, twist=twist) as rogue:
                program = self.send(path, to=f"127.0.0.1:{rogue.port}", options=["--retry", "200ms"])
                self.assertIn(program.wait(), (5, 7), program.stderr)
                program.assert_sound()
                self.assertNotIn("clean", rogue.ends)


if __name__ == "__main__":
    stx_harness.main()
