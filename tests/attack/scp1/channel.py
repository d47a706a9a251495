"""One channel: what outlives its connections (Channel) and one connection of it (Connection): bytes in, bytes out.
spec: scp.md, messages, receipts, rotation, reconnect."""

from stcp1.primitives import DhZero, KeyPair, hmac256, label, sha256  # noqa: F401

from .wire import ACK, CLOSE, DATA, INIT, PROTOCOL, RESPONSE, UNKNOWN_CHANNEL, Direction, Fault

WHOLE, PART, PAD, RESUME, END = 0, 1, 2, 3, 4
PART_BYTES = 65536
WIRE_CODES = (0, 1, 5, 6, 7, 9, 10, 11)


def be64(n: int) -> bytes:
    return n.to_bytes(8, "big")


class Channel:
    """The numbers and copies of a channel, and the secret by which it is taken up again."""

    def __init__(self, exp: bytes):
        self.exp = exp
        self.id = label(exp, "scp1 channel", b"", 16)
        self.rk = label(exp, "scp1 resume")
        self.sent: list[bytes | None] = []  # what was begun, END as None
        self.receipts = 0  # of ours
        self.have = 0  # of theirs, held whole
        self.inbox: list[bytes] = []
        self.peer_ended = False

    def proof(self, side: str, h: bytes) -> bytes:
        return label(self.rk, f"scp1 resume {side}", h)

    def resume_block(self, h: bytes) -> bytes:
        return self.id + be64(self.have) + self.proof("c", h)


class Connection:
    """One connection of a channel, after its handshake. `ends` is an Initiator or a Responder that is done.

    make_*() give what to write; handle() takes one whole message and gives what is to be answered at once. Receipts are
    given by make_receipt(), when who drives this says so: an attacker may never do it."""

    def __init__(self, ends, channel: Channel | None = None):
        self.client = hasattr(ends.noise, "initiator") and ends.noise.initiator
        self.c2s, self.s2c, self.h = ends.c2s, ends.s2c, ends.h
        self.h0 = ends.h
        self.reconnect = ends.reconnect
        self.channel = channel or Channel(ends.exp)
        self.parts = b""
        self.in_parts = False
        self.rotation_key: KeyPair | None = None
        self.shared: tuple[bytes, bytes] | None = None
        self.rotations = 0
        self.closed: int | None = None  # the code of their CLOSE
        self.types: list[tuple[int, bytes]] = []  # all that came, opened

    @property
    def out(self) -> Direction:
        return self.c2s if self.client else self.s2c

    @property
    def incoming(self) -> Direction:
        return self.s2c if self.client else self.c2s

    # -- what is written --
    def make_message(self, data: bytes, number: bool = True) -> bytes:
        if number:
            self.channel.sent.append(data)
        out = b""
        while len(data) > PART_BYTES:
            out += self.out.seal(DATA, bytes([PART]) + data[:PART_BYTES])
            data = data[PART_BYTES:]
        return out + self.out.seal(DATA, bytes([WHOLE]) + data)

    def make_end(self) -> bytes:
        self.channel.sent.append(None)
        return self.out.seal(DATA, bytes([END]))

    def make_pad(self, size: int = 0) -> bytes:
        return self.out.seal(DATA, bytes([PAD]) + bytes(size))

    def make_receipt(self, n: int | None = None) -> bytes:
        return self.out.seal(ACK, be64(self.channel.have if n is None else n))

    def make_close(self, code: int = 0) -> bytes:
        return self.out.seal(CLOSE, bytes([code]))

    def make_rotation(self, key: KeyPair | None = None) -> bytes:
        self.rotation_key = key or KeyPair()
        return self.out.seal(INIT, self.rotation_key.public)

    def make_resume(self) -> bytes:
        channel = self.channel
        return self.out.seal(DATA, bytes([RESUME]) + be64(channel.have) + channel.proof("s", self.h0))

    def make_again(self, have: int) -> list[bytes]:
        """What the other end has not: whole, in order."""
        if not self.channel.receipts <= have <= len(self.channel.sent):
            raise Fault(UNKNOWN_CHANNEL, "have")
        return [self.out.seal(DATA, bytes([END])) if data is None else self.make_message(data, False)
                for data in self.channel.sent[have:]]

    # -- what comes --
    def handle(self, data: bytes, key: KeyPair | None = None) -> tuple[int, bytes, bytes]:
        """(type, plaintext, answer)."""
        kind, text = self.incoming.open(data)
        self.types.append((kind, text))
        if self.closed is not None:
            raise Fault(PROTOCOL, "after CLOSE")
        answer = b""
        if kind == DATA:
            self._handle_data(text)
        elif kind == ACK and len(text) == 8:
            n = int.from_bytes(text, "big")
            if not self.channel.receipts <= n <= len(self.channel.sent):
                raise Fault(PROTOCOL, f"receipt {n}")
            self.channel.receipts = n
        elif kind == ACK and not text and not self.client and self.shared is not None:
            self.c2s.rotate(*self.shared)
            self.shared = None
            self.rotations += 1
        elif kind == CLOSE and len(text) == 1 and text[0] in WIRE_CODES:
            self.closed = text[0]
        elif kind == INIT and len(text) == 32 and not self.client and self.shared is None:
            mine = key or KeyPair()
            self._agree(mine, text, text, mine.public)
            answer = self.out.seal(RESPONSE, mine.public)
            self.s2c.rotate(*self.shared)
        elif kind == RESPONSE and len(text) == 32 and self.client and self.rotation_key is not None:
            self._agree(self.rotation_key, text, self.rotation_key.public, text)
            self.s2c.rotate(*self.shared)
            answer = self.out.seal(ACK, b"")
            self.c2s.rotate(*self.shared)
            self.rotation_key = self.shared = None
            self.rotations += 1
        else:
            raise Fault(PROTOCOL, f"type {kind}, {len(text)} bytes")
        return kind, text, answer

    def _agree(self, own: KeyPair, remote: bytes, first: bytes, second: bytes) -> None:
        try:
            shared = own.exchange(remote)
        except DhZero as error:
            raise Fault(PROTOCOL, "rotation") from error
        self.h = sha256(self.h + first + second)
        self.shared = (shared, self.h)

    def _handle_data(self, text: bytes) -> None:
        what, data = text[0] if text else None, text[1:]
        channel = self.channel
        if what == PAD:
            return
        if channel.peer_ended:
            raise Fault(PROTOCOL, "after END")
        if what == PART and len(data) == PART_BYTES:
            self.parts += data
            self.in_parts = True
        elif what == WHOLE and (data or not self.in_parts) and len(data) <= PART_BYTES:
            channel.inbox.append(self.parts + data)
            channel.have += 1
            self.parts, self.in_parts = b"", False
        elif what == END and not data and not self.in_parts:
            channel.have += 1
            channel.peer_ended = True
        else:
            raise Fault(PROTOCOL, f"kind {what}, {len(data)} bytes")
