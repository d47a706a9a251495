"""Noise_{NN,NX,XX,IK,NNpsk0,IKpsk2}_25519_AESGCM_SHA256, revision 34, written by the tokens of the patterns."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .primitives import KeyPair, hkdf_expand, hkdf_extract, sha256

PATTERNS = {
    "NN": (("e",), ("e", "ee")),
    "NX": (("e",), ("e", "ee", "s", "es")),
    "XX": (("e",), ("e", "ee", "s", "es"), ("s", "se")),
    "IK": (("e", "es", "s", "ss"), ("e", "ee", "se")),
    "NNpsk0": (("psk", "e"), ("e", "ee")),
    "IKpsk2": (("e", "es", "s", "ss"), ("e", "ee", "se", "psk")),
}
KNOWN_RESPONDER = ("IK", "IKpsk2")  # its static key is hashed before the first message


class NoiseFault(Exception):
    """A tag of the handshake does not verify."""


class Handshake:
    """A handshake state. write() and read() take messages in turn; after the last one split() is there."""

    def __init__(self, pattern: str, initiator: bool, prologue: bytes, static: KeyPair | None = None,
                 psk: bytes | None = None, ephemeral: KeyPair | None = None, remote_static: bytes | None = None):
        self.messages = PATTERNS[pattern]
        self.initiator = initiator
        self.static = static
        self.psk = psk
        self.ephemeral = ephemeral
        self.remote_ephemeral: bytes | None = None
        self.remote_static = remote_static
        self.uses_psk = "psk" in pattern
        self.turn = 0
        name = f"Noise_{pattern}_25519_AESGCM_SHA256".encode()
        self.h = name.ljust(32, b"\0") if len(name) <= 32 else sha256(name)
        self.ck = self.h
        self.k: bytes | None = None
        self.n = 0
        self.mix_hash(prologue)
        if pattern in KNOWN_RESPONDER:
            self.mix_hash(remote_static if initiator else static.public)

    # -- symmetric state --
    def mix_hash(self, data: bytes) -> None:
        self.h = sha256(self.h + data)

    def mix_key(self, ikm: bytes) -> None:
        out = hkdf_expand_chain(self.ck, ikm, 2)
        self.ck, self.k, self.n = out[0], out[1], 0

    def mix_key_and_hash(self, ikm: bytes) -> None:
        out = hkdf_expand_chain(self.ck, ikm, 3)
        self.ck = out[0]
        self.mix_hash(out[1])
        self.k, self.n = out[2], 0

    def _nonce(self) -> bytes:
        nonce = bytes(4) + self.n.to_bytes(8, "big")
        self.n += 1
        return nonce

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        text = plaintext if self.k is None else AESGCM(self.k).encrypt(self._nonce(), plaintext, self.h)
        self.mix_hash(text)
        return text

    def decrypt_and_hash(self, text: bytes) -> bytes:
        if self.k is None:
            plaintext = text
        else:
            try:
                plaintext = AESGCM(self.k).decrypt(self._nonce(), text, self.h)
            except InvalidTag as error:
                raise NoiseFault("tag") from error
        self.mix_hash(text)
        return plaintext

    # -- messages --
    def _dh(self, token: str) -> bytes:
        # The first letter is the initiator's key, the second the responder's.
        mine, theirs = (token[0], token[1]) if self.initiator else (token[1], token[0])
        own = self.ephemeral if mine == "e" else self.static
        remote = self.remote_ephemeral if theirs == "e" else self.remote_static
        assert own is not None and remote is not None
        return own.exchange(remote)

    def write(self, payload: bytes) -> bytes:
        out = b""
        for token in self.messages[self.turn]:
            if token == "e":
                self.ephemeral = self.ephemeral or KeyPair()
                out += self.ephemeral.public
                self.mix_hash(self.ephemeral.public)
                if self.uses_psk:
                    self.mix_key(self.ephemeral.public)
            elif token == "s":
                out += self.encrypt_and_hash(self.static.public)
            elif token == "psk":
                self.mix_key_and_hash(self.psk)
            else:
                self.mix_key(self._dh(token))
        self.turn += 1
        return out + self.encrypt_and_hash(payload)

    def read(self, message: bytes) -> bytes:
        for token in self.messages[self.turn]:
            if token == "e":
                self.remote_ephemeral, message = message[:32], message[32:]
                self.mix_hash(self.remote_ephemeral)
                if self.uses_psk:
                    self.mix_key(self.remote_ephemeral)
            elif token == "s":
                size = 48 if self.k is not None else 32
                self.remote_static = self.decrypt_and_hash(message[:size])
                message = message[size:]
            elif token == "psk":
                self.mix_key_and_hash(self.psk)
            else:
                self.mix_key(self._dh(token))
        self.turn += 1
        return self.decrypt_and_hash(message)

    def split(self) -> tuple[bytes, bytes]:
        """(k_c2s, k_s2c)."""
        assert self.turn == len(self.messages)
        out = hkdf_expand_chain(self.ck, b"", 2)
        return out[0], out[1]


def hkdf_expand_chain(ck: bytes, ikm: bytes, count: int) -> list[bytes]:
    """Noise's HKDF: which is RFC 5869 with empty info."""
    out = hkdf_expand(hkdf_extract(ck, ikm), b"", 32 * count)
    return [out[i:i + 32] for i in range(0, 32 * count, 32)]
