"""A session on a WebSocket, dialling."""

import socket

from . import frames, websocket
from .handshake import Initiator


class Ended(Exception):
    """The WebSocket is closed: with this code, or None for an end without Close."""

    def __init__(self, code: int | None):
        super().__init__(f"closed with {code}")
        self.code = code


def dial(port: int, source: str = "127.0.0.1", timeout: float = 60, headers: tuple = (), path: str = "/stt",
         ) -> tuple[socket.socket, bytes]:
    """A connection, and the server's answer to the upgrade."""
    sock = socket.create_connection(("127.0.0.1", port), timeout, (source, 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(websocket.request(port, path, headers))
    return sock, websocket.read_head(sock)


class Peer:
    """An initiator whose every step can be edited. `send` takes whole datagrams."""

    def __init__(self, sock: socket.socket, initiator: Initiator):
        self.sock, self.initiator = sock, initiator
        self.sending: frames.Keys | None = None
        self.receiving: frames.Keys | None = None
        self.session_id = b""
        self.next_sent = 0
        self.next_received = 0
        self.inbox: list[tuple[frames.Frame, bytes]] = []

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    # -- messages of the WebSocket --
    def send(self, datagram: bytes) -> None:
        self.sock.sendall(websocket.frame(datagram))

    def receive(self) -> bytes:
        while True:
            try:
                opcode, payload = websocket.read_frame(self.sock)
            except (EOFError, ConnectionResetError) as error:
                raise Ended(None) from error
            if opcode == websocket.CLOSE:
                raise Ended(int.from_bytes(payload[:2], "big") if payload else 1005)
            if opcode == websocket.BINARY:
                return payload

    # -- the handshake --
    def shake(self) -> "Peer":
        self.send(self.initiator.hello_frame())
        frame = frames.parse(self.receive())[0]
        if b"RETRY" in frame.payload:
            self.send(self.initiator.take_retry(frame))
            frame = frames.parse(self.receive())[0]
        self.send(self.initiator.take_response(frame))
        data = self.receive()
        final, at = frames.parse(data)
        self.initiator.take_final(final)
        self.begin()
        self.take(data[at:])
        return self

    def begin(self) -> None:
        schedule = self.initiator.schedule
        self.session_id = schedule.session_id
        self.sending, self.receiving = frames.Keys(schedule.i2r), frames.Keys(schedule.r2i)

    # -- session frames --
    def seal(self, kind: int, stream: int, plaintext: bytes, flags: int = 0, number: int | None = None) -> bytes:
        if number is None:
            number, self.next_sent = self.next_sent, self.next_sent + 1
        return self.sending.seal(frames.Frame(kind, self.session_id, stream, number, flags), plaintext)

    def data(self, stream: int, body: bytes, flags: int = 0, mode: int = 0) -> bytes:
        """A DATA frame; with INIT its parameters stand first."""
        return self.seal(frames.DATA, stream, (frames.init(mode) if flags & frames.INIT else b"") + body, flags)

    def control(self, *messages: tuple) -> bytes:
        return self.seal(frames.CONTROL, 0, frames.control(*messages))

    def stream_control(self, stream: int, *messages: tuple) -> bytes:
        return self.seal(frames.STREAM_CONTROL, stream, frames.control(*messages))

    def take(self, data: bytes) -> None:
        for frame in frames.parse_all(data):
            assert frame.number == self.next_received, "one number after the other"
            self.next_received += 1
            self.inbox.append((frame, self.receiving.open(frame)))

    def next_frame(self) -> tuple[frames.Frame, bytes]:
        while not self.inbox:
            self.take(self.receive())
        return self.inbox.pop(0)

    def messages(self, frame: frames.Frame, plaintext: bytes) -> list[tuple[int, list]]:
        return frames.read_control(plaintext) if frame.type in (frames.CONTROL, frames.STREAM_CONTROL) else []

    def end_code(self) -> tuple[int | None, int | None]:
        """Code of the session's CLOSE (None: none came) and of the WebSocket's."""
        code = None
        while True:
            try:
                frame, plaintext = self.next_frame()
            except Ended as ended:
                return code, ended.code
            for number, values in self.messages(frame, plaintext):
                if frame.type == frames.CONTROL and number == 6:
                    code = values[0]

    def echo(self, data: bytes, stream: int = 1) -> bytes:
        """Sends a whole stream of mode 0 and reads until its end."""
        limit, at, got, ended = 262144, 0, bytearray(), False
        granted = 262144
        opened = False
        while not ended:
            while at < len(data) and at < limit or not opened:
                piece = data[at:min(at + 60000, limit)]
                flags = (0 if opened else frames.INIT) | (frames.FIN if at + len(piece) == len(data) else 0)
                self.send(self.data(stream, frames.tlv.varint(at) + piece, flags))
                at, opened = at + len(piece), True
            frame, plaintext = self.next_frame()
            if frame.type == frames.DATA and frame.stream == stream:
                offset, begin = frames.tlv.read_varint(plaintext)
                assert offset == len(got)
                got += plaintext[begin:]
                ended = bool(frame.flags & frames.FIN)
                if granted - len(got) < 131072 and not ended:
                    granted = len(got) + 262144
                    self.send(self.stream_control(stream, frames.credit(granted)))
                    self.send(self.control(frames.session_credit(granted + (1 << 20))))
            for number, values in self.messages(frame, plaintext):
                if frame.type == frames.STREAM_CONTROL and number == 2:
                    limit = values[0]
        return bytes(got)

    def bye(self) -> tuple[int | None, int | None]:
        self.send(self.control(frames.close(0)))
        return self.end_code()


def connect(port: int, seed: bytes, *, source: str = "127.0.0.1", timeout: float = 60, **rest) -> Peer:
    """An ACTIVE session."""
    sock, head = dial(port, source, timeout)
    assert head.startswith(b"HTTP/1.1 101"), head
    return Peer(sock, Initiator(seed, **rest)).shake()
