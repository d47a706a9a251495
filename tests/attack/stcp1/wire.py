"""Both roles on a blocking socket, for tests."""

import socket

from .primitives import KeyPair
from .session import (CLOSE, DATA, MUTUAL, PSK, TOFU, Fault, Initiator, Responder, Session, message_length)

TIMEOUT = 20.0


class Truncated(Exception):
    """The stream has ended without CLOSE."""


class Aborted(Exception):
    """CLOSE with a reason that is not 0."""


def read_exactly(sock: socket.socket, size: int) -> bytes:
    out = bytearray()
    while len(out) < size:
        try:
            piece = sock.recv(size - len(out))
        except (ConnectionResetError, BrokenPipeError) as error:
            raise Truncated("reset") from error
        if not piece:
            raise Truncated(f"{len(out)} of {size}")
        out += piece
    return bytes(out)


def read_record(sock: socket.socket, limit: int = (1 << 24) + 20) -> bytes:
    head = read_exactly(sock, 24)
    length = int.from_bytes(head[:8], "big")
    if length > limit:
        raise Fault("F1", f"length {length}")
    return head + read_exactly(sock, length)


class Peer:
    """An ENCRYPTED connection."""

    def __init__(self, sock: socket.socket, session: Session, ends):
        self.sock = sock
        self.session = session
        self.ends = ends
        self.records: list[tuple[int, int]] = []  # type and Length of what came

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_) -> None:
        self.sock.close()

    @property
    def peer_key(self) -> bytes | None:
        return self.ends.peer_key

    def send_raw(self, data: bytes) -> None:
        self.sock.sendall(data)

    def send(self, data: bytes, pad: int = 0) -> None:
        step = self.session.max_data - pad
        for at in range(0, len(data), step):
            self.send_raw(self.session.data(data[at:at + step], pad))

    def ping(self) -> None:
        self.send_raw(self.session.ping())

    def rekey(self) -> None:
        self.send_raw(self.session.start_rekey() if self.session.client else self.session.ask_rekey())

    def end(self, reason: int = 0) -> None:
        """CLOSE, without FIN."""
        self.send_raw(self.session.close(reason))

    def receive_record(self) -> tuple[int, bytes]:
        record = read_record(self.sock)
        kind, data, reply = self.session.open(record)
        self.records.append((kind, len(record) - 24))
        if reply:
            try:
                self.send_raw(reply)
            except OSError:
                pass  # an answer to CLOSE may come too late for its reader
        return kind, data

    def receive(self) -> bytes | None:
        """The next application bytes, None at the clean end."""
        while True:
            kind, data = self.receive_record()
            if kind == DATA and data:
                return data
            if kind == CLOSE:
                if data[0]:
                    raise Aborted(data[0])
                return None

    def receive_all(self) -> bytes:
        out = bytearray()
        while (piece := self.receive()) is not None:
            out += piece
        return bytes(out)

    def receive_exactly(self, size: int) -> bytes:
        out = bytearray()
        while len(out) < size:
            piece = self.receive()
            if piece is None:
                raise Truncated("clean end, too early")
            out += piece
        assert len(out) == size
        return bytes(out)


def connect(address, mode: int = TOFU, *, static: KeyPair | None = None, psk: bytes | None = None,
            source: str | None = None, sock: socket.socket | None = None, timeout: float = TIMEOUT,
            first_data: bytes = b"", **rest) -> Peer:
    """The client: dials (or takes `sock`), shakes hands and sends FINISH."""
    own = sock is None
    if sock is None:
        sock = socket.create_connection(address, timeout, (source, 0) if source else None)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.settimeout(timeout)
    try:
        if mode == MUTUAL and static is None:
            static = KeyPair()
        ends = Initiator(mode, static=static, psk=psk, **rest)
        sock.sendall(ends.step1())
        ends.step2(read_exactly(sock, 24 + message_length(mode, 2)))
        out = ends.step3() if mode == MUTUAL else b""
        session = ends.session()
        out += session.finish()
        if first_data:
            out += session.data(first_data)
        sock.sendall(out)
        return Peer(sock, session, ends)
    except BaseException:
        if own:
            sock.close()
        raise


def serve_one(sock: socket.socket, mode: int = TOFU, *, static: KeyPair | None = None, psk: bytes | None = None,
              timeout: float = TIMEOUT, **rest) -> Peer:
    """The server, on an accepted socket, up to a verified FINISH."""
    sock.settimeout(timeout)
    if mode in (TOFU, MUTUAL) and static is None:
        static = KeyPair()
    ends = Responder(mode, static=static, psk=psk, **rest)
    ends.step1(read_exactly(sock, 24 + message_length(mode, 1)))
    sock.sendall(ends.step2())
    if mode == MUTUAL:
        ends.step3(read_exactly(sock, 24 + message_length(mode, 3)))
    session = ends.session()
    session.open(read_exactly(sock, 24 + (20 if mode == PSK else 52)))
    return Peer(sock, session, ends)


