"""What the attack tests of STT over UDP share, beside what stt_harness.py has.

A fault is silence there, and silence is proved without waiting for it: what the server says to one socket keeps its order on
the loopback, so behind the datagrams in question goes one that is always answered (a HELLO from long ago: RETRY; in a session
a PING: PONG), and what came before that answer is all that will come."""

import contextlib
import os
import threading

import stt_harness
from stt_harness import FLOW, KEYS, LIMIT, MEMORY_BUDGET, PROTOCOL, SMALL_ORDER, STREAM  # noqa: F401
from stt_harness import Ended, frames, handshake, main, st, stcp1, tlv  # noqa: F401
from stt1 import datagram
from stt1.datagram import HELLO_BYTES, Silence, UdpPeer, UdpServer, open_socket, wait_for  # noqa: F401
from stt1.relay import Darkness, Relay  # noqa: F401


def say(text: str) -> None:
    """A measured figure, for people; never a criterion."""
    print(f"  {text}", flush=True)


class UdpCase(stt_harness.SttCase):
    scheme = "udp"

    def serve(self, *options, **rest) -> "Served":
        server = Served(self, options, **rest)
        self.servers.append(server)
        return server

    def initiator(self, **rest) -> handshake.Initiator:
        return handshake.Initiator(rest.pop("seed", self.seed), fill=rest.pop("fill", HELLO_BYTES), **rest)

    def relay(self, server: "Served", **hooks) -> Relay:
        return self.enterContext(Relay(server.address, st.fresh_source(), **hooks))

    def check_real_echo(self, port: int, size: int = 300_000, **rest) -> None:
        """An honest `sealine stt connect` gets back what it sends."""
        data = os.urandom(size)
        code, out, err = self.run_connect(port, data, **rest)
        self.assertEqual((code, out == data), (0, True), err)


class Served(stt_harness.Served):
    """A listener under attack."""

    @property
    def address(self) -> tuple:
        return "127.0.0.1", self.port

    def peer(self, source: str | None = None, **rest) -> UdpPeer:
        """A socket in a /24 of its own from which nothing has been said."""
        return UdpPeer(open_socket(source or st.fresh_source()), self.address,
                       handshake.Initiator(rest.pop("seed", self.seed), fill=HELLO_BYTES, **rest))

    def session(self, **rest) -> UdpPeer:
        return self.peer(**rest).shake()

    def prober(self, source: str | None = None, port: int = 0) -> "Prober":
        return Prober(self, source or st.fresh_source(), port)

    def answers_to(self, *datagrams: bytes) -> list[bytes]:
        """What comes back for these from a new address."""
        with self.prober() as prober:
            return prober.answers_to(*datagrams)

    def be_honest(self, size: int = 5000) -> None:
        data = os.urandom(size)
        with self.session() as peer:
            self.case.assertEqual(peer.echo(data), data, "echo for an honest client")
            peer.bye()


class Prober:
    """A socket that asks and counts."""

    def __init__(self, server: Served, source: str, port: int = 0):
        self.server, self.sock = server, open_socket(source, port)
        self.bytes_out = self.bytes_in = 0

    def __enter__(self) -> "Prober":
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.bytes_out += len(data)
        self.sock.sendto(data, self.server.address)

    def receive(self, seconds: float = st.WAIT) -> bytes | None:
        came = wait_for(self.sock, seconds)
        if came is None:
            return None
        self.bytes_in += len(came[0])
        return came[0]

    def settle(self) -> list[bytes]:
        """All that comes before the answer to a question that is always answered."""
        came: list[bytes] = []
        for _ in range(int(st.WAIT)):
            marker = handshake.Initiator(self.server.seed, fill=HELLO_BYTES, timestamp=1)
            self.send(marker.hello_frame())
            while (data := self.receive(1)) is not None:
                if data[3:11] == marker.handshake_id:
                    return came
                came.append(data)
        raise Silence

    def answers_to(self, *datagrams: bytes) -> list[bytes]:
        for data in datagrams:
            self.send(data)
        return self.settle()


@contextlib.contextmanager
def answering(server: UdpServer):
    """A Python server in a thread; what its session ended with stands in the list when the block has ended."""
    ends: list = []
    thread = threading.Thread(target=lambda: ends.append(server.serve()), daemon=True)
    thread.start()
    try:
        yield ends
    finally:
        server.is_told_to_stop = True
        thread.join(st.WAIT)
        server.sock.close()
