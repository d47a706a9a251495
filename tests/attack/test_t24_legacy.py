"""T24: packets of the first description. A padding oracle finds nothing to ask; the old bytes get no answer at the new
port, nor the new bytes from the old tool."""

import os
import time

import harness
from harness import ALL_MODES, PSK, st, stcp1
from stcp1 import legacy

KEY = bytes(range(32))
SECRET = b"attack at dawn; burn after reading"


class Legacy(harness.AttackCase):
    def setUp(self) -> None:
        super().setUp()
        self.key = self.state / "legacy-key"
        self.key.touch(0o600)
        self.key.write_text(KEY.hex() + "\n")

    def tool(self, *argv, feed: bytes) -> tuple[int, bytes, str]:
        program = st.sealine("legacy", *argv, "--key", self.key, state=self.state / "s", stdin="pipe")
        self.addCleanup(program.kill)
        try:
            program.write(feed)
            program.close_stdin()
        except BrokenPipeError:
            pass
        code = program.wait()
        program.assert_sound()
        return code, bytes(program.output), program.stderr

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def packet(self, data: bytes = SECRET, iv_size: int = 16, role: int = legacy.CLIENT,
               ms: int | None = None) -> bytes:
        ms = self.now() if ms is None else ms
        return legacy.seal(KEY, os.urandom(iv_size), role, ms << 20, ms, data)

    def test_padding_oracle_has_nothing_to_ask(self) -> None:
        """Vaudenay's queries, a byte at a time, against the tool that opens the old, unauthenticated packets: whenever
        it refuses, code and message are the same, whatever is wrong with the packet."""
        packet = legacy.raw_seal(KEY, SECRET)
        iv, blocks = packet[:16], packet[16:]
        refusals, opened = set(), 0
        queries = st.count(4096, 48)
        for guess in range(queries):
            position, value = divmod(guess, 256)
            forged = bytearray(iv)
            forged[15 - position % 16] ^= value
            code, out, err = self.tool("open", "--insecure-legacy-raw",
                                         feed=legacy.framed(bytes(forged) + blocks[:16], 16))
            if code:
                refusals.add((code, out, err))
            else:
                opened += 1
        for wrong in (packet[:-1], packet[:16], packet[:16] + blocks[:15], packet + b"\0"):
            code, out, err = self.tool("open", "--insecure-legacy-raw", feed=legacy.framed(wrong, 16))
            # A length is seen by everyone, so it may have words of its own; the code is the same.
            self.assertEqual((code, out), (next(iter(refusals))[0], b""), err)
        self.assertEqual(len(refusals), 1, f"distinguishable answers: {refusals}")
        harness.say(f"{queries} queries, {opened} with right padding, one kind of refusal")

    def test_raw_packets_are_opened_for_who_insists_and_for_no_other(self) -> None:
        packet = legacy.framed(legacy.raw_seal(KEY, SECRET), 16)
        code, out, err = self.tool("open", "--insecure-legacy-raw", feed=packet)
        self.assertEqual(code, 0, err)
        self.assertIn(SECRET, out)
        code, out, _ = self.tool("open", feed=packet)
        self.assertNotEqual(code, 0)
        self.assertEqual(out, b"")
        code, out, _ = self.tool("seal", "--insecure-legacy-raw", feed=SECRET)
        self.assertEqual((code, out), (2, b""))

    def test_sealed_packets_are_opened_both_ways(self) -> None:
        """Interop: ours is opened by the second implementation, and the other way."""
        for iv_size in (16, 24, 32):
            with self.subTest(iv_size=iv_size):
                code, wire, err = self.tool("seal", "--iv", str(iv_size), feed=SECRET)
                self.assertEqual(code, 0, err)
                length = int.from_bytes(wire[:8], "big")
                self.assertEqual(len(wire), 8 + iv_size + length)
                opened = legacy.open_packet(KEY, iv_size, legacy.CLIENT, wire[8:])
                self.assertIsNotNone(opened)
                self.assertEqual(opened[2], SECRET)
                self.assertLess(abs(opened[1] - self.now()), 120_000)
                feed = legacy.framed(self.packet(iv_size=iv_size, ms=self.now()), iv_size)
                code, out, err = self.tool("open", "--any-time", "--iv", str(iv_size), feed=feed)
                self.assertEqual((code, out), (0, SECRET), err)

    def test_altered_sealed_packets_are_all_refused_alike(self) -> None:
        good = self.packet()
        spoiled = []
        for i in range(0, len(good), 1 if st.FULL else 7):
            bad = bytearray(good)
            bad[i] ^= 0x10
            spoiled.append(bytes(bad))
        spoiled += [self.packet(role=legacy.SERVER), good[:-1], legacy.raw_seal(KEY, SECRET),
                    legacy.seal(bytes(32), os.urandom(16), 0, 1 << 60, self.now(), SECRET)]
        refusals = set()
        for packet in spoiled:
            code, out, err = self.tool("open", "--any-time", feed=legacy.framed(packet, 16))
            self.assertNotEqual(code, 0)
            refusals.add((code, out, err))
        self.assertEqual(len(refusals), 1, f"distinguishable answers: {refusals}")

    def test_packet_again_or_from_another_time_is_refused(self) -> None:
        packet = legacy.framed(self.packet(ms=self.now()), 16)
        code, out, _ = self.tool("open", "--any-time", feed=packet + packet)
        self.assertNotEqual(code, 0)
        self.assertEqual(out, SECRET, "the first is opened, its repetition is not")
        for shift in (-3600_000, 3600_000):
            code, out, _ = self.tool("open", feed=legacy.framed(self.packet(ms=self.now() + shift), 16))
            self.assertNotEqual(code, 0)
            self.assertEqual(out, b"")

    def test_huge_length_is_refused_at_once(self) -> None:
        for length in (2**64 - 1, 2**63, 2**32, 2**24 + 33):
            code, out, _ = self.tool("open", feed=length.to_bytes(8, "big") + bytes(100))
            self.assertNotEqual(code, 0)
            self.assertEqual(out, b"")

    def test_new_port_never_answers_old_bytes(self) -> None:
        for mode in ALL_MODES:
            server = self.serve(mode=mode, psk=KEY if mode == PSK else None, name=f"server-{mode}")
            for iv_size in (16, 24, 32):
                for data in (b"", SECRET, bytes(2000)):
                    packet = self.packet(data, iv_size)
                    for wire in (packet, legacy.framed(packet, iv_size), legacy.raw_seal(KEY, data, iv_size)):
                        answer, _ = server.answer_to(wire + bytes(100), end=True)
                        self.assertEqual(answer, b"", "the new port answers the old protocol")
            # The public key alone, as the first draft's flow begins.
            answer, _ = server.answer_to(harness.KeyPair().public, end=True)
            self.assertEqual(answer, b"")

    def test_old_tool_never_takes_new_bytes(self) -> None:
        client = stcp1.Initiator(PSK, psk=KEY)
        for feed in (client.step1(), stcp1.Initiator(0).step1()):
            code, out, _ = self.tool("open", "--any-time", feed=feed)
            self.assertNotEqual(code, 0)
            self.assertEqual(out, b"")


if __name__ == "__main__":
    harness.main()
