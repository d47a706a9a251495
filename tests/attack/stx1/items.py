"""Entries, items, blocks. spec: stx.md 3.3."""

import struct
from dataclasses import dataclass, field

from .frames import META, encode
from .primitives import leaf, root

FILE, DIRECTORY, SYMLINK = 0, 1, 2
MTIME = 1_700_000_000_123_456_789


@dataclass
class Entry:
    name: bytes
    content: bytes = b""
    kind: int = FILE
    mode: int = 0o644
    mtime: int = MTIME
    size: int | None = None  # what META says, if it is not the truth
    name_size: int | None = None

    def encode(self) -> bytes:
        size = len(self.content) if self.size is None else self.size
        length = len(self.name) if self.name_size is None else self.name_size
        return struct.pack(">BHqQH", self.kind, self.mode, self.mtime, size, length) + self.name


@dataclass
class Item:
    entries: list[Entry]
    block_log2: int = 14
    flags: int = 0
    number: int | None = None
    leaves: list[bytes] = field(default_factory=list)

    @property
    def data(self) -> bytes:
        return b"".join(e.content for e in self.entries)

    @property
    def blocks(self) -> list[bytes]:
        data, step = self.data, 1 << self.block_log2
        return [data[i:i + step] for i in range(0, len(data), step)]

    def meta(self) -> bytes:
        return encode(META, self.number, self.block_log2, self.flags, [e.encode() for e in self.entries])

    def root(self) -> bytes:
        return root([leaf(b) for b in self.blocks])


def pack(*entries: Entry, **rest) -> Item:
    return Item(list(entries), **rest)
