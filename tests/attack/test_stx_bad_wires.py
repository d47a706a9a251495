"""Wires that drop the connection every few MiB, turn bits, fall silent and cut what they carry to crumbs; many senders at
once. Every transfer ends by itself, and is right."""

import random
import threading

import stx_harness
from badwire import STALL, Badwire, Chop, Cut, FlipBit, Mangler
from stx_harness import BLOCK, KEY, MIB, CutEvery, Entry, First, Item, content, st, stx1, total_sent

SIZE = st.count(256, 24) * MIB
QUICK = ["--idle-timeout", "1s", "--handshake-timeout", "2s", "--retry", "60s"]


class FlipEvery(Mangler):
    """Turns a bit about every `distance` bytes, never in the first 1000 (the handshake, where it looks like a wrong
    key)."""

    def __init__(self, rng: random.Random, distance: int):
        self.rng, self.distance = rng, distance
        self.next = 1000 + rng.randrange(2 * distance)

    def feed(self, data: bytes) -> list:
        out = bytearray(data)
        while self.next < len(out):
            out[self.next] ^= 1 << self.rng.randrange(8)
            self.next += 1 + self.rng.randrange(2 * self.distance)
        self.next -= len(out)
        return [bytes(out)]


class BadWires(stx_harness.StxCase):
    def setUp(self) -> None:
        super().setUp()
        piece = content(MIB, 30)
        self.data = b"".join(n.to_bytes(8, "big") + piece[8:] for n in range(SIZE // MIB))
        self.path = self.file("large", self.data)

    def through(self, key=KEY, options=(), **manglers) -> Badwire:
        receiver = self.receive("--idle-timeout", "1s", "--handshake-timeout", "2s", key=key)
        with Badwire(receiver.address, source=st.fresh_source, keep=False, **manglers) as wire:
            code, err = self.run_send(self.path, to=wire.name, key=key, timeout=600,
                                      options=[*QUICK, "--compress", "never", *options])
            self.assertEqual(code, 0, err)
            self.assertEqual(receiver.read("large"), self.data)
            self.assertEqual(receiver.parts(), [])
            stx_harness.say(f"{len(wire.links)} connections, {total_sent(wire) / SIZE:.2f} times the file")
        return wire

    def test_dropped_every_few_mebibytes(self) -> None:
        wire = self.through(c2s=lambda rng: CutEvery(rng.randrange(4 * MIB, 10 * MIB)))
        self.assertGreater(len(wire.links), 2)

    def test_dropped_every_few_mebibytes_in_the_stcp_form(self) -> None:
        wire = self.through(None, c2s=lambda rng: CutEvery(rng.randrange(6 * MIB, 12 * MIB)))
        self.assertGreater(len(wire.links), 2)

    def test_dropped_from_the_other_side(self) -> None:
        # What a receiver says is little: a few KiB of it stand for some MiB of the file.
        self.through(s2c=First(lambda rng: CutEvery(rng.randrange(200, 400)), 5))

    def test_bits_turned(self) -> None:
        self.through(c2s=lambda rng: FlipEvery(rng, 3 * MIB), options=["--block", "64KiB"])

    def test_stalls(self) -> None:
        for direction in ("c2s", "s2c"):
            size = 5 * MIB if direction == "c2s" else 250
            self.through(**{direction: First(lambda _: Cut(size, STALL), 2)})

    def test_crumbs(self) -> None:
        self.data = self.data[:MIB]
        self.path.write_bytes(self.data)
        self.through(c2s=lambda rng: Chop(rng, 900), s2c=lambda rng: Chop(rng, 3))

    def test_everything_with_lanes(self) -> None:
        self.through(options=["--lanes", "3"], c2s=lambda rng: CutEvery(rng.randrange(4 * MIB, 9 * MIB)))

    def test_stalled_handshake(self) -> None:
        self.data = self.data[:MIB]
        self.path.write_bytes(self.data)
        self.through(c2s=First(lambda _: Cut(100, STALL), 1))
        self.through(s2c=First(lambda _: FlipBit(3), 1))


class Many(stx_harness.StxCase):
    def test_fifty_senders_at_once(self) -> None:
        receiver = self.receive()
        names = {f"sender-{n}": content(200_000 + n, n) for n in range(50)}
        errors: list = []

        def send(name: str, data: bytes, real: bool) -> None:
            try:
                if real:
                    # Limits of handshakes are counted by address, so each comes from its own.
                    with Badwire(receiver.address, source=st.fresh_source, keep=False) as wire:
                        program = self.send(self.file(name, data), to=wire.name, state=name)
                        if program.wait():
                            errors.append(program.stderr)
                else:
                    receiver.give(Item([Entry(name.encode(), data)]))
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=send, args=(name, data, n % 5 == 0 or st.FULL))
                   for n, (name, data) in enumerate(names.items())]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(st.WAIT * 2)
        self.assertEqual(errors, [])
        self.assertEqual(receiver.names(), set(names))
        self.assertEqual([n for n, data in names.items() if receiver.read(n) != data], [])

    def test_fifty_open_sessions_and_one_more(self) -> None:
        """Senders who hold their items open keep nobody out; over the limit the code says busy."""
        receiver = self.receive()
        clients = []
        for n in range(50):
            client = receiver.connect()
            self.addCleanup(client.sock.close)
            item = client.announce(Item([Entry(b"open-%d" % n, bytes(4 * BLOCK))]))
            self.assertEqual(client.next(stx1.META_OK).fields[1], 0)
            client.block(item.number, 0, item.blocks[0])
            clients.append(client)
        receiver.be_honest()
        for client in clients:
            for seq in (1, 2, 3):
                client.block(0, seq, bytes(BLOCK))
            while client.received < client.out.ctr:
                client.next(stx1.ACK)
            client.end_item(Item([Entry(b"", bytes(4 * BLOCK))], number=0))
            self.assertEqual(client.next(stx1.DONE).fields[1], 0)
            client.finish()

    def test_two_real_senders_of_one_name(self) -> None:
        """The same name, twice at once: one of both contents, whole, and both ends know what became of theirs."""
        receiver = self.receive("--key", self.key_file(b"o" * 32))
        data = [content(3 * MIB, 1), content(3 * MIB, 2)]
        programs = [self.send(self.file(f"{n}/same", data[n]), to=receiver.own_name, key=key, state=f"s{n}")
                    for n, key in enumerate((KEY, b"o" * 32))]
        codes = [p.wait() for p in programs]
        self.assertEqual(sorted(codes), [0, 6], [p.stderr for p in programs])
        self.assertEqual(receiver.read("same"), data[codes.index(0)])


if __name__ == "__main__":
    stx_harness.main()
