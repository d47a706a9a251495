"""STCP/1 a second time, in Python, from docs/spec/stcp.md alone.

Two uses: an oracle (what the C++ implementation says must equal what this says, byte for byte), and the attacker's
tool (every step can be taken apart, edited and sent out of turn). It is no product: nothing is wiped, nothing is fast.

    primitives   HMAC, HKDF labels, X25519, the KBKDF step
    noise        the Noise handshakes NN, NX, XX, NNpsk0
    session      heads, handshake messages, records, rekey: bytes in, bytes out
    wire         both roles on a socket
    texts        key texts, fingerprints and the files that hold them
    legacy       the packets of the first description
"""

from .primitives import (  # noqa: F401
    DhZero, KeyPair, exporter_label, hkdf_extract, hmac256, kbkdf_step, label, sha256, x25519)
from .noise import Handshake, NoiseFault  # noqa: F401
from .session import (  # noqa: F401
    ANON, CLOSE, DATA, FINISH, MUTUAL, PING, PIN_UPDATE, PSK, REKEY, TOFU, Direction, Fault, Initiator, Responder,
    Session, head_record, head_step, message_length, pad_length)
from .wire import Peer, Truncated, Aborted, connect, serve_one, read_exactly  # noqa: F401
from .texts import fingerprint, format_key, parse_key  # noqa: F401
