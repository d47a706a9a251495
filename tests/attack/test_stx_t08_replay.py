"""T8, T9 for STX: what was said once is said again, in the same session and in others, in another order, in the other
direction."""

import stx_harness
from badwire import Badwire
from stx_harness import BLOCK, Entry, Item, content, st, stx1

DATA = content(4 * BLOCK, 8)


class Replay(stx_harness.StxCase):
    def test_whole_session_again(self) -> None:
        receiver = self.receive()
        path = self.file("data", DATA)
        with Badwire(receiver.address, source=st.fresh_source) as wire:
            code, err = self.run_send(path, to=wire.name)
            self.assertEqual(code, 0, err)
            link = wire.link()
            link.wait()
            said = bytes(link.c2s)
        (receiver.root / "data").unlink()
        for size in (88, 88 + 68, len(said)):
            with self.subTest(size), receiver.dial() as sock:
                try:
                    sock.sendall(said[:size])
                except OSError:
                    pass
                got, _ = st.read_to_end(sock)
                self.assertEqual(len(got), 56, "an answer to a replayed flight")
        self.assertEqual(receiver.names(), set())

    def test_frames_of_a_session_again_or_in_another_order(self) -> None:
        receiver = self.receive()
        item = lambda: Item([Entry(b"data", DATA)])  # noqa: E731

        def frames(client: stx1.Client) -> list[bytes]:
            """META, SELECT and four blocks, sealed and not yet sent."""
            it = item()
            it.number = 0
            out = [client.out.control(stx1.META, raw=it.meta()), client.out.control(stx1.SELECT, 0)]
            return out + [client.out.seal(i, b, 0) for i, b in enumerate(it.blocks)]

        def said(client: stx1.Client, raw: list[bytes]) -> None:
            """All of it, but META, where it comes first, is let be answered."""
            if raw[0][:4] == b"\xff\xff\xff\x01":
                client.send_raw(raw[0])
                client.next(stx1.META_OK)
                raw = raw[1:]
            client.send_raw(b"".join(raw))

        def spliced(client: stx1.Client) -> list[bytes]:
            with receiver.connect() as other:
                return frames(client)[:3] + frames(other)[3:4]

        def reflected(client: stx1.Client) -> list[bytes]:
            client.keepalive()
            client.announce(item())
            frame = client.read_frame()  # META_OK or ACK, as it came
            client.incoming.ctr += 1
            return [frame]

        orders = {
            "block again": lambda f: f[:3] + [f[2]], "META again": lambda f: [f[0], f[0]],
            "swapped": lambda f: f[:2] + [f[3], f[2]], "dropped": lambda f: f[:2] + [f[3]],
            "SELECT dropped": lambda f: [f[0], f[2]], "from the middle": lambda f: f[1:],
            "END first": lambda f: f[3:]}
        for name, order in orders.items():
            with self.subTest(name), receiver.connect() as client:
                said(client, order(frames(client)))
                self.assertEqual(client.fate(), "silent")
        for make in (spliced, reflected):
            with self.subTest(make.__name__), receiver.connect() as client:
                said(client, make(client))
                self.assertEqual(client.fate(), "silent")
        self.assertEqual(receiver.names(), set())

    def test_block_of_another_item_under_its_number(self) -> None:
        """The item is under the tag: a block does not change its file."""
        receiver = self.receive()
        with receiver.connect() as client:
            items = [client.announce(Item([Entry(b"a", DATA)])), client.announce(Item([Entry(b"b", DATA)]))]
            for _ in items:
                client.next(stx1.META_OK)
            client.select(0)
            client.send_raw(client.out.seal(0, items[1].blocks[0], 1))
            self.assertEqual(client.fate(), "silent")

    def test_nonce_of_a_sender_is_remembered(self) -> None:
        """nonce_c of a session whose CA verified is refused for a while, as the seed wants it."""
        receiver = self.receive()
        with receiver.connect(nonce=b"n" * 32) as client:
            client.finish()
        with self.assertRaises(stx_harness.Truncated):
            receiver.connect(nonce=b"n" * 32)


if __name__ == "__main__":
    stx_harness.main()
