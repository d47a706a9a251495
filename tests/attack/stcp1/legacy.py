"""Packets of the first description. spec: stcp.md 7."""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .primitives import hkdf_expand, hkdf_extract

CLIENT, SERVER = 0, 1


def derived_key(key: bytes, iv_size: int) -> bytes:
    return hkdf_expand(hkdf_extract(b"STCP legacy v1", key), bytes([iv_size]), 32)


def _xaes(key: bytes, nonce: bytes) -> tuple[AESGCM, bytes]:
    """XAES-256-GCM (C2SP): a key of its own from the first half of the nonce, GCM with the second."""
    aes = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    block = int.from_bytes(aes.update(bytes(16)), "big") << 1
    if block >> 128:
        block = (block & (1 << 128) - 1) ^ 0x87
    out = b""
    for counter in (1, 2):
        message = bytes([0, counter]) + b"X\0" + nonce[:12]
        out += aes.update((int.from_bytes(message, "big") ^ block).to_bytes(16, "big"))
    return AESGCM(out), nonce[12:24]


def _parts(iv: bytes, role: int) -> tuple[bytes, bytes]:
    nonce = (iv + bytes(8))[:24]
    return nonce, bytes([role]) + iv[24:]


def seal(key: bytes, iv: bytes, role: int, seq: int, unix_ms: int, data: bytes) -> bytes:
    nonce, aad = _parts(iv, role)
    aead, short = _xaes(derived_key(key, len(iv)), nonce)
    plaintext = seq.to_bytes(8, "big") + unix_ms.to_bytes(8, "big") + data
    return iv + aead.encrypt(short, plaintext, aad)


def open_packet(key: bytes, iv_size: int, role: int, packet: bytes) -> tuple[int, int, bytes] | None:
    """(seq, unix_ms, data), or None."""
    iv = packet[:iv_size]
    nonce, aad = _parts(iv, role)
    aead, short = _xaes(derived_key(key, iv_size), nonce)
    try:
        plaintext = aead.decrypt(short, packet[iv_size:], aad)
    except InvalidTag:
        return None
    return int.from_bytes(plaintext[:8], "big"), int.from_bytes(plaintext[8:16], "big"), plaintext[16:]


def framed(packet: bytes, iv_size: int) -> bytes:
    """As on a stream: the number of bytes after the IV stands before the packet."""
    return (len(packet) - iv_size).to_bytes(8, "big") + packet


def raw_seal(key: bytes, data: bytes, iv_size: int = 16) -> bytes:
    """What the earlier program wrote: AES-CBC with PKCS7 and nothing that authenticates."""
    iv = os.urandom(iv_size)
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv[:16])).encryptor()
    return iv + encryptor.update(padder.update(data) + padder.finalize())
