"""The table of frames, messages and closing, written from RFC 6455: what is sent, what must come of it, and where the
RFC says so. What follows a good message shows that the connection still lives."""

from table import Case, closes, echoes, fails, gives, numbered
from wire import Frame, binary, close, more, ping, pong, text

C = Case
LIMIT = 1114112  # bytes of a message that the end under test takes


def filler(size: int) -> bytes:
    return (b"0123456789abcdefghijklmnopqrstuvwxyz-" * (size // 37 + 1))[:size]


def pieces(make, data: bytes, size: int) -> list[Frame]:
    """A message in fragments of `size` bytes."""
    parts = [data[i:i + size] for i in range(0, len(data), size)]
    return [(make if i == 0 else more)(p, fin=i == len(parts) - 1) for i, p in enumerate(parts)]


def same(what: str, *frames: Frame, section: str, chop: int = 0) -> Case:
    return C(what, list(frames), echoes(*frames), section, chop)


GOOD = text("good")

FRAMING = [
    *(same(f"text of {n} bytes", text(filler(n)), section="5.2") for n in (0, 1, 125, 126, 127, 128, 65535, 65536)),
    same("text of 65,536 bytes in writes of 997", text(filler(65536)), section="5.2", chop=997),
    *(same(f"binary of {n} bytes", binary(filler(n)), section="5.2") for n in (0, 1, 125, 126, 127, 128, 65535, 65536)),
    same("binary of 65,536 bytes in writes of 997", binary(filler(65536)), section="5.2", chop=997),
    same("binary of every byte", binary(bytes(range(256))), section="5.6"),
    same("a text byte by byte", text("Hello"), section="5.2", chop=1),
    same("text and binary in one write", text("a"), binary("b"), text("c"), section="5.2"),
    C("0 bytes told in 16 bits", [binary(b"", form=16)], fails(1002), "5.2"),
    C("125 bytes told in 16 bits", [binary(filler(125), form=16)], fails(1002), "5.2"),
    C("0 bytes told in 64 bits", [binary(b"", form=64)], fails(1002), "5.2"),
    C("126 bytes told in 64 bits", [binary(filler(126), form=64)], fails(1002), "5.2"),
    C("65,535 bytes told in 64 bits", [binary(filler(65535), form=64)], fails(1002), "5.2"),
    C("a ping's length told in 16 bits", [ping(b"x", form=16)], fails(1002), "5.2"),
    C("length with its highest bit set", [binary(b"", form=64, told=1 << 63)], fails(1002), "5.2"),
    C("length of all ones", [binary(b"", form=64, told=(1 << 64) - 1)], fails(1002), "5.2"),
    C("a message masked as the other side does", [text("a", masked_wrongly=True)], fails(1002), "5.1"),
    C("an empty message masked as the other side does", [binary(b"", masked_wrongly=True)], fails(1002), "5.1"),
    C("a ping masked as the other side does", [ping("a", masked_wrongly=True)], fails(1002), "5.1"),
    C("a Close masked as the other side does", [close(1000, masked_wrongly=True)], fails(1002), "5.1"),
    C("the second message masked as the other side does", [GOOD, text("a", masked_wrongly=True)],
      fails(1002, after=(GOOD,)), "5.1"),
]

PINGS = [
    same("an empty ping", ping(), section="5.5.2"),
    same("a ping with text", ping("Hello"), section="5.5.2"),
    same("a ping with any bytes", ping(b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"), section="5.5.2"),
    same("a ping of 125 bytes", ping(b"\xfe" * 125), section="5.5.2"),
    C("a ping of 126 bytes", [ping(b"\xfe" * 126)], fails(1002), "5.5"),
    C("a ping of 65,536 bytes", [ping(filler(65536))], fails(1002), "5.5"),
    same("a ping of 125 bytes byte by byte", ping(b"\xfe" * 125), section="5.5.2", chop=1),
    same("an unasked pong", pong(), GOOD, section="5.5.3"),
    same("an unasked pong with bytes", pong("unasked"), GOOD, section="5.5.3"),
    same("an unasked pong, then a ping", pong("unasked"), ping("asked"), section="5.5.3"),
    C("a pong of 126 bytes", [pong(filler(126))], fails(1002), "5.5"),
    same("ten pings", *(ping(f"ping {i}") for i in range(10)), section="5.5.3"),
    same("ten pings byte by byte", *(ping(f"ping {i}") for i in range(10)), section="5.5.3", chop=1),
    same("a ping between messages", text("a"), ping("b"), text("c"), section="5.5.2"),
    C("a ping after Close", [close(1000), ping("late")], closes(1000), "5.5.1"),
]

RESERVED_BITS = [
    *(C(f"reserved bits {bits:03b} of a text", [GOOD, text("a", rsv=bits)], fails(1002, after=(GOOD,)), "5.2")
      for bits in range(1, 8)),
    C("a reserved bit of an empty text", [text("", rsv=4)], fails(1002), "5.2"),
    C("a reserved bit of a binary", [binary("a", rsv=2)], fails(1002), "5.2"),
    C("a reserved bit of a continuation", [text("a", fin=False), more("b", rsv=4)], fails(1002), "5.2"),
    C("reserved bits of a ping", [ping("a", rsv=5)], fails(1002), "5.2"),
    C("reserved bits of a pong", [pong("a", rsv=1)], fails(1002), "5.2"),
    C("reserved bits of a Close", [close(1000, rsv=7)], fails(1002), "5.2"),
    C("a reserved bit byte by byte", [GOOD, text("a", rsv=4)], fails(1002, after=(GOOD,)), "5.2", chop=1),
]

OPCODES = [
    *(C(f"opcode {code:X}", [Frame(code)], fails(1002), "5.2") for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    *(C(f"opcode {code:X} with bytes, behind a message", [GOOD, Frame(code, b"payload"), ping("x")],
        fails(1002, after=(GOOD,)), "5.2") for code in (3, 7, 11, 15)),
    C("opcode 5 byte by byte", [GOOD, Frame(5, b"a")], fails(1002, after=(GOOD,)), "5.2", chop=1),
    C("opcode 3 between fragments", [text("a", fin=False), Frame(3, b"b"), more("c")], fails(1002), "5.2"),
]

FRAGMENTS = [
    C("a ping in two pieces", [ping("a", fin=False), more("b")], fails(1002), "5.5"),
    C("a pong in two pieces", [pong("a", fin=False), more("b")], fails(1002), "5.5"),
    C("a Close in two pieces", [close(1000, fin=False), more("b")], fails(1002), "5.5"),
    C("text in two pieces", [text("Hel", fin=False), more("lo")], gives(text("Hello")), "5.4"),
    C("text in two pieces byte by byte", [text("Hel", fin=False), more("lo")], gives(text("Hello")), "5.4", chop=1),
    C("binary in three pieces", [binary("a", fin=False), more("b", fin=False), more("c")], gives(binary("abc")), "5.4"),
    C("a ping between the pieces", [text("Hel", fin=False), ping("p"), more("lo")],
      gives(text("Hello"), pongs=(b"p",)), "5.4"),
    C("a ping between the pieces byte by byte", [text("Hel", fin=False), ping("p"), more("lo")],
      gives(text("Hello"), pongs=(b"p",)), "5.4", chop=1),
    C("a pong between the pieces", [text("Hel", fin=False), pong("p"), more("lo")], gives(text("Hello")), "5.4"),
    C("pings around each piece", [text("a", fin=False), ping("1"), more("b", fin=False), ping("2"), more("c"),
                                  ping("3")], gives(text("abc"), pongs=(b"1", b"2", b"3")), "5.4"),
    C("a continuation of nothing", [more("a"), text("b")], fails(1002), "5.4"),
    C("an open continuation of nothing", [more("a", fin=False), more("b")], fails(1002), "5.4"),
    C("a continuation behind a whole message", [GOOD, more("a")], fails(1002, after=(GOOD,)), "5.4"),
    C("an open continuation behind a whole message", [GOOD, more("a", fin=False)], fails(1002, after=(GOOD,)), "5.4"),
    C("a text inside a text", [text("a", fin=False), text("b")], fails(1002), "5.4"),
    C("a text inside a binary", [binary("a", fin=False), text("b")], fails(1002), "5.4"),
    C("a binary inside a text", [text("a", fin=False), binary("b", fin=False)], fails(1002), "5.4"),
    C("a text inside, behind a ping", [text("a", fin=False), ping("p"), text("b")], fails(1002), "5.4"),
    C("a second message in pieces", [text("a", fin=False), more("b"), text("c", fin=False), more("d")],
      gives(text("ab"), text("cd")), "5.4"),
    C("an empty first piece", [text("", fin=False), more("a")], gives(text("a")), "5.4"),
    C("an empty middle piece", [text("a", fin=False), more("", fin=False), more("b")], gives(text("ab")), "5.4"),
    C("an empty last piece", [text("a", fin=False), more("")], gives(text("a")), "5.4"),
    C("nothing but empty pieces", [binary("", fin=False), more("", fin=False), more("")], gives(binary("")), "5.4"),
    C("1,000 pieces of a byte", pieces(binary, filler(1000), 1), gives(binary(filler(1000))), "5.4"),
    C("1,000 pieces of a byte in writes of 7", pieces(text, filler(1000), 1), gives(text(filler(1000))), "5.4", chop=7),
    C("pieces of rising size", [binary(filler(1), fin=False), more(filler(200), fin=False), more(filler(70000))],
      gives(binary(filler(1) + filler(200) + filler(70000))), "5.4"),
    C("a Close between the pieces", [text("a", fin=False), close(1000), more("b")], closes(1000), "5.5.1"),
]

LEGAL_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)
ILLEGAL_CODES = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)

CLOSING = [
    C("a Close without a code", [close()], closes(None, 1000), "5.5.1"),
    *(C(f"a Close with code {code}", [close(code)], closes(code), "7.4") for code in LEGAL_CODES),
    *(C(f"a Close with code {code}, which is none", [close(code)], fails(1002), "7.4") for code in ILLEGAL_CODES),
    C("a Close with a reason", [close(1000, "Auf Wiedersehen")], closes(1000), "5.5.1"),
    C("a Close with a reason of two-byte letters", [close(1000, "\u00fc" * 61)], closes(1000), "5.5.1"),
    C("a Close of 125 bytes", [close(1000, filler(123))], closes(1000), "5.5.1"),
    C("a Close of 126 bytes", [close(1000, filler(124))], fails(1002), "5.5"),
    C("a Close of one byte", [Frame(8, b"\x03")], fails(1002), "5.5.1"),
    C("a Close whose reason is no UTF-8", [close(1000, b"\xce\xba\xe1\xbd\xb9\xff")], fails(1007), "5.5.1"),
    C("a Close whose reason ends inside a letter", [close(1000, b"caf\xc3")], fails(1007), "5.5.1"),
    C("a Close whose reason has a surrogate", [close(1000, b"\xed\xa0\x80")], fails(1007), "5.5.1"),
    C("a Close byte by byte", [close(1001, "going")], closes(1001), "5.5.1", chop=1),
    C("a message before Close", [GOOD, close(1000)], closes(1000, after=(GOOD,)), "5.5.1"),
    C("a message after Close", [close(1000), text("late")], closes(1000), "5.5.1"),
    C("a broken frame after Close", [close(1000), text("late", rsv=7)], closes(1000), "5.5.1"),
    C("Close twice", [close(1000), close(1001)], closes(1000), "5.5.1"),
    C("a Close without a code byte by byte", [close()], closes(None, 1000), "5.5.1", chop=1),
]

LIMITS = [
    *(same(f"a {name} of {n >> 10} KiB", make(filler(n)), section="5.2")
      for name, make in (("text", text), ("binary", binary)) for n in (1 << 17, 1 << 18, 1 << 19, 1 << 20)),
    *(C(f"{name} of 64 KiB in pieces of {n}", pieces(make, filler(1 << 16), n), gives(make(filler(1 << 16))), "5.4")
      for name, make in (("text", text), ("binary", binary)) for n in (64, 256, 1024, 4096, 16384)),
    *(same(f"{name} of 64 KiB in writes of {n}", make(filler(1 << 16)), section="5.2", chop=n)
      for name, make in (("text", text), ("binary", binary)) for n in (64, 256, 1024, 16384)),
    *(same(f"500 messages of {n} bytes", *[binary(filler(n))] * 500, section="5.2") for n in (0, 1, 16, 125, 126, 1024)),
    same("300 messages of 16 bytes byte by byte", *[text(filler(16))] * 300, section="5.2", chop=1),
    same("100 texts and 100 binaries in writes of 11", *[text("text"), binary("binary")] * 100, section="5.2", chop=11),
    C("the largest message", [binary(filler(LIMIT))], gives(binary(filler(LIMIT))), "10.4"),
    C("the largest message in pieces of 64 KiB", pieces(binary, filler(LIMIT), 65536), gives(binary(filler(LIMIT))),
      "10.4"),
    C("a message that tells a byte too many", [binary(b"", form=64, told=LIMIT + 1)], fails(1009), "10.4"),
    C("a text that tells a byte too many", [text(b"", form=64, told=LIMIT + 1)], fails(1009), "10.4"),
    C("a message that tells 2^32 bytes", [binary(b"", form=64, told=1 << 32)], fails(1009), "10.4"),
    C("a message that tells 2^62 bytes", [binary(b"", form=64, told=1 << 62)], fails(1009), "10.4"),
    C("pieces that together are a byte too many",
      [binary(filler(LIMIT - 10), fin=False), more(b"", told=11)], fails(1009), "10.4"),
    C("a good message, then one too large", [GOOD, binary(b"", form=64, told=1 << 40)], fails(1009, after=(GOOD,)),
      "10.4"),
    C("4,096 pieces", pieces(binary, filler(4096), 1), gives(binary(filler(4096))), "10.4"),
    C("4,097 pieces", pieces(binary, filler(4097), 1), fails(1009), "10.4", ours_alone="a limit on pieces"),
    C("4,097 empty pieces", [binary("", fin=False)] + [more("", fin=False)] * 4096, fails(1009), "10.4",
      ours_alone="a limit on pieces"),
]

MIXED = [
    same("everything in one write", text("a"), ping("1"), binary("b"), ping("2"), text(filler(126)), binary(filler(65536)),
         section="5.2"),
    same("everything in writes of 13", text("a"), ping("1"), binary("b"), ping("2"), text(filler(126)),
         binary(filler(65536)), section="5.2", chop=13),
    # A long frame whose head comes in two writes.
    *(same(f"a head of 64 bits cut behind byte {n}", binary(filler(65536)), section="5.2", chop=n)
      for n in (2, 3, 9, 10, 12)),
]

CASES = {**numbered(1, FRAMING), **numbered(2, PINGS), **numbered(3, RESERVED_BITS), **numbered(4, OPCODES),
         **numbered(5, FRAGMENTS), **numbered(7, CLOSING), **numbered(9, LIMITS), **numbered(10, MIXED)}
