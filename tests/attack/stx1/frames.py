"""Frames and messages: bytes in, bytes out. spec: stx.md 3.1 and 3.2."""

import struct
import zlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag

from .primitives import xaes_open, xaes_seal

CONTROL = 0xFFFFFF00
HEAD, TAG, CRC = 8, 16, 4
MAX_CONTROL = 1 << 20
META, META_OK, ACK, NAK, RESUME, RESUME_OK, END, DONE, CLOSE, KEEPALIVE, SELECT, DROP, ZERO = range(1, 14)
NAMES = dict(enumerate("META META_OK ACK NAK RESUME RESUME_OK END DONE CLOSE KEEPALIVE SELECT DROP ZERO".split(), 1))
FROM_CLIENT = {META, RESUME, END, CLOSE, KEEPALIVE, SELECT, DROP, ZERO}
FROM_SERVER = {META_OK, ACK, NAK, RESUME_OK, DONE, CLOSE, KEEPALIVE}
_FIXED = {META_OK: ">IBI", ACK: ">QQ", NAK: ">Q", RESUME_OK: ">II", END: ">IIQ32s", CLOSE: ">B", KEEPALIVE: ">",
          SELECT: ">I", DROP: ">IB", ZERO: ">III"}


class LineDamage(Exception):
    """The CRC is wrong; `args[0]` is the number of the frame."""


class Tampered(Exception):
    """The CRC is right and the tag is not."""


class Malformed(Exception):
    """Authentic, and against the rules."""


@dataclass(frozen=True)
class Message:
    kind: int  # 0 for a data frame
    fields: tuple
    ctr: int  # the frame's number in its direction

    def __repr__(self) -> str:
        return f"{NAMES.get(self.kind, 'block')}{self.fields if self.kind else self.fields[:1]}"


def encode(kind: int, *fields) -> bytes:
    """META: item, block_log2, flags, entries as bytes; RESUME: item, run_log2, roots; DONE: item, code, pairs."""
    if kind == META:
        item, log2, flags, entries = fields
        return struct.pack(">IBBH", item, log2, flags, len(entries)) + b"".join(entries)
    if kind == RESUME:
        item, log2, roots = fields
        return struct.pack(">IBH", item, log2, len(roots)) + b"".join(roots)
    if kind == DONE:
        item, code, pairs = fields
        return struct.pack(">IBH", item, code, len(pairs)) + b"".join(struct.pack(">HB", *p) for p in pairs)
    return struct.pack(_FIXED[kind], *fields)


def decode(kind: int, data: bytes) -> tuple:
    """The fields, as encode() takes them; the entries of META as (kind, mode, mtime, size, name)."""
    try:
        if kind in _FIXED:
            return struct.unpack(_FIXED[kind], data)
        if kind == META:
            item, log2, flags, n = struct.unpack_from(">IBBH", data)
            at, entries = 8, []
            for _ in range(n):
                what, mode, mtime, size, length = struct.unpack_from(">BHqQH", data, at)
                at += 21 + length
                if at > len(data):
                    raise Malformed("entry cut short")
                entries.append((what, mode, mtime, size, data[at - length:at]))
            if at != len(data):
                raise Malformed("bytes left over")
            return item, log2, flags, entries
        item, second, n = struct.unpack_from(">IBH", data)
        unit = 32 if kind == RESUME else 3
        if len(data) != 7 + unit * n:
            raise Malformed("length of a list")
        pieces = [data[7 + unit * i:7 + unit * (i + 1)] for i in range(n)]
        return item, second, pieces if kind == RESUME else [struct.unpack(">HB", p) for p in pieces]
    except struct.error as error:
        raise Malformed(f"{NAMES[kind]} of {len(data)} bytes") from error


class Outgoing:
    """The frames of one direction, sealed."""

    def __init__(self, key: bytes, ctr: int = 0):
        self.key, self.ctr = key, ctr

    def seal(self, seq: int, plaintext: bytes, item: int | None = None, *, size: int | None = None,
             damage_crc: bool = False, damage_tag: bool = False, ctr: int | None = None) -> bytes:
        """One frame; `item` for data frames alone. The named ones make a wrong frame that still takes its number."""
        head = struct.pack(">II", seq, len(plaintext) if size is None else size)
        aad = head if item is None else head + item.to_bytes(4, "big")
        sealed = xaes_seal(self.key, self.ctr if ctr is None else ctr, aad, plaintext)
        self.ctr += 1
        if damage_tag:
            sealed = sealed[:-1] + bytes([sealed[-1] ^ 1])
        crc = zlib.crc32(head + sealed) ^ (1 if damage_crc else 0)
        return head + sealed + crc.to_bytes(4, "big")

    def control(self, kind: int, *fields, raw: bytes | None = None, **wrong) -> bytes:
        return self.seal(CONTROL | kind, encode(kind, *fields) if raw is None else raw, **wrong)


class Incoming:
    """The frames of one direction, opened. `item` follows SELECT."""

    def __init__(self, key: bytes, ctr: int = 0):
        self.key, self.ctr, self.item = key, ctr, None

    def open(self, frame: bytes) -> Message:
        """Takes one whole frame, which counts whatever becomes of it."""
        ctr, self.ctr = self.ctr, self.ctr + 1
        if zlib.crc32(frame[:-4]) != int.from_bytes(frame[-4:], "big"):
            raise LineDamage(ctr)
        seq = int.from_bytes(frame[:4], "big")
        aad = frame[:8]
        if seq < CONTROL:
            if self.item is None:
                raise Tampered("data before SELECT")
            aad += self.item.to_bytes(4, "big")
        try:
            plaintext = xaes_open(self.key, ctr, aad, frame[8:-4])
        except InvalidTag as error:
            raise Tampered(f"frame {ctr}") from error
        if seq < CONTROL:
            return Message(0, (seq, plaintext), ctr)
        kind = seq & 0xFF
        message = Message(kind, decode(kind, plaintext), ctr)
        if kind == SELECT:
            self.item = message.fields[0]
        return message
