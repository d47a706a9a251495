"""Frames on a socket: what client and server share."""

import socket

from stcp1.wire import Truncated, read_exactly

from .frames import CLOSE, CONTROL, HEAD, MAX_CONTROL, NAMES, Incoming, Malformed, Message, Outgoing

TIMEOUT = 30.0
__all__ = ["Truncated", "Wire", "read_exactly", "TIMEOUT"]


class Wire:
    """One connection after its handshake. Truncated is an end without CLOSE."""

    def __init__(self, sock: socket.socket, out_key: bytes, in_key: bytes, max_data: int = 1 << 20):
        self.sock = sock
        self.out, self.incoming = Outgoing(out_key), Incoming(in_key)
        self.max_data = max_data
        self.bytes_out = 0
        self.got_close: int | None = None
        self.sent_close: int | None = None
        self._buffer = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.sock.close()

    # -- out --
    def send_raw(self, data: bytes) -> None:
        self.bytes_out += len(data)
        self.sock.sendall(data)

    def send(self, kind: int, *fields, raw: bytes | None = None, **wrong) -> int:
        """A control message; its frame's number."""
        ctr = self.out.ctr
        if kind == CLOSE:
            self.sent_close = fields[0] if fields else -1
        self.send_raw(self.out.control(kind, *fields, raw=raw, **wrong))
        return ctr

    # -- in --
    def _fill(self, size: int) -> None:
        while len(self._buffer) < size:
            try:
                piece = self.sock.recv(1 << 18)
            except (ConnectionResetError, BrokenPipeError) as error:
                raise Truncated("reset") from error
            if not piece:
                raise Truncated(f"{len(self._buffer)} bytes of a frame")
            self._buffer += piece

    def read_frame(self) -> bytes:
        self._fill(HEAD)
        seq, size = (int.from_bytes(self._buffer[i:i + 4], "big") for i in (0, 4))
        if seq >= CONTROL and (size > MAX_CONTROL or seq & 0xFF not in NAMES):
            raise Malformed(f"head {seq:08x} {size}")
        if seq < CONTROL and not 1 <= size <= self.max_data:
            raise Malformed(f"block of {size}")
        total = HEAD + size + 20
        self._fill(total)
        frame = bytes(self._buffer[:total])
        del self._buffer[:total]
        return frame

    def read(self) -> Message:
        message = self.incoming.open(self.read_frame())
        if message.kind == CLOSE:
            self.got_close = message.fields[0]
        return message

    def has_input(self) -> bool:
        """Whether there is something to read now (or the end)."""
        if self._buffer:
            return True
        timeout = self.sock.gettimeout()
        self.sock.settimeout(0)
        try:
            return self.sock.recv(1, socket.MSG_PEEK) is not None
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True
        finally:
            self.sock.settimeout(timeout)

    def rest(self) -> list[Message]:
        """All messages to the end, however it ends."""
        out = []
        try:
            while True:
                out.append(self.read())
        except (Truncated, TimeoutError):
            return out
