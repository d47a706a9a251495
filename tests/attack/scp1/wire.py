"""Heads, message authentication and sealed messages of SCP/1. spec: scp.md, message and keys."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from stcp1.primitives import hkdf_extract, hmac256, label

INIT, RESPONSE, DATA, ACK, CLOSE = 1, 2, 3, 4, 5
HEAD, MAC, TAG = 14, 32, 16
LONGEST = 65536 + 17  # of a payload

PROTOCOL, AUTHENTICATION, DECRYPT, SEQUENCE, TOO_LARGE, TIMEOUT = 1, 2, 3, 4, 5, 6
RATE_LIMITED, VERSION, GOING_AWAY, INTERNAL, UNKNOWN_CHANNEL, TRUNCATED = 7, 8, 9, 10, 11, 12


class Fault(Exception):
    """One of the codes of scp.md, codes."""

    def __init__(self, code: int, why: str = ""):
        super().__init__(f"code {code} {why}".strip())
        self.code = code


def head(kind: int, seq: int, length: int, version: int = 1) -> bytes:
    return bytes([version, kind]) + seq.to_bytes(8, "big") + length.to_bytes(4, "big")


def read_head(data: bytes) -> tuple[int, int, int, int]:
    """(version, type, sequence, length)."""
    return data[0], data[1], int.from_bytes(data[2:10], "big"), int.from_bytes(data[10:14], "big")


def message(head_bytes: bytes, payload: bytes, key: bytes) -> bytes:
    return head_bytes + payload + hmac256(key, head_bytes + payload)


def check_mac(data: bytes, key: bytes) -> None:
    if hmac256(key, data[:-MAC]) != data[-MAC:]:
        raise Fault(AUTHENTICATION, "hmac")


def initial_key(x: bytes) -> bytes:
    """The key of INIT's HMAC."""
    return label(hkdf_extract(b"SCP-1", x), "scp1 init")


class Direction:
    """The keys of one direction and the messages made with them. Two messages went before: or one, at a server."""

    def __init__(self, k: bytes, h: bytes, seq: int = 1):
        self.seq = seq
        self._derive(k, h)

    def _derive(self, k: bytes, h: bytes) -> None:
        self.ke, self.iv = label(k, "scp1 key", h), label(k, "scp1 iv", h, 12)
        self.km, self.kn = label(k, "scp1 mac", h), label(k, "scp1 next", h)

    def rotate(self, shared: bytes, h: bytes) -> None:
        self._derive(hkdf_extract(self.kn, shared), h)

    def nonce(self, seq: int) -> bytes:
        return bytes(a ^ b for a, b in zip(self.iv, bytes(4) + seq.to_bytes(8, "big")))

    def seal(self, kind: int, plaintext: bytes, prefix: bytes = b"", *, seq: int | None = None, version: int = 1,
             length: int | None = None, key: bytes | None = None, nonce_seq: int | None = None) -> bytes:
        """One message; `prefix` stands before the ciphertext (N3). The named arguments make a wrong one whose HMAC is
        right all the same, or right under another key."""
        number = self.seq if seq is None else seq
        h = head(kind, number, len(prefix) + len(plaintext) + TAG if length is None else length, version)
        text = AESGCM(self.ke).encrypt(self.nonce(number if nonce_seq is None else nonce_seq), plaintext, h)
        self.seq = number + 1
        return message(h, prefix + text, self.km if key is None else key)

    def open(self, data: bytes, prefix: int = 0, types=(INIT, RESPONSE, DATA, ACK, CLOSE)) -> tuple[int, bytes]:
        """(type, plaintext) of one whole message, checked in the order of the document."""
        kind, _ = self.check_head(data[:HEAD], types)
        check_mac(data, self.km)
        try:
            plaintext = AESGCM(self.ke).decrypt(self.nonce(self.seq), data[HEAD + prefix:-MAC], data[:HEAD])
        except InvalidTag as error:
            raise Fault(DECRYPT, "tag") from error
        self.seq += 1
        return kind, plaintext

    def check_head(self, data: bytes, types=(INIT, RESPONSE, DATA, ACK, CLOSE)) -> tuple[int, int]:
        version, kind, seq, length = read_head(data)
        if version != 1:
            raise Fault(VERSION, f"version {version}")
        if seq != self.seq:
            raise Fault(SEQUENCE, f"{seq} for {self.seq}")
        if kind not in types:
            raise Fault(PROTOCOL, f"type {kind}")
        if not TAG <= length <= LONGEST:
            raise Fault(TOO_LARGE, f"length {length}")
        return kind, length
