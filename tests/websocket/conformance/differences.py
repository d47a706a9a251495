"""Where the calibrating implementations treat a row otherwise than the table, and the sentence of RFC 6455 (or of what it
builds on) that the row stands on. By name of the row."""

SHORTEST = '5.2: "the minimal number of bytes MUST be used to encode the length"'
HIGHEST_BIT = '5.2: "the most significant bit MUST be 0": a broken frame (1002) before it is a large one (1009)'
FAIL_FAST = ('8.1: "when an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream is not ... valid"'
             ": it does not say that the end must come first; both ways are right, ours sees it at once")
ONE_HOST = 'RFC 7230 5.4: "400 ... to any request message that lacks a Host header field and ... more than one"'
HTTP_1_1 = '4.2.1: "An HTTP/1.1 or higher GET request"'
REQUEST_LINE = "RFC 7230 3.1.1: request-line = method SP request-target SP HTTP-version"
KEY_BITS = 'RFC 4648 3.5: "Implementations MAY reject encodings where the pad bits are not zero"'
VERSION = '4.2.1: "with a value of 13"'
SAY_VERSION = '4.4: "the server MUST abort ... and send an appropriate HTTP error code (such as 426) and a Sec-WebSocket-Version"'
NO_SUBPROTOCOL = '4.2.2: "the absence of such a field is equivalent to the null value": the client may go on, or not'

TOLD_IN_64 = {
    "0 bytes told in 16 bits": SHORTEST,
    "125 bytes told in 16 bits": SHORTEST,
    "0 bytes told in 64 bits": SHORTEST,
    "126 bytes told in 64 bits": SHORTEST,
    "65,535 bytes told in 64 bits": SHORTEST,
    "length with its highest bit set": HIGHEST_BIT,
    "length of all ones": HIGHEST_BIT,
}

WS_FRAMES = {
    **TOLD_IN_64,
    "a bad byte in a fragment that is not the last": FAIL_FAST,
    "a bad byte at the end of a fragment": FAIL_FAST,
    "a letter that cannot go on in the next fragment": FAIL_FAST,
    "a surrogate before it is whole": FAIL_FAST,
    "a letter above the last before it is whole": FAIL_FAST,
    "an overlong form before it is whole": FAIL_FAST,
}

WEBSOCKETS_FRAMES = {
    **TOLD_IN_64,
    "a ping's length told in 16 bits": SHORTEST,
    "a surrogate before it is whole": FAIL_FAST,
}

DIFFERENCES = {
    "ws": {
        "server": WS_FRAMES,
        "client": WS_FRAMES,
        "requests": {
            "HTTP/1.0": HTTP_1_1,
            "no version of HTTP": REQUEST_LINE,
            "two spaces in the request line": REQUEST_LINE,
            "no Host": ONE_HOST,
            "two Hosts": ONE_HOST,
            "a key with bits behind its end": KEY_BITS,
            "version 8": VERSION,
            "version 013": VERSION,
        },
        "answers": {"no subprotocol is confirmed": NO_SUBPROTOCOL, "HTTP/1.0": HTTP_1_1},
    },
    "websockets": {
        "server": WEBSOCKETS_FRAMES,
        "client": WEBSOCKETS_FRAMES,
        "requests": {
            "no Host": ONE_HOST,
            "two Hosts": ONE_HOST,
            "a key with bits behind its end": KEY_BITS,
            "no version": SAY_VERSION,
            "version 8": SAY_VERSION,
            "version 14": SAY_VERSION,
        },
        "answers": {},
    },
}
