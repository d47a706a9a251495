"""Both roles on a blocking socket, for tests."""

import socket

from .channel import RESUME, Channel, Connection
from .handshake import (MUTUAL, PINNED, PINNED_PSK, Initiator, KeyPair, Responder, ack_length, init_length,
                        response_length)
from .wire import ACK, CLOSE, DATA, HEAD, LONGEST, MAC, PROTOCOL, TOO_LARGE, UNKNOWN_CHANNEL, Fault, read_head

TIMEOUT = 20.0


class Truncated(Exception):
    """The stream has ended without CLOSE."""


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


def read_message(sock: socket.socket, limit: int = LONGEST) -> bytes:
    head = read_exactly(sock, HEAD)
    length = read_head(head)[3]
    if length > limit:
        raise Fault(TOO_LARGE, f"length {length}")
    return head + read_exactly(sock, length + MAC)


class Peer:
    """An open channel. With `acknowledges` off it never gives a receipt of its own accord."""

    def __init__(self, sock: socket.socket, connection: Connection, ends, acknowledges: bool = True):
        self.sock, self.connection, self.ends, self.acknowledges = sock, connection, ends, acknowledges
        self.records: list[tuple[int, int]] = []  # type and length of what came

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_) -> None:
        self.sock.close()

    @property
    def channel(self) -> Channel:
        return self.connection.channel

    @property
    def out(self):
        return self.connection.out

    @property
    def peer_key(self) -> bytes | None:
        return self.ends.peer_key

    def send_raw(self, data: bytes) -> None:
        self.sock.sendall(data)

    def send(self, data: bytes) -> None:
        self.send_raw(self.connection.make_message(data))

    def end(self) -> None:
        self.send_raw(self.connection.make_end())

    def close(self, code: int = 0) -> None:
        """CLOSE, without FIN."""
        self.send_raw(self.connection.make_close(code))

    def receive_record(self) -> tuple[int, bytes]:
        """Takes one message of the wire, and answers it as an honest end does."""
        data = read_message(self.sock)
        have = self.channel.have
        kind, text, answer = self.connection.handle(data)
        self.records.append((kind, len(data) - HEAD - MAC))
        if self.acknowledges and (self.channel.have != have or kind == CLOSE):
            answer += self.connection.make_receipt()
        if answer:
            try:
                self.send_raw(answer)
            except OSError:
                pass  # an answer to CLOSE may come too late for its reader
        return kind, text

    def receive(self) -> bytes | None:
        """The next message, None when the other end has sent END or CLOSE."""
        while not self.channel.inbox:
            if self.channel.peer_ended or self.connection.closed is not None:
                return None
            self.receive_record()
        return self.channel.inbox.pop(0)

    def receive_all(self) -> list[bytes]:
        out = []
        while (data := self.receive()) is not None:
            out.append(data)
        return out

    def wait_receipts(self, n: int | None = None) -> None:
        """Reads until so many (all) of our messages have their receipt."""
        while self.channel.receipts < (len(self.channel.sent) if n is None else n):
            self.receive_record()

    def wait_close(self) -> int:
        """Reads until CLOSE comes: its code."""
        while self.connection.closed is None:
            self.receive_record()
        return self.connection.closed

    def rotate(self) -> None:
        """A client's rotation, to its end."""
        done = self.connection.rotations
        self.send_raw(self.connection.make_rotation())
        while self.connection.rotations == done:
            self.receive_record()

    def finish(self) -> None:
        """END, what still comes, CLOSE and its answer: the whole orderly end of a client."""
        self.end()
        while not self.channel.peer_ended:
            self.receive_record()
        self.wait_receipts()
        self.close()
        while True:
            try:
                self.receive_record()
            except Truncated:
                return


def connect(address, mode: int = MUTUAL, *, static: KeyPair | None = None, source: str | None = None,
            sock: socket.socket | None = None, timeout: float = TIMEOUT, channel: Channel | None = None,
            acknowledges: bool = True, confirm: bool = True, resume=None, ends: Initiator | None = None,
            **rest) -> Peer:
    """The client: dials (or takes `sock`) and shakes hands. With `channel` it asks to go on with that one, and sends
    again what the server has not; `resume(h)` makes a block of another kind. Without `confirm` it does not wait for
    what the server says first where reconnecting is on."""
    own = sock is None
    if own:
        sock = socket.create_connection(address, timeout, (source, 0) if source else None)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.settimeout(timeout)
    try:
        if ends is None:
            if mode in (PINNED, MUTUAL, PINNED_PSK) and static is None:
                static = KeyPair()
            ends = Initiator(mode, static=static, reconnect=rest.pop("reconnect", channel is not None), **rest)
        sock.sendall(ends.init())
        ends.response(read_exactly(sock, HEAD + response_length(ends.mode) + MAC))
        block = resume or (channel.resume_block if channel is not None else None)
        sock.sendall(ends.ack(block))
        peer = Peer(sock, Connection(ends, channel), ends, acknowledges)
        if confirm and ends.reconnect:
            _confirm(peer, block is not None)
        return peer
    except BaseException:
        if own:
            sock.close()
        raise


def _confirm(peer: Peer, resumed: bool) -> None:
    """The server's first message where reconnecting is on."""
    kind, text = peer.connection.incoming.open(read_message(peer.sock))
    if not resumed:
        if (kind, text) != (ACK, bytes(8)):
            raise Fault(PROTOCOL, "first message of the server")
        return
    if kind == CLOSE:
        raise Fault(text[0], "refused")
    channel = peer.channel
    if kind != DATA or text[0] != RESUME or text[9:] != channel.proof("s", peer.connection.h0):
        raise Fault(PROTOCOL, "first message of the server")
    receipt = peer.connection.make_receipt()
    peer.send_raw(receipt + b"".join(peer.connection.make_again(int.from_bytes(text[1:9], "big"))))


def serve_one(sock: socket.socket, mode: int = MUTUAL, *, static: KeyPair | None = None, timeout: float = TIMEOUT,
              channels: dict | None = None, acknowledges: bool = True, **rest) -> Peer:
    """The server, on an accepted socket, up to a verified ACK and what it says first. `channels` (id -> Channel) are
    those that may be taken up again, and new ones are added."""
    sock.settimeout(timeout)
    if mode in (PINNED, MUTUAL, PINNED_PSK) and static is None:
        static = KeyPair()
    ends = Responder(mode, static=static, reconnect=rest.pop("reconnect", True), **rest)
    ends.init(read_exactly(sock, HEAD + init_length(mode) + MAC))
    sock.sendall(ends.response())
    head = read_exactly(sock, HEAD)
    length = read_head(head)[3]
    if length not in (ack_length(mode), ack_length(mode, True)):
        raise Fault(PROTOCOL, f"length {length}")
    block = ends.ack(head + read_exactly(sock, length + MAC))
    known = channels if channels is not None else {}
    channel = known.get(block[:16]) if block else None
    connection = Connection(ends, channel)
    peer = Peer(sock, connection, ends, acknowledges)
    if block and (channel is None or block[24:] != channel.proof("c", ends.h)):
        sock.sendall(connection.make_close(UNKNOWN_CHANNEL))
        raise Fault(UNKNOWN_CHANNEL, "resume")
    if block:
        sock.sendall(connection.make_resume() + connection.make_receipt()
                     + b"".join(connection.make_again(int.from_bytes(block[16:24], "big"))))
    elif ends.reconnect:
        known[peer.channel.id] = peer.channel
        sock.sendall(connection.make_receipt(0))
    return peer
