"""T8, T9, T10 for SCP/1: what was recorded is played again, reordered, dropped, spliced, or sent back. Nothing is
delivered twice, and nothing recorded opens a channel."""

import copy

import scp1
import scp_harness
from badwire import Badwire, Records
from scp_harness import ALL_MODES, MUTUAL, PINNED, PSK, SILENT, KeyPair, st

MAC_WRONG, OUT_OF_PLACE = "SL-A13", "SL-A07"


class ScpRecords(Records):
    """Hands whole messages of SCP/1 to `edit(index, message)`."""

    def feed(self, data: bytes) -> list:
        self.buffer += data
        out = []
        while len(self.buffer) >= scp1.HEAD:
            size = scp1.HEAD + int.from_bytes(self.buffer[10:14], "big") + scp1.MAC
            if len(self.buffer) < size:
                break
            message = bytes(self.buffer[:size])
            del self.buffer[:size]
            out += self.edit(self.index, message)
            self.index += 1
        return out


def drop(which: int) -> ScpRecords:
    return ScpRecords(lambda i, message: [] if i == which else [message])


def repeat(which: int) -> ScpRecords:
    return ScpRecords(lambda i, message: [message, message] if i == which else [message])


def swap(which: int) -> ScpRecords:
    held = []

    def edit(i: int, message: bytes) -> list:
        if i == which:
            held.append(message)
            return []
        return [message, held.pop()] if i == which + 1 else [message]
    return ScpRecords(edit)


class Replay(scp_harness.ScpCase):
    def test_whole_flight_of_a_client_brings_no_channel(self) -> None:
        for mode in ALL_MODES:
            server = self.serve(mode=mode, name=f"server-{mode}")
            with Badwire(server.address, source=st.fresh_source) as wire:
                code, out, err = self.run_msg(wire.name, b"pay 100 to the bearer\n",
                                              *self.client_flags(mode, server.psk, server.key))
                self.assertEqual((0, b"pay 100 to the bearer\n"), (code, out), err)
                link = wire.link()
                link.wait()
            c2s, s2c = bytes(link.c2s), bytes(link.s2c)
            first = scp1.HEAD + scp1.init_length(mode) + scp1.MAC
            answer = scp1.HEAD + scp1.response_length(mode) + scp1.MAC
            with self.subTest(mode=mode), server.dial() as sock:
                sock.sendall(c2s[:first])
                # A replayed INIT is answered like a fresh one, and dies at what follows.
                self.assertNotEqual(s2c[:answer], scp1.read_exactly(sock, answer), "the answer is not fresh")
                sock.sendall(c2s[first:])
                self.assertEqual(SILENT, st.read_to_end(sock))
            # The two honest clients before it, of whom the listener may tell late, and nobody else.
            self.assertLessEqual(server.program.stderr.count("connected to"), 2)

    def test_message_twice_is_taken_once(self) -> None:
        server = self.serve()
        with server.connect() as peer:
            message = peer.connection.make_message(b"once")
            peer.send_raw(message)
            self.assertEqual(b"once", peer.receive())
            peer.wait_receipts()

            def attack() -> None:
                peer.send_raw(message)
                self.assertEqual(SILENT, st.read_to_end(peer.sock))
            server.named(OUT_OF_PLACE, attack)

    def test_message_of_another_channel(self) -> None:
        server = self.serve()
        with server.connect() as first, server.connect() as second:
            message = first.connection.make_message(b"for the first alone")

            def attack() -> None:
                second.send_raw(message)
                self.assertEqual(SILENT, st.read_to_end(second.sock))
            server.named(MAC_WRONG, attack)
            first.send_raw(message)
            self.assertEqual(b"for the first alone", first.receive())

    def test_ack_of_another_handshake(self) -> None:
        server = self.serve(mode=PINNED)
        (first, a), (second, b) = server.shaken(), server.shaken()
        with first, second:
            a.ack()
            first.sendall(b.ack())
            self.assertEqual(SILENT, st.read_to_end(first))

    def test_messages_dropped_repeated_or_swapped_on_the_way(self) -> None:
        server = self.serve()
        lines = b"".join(b"%d\n" % i for i in range(300))
        for name, make in (("drop", drop), ("repeat", repeat), ("swap", swap)):
            for direction in ("c2s", "s2c"):
                which = 2 + len(name) % 3 * (direction == "c2s")  # of the first messages: there are always so many
                with self.subTest(name, direction=direction), Badwire(
                        server.address, source=st.fresh_source, **{direction: lambda _: make(which)}) as wire:
                    code, out, err = self.run_msg(wire.name, lines, state=f"{name}-{direction}")
                    self.assertIn(code, (3, 7), err)
                    self.assertTrue(lines.startswith(out), "what came is no prefix")

    def test_own_messages_come_back(self) -> None:
        """T10: a client whose every message is sent back to it; and both ends of one secret as servers."""
        def mirror(sock) -> None:
            while data := sock.recv(1 << 16):
                sock.sendall(data)

        for mode in ALL_MODES:
            with self.subTest(mode=mode):
                code, out, err = self.meet(mirror, *self.client_flags(mode, key=KeyPair().public), state=f"m{mode}")
                self.assertIn(code, (3, 9), err)
                self.assertEqual(b"", out)

    def test_messages_of_a_server_come_back_to_it(self) -> None:
        server = self.serve(mode=PSK)
        with server.connect() as peer:
            peer.send(b"x")
            self.assertEqual(b"x", peer.receive())
            peer.send(b"y")
            echo = scp1.read_message(peer.sock)
            peer.connection.handle(echo)

            def attack() -> None:
                # Under the number that is due at the server.
                peer.send_raw(echo[:2] + peer.out.seq.to_bytes(8, "big") + echo[10:])
                self.assertIsNone(scp_harness.closes(peer))
            server.named(MAC_WRONG, attack)
        sock, client = server.shaken()
        with sock:
            sock.sendall(client.init())  # INIT where ACK is due
            self.assertEqual(SILENT, st.read_to_end(sock))

    def test_keys_of_before_a_rotation_open_nothing(self) -> None:
        server = self.serve()
        with server.connect() as peer:
            peer.send(b"before")
            self.assertEqual(b"before", peer.receive())
            old = copy.copy(peer.out), copy.copy(peer.connection.incoming)
            peer.rotate()
            for before, now in zip(old, (peer.out, peer.connection.incoming)):
                for name in ("ke", "iv", "km", "kn"):
                    self.assertNotEqual(getattr(before, name), getattr(now, name))
            peer.send(b"after")
            answer = scp1.read_message(peer.sock)
            old[1].seq = int.from_bytes(answer[2:10], "big")
            with self.assertRaises(scp1.Fault):
                old[1].open(answer)

            def attack() -> None:
                old[0].seq = peer.out.seq
                peer.send_raw(old[0].seal(scp1.DATA, b"\0under the old keys"))
                self.assertIn(st.read_to_end(peer.sock)[1], ("fin", "rst"))
            server.named(MAC_WRONG, attack)

    def test_number_that_is_not_the_next(self) -> None:
        server = self.serve(mode=MUTUAL)
        for seq in (0, 1, 3, 2**48, 2**64 - 1):
            with self.subTest(seq=seq), server.connect() as peer:
                def attack() -> None:
                    peer.send_raw(peer.out.seal(scp1.DATA, b"\0data", seq=seq, nonce_seq=2))
                    self.assertEqual(SILENT, st.read_to_end(peer.sock))
                server.named(OUT_OF_PLACE, attack)


if __name__ == "__main__":
    scp_harness.main()
