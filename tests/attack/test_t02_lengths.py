"""T2: lengths that promise more than there may be. Nothing is allocated for a promise."""

import harness
from harness import ALL_MODES, MUTUAL, PSK, st, stcp1

HUGE = (2**64 - 1, 2**63, 2**32, 2**32 - 1, 1 << 24, 4097)


class Lengths(harness.AttackCase):
    def assert_no_room_made(self, server, before: int) -> None:
        # /proc sees pages, not calls; the malloc hook of the C++ tests sees 8 KiB. A promise believed would be 16 MiB
        # at least.
        if not st.is_sanitized():
            self.assertLess(server.program.memory_bytes("VmPeak") - before, 12 << 20, "address space")

    def test_step_1_with_a_wrong_length_is_silence(self) -> None:
        for mode in ALL_MODES:
            psk = b"\x05" * 32 if mode == PSK else None
            server = self.serve(mode=mode, psk=psk, name=f"server-{mode}")
            before = server.program.memory_bytes("VmPeak")
            right = stcp1.message_length(mode, 1)
            for length in (*HUGE, right + 1, right - 1, right + 256, 0):
                with self.subTest(mode=mode, length=length):
                    hello = server.initiator().step1()
                    server.assert_silent(length.to_bytes(8, "big") + hello[8:], "head with another length")
            self.assert_no_room_made(server, before)

    def test_step_3_with_a_wrong_length_is_silence(self) -> None:
        server = self.serve(mode=MUTUAL)
        for length in (*HUGE, 63, 65, 0):
            with self.subTest(length=length), server.dial() as sock:
                client = server.initiator()
                sock.sendall(client.step1())
                client.step2(stcp1.read_exactly(sock, 24 + 130))
                sock.sendall(length.to_bytes(8, "big") + client.step3()[8:])
                self.assertEqual(st.read_to_end(sock), harness.SILENT)

    def test_record_with_a_huge_length_is_silence(self) -> None:
        server = self.serve()
        before = server.program.memory_bytes("VmPeak")
        for length in (*HUGE[:-1], 65536 + 21):
            for right_iv in (True, False):
                with self.subTest(length=length, right_iv=right_iv), server.connect() as peer:
                    iv = peer.session.out.expected_iv() if right_iv else bytes(16)
                    peer.send_raw(stcp1.head_record(length, iv) + bytes(1000))
                    self.assertEqual(st.read_to_end(peer.sock), harness.SILENT)
        self.assert_no_room_made(server, before)

    def test_finish_with_a_wrong_length_is_silence(self) -> None:
        server = self.serve()
        for length in (*HUGE, 51, 53, 20, 0):
            with self.subTest(length=length), server.dial() as sock:
                client = server.initiator()
                sock.sendall(client.step1())
                client.step2(stcp1.read_exactly(sock, 24 + 130))
                finish = client.session().finish()
                sock.sendall(length.to_bytes(8, "big") + finish[8:])
                self.assertEqual(st.read_to_end(sock), harness.SILENT)

    def test_largest_record_is_served(self) -> None:
        server = self.serve()
        data = bytes(range(256)) * 256
        with server.connect() as peer:
            peer.send(data)
            self.assertEqual(peer.receive_exactly(len(data)), data)

    def test_both_ends_keep_to_the_smaller_record_size(self) -> None:
        server = self.serve()
        with server.connect(record_log2=12) as peer:
            peer.send(b"x" * 20000)
            peer.receive_exactly(20000)
            self.assertLessEqual(max(length for _, length in peer.records), 4096 + 20)
        with server.connect(record_log2=12) as peer:
            peer.send_raw(peer.session.out.seal(stcp1.DATA, bytes(4097)))
            self.assertEqual(st.read_to_end(peer.sock), harness.SILENT)


if __name__ == "__main__":
    harness.main()
