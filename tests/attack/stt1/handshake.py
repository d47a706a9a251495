"""The handshake. spec: stt.md#handshake, #responder."""

import os
import time

from cryptography.exceptions import InvalidTag
from stcp1.primitives import DhZero, KeyPair, hkdf_extract, hmac256, label, sha256

from . import frames, stc, tlv

FIELDS = {
    "HELLO": {"suite": (tlv.U8, None), "node_id": (tlv.BYTES, 32), "nonce": (tlv.BYTES, 32), "timestamp": (tlv.U64, None),
              "capabilities": (tlv.LIST, None), "commitment": (tlv.BYTES, 32)},
    "RETRY": {"cookie": (tlv.BYTES, 16)},
    "RESPONSE": {"node_id": (tlv.BYTES, 32), "nonce": (tlv.BYTES, 32), "challenge": (tlv.BYTES, 80),
                 "metadata": (tlv.BYTES, 33)},
    "AUTH_PROOF": {"session_id": (tlv.BYTES, 8), "proof": (tlv.BYTES, 24), "metadata": (tlv.BYTES, 33)},
    "FINAL": {"session_id": (tlv.BYTES, 8), "confirm": (tlv.BYTES, 32)},
}
OPTIONAL = {
    "HELLO": {"eph": (tlv.BYTES, 32), "cookie": (tlv.BYTES, 16), "pad": (tlv.BYTES, None)},
    "RESPONSE": {"eph": (tlv.BYTES, 32)},
}


class Fault(Exception):
    """What an end drops, or closes for."""


def parse_message(data: bytes) -> dict:
    try:
        tag, rows = tlv.decode(data)
    except tlv.Bad as error:
        raise Fault(str(error)) from error
    values = dict(rows) if tag == tlv.DICT else {}
    name = values.pop("type", (tlv.NULL, None))[1]
    if name not in FIELDS:
        raise Fault("type")
    known = {**FIELDS[name], **OPTIONAL.get(name, {})}
    if not set(FIELDS[name]) <= set(values) <= set(known):
        raise Fault("handshake fields")
    for key, (tag, what) in values.items():
        wanted, size = known[key]
        if tag != wanted or (size is not None and len(what) != size):
            raise Fault(f"handshake field {key}")
    return {"type": name, **{key: what for key, (_, what) in values.items()}}


def encode_message(message: dict, without: tuple = ()) -> bytes:
    known = {"type": (tlv.TEXT, None), **FIELDS[message["type"]], **OPTIONAL.get(message["type"], {})}
    return tlv.encode((tlv.DICT, [(k, (known[k][0], v)) for k, v in message.items() if k not in without]))


def framed(kind: int, session_id: bytes, data: bytes) -> bytes:
    return frames.Frame(kind, session_id, payload=tlv.varint(0) + tlv.varint(len(data)) + data).encode()


def unframed(frame: frames.Frame) -> bytes:
    offset, at = tlv.read_varint(frame.payload)
    total, at = tlv.read_varint(frame.payload, at)
    if offset or total != len(frame.payload) - at or total > 4096:
        raise Fault("handshake fragment")
    return frame.payload[at:]


def commitment_of(prk0: bytes, hello: dict) -> bytes:
    return hmac256(label(prk0, "stt1 hello"), encode_message(hello, without=("commitment",)))


class Schedule:
    """What both ends compute from HELLO and RESPONSE."""

    def __init__(self, prk0: bytes, hello: dict, response: dict, shared: bytes = b""):
        self.nonces = hello["nonce"] + response["nonce"]
        ids = zip(hello["nonce"], response["nonce"], hello["node_id"], response["node_id"])
        self.session_id = bytes(a ^ b ^ c ^ d for a, b, c, d in ids)[:8]
        self.th2 = sha256(b"STT1" + encode_message(hello) + encode_message(response, without=("challenge", "metadata")))
        self.kh = hkdf_extract(prk0, shared)
        context = tlv.encode(tlv.members(
            nonce_a=tlv.octets(hello["nonce"]), nonce_b=tlv.octets(response["nonce"]),
            timestamp=tlv.u64(hello["timestamp"]), node_a=tlv.octets(hello["node_id"]),
            node_b=tlv.octets(response["node_id"]), purpose=tlv.text("session_key")))
        self.session_key = label(self.kh, "stt1 session", sha256(context + self.th2))
        self.i2r = label(self.session_key, "stt1 i2r", self.th2)
        self.r2i = label(self.session_key, "stt1 r2i", self.th2)
        self.challenge_key = label(self.kh, "stt1 chal R", self.th2)
        self.proof_key = label(self.kh, "stt1 proof I", self.th2)
        self.confirm = hmac256(label(self.kh, "stt1 final R", self.th2), self.session_id)

    def challenge(self, salt: bytes | None = None) -> tuple[bytes, bytes]:
        return stc.seal(self.challenge_key, "stt1 seal", self.th2, self.nonces, salt)

    def proof(self, salt: bytes | None = None) -> tuple[bytes, bytes]:
        return stc.seal(self.proof_key, "stt1 seal", self.th2, self.session_id, salt)

    def is_right(self, key: bytes, sealed: bytes, metadata: bytes, wanted: bytes) -> bool:
        try:
            return metadata[0] == 1 and stc.unseal(key, "stt1 seal", self.th2, sealed, metadata) == wanted
        except InvalidTag:
            return False


class Initiator:
    """Whatever is given may be wrong: that is what it is for."""

    def __init__(self, seed: bytes, *, node_id: bytes | None = None, eph: KeyPair | None | bool = True,
                 timestamp: int | None = None, nonce: bytes | None = None, handshake_id: bytes | None = None,
                 suite: int = 1, capabilities: tuple = ("websocket", "streaming"), pad: int | None = None,
                 fill: int | None = None):
        self.prk0, self.fill = stc.seed_key(seed), fill
        self.node_id = node_id or os.urandom(32)
        self.eph = KeyPair() if eph is True else eph or None
        self.handshake_id = handshake_id or os.urandom(8)
        self.hello = {"type": "HELLO", "suite": suite, "node_id": self.node_id, "nonce": nonce or os.urandom(32),
                      "timestamp": int(time.time() * 1000) if timestamp is None else timestamp,
                      "capabilities": [tlv.text(c) for c in capabilities]}
        if self.eph:
            self.hello["eph"] = self.eph.public
        if pad is not None:
            self.hello["pad"] = bytes(pad)
        self.commit()
        self.schedule: Schedule | None = None

    def commit(self) -> None:
        """Where its datagram has to be `fill` bytes, pad makes it that long."""
        if self.fill is not None:
            self.hello |= {"pad": bytes(128), "commitment": bytes(32)}
            self.hello["pad"] = bytes(max(0, self.fill - len(self.hello_frame()) + 128))
        self.hello["commitment"] = commitment_of(self.prk0, self.hello)

    def hello_frame(self) -> bytes:
        return framed(frames.HANDSHAKE, self.handshake_id, encode_message(self.hello))

    def take_retry(self, frame: frames.Frame, nonce: bytes | None = None) -> bytes:
        retry = parse_message(unframed(frame))
        self.hello |= {"cookie": retry["cookie"], "nonce": nonce or os.urandom(32)}
        self.commit()
        return self.hello_frame()

    def take_response(self, frame: frames.Frame, salt: bytes | None = None) -> bytes:
        """The AUTH_PROOF frame."""
        response = parse_message(unframed(frame))
        if response["type"] != "RESPONSE" or frame.session_id != self.handshake_id:
            raise Fault("no such handshake")
        if response["node_id"] == self.node_id:
            raise Fault("own node id")
        if ("eph" in response) != (self.eph is not None):
            raise Fault("eph")
        shared = self.eph.exchange(response["eph"]) if self.eph else b""
        schedule = Schedule(self.prk0, self.hello, response, shared)
        if not schedule.is_right(schedule.challenge_key, response["challenge"], response["metadata"], schedule.nonces):
            raise Fault("challenge")
        self.schedule = schedule
        proof, metadata = schedule.proof(salt)
        return framed(frames.AUTH, schedule.session_id, encode_message(
            {"type": "AUTH_PROOF", "session_id": schedule.session_id, "proof": proof, "metadata": metadata}))

    def take_final(self, frame: frames.Frame) -> None:
        final = parse_message(unframed(frame))
        if final["type"] != "FINAL" or frame.session_id != self.schedule.session_id:
            raise Fault("no FINAL")
        if final["session_id"] != self.schedule.session_id or final["confirm"] != self.schedule.confirm:
            raise Fault("confirm")


class Responder:
    def __init__(self, seed: bytes, *, node_id: bytes | None = None, nonce: bytes | None = None,
                 eph: KeyPair | None = None, salt: bytes | None = None, cookie: bytes | None = None,
                 transport: str = "ws"):
        self.prk0 = stc.seed_key(seed)
        self.node_id, self.nonce = node_id or os.urandom(32), nonce or os.urandom(32)
        self.eph, self.salt, self.cookie, self.transport = eph or KeyPair(), salt, cookie, transport
        self.schedule: Schedule | None = None

    def check_hello(self, frame: frames.Frame, datagram_bytes: int) -> dict:
        if self.transport == "udp" and datagram_bytes < 1200:
            raise Fault("HELLO under 1200")
        hello = parse_message(unframed(frame))
        if hello["type"] != "HELLO":
            raise Fault("type")
        if hello["commitment"] != commitment_of(self.prk0, hello):
            raise Fault("commitment")
        if hello["suite"] != 1:
            raise Fault("suite")
        if hello["node_id"] == self.node_id:
            raise Fault("own node id")
        if "cookie" in hello and hello["cookie"] != self.cookie:
            raise Fault("cookie")
        return hello

    def take_hello_blindly(self, frame: frames.Frame) -> bytes:
        """A RESPONSE of one who cannot, or will not, check the HELLO."""
        return self._respond(frame, parse_message(unframed(frame)))

    def take_hello(self, frame: frames.Frame, datagram_bytes: int = 1200) -> bytes:
        """The RESPONSE frame."""
        return self._respond(frame, self.check_hello(frame, datagram_bytes))

    def _respond(self, frame: frames.Frame, hello: dict) -> bytes:
        response = {"type": "RESPONSE", "node_id": self.node_id, "nonce": self.nonce}
        shared = b""
        if "eph" in hello:
            try:
                shared = self.eph.exchange(hello["eph"])
            except DhZero as error:
                raise Fault("all-zero DH") from error
            response["eph"] = self.eph.public
        self.schedule = Schedule(self.prk0, hello, response, shared)
        response["challenge"], response["metadata"] = self.schedule.challenge(self.salt)
        return framed(frames.HANDSHAKE, frame.session_id, encode_message(response))

    def take_proof(self, frame: frames.Frame) -> bytes:
        """The FINAL frame."""
        schedule = self.schedule
        if schedule is None or frame.session_id != schedule.session_id:
            raise Fault("no such handshake")
        proof = parse_message(unframed(frame))
        if proof["type"] != "AUTH_PROOF" or proof["session_id"] != schedule.session_id:
            raise Fault("session id")
        if not schedule.is_right(schedule.proof_key, proof["proof"], proof["metadata"], schedule.session_id):
            raise Fault("proof")
        return framed(frames.AUTH, schedule.session_id, encode_message(
            {"type": "FINAL", "session_id": schedule.session_id, "confirm": schedule.confirm}))
