"""Handshake messages, records and the states of one STCP/1 connection: bytes in, bytes out. spec: stcp.md 2 to 6."""

import os
import time

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .noise import Handshake, NoiseFault
from .primitives import DhZero, KeyPair, hkdf_extract, hmac256, kbkdf_step, label, sha256

ANON, TOFU, MUTUAL, PSK = 0, 1, 4, 5
PATTERN = {ANON: "NN", TOFU: "NX", MUTUAL: "XX", PSK: "NNpsk0"}
LENGTHS = {ANON: (66, 82), TOFU: (66, 130), MUTUAL: (66, 130, 64), PSK: (50, 50)}
MODES = {"anonymous": ANON, "tofu": TOFU, "mutual": MUTUAL, "psk": PSK}

DATA, CLOSE, REKEY, PING, FINISH, PIN_UPDATE = 0, 1, 2, 3, 5, 6
C2S, S2C = "c2s", "s2c"


class Fault(Exception):
    """One of F1 to F15."""

    def __init__(self, code: str, why: str = ""):
        super().__init__(f"{code} {why}".strip())
        self.code = code


def message_length(mode: int, step: int) -> int:
    return LENGTHS[mode][step - 1]


def head_step(mode: int, step: int, hint: bytes = bytes(8), *, length: int | None = None, version: int = 1,
              suite: int = 1, magic: bytes = b"STCP") -> bytes:
    """The 24 bytes before a handshake message."""
    size = message_length(mode, step) if length is None else length
    return size.to_bytes(8, "big") + magic + bytes([version, step, mode, suite]) + hint


def head_record(length: int, iv: bytes) -> bytes:
    return length.to_bytes(8, "big") + iv


def hint_for(psk: bytes, ephemeral: bytes) -> bytes:
    return hmac256(label(psk, "stcp1 hint"), ephemeral)[:8]


def pad_length(policy: str, size: int, limit: int = 65536) -> int:
    """len(data)+pad under a padding policy."""
    if policy == "none":
        return size
    if policy == "padme":
        if size < 2:
            return size
        e = size.bit_length() - 1
        s = e.bit_length()
        unit = 1 << (e - s) if e > s else 1
        return min(-(-size // unit) * unit, limit)
    unit = int(policy)
    return min(max(unit, -(-size // unit) * unit), limit)


class Direction:
    """The ratchet of one direction and the records made with it."""

    def __init__(self, ck: bytes, max_data: int):
        self.ck = ck
        self.epoch = 0
        self.seq = 0
        self.max_data = max_data
        self.ahead: tuple[bytes, bytes, bytes] | None = None

    def _next(self) -> tuple[bytes, bytes, bytes]:
        if self.ahead is None:
            self.ahead = kbkdf_step(self.ck, self.epoch, self.seq)
        return self.ahead

    def _advance(self) -> None:
        self.ck = self._next()[0]
        self.ahead = None
        self.seq += 1

    def seal(self, kind: int, data: bytes, pad: int = 0, *, length: int | None = None, iv: bytes | None = None,
             pad_field: int | None = None, plaintext: bytes | None = None) -> bytes:
        """One record. The named arguments make a wrong one that is still sealed under the right key."""
        _, key, right_iv = self._next()
        body = data + bytes(pad) + bytes([kind]) + (pad if pad_field is None else pad_field).to_bytes(3, "big")
        if plaintext is not None:
            body = plaintext
        head = head_record(len(body) + 16 if length is None else length, right_iv if iv is None else iv)
        record = head + AESGCM(key).encrypt(right_iv[:12], body, head)
        self._advance()
        return record

    def expected_iv(self) -> bytes:
        return self._next()[2]

    def check_head(self, head: bytes) -> int:
        length = int.from_bytes(head[:8], "big")
        if not 20 <= length <= self.max_data + 20:
            raise Fault("F1", f"length {length}")
        if head[8:24] != self.expected_iv():
            raise Fault("F11", "iv")
        return length

    def open(self, record: bytes) -> tuple[int, bytes, int]:
        """(type, data, pad) of one whole record."""
        head = record[:24]
        self.check_head(head)
        _, key, iv = self._next()
        try:
            body = AESGCM(key).decrypt(iv[:12], record[24:], head)
        except InvalidTag as error:
            raise Fault("F12", "tag") from error
        pad = int.from_bytes(body[-3:], "big")
        if pad > len(body) - 4:
            raise Fault("F13", "pad")
        self._advance()
        return body[-4], body[:len(body) - 4 - pad], pad

    def rekey(self, shared: bytes, hk: bytes) -> None:
        self.ck = label(hkdf_extract(self.ck, shared), "stcp1 rk", hk)
        self.ahead = None
        self.epoch += 1


class _End:
    """What both roles of a handshake share."""

    def __init__(self, mode: int, *, static: KeyPair | None = None, psk: bytes | None = None,
                 ephemeral: KeyPair | None = None, nonce: bytes | None = None, record_log2: int = 16):
        self.mode = mode
        self.static = static
        self.psk = psk
        self.ephemeral = ephemeral or KeyPair()
        self.nonce = nonce or os.urandom(32)  # nA or nB
        self.settings = bytes([record_log2, 0])
        self.noise: Handshake | None = None
        self.peer_settings = b""
        self.has_sas = mode in (ANON, TOFU, MUTUAL)
        self.nA = self.nB = self.commitment = b""

    def _start(self, initiator: bool, head: bytes) -> None:
        self.noise = Handshake(PATTERN[self.mode], initiator, head, self.static, self.psk, self.ephemeral)

    def _check_settings(self, payload: bytes) -> None:
        if len(payload) != (34 if self.has_sas else 2) or not 12 <= payload[0] <= 24 or payload[1] != 0:
            raise Fault("F1", "settings")
        self.peer_settings = payload[:2]

    def commit(self, client_static: bytes) -> bytes:
        return sha256(b"stcp1 sas" + self.nA + (client_static if self.mode == MUTUAL else b""))

    def session(self) -> "Session":
        k_c2s, k_s2c = self.noise.split()
        h = self.noise.h
        max_data = 1 << min(self.settings[0], self.peer_settings[0])
        return Session(self.noise.initiator, self.mode, h, k_c2s, k_s2c, max_data, self)


class Initiator(_End):
    """The client's half of a handshake. step1() out, step2() in, step3() out (mode 4), then session() and finish()."""

    def step1(self, **head) -> bytes:
        hint = hint_for(self.psk, self.ephemeral.public) if self.mode == PSK else bytes(8)
        head.setdefault("hint", hint)
        first = head_step(self.mode, 1, **head)
        self._start(True, first)
        self.nA = self.nonce
        payload = self.settings
        if self.has_sas:
            self.commitment = self.commit(self.static.public if self.static else b"")
            payload += self.commitment
        return first + self.noise.write(payload)

    def step2(self, message: bytes) -> None:
        """Takes the whole second message, head included."""
        if message[:24] != head_step(self.mode, 2):
            raise Fault("F1", "head of step 2")
        try:
            payload = self.noise.read(message[24:])
        except DhZero as error:
            raise Fault("F3", "step 2") from error
        except NoiseFault as error:
            raise Fault("F6", "step 2") from error
        self._check_settings(payload)
        if self.has_sas:
            self.nB = payload[2:]

    def step3(self) -> bytes:
        return head_step(MUTUAL, 3) + self.noise.write(b"")

    def finish_data(self) -> bytes:
        return self.nA if self.has_sas else b""

    @property
    def peer_key(self) -> bytes | None:
        return self.noise.remote_static


class Responder(_End):
    """The server's half. step1() in and step2() out, step3() in (mode 4), then session(), which checks FINISH."""

    def __init__(self, mode: int, *, psks: list[bytes] | None = None, **rest):
        super().__init__(mode, **rest)
        self.psks = psks if psks is not None else ([self.psk] if self.psk else [])

    def step1(self, message: bytes) -> None:
        head = message[:24]
        if head[8:12] != b"STCP" or head[12] != 1 or head[13] != 1:
            raise Fault("F1", "head of step 1")
        if head[14] != self.mode or head[15] != 1:
            raise Fault("F2", "mode or suite")
        if int.from_bytes(head[:8], "big") != message_length(self.mode, 1):
            raise Fault("F1", "N")
        hint = head[16:24]
        if self.mode == PSK:
            ephemeral = message[24:56]
            self.psk = next((p for p in self.psks if hint_for(p, ephemeral) == hint), None)
            if self.psk is None:
                raise Fault("F5", "hint")
        elif hint != bytes(8):
            raise Fault("F5", "hint")
        self._start(False, head)
        try:
            payload = self.noise.read(message[24:])
        except NoiseFault as error:
            raise Fault("F4", "step 1") from error
        self._check_settings(payload)
        self.commitment = payload[2:]

    def step2(self) -> bytes:
        self.nB = self.nonce
        try:
            body = self.noise.write(self.settings + (self.nB if self.has_sas else b""))
        except DhZero as error:
            raise Fault("F3", "step 2") from error
        return head_step(self.mode, 2) + body

    def step3(self, message: bytes) -> None:
        if message[:24] != head_step(MUTUAL, 3):
            raise Fault("F1", "head of step 3")
        try:
            self.noise.read(message[24:])
        except DhZero as error:
            raise Fault("F3", "step 3") from error
        except NoiseFault as error:
            raise Fault("F8", "step 3") from error

    @property
    def peer_key(self) -> bytes | None:
        return self.noise.remote_static


class Session:
    """Both directions after the handshake, with the rules of sections 4 and 5."""

    def __init__(self, client: bool, mode: int, h: bytes, k_c2s: bytes, k_s2c: bytes, max_data: int, ends: _End):
        self.client = client
        self.mode = mode
        self.h = h
        self.k = (k_c2s, k_s2c)
        self.exp = label(hkdf_extract(h, k_c2s + k_s2c), "stcp1 exp")
        self.c2s = Direction(label(k_c2s, "stcp1 ck", h), max_data)
        self.s2c = Direction(label(k_s2c, "stcp1 ck", h), max_data)
        self.out, self.incoming = (self.c2s, self.s2c) if client else (self.s2c, self.c2s)
        self.max_data = max_data
        self.ends = ends
        self.finished = client
        self.sent_close: int | None = None
        self.got_close: int | None = None
        self.empty_since_data = 0
        self.counted_from = time.monotonic()
        self.rekey_key: KeyPair | None = None  # client: e', server: e''
        self.rekey_shared: tuple[bytes, bytes] | None = None
        self.rekeys_done = 0
        self.received_types: list[int] = []

    # -- sending --
    def finish(self) -> bytes:
        assert self.client
        return self.out.seal(FINISH, self.ends.finish_data())

    def data(self, data: bytes, pad: int = 0) -> bytes:
        return self.out.seal(DATA, data, pad)

    def close(self, reason: int = 0) -> bytes:
        self.sent_close = reason
        return self.out.seal(CLOSE, bytes([reason]))

    def ping(self) -> bytes:
        return self.out.seal(PING, b"")

    def start_rekey(self, key: KeyPair | None = None) -> bytes:
        """R1, of a client."""
        assert self.client
        self.rekey_key = key or KeyPair()
        return self.out.seal(REKEY, self.rekey_key.public)

    def ask_rekey(self) -> bytes:
        """R0, of a server."""
        assert not self.client
        return self.out.seal(REKEY, b"")

    # -- receiving --
    def open(self, record: bytes, key: KeyPair | None = None) -> tuple[int, bytes, bytes]:
        """Takes one record: (type, data, records to send in answer)."""
        if not self.finished:
            return self._open_finish(record)
        kind, data, _ = self.incoming.open(record)
        self.received_types.append(kind)
        if self.got_close is not None:
            raise Fault("F14", "record after CLOSE")
        reply = b""
        sizes = {DATA: None, CLOSE: (1,), PING: (0,), FINISH: None, PIN_UPDATE: (32,),
                 REKEY: (32, 0)}
        if kind not in sizes or (sizes[kind] is not None and len(data) not in sizes[kind]):
            raise Fault("F13", f"type {kind} size {len(data)}")
        if kind == FINISH:
            raise Fault("F14", "FINISH again")
        if kind == PIN_UPDATE and (not self.client or self.mode not in (TOFU, MUTUAL)):
            raise Fault("F14", "PIN_UPDATE")
        if kind == CLOSE:
            self.got_close = data[0]
            if data[0] and self.sent_close is None:
                reply = self.close(data[0])
        elif kind == REKEY:
            reply = self._handle_rekey(data, key)
        self._count(kind == DATA and len(data) > 0)
        return kind, data, reply

    def _open_finish(self, record: bytes) -> tuple[int, bytes, bytes]:
        want = 52 if self.ends.has_sas else 20
        if int.from_bytes(record[:8], "big") != want:
            raise Fault("F1", "length of FINISH")
        try:
            kind, data, pad = self.incoming.open(record)
        except Fault as error:
            raise Fault("F8", "FINISH") from error
        if kind != FINISH or pad or len(data) != want - 20:
            raise Fault("F8", "FINISH")
        if self.ends.has_sas:
            self.ends.nA = data
            if self.ends.commit(self.ends.peer_key or b"") != self.ends.commitment:
                raise Fault("F8", "commitment")
        self.finished = True
        self.received_types.append(kind)
        return kind, data, b""

    def _handle_rekey(self, data: bytes, key: KeyPair | None) -> bytes:
        if self.client:
            if not data:  # R0
                if self.rekey_key is None and self.sent_close is None and self.got_close is None:
                    return self.start_rekey(key)
                return b""
            if self.rekey_key is None:
                raise Fault("F14", "R2 unasked")
            shared, hk = self._secrets(self.rekey_key, self.rekey_key.public, data)
            self.rekey_key = None
            self.s2c.rekey(shared, hk)
            if self.sent_close is not None:
                return b""
            reply = self.c2s.seal(REKEY, b"")
            self.c2s.rekey(shared, hk)
            self.rekeys_done += 1
            return reply
        if data:  # R1
            if self.rekey_shared is not None:
                raise Fault("F14", "R1 before R3")
            if self.sent_close is not None:
                return b""
            mine = key or KeyPair()
            self.rekey_shared = self._secrets(mine, data, mine.public)
            reply = self.s2c.seal(REKEY, mine.public)
            self.s2c.rekey(*self.rekey_shared)
            return reply
        if self.rekey_shared is None:
            raise Fault("F14", "R3 unasked")
        self.c2s.rekey(*self.rekey_shared)
        self.rekey_shared = None
        self.rekeys_done += 1
        return b""

    def _secrets(self, own: KeyPair, first: bytes, second: bytes) -> tuple[bytes, bytes]:
        remote = second if own.public == first else first
        try:
            return own.exchange(remote), sha256(self.h + first + second)
        except DhZero as error:
            raise Fault("F3", "rekey") from error

    def _count(self, brings_data: bool) -> None:
        now = time.monotonic()
        if brings_data:
            self.empty_since_data, self.counted_from = 0, now
            return
        self.empty_since_data += 1
        if self.empty_since_data > 64 * (1 + int(now - self.counted_from)):
            raise Fault("F15", "empty records")

    # -- what both ends agree on --
    @property
    def sas(self) -> str | None:
        if not self.ends.has_sas:
            return None
        mac = hmac256(label(self.exp, "stcp1 sas"), self.h + self.ends.nA + self.ends.nB)
        return f"{int.from_bytes(mac[:5], 'big') % 10**6:06d}"

    def export(self, name: str, context: bytes, size: int) -> bytes:
        return label(self.exp, name, context, size)
