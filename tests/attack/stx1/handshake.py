"""The handshake: bytes in, bytes out. spec: stx.md 2.

`edit(name, bytes)` may change a message before it enters the transcript: a lie that the liar himself stands by. Names are
SH CH CA SA SKN SKC, and "SKN plain", "SKC plain" for what is inside of the sealed ones.
"""

import hmac
import os
import time

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from stcp1.primitives import DhZero, KeyPair, hkdf_extract, hmac256, label, sha256

MAGIC = b"STX1"
HELLO_HEAD = MAGIC + bytes([1, 0, 1, 0])
HELLO, AUTH, KEYS = 56, 32, 4 + 64  # sizes of SH and CH, of CA and SA, of SKN and SKC


class HandshakeFault(Exception):
    pass


def prk_of(psk: bytes) -> bytes:
    return hkdf_extract(b"STX-1", psk)


def hint_key(psk: bytes) -> bytes:
    return label(prk_of(psk), "stx1 hint")


def peer_id_of_psk(psk: bytes) -> bytes:
    return label(prk_of(psk), "stx1 id", b"", 16)


def peer_id_of_key(public: bytes) -> bytes:
    return sha256(b"stx1 id" + public)[:16]


def psk_from_stcp(exp: bytes) -> bytes:
    return label(exp, "stx1 psk")


def psk_again(exp: bytes) -> bytes:
    return label(exp, "stx1 again")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class _End:
    def __init__(self, *, nonce: bytes | None, ephemeral: KeyPair | None, ts_ms: int | None, edit):
        self.nonce = nonce or os.urandom(32)
        self.ephemeral = ephemeral or KeyPair()
        self.ts_ms = now_ms() if ts_ms is None else ts_ms
        self.edit = edit or (lambda name, data: data)
        self.th: dict[int, bytes] = {}
        self.keys: dict[str, bytes] = {}

    def _hello(self, last: bytes) -> bytes:
        return HELLO_HEAD + self.nonce + self.ts_ms.to_bytes(8, "big") + last

    def _use(self, psk: bytes, sh: bytes, ch: bytes) -> None:
        self.prk = prk_of(psk)
        self.th[1] = sha256(sh + ch)

    def _mac(self, name: str, th: int) -> bytes:
        return hmac256(label(self.prk, name, self.th[1]), self.th[th])

    def _add(self, th: int, message: bytes) -> None:
        self.th[th] = sha256(self.th[th - 1] + message)
        if th == 3:
            self.keys["k_c_hs"] = label(self.prk, "stx1 c hs", self.th[3])
            self.keys["k_s_hs"] = label(self.prk, "stx1 s hs", self.th[3])

    def _seal(self, which: str, plain: bytes) -> bytes:
        """SKN or SKC."""
        key, aad = (self.keys["k_c_hs"], self.th[3]) if which == "SKN" else (self.keys["k_s_hs"], self.th[4])
        sealed = AESGCM(key).encrypt(bytes(12), self.edit(which + " plain", plain), aad)
        return self.edit(which, len(sealed).to_bytes(4, "big") + sealed)

    def _open(self, which: str, message: bytes) -> bytes:
        key, aad = (self.keys["k_c_hs"], self.th[3]) if which == "SKN" else (self.keys["k_s_hs"], self.th[4])
        if message[:4] != (64).to_bytes(4, "big"):
            raise HandshakeFault(f"length of {which}")
        try:
            return AESGCM(key).decrypt(bytes(12), message[4:], aad)
        except InvalidTag as error:
            raise HandshakeFault(f"tag of {which}") from error

    def _finish(self, remote: bytes) -> None:
        try:
            shared = self.ephemeral.exchange(remote)
        except DhZero as error:
            raise HandshakeFault("all-zero DH") from error
        master = hkdf_extract(label(self.prk, "stx1 d", self.th[3]), shared)
        self.keys["MS"] = master
        self.keys["K_c"] = label(master, "stx1 c2s", self.th[5])
        self.keys["K_s"] = label(master, "stx1 s2c", self.th[5])


class ClientHandshake(_End):
    """hello(SH) gives CH and CA, auth(SA) gives SKN, confirm(SKC) ends it."""

    def __init__(self, psk: bytes, *, lane: int = 0, transfer: bytes | None = None, nonce=None, ephemeral=None,
                 ts_ms=None, edit=None):
        super().__init__(nonce=nonce, ephemeral=ephemeral, ts_ms=ts_ms, edit=edit)
        self.psk, self.lane, self.transfer = psk, lane, transfer or os.urandom(12)
        self.max_block_log2 = self.caps = 0

    def hello(self, sh: bytes) -> bytes:
        if sh[:8] != HELLO_HEAD or sh[48:] != bytes(8):
            raise HandshakeFault("SH")
        hint = hmac256(hint_key(self.psk), sh[8:40] + self.nonce)[:8]
        ch = self.edit("CH", self._hello(hint))
        self._use(self.psk, sh, ch)
        ca = self.edit("CA", self._mac("stx1 ca", 1))
        self._add(2, ca)
        return ch + ca

    def auth(self, sa: bytes) -> bytes:
        if not hmac.compare_digest(sa, self._mac("stx1 sa", 2)):
            raise HandshakeFault("SA")
        self._add(3, sa)
        skn = self._seal("SKN", self.ephemeral.public + bytes([0, self.lane, 0, 0]) + self.transfer)
        self._add(4, skn)
        return skn

    def confirm(self, skc: bytes) -> None:
        plain = self._open("SKC", skc)
        self._add(5, skc)
        if not 14 <= plain[32] <= 20 or plain[33] > 1 or plain[34:] != bytes(14):
            raise HandshakeFault("params of SKC")
        self.max_block_log2, self.caps = plain[32], plain[33]
        self._finish(plain[:32])


class ServerHandshake(_End):
    """hello() gives SH, client(CH, CA) gives SA, keys_of(SKN) gives SKC and ends it."""

    def __init__(self, psks: list[bytes], *, max_block_log2: int = 20, caps: int = 0, nonce=None, ephemeral=None,
                 ts_ms=None, edit=None):
        super().__init__(nonce=nonce, ephemeral=ephemeral, ts_ms=ts_ms, edit=edit)
        self.psks, self.max_block_log2, self.caps = psks, max_block_log2, caps
        self.lane, self.transfer = 0, b""

    def hello(self) -> bytes:
        self.sh = self.edit("SH", self._hello(bytes(8)))
        return self.sh

    def client(self, ch: bytes, ca: bytes) -> bytes:
        if ch[:8] != HELLO_HEAD:
            raise HandshakeFault("CH")
        self.client_ts_ms = int.from_bytes(ch[40:48], "big")
        found = [p for p in self.psks if hmac256(hint_key(p), self.sh[8:40] + ch[8:40])[:8] == ch[48:]]
        if not found:
            raise HandshakeFault("hint")
        self.psk = found[0]
        self._use(self.psk, self.sh, ch)
        if not hmac.compare_digest(ca, self._mac("stx1 ca", 1)):
            raise HandshakeFault("CA")
        self._add(2, ca)
        sa = self.edit("SA", self._mac("stx1 sa", 2))
        self._add(3, sa)
        return sa

    def keys_of(self, skn: bytes) -> bytes:
        plain = self._open("SKN", skn)
        self._add(4, skn)
        if plain[32] != 0 or plain[33] > 15 or plain[34:36] != bytes(2):
            raise HandshakeFault("params of SKN")
        self.lane, self.transfer = plain[33], plain[36:48]
        skc = self._seal("SKC", self.ephemeral.public + bytes([self.max_block_log2, self.caps]) + bytes(14))
        self._add(5, skc)
        self._finish(plain[:32])
        return skc
