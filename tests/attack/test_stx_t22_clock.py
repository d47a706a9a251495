"""T22 for STX: clocks a day apart. Nothing depends on them, but for who asks with --require-clock."""

import unittest
from pathlib import Path

import stx_harness
from stx_harness import BLOCK, KEY, Entry, Item, Truncated, content, st, stx1
from stx1.handshake import now_ms

DATA = content(3 * BLOCK, 22)
DAY = 86_400_000


class Clocks(stx_harness.StxCase):
    def test_clock_of_a_sender(self) -> None:
        receiver = self.receive()
        for n, ts in enumerate((now_ms() - DAY, now_ms() + DAY, 0, 1, (1 << 64) - 1)):
            with self.subTest(ts), receiver.connect(ts_ms=ts) as client:
                self.assertEqual(client.send_item(Item([Entry(b"f%d" % n, DATA)])).code, 0)
                client.finish()

    def test_clock_of_a_sender_where_it_counts(self) -> None:
        receiver = self.receive("--require-clock")
        for ts in (now_ms() - DAY, now_ms() + DAY, now_ms() - 330_000, now_ms() + 330_000, 0, (1 << 64) - 1):
            with self.subTest(ts), self.assertRaises(Truncated):
                receiver.connect(ts_ms=ts)
        for n, ts in enumerate((now_ms() - 240_000, now_ms() + 240_000)):
            with self.subTest(ts), receiver.connect(ts_ms=ts) as client:
                self.assertEqual(client.send_item(Item([Entry(b"f%d" % n, DATA)])).code, 0)
                client.finish()

    def test_clock_of_a_receiver(self) -> None:
        path = self.file("data", DATA)
        for ts in (now_ms() - DAY, now_ms() + DAY, 0, (1 << 64) - 1):
            with self.subTest(ts), stx1.Receiver(KEY, ts_ms=ts) as receiver:
                code, err = self.run_send(path, to=f"127.0.0.1:{receiver.port}")
                self.assertEqual(code, 0, err)
                self.assertEqual(receiver.store.files[b"data"][3], DATA)

    def test_programs_a_day_apart(self) -> None:
        # Without the program of that name, which stands between a signal and the receiver.
        library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
        if library is None or st.is_sanitized():
            self.skipTest("no libfaketime, or a sanitizer that does not get along with it")
        receiver = self.receive(wrap=("env", f"LD_PRELOAD={library}", "FAKETIME=-1d", "FAKETIME_DONT_FAKE_MONOTONIC=1"))
        path = self.file("data", DATA)
        self.assertEqual(self.run_send(path, to=receiver.own_name)[0], 0)
        self.assertEqual(receiver.read("data"), DATA)


if __name__ == "__main__":
    stx_harness.main()
