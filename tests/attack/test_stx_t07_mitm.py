"""T7 for STX: a man in the middle with keys of his own, and edits of what is in clear. The key form stands for itself;
in the STCP form the pinned key stands for the receiver."""

import socket
import threading

import stx_harness
from badwire import Badwire, Replace
from stx_harness import ANON, KEY, MUTUAL, PSK, TOFU, KeyPair, Truncated, st, stcp1, stx1


class KeyForm(stx_harness.StxCase):
    def test_edits_of_what_is_in_clear(self) -> None:
        """Version, flags, suite, the zero byte, the nonce, the hint; each on every connection."""
        receiver = self.receive()
        path = self.file("data", bytes(50_000))
        rows = [("s2c", 4, b"\2"), ("s2c", 5, b"\1"), ("s2c", 6, b"\2"), ("s2c", 7, b"\1"), ("s2c", 0, b"X"),
                ("s2c", 8, bytes(32)), ("s2c", 55, b"\1"), ("c2s", 4, b"\2"), ("c2s", 6, b"\2"), ("c2s", 7, b"\1"),
                ("c2s", 8, bytes(32)), ("c2s", 48, bytes(8)), ("c2s", 40, bytes(8))]
        for direction, offset, new in rows if st.FULL else rows[2::4]:
            with self.subTest(direction=direction, offset=offset), \
                    Badwire(receiver.address, source=st.fresh_source,
                            **{direction: lambda _: Replace(offset, new)}) as wire:
                code, err = self.run_send(path, to=wire.name, options=["--retry", "1s"])
                self.assertIn(code, (3, 9) if direction == "s2c" else (3,), err)
                self.assertEqual(sum(link.sizes["s2c"] for link in wire.links), 56 * len(wire.links), "an answer")
        self.assertEqual(receiver.names(), set())

    def test_key_of_his_own(self) -> None:
        path = self.file("data", bytes(50_000))
        with stx1.Receiver(b"m" * 32) as rogue:
            code, err = self.run_send(path, to=f"127.0.0.1:{rogue.port}", options=["--retry", "5s"])
            self.assertEqual(code, 3, err)
            self.assertEqual((rogue.servers, rogue.connections), ([], 3))


class StcpForm(stx_harness.StxCase):
    def test_known_receiver_cannot_be_replaced(self) -> None:
        receiver = self.receive(key=None)
        path = self.file("data", bytes(50_000))
        with Badwire(receiver.address) as wire, stx1.Receiver(None, stcp_mode=MUTUAL, static=KeyPair()) as rogue:
            code, err = self.run_send(path, to=wire.name, key=None)
            self.assertEqual(code, 0, err)
            wire.target = rogue.address
            code, err = self.run_send(path, to=wire.name, key=None)
            self.assertEqual(code, 3, err)
            self.assertIn("slp1", err)
            self.assertEqual(rogue.servers, [], "somebody else was given an STX session")
            link = wire.link(1)
            link.wait()
            self.assertEqual(link.sizes["c2s"], 24 + 66, "a byte after the changed key")
            wire.target = receiver.address
            code, err = self.run_send(path, to=wire.name, key=None)
            self.assertEqual(code, 0, err)

    def test_known_sender_has_a_key_of_his_own(self) -> None:
        """Two senders are two peers: what one has begun the other does not see."""
        receiver = self.receive(key=None)
        item = lambda: stx1.Item([stx1.Entry(b"f", bytes(2 * stx_harness.MIB))])  # noqa: E731
        with receiver.connect(static=KeyPair()) as client:
            client.send_item(item(), stop_after=4)
        with receiver.connect(static=KeyPair()) as client:
            client.announce(item())
            self.assertEqual(client.next(stx1.META_OK).fields, (0, 0, 0))

    def test_modes_that_name_nobody_are_refused(self) -> None:
        receiver = self.receive(key=None)
        for mode in (ANON, TOFU):
            with self.subTest(mode), receiver.dial() as sock, self.assertRaises(Truncated) as caught:
                stcp1.connect(None, mode, sock=sock)
            self.assertIn("0 of", str(caught.exception))

    def test_two_forms_do_not_meet(self) -> None:
        """A listener expects one form, never both; nobody waits longer than for a handshake."""
        path = self.file("data", bytes(50_000))
        quick = ["--handshake-timeout", "500ms"]
        key_form, stcp_form = self.receive(*quick, name="key"), self.receive(*quick, key=None, name="stcp")
        for receiver, key in ((key_form, None), (stcp_form, KEY)):
            code, err = self.run_send(path, to=receiver.own_name, key=key, options=[*quick, "--retry", "500ms"])
            self.assertIn(code, (3, 4, 9), err)
            self.assertNotIn("data", receiver.names())

    def test_session_cannot_be_moved_to_another_handshake(self) -> None:
        """A man who is a known sender himself lets another's STX handshake ride on his own STCP handshake."""
        receiver = self.receive(key=None)
        path = self.file("data", bytes(50_000))
        listener = socket.create_server(("127.0.0.1", 0))
        answers = []

        def man() -> None:
            while True:
                try:
                    victim, _ = listener.accept()
                except OSError:
                    return
                with victim, receiver.dial() as onward:
                    try:
                        stcp1.connect(None, MUTUAL, sock=onward, static=receiver.static)
                        stcp1.serve_one(victim, MUTUAL, static=KeyPair())  # a first contact: it takes him for true
                        victim.sendall(stcp1.read_exactly(onward, 56))
                        onward.sendall(stcp1.read_exactly(victim, 88))
                        answers.append(st.read_to_end(onward)[0])
                    except (OSError, Truncated, stcp1.Fault):
                        answers.append(None)

        thread = threading.Thread(target=man, daemon=True)
        thread.start()
        try:
            port = listener.getsockname()[1]
            code, err = self.run_send(path, to=f"127.0.0.1:{port}", key=None, options=["--retry", "3s"])
            self.assertEqual(code, 3, err)
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join(10)
        self.assertIn(b"", answers)
        self.assertLessEqual(set(answers), {b"", None})

    def test_shared_secret_instead_of_keys(self) -> None:
        self.assertEqual(PSK, 5)
        receiver = self.receive(key=None)
        with receiver.dial() as sock, self.assertRaises(Truncated):
            stcp1.connect(None, PSK, sock=sock, psk=KEY)


if __name__ == "__main__":
    stx_harness.main()
