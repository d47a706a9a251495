"""STC1. spec: stt.md#stc1."""

import hashlib
import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from stcp1.primitives import hkdf_extract, hmac256, label, sha256


def seed_key(seed: bytes) -> bytes:
    return hkdf_extract(b"STC1", seed)


def seed_of_passphrase(phrase: str) -> bytes:
    return hashlib.scrypt(phrase.encode(), salt=b"STT1 seed", n=1 << 17, r=8, p=1, maxmem=1 << 28, dklen=32)


def gcm_seal(key: bytes, nonce: bytes, aad: bytes, data: bytes) -> bytes:
    return AESGCM(key).encrypt(nonce, data, aad)


def gcm_open(key: bytes, nonce: bytes, aad: bytes, data: bytes) -> bytes:
    return AESGCM(key).decrypt(nonce, data, aad)


def seal(key: bytes, name: str, aad: bytes, data: bytes, salt: bytes | None = None) -> tuple[bytes, bytes]:
    """Ciphertext and metadata: one message under one key."""
    salt = salt or os.urandom(32)
    return gcm_seal(label(key, name, salt), bytes(12), aad, data), b"\1" + salt


def unseal(key: bytes, name: str, aad: bytes, sealed: bytes, metadata: bytes) -> bytes:
    assert len(metadata) == 33 and metadata[0] == 1
    return gcm_open(label(key, name, metadata[1:]), bytes(12), aad, sealed)


def hash_of(prk0: bytes, data: bytes, context: bytes) -> bytes:
    return hmac256(label(prk0, "stc1 hash", sha256(context)), data)


def derive_key(prk0: bytes, context: bytes, size: int) -> bytes:
    return label(prk0, "stc1 derive", sha256(context), size)


def encrypt(prk0: bytes, data: bytes, context: bytes, salt: bytes | None = None) -> tuple[bytes, bytes]:
    return seal(prk0, "stc1 enc", context, data, salt)


def chunk_key(prk0: bytes, session_id: bytes, stream: int, salt: bytes) -> bytes:
    return label(label(prk0, "stc1 chunks", session_id + stream.to_bytes(4, "big")), "stc1 chunk key", salt)


def encrypt_chunk(key: bytes, data: bytes, number: int, last: bool) -> bytes:
    return gcm_seal(key, bytes([last, 0, 0, 0]) + number.to_bytes(8, "big"), b"", data)


def rotate_session_key(current: bytes, nonce: bytes, x: bytes = b"") -> bytes:
    return label(hkdf_extract(current, x), "stc1 rotate", nonce)
