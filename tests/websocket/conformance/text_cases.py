"""The table of texts: what is UTF-8 (RFC 3629, RFC 6455 sections 5.6 and 8.1), whole and cut anywhere. A row: the bytes in
hex, and what they are. Each stands between an "a" and a "z", unless it is about the end of a text."""

from table import Case, fails, gives, numbered
from wire import binary, more, text

C = Case

VALID = [
    ("00", "U+0000, the first of one byte"),
    ("7f", "U+007F, the last of one byte"),
    ("c280", "U+0080, the first of two"),
    ("dfbf", "U+07FF, the last of two"),
    ("e0a080", "U+0800, the first of three"),
    ("ed9fbf", "U+D7FF, the last before the surrogates"),
    ("ee8080", "U+E000, the first behind the surrogates"),
    ("efbbbf", "U+FEFF, a byte order mark"),
    ("efbfbd", "U+FFFD, the replacement character"),
    ("efbfbf", "U+FFFF, the last of three"),
    ("f0908080", "U+10000, the first of four"),
    ("f3bfbfbf", "U+FFFFF"),
    ("f48fbfbf", "U+10FFFF, the last of all"),
    ("ceba e1bdb9 cf83 cebc ceb5", "a Greek word"),
    ("e697a5 e69cac e8aa9e", "a Japanese word"),
    ("f09f9880 f09f8f81", "two of four bytes"),
    ("cc81 cc88", "combining marks alone"),
    # Noncharacters are characters as far as UTF-8 goes.
    *((chr(plane << 16 | low).encode().hex(), f"U+{plane << 16 | low:X}, a noncharacter")
      for plane in range(17) for low in (0xFFFE, 0xFFFF) if (plane, low) not in ((0, 0xFFFF), (16, 0xFFFF))),
]

INVALID = [
    ("80", "a continuation byte, the lowest, alone"),
    ("bf", "a continuation byte, the highest, alone"),
    *(("80bf" * n, f"{2 * n} continuation bytes") for n in (1, 2, 3)),
    ("c3a4 80", "one continuation byte too many"),
    *((f"{first:02x}20", f"{first:02X} without its continuation") for first in range(0xC2, 0xE0, 3)),
    *((f"{first:02x}2020", f"{first:02X} without its continuations") for first in range(0xE0, 0xF0)),
    *((f"{first:02x}202020", f"{first:02X} without its continuations") for first in range(0xF0, 0xF5)),
    ("e0a020", "the last of three is none"),
    ("f0908020", "the last of four is none"),
    ("f09020", "the third of four is none"),
    ("c080", "U+0000 in two bytes"),
    ("e08080", "U+0000 in three bytes"),
    ("f0808080", "U+0000 in four bytes"),
    ("c0af", "a slash in two bytes"),
    ("e080af", "a slash in three bytes"),
    ("f08080af", "a slash in four bytes"),
    ("c1bf", "U+007F in two bytes"),
    ("e09fbf", "U+07FF in three bytes"),
    ("f08fbfbf", "U+FFFF in four bytes"),
    ("f8808080af", "a slash in five bytes"),
    ("fc80808080af", "a slash in six bytes"),
    ("eda080", "U+D800, a surrogate"),
    ("edadbf", "U+DB7F, a surrogate"),
    ("edae80", "U+DB80, a surrogate"),
    ("edafbf", "U+DBFF, a surrogate"),
    ("edb080", "U+DC00, a surrogate"),
    ("edbe80", "U+DF80, a surrogate"),
    ("edbfbf", "U+DFFF, a surrogate"),
    ("eda080 edb080", "a pair of surrogates"),
    ("edafbf edbfbf", "the last pair of surrogates"),
    ("f4908080", "U+110000, one too many"),
    ("f5808080", "U+140000"),
    ("f7bfbfbf", "U+1FFFFF, the highest of four bytes"),
    ("f888808080", "the first of five bytes"),
    ("fbbfbfbfbf", "the last of five bytes"),
    ("fc8480808080", "the first of six bytes"),
    ("fdbfbfbfbfbf", "the last of six bytes"),
    ("fe", "FE"),
    ("ff", "FF"),
    ("fefeffff", "FE and FF"),
]

# Whole texts that end too soon.
CUT = [
    ("c3", "after the first of two"),
    ("e2", "after the first of three"),
    ("e282", "after the second of three"),
    ("f0", "after the first of four"),
    ("f090", "after the second of four"),
    ("f09080", "after the third of four"),
    ("e282ac f09f", "in its second letter"),
]


def rows(hexes, verdict) -> list[Case]:
    made = []
    for number, what in hexes:
        payload = b"a" + bytes.fromhex(number) + b"z"
        made.append(C(what, [text(payload)], verdict(payload), "8.1"))
    return made


def in_pieces(data: bytes, *cuts: int) -> list:
    ends = [0, *cuts, len(data)]
    return [(text if i == 0 else more)(data[a:b], fin=b == len(data) and i == len(ends) - 2)
            for i, (a, b) in enumerate(zip(ends, ends[1:]))]


LETTERS = "\u00e4\u20ac\U0001f600".encode()  # of two, three and four bytes

BOUNDARIES = [
    *(C(f"letters cut into two fragments behind byte {n}", in_pieces(LETTERS, n), gives(text(LETTERS)), "5.6")
      for n in range(1, len(LETTERS))),
    C("letters in fragments of a byte", in_pieces(LETTERS, *range(1, len(LETTERS))), gives(text(LETTERS)), "5.6"),
    C("letters byte by byte", [text(LETTERS)], gives(text(LETTERS)), "5.6", chop=1),
    C("letters in fragments, byte by byte", in_pieces(LETTERS, 3, 7), gives(text(LETTERS)), "5.6", chop=1),
    C("the next text begins anew", [text("\u20ac"), text("\u20ac")], gives(text("\u20ac"), text("\u20ac")), "5.6"),
    C("an empty fragment inside a letter", in_pieces(LETTERS, 1, 1), gives(text(LETTERS)), "5.6"),
    C("a surrogate in two fragments", in_pieces(b"a\xed\xa0\x80z", 2), fails(1007), "8.1"),
    C("a letter above the last in fragments", in_pieces(b"a\xf4\x90\x80\x80z", 2, 3), fails(1007), "8.1"),
    C("a bad byte in the last fragment", in_pieces(LETTERS + b"\xff", len(LETTERS)), fails(1007), "8.1"),
    C("a bad byte, byte by byte", [text(b"good\xc0bad")], fails(1007), "8.1", chop=1),
    C("any bytes in a binary", [binary(b"\xff\xfe\xc0\x80")], gives(binary(b"\xff\xfe\xc0\x80")), "5.6"),
]

# What can be known to be wrong before it is all there.
EARLY = [
    C("a bad byte in a fragment that is not the last", [text(b"a\xffb", fin=False)], fails(1007), "8.1",
      early=[more("c")]),
    C("a bad byte at the end of a fragment", [text(b"good\xf5", fin=False)], fails(1007), "8.1", early=[more("c")]),
    C("a letter that cannot go on in the next fragment", [text(b"\xe2", fin=False), more(b"\x28", fin=False)],
      fails(1007), "8.1", early=[more("c")]),
    C("a surrogate before it is whole", [text(b"\xed\xa0", fin=False)], fails(1007), "8.1", early=[more(b"\x80")]),
    C("a letter above the last before it is whole", [text(b"\xf4\x90", fin=False)], fails(1007), "8.1",
      early=[more(b"\x80\x80")]),
    C("an overlong form before it is whole", [text(b"\xe0\x80", fin=False)], fails(1007), "8.1", early=[more(b"\x80")]),
]

CASES = numbered(6, [
    *rows(VALID, lambda payload: gives(text(payload))),
    *rows(INVALID, lambda _: fails(1007)),
    *(C(f"a text that ends {what}", [text(b"a" + bytes.fromhex(number))], fails(1007), "8.1") for number, what in CUT),
    *BOUNDARIES,
    *EARLY,
])
