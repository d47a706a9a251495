"""INIT, RESPONSE, ACK. spec: scp.md, handshake."""

from stcp1.noise import Handshake, NoiseFault
from stcp1.primitives import DhZero, KeyPair, hkdf_extract, label

from .wire import (ACK, AUTHENTICATION, HEAD, INIT, MAC, PROTOCOL, RESPONSE, SEQUENCE, TAG, VERSION, Direction, Fault,
                   check_mac, head, initial_key, message, read_head)

ANON, PINNED, MUTUAL, PSK, PINNED_PSK = 0, 3, 4, 5, 6
MODES = (ANON, PINNED, MUTUAL, PSK, PINNED_PSK)
PATTERN = {ANON: "NN", PINNED: "IK", MUTUAL: "XX", PSK: "NNpsk0", PINNED_PSK: "IKpsk2"}
MODE_NAMES = {ANON: "anonymous", PINNED: "pinned", MUTUAL: "mutual", PSK: "psk", PINNED_PSK: "pinned psk"}
RECONNECT, RESUMES = 1, 2  # flags of settings and opening
LARGEST = 16 << 20
RESUME_BYTES = 56


def init_length(mode: int) -> int:
    return {ANON: 36, PINNED: 100, MUTUAL: 36, PSK: 52, PINNED_PSK: 100}[mode]


def response_length(mode: int) -> int:
    return 105 if mode == MUTUAL else 57


def ack_length(mode: int, resumes: bool = False) -> int:
    return (85 if mode == MUTUAL else 21) + (RESUME_BYTES if resumes else 0)


def settings(flags: int, max_message: int) -> bytes:
    return bytes([flags]) + max_message.to_bytes(4, "big")


class _End:
    """What both roles share."""

    def __init__(self, mode: int, *, static: KeyPair | None = None, psk: bytes | None = None,
                 server_key: bytes | None = None, ephemeral: KeyPair | None = None, reconnect: bool = False,
                 max_message: int = LARGEST):
        self.mode, self.static, self.psk, self.server_key = mode, static, psk, server_key
        self.ephemeral = ephemeral or KeyPair()
        self.flags, self.max_message = int(reconnect), max_message
        self.m4 = bytes([mode, 1, 0, 0])
        self.noise: Handshake | None = None
        self.theirs: tuple[int, int] | None = None  # flags and max_message
        self.c2s: Direction | None = None
        self.s2c: Direction | None = None
        self.h = self._rsp_key = b""

    @property
    def reconnect(self) -> bool:
        return bool(self.flags & RECONNECT and self.theirs[0] & RECONNECT)

    @property
    def peer_key(self) -> bytes | None:
        return self.noise.remote_static

    def init_key(self) -> bytes:
        rs = self.server_key if self.mode in (PINNED, PINNED_PSK) else b""
        x = rs + (self.psk if self.mode in (PSK, PINNED_PSK) else b"")
        return initial_key(x or bytes(32))

    def _start(self, initiator: bool, head_of_init: bytes) -> None:
        self.noise = Handshake(PATTERN[self.mode], initiator, b"SCP-1" + head_of_init + self.m4, self.static,
                               self.psk if self.mode in (PSK, PINNED_PSK) else None, self.ephemeral,
                               self.server_key if initiator and self.mode in (PINNED, PINNED_PSK) else None)

    @property
    def rsp_key(self) -> bytes:
        """The key of RESPONSE's HMAC."""
        if not self._rsp_key:
            self._rsp_key = label(self.noise.ck, "scp1 rsp", self.noise.h)
        return self._rsp_key

    def _split(self) -> None:
        k_c2s, k_s2c = self.noise.split()
        self.h = self.noise.h
        self.c2s, self.s2c = Direction(k_c2s, self.h), Direction(k_s2c, self.h)
        self.exp = label(hkdf_extract(self.h, k_c2s + k_s2c), "scp1 exp")

    def _read_settings(self, data: bytes, may_resume: bool) -> None:
        flags, largest = data[0], int.from_bytes(data[1:5], "big")
        if flags & ~(RECONNECT | (RESUMES if may_resume else 0)) or largest < 65536:
            raise Fault(PROTOCOL, "settings")
        if flags & RESUMES and not flags & RECONNECT:
            raise Fault(PROTOCOL, "resume without reconnect")
        if len(data) != 5 + (RESUME_BYTES if flags & RESUMES else 0):
            raise Fault(PROTOCOL, "length of settings")
        self.theirs = (flags, largest)

    def _check_head(self, data: bytes, kind: int, seq: int, *lengths: int) -> None:
        version, got, number, length = read_head(data)
        if version != 1:
            raise Fault(VERSION, f"version {version}")
        if number != seq:
            raise Fault(SEQUENCE, f"{number} for {seq}")
        if got != kind or length not in lengths:
            raise Fault(PROTOCOL, f"type {got}, length {length}")


class Initiator(_End):
    """The client. `init()`, `response()`, `ack()`, in this order; each returns or takes a whole message."""

    def init(self, *, version: int = 1, seq: int = 0, key: bytes | None = None) -> bytes:
        """The named arguments make a wrong one."""
        h = head(INIT, seq, init_length(self.mode), version)
        self._start(True, h)
        return message(h, self.m4 + self.noise.write(b""), self.init_key() if key is None else key)

    def response(self, data: bytes) -> None:
        self._check_head(data, RESPONSE, 0, response_length(self.mode))
        if data[HEAD:HEAD + 4] != self.m4:
            raise Fault(AUTHENTICATION, "m4")
        try:
            payload = self.noise.read(data[HEAD + 4:-MAC])
        except (NoiseFault, DhZero) as error:
            raise Fault(AUTHENTICATION, "noise") from error
        check_mac(data, self.rsp_key)
        self._read_settings(payload, False)

    def ack(self, resume=None, *, opening: bytes | None = None, **wrong) -> bytes:
        """resume(h) -> the block of 56 bytes. `opening` and the arguments of Direction.seal make a wrong one."""
        n3 = self.noise.write(b"") if self.mode == MUTUAL else b""
        self._split()
        block = resume(self.h) if resume else b""
        text = settings(self.flags | (RESUMES if block else 0), self.max_message) + block
        return self.c2s.seal(ACK, text if opening is None else opening, n3, **wrong)


class Responder(_End):
    """The server: `init()`, `response()`, `ack()`."""

    def init(self, data: bytes) -> None:
        self._check_head(data, INIT, 0, init_length(self.mode))
        if data[HEAD:HEAD + 4] != self.m4:
            raise Fault(PROTOCOL, "m4")
        if self.mode in (PINNED, PINNED_PSK):
            self.server_key = self.static.public
        check_mac(data, self.init_key())
        self._start(False, data[:HEAD])
        try:
            self.noise.read(data[HEAD + 4:-MAC])
        except (NoiseFault, DhZero) as error:
            raise Fault(AUTHENTICATION, "noise") from error

    def response(self, *, m4: bytes | None = None, payload: bytes | None = None, key: bytes | None = None) -> bytes:
        """The named arguments make a wrong one."""
        h = head(RESPONSE, 0, response_length(self.mode))
        n2 = self.noise.write(settings(self.flags, self.max_message) if payload is None else payload)
        return message(h, (self.m4 if m4 is None else m4) + n2, self.rsp_key if key is None else key)

    def ack(self, data: bytes) -> bytes:
        """The resume block, or nothing."""
        self._check_head(data, ACK, 1, ack_length(self.mode), ack_length(self.mode, True))
        n3 = ack_length(self.mode) - 5 - TAG
        if n3:
            try:
                self.noise.read(data[HEAD:HEAD + n3])
            except (NoiseFault, DhZero) as error:
                raise Fault(AUTHENTICATION, "noise") from error
        self._split()
        _, opening = self.c2s.open(data, n3, (ACK,))
        self._read_settings(opening, True)
        return opening[5:]
