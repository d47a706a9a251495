"""T11: the wrong secret, one that is wrong by a bit, and none at all."""

import time

import harness
from harness import PSK, TOFU, st, stcp1
from stcp1.session import hint_for

RIGHT = bytes(range(100, 132))


def one_off(psk: bytes, bit: int) -> bytes:
    out = bytearray(psk)
    out[bit // 8] ^= 1 << bit % 8
    return bytes(out)


class WrongPsk(harness.AttackCase):
    def test_server_is_silent_to_who_does_not_hold_it(self) -> None:
        server = self.serve(mode=PSK, psk=RIGHT)
        wrong = [bytes(32), b"\xff" * 32] + [one_off(RIGHT, b) for b in range(0, 256, 1 if st.FULL else 16)]
        for psk in wrong:
            with self.subTest(psk=psk.hex()):
                server.assert_silent(server.initiator(psk=psk).step1())

    def test_hint_alone_opens_nothing(self) -> None:
        """A hint that was seen on the wire, with its ephemeral key, before a message made without the secret."""
        server = self.serve(mode=PSK, psk=RIGHT)
        seen = server.initiator()
        hint = hint_for(RIGHT, seen.ephemeral.public)
        for psk in (bytes(32), one_off(RIGHT, 0)):
            thief = server.initiator(psk=psk, ephemeral=seen.ephemeral)
            server.assert_silent(thief.step1(hint=hint))

    def test_other_modes_get_no_answer(self) -> None:
        server = self.serve(mode=PSK, psk=RIGHT)
        for mode in (0, TOFU, 4):
            client = stcp1.Initiator(mode, static=harness.KeyPair())
            server.assert_silent(client.step1())

    def test_wrong_secret_is_exit_3_at_once(self) -> None:
        server = self.serve(mode=PSK, psk=RIGHT)
        for psk in (one_off(RIGHT, 0), one_off(RIGHT, 255), bytes(32)):
            before = self.echo.connections
            begin = time.monotonic()
            code, out, err = self.run_pipe(server.own_name, b"my data", "--psk-file", self.psk_file(psk, "wrong"))
            elapsed = time.monotonic() - begin
            self.assertEqual((code, out), (3, b""), err)
            self.assertLess(elapsed, 20.0)  # ten times the two seconds that are due
            harness.say(f"a wrong secret was known after {elapsed:.2f} s")
            self.assertEqual(self.echo.connections, before)

    def test_secret_that_is_none_is_a_usage_error(self) -> None:
        for text in ("", "\n", "# a comment alone\n", "sls1\n", "0" * 62 + "\n"):
            path = self.state / "empty"
            path.touch(0o600)
            path.write_text(text)
            with self.subTest(text=text):
                program = st.sealine("pipe", "127.0.0.1:9", "--psk-file", path, state=self.state / "c")
                self.assertEqual(program.wait(), 2, program.stderr)
                program = st.sealine("tunnel", "--listen", "stcp://127.0.0.1:0", "--to", "127.0.0.1:9", "--psk-file",
                                     path, state=self.state / "s")
                self.assertEqual(program.wait(), 2, program.stderr)

    def test_server_takes_each_of_its_secrets_and_no_other(self) -> None:
        secrets = [bytes([i]) * 32 for i in range(1, 6)]
        path = self.state / "many"
        path.touch(0o600)
        path.write_text("# who may\n\n" + "".join(f"{stcp1.format_key('sls1', s)} friend{i}\n"
                                                  for i, s in enumerate(secrets)))
        listener = st.Listener(["tunnel", "--listen", "stcp://127.0.0.1:0", "--to", f"127.0.0.1:{self.echo.port}",
                                "--psk-file", path], state=self.state / "server")
        self.addCleanup(listener.kill)
        for secret in secrets:
            with stcp1.connect(listener.address, PSK, psk=secret, source=st.fresh_source()) as peer:
                peer.send(b"hello")
                self.assertEqual(peer.receive_exactly(5), b"hello")
        with self.assertRaises(stcp1.Truncated):
            stcp1.connect(listener.address, PSK, psk=bytes([6]) * 32, source=st.fresh_source())
        self.assertEqual(listener.terminate(), 0)
        listener.assert_sound()

    def test_guesses(self) -> None:
        """Many at once, from many addresses: none is answered and the holder is served among them."""
        server = self.serve(mode=PSK, psk=RIGHT)
        for i in range(st.count(100000, 300)):
            with server.dial() as sock:
                sock.sendall(server.initiator(psk=i.to_bytes(32, "big")).step1())
                self.assertEqual(st.read_to_end(sock), harness.SILENT)
            if i % 100 == 0:
                server.be_honest()


if __name__ == "__main__":
    harness.main()
