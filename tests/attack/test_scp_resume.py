"""Taking up a channel that is not one's own, or that is no more: each attempt is CLOSE{11}, discloses nothing, changes
nothing, and the channel's own client goes on after it."""

import scp1
import scp_harness
from scp_harness import ANON, MUTUAL, PINNED, PSK, KeyPair, st

UNKNOWN = scp1.wire.UNKNOWN_CHANNEL


class Resume(scp_harness.ScpCase):
    def opened(self, server, **ends) -> scp1.Peer:
        """A channel with one message each way, whose connection is then lost."""
        peer = server.connect(reconnect=True, **ends)
        peer.send(b"first")
        self.assertEqual(b"first", peer.receive())
        peer.wait_receipts()
        st.reset(peer.sock)
        return peer

    def assert_refused(self, server, **what) -> None:
        def attack() -> None:
            with self.assertRaises(scp1.Fault) as fault:
                server.connect(reconnect=True, **what).sock.close()
            self.assertEqual(UNKNOWN, fault.exception.code)
        server.named("SL-P09", attack)

    def assert_goes_on(self, server, channel: scp1.Channel, **ends) -> None:
        with server.connect(channel=channel, **ends) as peer:
            peer.send(b"second")
            self.assertEqual(b"second", peer.receive())

    @staticmethod
    def block(channel: scp1.Channel, *, of: bytes | None = None, have: int | None = None, flip: int | None = None,
              side: str = "c"):
        def make(h: bytes) -> bytes:
            out = bytearray((of or channel.id) + (channel.have if have is None else have).to_bytes(8, "big")
                            + channel.proof(side, h))
            if flip is not None:
                out[flip] ^= 1
            return bytes(out)
        return make

    def test_wrong_proof_unknown_id_or_count(self) -> None:
        server = self.serve()
        key = KeyPair()
        channel = self.opened(server, static=key).channel
        for name, resume in {
                "a bit of the proof": self.block(channel, flip=24), "its last": self.block(channel, flip=55),
                "a bit of the id": self.block(channel, flip=0), "no such channel": self.block(channel, of=bytes(16)),
                "proof of the server": self.block(channel, side="s"),
                "proof for another handshake": lambda h: self.block(channel)(bytes(32)),
                "more than was sent": self.block(channel, have=2**64 - 1),
                "less than has its receipt": self.block(channel, have=0)}.items():
            with self.subTest(name):
                self.assert_refused(server, static=key, resume=resume)
        self.assert_goes_on(server, channel, static=key)

    def test_another_key_mode_or_limit(self) -> None:
        server = self.serve()
        key = KeyPair()
        channel = self.opened(server, static=key).channel
        for name, ends in {"another key": {"static": KeyPair()},
                           "another mode": {"static": key, "mode": PINNED, "server_key": server.key},
                           "another limit": {"static": key, "max_message": 1 << 20}}.items():
            with self.subTest(name):
                self.assert_refused(server, resume=self.block(channel), **ends)
        self.assert_goes_on(server, channel, static=key)

    def test_anonymous_channel_stays_with_whom_it_began(self) -> None:
        server = self.serve(mode=ANON)
        channel = self.opened(server).channel
        thief = scp1.Channel(bytes(32))
        self.assert_refused(server, resume=self.block(thief, of=channel.id, have=1))
        self.assert_goes_on(server, channel)

    def test_channel_that_was_closed_is_known_no_more(self) -> None:
        server = self.serve(mode=PSK)
        with server.connect(reconnect=True) as peer:
            peer.send(b"x")
            self.assertEqual(b"x", peer.receive())
            peer.finish()
        self.assert_refused(server, resume=self.block(peer.channel))

    def test_channel_that_seems_alive_moves_and_the_old_connection_is_unread(self) -> None:
        server = self.serve(command="tee /dev/stderr")
        key = KeyPair()
        old = server.connect(static=key, reconnect=True)
        old.send(b"on the old one")
        self.assertEqual(b"on the old one", old.receive())
        with server.connect(static=key, channel=old.channel) as new:
            with old.sock:
                old.sock.settimeout(st.WAIT)
                old.send_raw(old.out.seal(scp1.DATA, b"\0never read"))
                st.read_to_end(old.sock)
            new.send(b"on the new one")
            self.assertEqual(b"on the new one", new.receive())
            new.finish()
        self.assertNotIn("never read", server.program.stderr)

    def test_what_was_not_acknowledged_comes_again_once(self) -> None:
        server = self.serve(command="printf 'a\\nb\\nc\\n'; cat")
        key = KeyPair()
        peer = server.connect(static=key, reconnect=True, acknowledges=False)
        while peer.channel.have < 3:
            peer.receive_record()
        peer.channel.inbox.clear()
        peer.channel.have = 1  # the last two did not come
        st.reset(peer.sock)
        with server.connect(static=key, channel=peer.channel) as again:
            self.assertEqual([b"b", b"c"], [again.receive(), again.receive()])
            again.send(b"d")
            self.assertEqual(b"d", again.receive())

    def test_channels_of_one_client_that_can_be_resumed_are_bounded(self) -> None:
        server = self.serve(mode=PINNED, memory_budget=64 << 20)  # IK: the key is known before the flag is said
        key = KeyPair()
        peers = [server.connect(static=key, reconnect=True, confirm=False) for _ in range(18)]
        self.assertEqual([True] * 16 + [False] * 2, [peer.connection.reconnect for peer in peers])
        with server.connect(reconnect=True) as other:
            self.assertTrue(other.connection.reconnect, "another client has no part in it")
        for peer in peers:
            peer.sock.close()


if __name__ == "__main__":
    scp_harness.main()
