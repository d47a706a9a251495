"""Frames, their protection, and the messages of CONTROL. spec: stt.md#frames, #protection, #control."""

from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from stcp1.primitives import label

from . import stc, tlv

HANDSHAKE, DATA, CONTROL, STREAM_CONTROL, AUTH = 1, 2, 3, 4, 5
REL, INIT, FIN, MSG_END, ACK_NOW, PADDED, RESERVED = 1, 2, 4, 8, 16, 32, 0xC0
MAX_PAYLOAD = 131072


class Drop(Exception):
    """A fault that is seen before the tag has verified."""


@dataclass
class Frame:
    type: int
    session_id: bytes
    stream: int = 0
    number: int = 0
    flags: int = 0
    payload: bytes = b""
    epoch: int = 0
    header: bytes = b""  # as sent: Magic .. PayLen
    meta: bytes = b""

    @property
    def is_handshake(self) -> bool:
        return self.type in (HANDSHAKE, AUTH)

    def make_header(self, payload_bytes: int) -> bytes:
        return (b"ST" + bytes([self.type]) + self.session_id + tlv.varint(self.stream) + tlv.varint(self.number)
                + bytes([self.flags]) + tlv.varint(payload_bytes))

    def encode(self) -> bytes:
        meta = b"" if self.is_handshake else tlv.varint(self.epoch)
        return self.make_header(len(self.payload)) + self.payload + tlv.varint(len(meta)) + meta


def parse(data: bytes, at: int = 0) -> tuple[Frame, int]:
    """The frame at `at`, and where it ends."""
    begin = at
    try:
        if data[at:at + 2] != b"ST" or len(data) - at < 11:
            raise Drop("magic")
        kind, session_id, at = data[at + 2], data[at + 3:at + 11], at + 11
        stream, at = tlv.read_varint(data, at)
        number, at = tlv.read_varint(data, at)
        if at >= len(data):
            raise Drop("header truncated")
        flags, at = data[at], at + 1
        size, at = tlv.read_varint(data, at)
        header = data[begin:at]
        payload, at = data[at:at + size], at + size
        meta_size, at = tlv.read_varint(data, at)
        meta, at = data[at:at + meta_size], at + meta_size
        if at > len(data):
            raise Drop("truncated")
        frame = Frame(kind, session_id, stream, number, flags, payload, 0, header, meta)
        check(frame)
        if not frame.is_handshake:
            frame.epoch, end = tlv.read_varint(meta)
            if end != len(meta) or frame.epoch >> 32:
                raise Drop("meta")
    except tlv.Bad as error:
        raise Drop(str(error)) from error
    return frame, at


def check(frame: Frame) -> None:
    if not 1 <= frame.type <= 5 or frame.stream > 65535 or frame.number >> 62:
        raise Drop("header")
    if frame.is_handshake:
        if frame.stream or frame.number or frame.flags or frame.meta or len(frame.payload) > 4116:
            raise Drop("handshake header")
        return
    forbidden = RESERVED | (0 if frame.type == DATA else FIN | MSG_END) | (INIT if frame.type == CONTROL else 0)
    if (frame.type == CONTROL) != (frame.stream == 0) or frame.flags & forbidden:
        raise Drop("stream id or flags")
    if not 16 <= len(frame.payload) <= MAX_PAYLOAD:
        raise Drop("payload length")


def parse_all(data: bytes) -> list[Frame]:
    frames, at = [], 0
    while at < len(data):
        frame, at = parse(data, at)
        frames.append(frame)
    return frames


class Keys:
    """One direction in one epoch."""

    def __init__(self, root: bytes, epoch: int = 0):
        self.root, self.epoch = root, epoch
        self.iv = label(root, "stc1 iv", b"", 12)

    def of_stream(self, stream: int) -> bytes:
        return label(self.root, "stc1 stream", stream.to_bytes(4, "big"))

    def nonce(self, number: int) -> bytes:
        return bytes(a ^ b for a, b in zip(self.iv, bytes(4) + number.to_bytes(8, "big")))

    def seal(self, frame: Frame, plaintext: bytes) -> bytes:
        frame.epoch = self.epoch
        header = frame.make_header(len(plaintext) + 16)
        meta = tlv.varint(self.epoch)
        frame.payload = stc.gcm_seal(self.of_stream(frame.stream), self.nonce(frame.number), header + meta, plaintext)
        return header + frame.payload + tlv.varint(len(meta)) + meta

    def open(self, frame: Frame) -> bytes:
        try:
            return stc.gcm_open(self.of_stream(frame.stream), self.nonce(frame.number), frame.header + frame.meta,
                                frame.payload)
        except InvalidTag as error:
            raise Drop("tag") from error

    def next(self, nonce: bytes, x: bytes = b"") -> "Keys":
        return Keys(stc.rotate_session_key(self.root, nonce, x), self.epoch + 1)


# --- bodies -----------------------------------------------------------------------------------------------------------

def init(mode: int = 0, priority: int = 128, deadline_ms: int = 0) -> bytes:
    return bytes([mode, priority]) + tlv.varint(deadline_ms)


def padded(plaintext: bytes, size: int) -> bytes:
    return plaintext + bytes(size) + size.to_bytes(2, "big")


def control(*messages: tuple) -> bytes:
    """A body: each message is (code, values...)."""
    return tlv.encode(tlv.items(*(tlv.items(tlv.u8(code), *values) for code, *values in messages)))


def read_control(body: bytes) -> list[tuple[int, list]]:
    rows = tlv.decode(body)
    return [(row[1][0][1], [value[1] for value in row[1][1:]]) for row in rows[1]]


def ping(nonce: int) -> tuple:
    return 1, tlv.u64(nonce)


def session_credit(limit: int) -> tuple:
    return 4, tlv.u64(limit)


def rotate(epoch: int, nonce: bytes, eph: bytes | None) -> tuple:
    return 5, tlv.u32(epoch), tlv.octets(nonce), (tlv.NULL, None) if eph is None else tlv.octets(eph)


def close(code: int, reason: str = "") -> tuple:
    return 6, tlv.u16(code), tlv.text(reason)


def rotated(epoch: int, eph: bytes | None) -> tuple:
    return 14, tlv.u32(epoch), (tlv.NULL, None) if eph is None else tlv.octets(eph)


def credit(limit: int) -> tuple:
    return 2, tlv.u64(limit)


def reset(code: int, final: int) -> tuple:
    return 4, tlv.u16(code), tlv.u64(final)


def stop(code: int) -> tuple:
    return 5, tlv.u16(code)


def ack(largest: int, delay_us: int, ranges: bytes) -> tuple:
    return 3, tlv.u64(largest), tlv.u32(delay_us), tlv.octets(ranges), (tlv.NULL, None)


def ack_ranges(largest: int, run: bytes) -> list[tuple[int, int]]:
    """(first, last), newest first. Runs and gaps in turn, from `largest` down; each holds one number at least."""
    ranges, at, top = [], 0, largest
    while True:
        count, at = tlv.read_varint(run, at)
        if not 1 <= count <= top + 1 or len(ranges) == 32:
            raise tlv.Bad(at, "range")
        ranges.append((top - count + 1, top))
        if at == len(run):
            return ranges
        gap, at = tlv.read_varint(run, at)
        top -= count + gap
        if gap == 0 or top < 0:
            raise tlv.Bad(at, "gap")


def encode_ack_ranges(ranges: list[tuple[int, int]]) -> bytes:
    out, below = b"", None
    for first, last in ranges:
        if below is not None:
            out += tlv.varint(below - last - 1)
        out += tlv.varint(last - first + 1)
        below = first
    return out
