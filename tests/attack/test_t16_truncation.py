"""T16: the connection is cut at every byte. Only after CLOSE is an end a clean one: `sealine pipe` says 7, and its
output is a prefix. The tunnel's plain side sees a reset, never an orderly end of a stream that was cut."""

import contextlib
import socket
import threading

import badwire
import harness
from harness import TOFU, KeyPair, st, stcp1
from stcp1 import CLOSE, DATA

FIRST, SECOND = b"the first record", b"and the second one"
SIZES = (44 + len(FIRST), 44 + len(SECOND), 44 + 1)
TOTAL = sum(SIZES)


class CuttingServer:
    """Serves each connection three records, of which `cut_at()` bytes are sent before it ends the connection."""

    def __init__(self, plan):
        self.plan = plan  # iterator of (bytes, "fin" | "rst")
        self.key = KeyPair()
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.name = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        for size, how in self.plan:
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            with sock, contextlib.suppress(OSError, stcp1.Truncated, stcp1.Fault):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peer = stcp1.serve_one(sock, TOFU, static=self.key, timeout=st.WAIT)
                seal = peer.session.out.seal
                wire = seal(DATA, FIRST) + seal(DATA, SECOND) + seal(CLOSE, b"\0")
                sock.sendall(wire[:size])
                if how == "rst":
                    # What was sent is read before the reset overtakes it: the client's own CLOSE comes first.
                    with contextlib.suppress(stcp1.Truncated):
                        peer.receive()
                    st.reset(sock)
                else:
                    sock.shutdown(socket.SHUT_WR)
                    st.read_to_end(sock)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(st.WAIT)


def whole(size: int) -> bytes:
    """What may be delivered of a stream cut at `size`."""
    return (FIRST if size >= SIZES[0] else b"") + (SECOND if size >= SIZES[0] + SIZES[1] else b"")


def places() -> list[int]:
    if st.FULL:
        return list(range(TOTAL + 1))
    edges = {0, 1, 8, 23, 24, 25, SIZES[0] - 1, SIZES[0], SIZES[0] + 24, SIZES[0] + SIZES[1] - 1, SIZES[0] + SIZES[1],
             TOTAL - 1, TOTAL}
    return sorted(edges | set(range(5, TOTAL, 29)))


class Pipe(harness.AttackCase):
    def test_pipe_says_7_and_gives_a_prefix(self) -> None:
        plan = [(size, how) for size in places() for how in ("fin", "rst")]
        server = CuttingServer(iter(plan))
        self.addCleanup(server.close)
        for size, how in plan:
            with self.subTest(size=size, how=how):
                code, out, err = self.run_pipe(server.name, b"")
                if size < SIZES[0]:
                    self.assertEqual(code, 7, err)  # the server has proved itself: the session stood
                elif size < TOTAL:
                    self.assertEqual(code, 7, err)
                elif how == "fin":
                    self.assertEqual(code, 0, err)
                self.assertTrue((FIRST + SECOND).startswith(out))
                if how == "fin":
                    self.assertEqual(out, whole(size), "what had come whole is delivered")

    def test_server_says_so_too(self) -> None:
        """A client that is cut: a listener that serves once ends with 7, its output a prefix."""
        for size in places()[:: 1 if st.FULL else 3]:
            with self.subTest(size=size):
                listener = st.Listener(["pipe", "-l", "127.0.0.1:0"], state=self.state / "listener")
                self.addCleanup(listener.kill)
                with stcp1.connect(listener.address) as peer:
                    seal = peer.session.out.seal
                    wire = seal(DATA, FIRST) + seal(DATA, SECOND) + seal(CLOSE, b"\0")
                    peer.send_raw(wire[:size])
                    peer.sock.shutdown(socket.SHUT_WR)
                    st.read_to_end(peer.sock)
                self.assertEqual(listener.wait(), 0 if size == TOTAL else 7, listener.stderr)
                self.assertEqual(bytes(listener.output), whole(size))
                listener.assert_sound()

    def test_cut_inside_the_handshake_gives_no_output(self) -> None:
        server = self.serve()
        for direction, total in (("c2s", 90), ("s2c", 154)):
            for size in range(0, total, 1 if st.FULL else 37):
                for how in (badwire.END, badwire.RESET):
                    with self.subTest(direction=direction, size=size), \
                            badwire.Badwire(server.address, source=st.fresh_source,
                                                    **{direction: lambda _: badwire.Cut(size, how)}) as wire:
                        before = self.echo.bytes_in
                        code, out, err = self.run_pipe(wire.name, b"data")
                        self.assertEqual((code, out), (4, b""), err)
                        self.assertEqual(self.echo.bytes_in, before)


class Tunnel(harness.AttackCase):
    def test_plain_side_of_a_cut_stream_is_reset(self) -> None:
        plan = [(size, "fin") for size in places()]
        server = CuttingServer(iter(plan))
        self.addCleanup(server.close)
        listener = st.Listener(["tunnel", "--listen", "127.0.0.1:0", "--to", f"stcp://{server.name}"],
                               state=self.state / "client")
        self.addCleanup(listener.kill)
        for size, _ in plan:
            with self.subTest(size=size), socket.create_connection(listener.address, st.WAIT) as sock:
                out, end = st.read_to_end(sock)
                self.assertTrue((FIRST + SECOND).startswith(out))
                if size < TOTAL:
                    self.assertEqual(end, "rst", "a cut stream looks whole to the program behind the tunnel")
                else:
                    self.assertEqual((out, end), (FIRST + SECOND, "fin"))
        self.assertEqual(listener.terminate(), 0)
        listener.assert_sound()

    def test_service_behind_the_tunnel_sees_a_reset(self) -> None:
        ends = []
        backend = socket.create_server(("127.0.0.1", 0), backlog=64)

        def accept() -> None:
            while True:
                try:
                    sock, _ = backend.accept()
                except OSError:
                    return
                with sock:
                    ends.append(st.read_to_end(sock))

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        listener = st.Listener(["tunnel", "--listen", "stcp://127.0.0.1:0", "--to",
                                f"127.0.0.1:{backend.getsockname()[1]}"], state=self.state / "server")
        self.addCleanup(listener.kill)
        for clean in (True, False):
            with stcp1.connect(listener.address, source=st.fresh_source()) as peer:
                peer.send(FIRST)
                if clean:
                    peer.end()
                else:
                    peer.sock.shutdown(socket.SHUT_WR)
                st.read_to_end(peer.sock)
        st.wait_until(lambda: len(ends) == 2, what="both connections ended")
        backend.shutdown(socket.SHUT_RDWR)
        backend.close()
        thread.join(st.WAIT)
        self.assertEqual(ends[0], (FIRST, "fin"))
        self.assertEqual(ends[1][1], "rst")
        self.assertEqual(listener.terminate(), 0)
        listener.assert_sound()


if __name__ == "__main__":
    harness.main()
