"""A path between a client and a server of datagrams that does what it is told: one thread, two sockets."""

import collections
import select
import socket
import threading
import time

from . import datagram


class Relay:
    """`up` and `down` say what becomes of a datagram, given its number in that direction: a list of datagrams, None for itself
    alone. With move() the server sees the client come from another port; what it sends to the old one is lost."""

    def __init__(self, server: tuple, source: str = "127.0.0.1", up=None, down=None):
        self.server, self.source = server, source
        self.hooks = {"up": up, "down": down}
        self.counts = collections.Counter()
        self.seen: list[tuple[str, bytes]] = []  # the first thousand
        self.front, self.back = datagram.open_socket(), datagram.open_socket(source)
        self.port = self.front.getsockname()[1]
        self.client: tuple | None = None
        self.moves = 0
        self._wanted_moves = 0
        self._ended = False
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def move(self) -> None:
        self._wanted_moves += 1
        self._wake.send(b"m")

    def __enter__(self) -> "Relay":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._wake.send(b"e")
        self._thread.join(10)
        for sock in (self.front, self.back, self._wake, self._woken):
            sock.close()

    def _run(self) -> None:
        poll = select.poll()
        for sock in (self.front, self.back, self._woken):
            poll.register(sock, select.POLLIN)
        while not self._ended:
            for handle, _ in poll.poll():
                if handle == self._woken.fileno():
                    self._woken.recv(64)
                elif handle == self.front.fileno():
                    self._drain(self.front, "up")
                elif handle == self.back.fileno():
                    self._drain(self.back, "down")
            while self.moves < self._wanted_moves:
                poll.unregister(self.back)
                self.back.close()
                self.back = datagram.open_socket(self.source)
                poll.register(self.back, select.POLLIN)
                self.moves += 1

    def _drain(self, sock: socket.socket, way: str) -> None:
        for _ in range(64):
            try:
                data, address = sock.recvfrom(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                continue  # of what was sent to one who is gone
            if way == "up":
                self.client = address
            number = self.counts[way]
            self.counts[way] += 1
            if len(self.seen) < 1000:
                self.seen.append((way, data))
            hook = self.hooks[way]
            out = hook(number, data) if hook else None
            for one in [data] if out is None else out:
                self._send(one, way)

    def _send(self, data: bytes, way: str) -> None:
        try:
            if way == "up":
                self.back.sendto(data, self.server)
            elif self.client is not None:
                self.front.sendto(data, self.client)
        except OSError:
            pass  # as lost as any


class Darkness:
    """For a hook: nothing passes for some seconds, once `begin` datagrams have."""

    def __init__(self, begin: int, seconds: float):
        self.begin, self.seconds, self.until, self.lost = begin, seconds, None, 0

    def __call__(self, number: int, data: bytes) -> list[bytes] | None:
        if number < self.begin:
            return None
        if self.until is None:
            self.until = time.monotonic() + self.seconds
        if time.monotonic() >= self.until:
            return None
        self.lost += 1
        return []
