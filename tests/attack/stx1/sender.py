"""The client, who sends files. spec: stx.md 3.4 and 3.5; every step may also be taken alone, and wrongly."""

import contextlib
import socket
from dataclasses import dataclass, field

import stcp1
from stcp1.primitives import KeyPair

from .frames import (ACK, CLOSE, DONE, DROP, END, KEEPALIVE, META, META_OK, NAK, RESUME, RESUME_OK, SELECT, ZERO,
                     Malformed, Message)
from .handshake import AUTH, HELLO, KEYS, ClientHandshake, psk_from_stcp
from .items import Item
from .primitives import leaf, run_log2_of, run_roots
from .wire import TIMEOUT, Truncated, Wire, read_exactly


class Closed(Exception):
    """The server has sent CLOSE with this code."""

    def __init__(self, code: int):
        super().__init__(f"CLOSE{{{code}}}")
        self.code = code


@dataclass
class Result:
    code: int = -1
    have: int = 0
    start: int = 0
    sent: list[int] = field(default_factory=list)  # blocks, in order of sending, resends included
    left_out: list[tuple[int, int]] = field(default_factory=list)
    naks: int = 0


class Client(Wire):
    """A session. `received`, `durable`: the newest ACK."""

    def __init__(self, sock: socket.socket, hs: ClientHandshake):
        super().__init__(sock, hs.keys["K_c"], hs.keys["K_s"])
        self.hs = hs
        self.received = self.durable = 0
        self.next_item = 0
        self.frames: dict[int, tuple[int, int]] = {}  # ctr of data frames: (item, block)
        self.inbox: list[Message] = []
        self.selected: int | None = None

    @classmethod
    def connect(cls, address, psk: bytes | None = None, *, source: str | None = None, sock=None,
                timeout: float = TIMEOUT, stcp_mode: int | None = None, static: KeyPair | None = None,
                stcp: dict | None = None, **handshake) -> "Client":
        """Dials (or takes `sock`) and shakes hands. With stcp_mode the STCP form; `psk` is then mode 5's."""
        own = sock is None
        if sock is None:
            sock = socket.create_connection(address, timeout, (source, 0) if source else None)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(timeout)
        try:
            if stcp_mode is not None:
                peer = stcp1.connect(None, stcp_mode, sock=sock, static=static, timeout=timeout,
                                     psk=psk if stcp_mode == stcp1.PSK else None, **(stcp or {}))
                psk = psk_from_stcp(peer.session.exp)
            hs = ClientHandshake(psk, **handshake)
            sock.sendall(hs.hello(read_exactly(sock, HELLO)))
            sock.sendall(hs.auth(read_exactly(sock, AUTH)))
            hs.confirm(read_exactly(sock, KEYS))
            client = cls(sock, hs)
            client.stcp_peer = peer if stcp_mode is not None else None
            return client
        except BaseException:
            if own:
                sock.close()
            raise

    # -- one step each --
    def announce(self, item: Item, raw: bytes | None = None) -> Item:
        """META; gives the item its number."""
        if item.number is None:
            item.number = self.next_item
        self.next_item = item.number + 1
        self.send(META, raw=item.meta() if raw is None else raw)
        return item

    def select(self, number: int) -> None:
        self.send(SELECT, number)
        self.selected = number

    def block(self, number: int, seq: int, data: bytes, **wrong) -> int:
        """A data frame; its number. SELECTs first if need be."""
        if self.selected != number:
            self.select(number)
        ctr = self.out.ctr
        self.frames[ctr] = (number, seq)
        self.send_raw(self.out.seal(seq, data, number, **wrong))
        return ctr

    def zero(self, number: int, first: int, count: int) -> None:
        self.send(ZERO, number, first, count)

    def end_item(self, item: Item, *, blocks: int | None = None, size: int | None = None,
                 root: bytes | None = None) -> None:
        data = item.blocks
        self.send(END, item.number, len(data) if blocks is None else blocks,
                  sum(map(len, data)) if size is None else size, item.root() if root is None else root)

    def resume(self, item: Item, have: int, **wrong) -> None:
        log2 = run_log2_of(have)
        self.send(RESUME, item.number, wrong.get("run_log2", log2),
                  wrong.get("roots", run_roots([leaf(b) for b in item.blocks[:have]], log2)))

    def drop(self, number: int, code: int = 12) -> None:
        self.send(DROP, number, code)

    def keepalive(self) -> None:
        self.send(KEEPALIVE)

    # -- what comes --
    def next(self, *kinds: int) -> Message:
        """The next message of one of these kinds; ACKs are noted, others are kept for later."""
        for i, message in enumerate(self.inbox):
            if message.kind in kinds:
                return self.inbox.pop(i)
        while True:
            message = self.read()
            if message.kind == ACK:
                received, durable = message.fields
                if received < self.received or durable < self.durable or durable > received or received > self.out.ctr:
                    raise Malformed(f"{message} after {self.received}, {self.durable}; sent {self.out.ctr}")
                self.received, self.durable = received, durable
            if message.kind in kinds:
                return message
            if message.kind == CLOSE:
                raise Closed(message.fields[0])
            if message.kind not in (ACK, KEEPALIVE):
                self.inbox.append(message)

    def handle_naks(self, item: Item, result: Result) -> None:
        for message in [m for m in self.inbox if m.kind == NAK]:
            self.inbox.remove(message)
            result.naks += 1
            number, seq = self.frames[message.fields[0]]
            assert number == item.number
            self.block(number, seq, item.blocks[seq])
            result.sent.append(seq)

    def send_item(self, item: Item, *, damage: set[int] = frozenset(), stop_after: int | None = None) -> Result:
        """The course of one item, honestly. `damage`: blocks whose first frame has a wrong CRC. `stop_after`: blocks
        to send, after which it returns with code -1 once they are acknowledged as durable."""
        result = Result()
        self.announce(item)
        _, code, result.have = self.next(META_OK).fields
        if code:
            result.code = code
            return result
        if result.have:
            self.resume(item, result.have)
            message = self.next(RESUME_OK, DONE)
            if message.kind == DONE:
                _, result.code, result.left_out = message.fields
                return result
            result.start = message.fields[1]
        blocks = item.blocks
        last = len(blocks) if stop_after is None else min(len(blocks), result.start + stop_after)
        over = None
        for seq in range(result.start, last):
            self.block(item.number, seq, blocks[seq], damage_crc=seq in damage)
            result.sent.append(seq)
            while self.has_input() and over is None:
                message = self.next(ACK, NAK, DONE)
                if message.kind == NAK:
                    self.inbox.append(message)
                    self.handle_naks(item, result)
                over = message if message.kind == DONE else None
            if over:
                break
        while result.sent and over is None and (self.received if stop_after is None else self.durable) < self.out.ctr:
            message = self.next(ACK, NAK, DONE)
            if message.kind == NAK:
                self.inbox.append(message)
                self.handle_naks(item, result)
            over = message if message.kind == DONE else None
        if stop_after is not None and over is None:
            return result
        if over is None:
            self.end_item(item)
            over = self.next(DONE)
        _, result.code, result.left_out = over.fields
        return result

    def finish(self, code: int = 0) -> int:
        """CLOSE both ways; the server's code."""
        self.send(CLOSE, code)
        while self.got_close is None:
            self.next(CLOSE)
        with contextlib.suppress(Truncated):
            self.read()
            raise Malformed("a frame after CLOSE")
        return self.got_close

    def fate(self) -> str:
        """How the server ends it: "CLOSE{n}" or "silent"; then the connection is over."""
        while self.got_close is None:
            try:
                self.read()
            except Truncated:
                return "silent"
        with contextlib.suppress(Truncated):
            message = self.read()
            raise Malformed(f"{message} after CLOSE")
        return f"CLOSE{{{self.got_close}}}"
