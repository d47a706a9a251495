"""sealine tunnel: a real HTTP server behind it, many connections at once, half-closes, signals, Unix sockets."""

import concurrent.futures
import http.client
import http.server
import json
import os
import signal
import socket
import threading

import cli_case
from cli_case import st

BODY = os.urandom(50_000)


class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True


class Tunnel(cli_case.CliCase):
    def setUp(self) -> None:
        super().setUp()
        self.echo = st.EchoServer()
        self.addCleanup(self.echo.close)

    def http(self) -> int:
        server = Server(("127.0.0.1", 0), Page)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server.server_address[1]

    def sealed(self, *flags, to: str | None = None, **rest) -> st.Listener:
        return self.listener("tunnel", "--listen", "stcp://127.0.0.1:0", "--to", to or f"127.0.0.1:{self.echo.port}",
                             *flags, **rest)

    def plain(self, peer: st.Listener, *flags, listen: str = "127.0.0.1:0") -> st.Listener:
        return self.listener("tunnel", "--listen", listen, "--to", f"stcp://{peer.name}", *flags, state="client")

    def echoes(self, address, data: bytes = b"through the tunnel", family=socket.AF_INET) -> None:
        with socket.socket(family) as sock:
            sock.settimeout(st.WAIT)
            sock.connect(address)
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            self.assertEqual((data, "fin"), st.read_to_end(sock))

    def answer_to(self, address, data: bytes = b"") -> tuple[bytes, str]:
        """What comes back, and how it ends; a reset may come as early as while connecting."""
        try:
            with socket.create_connection(address, st.WAIT) as sock:
                sock.sendall(data)
                return st.read_to_end(sock)
        except (ConnectionResetError, BrokenPipeError):
            return b"", "rst"

    def test_page_through_the_tunnel(self) -> None:
        far = self.sealed(to=f"localhost:{self.http()}")
        near = self.plain(far)
        connection = http.client.HTTPConnection("127.0.0.1", near.port, timeout=st.WAIT)
        for _ in range(3):
            connection.request("GET", "/")
            self.assertEqual(BODY, connection.getresponse().read())
        connection.close()
        self.connected(near.wait_line("connected to").string)
        far.wait_line(r"connected to 127\.0\.0\.1:\d+ \(not authenticated\), STCP/1 NX")

    def test_two_hundred_at_once(self) -> None:
        far = self.sealed(to=f"127.0.0.1:{self.http()}")
        near = self.plain(far)
        count = 200
        together = threading.Barrier(count)

        def fetch(_: int) -> bool:
            connection = http.client.HTTPConnection("127.0.0.1", near.port, timeout=st.WAIT)
            together.wait(st.WAIT)
            connection.request("GET", "/")
            body = connection.getresponse().read()
            connection.close()
            return body == BODY

        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            self.assertEqual(count, sum(pool.map(fetch, range(count))))
        self.assertEqual(0, near.terminate())
        self.assertEqual(0, far.terminate())
        self.assertNotIn("error[", near.stderr)
        self.assertEqual(count, sum("connected to" in line for line in near.stderr_lines))

    def test_more_than_the_handshakes_of_one_address(self) -> None:
        """The far end takes a burst of 400; the near end waits for its turn, and nobody is turned away."""
        near = self.plain(self.sealed())
        self.echoes(near.address)
        count = st.count(1000, 500)
        held = []
        for _ in range(count):
            sock = socket.create_connection(near.address, st.WAIT)
            self.addCleanup(sock.close)
            sock.sendall(b"x")
            held.append(sock)
        for sock in held:
            self.assertEqual(b"x", sock.recv(1))
        self.assertNotIn("error[", near.stderr)

    def test_half_close(self) -> None:
        near = self.plain(self.sealed())
        self.echoes(near.address, os.urandom(500_000))
        self.echoes(near.address, b"")

    def test_target_ends_first(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            near = self.plain(self.sealed(to=f"127.0.0.1:{server.getsockname()[1]}"))
            with socket.create_connection(near.address, st.WAIT) as client:
                target, _ = server.accept()
                with target:
                    target.sendall(b"that is all")
                    target.shutdown(socket.SHUT_WR)
                    self.assertEqual((b"that is all", "fin"), st.read_to_end(client))
                    client.sendall(b"and this too")
                    client.shutdown(socket.SHUT_WR)
                    self.assertEqual((b"and this too", "fin"), st.read_to_end(target))

    def test_max_connections_holds_the_others_back(self) -> None:
        for limited in ("near", "far"):
            with self.subTest(limited):
                flags = ("--max-connections", "2")
                far = self.sealed(*(flags if limited == "far" else ()))
                near = self.plain(far, *(flags if limited == "near" else ()))
                held = []
                for _ in range(2):
                    sock = socket.create_connection(near.address, st.WAIT)
                    sock.sendall(b"x")
                    self.assertEqual(b"x", sock.recv(1))
                    held.append(sock)
                third = socket.create_connection(near.address, st.WAIT)
                third.sendall(b"y")
                third.settimeout(0.3)
                with self.assertRaises(TimeoutError):
                    third.recv(1)
                held.pop().close()
                third.settimeout(st.WAIT)
                self.assertEqual(b"y", third.recv(1))
                for sock in (*held, third):
                    sock.close()

    def test_drain(self) -> None:
        far = self.sealed()
        near = self.plain(far)
        with socket.create_connection(near.address, st.WAIT) as sock:
            sock.sendall(b"before")
            self.assertEqual(b"before", sock.recv(6, socket.MSG_WAITALL))
            for program in (far, near):
                program.process.send_signal(signal.SIGTERM)
                program.wait_line("draining 1 connection")
            with self.assertRaises(OSError):
                socket.create_connection(near.address, st.WAIT).close()
            sock.sendall(b"after")
            sock.shutdown(socket.SHUT_WR)
            self.assertEqual((b"after", "fin"), st.read_to_end(sock))
        self.assertEqual((0, 0), (near.wait(), far.wait()))

    def test_second_signal_ends_at_once(self) -> None:
        for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
            near = self.plain(self.sealed())
            with socket.create_connection(near.address, st.WAIT) as sock:
                sock.sendall(b"x")
                sock.recv(1)
                near.process.send_signal(number)
                near.wait_line("draining")
                near.process.send_signal(number)
                self.assertEqual(code, near.wait())

    def test_status(self) -> None:
        far = self.sealed()
        near = self.plain(far)
        self.echoes(near.address)
        for program in (near, far):
            program.process.send_signal(signal.SIGUSR1)
            program.wait_line(r"^sealine: \d+ connections now, 1 so far, 18 B in, 18 B out")

    def test_unix_ends(self) -> None:
        target = self.dir / "target"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(target))
            server.listen()
            far = self.sealed(to=f"unix:{target}")
            listen = self.dir / "near"
            near = st.sealine("tunnel", "--listen", f"unix:{listen}", "--to", f"stcp://{far.name}",
                              state=self.dir / "client")
            self.addCleanup(near.kill)
            near.wait_line(f"^sealine: listening on unix:{listen}$")
            self.assertEqual(0, listen.stat().st_mode & 0o077)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(listen))
                accepted, _ = server.accept()
                with accepted:
                    client.sendall(b"one way")
                    client.shutdown(socket.SHUT_WR)
                    self.assertEqual((b"one way", "fin"), st.read_to_end(accepted))
                    accepted.sendall(b"and back")
                self.assertEqual((b"and back", "fin"), st.read_to_end(client))
            again = self.run_sealine("tunnel", "--listen", f"unix:{listen}", "--to", f"stcp://{far.name}")
            self.assert_error("E01", 1, again)
            near.kill()  # leaves a socket that nobody serves: the next one takes its place
            self.assertTrue(listen.exists())
            near = st.sealine("tunnel", "--listen", f"unix:{listen}", "--to", f"stcp://{far.name}",
                              state=self.dir / "client")
            self.addCleanup(near.kill)
            near.wait_line("listening on unix:")
            self.assertEqual(0, near.terminate())
            self.assertFalse(listen.exists())

    def test_plaintext_side_stays_on_loopback(self) -> None:
        for listen in ("0.0.0.0:0", "[::]:0"):
            done = self.run_sealine("tunnel", "--listen", listen, "--to", "stcp://127.0.0.1:9")
            self.assert_error("U10", 2, done)
            self.assertIn("--unsafe-listen", done.err)
        bare = self.listener("tunnel", "--listen", "0", "--to", "stcp://127.0.0.1:9")
        self.assertEqual("127.0.0.1", bare.address[0])
        self.assertEqual(0, bare.terminate())
        far = self.sealed()
        near = self.listener("tunnel", "--listen", "0.0.0.0:0", "--to", f"stcp://{far.name}", "--unsafe-listen",
                             state="client")
        self.echoes(near.address)

    def test_target_that_is_not_there(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            port = sock.getsockname()[1]
        far = self.sealed(to=f"127.0.0.1:{port}")
        near = self.plain(far)
        self.assertEqual((b"", "rst"), self.answer_to(near.address))
        far.wait_line("target not reached")
        near.wait_line("connection failed")

    def test_sealed_side_that_is_not_there_or_changed(self) -> None:
        far = self.sealed()
        near = self.plain(far)
        self.echoes(near.address)
        other = self.run_sealine("key", "show", state=self.dir / "other").out.decode().split()[0]
        self.assert_exit(0, self.run_sealine("peers", "replace", far.name, other, state=self.dir / "client"))
        self.assertEqual((b"", "rst"), self.answer_to(near.address, b"for the right server alone"))
        near.wait_line(r"error\[SL-A03\]")
        self.assertEqual(18, self.echo.bytes_in)
        self.assert_exit(0, self.run_sealine("peers", "forget", far.name, state=self.dir / "client"))
        self.echoes(near.address)
        far.kill()
        self.assertEqual((b"", "rst"), self.answer_to(near.address))
        near.wait_line(r"error\[SL-E04\]")

    def test_cut_sealed_side_is_a_reset_for_the_plain_one(self) -> None:
        far = self.sealed()
        near = self.plain(far)
        with socket.create_connection(near.address, st.WAIT) as sock:
            sock.sendall(b"x")
            self.assertEqual(b"x", sock.recv(1))
            far.kill()
            self.assertEqual("rst", st.read_to_end(sock)[1])

    def test_secret_mutual_and_anonymous(self) -> None:
        key = self.secret("psk")
        for flags in (("--psk-file", key), ("--mutual",), ("--anonymous",)):
            with self.subTest(flags):
                near = self.plain(self.sealed(*flags), *flags)
                self.echoes(near.address)

    def test_pipe_into_a_tunnel(self) -> None:
        far = self.sealed()
        done = self.assert_exit(0, self.pipe_to(far, data=BODY))
        self.assertEqual(BODY, done.out)

    def test_events(self) -> None:
        far = self.sealed()
        near = st.sealine("tunnel", "--listen", "127.0.0.1:0", "--to", f"stcp://{far.name}", "--json",
                          state=self.dir / "client")
        self.addCleanup(near.kill)
        st.wait_until(lambda: b"\n" in near.output, what="the first event")
        address = json.loads(bytes(near.output).splitlines()[0])["address"]
        self.echoes(("127.0.0.1", int(address.rsplit(":", 1)[1])))
        self.assertEqual(0, near.terminate())
        events = [json.loads(line) for line in bytes(near.output).splitlines()]
        self.assertEqual(["listening", "connected", "done"], [event["t"] for event in events])
        self.assertEqual((0, 18, 18), tuple(events[-1][k] for k in ("exit", "bytes_in", "bytes_out")))
        self.assertEqual("", near.stderr)


if __name__ == "__main__":
    cli_case.main()
