"""XAES-256-GCM and the tree of hashes, from python3-cryptography. spec: stx.md 3.1 and 3.3."""

import contextlib
import ctypes
import ctypes.util

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from stcp1.primitives import sha256


def _dbl(block: bytes) -> int:
    value = int.from_bytes(block, "big") << 1
    return (value & (1 << 128) - 1) ^ 0x87 if value >> 128 else value


def nonce24(ctr: int) -> bytes:
    return ctr.to_bytes(8, "big") + bytes(16)


def xaes_key(key: bytes, n24: bytes) -> bytes:
    aes = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    k1 = _dbl(aes.update(bytes(16)))
    blocks = [int.from_bytes(bytes([0, i]) + b"X\0" + n24[:12], "big") ^ k1 for i in (1, 2)]
    return aes.update(b"".join(b.to_bytes(16, "big") for b in blocks))


def xaes_seal(key: bytes, ctr: int, aad: bytes, plaintext: bytes) -> bytes:
    n24 = nonce24(ctr)
    return AESGCM(xaes_key(key, n24)).encrypt(n24[12:], plaintext, aad)


def xaes_open(key: bytes, ctr: int, aad: bytes, sealed: bytes) -> bytes:
    n24 = nonce24(ctr)
    return AESGCM(xaes_key(key, n24)).decrypt(n24[12:], sealed, aad)


def leaf(block: bytes) -> bytes:
    return sha256(b"\0" + block)


def node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right)


def root(leaves: list[bytes]) -> bytes:
    """The Merkle Tree Hash of RFC 6962: pairs level by level, an odd one goes up as it is."""
    if not leaves:
        return sha256(b"")
    while len(leaves) > 1:
        pairs = [node(leaves[i], leaves[i + 1]) for i in range(0, len(leaves) - 1, 2)]
        leaves = pairs + (leaves[-1:] if len(leaves) % 2 else [])
    return leaves[0]


def run_log2_of(have: int) -> int:
    """The smallest that gives at most 16384 runs."""
    log2 = 0
    while -(-have >> log2) > 16384:
        log2 += 1
    return log2


def run_roots(leaves: list[bytes], log2: int) -> list[bytes]:
    return [root(leaves[i:i + (1 << log2)]) for i in range(0, len(leaves), 1 << log2)]


# --- zstd, where its library is there ---------------------------------------------------------------------------------

_zstd = None
with contextlib.suppress(OSError):
    _zstd = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
    for _name in ("ZSTD_compress", "ZSTD_decompress", "ZSTD_compressBound", "ZSTD_compress2", "ZSTD_CCtx_setParameter"):
        getattr(_zstd, _name).restype = ctypes.c_size_t
    _zstd.ZSTD_createCCtx.restype = ctypes.c_void_p

HAS_ZSTD = _zstd is not None


def zstd_compress(data: bytes, window_log: int = 0) -> bytes:
    """One frame. With a window_log its window is that large, whatever the data need."""
    bound = _zstd.ZSTD_compressBound(ctypes.c_size_t(len(data)))
    out = ctypes.create_string_buffer(bound)
    context = ctypes.c_void_p(_zstd.ZSTD_createCCtx())
    if window_log:
        _zstd.ZSTD_CCtx_setParameter(context, 101, window_log)
        _zstd.ZSTD_CCtx_setParameter(context, 200, 0)  # the size of the content is not told
    size = _zstd.ZSTD_compress2(context, out, ctypes.c_size_t(bound), data, ctypes.c_size_t(len(data)))
    _zstd.ZSTD_freeCCtx(context)
    assert size <= bound
    frame = bytearray(out.raw[:size])
    if window_log:
        frame[5] = (window_log - 10) << 3  # the library takes no more than the data need
    return bytes(frame)


def zstd_decompress(data: bytes, size: int) -> bytes | None:
    """Exactly `size` bytes, or None."""
    out = ctypes.create_string_buffer(max(1, size))
    got = _zstd.ZSTD_decompress(out, ctypes.c_size_t(size), data, ctypes.c_size_t(len(data)))
    return out.raw[:size] if got == size else None
