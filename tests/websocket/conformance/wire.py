"""Frames of RFC 6455 as the runner writes and reads them: whatever is asked for, right or wrong."""

import os
import struct
from dataclasses import dataclass, field, replace

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


@dataclass(frozen=True)
class Frame:
    opcode: int
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0
    form: int | None = None  # 7, 16 or 64 bits of length instead of the shortest form
    told: int | None = None  # the length that the head tells instead of the payload's
    masked_wrongly: bool = False  # a client's frame without a mask, a server's with one

    def encode(self, by_client: bool) -> bytes:
        length = len(self.payload) if self.told is None else self.told
        form = self.form or (7 if length < 126 else 16 if length < 65536 else 64)
        masked = by_client != self.masked_wrongly
        head = bytes([self.fin << 7 | self.rsv << 4 | self.opcode])
        bit = masked << 7
        if form == 7:
            head += bytes([bit | length])
        elif form == 16:
            head += bytes([bit | 126]) + struct.pack(">H", length)
        else:
            head += bytes([bit | 127]) + struct.pack(">Q", length)
        if not masked:
            return head + self.payload
        mask = os.urandom(4)
        return head + mask + xor(self.payload, mask)

    def but(self, **changes) -> "Frame":
        return replace(self, **changes)


def xor(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    repeated = mask * (size // 4 + 1)
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated[:size], "big")).to_bytes(size, "big")


def as_bytes(payload: str | bytes) -> bytes:
    return payload.encode() if isinstance(payload, str) else payload


def text(payload: str | bytes = b"", **changes) -> Frame:
    return Frame(TEXT, as_bytes(payload), **changes)


def binary(payload: str | bytes = b"", **changes) -> Frame:
    return Frame(BINARY, as_bytes(payload), **changes)


def more(payload: str | bytes = b"", **changes) -> Frame:
    return Frame(CONTINUATION, as_bytes(payload), **changes)


def ping(payload: str | bytes = b"", **changes) -> Frame:
    return Frame(PING, as_bytes(payload), **changes)


def pong(payload: str | bytes = b"", **changes) -> Frame:
    return Frame(PONG, as_bytes(payload), **changes)


def close(code: int | None = None, reason: str | bytes = b"", **changes) -> Frame:
    payload = b"" if code is None else struct.pack(">H", code) + as_bytes(reason)
    return Frame(CLOSE, payload, **changes)


class NotTheRfc(Exception):
    """The peer wrote what no end may write."""


@dataclass
class Seen:
    """What the peer wrote: whole messages, pongs, the code of its Close (None: none in it)."""

    messages: list[tuple[int, bytes]] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    closed: bool = False
    code: int | None = None
    ended: bool = False

    def __str__(self) -> str:
        messages = [("text " if kind == TEXT else "binary ") + repr(body[:20]) + f"({len(body)})"
                    for kind, body in self.messages[:5]]
        return (f"{len(self.messages)} messages {messages}, pongs {[p[:10] for p in self.pongs[:5]]}, "
                f"{'Close ' + str(self.code) if self.closed else 'no Close'}, {'ended' if self.ended else 'not ended'}")


class Reader:
    """Reads what the peer writes, strictly."""

    def __init__(self, from_client: bool):
        self.from_client = from_client
        self.seen = Seen()
        self._buffer = bytearray()
        self._open: tuple[int, bytearray] | None = None

    def feed(self, data: bytes) -> None:
        self._buffer += data
        while self._take():
            pass

    def _take(self) -> bool:
        b = self._buffer
        if len(b) < 2:
            return False
        length, at = b[1] & 0x7F, 2
        if length >= 126:
            size = 2 if length == 126 else 8
            if len(b) < 2 + size:
                return False
            length, at = int.from_bytes(b[2:2 + size], "big"), 2 + size
            if length < (126 if size == 2 else 65536):
                raise NotTheRfc("a length that is not in its shortest form (5.2)")
        masked = b[1] >> 7
        if bool(masked) != self.from_client:
            raise NotTheRfc("a client masks, a server does not (5.1)")
        mask = b[at:at + 4] if masked else b""
        at += 4 * masked
        if len(b) < at + length:
            return False
        payload = bytes(b[at:at + length])
        self._frame(b[0], xor(payload, bytes(mask)) if masked else payload)
        del b[:at + length]
        return True

    def _frame(self, first: int, payload: bytes) -> None:
        fin, rsv, opcode = first >> 7, first >> 4 & 7, first & 15
        if self.seen.closed:
            raise NotTheRfc("a frame after Close (5.5.1)")
        if rsv:
            raise NotTheRfc("reserved bits without an extension (5.2)")
        if opcode >= 8 and (not fin or len(payload) > 125):
            raise NotTheRfc("a control frame in pieces, or of more than 125 bytes (5.5)")
        if opcode == CLOSE:
            if len(payload) == 1:
                raise NotTheRfc("a Close of one byte (5.5.1)")
            self.seen.closed = True
            self.seen.code = int.from_bytes(payload[:2], "big") if payload else None
            if self.seen.code in (1004, 1005, 1006, 1015):
                raise NotTheRfc(f"{self.seen.code} must not be sent (7.4.1)")
            payload[2:].decode()
        elif opcode == PONG:
            self.seen.pongs.append(payload)
        elif opcode in (TEXT, BINARY, CONTINUATION):
            self._data(opcode, payload, bool(fin))
        elif opcode != PING:
            raise NotTheRfc(f"opcode {opcode} is reserved (5.2)")

    def _data(self, opcode: int, payload: bytes, fin: bool) -> None:
        if (opcode == CONTINUATION) != (self._open is not None):
            raise NotTheRfc("fragments of two messages among each other (5.4)")
        if self._open is None:
            self._open = (opcode, bytearray())
        self._open[1].extend(payload)
        if fin:
            kind, whole = self._open
            if kind == TEXT:
                whole.decode()
            self.seen.messages.append((kind, bytes(whole)))
            self._open = None
