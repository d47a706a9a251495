"""Varints and tagged values. spec: stt.md#tlv. A value is a pair (tag, what): a number, bytes, a string, a list of values,
or for a dict a list of pairs (key, value)."""

import struct

NULL, NO, YES = 0x00, 0x01, 0x02
I8, I16, I32, I64, U8, U16, U32, U64 = range(0x10, 0x18)
F32, F64, BYTES, TEXT, LIST, DICT = 0x20, 0x21, 0x30, 0x31, 0x40, 0x41
SIZES = {I8: 1, I16: 2, I32: 4, I64: 8, U8: 1, U16: 2, U32: 4, U64: 8, F32: 4, F64: 8}
MAX_DEPTH, MAX_VALUES = 16, 65536


class Bad(Exception):
    """Not an encoding of anything; `offset` is where it is seen."""

    def __init__(self, offset: int, what: str = ""):
        super().__init__(f"{what} at {offset}")
        self.offset = offset


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def read_varint(data: bytes, at: int = 0) -> tuple[int, int]:
    """The number, and where it ends."""
    value = 0
    for i in range(10):
        if at + i >= len(data):
            raise Bad(at, "varint truncated")
        group = data[at + i]
        value |= (group & 0x7F) << 7 * i
        if group < 0x80:
            if (i and group == 0) or value >> 64:
                raise Bad(at, "varint not minimal")
            return value, at + i + 1
    raise Bad(at, "varint too long")


def plain(number: int) -> tuple:
    """The smallest signed type; u64 above 2^63 - 1."""
    for tag, bits in ((I8, 8), (I16, 16), (I32, 32), (I64, 64)):
        if -(1 << bits - 1) <= number < 1 << bits - 1:
            return tag, number
    return U64, number


def u8(n):
    return U8, n


def u16(n):
    return U16, n


def u32(n):
    return U32, n


def u64(n):
    return U64, n


def octets(b):
    return BYTES, bytes(b)


def text(s):
    return TEXT, s


def items(*values):
    return LIST, list(values)


def members(**values):
    return DICT, list(values.items())


def encode(value: tuple) -> bytes:
    tag, what = value
    head = bytes([tag])
    if tag in SIZES:
        if tag in (F32, F64):
            return head + what  # the bits, as they are
        return head + what.to_bytes(SIZES[tag], "big", signed=tag < U8)
    if tag in (BYTES, TEXT):
        run = what.encode() if tag == TEXT else what
        return head + struct.pack(">I", len(run)) + run
    if tag == LIST:
        return head + struct.pack(">I", len(what)) + b"".join(map(encode, what))
    if tag == DICT:
        rows = sorted((k.encode(), encode(v)) for k, v in what)
        return head + struct.pack(">I", len(rows)) + b"".join(encode((TEXT, k.decode())) + v for k, v in rows)
    return head


class _Decoder:
    def __init__(self, data: bytes):
        self.data, self.at, self.values = data, 0, 0

    def take(self, size: int) -> bytes:
        if len(self.data) - self.at < size:
            raise Bad(self.at, "truncated")
        self.at += size
        return self.data[self.at - size:self.at]

    def count(self, least: int) -> int:
        at = self.at
        number = int.from_bytes(self.take(4), "big")
        if number * least > len(self.data) - self.at:
            raise Bad(at, "count")
        return number

    def value(self, depth: int = 0) -> tuple:
        begin = self.at
        self.values += 1
        if self.values > MAX_VALUES:
            raise Bad(begin, "too many values")
        tag = self.take(1)[0]
        if tag in (NULL, NO, YES):
            return tag, None
        if tag in SIZES:
            run = self.take(SIZES[tag])
            return tag, run if tag in (F32, F64) else int.from_bytes(run, "big", signed=tag < U8)
        if tag in (BYTES, TEXT):
            run = self.take(int.from_bytes(self.take(4), "big"))
            try:
                return tag, run.decode() if tag == TEXT else run
            except UnicodeDecodeError as error:
                raise Bad(begin + 5 + error.start, "UTF-8") from error
        if tag not in (LIST, DICT):
            raise Bad(begin, "unknown tag")
        if depth >= MAX_DEPTH:
            raise Bad(begin, "too deep")
        if tag == LIST:
            return tag, [self.value(depth + 1) for _ in range(self.count(1))]
        rows, last = [], None
        for _ in range(self.count(6)):
            at = self.at
            if self.data[at:at + 1] not in (b"", bytes([TEXT])):
                raise Bad(at, "key")
            key = self.value(depth + 1)[1]
            if last is not None and key.encode() <= last:
                raise Bad(at, "unsorted key")
            last = key.encode()
            rows.append((key, self.value(depth + 1)))
        return tag, rows


def decode(data: bytes) -> tuple:
    decoder = _Decoder(data)
    value = decoder.value()
    if decoder.at != len(data):
        raise Bad(decoder.at, "trailing bytes")
    return value
