"""The primitives of STCP/1, from python3-cryptography. spec: stcp.md, notation and section 4."""

import hashlib
import hmac as _hmac
import os

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


class DhZero(Exception):
    """The shared secret is all zero: the peer's point has small order (F3)."""


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def hmac256(key: bytes, data: bytes) -> bytes:
    return _hmac.new(key, data, hashlib.sha256).digest()


def hkdf_extract(salt: bytes, ikm: bytes) -> bytes:
    return hmac256(salt, ikm)


def hkdf_expand(key: bytes, info: bytes, size: int) -> bytes:
    out, block = b"", b""
    for counter in range(1, -(-size // 32) + 1):
        block = hmac256(key, block + info + bytes([counter]))
        out += block
    return out[:size]


def exporter_label(name: bytes, context: bytes, size: int) -> bytes:
    return size.to_bytes(2, "big") + bytes([len(name)]) + name + bytes([len(context)]) + context


def label(key: bytes, name: str, context: bytes = b"", size: int = 32) -> bytes:
    """L(k, label, ctx, n)."""
    return hkdf_expand(key, exporter_label(name.encode(), context, size), size)


class KeyPair:
    """An X25519 key pair; `secret` is the 32 bytes before clamping."""

    def __init__(self, secret: bytes | None = None):
        self.secret = secret or os.urandom(32)
        self._key = X25519PrivateKey.from_private_bytes(self.secret)
        self.public = self._key.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw)

    def exchange(self, public: bytes) -> bytes:
        try:
            shared = self._key.exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError as error:  # OpenSSL refuses the all-zero result by itself
            raise DhZero from error
        if shared == bytes(32):
            raise DhZero
        return shared


def x25519(secret: bytes, public: bytes) -> bytes:
    return KeyPair(secret).exchange(public)


def _double(block: bytes) -> bytes:
    value = int.from_bytes(block, "big") << 1
    if value >> 128:
        value = (value & (1 << 128) - 1) ^ 0x87
    return value.to_bytes(16, "big")


def kbkdf_step(ck: bytes, epoch: int, seq: int) -> tuple[bytes, bytes, bytes]:
    """STEP: (CK', RK, IV), by SP 800-108 in counter mode over CMAC-AES-256."""
    aes = Cipher(algorithms.AES(ck), modes.ECB()).encryptor()
    k1 = int.from_bytes(_double(aes.update(bytes(16))), "big")
    tail = b"S\0" + epoch.to_bytes(2, "big") + seq.to_bytes(8, "big")
    blocks = b"".join(
        (int.from_bytes(i.to_bytes(4, "big") + tail, "big") ^ k1).to_bytes(16, "big") for i in range(1, 6))
    out = aes.update(blocks)
    return out[:32], out[32:64], out[64:80]
