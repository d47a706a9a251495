"""What a listener of SCP, STT or STX holds of the keys of a channel, a session or a transfer once it is over: nothing. The
second implementation knows them all. (Of STCP: test_trust.py.)"""

import os
import sys
import unittest
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "attack"), str(TESTS / "support")]
import scp_harness  # noqa: E402
import sealine_test as st  # noqa: E402
import stt_harness  # noqa: E402
import stt_udp_harness  # noqa: E402
import stx_harness  # noqa: E402
from stx1.items import Entry, pack  # noqa: E402


def keys_in(program: st.Program, keys: dict[str, bytes]) -> list[str]:
    memory = program.memory()
    return [name for name, key in keys.items() if key in memory]


class Keys:
    """Mixed into the cases of the attack tests, whose tearDown proves the listener sound."""

    def setUp(self) -> None:
        if os.geteuid() != 0:
            self.skipTest("reading another process's memory needs root")
        if st.is_sanitized():
            self.skipTest("AddressSanitizer keeps freed memory, and its shadow is too large to read")
        super().setUp()

    def assert_held(self, program: st.Program, keys: dict[str, bytes]) -> None:
        self.assertEqual(keys_in(program, keys), list(keys), "the search sees what is there")

    def assert_none_left(self, program: st.Program, keys: dict[str, bytes]) -> None:
        """Soon: the end of a session takes a moment more at the other side."""
        st.wait_until(lambda: not keys_in(program, keys), 30,
                      f"the end of {', '.join(keys_in(program, keys))} in the memory of the listener")


class Scp(Keys, scp_harness.ScpCase):
    @staticmethod
    def keys_of(direction, name: str) -> dict[str, bytes]:
        return {f"{name} key": direction.ke, f"{name} next": direction.kn}

    def test_no_key_of_a_finished_channel_is_left_in_memory(self) -> None:
        server = self.serve()
        with server.connect() as peer:
            connection = peer.connection
            first = {**self.keys_of(connection.c2s, "c2s"), **self.keys_of(connection.s2c, "s2c")}
            peer.send(b"hello")
            self.assertEqual(peer.receive(), b"hello")
            self.assert_held(server.program, first)
            peer.rotate()
            peer.send(b"again")
            self.assertEqual(peer.receive(), b"again")
            second = {**self.keys_of(connection.c2s, "new c2s"), **self.keys_of(connection.s2c, "new s2c")}
            self.assert_held(server.program, second)
            self.assert_none_left(server.program, first)
            peer.finish()
        self.assert_none_left(server.program, {**first, **second, "exp": peer.channel.exp, "rk": peer.channel.rk})


class SttKeys(Keys):
    def check(self) -> None:
        server = self.serve()
        with server.session() as peer:
            data = os.urandom(5000)
            self.assertEqual(peer.echo(data), data)
            schedule = peer.initiator.schedule
            held = {"root i2r": schedule.i2r, "root r2i": schedule.r2i, "stream i2r": peer.sending.of_stream(1),
                    "stream r2i": peer.receiving.of_stream(1)}
            self.assert_held(server.program, held)
            peer.bye()
        self.assert_none_left(server.program, {
            **held, "kh": schedule.kh, "session": schedule.session_key, "challenge": schedule.challenge_key,
            "proof": schedule.proof_key})


class SttOverWebSocket(SttKeys, stt_harness.SttCase):
    def test_no_key_of_a_finished_session_is_left_in_memory(self) -> None:
        self.check()


class SttOverUdp(SttKeys, stt_udp_harness.UdpCase):
    def test_no_key_of_a_finished_session_over_udp_is_left_in_memory(self) -> None:
        self.check()


class Stx(Keys, stx_harness.StxCase):
    def test_no_key_of_a_finished_transfer_is_left_in_memory(self) -> None:
        receiver = self.receive()
        with receiver.connect() as client:
            keys = client.hs.keys
            client.send_item(pack(Entry(b"a file", os.urandom(100_000))))
            self.assert_held(receiver.program, {name: keys[name] for name in ("K_c", "K_s")})
            self.assertEqual(client.finish(), 0)
        self.assert_none_left(receiver.program, keys)


if __name__ == "__main__":
    st.main()
