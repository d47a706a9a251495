"""T11 for SCP/1: the wrong secret, one that is wrong by a bit, none at all; a client whom the server does not want."""

import time

import harness
import scp1
import scp_harness
from scp_harness import MUTUAL, PINNED, PINNED_PSK, PSK, SECRET, KeyPair, st


def one_off(bit: int) -> bytes:
    out = bytearray(SECRET)
    out[bit // 8] ^= 1 << bit % 8
    return bytes(out)


class WrongSecret(scp_harness.ScpCase):
    def test_server_is_silent_to_who_does_not_hold_it(self) -> None:
        server = self.serve(mode=PSK)
        for psk in [bytes(32), *(one_off(bit) for bit in range(0, 256, 1 if st.FULL else 31))]:
            for mode in (PSK, PINNED_PSK):
                with self.subTest(psk=psk.hex(), mode=mode):
                    client = server.initiator(mode=mode, psk=psk, server_key=KeyPair().public)
                    server.assert_silent(client.init())

    def test_right_secret_and_another_server(self) -> None:
        server = self.serve(mode=PINNED_PSK)
        server.assert_silent(server.initiator(server_key=KeyPair().public).init())

    def test_modes_that_are_not_on_the_list(self) -> None:
        server = self.serve(mode=PSK)
        for mode in (0, PINNED, MUTUAL):
            server.assert_silent(scp1.Initiator(mode, static=KeyPair(), server_key=KeyPair().public).init())
        server = self.serve(name="keys")
        for mode in (0, PSK, PINNED_PSK):
            server.assert_silent(scp1.Initiator(mode, static=KeyPair(), server_key=server.key, psk=SECRET).init())

    def test_wrong_secret_is_exit_3_at_once(self) -> None:
        server = self.serve(mode=PSK)
        for psk in (one_off(0), bytes(32)):
            begin = time.monotonic()
            code, out, err = self.run_msg(server.own_name, b"my line\n", "--psk-file", self.psk_file(psk, "wrong"))
            elapsed = time.monotonic() - begin
            self.assertEqual((3, b""), (code, out), err)
            self.assertLess(elapsed, 20.0)  # ten times the two seconds that are due
            harness.say(f"a wrong secret was known after {elapsed:.2f} s")

    def test_client_that_is_not_on_the_list(self) -> None:
        allow = self.state / "allow"
        allow.write_text(scp1.format_key("slp1", KeyPair().public) + "\n")
        server = self.serve("--allow", allow, command="cat >&2")
        sock, client = server.shaken()
        with sock:
            def attack() -> None:
                sock.sendall(client.ack() + client.c2s.seal(scp1.DATA, b"\0let me in"))
                self.assertEqual(scp_harness.SILENT, st.read_to_end(sock))
            server.named("SL-A04", attack)
        server.assert_silent(server.initiator(mode=PINNED, server_key=server.key).init())
        self.assertNotIn("let me in", server.program.stderr)
        for flags in ((), ("--reconnect",)):
            code, out, err = self.run_msg(server.own_name, b"let me in\n", *flags)
            self.assertEqual((3, b""), (code, out), err)


if __name__ == "__main__":
    scp_harness.main()
