"""First contact, second contact, then another key: pinned, known, refused. And the secrets that must be right at once."""

import os
import re
import sys
import time
import unittest
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "attack"), str(TESTS / "support")]
import sealine_test as st  # noqa: E402
import stcp1  # noqa: E402
from badwire import Badwire  # noqa: E402

DATA = b"the user's data, for the right server alone\n" * 50


class Trust(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        st.require_binary()

    def setUp(self) -> None:
        self.place = st.temporary_directory(self)
        self.echo = st.EchoServer()
        self.addCleanup(self.echo.close)

    def listener(self, state: str, *flags) -> st.Listener:
        program = st.Listener(["tunnel", "--listen", "stcp://127.0.0.1:0", "--to", f"127.0.0.1:{self.echo.port}",
                               *flags], state=self.place / state)
        self.addCleanup(program.kill)
        return program

    def pipe(self, name: str, *flags, data: bytes = DATA, state: str = "client") -> tuple[int, bytes, str]:
        program = st.sealine("pipe", name, *flags, state=self.place / state, stdin="pipe")
        self.addCleanup(program.kill)
        try:
            program.write(data)
            program.close_stdin()
        except BrokenPipeError:
            pass
        code = program.wait()
        program.assert_sound()
        return code, bytes(program.output), program.stderr

    def key_of(self, state: str) -> str:
        text = (self.place / state / "identity").read_text()
        secret = stcp1.parse_key(re.search(r"^slk1\S+", text, re.M).group(), "slk1")
        return stcp1.format_key("slp1", stcp1.KeyPair(secret).public)

    def test_new_then_known_then_refused(self) -> None:
        for flags in ((), ("--mutual",)):
            with self.subTest(flags=flags):
                mark = "mutual" if flags else "tofu"
                client = f"client-{mark}"
                one, other = self.listener(f"one-{mark}"), self.listener(f"other-{mark}")
                wire = Badwire(one.address)
                self.addCleanup(wire.close)
                key, other_key = self.key_of(f"one-{mark}"), self.key_of(f"other-{mark}")

                code, out, err = self.pipe(wire.name, *flags, state=client)
                self.assertEqual((code, out), (0, DATA), err)
                self.assertRegex(err, rf"sealine: connected to {re.escape(wire.name)} {key} \(new, pinned\), STCP/1 "
                                      rf"(NX|XX), AES-256-GCM, sas \d{{3}} \d{{3}}")
                code, out, err = self.pipe(wire.name, *flags, state=client)
                self.assertEqual((code, out), (0, DATA), err)
                self.assertRegex(err, rf"{key} \(known\), STCP/1 (NX|XX), AES-256-GCM$")

                taken, known = self.echo.bytes_in, (self.place / client / "known_peers").read_bytes()
                wire.target = other.address
                code, out, err = self.pipe(wire.name, *flags, state=client)
                self.assertEqual((code, out), (3, b""), err)
                self.assertIn(key, err)
                self.assertIn(other_key, err)
                way_out = re.search(r"^hint: .*(sealine peers (forget|replace) .*)$", err, re.M)
                self.assertIsNotNone(way_out, err)
                self.assertRegex(err, r"error\[SL-A\d\d\]")
                self.assertEqual(self.echo.bytes_in, taken, "user data was sent")
                link = wire.link(2)
                self.assertTrue(link.wait())
                self.assertEqual(link.sizes["c2s"], 90, "something was sent after the key was seen")
                self.assertEqual((self.place / client / "known_peers").read_bytes(), known)

                # The way out, as it was printed.
                program = st.sealine(*way_out.group(1).split()[1:], state=self.place / client)
                self.assertEqual(program.wait(), 0, program.stderr)
                code, out, err = self.pipe(wire.name, *flags, state=client)
                self.assertEqual((code, out), (0, DATA), err)

    def test_strangers_are_refused_where_only_pinned_are_wanted(self) -> None:
        server = self.listener("server")
        code, out, err = self.pipe(server.name, "--trust", "pinned")
        self.assertEqual((code, out, self.echo.bytes_in), (6, b"", 0), err)  # a policy, ours
        code, out, err = self.pipe(server.name, "--peer-key", self.key_of("server"))
        self.assertEqual((code, out), (0, DATA), err)
        self.assertIn("(given)", err)

    def test_unreadable_line_of_known_peers_is_an_error_and_no_stranger(self) -> None:
        server = self.listener("server")
        state = self.place / "client"
        state.mkdir(mode=0o700)
        (state / "known_peers").write_text(f"{server.name} slp1thisisnokey 2026-01-01T00:00:00Z\n")
        code, out, err = self.pipe(server.name)
        self.assertNotEqual(code, 0)
        self.assertEqual((out, self.echo.bytes_in), (b"", 0), err)
        self.assertRegex(err, r"line 1|:1\b")

    def test_wrong_psk_is_known_within_two_seconds(self) -> None:
        for name in ("right", "wrong"):
            program = st.sealine("key", "new", "-o", self.place / name, state=self.place / "k")
            self.assertEqual(program.wait(), 0, program.stderr)
            self.assertEqual((self.place / name).stat().st_mode & 0o777, 0o600)
        server = self.listener("server", "--psk-file", self.place / "right")
        code, out, err = self.pipe(server.name, "--psk-file", self.place / "right")
        self.assertEqual((code, out), (0, DATA), err)
        begin = time.monotonic()
        code, out, err = self.pipe(server.name, "--psk-file", self.place / "wrong")
        elapsed = time.monotonic() - begin
        self.assertEqual((code, out), (3, b""), err)
        self.assertEqual(self.echo.bytes_in, len(DATA))
        print(f"  exit 3 after {elapsed:.2f} s", flush=True)
        self.assertLess(elapsed, 20 if st.is_sanitized() else 2)
        code, out, err = self.pipe(server.name)
        self.assertNotEqual(code, 0, "a server of PSKs took a client without one")

    def test_secret_file_that_others_can_read_is_refused(self) -> None:
        path = self.place / "open"
        path.write_text(stcp1.format_key("sls1", bytes(range(32))) + "\n")
        path.chmod(0o644)
        code, _, err = self.pipe("127.0.0.1:9", "--psk-file", path)
        self.assertEqual(code, 2, err)
        self.assertIn("chmod", err)

    def test_two_first_contacts_at_once_leave_a_sound_file(self) -> None:
        servers = [self.listener(f"s{i}") for i in range(3)]
        programs = [st.sealine("pipe", s.name, state=self.place / "client", stdin="null")
                    for s in servers for _ in range(3)]
        self.assertEqual([p.wait() for p in programs], [0] * 9, "\n".join(p.stderr for p in programs))
        lines = (self.place / "client" / "known_peers").read_text().splitlines()
        lines = [line for line in lines if line and not line.startswith("#")]
        self.assertEqual(sorted(line.split()[0] for line in lines), sorted(s.name for s in servers))
        self.assertEqual((self.place / "client").stat().st_mode & 0o777, 0o700)


class FirstMinutes(unittest.TestCase):
    """A fresh HOME, two commands, nothing configured: an encrypted stream."""

    @classmethod
    def setUpClass(cls) -> None:
        st.require_binary()

    def test_two_commands_in_an_empty_home(self) -> None:
        place = st.temporary_directory(self)
        homes = [place / "server", place / "client"]
        for home in homes:
            home.mkdir(mode=0o755)

        def program(home: Path, *argv, **rest) -> st.Program:
            env = {"HOME": str(home), "PATH": os.environ["PATH"]}
            made = st.Program([st.SEALINE, *argv], env=env, cwd=home, **rest)
            self.addCleanup(made.kill)
            return made

        begin = time.monotonic()
        server = program(homes[0], "pipe", "-l", "127.0.0.1:0")
        port = server.wait_line(r"sealine: listening on 127\.0\.0\.1:(\d+)").group(1)
        with Badwire(("127.0.0.1", int(port))) as wire:
            client = program(homes[1], "pipe", wire.name, stdin="pipe")
            client.write(DATA)
            client.close_stdin()
            self.assertEqual((client.wait(), server.wait()), (0, 0), client.stderr + server.stderr)
            link = wire.link()
            self.assertTrue(link.wait())
            self.assertNotIn(DATA[:16], bytes(link.c2s) + bytes(link.s2c))
        self.assertEqual(bytes(server.output), DATA)
        self.assertEqual((client.output, len(client.stderr_lines)), (b"", 1), client.stderr)
        self.assertIn("(new, pinned)", client.stderr)
        files = sorted(str(p.relative_to(place)) for p in place.rglob("*") if p.is_file())
        for path in files:
            self.assertRegex(path, r"^(client|server)/\.local/state/sealine/"
                                   r"(identity|known_peers|known_clients)(\.lock)?$")
        print(f"  from nothing to encrypted data in {time.monotonic() - begin:.2f} s; files: {', '.join(files)}",
              flush=True)


class InsideOfThePrograms(unittest.TestCase):
    """Keys stay inside: not in the arguments, not in the environment, not in a core dump."""

    @classmethod
    def setUpClass(cls) -> None:
        st.require_binary()

    def test_process_cannot_be_dumped_and_shows_no_secret(self) -> None:
        place = st.temporary_directory(self)
        key = place / "key"
        program = st.sealine("key", "new", "-o", key, state=place / "k")
        self.assertEqual(program.wait(), 0, program.stderr)
        secret = re.search(r"^sls1\S+", key.read_text(), re.M).group()
        listener = st.Listener(["pipe", "--keep", "-l", "127.0.0.1:0", "--psk-file", key], state=place / "s")
        self.addCleanup(listener.kill)
        with stcp1.connect(listener.address, stcp1.PSK, psk=stcp1.parse_key(secret, "sls1")) as peer:
            peer.send(b"hello")
            self.assertEqual(listener.wait_output(5), b"hello")
            proc = Path(f"/proc/{listener.pid}")
            # What is not dumpable belongs to root in /proc, and is closed to its own user.
            self.assertEqual((proc / "mem").stat().st_uid, 0)
            if os.geteuid() != 0:
                with self.assertRaises(PermissionError):
                    (proc / "environ").read_bytes()
            else:
                shown = (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes()
                self.assertNotIn(secret.encode(), shown)
                self.assertNotIn(stcp1.parse_key(secret, "sls1").hex().encode(), shown)
            peer.end()
            peer.receive_all()
        self.assertEqual(listener.terminate(), 0)

    @unittest.skipUnless(os.geteuid() == 0, "reading another process's memory needs root")
    def test_no_key_of_a_finished_connection_is_left_in_memory(self) -> None:
        """The second implementation knows every key of the session; a server that goes on must hold none of them."""
        if st.is_sanitized():
            self.skipTest("AddressSanitizer keeps freed memory, and its shadow is too large to read")
        place = st.temporary_directory(self)
        listener = st.Listener(["pipe", "--keep", "-l", "127.0.0.1:0"], state=place / "s")
        self.addCleanup(listener.kill)
        keys: dict[str, bytes] = {}
        with stcp1.connect(listener.address, source=st.fresh_source()) as peer:
            session = peer.session
            keys["k_c2s"], keys["k_s2c"], keys["exp"] = *session.k, session.exp
            keys["ck_c2s at start"], keys["ck_s2c at start"] = session.c2s.ck, session.s2c.ck
            _, keys["a record key"], _ = stcp1.kbkdf_step(session.c2s.ck, 0, session.c2s.seq)
            peer.send(b"hello")
            self.assertEqual(listener.wait_output(5), b"hello")
            live = listener.memory()
            self.assertIn(stcp1.KeyPair(stcp1.parse_key(re.search(
                r"^slk1\S+", (place / "s" / "identity").read_text(), re.M).group(), "slk1")).public, live,
                "the search sees what is there")
            keys["ck_c2s at end"] = session.c2s.ck
            self.assertNotIn(keys["a record key"], live, "a used record key is still there")
            self.assertNotIn(keys["ck_c2s at start"], live, "a used chain key is still there")
            peer.end()
            peer.receive_all()
            keys["ck_s2c at end"] = session.s2c.ck
        listener.wait_line("connected")
        with stcp1.connect(listener.address, source=st.fresh_source()) as peer:  # the first one is over for good
            peer.send(b"again")
            listener.wait_output(10)
            left = listener.memory()
            for name, key in keys.items():
                self.assertNotIn(key, left, f"{name} of a finished connection is still in memory")
            peer.end()
            peer.receive_all()
        self.assertEqual(listener.terminate(), 0)


class Sizes(unittest.TestCase):
    """--pad 256 hides sizes in steps of 256: from a capture only their number of steps is seen."""

    @classmethod
    def setUpClass(cls) -> None:
        st.require_binary()

    def records(self, stream: bytes, first: int) -> list[int]:
        sizes, at = [], 0
        while at < len(stream):
            length = int.from_bytes(stream[at:at + 8], "big")
            sizes.append(length)
            at += 24 + length
        self.assertEqual(at, len(stream))
        return sizes[first:]

    def histogram(self, flags: tuple, messages: list[bytes]) -> dict[int, int]:
        place = st.temporary_directory(self)
        listener = st.Listener(["pipe", "-l", "127.0.0.1:0", *flags], state=place / "s")
        self.addCleanup(listener.kill)
        with Badwire(listener.address) as wire:
            client = st.sealine("pipe", wire.name, *flags, state=place / "c", stdin="pipe")
            self.addCleanup(client.kill)
            total = 0
            for message in messages:  # each is at the other end before the next is written: a record of its own
                client.write(message)
                total += len(message)
                listener.wait_output(total)
            client.close_stdin()
            self.assertEqual((client.wait(), listener.wait()), (0, 0), client.stderr)
            link = wire.link()
            self.assertTrue(link.wait())
            out: dict[int, int] = {}
            for size in self.records(bytes(link.c2s), 2):  # behind step 1 and FINISH
                out[size - 20] = out.get(size - 20, 0) + 1
            return out

    def test_sizes_are_seen_in_steps_of_256_alone(self) -> None:
        messages = [b"x" * n for n in (1, 2, 17, 100, 200, 255, 256, 257, 300, 511, 512)]
        seen = self.histogram(("--pad", "256"), messages)
        print(f"  sizes on the wire with --pad 256: {seen}; without: {self.histogram((), messages)}", flush=True)
        self.assertEqual(set(seen), {256, 512})
        self.assertEqual(seen, {256: 7 + 1, 512: 4})  # CLOSE is padded too


if __name__ == "__main__":
    st.main()
