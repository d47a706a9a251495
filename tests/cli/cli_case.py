"""What the tests of the command share: a state directory of their own, short runs, listeners, JSON events."""

import json
import re
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

import sealine_test as st  # noqa: E402

KEY = r"slp1[a-z2-7]{56}"
FINGERPRINT = r"[a-z2-7]{4}-[a-z2-7]{4}-[a-z2-7]{4}-[a-z2-7]{4}"


class Done:
    """A run that has ended."""

    def __init__(self, code: int, out: bytes, err: str):
        self.code, self.out, self.err = code, out, err

    def __repr__(self) -> str:
        return f"exit {self.code}\nstdout: {self.out[:400]!r}\nstderr:\n{self.err}"

    def events(self, where: str = "out") -> list[dict]:
        text = self.out.decode() if where == "out" else self.err
        return [json.loads(line) for line in text.splitlines() if line]


class CliCase(unittest.TestCase):
    longMessage = True
    maxDiff = 4000

    @classmethod
    def setUpClass(cls) -> None:
        st.require_binary()

    def setUp(self) -> None:
        self.dir = st.temporary_directory(self)
        self.state = self.dir / "state"

    def run_sealine(self, *argv, data: bytes = b"", state=None, env: dict | None = None, timeout: float = st.WAIT,
                    **rest) -> Done:
        command, given = [str(st.SEALINE), *map(str, argv)], st.environment(state or self.state, **(env or {}))
        done = subprocess.run(command, input=data, capture_output=True, timeout=timeout, env=given, check=False, **rest)
        st.assert_discreet(command, given, done.stderr, done.stdout)
        text = done.stderr.decode("utf-8", "replace").rstrip("\n")
        if found := st.SANITIZER.search(text):
            raise AssertionError(f"{found.group()}:\n{text}")
        return Done(done.returncode, done.stdout, text)

    def assert_exit(self, code: int, done: Done) -> Done:
        self.assertEqual(code, done.code, repr(done))
        return done

    def assert_error(self, name: str, code: int, done: Done) -> Done:
        """An error in the form of the house, with this code and exit code, and nothing on standard output."""
        self.assertEqual((code, b""), (done.code, done.out), repr(done))
        self.assertRegex(done.err, rf"(?m)^sealine: error\[SL-{name}\]: [^\n]*[^.\n]$")
        return done

    def secret(self, name: str, kind: str = "--psk") -> Path:
        path = self.dir / name
        self.assert_exit(0, self.run_sealine("key", "new", kind, "-o", path))
        return path

    def listener(self, *argv, state: str = "server", **rest) -> st.Listener:
        program = st.Listener(list(argv), state=self.dir / state, **rest)
        self.addCleanup(program.kill)
        return program

    def program(self, *argv, state: str = "client", **rest) -> st.Program:
        program = st.sealine(*argv, state=self.dir / state, **rest)
        self.addCleanup(program.kill)
        return program

    def pipe_to(self, listener: st.Listener, *flags, data: bytes = b"", state: str = "client", **rest) -> Done:
        return self.run_sealine("pipe", listener.name, *flags, data=data, state=self.dir / state, **rest)

    def finish(self, program: st.Program, code: int = 0) -> bytes:
        got = program.wait()
        program.assert_sound()
        self.assertEqual(code, got, program.stderr)
        return bytes(program.output)

    def connected(self, text: str) -> re.Match:
        """The one line that says who was reached."""
        lines = [line for line in text.splitlines() if line.startswith("sealine: connected to ")]
        self.assertEqual(1, len(lines), text)
        match = re.fullmatch(
            rf"sealine: connected to (?P<name>\S+) (?:(?P<key>{KEY}) )?\((?P<trust>[a-z, ]+)\), STCP/1 "
            rf"(?P<mode>NN|NX|XX|NNpsk0), AES-256-GCM(?:, sas (?P<sas>\d{{3}} \d{{3}}))?", lines[0])
        self.assertIsNotNone(match, lines[0])
        return match


main = st.main
