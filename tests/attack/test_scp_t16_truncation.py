"""T16 for SCP/1: the connection is cut at every byte of a channel's life. Whatever the cut, the end is no clean one:
the reader has a prefix of whole messages, the exit code says so, and what has no receipt is counted."""

import re

import scp1
import scp_harness
from badwire import END, RESET, Badwire, Cut
from scp_harness import MUTUAL, st

LINES = b"first\nsecond\nthird\n"


class Truncation(scp_harness.ScpCase):
    def test_cut_anywhere(self) -> None:
        server = self.serve()
        frame = scp1.HEAD + scp1.MAC
        stands = {"c2s": 2 * frame + scp1.init_length(MUTUAL) + scp1.ack_length(MUTUAL),
                  "s2c": frame + scp1.response_length(MUTUAL)}
        for direction in ("c2s", "s2c"):
            # With less than this the lines, their END, or of the server the one receipt that there must be are not
            # whole. What comes behind is CLOSE and more receipts: the client has all that it wanted then.
            needed = sum(frame + 17 + len(line) for line in LINES.splitlines()) + frame + 17
            last = stands[direction] + needed + (frame + 24 if direction == "s2c" else 0)
            for at in range(1, last, 1 if st.FULL else last // 6):
                for how in (END, RESET):
                    with self.subTest(direction=direction, at=at, how="fin" if how is END else "rst"), Badwire(
                            server.address, source=st.fresh_source, **{direction: lambda _: Cut(at, how)}) as wire:
                        code, out, err = self.run_msg(wire.name, LINES, state=f"{direction}-{at}")
                        self.assertIn(code, (3, 4) if at < stands[direction] else (3, 7), err)
                        self.assertTrue(LINES.startswith(out) and out[-1:] in (b"", b"\n"), out)
                        if found := re.search(r"(\d+) of (\d+) messages have their receipt, (\d+) of unknown", err):
                            receipts, sent, unknown = map(int, found.groups())
                            self.assertEqual(sent, receipts + unknown)

    def test_only_close_is_an_end(self) -> None:
        """A server that hangs up after the last line has not ended the channel."""
        def serve(sock) -> None:
            peer = scp1.serve_one(sock, MUTUAL, timeout=st.WAIT)
            peer.send(b"all there is")
            peer.wait_receipts()
            sock.close()
            return True
        code, out, err = self.meet(serve, data=b"", ends=False)
        self.assertEqual((7, b"all there is\n"), (code, out), err)
        self.assertIn("SL-P04", err)


if __name__ == "__main__":
    scp_harness.main()
