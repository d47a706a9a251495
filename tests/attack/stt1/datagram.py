"""A session on datagrams, either role: what is lost is sent again, what comes twice is taken once. spec: stt.md#udp.

Every step can be edited: seal(), control() and data() give datagrams that were not sent, send() sends whatever it is given. What
is posted, on the other hand, is sent again until it is acknowledged. There is no congestion control: the loopback is the path.
"""

import bisect
import os
import select
import socket
import time
from dataclasses import dataclass, field

from stcp1.primitives import KeyPair

from . import frames, tlv
from .handshake import Fault, Initiator, Responder, framed, parse_message, unframed
from .peer import Ended, Peer

HELLO_BYTES = 1200  # of a datagram with HELLO, at least
PIECE = 1100  # bytes of a DATA frame: with what stands around them they fit 1,200
WINDOW = 64  # datagrams on their way
FIRST_REPEAT = 0.25
PROBE_AFTER = 0.2
ACK, PING, PONG, SESSION_CREDIT, ROTATE, CLOSE, PATH_CHALLENGE, PATH_RESPONSE, ROTATED = 3, 1, 2, 4, 5, 6, 7, 8, 14
ACK_FREQ = 12
UNREPEATED = {ACK, PING, PONG, PATH_CHALLENGE, PATH_RESPONSE}


class Silence(Exception):
    """Nothing came in time."""


def open_socket(source: str = "127.0.0.1", port: int = 0) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.bind((source, port))
    return sock


def wait_for(sock: socket.socket, seconds: float) -> tuple[bytes, tuple] | None:
    """A datagram and where it came from; nothing within that time: None."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    while poll.poll(max(0, seconds) * 1000):
        try:
            return sock.recvfrom(65536, socket.MSG_DONTWAIT)
        except (BlockingIOError, ConnectionRefusedError):
            seconds = 0
    return None


class Numbers:
    """Packet numbers, as ranges that do not touch."""

    def __init__(self):
        self.ranges: list[list[int]] = []  # [first, last], ascending

    def __contains__(self, number: int) -> bool:
        at = bisect.bisect_right(self.ranges, [number, 1 << 62]) - 1
        return at >= 0 and number <= self.ranges[at][1]

    def add(self, number: int) -> None:
        at = bisect.bisect_right(self.ranges, [number, 1 << 62])
        if at and number <= self.ranges[at - 1][1] + 1:
            at -= 1
            self.ranges[at][1] = max(self.ranges[at][1], number)
        else:
            self.ranges.insert(at, [number, number])
        if at + 1 < len(self.ranges) and self.ranges[at][1] + 1 == self.ranges[at + 1][0]:
            self.ranges[at][1] = self.ranges.pop(at + 1)[1]

    def newest(self, count: int = 32) -> list[tuple[int, int]]:
        return [(first, last) for first, last in reversed(self.ranges[-count:])]


@dataclass
class Sent:
    kind: int
    stream: int
    flags: int
    plaintext: bytes
    at: float


@dataclass
class Stream:
    """Both directions of a stream of mode 0."""
    own: bool
    pieces: dict = field(default_factory=dict)
    got: bytearray = field(default_factory=bytearray)
    final: int | None = None
    granted: int = 262144
    out: bytearray = field(default_factory=bytearray)
    out_at: int = 0
    out_ends: bool = False
    fin_sent: bool = False
    limit: int = 262144

    def take(self, offset: int, piece: bytes, fin: bool) -> bytes:
        """What can be read that could not before."""
        if fin:
            self.final = offset + len(piece)
        self.pieces[offset] = max(self.pieces.get(offset, b""), piece, key=len)
        begin = len(self.got)
        while ready := [o for o in self.pieces if o <= len(self.got)]:
            for o in ready:
                self.got += self.pieces.pop(o)[len(self.got) - o:]
        return bytes(self.got[begin:])

    @property
    def is_whole(self) -> bool:
        return self.final is not None and len(self.got) == self.final


class UdpPeer(Peer):
    """One end. `end` is an Initiator, or a Responder that has taken the proof."""

    def __init__(self, sock: socket.socket, to: tuple, end: Initiator | Responder, echoes: bool = False):
        super().__init__(sock, end)
        self.to, self.echoes = to, echoes
        self.epochs: dict[int, frames.Keys] = {}
        self.answers: dict[int, tuple] = {}  # ROTATED, by epoch
        self.rotated: list | None = None
        self.got, self.acked = Numbers(), Numbers()
        self.on_their_way: dict[int, Sent] = {}
        self.streams: dict[int, Stream] = {}
        self.session_limit, self.session_used = 1 << 20, 0
        self.session_granted, self.session_got = 1 << 20, 0
        self.closed: tuple[int, str] | None = None
        self.ack_due = 0
        self.probe_after, self.heard_at = PROBE_AFTER, time.monotonic()
        self.newest = (0, 0.0)  # what came last, for the delay of an ACK
        self.frames_in = self.bytes_in = self.bytes_out = 0

    # -- datagrams --
    def send(self, datagram: bytes, sock: socket.socket | None = None) -> None:
        self.bytes_out += len(datagram)
        (sock or self.sock).sendto(datagram, self.to)

    def receive(self, seconds: float = 60) -> bytes | None:
        """The next datagram of the peer's address."""
        deadline = time.monotonic() + seconds
        while came := wait_for(self.sock, deadline - time.monotonic()):
            if came[1] == self.to:
                self.bytes_in += len(came[0])
                return came[0]
        return None

    # -- the handshake of an initiator --
    def repeat(self, datagram: bytes, take, seconds: float = 60):
        """Sends it after 250 ms x 2^k again, until take() makes something of what comes."""
        deadline, pause = time.monotonic() + seconds, FIRST_REPEAT
        while (now := time.monotonic()) < deadline:
            self.send(datagram)
            until, pause = now + pause, min(2 * pause, 2)
            while (left := until - time.monotonic()) > 0:
                came = self.receive(left)
                if came is not None and (found := take(came)) is not None:
                    return found
        raise Silence

    def take_answer(self, datagram: bytes) -> bytes | None:
        """What to send next, if it is an answer to HELLO."""
        try:
            frame = frames.parse(datagram)[0]
            if frame.type != frames.HANDSHAKE or frame.session_id != self.initiator.handshake_id:
                return None
            if parse_message(unframed(frame))["type"] == "RETRY":
                return None if "cookie" in self.initiator.hello else self.initiator.take_retry(frame)
            return self.initiator.take_response(frame)
        except (frames.Drop, Fault):
            return None

    def hello(self) -> bytes:
        """Asks, until the proof can be given; the datagram with it."""
        answer = self.repeat(self.initiator.hello_frame(), self.take_answer)
        while frames.parse(answer)[0].type != frames.AUTH:
            answer = self.repeat(answer, self.take_answer)
        return answer

    def take_final(self, datagram: bytes) -> bytes | None:
        """What stands behind FINAL."""
        try:
            frame, at = frames.parse(datagram)
            if frame.type != frames.AUTH:
                return None  # a session's frame that was faster: it will be sent again
            self.initiator.take_final(frame)
            return datagram[at:]
        except (frames.Drop, Fault):
            return None

    def shake(self, behind_proof=lambda peer: b"") -> "UdpPeer":
        proof = self.hello()
        self.begin()
        rest = self.repeat(proof + behind_proof(self), self.take_final)
        self.take(rest)
        return self

    def begin(self) -> None:
        schedule = self.initiator.schedule
        self.session_id = schedule.session_id
        mine, theirs = frames.Keys(schedule.i2r), frames.Keys(schedule.r2i)
        if isinstance(self.initiator, Responder):
            mine, theirs = theirs, mine
        self.sending, self.receiving = mine, theirs
        self.epochs = {0: theirs}

    # -- what goes --
    def seal(self, kind: int, stream: int, plaintext: bytes, flags: int = frames.REL, number: int | None = None) -> bytes:
        return super().seal(kind, stream, plaintext, flags, number)

    def data(self, stream: int, body: bytes, flags: int = 0, mode: int = 0) -> bytes:
        return super().data(stream, body, flags | frames.REL, mode)

    def post(self, kind: int, stream: int, plaintext: bytes, flags: int = frames.REL) -> int:
        """Sends it, and again until it is acknowledged; its first number."""
        number = self.next_sent
        self.send(self.seal(kind, stream, plaintext, flags))
        self.on_their_way[number] = Sent(kind, stream, flags, plaintext, time.monotonic())
        return number

    def say(self, *messages: tuple) -> int:
        return self.post(frames.CONTROL, 0, frames.control(*messages))

    def ack_frame(self) -> bytes:
        ranges = self.got.newest()
        delay = max(0, int((time.monotonic() - self.newest[1]) * 1e6))
        message = frames.ack(ranges[0][1], delay, frames.encode_ack_ranges(ranges))
        return self.seal(frames.CONTROL, 0, frames.control(message), 0)

    def flush_ack(self) -> None:
        if self.ack_due and self.closed is None:
            self.ack_due = 0
            self.send(self.ack_frame())

    def send_again(self, numbers) -> None:
        for number in numbers:
            old = self.on_their_way.pop(number)
            codes = {m[0] for m in frames.read_control(old.plaintext)} if old.kind == frames.CONTROL else set()
            if not codes or codes - UNREPEATED:
                self.post(old.kind, old.stream, old.plaintext, old.flags)

    def probe(self) -> None:
        now = time.monotonic()
        if self.on_their_way and now >= min(s.at for s in self.on_their_way.values()) + self.probe_after:
            self.probe_after = min(2 * self.probe_after, 5)
            self.send_again(sorted(self.on_their_way)[:2])

    def write(self, stream: int, data: bytes, ends: bool = True) -> Stream:
        out = self.streams.setdefault(stream, Stream(own=True))
        out.out += data
        out.out_ends = out.out_ends or ends
        return out

    def send_streams(self) -> None:
        for number, stream in self.streams.items():
            while len(self.on_their_way) < WINDOW and not stream.fin_sent:
                room = min(PIECE, stream.limit - stream.out_at, self.session_limit - self.session_used)
                piece = bytes(stream.out[stream.out_at:stream.out_at + max(0, room)])
                fin = stream.out_ends and stream.out_at + len(piece) == len(stream.out)
                opens = stream.own and stream.out_at == 0
                if not piece and not fin and not (opens and not len(stream.out)):
                    break
                flags = frames.REL | (frames.INIT if stream.own else 0) | (frames.FIN if fin else 0)
                body = (frames.init() if stream.own else b"") + tlv.varint(stream.out_at) + piece
                self.post(frames.DATA, number, body, flags)
                stream.out_at += len(piece)
                self.session_used += len(piece)
                stream.fin_sent = fin
                if not piece:
                    break

    # -- what comes --
    def take(self, data: bytes) -> list[tuple[frames.Frame, bytes]]:
        """Opens what can be opened, once; what stands behind a fault is not looked at."""
        taken, at = [], 0
        while at < len(data):
            try:
                frame, at = frames.parse(data, at)
                if frame.is_handshake:
                    self.take_handshake(frame)
                    continue
                keys = self.epochs.get(frame.epoch)
                if frame.session_id != self.session_id or frame.number in self.got or keys is None:
                    break
                plaintext = keys.open(frame)
            except frames.Drop:
                break
            if frame.flags & frames.PADDED:
                plaintext = plaintext[:-2 - int.from_bytes(plaintext[-2:], "big")]
            self.got.add(frame.number)
            self.newest = max(self.newest, (frame.number, time.monotonic()))
            self.ack_due += frame.flags & frames.REL
            self.frames_in += 1
            taken.append((frame, plaintext))
            self.inbox.append((frame, plaintext))
            self.take_frame(frame, plaintext)
        return taken

    def take_handshake(self, frame: frames.Frame) -> None:
        """An AUTH_PROOF that came again, for a responder to override; FINAL once more."""

    def take_frame(self, frame: frames.Frame, plaintext: bytes) -> None:
        if frame.type == frames.DATA:
            self.take_data(frame, plaintext)
        elif frame.type == frames.CONTROL:
            for code, values in frames.read_control(plaintext):
                self.take_control(code, values)
        elif frame.type == frames.STREAM_CONTROL:
            body = plaintext[self.init_bytes(plaintext):] if frame.flags & frames.INIT else plaintext
            for code, values in frames.read_control(body):
                if code == 2 and frame.stream in self.streams:
                    self.streams[frame.stream].limit = max(self.streams[frame.stream].limit, values[0])

    @staticmethod
    def init_bytes(plaintext: bytes) -> int:
        return tlv.read_varint(plaintext, 2)[1]

    def take_data(self, frame: frames.Frame, plaintext: bytes) -> None:
        if frame.flags & frames.INIT:
            plaintext = plaintext[self.init_bytes(plaintext):]
        offset, at = tlv.read_varint(plaintext)
        stream = self.streams.setdefault(frame.stream, Stream(own=False))
        new = stream.take(offset, plaintext[at:], bool(frame.flags & frames.FIN))
        self.session_got += len(new)
        if self.echoes:
            stream.out += new
            stream.out_ends = stream.is_whole
        if stream.granted - len(stream.got) < 131072 and stream.final is None:
            stream.granted = len(stream.got) + 262144
            self.post(frames.STREAM_CONTROL, frame.stream, frames.control(frames.credit(stream.granted)))
        if self.session_granted - self.session_got < 1 << 19:
            self.session_granted = self.session_got + (1 << 20)
            self.say(frames.session_credit(self.session_granted))

    def take_control(self, code: int, values: list) -> None:
        if code == ACK:
            self.take_ack(values)
        elif code == PING:
            self.send(self.control((PONG, tlv.u64(values[0]))))
        elif code == SESSION_CREDIT:
            self.session_limit = max(self.session_limit, values[0])
        elif code == ROTATE:
            self.take_rotate(*values)
        elif code == ROTATED:
            self.rotated = values
        elif code == CLOSE:
            self.closed = self.closed or (values[0], values[1])
        elif code == PATH_CHALLENGE:
            self.send(self.control((PATH_RESPONSE, tlv.octets(values[0]))))

    def take_ack(self, values: list) -> None:
        new = []
        for first, last in frames.ack_ranges(values[0], values[2]):
            assert last < self.next_sent, "an ACK of what was never sent"
            new += [n for n in self.on_their_way if first <= n <= last]
            for n in range(first, last + 1):
                if n not in self.acked:
                    self.acked.add(n)
        for number in new:
            del self.on_their_way[number]
        if new:
            self.probe_after = PROBE_AFTER
            self.send_again([n for n in sorted(self.on_their_way) if n + 3 <= values[0]])

    def take_rotate(self, epoch: int, nonce: bytes, eph: bytes | None) -> None:
        if epoch not in self.answers:
            own = KeyPair()
            last = self.epochs[epoch - 1]
            self.epochs[epoch] = last.next(nonce, own.exchange(eph) if eph else b"")
            self.answers[epoch] = frames.rotated(epoch, own.public if eph else None)
        self.say(self.answers[epoch])

    # -- an honest end --
    def step(self, seconds: float) -> None:
        """Waits that long at most for something, and does what is due."""
        self.flush_ack()
        came = self.receive(min(seconds, 0.05 if self.on_their_way else seconds))
        while came is not None:
            self.take(came)
            came = self.receive(0) if self.ack_due < 16 else None
        self.probe()

    def pump(self, until, seconds: float = 60):
        """Until until() gives something; Ended if the peer closes before."""
        deadline = time.monotonic() + seconds
        while not (found := until()):
            if self.closed is not None:
                raise Ended(self.closed[0])
            left = deadline - time.monotonic()
            if left <= 0:
                raise Silence
            self.step(min(left, 1))
            self.send_streams()
        self.flush_ack()
        return found

    def echo(self, data: bytes, stream: int = 1) -> bytes:
        out = self.write(stream, data)
        self.send_streams()
        self.pump(lambda: out.is_whole)
        return bytes(out.got)

    def settle(self) -> list[tuple[frames.Frame, bytes]]:
        """Asks, with a PING, whether all that was sent has been dealt with; the frames that came meanwhile."""
        begin, nonce, asked_at = len(self.inbox), int.from_bytes(os.urandom(7), "big"), 0.0

        def answered() -> bool:
            nonlocal asked_at
            if time.monotonic() > asked_at + 0.5:
                asked_at = time.monotonic()
                self.send(self.control(frames.ping(nonce)))
            return any((PONG, [nonce]) in frames.read_control(plaintext)
                       for frame, plaintext in self.inbox[begin:] if frame.type == frames.CONTROL)

        self.pump(answered)
        return self.inbox[begin:]

    def messages_of(self, came: list) -> list[tuple[int, list]]:
        """Of CONTROL frames, but for what an end says by itself: of acknowledgements, and PING, a probe, and its answer."""
        found = [m for frame, plaintext in came if frame.type == frames.CONTROL for m in frames.read_control(plaintext)]
        return [(code, values) for code, values in found if code not in (ACK, ACK_FREQ, PING, PONG)]

    def rotate(self) -> None:
        eph, nonce = KeyPair(), os.urandom(32)
        self.rotated = None
        self.say(frames.rotate(self.sending.epoch + 1, nonce, eph.public))
        epoch, answer = self.pump(lambda: self.rotated)
        assert epoch == self.sending.epoch + 1
        self.sending = self.sending.next(nonce, eph.exchange(answer))

    def end_code(self, seconds: float = 60) -> int:
        """Of the CLOSE that comes."""
        self.pump(lambda: self.closed is not None, seconds)
        return self.closed[0]

    def bye(self) -> None:
        """A graceful end: not before all has arrived."""
        self.pump(lambda: not self.on_their_way)
        last = self.control(frames.close(0))
        for _ in range(2):
            self.send(last)

    def __exit__(self, *_: object) -> None:
        if self.sending is not None and self.closed is None and self.sock.fileno() >= 0:
            self.send(self.control(frames.close(0)))
        self.sock.close()


def connect(to: tuple, seed: bytes, *, source: str = "127.0.0.1", **rest) -> UdpPeer:
    """An ACTIVE session."""
    return UdpPeer(open_socket(source), to, Initiator(seed, fill=HELLO_BYTES, **rest)).shake()


class UdpServer(UdpPeer):
    """A responder of one session that echoes its streams; `lie` may give the answer to a HELLO."""

    def __init__(self, seed: bytes, *, asks_back: bool = False, lie=None, **rest):
        self.seed, self.asks_back, self.lie, self.options = seed, asks_back, lie, rest
        super().__init__(open_socket(), ("", 0), Responder(seed, transport="udp", **rest), echoes=True)
        self.port = self.sock.getsockname()[1]
        self.responses: dict[bytes, tuple[Responder, bytes]] = {}
        self.hellos: list[bytes] = []
        self.proofs: list[bytes] = []
        self.final = b""
        self.is_told_to_stop = False

    def answer(self, datagram: bytes, frame: frames.Frame) -> bytes:
        """The answer to a datagram with HELLO."""
        self.hellos.append(datagram)
        if self.lie is not None:
            return self.lie(frame)
        cookie = b"cookie of a test"
        hello = Responder(self.seed, transport="udp", cookie=cookie).check_hello(frame, len(datagram))
        if self.asks_back and "cookie" not in hello:
            return framed(frames.HANDSHAKE, frame.session_id, tlv.encode(tlv.members(
                type=tlv.text("RETRY"), cookie=tlv.octets(cookie))))
        if datagram not in self.responses:
            responder = Responder(self.seed, transport="udp", cookie=cookie, node_id=self.initiator.node_id)
            self.responses[datagram] = responder, responder.take_hello(frame, len(datagram))
        return self.responses[datagram][1]

    def accept(self) -> bool:
        """Until a session stands, or it is told to stop."""
        while not self.is_told_to_stop:
            came = wait_for(self.sock, 0.1)
            if came is None:
                continue
            datagram, self.to = came
            frame, at = frames.parse(datagram)
            if frame.type == frames.HANDSHAKE:
                if answer := self.answer(datagram, frame):
                    self.send(answer)
            elif frame.type == frames.AUTH and self.take_proof(datagram, frame, at):
                return True
        return False

    def take_proof(self, datagram: bytes, frame: frames.Frame, at: int) -> bool:
        self.proofs.append(datagram)
        for responder, _ in self.responses.values():
            if responder.schedule.session_id == frame.session_id:
                self.initiator, self.final = responder, responder.take_proof(frame)
                self.begin()
                self.send(self.final)
                self.take(datagram[at:])
                return True
        return False

    def take_handshake(self, frame: frames.Frame) -> None:
        if frame.type == frames.AUTH:
            self.send(self.final)

    def serve(self) -> int | None:
        """A session from its beginning to its end; the code of the peer's CLOSE, None without one."""
        if not self.accept():
            return None
        while self.closed is None and not self.is_told_to_stop:
            self.step(0.1)
            self.send_streams()
        while self.closed is None and (came := self.receive(0)) is not None:
            self.take(came)
        return self.closed and self.closed[0]
