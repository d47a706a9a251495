"""STX/1 a second time, in Python, from docs/spec/stx.md alone.

Two uses: an oracle (what the C++ implementation says must equal what this says, byte for byte), and the attacker's
tool: every rule can be broken on purpose, under a valid key. It is no product: nothing is wiped, nothing is fast, and
the receiver keeps files in memory.

    primitives   XAES-256-GCM, the tree of hashes, zstd where the system has its library
    handshake    SH to SKC, key form and STCP form: bytes in, bytes out
    frames       frames and messages: bytes in, bytes out
    items        entries, items, blocks, roots
    sender       the client on a socket
    receiver     the server on a socket
"""

from .primitives import leaf, node, root, run_log2_of, run_roots, xaes_key, xaes_seal  # noqa: F401
from .handshake import (  # noqa: F401
    ClientHandshake, HandshakeFault, ServerHandshake, peer_id_of_key, peer_id_of_psk, psk_again, psk_from_stcp)
from .frames import (  # noqa: F401
    ACK, CLOSE, CONTROL, DONE, DROP, END, KEEPALIVE, META, META_OK, NAK, NAMES, RESUME, RESUME_OK, SELECT, ZERO,
    Incoming, LineDamage, Malformed, Message, Outgoing, Tampered, decode, encode)
from .items import DIRECTORY, FILE, SYMLINK, Entry, Item, pack  # noqa: F401
from .wire import Truncated, Wire  # noqa: F401
from .sender import Client, Closed, Result  # noqa: F401
from .receiver import Receiver, Server, Store  # noqa: F401
