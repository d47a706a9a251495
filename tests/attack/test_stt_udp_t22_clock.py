"""T22 for STT over UDP: clocks that are wrong cost a round trip, clocks that jump cost nothing."""

import os
import time
from pathlib import Path

import stt_udp_harness
from stt_udp_harness import st

MINUTE = 60_000


class Clocks(stt_udp_harness.UdpCase):
    def test_a_client_whose_clock_is_wrong(self) -> None:
        server = self.serve()
        now = int(time.time() * 1000)
        rows = (("right", now, False), ("a minute late", now - MINUTE, False), ("ten minutes late", now - 10 * MINUTE, True),
                ("ten minutes early", now + 10 * MINUTE, True), ("1970", 0, True), ("the end of time", (1 << 64) - 1, True))
        for what, timestamp, is_asked in rows:
            with self.subTest(what), server.session(timestamp=timestamp) as peer:
                self.assertEqual("cookie" in peer.initiator.hello, is_asked)
                self.assertEqual(peer.initiator.hello["timestamp"], timestamp)
                self.assertEqual(peer.echo(b"served"), b"served")
                peer.bye()

    def test_a_cookie_is_of_one_address_and_one_node(self) -> None:
        server = self.serve()
        with server.session(timestamp=1) as peer, server.prober() as elsewhere:
            cookie, node = peer.initiator.hello["cookie"], peer.initiator.node_id

            def with_cookie(**rest) -> bytes:
                initiator = self.initiator(**rest)
                initiator.hello["cookie"] = cookie
                initiator.commit()
                return initiator.hello_frame()

            self.assertEqual(elsewhere.answers_to(with_cookie(node_id=node)), [], "another address")
            peer.send(with_cookie())  # another node
            peer.send(with_cookie(node_id=node, timestamp=1))
            answers = []
            while not answers or answers[-1][2] != 1:
                answers.append(peer.receive())
            self.assertIn(b"RESPONSE", answers[-1])
            self.assertEqual([a for a in answers[:-1] if a[2] == 1], [])
            peer.bye()

    def faketime(self, **settings: str) -> dict:
        library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
        if library is None or st.is_sanitized():
            self.skipTest("no libfaketime, or a sanitizer that does not get along with it")
        return {"LD_PRELOAD": str(library), "FAKETIME_DONT_FAKE_MONOTONIC": "1", **settings}

    def test_their_client_ten_minutes_late_and_a_day_early(self) -> None:
        server = self.serve()
        for offset in ("-10m", "+1d"):
            self.check_real_echo(server.port, 1000, extra_env=self.faketime(FAKETIME=offset))

    def test_a_server_whose_clock_jumps(self) -> None:
        told = self.state / "time"
        told.write_text("-1h\n")
        server = self.serve(env=self.faketime(FAKETIME_TIMESTAMP_FILE=str(told), FAKETIME_NO_CACHE="1"))
        with server.session() as peer:
            self.assertIn("cookie", peer.initiator.hello, "an hour late")
            for stream, offset in enumerate(("+0", "+1d", "-1d", "-1h")):
                told.write_text(offset + "\n")
                data = os.urandom(20_000)
                self.assertEqual(peer.echo(data, 2 * stream + 1), data)
                peer.rotate()
                server.be_honest()
            peer.bye()
        told.write_text("+0\n")
        with server.session() as peer:
            self.assertNotIn("cookie", peer.initiator.hello, "the clock is right again")
            peer.bye()


if __name__ == "__main__":
    stt_udp_harness.main()
