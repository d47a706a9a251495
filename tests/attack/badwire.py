"""badwire: a TCP proxy that is as bad as a wire can be, and as malicious as who holds it wants.

    with Badwire(("127.0.0.1", port), c2s=lambda rng: FlipBit(1234)) as wire:
        ... connect to wire.address ...
        wire.links[0].wait()      # both directions done
        wire.links[0].c2s         # what was recorded (bytes as they came in)

For each connection and direction a mangler is made; it sees the bytes in order and says what leaves. Seeded: the same
seed and the same bytes in give the same bytes out, however the kernel cuts them (Chop and Delay change timing alone).
"""

import contextlib
import random
import socket
import threading

END, RESET, STALL = object(), object(), object()  # what a mangler may put among the bytes


class Mangler:
    """Passes everything."""

    def feed(self, data: bytes) -> list:
        return [data]

    def end(self) -> list:
        """The stream has ended; what was held back may leave now."""
        return [END]


class FlipBit(Mangler):
    """Inverts bit `bit` of byte `offset`."""

    def __init__(self, offset: int, bit: int = 0):
        self.offset, self.bit, self.at = offset, bit, 0
        self.done = False

    def feed(self, data: bytes) -> list:
        where = self.offset - self.at
        self.at += len(data)
        if 0 <= where < len(data):
            data = data[:where] + bytes([data[where] ^ (1 << self.bit)]) + data[where + 1:]
            self.done = True
        return [data]


class Replace(Mangler):
    """Puts `new` over the bytes at `offset`."""

    def __init__(self, offset: int, new: bytes):
        self.offset, self.new, self.at = offset, new, 0

    def feed(self, data: bytes) -> list:
        out = bytearray(data)
        for i, value in enumerate(self.new):
            where = self.offset + i - self.at
            if 0 <= where < len(out):
                out[where] = value
        self.at += len(data)
        return [bytes(out)]


class Cut(Mangler):
    """Passes `size` bytes, then ends: END (half-close of this direction), RESET (both, at once) or STALL (nothing
    comes any more and nothing ends)."""

    def __init__(self, size: int, how=END):
        self.left, self.how = size, how

    def feed(self, data: bytes) -> list:
        if self.left < 0:
            return []
        if len(data) < self.left:
            self.left -= len(data)
            return [data]
        data, self.left = data[:self.left], -1
        return [data, self.how]

    def end(self) -> list:
        return [END] if self.how is not STALL or self.left >= 0 else []


class Records(Mangler):
    """Hands whole records (handshake messages are record 0, 1, ...) to `edit(index, record)`, which returns the list of
    what leaves in their place."""

    def __init__(self, edit):
        self.edit, self.buffer, self.index = edit, bytearray(), 0

    def feed(self, data: bytes) -> list:
        self.buffer += data
        out = []
        while len(self.buffer) >= 24:
            size = 24 + int.from_bytes(self.buffer[:8], "big")
            if len(self.buffer) < size:
                break
            record = bytes(self.buffer[:size])
            del self.buffer[:size]
            out += self.edit(self.index, record)
            self.index += 1
        return out

    def end(self) -> list:
        return [bytes(self.buffer), END]


def drop(which: int) -> Records:
    return Records(lambda i, record: [] if i == which else [record])


def repeat(which: int) -> Records:
    return Records(lambda i, record: [record, record] if i == which else [record])


def swap(which: int) -> Records:
    """Records `which` and `which` + 1 change places."""
    held = []

    def edit(i: int, record: bytes) -> list:
        if i == which:
            held.append(record)
            return []
        return [record, held.pop()] if i == which + 1 else [record]

    return Records(edit)


class Chop(Mangler):
    """Cuts what comes into pieces of 1 to `largest` bytes, each written by itself; sometimes joins two."""

    def __init__(self, rng: random.Random, largest: int = 1500):
        self.rng, self.largest, self.held = rng, largest, b""

    def feed(self, data: bytes) -> list:
        data, self.held = self.held + data, b""
        out = []
        while data:
            size = self.rng.randint(1, self.largest)
            out.append(data[:size])
            data = data[size:]
        return out


class Delay(Mangler):
    """Lets each piece wait up to `longest` seconds."""

    def __init__(self, rng: random.Random, longest: float = 0.02):
        self.rng, self.longest, self.pause = rng, longest, threading.Event()

    def feed(self, data: bytes) -> list:
        self.pause.wait(self.rng.random() * self.longest)
        return [data]


class Link:
    """One connection through the proxy."""

    def __init__(self, client: socket.socket, server: socket.socket, keep: bool, sinks: tuple):
        self.client, self.server = client, server
        self.c2s, self.s2c = bytearray(), bytearray()  # as they came in, when kept
        self.sizes = {"c2s": 0, "s2c": 0}
        self.keep, self.sinks = keep, sinks
        self.reset_seen = False
        self._done = threading.Event()
        self._left = 2
        self._lock = threading.Lock()

    def wait(self, timeout: float = 60.0) -> bool:
        return self._done.wait(timeout)

    def _pump(self, source: socket.socket, target: socket.socket, name: str, mangler: Mangler) -> None:
        sink = self.sinks[0 if name == "c2s" else 1]
        kept = self.c2s if name == "c2s" else self.s2c
        ended = False
        try:
            while True:
                try:
                    data = source.recv(1 << 18)
                except OSError:
                    self.reset_seen = True
                    data = b""
                if data:
                    self.sizes[name] += len(data)
                    if sink is not None:
                        sink.write(data)
                    if self.keep:
                        kept += data
                for piece in mangler.feed(data) if data else mangler.end():
                    if ended:
                        continue
                    if piece is STALL:
                        ended = True
                    elif piece is END:
                        ended = True
                        with contextlib.suppress(OSError):
                            target.shutdown(socket.SHUT_WR)
                    elif piece is RESET:
                        self.cut()
                        return
                    elif piece:
                        target.sendall(piece)
                if not data:
                    return
        except OSError:
            self.cut()
        finally:
            self._finished()

    def cut(self) -> None:
        """RST to both sides."""
        for sock in (self.client, self.server):
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                sock.shutdown(socket.SHUT_RD)  # wakes the other pump
        for sock in (self.client, self.server):
            with contextlib.suppress(OSError):
                sock.close()

    def _finished(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left:
                return
        for sock in (self.client, self.server):
            with contextlib.suppress(OSError):
                sock.close()
        self._done.set()


class Badwire:
    """The proxy. `c2s` and `s2c` make a mangler from a random generator, for each connection anew."""

    def __init__(self, target: tuple, *, c2s=None, s2c=None, seed: int = 1, keep: bool = True, sinks=(None, None),
                 source=None):
        self.target, self.keep, self.sinks, self.source = target, keep, sinks, source
        self.make = {"c2s": c2s or (lambda rng: Mangler()), "s2c": s2c or (lambda rng: Mangler())}
        self.rng = random.Random(seed)
        self.links: list[Link] = []
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.address = self.socket.getsockname()
        self.name = f"127.0.0.1:{self.address[1]}"
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> "Badwire":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def link(self, index: int = 0, timeout: float = 60.0) -> Link:
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.links) > index, timeout):
                raise AssertionError("nobody has connected")
            return self.links[index]

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            try:
                source = (self.source() if callable(self.source) else self.source, 0) if self.source else None
                server = socket.create_connection(self.target, 20, source)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = Link(client, server, self.keep, self.sinks)
            manglers = [self.make[d](random.Random(self.rng.random())) for d in ("c2s", "s2c")]
            for args in ((client, server, "c2s", manglers[0]), (server, client, "s2c", manglers[1])):
                threading.Thread(target=link._pump, args=args, daemon=True).start()
            with self._changed:
                self.links.append(link)
                self._changed.notify_all()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self._thread.join(5)
        for link in self.links:
            if not link._done.is_set():
                link.cut()
