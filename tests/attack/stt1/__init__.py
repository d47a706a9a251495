"""STT/1 a second time, in Python, from docs/spec/stt.md and docs/spec/websocket.md alone.

Two uses: an oracle (what the C++ implementation says must equal what this says, byte for byte), and the attacker's
tool (every step can be taken apart, edited and sent out of turn). It is no product: nothing is wiped, nothing is fast.

    tlv          varints and tagged values
    stc          STC1: keys from a seed, one message under one key
    frames       heads, protection, control messages, ranges of ACK, rotation
    handshake    HELLO, RETRY, RESPONSE, AUTH_PROOF, FINAL, both roles
    websocket    just enough framing to carry frames, right or wrong
    peer         a session on a WebSocket, dialling
    datagram     a session on UDP, dialling and answering
    relay        a path that loses, alters, delays and moves datagrams
"""

from . import datagram, frames, handshake, relay, stc, tlv, websocket  # noqa: F401
from .handshake import Fault, Initiator, Responder  # noqa: F401
from .peer import Peer, connect  # noqa: F401
