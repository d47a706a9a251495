"""T8: what was recorded is played again. Nothing is delivered twice, and nothing recorded opens a session."""

import harness
from badwire import Badwire
from harness import ALL_MODES, MUTUAL, PSK, TOFU, st, stcp1


class Replay(harness.AttackCase):
    def recorded(self, server, data: bytes) -> tuple[bytes, bytes]:
        """Both directions of an honest session."""
        with Badwire(server.address, source=st.fresh_source) as wire:
            psk = server.psk
            code, out, err = self.run_pipe(wire.name, data, *self.client_flags(server.mode, psk), state="recorded")
            self.assertEqual((code, out), (0, data), err)
            link = wire.link()
            link.wait()
            return bytes(link.c2s), bytes(link.s2c)

    def test_whole_flight_of_a_client_brings_no_session(self) -> None:
        for mode in ALL_MODES:
            server = self.serve(mode=mode, psk=b"\x81" * 32 if mode == PSK else None, name=f"server-{mode}")
            c2s, s2c = self.recorded(server, b"pay 100 to the bearer")
            taken, connections = self.echo.bytes_in, self.echo.connections
            for _ in range(st.count(100, 3)):
                with self.subTest(harness.MODE_NAMES[mode]):
                    first, size = 24 + stcp1.message_length(mode, 1), 24 + stcp1.message_length(mode, 2)
                    with server.dial() as sock:
                        sock.sendall(c2s[:first])
                        # A replayed step 1 is answered like a fresh one, and dies at what follows.
                        self.assertNotEqual(stcp1.read_exactly(sock, size), s2c[:size], "the answer is not fresh")
                        sock.sendall(c2s[first:])
                        self.assertEqual(st.read_to_end(sock), harness.SILENT)
                    answer, end = server.answer_to(c2s)  # all at once
                    self.assertIn(len(answer), (0, size))
                    self.assertEqual(end, "fin")
            self.assertEqual((self.echo.bytes_in, self.echo.connections), (taken, connections))

    def test_replayed_step_1_holds_no_place_beyond_the_deadline(self) -> None:
        server = self.serve("--handshake-timeout", "2s", mode=PSK, psk=b"\x82" * 32)
        c2s, _ = self.recorded(server, b"once")
        first = c2s[:24 + 50]
        source = st.fresh_source()
        socks = [server.dial(source) for _ in range(30)]  # 32 may be half open in a /24
        for sock in socks:
            sock.sendall(first)
        for sock in socks:
            answer, end = st.read_to_end(sock)
            self.assertEqual((len(answer), end), (24 + 50, "fin"))
            sock.close()
        server.be_honest()
        with server.connect(source=source) as peer:  # its place is free again
            peer.send(b"here")
            self.assertEqual(peer.receive_exactly(4), b"here")

    def test_record_twice_in_its_session_is_taken_once(self) -> None:
        server = self.serve()
        with server.connect() as peer:
            record = peer.session.data(b"once")
            peer.send_raw(record)
            self.assertEqual(peer.receive_exactly(4), b"once")
            taken = self.echo.bytes_in
            peer.send_raw(record)
            self.assertEqual(st.read_to_end(peer.sock), harness.SILENT)
        self.assertEqual(self.echo.bytes_in, taken)

    def test_record_of_another_session_is_a_fault(self) -> None:
        server = self.serve()
        with server.connect() as first, server.connect() as second:
            record = first.session.data(b"for the first alone")
            taken = self.echo.bytes_in
            second.send_raw(record)
            self.assertEqual(st.read_to_end(second.sock), harness.SILENT)
            self.assertEqual(self.echo.bytes_in, taken)
            first.send_raw(record)
            self.assertEqual(first.receive_exactly(19), b"for the first alone")

    def test_finish_of_another_session_is_a_fault(self) -> None:
        server = self.serve()
        with server.dial() as a, server.dial() as b:
            ends = []
            for sock in (a, b):
                client = server.initiator()
                sock.sendall(client.step1())
                client.step2(stcp1.read_exactly(sock, 24 + 130))
                ends.append(client.session())
            a.sendall(ends[1].finish())
            self.assertEqual(st.read_to_end(a), harness.SILENT)

    def test_recorded_server_cannot_be_played_to_a_client(self) -> None:
        """The other side: a recorded server before the real client."""
        for mode in (TOFU, MUTUAL, PSK):
            psk = b"\x83" * 32 if mode == PSK else None
            server = self.serve(mode=mode, psk=psk, name=f"server-{mode}")
            _, s2c = self.recorded(server, b"the answer of yesterday")
            listener = harness.socket.create_server(("127.0.0.1", 0))
            with listener, st.Player(listener, s2c) as player:
                code, out, err = self.run_pipe(f"127.0.0.1:{listener.getsockname()[1]}", b"the question of today",
                                               *self.client_flags(mode, psk), state=f"other-{mode}")
                player.join()
            self.assertEqual((code, out), (3, b""), err)
            self.assertEqual(len(player.received), 24 + stcp1.message_length(mode, 1), "the client went on")


if __name__ == "__main__":
    harness.main()
