"""T7 for SCP/1: an attacker in the middle, who ends both connections with keys of his own.

    NN                       he succeeds: said on standard error each time
    XX, first contact        he succeeds: the client pins his key and says which
    XX, known; IK            exit 3, nothing sent
    XX, list of client keys  the server falls silent
    NNpsk0, IKpsk2           exit 3, nothing sent
"""

import contextlib

import scp1
import scp_harness
from badwire import Badwire, Replace
from scp_harness import ALL_MODES, ANON, MUTUAL, PINNED, PINNED_PSK, PSK, KeyPair, st

WORDS = b"what the user would not tell a stranger"


class Middle(scp_harness.Rogue):
    """A responder towards the client, an initiator towards the server. Reads and relays everything."""

    def __init__(self, server: "scp_harness.Served", mode: int, psk: bytes | None = None):
        self.server, self.mode, self.psk, self.key = server, mode, psk, KeyPair()
        self.read: list[bytes] = []
        super().__init__(self._relay)

    def _relay(self, sock) -> None:
        to_client = scp1.serve_one(sock, self.mode, static=self.key, psk=self.psk, timeout=st.WAIT)
        with self.server.connect(static=self.key, mode=self.mode, psk=self.psk) as to_server:
            while (message := to_client.receive()) is not None:
                self.read.append(message)
                to_server.send(message)
            to_server.end()
            for message in to_server.receive_all():
                to_client.send(message)
            to_client.end()
            to_client.wait_close()


class ManInTheMiddle(scp_harness.ScpCase):
    def attack(self, server, mode: int, *flags, psk: bytes | None = None, pins: bytes | None = None):
        with Middle(server, mode, psk) as middle:
            if pins is not None:
                place = self.state / "victim"
                place.mkdir(mode=0o700, exist_ok=True)
                with (place / "known_peers").open("a") as file:
                    file.write(f"{middle.name} {scp1.format_key('slp1', pins)} 2026-01-01T00:00:00Z\n")
            outcome = self.run_msg(middle.name, WORDS + b"\n", *flags, state="victim")
        return (*outcome, middle)

    def assert_fails(self, outcome) -> None:
        code, out, err, middle = outcome
        self.assertEqual((3, b"", []), (code, out, middle.read), err)

    def test_where_he_succeeds(self) -> None:
        for mode in (ANON, MUTUAL):
            server = self.serve(mode=mode, name=f"server-{mode}")
            code, out, err, middle = self.attack(server, mode, *self.client_flags(mode))
            self.assertEqual((0, WORDS + b"\n", [WORDS]), (code, out, middle.read), f"{err} {middle.faults}")
            self.assertIn("not authenticated" if mode == ANON else scp1.format_key("slp1", middle.key.public), err)

    def test_known_or_given_key_is_not_his(self) -> None:
        server = self.serve()
        outcome = self.attack(server, MUTUAL, pins=server.key)
        self.assert_fails(outcome)
        for key in (server.key, outcome[3].key.public):
            self.assertIn(scp1.format_key("slp1", key), outcome[2])
        pinned = self.serve(mode=PINNED, name="pinned")
        self.assert_fails(self.attack(pinned, PINNED, *self.client_flags(PINNED, key=pinned.key)))

    def test_who_holds_no_secret(self) -> None:
        for mode in (PSK, PINNED_PSK):
            server = self.serve(mode=mode, name=f"server-{mode}")
            for guess in (bytes(32), bytes([scp_harness.SECRET[0] ^ 1]) + scp_harness.SECRET[1:]):
                self.assert_fails(self.attack(server, mode, *self.client_flags(mode, key=server.key), psk=guess))

    def test_list_of_clients_keeps_his_key_out(self) -> None:
        friend = self.make_identity("victim")
        allow = self.state / "allow"
        allow.write_text(scp1.format_key("slp1", friend.public) + "\n")
        server = self.serve("--allow", allow, command="sed s/^/got:/")  # no client of the harness's own is on the list
        code, out, err, middle = self.attack(server, MUTUAL)
        self.assertNotEqual(0, code, err)
        self.assertEqual(b"", out)
        self.assertTrue(any(isinstance(fault, scp1.Truncated) for fault in middle.faults), middle.faults)
        code, out, err = self.run_msg(server.own_name, WORDS + b"\n", state="victim")
        self.assertEqual((0, b"got:" + WORDS + b"\n"), (code, out), err)

    def test_edit_of_version_mode_or_suite_is_silence(self) -> None:
        """The head of INIT and m4 are the prologue."""
        for mode in ALL_MODES:
            server = self.serve(mode=mode, name=f"server-{mode}")
            edits = [(0, 0), (0, 2), (1, 3), (9, 1), (15, 0), (15, 2), (16, 1), (17, 1), (13, 35)]
            edits += [(14, other) for other in (0, 3, 4, 5, 6, 7, 255) if other != mode]
            for offset, value in edits if st.FULL else edits[mode % 3::4]:
                with self.subTest(mode=mode, offset=offset, value=value), \
                        Badwire(server.address, c2s=lambda _: Replace(offset, bytes([value])),
                                source=st.fresh_source) as wire:
                    code, out, err = self.run_msg(wire.name, WORDS + b"\n",
                                                  *self.client_flags(mode, server.psk, server.key),
                                                  state=f"client-{mode}-{offset}-{value}")
                    self.assertIn(code, (3, 4), err)
                    self.assertEqual(b"", out)
                    link = wire.link()
                    self.assertTrue(link.wait())
                    self.assertEqual(b"", bytes(link.s2c), "an answer to an edited head")

    def test_answer_of_another_handshake(self) -> None:
        """RESPONSE belongs to one INIT alone, whoever made both."""
        server = self.serve(mode=PINNED)
        with contextlib.closing(server.dial()) as sock:
            sock.sendall(server.initiator().init())
            answer = scp1.read_exactly(sock, scp1.HEAD + scp1.response_length(PINNED) + scp1.MAC)
        code, out, err = self.meet(lambda sock: sock.sendall(answer), *self.client_flags(PINNED, key=server.key))
        self.assertEqual((3, b""), (code, out), err)


if __name__ == "__main__":
    scp_harness.main()
