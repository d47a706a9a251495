"""What the Python tests that drive the real binaries share: where things are, programs that end with the test,
bounded waits, an echo server, source addresses that do not meet each other's rate limits.

SEALINE_BIN      the directory of the binaries (default: the newest of build/{dev,asan,release}/bin)
SEALINE_FULL=1   (or SEALINE_TEST_SCALE=full) the counts of a release instead of about a tenth
"""

import atexit
import contextlib
import ctypes
import itertools
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

from discretion import shown_secret

SOURCE = Path(__file__).resolve().parent.parent.parent
FULL = os.environ.get("SEALINE_FULL") == "1" or os.environ.get("SEALINE_TEST_SCALE") == "full"
WAIT = 60.0  # bounds a wait, measures nothing; a sanitized binary on a busy machine is slow
SKIPPED = 77

_libc = ctypes.CDLL(None, use_errno=True)


def count(full: int, reduced: int | None = None) -> int:
    """The document's count, or about a tenth of it."""
    return full if FULL else (reduced if reduced is not None else max(1, full // 10))


def binaries() -> Path:
    if "SEALINE_BIN" in os.environ:
        return Path(os.environ["SEALINE_BIN"])
    found = [d for d in (SOURCE / "build" / p / "bin" for p in ("dev", "asan", "release")) if (d / "sealine").exists()]
    return max(found, key=lambda d: (d / "sealine").stat().st_mtime) if found else SOURCE / "build" / "dev" / "bin"


SEALINE = binaries() / "sealine"


def is_sanitized() -> bool:
    with contextlib.suppress(OSError):
        return b"__asan_init" in SEALINE.read_bytes()
    return False


def require_binary() -> None:
    if not SEALINE.exists():
        raise unittest.SkipTest(f"no {SEALINE}")


def own_vectors(name: str) -> Path | None:
    """A golden transcript of ours, committed or beside the checkout."""
    places = [SOURCE / "tests" / "vectors" / "sealine" / name]
    if "SEALINE_VECTORS" in os.environ:
        places.append(Path(os.environ["SEALINE_VECTORS"]) / "sealine" / name)
    return next((p for p in places if p.exists()), None)


def main() -> None:
    """unittest.main with an exit code of its own where everything was skipped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that cleanups run
    program = unittest.main(module="__main__", exit=False, verbosity=2)
    result = program.result
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(SKIPPED if result.skipped and len(result.skipped) >= max(1, result.testsRun) else 0)


# --- programs ---------------------------------------------------------------------------------------------------------

SANITIZER = re.compile(r"(AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|ThreadSanitizer|runtime error:"
                       r"|SEALINE_ASSERT|[Aa]ssertion .*failed|terminate called)")


def environment(state: str | os.PathLike | None = None, **extra: str) -> dict[str, str]:
    """The caller's environment without anything of Sealine's, with a state directory of its own."""
    env = {k: v for k, v in os.environ.items()
           if not k.startswith("SEALINE_") and k not in ("STX_KEY", "STX_KEY_FILE", "XDG_STATE_HOME", "NO_COLOR")}
    if "SEALINE_CRYPTO" in os.environ:
        env["SEALINE_CRYPTO"] = os.environ["SEALINE_CRYPTO"]
    if state is not None:
        env["SEALINE_STATE_DIR"] = str(state)
    env.update(extra)
    return env


def _die_with_parent() -> None:
    _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


PRINTED_BYTES = 1 << 20  # of standard output, which may be somebody's data without end


def assert_discreet(argv: list, env: dict | None, *printed: bytes) -> None:
    """No secret of the program in anything that it printed. What fails does not print it either."""
    for text in printed:
        if form := shown_secret(argv, env, text):
            raise AssertionError(f"{argv} showed a secret, as {form}")


_running: set["Program"] = set()


class Program:
    """A program with its standard error read line by line in the background, and its output in memory or nowhere.

    stdout: "collect" (default), "null", or a file object. stdin: "null" (default), "pipe", or a file object.
    """

    def __init__(self, argv: list, *, env: dict | None = None, stdin="null", stdout="collect", cwd=None):
        self.argv = [str(a) for a in argv]
        self.env = env
        self.stderr_lines: list[str] = []
        self.output = bytearray()
        self._changed = threading.Condition()
        self._open_streams = 1
        if stdout == "collect":
            self._open_streams += 1
        on_main = threading.current_thread() is threading.main_thread()
        self.process = subprocess.Popen(
            self.argv, env=env, cwd=cwd,
            stdin={"null": subprocess.DEVNULL, "pipe": subprocess.PIPE}.get(stdin, stdin) if isinstance(stdin, str)
            else stdin,
            stdout={"null": subprocess.DEVNULL, "collect": subprocess.PIPE}.get(stdout, stdout)
            if isinstance(stdout, str) else stdout,
            stderr=subprocess.PIPE, preexec_fn=_die_with_parent if on_main else None)
        self.pid = self.process.pid
        _running.add(self)
        self._threads = [threading.Thread(target=self._read_stderr, daemon=True)]
        if stdout == "collect":
            self._threads.append(threading.Thread(target=self._read_stdout, daemon=True))
        for thread in self._threads:
            thread.start()

    def _read_stderr(self) -> None:
        for line in self.process.stderr:
            with self._changed:
                self.stderr_lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._open_streams -= 1
            self._changed.notify_all()

    def _read_stdout(self) -> None:
        while piece := os.read(self.process.stdout.fileno(), 1 << 18):
            with self._changed:
                self.output += piece
                self._changed.notify_all()
        with self._changed:
            self._open_streams -= 1
            self._changed.notify_all()

    @property
    def stderr(self) -> str:
        with self._changed:
            return "\n".join(self.stderr_lines)

    def wait_line(self, pattern: str, timeout: float = WAIT, after: int = 0) -> re.Match:
        """The first line of standard error, from line `after` on, that has the pattern."""
        deadline = time.monotonic() + timeout
        regex = re.compile(pattern)
        with self._changed:
            while True:
                for line in self.stderr_lines[after:]:
                    if match := regex.search(line):
                        return match
                left = deadline - time.monotonic()
                if left <= 0 or (self._open_streams == 0 and self.process.poll() is not None):
                    raise AssertionError(f"no {pattern!r} from {self.argv}:\n" + "\n".join(self.stderr_lines))
                self._changed.wait(min(left, 0.5))

    def wait_output(self, size: int, timeout: float = WAIT) -> bytes:
        """Waits until standard output has `size` bytes."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while len(self.output) < size:
                left = deadline - time.monotonic()
                if left <= 0 or self._open_streams == 0:
                    raise AssertionError(f"{len(self.output)} of {size} bytes from {self.argv}:\n"
                                         + "\n".join(self.stderr_lines))
                self._changed.wait(min(left, 0.5))
            return bytes(self.output)

    def write(self, data: bytes) -> None:
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def close_stdin(self) -> None:
        self.process.stdin.close()

    def is_running(self) -> bool:
        return self.process.poll() is None

    def wait(self, timeout: float = WAIT) -> int:
        """The exit code, once all output has been read."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            text = self.stderr
            self.kill()
            raise AssertionError(f"{self.argv} did not end in {timeout:.0f} s:\n{text}") from None
        self._end()
        return code

    def terminate(self, timeout: float = WAIT) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        return self.wait(timeout)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._end()

    def _end(self) -> None:
        for thread in self._threads:
            thread.join(10)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        if self in _running:
            _running.discard(self)
            assert_discreet(self.argv, self.env, self.stderr.encode(), bytes(self.output[:PRINTED_BYTES]))

    def memory_bytes(self, field: str = "VmRSS") -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        raise AssertionError(field)

    def memory(self) -> bytes:
        """Every page that it can write (for root alone, as the programs are not dumpable)."""
        pages = []
        with open(f"/proc/{self.pid}/maps") as maps, open(f"/proc/{self.pid}/mem", "rb", 0) as mem:
            for line in maps:
                span, rights = line.split()[:2]
                low, high = (int(x, 16) for x in span.split("-"))
                if "r" not in rights or "w" not in rights or high - low > 1 << 30:
                    continue
                with contextlib.suppress(OSError):
                    mem.seek(low)
                    pages.append(mem.read(high - low))
        return b"".join(pages)

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def assert_sound(self) -> None:
        """No report of a sanitizer, no failed assertion, no death by a signal."""
        if found := SANITIZER.search(self.stderr):
            raise AssertionError(f"{found.group()} in {self.argv}:\n{self.stderr}")
        code = self.process.poll()
        if code is not None and code < 0 and -code not in (signal.SIGTERM, signal.SIGKILL, signal.SIGPIPE):
            raise AssertionError(f"{self.argv} died of signal {-code}:\n{self.stderr}")


@atexit.register
def _kill_all() -> None:
    for program in list(_running):
        with contextlib.suppress(Exception):
            program.kill()


def sealine(*argv, state=None, **rest) -> Program:
    return Program([SEALINE, *argv], env=environment(state, **rest.pop("extra_env", {})), **rest)


class Listener(Program):
    """A `sealine` that listens: knows its address once it is made."""

    def __init__(self, argv: list, *, state, **rest):
        super().__init__([SEALINE, *argv], env=environment(state, **rest.pop("extra_env", {})), **rest)
        match = self.wait_line(r"listening on (?:stcp://)?(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(\d+)")
        host = match.group(1) or match.group(2)
        self.port = int(match.group(3))
        self.address = ({"::": "::1", "0.0.0.0": "127.0.0.1"}.get(host, host), self.port)
        self.name = f"{self.address[0]}:{self.port}" if ":" not in self.address[0] else f"[{host}]:{self.port}"


# --- places, addresses, small servers ---------------------------------------------------------------------------------

def temporary_directory(test: unittest.TestCase, prefix: str = "sealine-") -> Path:
    path = Path(tempfile.mkdtemp(prefix=prefix))
    test.addCleanup(shutil.rmtree, path, True)
    return path


_sources = itertools.count(os.getpid() % 250 * 200)


def fresh_source() -> str:
    """A loopback address in a /24 that this test has not used: rate limits are counted for each /24."""
    n = next(_sources)
    return f"127.{1 + n // 256 % 250}.{n % 256}.1"


def reset(sock: socket.socket) -> None:
    """Closes with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    sock.close()


def wait_until(condition, timeout: float = WAIT, what: str = "condition") -> None:
    """For what shows itself only by looking: /proc, another program's files."""
    deadline = time.monotonic() + timeout
    tick = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not in {timeout:.0f} s: {what}")
        tick.wait(0.02)


class EchoServer:
    """A plain TCP server in threads: echoes, keeps a half-close, and remembers how much came."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.socket.getsockname()[1]
        self.connections = 0
        self.bytes_in = 0
        self.received = bytearray()
        self._lock = threading.Lock()
        self._closing = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
            threading.Thread(target=self._echo, args=(sock,), daemon=True).start()

    def _echo(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            while piece := sock.recv(1 << 16):
                with self._lock:
                    self.bytes_in += len(piece)
                    if len(self.received) < 1 << 20:
                        self.received += piece
                sock.sendall(piece)
            sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self._thread.join(5)


def read_to_end(sock: socket.socket, timeout: float = WAIT, limit: int = 1 << 20) -> tuple[bytes, str]:
    """All that comes, and how it ended: "fin", "rst" or "silence" (nothing ended it in time)."""
    out = bytearray()
    deadline = time.monotonic() + timeout
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    while len(out) < limit:
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            return bytes(out), "silence"
        try:
            piece = sock.recv(1 << 16)
        except ConnectionResetError:
            return bytes(out), "rst"
        if not piece:
            return bytes(out), "fin"
        out += piece
    return bytes(out), "limit"


class Player:
    """Accepts one connection, says what it was given, and keeps what comes."""

    def __init__(self, listener: socket.socket, says: bytes):
        self.listener, self.says, self.received = listener, says, b""
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            sock, _ = self.listener.accept()
            with sock:
                sock.sendall(self.says)
                self.received = read_to_end(sock)[0]

    def join(self) -> None:
        self._thread.join(WAIT)

    def __enter__(self) -> "Player":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.join()
