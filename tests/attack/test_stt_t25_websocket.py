"""T1 and T25 for STT: clients that are slow, and all that may be wrong below the session: HTTP and WebSocket."""

import contextlib
import socket
import struct
import time

import stt_harness
from stt_harness import st, websocket

GUESS = b"GET /stt HTTP/1.1\r\nHost: 127.0.0.1\r\n"


class WebSockets(stt_harness.SttCase):
    def close_of(self, server, *wires: bytes) -> int | None:
        """The code of the Close that these bytes on a WebSocket bring."""
        sock, head = server.dial()
        with sock:
            self.assertTrue(head.startswith(b"HTTP/1.1 101"), head)
            with contextlib.suppress(OSError):
                for wire in wires:
                    sock.sendall(wire)
            try:
                while True:
                    opcode, payload = websocket.read_frame(sock)
                    if opcode == websocket.CLOSE:
                        return int.from_bytes(payload[:2], "big") if payload else 1005
            except (EOFError, OSError):
                return None

    def status_of(self, server, data: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", server.port), st.WAIT, (st.fresh_source(), 0)) as sock:
            with contextlib.suppress(OSError):
                sock.sendall(data)
            return websocket.read_head(sock).split(b" ")[1]

    def test_frames_that_the_rfc_forbids(self) -> None:
        server = self.serve()
        f = websocket.frame
        rows = {
            "unmasked": (f(b"a", masked=False), 1002),
            "a reserved bit": (f(b"a", rsv=4), 1002),
            "a reserved opcode": (f(b"a", opcode=3), 1002),
            "2^63 bytes": (f(b"", told=1 << 63), 1002),
            "2^62 bytes": (f(b"", told=1 << 62), 1009),
            "a byte over the limit": (f(b"", told=1114113), 1009),
            "a length in a longer form": (b"\x82\xfe\0\1" + bytes(4) + b"a", 1002),
            "a ping of 126 bytes": (f(bytes(126), opcode=websocket.PING), 1002),
            "a ping in pieces": (f(b"a", opcode=websocket.PING, fin=False), 1002),
            "a continuation of nothing": (f(b"a", opcode=0), 1002),
            "text": (f(b"Hello", opcode=1), 1003),
            "a Close that is no UTF-8": (f(struct.pack(">H", 1000) + b"\xff", opcode=websocket.CLOSE), 1007),
            "a Close of one byte": (f(b"\3", opcode=websocket.CLOSE), 1002),
            "a Close with 1005": (f(struct.pack(">H", 1005), opcode=websocket.CLOSE), 1002),
        }
        for what, (wire, code) in rows.items():
            with self.subTest(what):
                self.assertEqual(self.close_of(server, wire), code)

    def test_fragments_without_end(self) -> None:
        server = self.serve()
        empty = websocket.frame(b"", fin=False) + b"".join(websocket.frame(b"", opcode=0, fin=False) for _ in range(4200))
        ends = (1009, None)  # what it did not read may cost the Close
        self.assertIn(self.close_of(server, empty), ends)
        large = websocket.frame(bytes(60000), fin=False) + websocket.frame(bytes(60000), opcode=0, fin=False) * 18
        self.assertIn(self.close_of(server, large), ends)

    def test_a_flood_of_pings(self) -> None:
        server = self.serve()
        with server.session() as peer:
            flood = websocket.frame(b"p" * 125, opcode=websocket.PING) * 1000
            for _ in range(st.count(100)):
                peer.sock.sendall(flood)
            self.assertEqual(peer.echo(b"and it lives"), b"and it lives")

    def test_foreign_pages_may_not_connect(self) -> None:
        server = self.serve("--origin", "https://example.org")
        for origin, status in ((f"http://127.0.0.1:{server.port}", b"101"), ("https://example.org", b"101"),
                               ("http://evil.example", b"403"), ("https://example.org.evil.example", b"403"),
                               (f"http://127.0.0.1:{server.port}.evil.example", b"403"), ("null", b"403"), ("", b"403")):
            with self.subTest(origin):
                sock, head = server.dial(headers=(f"Origin: {origin}",))
                sock.close()
                self.assertEqual(head.split(b" ")[1], status)

    def test_no_extension_is_taken(self) -> None:
        server = self.serve()
        sock, head = server.dial(headers=("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",))
        sock.close()
        self.assertTrue(head.startswith(b"HTTP/1.1 101"))
        self.assertNotIn(b"extensions", head.lower())

    def test_heads_that_smuggle_or_swell(self) -> None:
        server = self.serve()
        good = websocket.request(server.port)
        rows = {
            "lone LF": (good.replace(b"\r\nUpgrade", b"\nUpgrade"), b"400"),
            "a folded header": (good.replace(b"\r\nUpgrade", b"\r\n Upgrade", 1), b"400"),
            "a space before the colon": (good.replace(b"Upgrade:", b"Upgrade :", 1), b"400"),
            "two Hosts": (good.replace(b"\r\nUpgrade", b"\r\nHost: evil.example\r\nUpgrade", 1), b"400"),
            "a chunked body": (good.replace(b"\r\nUpgrade", b"\r\nTransfer-Encoding: chunked\r\nUpgrade", 1), b"400"),
            "a body": (good.replace(b"\r\nUpgrade", b"\r\nContent-Length: 30\r\nUpgrade", 1), b"400"),
            "two lengths": (good.replace(b"\r\nUpgrade", b"\r\nContent-Length: 0\r\nContent-Length: 5\r\nUpgrade", 1), b"400"),
            "a NUL": (good.replace(b"\r\nUpgrade", b"\r\nX: a\0b\r\nUpgrade", 1), b"400"),
            "HTTP/1.0": (good.replace(b"HTTP/1.1", b"HTTP/1.0"), b"400"),
            "another path": (good.replace(b"/stt", b"/../stt"), b"404"),
            "20 KiB of a header": (good.replace(b"\r\nUpgrade", b"\r\nX: " + b"y" * 20480 + b"\r\nUpgrade", 1), b"431"),
            "200 headers": (good.replace(b"\r\nUpgrade", b"\r\nX: y" * 200 + b"\r\nUpgrade", 1), b"431"),
            "version 8": (good.replace(b"Version: 13", b"Version: 8"), b"426"),
            "a short key": (good.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhlIHNhbXBsZSBub25j"), b"400"),
        }
        for what, (data, status) in rows.items():
            with self.subTest(what):
                self.assertEqual(self.status_of(server, data), status)

    def test_slow_clients_meet_a_deadline(self) -> None:
        server = self.serve("--handshake-timeout", "2s")
        begin = time.monotonic()
        socks = []
        for i in range(st.count(300)):
            if i % 3 == 0:  # HTTP that never ends
                sock = socket.create_connection(("127.0.0.1", server.port), st.WAIT, (st.fresh_source(), 0))
                sock.sendall(GUESS)
            else:  # a WebSocket on which HELLO comes byte by byte, or not at all
                sock, _ = server.dial()
                if i % 3 == 1:
                    sock.sendall(b"\x82\xfe\1\0")
            socks.append(sock)
        server.be_honest()
        for sock in socks:
            with contextlib.suppress(OSError):
                sock.sendall(b"a")  # some life does not prolong it
        for sock in socks:
            self.assertIn(st.read_to_end(sock)[1], ("fin", "rst"))
            sock.close()
        self.assertLess(time.monotonic() - begin, st.WAIT)


if __name__ == "__main__":
    stt_harness.main()
