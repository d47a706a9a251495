"""The server, who receives files into memory. spec: stx.md 3.4 and 3.5.

A test makes it lie by `twist(server, kind, fields)`: called with each message before it is sent, it returns the list of
(kind, fields) that are sent instead. `on_frame(server, message)` sees each that comes, and may send at will.
"""

import contextlib
import socket
import threading
from dataclasses import dataclass, field

import stcp1
from stcp1.primitives import KeyPair

from .frames import (ACK, CLOSE, DONE, DROP, END, KEEPALIVE, META, META_OK, NAK, RESUME, RESUME_OK, SELECT, ZERO,
                     LineDamage, Malformed, Message, Tampered)
from .handshake import AUTH, HELLO, KEYS, HandshakeFault, ServerHandshake, psk_from_stcp
from .primitives import HAS_ZSTD, leaf, root, run_roots, zstd_decompress
from .wire import TIMEOUT, Truncated, Wire, read_exactly

UNKNOWN_SIZE = 2


@dataclass
class Part:
    """An item on its way: what of it is there."""
    entries: list
    log2: int
    flags: int
    number: int = 0
    blocks: dict[int, bytes] = field(default_factory=dict)
    have: int = 0
    over: bool = False
    old: dict[int, bytes] = field(default_factory=dict)

    @property
    def key(self) -> tuple:
        return tuple(e[4] for e in self.entries), self.log2

    @property
    def size(self) -> int | None:
        return None if self.flags & UNKNOWN_SIZE else sum(e[3] for e in self.entries)

    def length(self, seq: int) -> int:
        step = 1 << self.log2
        return step if self.size is None else min(step, self.size - seq * step)

    @property
    def count(self) -> int | None:
        return None if self.size is None else -(-self.size >> self.log2)

    def leading(self) -> int:
        n = 0
        while n in self.blocks:
            n += 1
        return n


class Store:
    """What outlives a connection: finished files by name, (kind, mode, mtime, content), and parts."""

    def __init__(self):
        self.files: dict[bytes, tuple] = {}
        self.parts: dict[tuple, Part] = {}
        self.finished: dict[tuple, Part] = {}


class Server(Wire):
    def __init__(self, sock: socket.socket, hs: ServerHandshake, store: Store, twist=None, on_frame=None):
        super().__init__(sock, hs.keys["K_s"], hs.keys["K_c"])
        self.hs, self.store = hs, store
        self.twist, self.on_frame = twist, on_frame
        self.items: dict[int, Part] = {}
        self.selected: int | None = None
        self.next_item = 0
        self.received = self.durable = self.acked = 0
        self.seen: list[Message] = []  # kinds and fields of all that came, without the blocks' bytes
        self.damaged = 0
        self.bytes_in = 0

    @classmethod
    def accept(cls, sock: socket.socket, psks: list[bytes] | None = None, *, stcp_mode: int | None = None,
               static: KeyPair | None = None, store: Store | None = None, twist=None, on_frame=None,
               timeout: float = TIMEOUT, **handshake) -> "Server":
        sock.settimeout(timeout)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = None
        if stcp_mode is not None:
            peer = stcp1.serve_one(sock, stcp_mode, static=static, timeout=timeout,
                                   psk=psks[0] if stcp_mode == stcp1.PSK else None)
            psks = [psk_from_stcp(peer.session.exp)]
        handshake.setdefault("caps", 1 if HAS_ZSTD else 0)
        hs = ServerHandshake(psks, **handshake)
        sock.sendall(hs.hello())
        hello = read_exactly(sock, HELLO + AUTH)
        sock.sendall(hs.client(hello[:HELLO], hello[HELLO:]))
        sock.sendall(hs.keys_of(read_exactly(sock, KEYS)))
        server = cls(sock, hs, store or Store(), twist, on_frame)
        server.stcp_peer = peer
        return server

    def say(self, kind: int, *fields) -> None:
        for k, f in self.twist(self, kind, fields) if self.twist else [(kind, fields)]:
            self.send(k, *f)

    # -- the course --
    def run(self) -> str:
        """To the end: "clean", "CLOSE{n}" (the client's), "truncated", "tampered"."""
        try:
            while True:
                if self.received > self.acked and not self.has_input():
                    self.acknowledge()
                frame = self.read_frame()
                self.bytes_in += len(frame)
                self.received += 1
                try:
                    self.incoming.item = self.selected
                    message = self.incoming.open(frame)
                except LineDamage as damage:
                    self.damaged += 1
                    self.say(NAK, damage.args[0])
                    continue
                self.seen.append(Message(message.kind, message.fields[:1] if not message.kind else message.fields,
                                         message.ctr))
                if self.on_frame:
                    self.on_frame(self, message)
                if message.kind == CLOSE:
                    if message.fields[0] == 0:
                        self.say(CLOSE, 0)
                        return "clean"
                    return f"CLOSE{{{message.fields[0]}}}"
                self.handle(message)
                if self.received - self.acked >= 32:
                    self.acknowledge()
        except (Truncated, BrokenPipeError, ConnectionResetError):
            return "truncated"
        except Tampered:
            return "tampered"

    def acknowledge(self) -> None:
        if not any(len(p.entries) > 1 and not p.over for p in self.items.values()):
            self.durable = self.received
        self.acked = self.received
        self.say(ACK, self.received, self.durable)

    def handle(self, message: Message) -> None:
        kind, fields = message.kind, message.fields
        if kind == META:
            self.meta(*fields)
        elif kind == SELECT:
            if fields[0] not in self.items:
                raise Malformed("SELECT of no item")
            self.selected = fields[0]
        elif kind == 0:
            self.block(*fields)
        elif kind == ZERO:
            number, first, count = fields
            part = self.items.get(number)
            if part is None or not count or first + count > (part.count or 0):
                raise Malformed("ZERO")
            self.store.parts[part.key] = part
            for seq in range(first, first + count):
                part.blocks.setdefault(seq, bytes(part.length(seq)))
        elif kind == RESUME:
            self.resume(*fields)
        elif kind == END:
            self.end(*fields)
        elif kind == DROP:
            if fields[0] not in self.items:
                raise Malformed("DROP of no item")
            self.items[fields[0]].over = True
        elif kind != KEEPALIVE:
            raise Malformed(str(message))

    def meta(self, number: int, log2: int, flags: int, entries: list) -> None:
        if number != self.next_item or not 14 <= log2 <= self.hs.max_block_log2 or flags > 3 or not entries:
            raise Malformed("META")
        if len(entries) > 1 and (len(entries) > 4096 or sum(e[3] for e in entries) > 1 << 20):
            raise Malformed("pack")
        for what, mode, _, size, name in entries:
            if what > 2 or mode > 0o777 or (what == 1 and size) or (what == 2 and not 1 <= size <= 4095) or not name:
                raise Malformed("entry")
        self.next_item += 1
        part = Part(entries, log2, flags, number)
        done = self.store.finished.get(part.key)
        kept = self.store.parts.get(part.key)
        if done and [e[1:4] for e in done.entries] == [e[1:4] for e in entries] or kept is None:
            kept = done
        if kept is not None:
            part.old = kept.blocks
            part.have = min(kept.leading(), part.count if part.count is not None else 1 << 32)
        self.items[number] = part
        self.say(META_OK, number, 0, part.have)

    def resume(self, number: int, log2: int, roots: list[bytes]) -> None:
        part = self.items.get(number)
        if part is None or not part.have or part.blocks:
            raise Malformed("RESUME")
        mine = run_roots([leaf(part.old[i]) for i in range(part.have)], log2)
        if len(roots) != len(mine):
            raise Malformed("roots")
        equal = 0
        while equal < len(mine) and mine[equal] == roots[equal]:
            equal += 1
        start = min(equal << log2, part.have)
        part.blocks = {i: part.old[i] for i in range(start)}
        self.store.parts[part.key] = part
        self.say(RESUME_OK, number, start)

    def block(self, seq: int, data: bytes) -> None:
        part = self.items.get(self.selected)
        if part is None or (part.count is not None and seq >= part.count):
            raise Malformed(f"block {seq}")
        if part.over:
            return
        want = part.length(seq)
        if part.size is None:
            want = len(data)
        if len(data) > want:
            if seq != part.count - 1 or len(data) != 1 << part.log2 or any(data[want:]):
                raise Malformed("padding")
            data = data[:want]
        elif len(data) < want:
            data = zstd_decompress(data, want) if part.flags & 1 and self.hs.caps & 1 else None
            if data is None:
                raise Malformed("no zstd frame of the block's length")
        self.store.parts[part.key] = part
        part.blocks.setdefault(seq, data)

    def end(self, number: int, blocks: int, size: int, end_root: bytes) -> None:
        part = self.items.get(number)
        if part is None:
            raise Malformed("END of no item")
        if part.over:
            return
        part.over = True
        if part.leading() < blocks:
            raise Malformed("a block is missing at END")
        data = b"".join(part.blocks[i] for i in range(blocks))
        leaves = [leaf(part.blocks[i]) for i in range(blocks)]
        self.store.parts.pop(part.key, None)
        if root(leaves) != end_root or len(data) != size or part.size not in (None, size):
            self.say(DONE, number, 13, [])
            return
        at = 0
        for what, mode, mtime, length, name in part.entries:
            length = size if part.size is None else length
            self.store.files[name] = (what, mode, mtime, data[at:at + length])
            at += length
        self.store.finished[part.key] = part
        self.say(DONE, number, 0, [])


class Receiver:
    """Listens on a port and serves each connection in a thread, with one store."""

    def __init__(self, psk: bytes | None = None, **rest):
        self.psks, self.rest = [psk] if psk else None, rest
        self.store = Store()
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = self.socket.getsockname()
        self.port = self.address[1]
        self.servers: list[Server] = []
        self.ends: list[str] = []
        self.connections = 0
        self.errors: list[Exception] = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(self, *_) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self._thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            with self._changed:
                self.connections += 1
                self._changed.notify_all()
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        end = "handshake"
        try:
            with sock:
                server = Server.accept(sock, self.psks, store=self.store, **self.rest)
                with self._changed:
                    self.servers.append(server)
                end = server.run()
        except (HandshakeFault, stcp1.Fault, Truncated, OSError) as error:
            end = f"{end}: {error}"
        except Exception as error:  # kept for the test to see
            self.errors.append(error)
            end = f"error: {error!r}"
        finally:
            with self._changed:
                self.ends.append(end)
                self._changed.notify_all()

    def wait_ends(self, count: int, timeout: float = 60.0) -> list[str]:
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.ends) >= count, timeout):
                raise AssertionError(f"{self.ends} after {timeout:.0f} s, {self.connections} connections")
            return list(self.ends)
