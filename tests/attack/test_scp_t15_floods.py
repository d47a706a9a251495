"""T15 for SCP/1: many handshakes from one address, many half-open connections, and peers that never acknowledge or that
send more than they may."""

import contextlib

import harness
import scp1
import scp_harness
from scp_harness import PSK, st

TOO_LARGE, RATE_LIMITED = scp1.wire.TOO_LARGE, scp1.wire.RATE_LIMITED


class Handshakes(scp_harness.ScpCase):
    def test_one_address_is_held_to_its_rate(self) -> None:
        server = self.serve()
        source, tried = st.fresh_source(), 0
        while self.handshake(server, source):
            tried += 1
            self.assertLess(tried, 20000, "no limit of rate")
            for _ in range(10):
                with contextlib.suppress(OSError):
                    server.dial(source).close()
        harness.say(f"refused after {tried * 11} connections")
        server.be_honest()  # from elsewhere

    def test_half_open_ones_are_bounded_and_end_in_time(self) -> None:
        server = self.serve("--handshake-timeout", "1s")
        source = st.fresh_source()
        socks = [server.dial(source) for _ in range(40)]
        for sock in socks[:20]:
            sock.sendall(server.initiator().init()[:60])
        server.be_honest()
        for sock in socks:
            st.read_to_end(sock)
            sock.close()

    @staticmethod
    def handshake(server, source: str) -> bool:
        try:
            with server.connect(source=source):
                return True
        except (scp1.Truncated, OSError):
            return False


class Messages(scp_harness.ScpCase):
    def test_message_over_the_limit(self) -> None:
        server = self.serve(memory_budget=48 << 20)
        with server.connect() as peer:
            part = bytes([scp1.PART]) + bytes(65536)

            def attack() -> None:
                with contextlib.suppress(OSError):
                    for _ in range(257):  # 16 MiB and a part
                        peer.send_raw(peer.out.seal(scp1.DATA, part))
                self.assertIn(scp_harness.closes(peer), (TOO_LARGE, None))
            server.named("SL-L10", attack)

    def test_window_that_is_overrun(self) -> None:
        """More than a window's worth while nothing is taken there: 1024 messages, or 1 MiB."""
        server = self.serve(command="exec sleep 1000")
        for size, count in ((100, 6000), (60_000, 500)):  # and what the pipe to the command takes
            with self.subTest(size=size), server.connect() as peer:
                def attack() -> None:
                    with contextlib.suppress(OSError):
                        for _ in range(count):
                            peer.send_raw(peer.connection.make_message(bytes(size)))
                    self.assertIn(scp_harness.closes(peer), (TOO_LARGE, None))
                server.named("SL-L10", attack)

    def test_peer_that_never_acknowledges_stops_the_sender_within_its_window(self) -> None:
        server = self.serve(command="yes")
        with server.connect(acknowledges=False) as peer:
            with contextlib.suppress(TimeoutError):
                peer.sock.settimeout(1.0)
                while True:
                    peer.receive_record()
            self.assertEqual(1024, peer.channel.have)
            self.assertLess(server.program.cpu_seconds(), 30)
            peer.sock.settimeout(st.WAIT)
            peer.send_raw(peer.connection.make_receipt())  # and goes on when it does
            for _ in range(10):
                peer.receive_record()
        self.assertGreaterEqual(peer.channel.have, 1030)

    def test_client_with_a_server_that_never_acknowledges(self) -> None:
        taken = []

        def serve(sock) -> None:
            peer = scp1.serve_one(sock, timeout=1.0, acknowledges=False)
            with contextlib.suppress(TimeoutError):
                while True:
                    peer.receive_record()
            taken.append(peer.channel.have)
            sock.settimeout(st.WAIT)
            peer.close(scp1.wire.GOING_AWAY)
        code, out, err = self.meet(serve, data=b"".join(b"%d\n" % i for i in range(5000)))
        self.assertEqual((6, [1024]), (code, taken), err)
        self.assertIn("0 of 1024 messages have their receipt, 1024 of unknown fate", err)

    def test_flood_over_the_rate(self) -> None:
        server = self.serve("--max-rate", "50", mode=PSK)
        with server.connect() as peer:
            def attack() -> None:
                with contextlib.suppress(OSError):
                    for _ in range(50 * 2 + 50 * 60):  # a burst of two seconds is let through
                        peer.send_raw(peer.connection.make_message(b"x"))
                self.assertIn(scp_harness.closes(peer), (RATE_LIMITED, None))
            server.named("SL-L11", attack)
        self.assertEqual((0, b"calmly\n"), self.run_msg(server.own_name, b"calmly\n", *self.client_flags(PSK))[:2])


if __name__ == "__main__":
    scp_harness.main()
