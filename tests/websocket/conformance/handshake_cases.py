"""The tables of the opening handshake, written from RFC 6455 section 4 (and RFC 7230 for what a head is). A row changes a
good request, or a good answer, in one thing."""

import base64
import hashlib
from dataclasses import dataclass

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # of RFC 6455 section 1.3


def accept_of(key: str) -> str:
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


@dataclass(frozen=True)
class Head:
    """A start line, headers in order, and how lines end."""

    line: str
    headers: tuple[tuple[str, str], ...]
    eol: str = "\r\n"
    behind: bytes = b""

    def without(self, name: str) -> "Head":
        return Head(self.line, tuple(h for h in self.headers if h[0] != name), self.eol, self.behind)

    def plus(self, name: str, value: str) -> "Head":
        return Head(self.line, (*self.headers, (name, value)), self.eol, self.behind)

    def having(self, name: str, value: str) -> "Head":
        return Head(self.line, tuple((n, value if n == name else v) for n, v in self.headers), self.eol, self.behind)

    def lined(self, line: str) -> "Head":
        return Head(line, self.headers, self.eol, self.behind)

    def renamed(self, name: str, other: str) -> "Head":
        return Head(self.line, tuple((other if n == name else n, v) for n, v in self.headers), self.eol, self.behind)

    def encode(self) -> bytes:
        lines = [self.line, *(f"{name}: {value}" for name, value in self.headers), "", ""]
        return self.eol.join(lines).encode("latin-1") + self.behind


REQUEST = Head("GET /stt HTTP/1.1", (("Host", "127.0.0.1:8080"), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
                                     ("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Version", "13")))


@dataclass(frozen=True)
class Request:
    what: str
    head: Head
    status: int
    section: str
    ours_alone: str = ""  # what the RFC leaves to the server
    says: str = ""  # a header line that the answer has
    says_not: str = ""
    chop: int = 0


R = Request
POLICY = "the server's policy"
ORIGIN = "Origin"
PROTOCOL = "Sec-WebSocket-Protocol"
EXTENSIONS = "Sec-WebSocket-Extensions"

REQUESTS = [
    R("a good request", REQUEST, 101, "4.2.2", says="Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    R("a good request byte by byte", REQUEST, 101, "4.2.2", chop=1),
    R("a good request in writes of 7", REQUEST, 101, "4.2.2", chop=7),
    R("names of headers in capitals", Head(REQUEST.line, tuple((n.upper(), v) for n, v in REQUEST.headers)), 101, "4.2.1"),
    R("names of headers in small letters", Head(REQUEST.line, tuple((n.lower(), v) for n, v in REQUEST.headers)), 101,
      "4.2.1"),
    R("Upgrade: WebSocket", REQUEST.having("Upgrade", "WebSocket"), 101, "4.2.1"),
    R("Connection: keep-alive, Upgrade", REQUEST.having("Connection", "keep-alive, Upgrade"), 101, "4.2.1"),
    R("Connection: upgrade", REQUEST.having("Connection", "upgrade"), 101, "4.2.1"),
    R("Connection in two headers", REQUEST.having("Connection", "keep-alive").plus("Connection", "Upgrade"), 101, "4.2.1"),
    R("white space around a value", REQUEST.having("Sec-WebSocket-Version", " \t 13 \t"), 101, "4.2.1"),
    R("headers that nobody knows", REQUEST.plus("X-Any", "thing").plus("Cookie", "a=b; c=d"), 101, "4.2.1"),
    R("a query behind the path", REQUEST.lined("GET /stt?token=1 HTTP/1.1"), 101, "4.1"),
    R("a page of the same host", REQUEST.plus(ORIGIN, "http://127.0.0.1:8080"), 101, "4.2.2"),
    R("a page of the same host by https", REQUEST.plus(ORIGIN, "https://127.0.0.1:8080"), 101, "4.2.2"),
    R("a page of a listed origin", REQUEST.plus(ORIGIN, "https://example.org"), 101, "4.2.2"),
    R("a subprotocol that is known", REQUEST.plus(PROTOCOL, "stt.v1"), 101, "4.2.2", says="Sec-WebSocket-Protocol: stt.v1",
      ours_alone=POLICY),
    R("a known one among subprotocols", REQUEST.plus(PROTOCOL, "chat, stt.v1, superchat"), 101, "4.2.2",
      says="Sec-WebSocket-Protocol: stt.v1", ours_alone=POLICY),
    R("a known one in the second header", REQUEST.plus(PROTOCOL, "chat").plus(PROTOCOL, "stt.v1"), 101, "4.2.2",
      says="Sec-WebSocket-Protocol: stt.v1", ours_alone=POLICY),
    R("no subprotocol that is known", REQUEST.plus(PROTOCOL, "chat"), 101, "4.2.2", says_not="Sec-WebSocket-Protocol",
      ours_alone=POLICY),
    R("an extension is offered", REQUEST.plus(EXTENSIONS, "permessage-deflate; client_max_window_bits"), 101, "9.1",
      says_not="Sec-WebSocket-Extensions"),
    R("ninety headers more", Head(REQUEST.line, (*REQUEST.headers, *((f"X-{i}", "y") for i in range(90)))), 101, "4.2.1",
      ours_alone="limits of a head"),
    R("a head of 16,000 bytes", REQUEST.plus("X-Long", "y" * 15800), 101, "4.2.1", ours_alone="limits of a head"),

    R("POST", REQUEST.lined("POST /stt HTTP/1.1"), 405, "4.2.1"),
    R("HEAD", REQUEST.lined("HEAD /stt HTTP/1.1"), 405, "4.2.1"),
    R("HTTP/1.0", REQUEST.lined("GET /stt HTTP/1.0"), 400, "4.2.1"),
    R("HTTP/2.0", REQUEST.lined("GET /stt HTTP/2.0"), 400, "4.2.1", ours_alone="HTTP/1.1 alone is spoken"),
    R("no version of HTTP", REQUEST.lined("GET /stt"), 400, "4.2.1"),
    R("two spaces in the request line", REQUEST.lined("GET  /stt HTTP/1.1"), 400, "4.2.1"),
    R("a space in the path", REQUEST.lined("GET /s tt HTTP/1.1"), 400, "4.2.1"),
    R("no Host", REQUEST.without("Host"), 400, "4.2.1"),
    R("two Hosts", REQUEST.plus("Host", "example.org"), 400, "4.2.1"),
    R("an Upgrade to something else", REQUEST.having("Upgrade", "h2c"), 200, "4.2.1",
      ours_alone="a plain request, which the program answers"),
    R("Upgrade: websockets", REQUEST.having("Upgrade", "websockets"), 200, "4.2.1",
      ours_alone="a plain request, which the program answers"),
    R("no Connection", REQUEST.without("Connection"), 400, "4.2.1"),
    R("Connection: close", REQUEST.having("Connection", "close"), 400, "4.2.1"),
    R("Connection: upgraded", REQUEST.having("Connection", "upgraded"), 400, "4.2.1"),
    R("no key", REQUEST.without("Sec-WebSocket-Key"), 400, "4.2.1"),
    R("two keys", REQUEST.plus("Sec-WebSocket-Key", KEY), 400, "11.3.1"),
    R("an empty key", REQUEST.having("Sec-WebSocket-Key", ""), 400, "4.2.1"),
    R("a key of 15 bytes", REQUEST.having("Sec-WebSocket-Key", base64.b64encode(bytes(15)).decode()), 400, "4.2.1"),
    R("a key of 17 bytes", REQUEST.having("Sec-WebSocket-Key", base64.b64encode(bytes(17)).decode()), 400, "4.2.1"),
    R("a key without padding", REQUEST.having("Sec-WebSocket-Key", KEY.rstrip("=")), 400, "4.2.1"),
    R("a key with bits behind its end", REQUEST.having("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZR=="), 400, "4.2.1"),
    R("a key that is no base64", REQUEST.having("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j*Q=="), 400, "4.2.1"),
    R("no version", REQUEST.without("Sec-WebSocket-Version"), 426, "4.4", says="Sec-WebSocket-Version: 13"),
    R("version 8", REQUEST.having("Sec-WebSocket-Version", "8"), 426, "4.4", says="Sec-WebSocket-Version: 13"),
    R("version 14", REQUEST.having("Sec-WebSocket-Version", "14"), 426, "4.4", says="Sec-WebSocket-Version: 13"),
    R("version 013", REQUEST.having("Sec-WebSocket-Version", "013"), 426, "4.1"),
    R("two versions", REQUEST.plus("Sec-WebSocket-Version", "13"), 426, "11.3.5"),
    R("a foreign origin", REQUEST.plus(ORIGIN, "http://evil.example"), 403, "4.2.2", ours_alone=POLICY),
    R("an origin that begins like the host", REQUEST.plus(ORIGIN, "http://127.0.0.1:8080.evil.example"), 403, "4.2.2",
      ours_alone=POLICY),
    R("another port", REQUEST.plus(ORIGIN, "http://127.0.0.1:9090"), 403, "4.2.2", ours_alone=POLICY),
    R("Origin: null", REQUEST.plus(ORIGIN, "null"), 403, "4.2.2", ours_alone=POLICY),
    R("a good origin and a foreign one",
      REQUEST.plus(ORIGIN, "http://127.0.0.1:8080").plus(ORIGIN, "http://evil.example"), 403, "4.2.2", ours_alone=POLICY),
    R("another path", REQUEST.lined("GET /other HTTP/1.1"), 404, "4.2.2", ours_alone=POLICY),
    R("a path that begins like ours", REQUEST.lined("GET /stt/more HTTP/1.1"), 404, "4.2.2", ours_alone=POLICY),
    R("a body is told", REQUEST.plus("Content-Length", "5"), 400, "4.2.1", ours_alone="no body behind an upgrade"),
    R("a chunked body is told", REQUEST.plus("Transfer-Encoding", "chunked"), 400, "4.2.1",
      ours_alone="no body behind an upgrade"),
    R("an empty body is told", REQUEST.plus("Content-Length", "0"), 101, "4.2.1"),
    R("a folded header", REQUEST.plus("X-Folded", "a\r\n b"), 400, "4.2.1"),
    R("a space before the colon", REQUEST.renamed("Upgrade", "Upgrade "), 400, "4.2.1"),
    R("a header without a colon", REQUEST.plus("X-Any", "y\r\nnonsense"), 400, "4.2.1"),
    R("a header without a name", REQUEST.plus("", "y"), 400, "4.2.1"),
    R("a control character in a value", REQUEST.plus("X-Any", "a\x01b"), 400, "4.2.1"),
    R("a NUL in a value", REQUEST.plus("X-Any", "a\x00b"), 400, "4.2.1"),
    R("a lone CR in a value", REQUEST.plus("X-Any", "a\rb"), 400, "4.2.1"),
    R("a lone LF hides a header", REQUEST.plus("X-Any", "a\nX-Other: b"), 400, "4.2.1", ours_alone="CRLF alone ends a line"),
    R("an empty line first", REQUEST.lined("\r\nGET /stt HTTP/1.1"), 400, "4.2.1", ours_alone="strict heads"),
    R("more than a hundred headers", Head(REQUEST.line, (*REQUEST.headers, *((f"X-{i}", "y") for i in range(96)))), 431,
      "10.4", ours_alone="limits of a head"),
    R("a head of more than 16 KiB", REQUEST.plus("X-Long", "y" * 16400), 431, "10.4", ours_alone="limits of a head"),
]

# {accept} is what the request's key makes.
ANSWER = Head("HTTP/1.1 101 Switching Protocols", (("Upgrade", "websocket"), ("Connection", "Upgrade"),
                                                   ("Sec-WebSocket-Accept", "{accept}"), (PROTOCOL, "stt.v1")))


@dataclass(frozen=True)
class Answer:
    what: str
    head: Head
    accepted: bool
    section: str
    ours_alone: str = ""
    chop: int = 0


A = Answer
ANSWERS = [
    A("a good answer", ANSWER, True, "4.1"),
    A("a good answer byte by byte", ANSWER, True, "4.1", chop=1),
    A("a good answer in writes of 5", ANSWER, True, "4.1", chop=5),
    A("another reason phrase", ANSWER.lined("HTTP/1.1 101 Here you are"), True, "4.1"),
    A("names of headers in capitals", Head(ANSWER.line, tuple((n.upper(), v) for n, v in ANSWER.headers)), True, "4.1"),
    A("Upgrade: WebSocket", ANSWER.having("Upgrade", "WebSocket"), True, "4.1"),
    A("Connection: keep-alive, upgrade", ANSWER.having("Connection", "keep-alive, upgrade"), True, "4.1"),
    A("no subprotocol is confirmed", ANSWER.without(PROTOCOL), True, "4.1"),
    A("headers that nobody knows", ANSWER.plus("Server", "any").plus("Date", "today"), True, "4.1"),
    A("white space around Accept", ANSWER.having("Sec-WebSocket-Accept", "  {accept} "), True, "4.1"),
    A("status 200", ANSWER.lined("HTTP/1.1 200 OK"), False, "4.1"),
    A("status 301", ANSWER.lined("HTTP/1.1 301 Moved Permanently"), False, "4.1"),
    A("status 401", ANSWER.lined("HTTP/1.1 401 Unauthorized"), False, "4.1"),
    A("status 426", ANSWER.lined("HTTP/1.1 426 Upgrade Required"), False, "4.1"),
    A("status 1011", ANSWER.lined("HTTP/1.1 1011 Switching"), False, "4.1", ours_alone="strict heads"),
    A("HTTP/1.0", ANSWER.lined("HTTP/1.0 101 Switching Protocols"), False, "4.1"),
    A("no Upgrade", ANSWER.without("Upgrade"), False, "4.1"),
    A("another Upgrade", ANSWER.having("Upgrade", "h2c"), False, "4.1"),
    A("no Connection", ANSWER.without("Connection"), False, "4.1"),
    A("Connection: close", ANSWER.having("Connection", "close"), False, "4.1"),
    A("no Accept", ANSWER.without("Sec-WebSocket-Accept"), False, "4.1"),
    A("the Accept of another key", ANSWER.having("Sec-WebSocket-Accept", accept_of(KEY)), False, "4.1"),
    A("an empty Accept", ANSWER.having("Sec-WebSocket-Accept", ""), False, "4.1"),
    A("Accept and more", ANSWER.having("Sec-WebSocket-Accept", "{accept}x"), False, "4.1"),
    A("two Accepts", ANSWER.plus("Sec-WebSocket-Accept", "{accept}"), False, "11.3.3"),
    A("an extension that was not asked for", ANSWER.plus(EXTENSIONS, "permessage-deflate"), False, "4.1"),
    A("a subprotocol that was not asked for", ANSWER.having(PROTOCOL, "chat"), False, "4.1"),
    A("two subprotocols", ANSWER.plus(PROTOCOL, "stt.v1"), False, "11.3.4"),
    A("a folded header", ANSWER.plus("X-Folded", "a\r\n b"), False, "4.1"),
    A("a space before the colon", ANSWER.renamed("Upgrade", "Upgrade "), False, "4.1"),
    A("a lone LF ends each line", Head(ANSWER.line, ANSWER.headers, eol="\n"), False, "4.1", ours_alone="CRLF alone ends a line"),
    A("no HTTP at all", ANSWER.lined("SSH-2.0-OpenSSH_9.2"), False, "4.1"),
    A("more than a hundred headers", Head(ANSWER.line, (*ANSWER.headers, *((f"X-{i}", "y") for i in range(98)))), False,
      "10.4", ours_alone="limits of a head"),
    A("a head of more than 16 KiB", ANSWER.plus("X-Long", "y" * 16400), False, "10.4", ours_alone="limits of a head"),
]
