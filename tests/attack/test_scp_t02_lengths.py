"""T2, T3 for SCP/1: lengths that promise more than there may be, or less than a message needs. Nothing is allocated for
a promise, and nothing is said about it."""

import scp_harness
from scp_harness import MUTUAL, SOME_MODES, SILENT, st
import scp1

HUGE = (2**32 - 1, 2**31, 1 << 24, 65536 + 18)


def with_length(message: bytes, length: int) -> bytes:
    return message[:10] + length.to_bytes(4, "big") + message[14:]


class Lengths(scp_harness.ScpCase):
    def assert_no_room_made(self, server, before: int) -> None:
        if not st.is_sanitized():
            self.assertLess(server.program.memory_bytes("VmPeak") - before, 12 << 20, "address space")

    def test_init_with_a_wrong_length_is_silence(self) -> None:
        for mode in SOME_MODES:
            server = self.serve(mode=mode, name=f"server-{mode}")
            before = server.program.memory_bytes("VmPeak")
            right = scp1.init_length(mode)
            for length in (*HUGE[::1 if mode == MUTUAL else 3], right + 1, right - 1, 0):
                with self.subTest(mode=mode, length=length):
                    server.assert_silent(with_length(server.initiator().init(), length))
            self.assert_no_room_made(server, before)

    def test_ack_with_a_wrong_length_is_silence(self) -> None:
        server = self.serve()
        right = scp1.ack_length(MUTUAL)
        for length in (*HUGE, right - 1, right + 1, right + 55, right + 57, 0):
            with self.subTest(length=length):
                sock, client = server.shaken()
                with sock:
                    sock.sendall(with_length(client.ack(), length))
                    self.assertEqual(st.read_to_end(sock), SILENT)

    def test_length_of_a_message_is_looked_at_before_anything_else_comes(self) -> None:
        """The head alone, right in all but its length."""
        server = self.serve()
        before = server.program.memory_bytes("VmPeak")
        for length in (*HUGE, 0, 1, 15):
            for kind in (scp1.DATA, scp1.ACK, scp1.CLOSE):
                with self.subTest(length=length, kind=kind), server.connect() as peer:
                    head = scp1.head(kind, peer.out.seq, length)
                    server.named("SL-M03", lambda: (peer.send_raw(head), self.assertEqual(
                        st.read_to_end(peer.sock), SILENT)))
        self.assert_no_room_made(server, before)

    def test_smallest_and_largest_are_messages(self) -> None:
        server = self.serve()
        with server.connect() as peer:
            for size in (0, 1, 65535, 65536, 65537, 200_000):
                line = bytes(b"x" * size)
                peer.send(line)
                self.assertEqual(line, peer.receive(), size)

    def test_promise_that_is_not_kept_costs_nothing(self) -> None:
        """The largest length there may be, and then one byte: 200 times at once."""
        server = self.serve(memory_budget=40 << 20)
        peers = [server.connect() for _ in range(st.count(200, 30))]
        for peer in peers:
            peer.send_raw(scp1.head(scp1.DATA, peer.out.seq, 65536 + 17) + b"x")
        server.be_honest()
        for peer in peers:
            peer.sock.close()


if __name__ == "__main__":
    scp_harness.main()
