"""T10: a peer's own messages are sent back to it, or to a second one with the same secret."""

import contextlib
import socket
import threading

import harness
from harness import ALL_MODES, ANON, MUTUAL, PSK, TOFU, st, stcp1


class Mirror:
    """Sends back what it gets; with step_byte, as if it were the second step."""

    def __init__(self, step_byte: bool):
        self.step_byte = step_byte
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.name = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.got = bytearray()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        sock, _ = self.socket.accept()
        with sock, contextlib.suppress(OSError):
            sock.settimeout(st.WAIT)
            while piece := sock.recv(65536):
                if self.step_byte and not self.got:
                    mode = piece[14]
                    # The second head of this mode, and as many bytes as it takes.
                    piece = stcp1.head_step(mode, 2) + (piece[24:] + piece[24:])[:stcp1.message_length(mode, 2)]
                self.got += piece
                sock.sendall(piece)

    def close(self) -> None:
        self.socket.close()
        self.thread.join(st.WAIT)


class Reflection(harness.AttackCase):
    def test_client_does_not_talk_to_its_mirror(self) -> None:
        for mode in ALL_MODES:
            for step_byte in (False, True):
                with self.subTest(mode=harness.MODE_NAMES[mode], step_byte=step_byte):
                    mirror = Mirror(step_byte)
                    code, out, err = self.run_pipe(mirror.name, b"is anybody there",
                                                   *self.client_flags(mode, b"\xa1" * 32), state=f"c{mode}")
                    mirror.close()
                    self.assertIn(code, (3, 9), err)
                    self.assertEqual(out, b"")
                    self.assertLessEqual(len(mirror.got), 24 + stcp1.message_length(mode, 2), "the client went on")

    def test_server_does_not_take_its_own_answer(self) -> None:
        """Step 2 bounced to the connection it came from, as it is and with the head of a step 1."""
        for mode in ALL_MODES:
            psk = b"\xa2" * 32 if mode == PSK else None
            server = self.serve(mode=mode, psk=psk, name=f"server-{mode}")
            before = self.echo.connections
            first = server.initiator().step1()
            for edit in (False, True):
                with self.subTest(mode=harness.MODE_NAMES[mode], edit=edit), server.dial() as sock:
                    sock.sendall(first)
                    second = stcp1.read_exactly(sock, 24 + stcp1.message_length(mode, 2))
                    sock.sendall(first[:24] + second[24:] if edit else second)
                    self.assertEqual(st.read_to_end(sock), harness.SILENT)
            self.assertEqual(self.echo.connections, before)

    def test_second_listener_with_the_same_secret_does_not_take_it_either(self) -> None:
        psk = b"\xa3" * 32
        one = self.serve(mode=PSK, psk=psk, name="one")
        two = self.serve(mode=PSK, psk=psk, name="two")
        before = self.echo.connections
        with one.dial() as sock:
            first = one.initiator().step1()
            sock.sendall(first)
            second = stcp1.read_exactly(sock, 24 + 50)
        two.assert_silent(second, "as it is")
        two.assert_silent(second[:13] + b"\x01" + second[14:], "as a step 1")
        two.assert_silent(first[:24] + second[24:], "under the head of a step 1")
        # Step 1 itself is taken by both: it is answered, and no session comes of it.
        answer, end = two.answer_to(first)
        self.assertEqual((len(answer), end), (24 + 50, "fin"))
        self.assertEqual(self.echo.connections, before)

    def test_records_bounced_back_are_faults(self) -> None:
        for mode in (ANON, TOFU, MUTUAL, PSK):
            psk = b"\xa4" * 32 if mode == PSK else None
            server = self.serve(mode=mode, psk=psk, name=f"records-{mode}")
            with server.connect() as peer:
                peer.send(b"ping")
                record = stcp1.wire.read_record(peer.sock)
                taken = self.echo.bytes_in
                peer.send_raw(record)
                self.assertEqual(st.read_to_end(peer.sock), harness.SILENT)
                self.assertEqual(self.echo.bytes_in, taken)


if __name__ == "__main__":
    harness.main()
