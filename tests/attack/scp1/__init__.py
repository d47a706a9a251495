"""SCP/1 a second time, in Python, from docs/spec/scp.md alone.

Two uses: an oracle (what the C++ implementation says must equal what this says, byte for byte), and the attacker's
tool (every step can be taken apart, edited and sent out of turn). It is no product: nothing is wiped, nothing is fast.
Primitives, Noise and key texts are those of stcp1.

    wire         heads and sealed messages of one direction: bytes in, bytes out
    handshake    INIT, RESPONSE, ACK of both roles
    channel      messages, receipts, rotation, resume: one connection of a channel, and what outlives it
    peer         both roles on a socket
"""

from stcp1 import DhZero, KeyPair, format_key, parse_key  # noqa: F401
from .wire import (  # noqa: F401
    ACK, CLOSE, DATA, INIT, MAC, HEAD, RESPONSE, Direction, Fault, head, initial_key, message, read_head)
from .handshake import (  # noqa: F401
    ANON, MODE_NAMES, MODES, MUTUAL, PATTERN, PINNED, PINNED_PSK, PSK, Initiator, Responder, ack_length, init_length,
    response_length)
from .channel import END, PAD, PART, PART_BYTES, RESUME, WHOLE, Channel, Connection  # noqa: F401
from .peer import Peer, Truncated, connect, read_exactly, read_message, serve_one  # noqa: F401
