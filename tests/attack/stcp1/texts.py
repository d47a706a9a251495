"""Key texts and fingerprints. spec: stcp.md 11."""

import base64

from .primitives import sha256

PREFIXES = ("slk1", "slp1", "sls1")


def format_key(prefix: str, value: bytes) -> str:
    assert prefix in PREFIXES and len(value) == 32
    check = sha256(prefix.encode() + value)[:3]
    return prefix + base64.b32encode(value + check).decode().lower()


def parse_key(text: str, prefix: str) -> bytes:
    """The 32 bytes, or ValueError."""
    if len(text) != 60 or text[:4].lower() != prefix:
        raise ValueError("not such a key")
    raw = base64.b32decode(text[4:].upper())
    if sha256(prefix.encode() + raw[:32])[:3] != raw[32:]:
        raise ValueError("checksum")
    return raw[:32]


def fingerprint(public: bytes) -> str:
    text = base64.b32encode(sha256(b"stcp1 fp" + public)[:10]).decode().lower()
    return "-".join(text[i:i + 4] for i in range(0, 16, 4))
