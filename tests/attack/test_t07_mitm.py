"""T7: an attacker in the middle, who ends both connections with keys of his own. What must come of it:

    anonymous            he succeeds; the two ends' SAS differ
    tofu, first contact  he succeeds; the client pins his key, and the two ends' SAS differ
    tofu, known          exit 3, nothing sent
    given key            exit 3, nothing sent
    mutual, first        he succeeds; the SAS differ
    mutual, known        exit 3, nothing sent
    mutual, allow list   the server falls silent
    psk                  exit 3, nothing sent
"""

import contextlib
import os
import re
import socket
import threading

import harness
from badwire import Badwire, Replace
from harness import ALL_MODES, ANON, MUTUAL, PSK, TOFU, KeyPair, st, stcp1

SECRET = b"what the user would not tell a stranger"


class Middle:
    """The attacker: a responder towards the client, an initiator towards the server. Reads and relays everything."""

    def __init__(self, server: tuple, mode: int, psk: bytes | None = None):
        self.server, self.mode, self.psk = server, mode, psk
        self.key = KeyPair()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.name = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.read = bytearray()
        self.raw_after_handshake = 0
        self.fault: BaseException | None = None
        self.sas: tuple = (None, None)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            sock, _ = self.socket.accept()
        except OSError:
            return
        with sock:
            try:
                to_client = stcp1.serve_one(sock, self.mode, static=self.key, psk=self.psk, timeout=st.WAIT)
                to_server = stcp1.connect(self.server, self.mode, static=self.key, psk=self.psk,
                                          source=st.fresh_source(), timeout=st.WAIT)
                self.sas = (to_client.session.sas, to_server.session.sas)
                with to_server:
                    while (piece := to_client.receive()) is not None:
                        self.read += piece
                        to_server.send(piece)
                    to_server.end()
                    while (piece := to_server.receive()) is not None:
                        to_client.send(piece)
                    to_client.end()
            except BaseException as error:  # noqa: BLE001 - shown by the test
                self.fault = error

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(st.WAIT)


def sas_of(text: str) -> str | None:
    found = re.search(r"sas (\d{3}) (\d{3})", text)
    return found.group(1) + found.group(2) if found else None


class ManInTheMiddle(harness.AttackCase):
    def attack(self, server, mode: int, *flags, psk: bytes | None = None) -> tuple:
        """Lets the real client run into the attacker: (exit code, output, stderr, attacker)."""
        middle = Middle(server.address, mode, psk)
        self.addCleanup(middle.close)
        self.before = self.echo.bytes_in
        code, out, err = self.run_pipe(middle.name, SECRET, *flags, state="victim")
        middle.close()
        return code, out, err, middle

    def pin(self, name: str, public: bytes) -> None:
        """The client has met `name` before, under this key."""
        path = self.state / "victim" / "known_peers"
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with path.open("a") as file:
            file.write(f"{name} {stcp1.format_key('slp1', public)} 2026-01-01T00:00:00Z\n")

    def assert_succeeds(self, outcome: tuple) -> None:
        code, out, err, middle = outcome
        self.assertEqual((code, out), (0, SECRET), err)
        self.assertEqual(bytes(middle.read), SECRET)

    def assert_fails(self, outcome: tuple) -> None:
        code, out, err, middle = outcome
        self.assertEqual((code, out), (3, b""), err)
        self.assertEqual((bytes(middle.read), self.echo.bytes_in), (b"", self.before), "user data was sent")

    def test_anonymous_mode_is_open_to_him_and_its_sas_differ(self) -> None:
        server = self.serve(mode=ANON)
        lines = len(server.program.stderr_lines)
        outcome = self.attack(server, ANON, "--anonymous")
        self.assert_succeeds(outcome)
        self.assertIn("not authenticated", outcome[2])
        at_server = server.program.wait_line(r"sas \d{3} \d{3}", after=lines).group()
        self.assertEqual((sas_of(outcome[2]), sas_of(at_server)), outcome[3].sas)
        self.assertNotEqual(sas_of(outcome[2]), sas_of(at_server))

    def test_first_contact_is_open_to_him_and_its_sas_differ(self) -> None:
        for mode, flags in ((TOFU, ()), (MUTUAL, ("--mutual",))):
            with self.subTest(harness.MODE_NAMES[mode]):
                server = self.serve(mode=mode, name=f"server-{mode}")
                outcome = self.attack(server, mode, *flags)
                self.assert_succeeds(outcome)
                self.assertIn(stcp1.format_key("slp1", outcome[3].key.public), outcome[2])
                self.assertEqual(sas_of(outcome[2]), outcome[3].sas[0])
                self.assertNotEqual(*outcome[3].sas)

    def test_known_server_cannot_be_replaced(self) -> None:
        for mode, flags in ((TOFU, ()), (MUTUAL, ("--mutual",))):
            with self.subTest(harness.MODE_NAMES[mode]):
                server = self.serve(mode=mode, name=f"server-{mode}")
                with server.connect() as peer:
                    real = peer.peer_key
                middle = Middle(server.address, mode)
                self.addCleanup(middle.close)
                self.pin(middle.name, real)
                self.before = self.echo.bytes_in
                code, out, err = self.run_pipe(middle.name, SECRET, *flags, state="victim")
                middle.close()
                self.assert_fails((code, out, err, middle))
                for key in (real, middle.key.public):
                    self.assertIn(stcp1.format_key("slp1", key), err)

    def test_given_key_is_not_his(self) -> None:
        for mode, flags in ((TOFU, ()), (MUTUAL, ("--mutual",))):
            with self.subTest(harness.MODE_NAMES[mode]):
                server = self.serve(mode=mode, name=f"server-{mode}")
                with server.connect() as peer:
                    real = stcp1.format_key("slp1", peer.peer_key)
                self.assert_fails(self.attack(server, mode, "--peer-key", real, *flags))

    def test_psk_holders_do_not_speak_to_him(self) -> None:
        server = self.serve(mode=PSK, psk=b"\x71" * 32)
        path = self.psk_file(b"\x71" * 32, "victims-psk")
        for guess in (b"\x72" * 32, bytes(32)):
            self.assert_fails(self.attack(server, PSK, "--psk-file", path, psk=guess))

    def test_allow_list_keeps_his_key_out(self) -> None:
        friend = KeyPair()
        allow = self.state / "allow"
        allow.write_text(stcp1.format_key("slp1", friend.public) + "\n")
        identity = self.state / "friend"
        identity.touch(0o600)
        identity.write_text(stcp1.format_key("slk1", friend.secret) + "\n")
        listener = st.Listener(["tunnel", "--listen", "stcp://127.0.0.1:0", "--to", f"127.0.0.1:{self.echo.port}",
                                "--allow", allow], state=self.state / "server")
        self.addCleanup(listener.kill)
        middle = Middle(listener.address, MUTUAL)
        self.addCleanup(middle.close)
        code, out, err = self.run_pipe(middle.name, SECRET, "--mutual", "--identity", identity, state="victim")
        middle.close()
        self.assertNotEqual(code, 0)
        self.assertEqual((out, self.echo.bytes_in), (b"", 0))
        self.assertIsInstance(middle.fault, stcp1.Truncated)
        code, out, err = self.run_pipe(listener.name, SECRET, "--mutual", "--identity", identity, state="honest")
        self.assertEqual((code, out), (0, SECRET), err)
        self.assertEqual(listener.terminate(), 0)
        listener.assert_sound()

    def test_edit_of_version_mode_suite_or_hint_is_silence(self) -> None:
        """The head of step 1 is the prologue: what is not refused at once fails at the tag of step 2."""
        for mode in ALL_MODES:
            psk = b"\x73" * 32 if mode == PSK else None
            server = self.serve(mode=mode, psk=psk, name=f"server-{mode}")
            edits = [(12, 0), (12, 2), (13, 2), (15, 0), (15, 2), (16, 1), (23, 1), (7, 0)]
            edits += [(14, other) for other in (0, 1, 2, 4, 5, 9, 255) if other != mode]
            for offset, value in edits if st.FULL else edits[mode % 3::3]:
                with self.subTest(mode=harness.MODE_NAMES[mode], offset=offset, value=value), \
                        Badwire(server.address, c2s=lambda _: Replace(offset, bytes([value])),
                                source=st.fresh_source) as wire:
                    before = self.echo.bytes_in
                    code, out, err = self.run_pipe(wire.name, SECRET, *self.client_flags(mode, psk),
                                                   state=f"client-{os.urandom(4).hex()}")
                    # NX and XX begin with the same step 1; a server that takes both may answer, in vain.
                    crossed = offset == 14 and {mode, value} == {TOFU, MUTUAL}
                    self.assertIn(code, (9,) if crossed else (3, 4), err)
                    self.assertEqual((out, self.echo.bytes_in), (b"", before))
                    link = wire.link()
                    self.assertTrue(link.wait())
                    if not crossed:
                        self.assertEqual(bytes(link.s2c), b"", "an answer to an edited head")


if __name__ == "__main__":
    harness.main()
