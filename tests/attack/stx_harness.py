"""What the STX attack tests share. A test starts real receivers with self.receive(); when it has ended, tearDown proves
of each that it still runs, that an honest client of the second implementation and the real `stx-send` are served, that
nothing outside of its directory has changed, that its memory stayed within bounds and that no sanitizer spoke.
"""

import contextlib
import hashlib
import itertools
import json
import os
import random
import socket
import stat
import subprocess
import sys
import unittest
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

import sealine_test as st  # noqa: E402
import stcp1  # noqa: E402
import stx1  # noqa: E402
from badwire import RESET, Badwire, Mangler  # noqa: E402,F401
from stcp1 import ANON, MUTUAL, PSK, TOFU, KeyPair, Truncated  # noqa: E402,F401
from stx1 import Client, Entry, Item  # noqa: E402,F401

STX_SEND, STX_RECV = st.binaries() / "stx-send", st.binaries() / "stx-recv"
KEY = bytes(range(100, 132))
BLOCK = 1 << 14
MIB = 1 << 20
# Of a file up to 1 MiB a receiver keeps no part, as of a pack: what is to be interrupted has more blocks than this.
PACK_BLOCKS = MIB // BLOCK
# Of a whole receiver, whatever its senders do: windows, packs and META of some sessions at once.
MEMORY_BUDGET = 192 * MIB
_numbers = itertools.count()


def content(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def tree_of(root: Path) -> dict[str, tuple]:
    """What stands below: name -> (kind, mode, mtime, bytes or target); of larger files the hash of the bytes. The
    receiver's own files are left out."""
    out = {}
    for directory, directories, files in os.walk(os.fsencode(root)):
        for name in directories + files:
            path = os.path.join(directory, name)
            if name.startswith(b".stx-") or name.endswith(b".stxpart"):
                continue
            info = os.lstat(path)
            mode = stat.S_IMODE(info.st_mode)
            key = os.fsdecode(os.path.relpath(path, os.fsencode(root)))
            if stat.S_ISLNK(info.st_mode):
                out[key] = ("link", os.readlink(path))
            elif stat.S_ISDIR(info.st_mode):
                out[key] = ("directory", mode, info.st_mtime_ns)
            elif stat.S_ISREG(info.st_mode):
                with open(path, "rb") as file:
                    data = file.read(4096)
                    if info.st_size > len(data):
                        file.seek(0)
                        data = hashlib.file_digest(file, "sha256").digest() + info.st_size.to_bytes(8, "big")
                out[key] = ("file", mode, info.st_mtime_ns, data)
            else:
                out[key] = ("other", mode)
    return out


class StxCase(unittest.TestCase):
    longMessage = True
    maxDiff = 2000

    @classmethod
    def setUpClass(cls) -> None:
        st.require_binary()
        if not STX_RECV.exists():
            raise unittest.SkipTest(f"no {STX_RECV}")

    def setUp(self) -> None:
        self.place = st.temporary_directory(self)
        self.receivers: list[Receiving] = []

    def tearDown(self) -> None:
        for receiver in self.receivers:
            receiver.prove_sound()

    def key_file(self, key: bytes = KEY) -> Path:
        path = self.place / f"key-{key[:8].hex()}-{sum(key)}"
        if not path.exists():
            path.touch(0o600)
            path.write_text(stcp1.format_key("sls1", key) + "\n")
        return path

    def file(self, name: str, data: bytes, mtime: int | None = None) -> Path:
        path = self.place / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if mtime is not None:
            os.utime(path, ns=(mtime, mtime))
        return path

    def receive(self, *options, key: bytes | None = KEY, **rest) -> "Receiving":
        """A real receiver: the key form as `stx-recv`, with key None the STCP form as `sealine recv`."""
        receiver = Receiving(self, options, key, **rest)
        self.receivers.append(receiver)
        return receiver

    def send(self, *paths, to: str, key: bytes | None = KEY, options=(), state: str = "sender", stdin="null",
             **rest) -> st.Program:
        """A real `sealine send`."""
        argv = ["send", *(["--key", self.key_file(key)] if key else []), *options, *paths, to]
        program = st.sealine(*argv, state=self.place / state, stdin=stdin, **rest)
        self.addCleanup(program.kill)
        return program

    def run_send(self, *paths, timeout: float = st.WAIT, **rest) -> tuple[int, str]:
        program = self.send(*paths, **rest)
        code = program.wait(timeout)
        program.assert_sound()
        return code, program.stderr


class Receiving:
    """A real receiver under attack. Its directory stands inside of a guarded one."""

    def __init__(self, case: StxCase, options, key: bytes | None, name: str = "", memory_budget: int = MEMORY_BUDGET,
                 wrap=(), honest: bool = True, root: Path | None = None):
        self.case, self.key, self.options = case, key, options
        self.name = name or f"receiver-{len(case.receivers)}"
        self.guard = case.place / self.name
        self.root = root or self.guard / "in"
        if not self.root.exists():
            self.root.mkdir(parents=True)
        self.guard.mkdir(exist_ok=True)
        (self.guard / "precious").write_bytes(b"not yours")
        (self.guard / "etc").mkdir(exist_ok=True)
        (self.guard / "etc" / "passwd").write_bytes(b"root")
        self.memory_budget = memory_budget * (8 if st.is_sanitized() else 1)
        self.wrap, self.honest = wrap, honest
        self.static = KeyPair()
        self.is_gone = False
        self.start()
        self.outside_before = self.outside()

    def start(self) -> None:
        if self.key:
            argv = [STX_RECV, "--listen", "127.0.0.1:0", "--out", self.root, "--key", self.case.key_file(self.key)]
        else:
            argv = [st.SEALINE, "recv", "-l", "127.0.0.1:0", self.root]
        extra = {"ASAN_OPTIONS": "quarantine_size_mb=4:detect_leaks=1"}
        self.program = st.Program([*self.wrap, *argv, *self.options],
                                  env=st.environment(self.case.place / f"state-{self.name}", **extra))
        self.case.addCleanup(self.program.kill)
        if "--json" in self.options:
            st.wait_until(lambda: b"\n" in self.program.output, what="the first event")
            self.port = int(json.loads(bytes(self.program.output).split(b"\n")[0])["address"].rsplit(":", 1)[1])
        else:
            self.port = int(self.program.wait_line(r"listening on 127\.0\.0\.1:(\d+)").group(1))
        self.address = ("127.0.0.1", self.port)
        self.own_name = f"127.0.0.1:{self.port}"

    # -- the attacker's end --
    def dial(self, timeout: float = st.WAIT) -> socket.socket:
        sock = socket.create_connection(self.address, timeout, (st.fresh_source(), 0))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def connect(self, **rest) -> Client:
        """A session of the second implementation, from an address of its own."""
        rest.setdefault("source", st.fresh_source())
        rest.setdefault("timeout", st.WAIT)
        if self.key is None:
            rest.setdefault("stcp_mode", MUTUAL)
            rest.setdefault("static", self.static)
        return Client.connect(self.address, rest.pop("psk", self.key), **rest)

    def give(self, *items: Item, **rest) -> list[stx1.Result]:
        """Sends items honestly, in a session of their own."""
        with self.connect(**rest) as client:
            out = [client.send_item(item) for item in items]
            self.case.assertEqual(client.finish(), 0)
            return out

    # -- what must hold --
    def outside(self) -> dict:
        inside = self.root.relative_to(self.guard) if self.root.is_relative_to(self.guard) else None
        return {k: v[:2] + v[3:] for k, v in tree_of(self.guard).items()
                if inside is None or (k != str(inside) and not k.startswith(f"{inside}/"))}

    def read(self, name: str | bytes) -> bytes:
        with open(os.path.join(os.fsencode(self.root), os.fsencode(name)), "rb") as file:
            return file.read()

    def names(self) -> set[str]:
        return set(tree_of(self.root))

    def parts(self) -> list[str]:
        return sorted(p.name for p in self.root.rglob("*") if p.name.endswith(".stxpart") or
                      (p.name.startswith(".stx-") and not p.name.startswith(".stx-ledger")))

    def be_honest(self) -> None:
        number = next(_numbers)
        data = content(3 * BLOCK + 5, number)
        name = b"honest-%d" % number
        result = self.give(Item([Entry(name, data)]))[0]
        self.case.assertEqual(result.code, 0, self.program.stderr)
        self.case.assertEqual(self.read(name), data)

    def be_honest_for_real(self) -> None:
        number = next(_numbers)
        data = content(300_000, number)
        path = self.case.file(f"really-{number}", data)
        code, err = self.case.run_send(path, to=self.own_name, key=self.key, state=f"honest-{self.name}")
        self.case.assertEqual(code, 0, f"honest `sealine send`: {err}\n{self.program.stderr}")
        self.case.assertEqual(self.read(path.name), data)

    def peak(self) -> int:
        return self.program.memory_bytes("VmHWM")

    def prove_sound(self) -> None:
        if self.is_gone:
            return
        self.program.assert_sound()
        self.case.assertTrue(self.program.is_running(), f"the receiver has ended: {self.program.stderr}")
        if self.honest:
            self.be_honest()
            self.be_honest_for_real()
        self.case.assertEqual(self.outside(), self.outside_before, "something outside of the root has changed")
        self.case.assertLess(self.peak(), self.memory_budget, "memory of the receiver")
        self.case.assertEqual(self.program.terminate(), 0, f"drained receiver: {self.program.stderr}")
        self.program.assert_sound()
        self.is_gone = True


# --- manglers that know frames ----------------------------------------------------------------------------------------

HANDSHAKE = {"c2s": (56 + 32, 68), "s2c": (56, 32, 68)}


class Frames(Mangler):
    """Hands whole frames, counted from 0, to `edit(index, frame)`, which returns the list of what leaves in its place.
    Handshake messages pass. Of the key form."""

    def __init__(self, direction: str, edit):
        self.sizes, self.edit = list(HANDSHAKE[direction]), edit
        self.buffer, self.index = bytearray(), 0

    def feed(self, data: bytes) -> list:
        self.buffer += data
        out = []
        while True:
            if self.sizes:
                if len(self.buffer) < self.sizes[0]:
                    return out
                size = self.sizes.pop(0)
                out.append(bytes(self.buffer[:size]))
            else:
                if len(self.buffer) < 8:
                    return out
                size = 8 + int.from_bytes(self.buffer[4:8], "big") + 20
                if len(self.buffer) < size:
                    return out
                out += self.edit(self.index, bytes(self.buffer[:size]))
                self.index += 1
            del self.buffer[:size]

    def end(self) -> list:
        return [bytes(self.buffer), *super().end()]


class First:
    """A mangler for the first `count` connections, after which the wire is good."""

    def __init__(self, make, count: int = 1):
        self.make, self.left = make, count

    def __call__(self, rng: random.Random) -> Mangler:
        if self.left <= 0:
            return Mangler()
        self.left -= 1
        return self.make(rng)


class After(Mangler):
    """Passes everything; calls `action` once when that many bytes have passed."""

    def __init__(self, size: int, action):
        self.left, self.action = size, action

    def feed(self, data: bytes) -> list:
        self.left -= len(data)
        if self.left <= 0 and self.action:
            action, self.action = self.action, None
            action()
        return [data]


class CutEvery(Mangler):
    """Ends each connection by RST after `size` bytes."""

    def __init__(self, size: int):
        self.left = size

    def feed(self, data: bytes) -> list:
        data, self.left = data[:max(0, self.left)], self.left - len(data)
        return [data] if self.left > 0 else [data, RESET]


def recrc(frame: bytes) -> bytes:
    """The CRC made right again: what an attacker does and a line does not."""
    return frame[:-4] + zlib.crc32(frame[:-4]).to_bytes(4, "big")


def total_sent(wire: Badwire, direction: str = "c2s") -> int:
    return sum(link.sizes[direction] for link in wire.links)


def say(text: str) -> None:
    """A measured figure, for people; never a criterion."""
    print(f"  {text}", flush=True)


def run(*argv, check: bool = True) -> int:
    """A tool of the system."""
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True)
    if check and done.returncode:
        raise AssertionError(f"{argv}: {done.stderr}")
    return done.returncode


@contextlib.contextmanager
def tmpfs(path: Path, options: str):
    """A file system of its own; needs root."""
    path.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0 or run("mount", "-t", "tmpfs", "-o", options, "tmpfs", path, check=False):
        raise unittest.SkipTest("mounting needs root")
    try:
        yield path
    finally:
        run("umount", "-l", path, check=False)


main = st.main
