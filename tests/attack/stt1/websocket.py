"""A WebSocket's framing, and what it takes to break it. spec: websocket.md."""

import base64
import hashlib
import os
import socket
import struct

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
BINARY, CLOSE, PING, PONG = 0x2, 0x8, 0x9, 0xA


def request(port: int, path: str = "/stt", headers: tuple = (), key: str = KEY) -> bytes:
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade",
             f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: stt.v1", *headers, "", ""]
    return "\r\n".join(lines).encode()


def frame(payload: bytes, opcode: int = BINARY, fin: bool = True, masked: bool = True, told: int | None = None,
          rsv: int = 0) -> bytes:
    size = len(payload) if told is None else told
    head = bytes([fin << 7 | rsv << 4 | opcode])
    if size < 126:
        head += bytes([masked << 7 | size])
    elif size < 65536:
        head += bytes([masked << 7 | 126]) + struct.pack(">H", size)
    else:
        head += bytes([masked << 7 | 127]) + struct.pack(">Q", size)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    repeated = mask * (len(payload) // 4 + 1)
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(repeated[:len(payload)], "big")
    return head + mask + mixed.to_bytes(len(payload), "big")


def read_head(sock: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        some = sock.recv(1)
        if not some:
            break
        data += some
    return data


def read_exactly(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        some = sock.recv(size - len(data))
        if not some:
            raise EOFError(f"end after {len(data)} of {size} bytes")
        data += some
    return bytes(data)


def read_frame(sock: socket.socket) -> tuple[int, bytes]:
    """Opcode and payload of a server's frame."""
    first, second = read_exactly(sock, 2)
    assert second < 0x80, "a server does not mask"
    size = second
    if size == 126:
        size = int.from_bytes(read_exactly(sock, 2), "big")
    elif size == 127:
        size = int.from_bytes(read_exactly(sock, 8), "big")
    return first & 15, read_exactly(sock, size)


def answer(key: str) -> bytes:
    """A server's 101."""
    digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    return ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: stt.v1\r\n"
            f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n\r\n").encode()


def read_client_frame(sock: socket.socket) -> tuple[int, bytes]:
    """Opcode and payload of a client's frame."""
    first, second = read_exactly(sock, 2)
    assert second >= 0x80, "a client masks"
    size = second & 0x7F
    if size == 126:
        size = int.from_bytes(read_exactly(sock, 2), "big")
    elif size == 127:
        size = int.from_bytes(read_exactly(sock, 8), "big")
    mask = read_exactly(sock, 4)
    return first & 15, bytes(b ^ mask[i % 4] for i, b in enumerate(read_exactly(sock, size)))
