"""Plays the tables against an end: its peer, frame by frame. An end is a program that echoes; `listen` makes it a server,
`connect PORT` a client that dials again and again."""

import contextlib
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from handshake_cases import REQUEST, Answer, Request, accept_of
from table import Case
from wire import CLOSE, Frame, NotTheRfc, Reader, Seen, close, text

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent.parent / "support")]

import sealine_test as st  # noqa: E402


class Skip(Exception):
    """The end is not there: the message says what is missing."""


def ours() -> list[str]:
    program = st.binaries() / "websocket_echo"
    if not program.exists():
        raise Skip(f"no {program}")
    return [str(program)]


def node_ws() -> list[str]:
    node = shutil.which("node")
    if node is None:
        raise Skip("no node")
    for folder in (st.SOURCE / "build" / "node", st.SOURCE / "web", st.SOURCE / "js" / "stt-client"):
        if (folder / "node_modules" / "ws").is_dir():
            os.environ["NODE_PATH"] = str(folder / "node_modules")
            return [node, str(HERE / "peers" / "ws_echo.js")]
    raise Skip("no ws for node (npm install --prefix build/node ws)")


def python_websockets() -> list[str]:
    found = subprocess.run(["/usr/bin/python3", "-c", "import websockets"], check=False, capture_output=True)
    if found.returncode != 0:
        raise Skip("no python3-websockets")
    return ["/usr/bin/python3", "-B", str(HERE / "peers" / "websockets_echo.py")]


class ServerUnderTest:
    """The runner dials."""

    by_client = True  # the runner's frames

    def __init__(self, command: list[str], patience: float, is_ours: bool):
        self.patience = patience
        self.is_ours = is_ours
        self._process = subprocess.Popen([*command, "listen"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=None if is_ours else subprocess.DEVNULL)
        self.port = int(self._process.stdout.readline())

    def dial(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=st.WAIT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def open(self) -> tuple[socket.socket, bytes]:
        """A WebSocket, and what came behind the answer."""
        sock = self.dial()
        sock.sendall(REQUEST.encode())
        head, rest = read_head(sock)
        if not head.startswith("HTTP/1.1 101"):
            raise NotTheRfc(f"no WebSocket: {head.splitlines()[0]}")
        return sock, rest

    def close(self) -> None:
        if self._process.returncode is not None:
            return
        self._process.stdin.close()
        try:
            self._process.wait(st.WAIT)
        finally:
            self._process.kill()
            self._process.stdout.close()


class ClientUnderTest:
    """The runner is dialled."""

    by_client = False

    def __init__(self, command: list[str], patience: float, is_ours: bool):
        self.patience = patience
        self.is_ours = is_ours
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(st.WAIT)
        self._process = subprocess.Popen([*command, "connect", str(self._listener.getsockname()[1])],
                                         stderr=None if is_ours else subprocess.DEVNULL)

    def take(self) -> tuple[socket.socket, str]:
        """A connection and its request's head."""
        sock = self._listener.accept()[0]
        sock.settimeout(st.WAIT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head, rest = read_head(sock)
        if rest:
            raise NotTheRfc("bytes behind the request, before its answer (4.1)")
        return sock, head

    def open(self) -> tuple[socket.socket, bytes]:
        sock, head = self.take()
        accept = accept_of(header(head, "Sec-WebSocket-Key"))
        sock.sendall(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      f"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: stt.v1\r\n\r\n").encode())
        return sock, b""

    def close(self) -> None:
        if self._process.returncode is not None:
            return
        self._listener.close()
        try:
            self._process.wait(st.WAIT)
        finally:
            self._process.kill()


def read_head(sock: socket.socket) -> tuple[str, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        some = sock.recv(65536)
        if not some:
            return data.decode("latin-1"), b""
        data += some
    head, rest = data.split(b"\r\n\r\n", 1)
    return head.decode("latin-1"), rest


def header(head: str, name: str) -> str:
    found = re.search(rf"(?im)^{name}:[ \t]*(.*?)[ \t]*\r?$", head)
    return found.group(1) if found else ""


# --- frames -----------------------------------------------------------------------------------------------------------

def play(end, case: Case) -> str | None:
    """One row against one end: what is wrong with what it did; None: nothing."""
    says_close = any(f.opcode == CLOSE for f in case.send)
    data = b"".join(f.encode(end.by_client) for f in case.send)
    sock, rest = end.open()
    reader = Reader(from_client=not end.by_client)
    with sock:
        try:
            is_done = case.verdict.is_given if case.verdict.kind == "gives" else never
            talk(sock, reader, rest, data, case.chop, end.patience, is_done)
            if case.verdict.kind == "gives" and is_done(reader.seen):
                # Only now: who has a Close owes no more answers.
                says_close = True
                talk(sock, reader, b"", close(1000).encode(end.by_client), 0, end.patience)
            if not reader.seen.closed and case.early:
                talk(sock, reader, b"", b"".join(f.encode(end.by_client) for f in case.early), 0, end.patience)
                if reader.seen.closed:
                    return "late: only once the message was whole"
            finish(sock, reader, says_close, end)
        except (NotTheRfc, UnicodeDecodeError) as wrong:
            return f"{wrong}; {reader.seen}"
    return case.verdict.judge(reader.seen, end.is_ours)


def never(_seen: Seen) -> bool:
    return False


def talk(sock, reader: Reader, come: bytes, data: bytes, chop: int, patience: float, is_done=never) -> None:
    """Writes and reads at once, until there is a Close, an end, silence, or all is written and done."""
    reader.feed(come)
    sock.setblocking(False)
    at, silent_since = 0, time.monotonic()
    while not reader.seen.closed and not reader.seen.ended:
        if at >= len(data) and is_done(reader.seen):
            return
        wants = [sock] if at < len(data) else []
        left = silent_since + patience - time.monotonic()
        if left <= 0:
            return
        readable, writable, _ = select.select([sock], wants, [], left)
        if readable:
            silent_since = time.monotonic()
            receive(sock, reader)
        if writable:
            silent_since = time.monotonic()
            try:
                at += sock.send(data[at:at + (chop or 1 << 20)])
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:
                at = len(data)  # it reads no more; what it wrote is still there


def receive(sock, reader: Reader) -> None:
    try:
        some = sock.recv(1 << 20)
    except (BlockingIOError, InterruptedError):
        return
    except OSError:
        some = b""
    if some:
        reader.feed(some)
    else:
        reader.seen.ended = True


def finish(sock, reader: Reader, says_close: bool, end) -> None:
    """The closing handshake's rest, as the runner's role is."""
    if reader.seen.closed and not reader.seen.ended:
        with contextlib.suppress(OSError):
            if not says_close:
                sock.sendall(close(1000 if reader.seen.code is None else reader.seen.code).encode(end.by_client))
            if not end.by_client:
                sock.shutdown(socket.SHUT_WR)  # a server ends the connection first
    limit = time.monotonic() + (end.patience if reader.seen.closed else 0)
    while not reader.seen.ended and time.monotonic() < limit:
        if select.select([sock], [], [], max(0.0, limit - time.monotonic()))[0]:
            receive(sock, reader)


# --- the opening handshake --------------------------------------------------------------------------------------------

def send_chopped(sock, data: bytes, chop: int) -> None:
    with contextlib.suppress(OSError):
        for i in range(0, len(data), chop or len(data)):
            sock.sendall(data[i:i + (chop or len(data))])


def ask(server: ServerUnderTest, row: Request) -> str | None:
    """Of others it counts whether a request is taken, not how it is refused."""
    with server.dial() as sock:
        sock.settimeout(server.patience)
        send_chopped(sock, row.head.encode(), row.chop)
        try:
            head, rest = read_head(sock)
        except OSError:
            head, rest = "", b""
        found = re.match(r"HTTP/1\.1 (\d{3}) ", head)
        status = int(found.group(1)) if found else 0
        if (status != row.status) if server.is_ours else ((status == 101) != (row.status == 101)):
            return f"status {status} instead of {row.status}"
        if row.says and row.says.lower() not in head.lower():
            return f"says nothing of `{row.says}`: {head!r}"
        if row.says_not and row.says_not.lower() in head.lower():
            return f"says `{row.says_not}`: {head!r}"
        if status != 101:
            return None
        return is_alive(sock, rest, by_client=True, patience=server.patience)


def answer(client: ClientUnderTest, row: Answer) -> str | None:
    sock, request = client.take()
    with sock:
        sock.settimeout(client.patience)
        wrong = wrong_in_request(request)
        if wrong:
            return wrong
        accept = accept_of(header(request, "Sec-WebSocket-Key"))
        send_chopped(sock, row.head.encode().replace(b"{accept}", accept.encode()), row.chop)
        # Who refuses says so by an end, or waits for the rest of a head: that is not waited for.
        patience = client.patience if row.accepted else min(client.patience, 1.0)
        alive = is_alive(sock, b"", by_client=False, patience=patience)
        if row.accepted:
            return alive
        return "taken for a WebSocket" if alive is None else None


def wrong_in_request(head: str) -> str | None:
    """What section 4.1 asks of a client's request."""
    checks = {
        "GET": head.startswith("GET /stt HTTP/1.1\r\n"),
        "Host": bool(header(head, "Host")),
        "Upgrade": header(head, "Upgrade").lower() == "websocket",
        "Connection": "upgrade" in header(head, "Connection").lower(),
        "Sec-WebSocket-Key": re.fullmatch(r"[A-Za-z0-9+/]{21}[AQgw]==", header(head, "Sec-WebSocket-Key")) is not None,
        "Sec-WebSocket-Version": header(head, "Sec-WebSocket-Version") == "13",
    }
    wrong = [name for name, right in checks.items() if not right]
    return f"its request is wrong in {wrong}: {head!r}" if wrong else None


def is_alive(sock, rest: bytes, by_client: bool, patience: float) -> str | None:
    """Whether a message is echoed and a Close answered: None; else what went wrong."""
    reader = Reader(from_client=not by_client)
    try:
        talk(sock, reader, rest, text("alive").encode(by_client), 0, patience, lambda seen: bool(seen.messages))
        talk(sock, reader, b"", close(1000).encode(by_client), 0, patience)
        sock.setblocking(True)
        if not by_client:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
    except (NotTheRfc, UnicodeDecodeError) as wrong:
        return str(wrong)
    seen: Seen = reader.seen
    if [body for _, body in seen.messages] != [b"alive"] or not seen.closed:
        return f"it does not live: {seen}"
    return None
