"""`sealine-netsim` against arithmetic: what is measured through it is worth no more than the path it makes. Lower bounds
on times are exact; upper ones hold for the best of several tries, so that a busy machine only makes it slower."""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))
import sealine_test as st  # noqa: E402

NETSIM = st.binaries() / "sealine-netsim"
A, B = "10.77.0.1", "10.77.0.2"
HEADERS = 28  # of IP and UDP, which the path counts
CLONE_NEWNET = 0x40000000
SO_RCVBUFFORCE = 33
NOT_ALLOWED = 77
TRIES = 5

_libc = ctypes.CDLL(None, use_errno=True)


def enter(path: str) -> None:
    with open(path, "rb") as namespace:
        if _libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), path)


class Netsim:
    """A running path, with a UDP socket at each of its ends."""

    def __init__(self, test: unittest.TestCase, **settings):
        self.program = subprocess.Popen(
            [NETSIM, *(f"{name}={value}" for name, value in settings.items())],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        test.addCleanup(self.close)
        names = self.program.stdout.readline().split()
        if not names:
            words = self.program.stderr.read().strip()
            if self.program.wait() == NOT_ALLOWED:
                test.skipTest(words)
            test.fail(words)
        self.a, self.b = self.open(names[0], A), self.open(names[1], B)

    def open(self, namespace: str, address: str) -> socket.socket:
        """A socket stays in the namespace that it was made in."""
        with open("/proc/self/ns/net", "rb") as before:
            enter(namespace)
            try:
                end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                end.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
                end.bind((address, 0))
            finally:
                _libc.setns(before.fileno(), CLONE_NEWNET)
        end.settimeout(st.WAIT)
        return end

    def a_to_b(self, packet: bytes) -> None:
        self.a.sendto(packet, self.b.getsockname())

    def end(self) -> dict:
        """The counts of both directions."""
        self.program.send_signal(signal.SIGTERM)
        output, errors = self.program.communicate(timeout=st.WAIT)
        if self.program.returncode != 0:
            raise AssertionError(errors)
        return json.loads(output.splitlines()[-1])

    def close(self) -> None:
        self.program.kill()
        self.program.communicate()
        for name in ("a", "b"):
            with contextlib.suppress(AttributeError):
                getattr(self, name).close()


@unittest.skipUnless(NETSIM.exists(), f"no {NETSIM}")
@unittest.skipUnless(os.geteuid() == 0, "a network namespace and a TUN device need root")
class ThePath(unittest.TestCase):
    def test_a_round_trip_takes_twice_the_delay(self) -> None:
        delay_s = 0.03
        path = Netsim(self, delay_ms=delay_s * 1e3)
        trips = []
        while len(trips) < 3 or (min(trips) > 2.5 * delay_s and len(trips) < 20):
            start = time.monotonic()
            path.a_to_b(b"there")
            packet, sender = path.b.recvfrom(100)
            path.b.sendto(packet, sender)
            path.a.recv(100)
            trips.append(time.monotonic() - start)
        self.assertGreaterEqual(min(trips), 2 * delay_s)
        self.assertLessEqual(min(trips), 2.5 * delay_s, f"{len(trips)} round trips")

    def test_the_rate_is_kept_and_reached(self) -> None:
        rate, size, count = 20e6, 1200, 1000
        least_s = count * (size + HEADERS) * 8 / rate
        path = Netsim(self, rate_mbit=rate / 1e6, queue_bytes=2 * count * size)
        taken = []
        while len(taken) < TRIES and (not taken or min(taken) > 1.1 * least_s):
            start = time.monotonic()
            for _ in range(count):
                path.a_to_b(bytes(size))
            for _ in range(count):
                path.b.recv(size)
            taken.append(time.monotonic() - start)
        self.assertGreaterEqual(min(taken), 0.9999 * least_s)  # each packet's time is rounded down
        self.assertLessEqual(min(taken), 1.1 * least_s, f"{len(taken)} tries")
        counts = path.end()["a_to_b"]
        self.assertEqual(counts["delivered"], count * len(taken))
        self.assertEqual(counts["delivered_bytes"], count * len(taken) * (size + HEADERS))

    def test_a_full_queue_drops_what_comes(self) -> None:
        size, count, queued = 1200, 500, 20
        # A second for 20 packets: the rest of the burst cannot be late enough to find room.
        rate_mbit = queued * (size + HEADERS) * 8 / 1e6
        path = Netsim(self, rate_mbit=rate_mbit, queue_bytes=queued * (size + HEADERS))
        start = time.monotonic()
        for number in range(count):
            path.a_to_b(number.to_bytes(2) + bytes(size - 2))
        came = [int.from_bytes(path.b.recv(size)[:2]) for _ in range(queued)]
        self.assertGreaterEqual(time.monotonic() - start, (queued - 0.01) / queued)
        self.assertEqual(came, list(range(queued)), "the first are those that found room")
        counts = path.end()["a_to_b"]
        self.assertEqual(counts["sent"], count)
        # One was on the line.
        self.assertGreaterEqual(counts["queue_full"], count // 2)
        self.assertLessEqual(counts["queue_full"], count - queued)

    def lost_with_seed(self, seed: int, loss: float, count: int) -> set:
        path = Netsim(self, seed=seed, loss=loss)
        for number in range(count):
            path.a_to_b(number.to_bytes(4))
        # Packets keep their order: when one of these is there, none of the others is still to come.
        came, marks = set(), 0
        path.b.settimeout(0.1)
        packet = b""
        while packet != b"end":
            if not packet:
                path.a_to_b(b"end")
                marks += 1
            try:
                packet = path.b.recv(4)
            except TimeoutError:
                packet = b""
                continue
            if packet != b"end":
                came.add(int.from_bytes(packet))
        counts = path.end()["a_to_b"]
        self.assertEqual(counts["sent"], count + marks)
        self.assertEqual(counts["sent"], counts["delivered"] + counts["lost"])
        self.assertLessEqual(abs(counts["delivered"] - len(came)), marks)
        self.assertEqual(counts["queue_full"], 0)
        return set(range(count)) - came

    def test_losses_are_as_many_as_asked_for_and_follow_the_seed(self) -> None:
        loss, count = 0.1, 2000
        lost = self.lost_with_seed(7, loss, count)
        deviation = (count * loss * (1 - loss)) ** 0.5
        self.assertLess(abs(len(lost) - count * loss), 6 * deviation)
        self.assertEqual(self.lost_with_seed(7, loss, count), lost)
        self.assertNotEqual(self.lost_with_seed(8, loss, count), lost)

    def test_commands_run_at_the_ends_and_end_with_the_path(self) -> None:
        ask = (f"import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout({st.WAIT})\n"
               f"s.bind(('{A}', 700)); print(s.recv(9).decode(), flush=True); raise SystemExit(3)")
        tell = ("import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(0.02)\n"
                "while True:\n"
                f"  s.sendto(b'from b', ('{A}', 700))\n"
                "  try: s.recv(1)\n"
                "  except TimeoutError: pass")
        python = ["/usr/bin/python3", "-c"]
        command = [NETSIM, "delay_ms=1", "--", *python, ask, "--", *python, tell]
        done = subprocess.run(command, capture_output=True, text=True, timeout=st.WAIT)
        if done.returncode == NOT_ALLOWED:
            self.skipTest(done.stderr.strip())
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertEqual(done.stdout.splitlines()[0], "from b")
        self.assertGreater(json.loads(done.stdout.splitlines()[1])["b_to_a"]["delivered"], 0)

    def test_nothing_is_left_however_it_ends(self) -> None:
        for ending in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(signal=ending.name):
                command = [NETSIM, "--", "sh", "-c", "echo $$; exec sleep 1000", "--", "sleep", "1000"]
                program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                self.addCleanup(program.communicate)
                self.addCleanup(program.kill)
                line = program.stdout.readline()
                if not line and program.wait() == NOT_ALLOWED:
                    self.skipTest(program.stderr.read().strip())
                pid = int(line)
                namespace = os.stat(f"/proc/{pid}/ns/net").st_ino
                self.assertNotEqual(namespace, os.stat("/proc/self/ns/net").st_ino)
                program.send_signal(ending)
                program.wait(st.WAIT)
                st.wait_until(lambda: not lives_in(namespace), what="nobody is in the namespace")

    def test_wrong_settings_are_refused(self) -> None:
        for argument in ("rate_mbit=-1", "loss=2", "delay_ms=x", "delay_ms=", "speed=1", "fast"):
            with self.subTest(argument):
                done = subprocess.run([NETSIM, argument], capture_output=True, text=True, timeout=st.WAIT)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn("usage:", done.stderr)


def lives_in(namespace: int) -> bool:
    for place in Path("/proc").glob("[0-9]*/ns/net"):
        with contextlib.suppress(OSError):
            if place.stat().st_ino == namespace:
                return True
    return False


if __name__ == "__main__":
    st.main()
