"""T3: records too short to be one, and records that bring nothing."""

import harness
from harness import ANON, PSK, TOFU, st, stcp1


class ShortRecords(harness.AttackCase):
    def test_length_below_20_is_a_fault(self) -> None:
        server = self.serve()
        for length in (0, 1, 2, 16, 19):
            with self.subTest(length=length), server.connect() as peer:
                peer.send_raw(stcp1.head_record(length, peer.session.out.expected_iv()) + bytes(length))
                self.assertEqual(st.read_to_end(peer.sock), harness.SILENT)

    def test_length_20_is_a_record(self) -> None:
        for mode in (ANON, TOFU, PSK):
            server = self.serve(mode=mode, psk=b"\x09" * 32 if mode == PSK else None, name=f"server-{mode}")
            with server.connect() as peer:
                peer.ping()
                peer.send_raw(peer.session.data(b""))
                peer.send(b"after the empty ones")
                self.assertEqual(peer.receive_exactly(20), b"after the empty ones")

    def test_64_empty_records_are_borne(self) -> None:
        server = self.serve()
        for kind in (stcp1.DATA, stcp1.PING):
            with self.subTest(kind=kind), server.connect() as peer:
                seal = peer.session.out.seal
                peer.send_raw(seal(stcp1.DATA, b"a") + b"".join(seal(kind, b"") for _ in range(64))
                              + seal(stcp1.DATA, b"z"))
                self.assertEqual(peer.receive_exactly(2), b"az")

    def test_65th_empty_record_at_once_is_a_fault(self) -> None:
        server = self.serve()
        for kind in (stcp1.DATA, stcp1.PING):
            with self.subTest(kind=kind), server.connect() as peer:
                seal = peer.session.out.seal
                # Each whole second gives 64 more: a machine that stalls between two reads must not save the flood.
                peer.send_raw(seal(stcp1.DATA, b"a") + b"".join(seal(kind, b"") for _ in range(65 + 64 * 60)))
                answer, _ = st.read_to_end(peer.sock)
                self.assertLess(len(answer), 100, "nothing but the echo of the first byte")

    def test_padding_alone_counts_as_empty(self) -> None:
        server = self.serve()
        with server.connect() as peer:
            seal = peer.session.out.seal
            peer.send_raw(b"".join(seal(stcp1.DATA, b"", 200) for _ in range(65 + 64 * 60)))
            self.assertEqual(st.read_to_end(peer.sock)[0], b"")


if __name__ == "__main__":
    harness.main()
