"""The real programs against the second implementation: every mode, both roles, everything that is on the wire."""

import contextlib
import os
import random
import socket
import threading

import harness
from badwire import Badwire, Chop, Delay
from harness import ALL_MODES, MUTUAL, PSK, TOFU, KeyPair, st, stcp1
from stcp1 import CLOSE, DATA, PIN_UPDATE

THERE = random.Random(1).randbytes(300_001)
BACK = random.Random(2).randbytes(200_003)
SECRET = b"\x51" * 32


class OneServer:
    """Runs `serve(peer)` for one connection of the real client."""

    def __init__(self, mode: int, serve, **ends):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.name = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.fault: BaseException | None = None
        self.peer: stcp1.Peer | None = None

        def run() -> None:
            try:
                sock, _ = self.listener.accept()
                with sock:
                    self.peer = stcp1.serve_one(sock, mode, timeout=st.WAIT, **ends)
                    serve(self.peer)
            except BaseException as error:  # noqa: BLE001 - shown by the test
                self.fault = error

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def done(self) -> None:
        self.thread.join(st.WAIT)
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        if self.fault is not None:
            raise self.fault


class RealServer(harness.AttackCase):
    def test_pipe_listener_in_every_mode(self) -> None:
        for mode in ALL_MODES:
            with self.subTest(harness.MODE_NAMES[mode]):
                listener = st.Listener(["pipe", "-l", "127.0.0.1:0", *self.flags(mode, SECRET)],
                                       state=self.state / f"s{mode}", stdin="pipe")
                self.addCleanup(listener.kill)
                feeder = threading.Thread(target=lambda: (listener.write(BACK), listener.close_stdin()))
                feeder.start()
                with stcp1.connect(listener.address, mode, psk=SECRET if mode == PSK else None) as peer:
                    peer.send(THERE)
                    peer.end()
                    self.assertEqual(peer.receive_all(), BACK)
                feeder.join()
                self.assertEqual(listener.wait(), 0, listener.stderr)
                self.assertEqual(bytes(listener.output), THERE)
                if mode != PSK:
                    self.assertIn(f"sas {peer.session.sas[:3]} {peer.session.sas[3:]}", listener.stderr)
                if mode == MUTUAL:
                    self.assertIn(stcp1.format_key("slp1", peer.ends.static.public), listener.stderr)
                listener.assert_sound()

    def test_half_close_is_kept_both_ways(self) -> None:
        for client_first in (True, False):
            listener = st.Listener(["pipe", "-l", "127.0.0.1:0"], state=self.state / "s", stdin="pipe")
            self.addCleanup(listener.kill)
            with stcp1.connect(listener.address, source=st.fresh_source()) as peer:
                if client_first:
                    peer.end()
                    peer.sock.shutdown(socket.SHUT_WR)
                    listener.write(b"long after the client's end")
                    listener.close_stdin()
                    self.assertEqual(peer.receive_all(), b"long after the client's end")
                else:
                    listener.close_stdin()
                    self.assertIsNone(peer.receive())
                    peer.send(b"long after the server's end")
                    peer.end()
            self.assertEqual(listener.wait(), 0, listener.stderr)
            self.assertEqual(bytes(listener.output), b"" if client_first else b"long after the server's end")

    def test_identity_file_holds_the_key_that_is_shown(self) -> None:
        server = self.serve()
        with server.connect() as peer:
            lines = (self.state / "server" / "identity").read_text().splitlines()
            secret = next(line for line in lines if line.startswith("slk1"))
            self.assertEqual(KeyPair(stcp1.parse_key(secret, "slk1")).public, peer.peer_key)
            self.assertIn(stcp1.format_key("slp1", peer.peer_key), "\n".join(lines))

    def test_any_split_of_the_stream_is_the_same_stream(self) -> None:
        server = self.serve()
        for make in (lambda rng: Chop(rng, 7), lambda rng: Chop(rng, 3000), lambda rng: Delay(rng)):
            data = THERE[:20000]
            with Badwire(server.address, c2s=make, s2c=make, source=st.fresh_source) as wire:
                code, out, err = self.run_pipe(wire.name, data)
                self.assertEqual((code, out == data), (0, True), err)

    def test_server_asks_and_client_rekeys(self) -> None:
        for mode in ALL_MODES:
            server = self.serve(mode=mode, psk=SECRET if mode == PSK else None, name=f"server-{mode}")
            with server.connect() as peer:
                for i in range(5):
                    peer.rekey()
                    peer.send(THERE[:5000])
                    self.assertEqual(peer.receive_exactly(5000), THERE[:5000])
                    self.assertEqual(peer.session.rekeys_done, i + 1)
                peer.end()
                self.assertEqual(peer.receive_all(), b"")

    def test_close_while_a_rekey_runs(self) -> None:
        """R1, then CLOSE before R2 is there: no R3, and the other direction goes on, under fresh keys or the old."""
        server = self.serve()
        with server.connect() as peer:
            peer.send_raw(peer.session.start_rekey() + peer.session.data(b"last words") + peer.session.close())
            self.assertEqual(peer.receive_all(), b"last words")
            self.assertIn((peer.session.s2c.epoch, peer.session.c2s.epoch), ((1, 0), (0, 0)))


class RealClient(harness.AttackCase):
    def meet(self, mode: int, serve, data: bytes = THERE, *flags, **ends):
        server = OneServer(mode, serve, psk=SECRET if mode == PSK else None, **ends)
        code, out, err = self.run_pipe(server.name, data, *self.client_flags(mode, SECRET), *flags,
                                       state=f"c-{os.urandom(4).hex()}")
        server.done()
        return code, out, err, server

    def exchange(self, peer) -> None:
        self.assertEqual(peer.receive_all(), THERE)
        peer.send(BACK)
        peer.end()

    def test_pipe_client_in_every_mode(self) -> None:
        for mode in ALL_MODES:
            with self.subTest(harness.MODE_NAMES[mode]):
                code, out, err, server = self.meet(mode, self.exchange)
                self.assertEqual((code, out == BACK), (0, True), err)
                session = server.peer.session
                if mode != PSK:
                    self.assertIn(f"sas {session.sas[:3]} {session.sas[3:]}", err)
                if mode in (TOFU, MUTUAL):
                    self.assertRegex(err, r"\(new, pinned\)")
                    self.assertIn(stcp1.format_key("slp1", server.peer.ends.static.public), err)
                if mode == MUTUAL:
                    self.assertIsNotNone(server.peer.peer_key)
                self.assertIn("AES-256-GCM", err)

    def test_padding_on_the_wire_is_what_was_asked_for(self) -> None:
        for policy in ("none", "256", "padme"):
            sizes = []

            def serve(peer) -> None:
                got = bytearray()
                while True:
                    record = stcp1.wire.read_record(peer.sock)
                    kind, data, _ = peer.session.open(record)
                    sizes.append((kind, len(data), len(record) - 24 - 20))
                    got += data
                    if kind == CLOSE:
                        break
                self.assertEqual(bytes(got[:-1]), THERE)
                peer.end()

            code, _, err, _ = self.meet(TOFU, serve, THERE, "--pad", policy)
            self.assertEqual(code, 0, err)
            for kind, size, padded in sizes:
                self.assertEqual(padded, stcp1.pad_length(policy, size), f"{policy}: type {kind}, {size} bytes")
            self.assertGreater(len(sizes), 2)

    def test_server_may_ask_for_fresh_keys(self) -> None:
        def serve(peer) -> None:
            peer.send(BACK[:1000])
            peer.rekey()  # R0; the client may wait for a second or a MiB before it begins
            while peer.session.rekeys_done == 0:
                kind, _ = peer.receive_record()
            peer.send(BACK[1000:])
            peer.end()
            while peer.session.got_close is None:
                peer.receive_record()

        server = OneServer(TOFU, serve)
        program = self.pipe(server.name, stdin="pipe")
        program.wait_output(len(BACK))
        program.close_stdin()
        self.assertEqual(program.wait(), 0, program.stderr)
        server.done()
        self.assertEqual(bytes(program.output), BACK)

    def test_empty_and_padded_records_and_pings_are_no_data(self) -> None:
        def serve(peer) -> None:
            seal = peer.session.out.seal
            peer.send_raw(seal(DATA, b"") + peer.session.ping() + seal(DATA, b"one", 500) + seal(DATA, b"", 65536)
                          + seal(DATA, b"two") + peer.session.ping())
            peer.end()
            peer.receive_all()

        code, out, err, _ = self.meet(TOFU, serve, b"")
        self.assertEqual((code, out), (0, b"onetwo"), err)

    def test_announced_next_key_is_kept_beside_the_present_one(self) -> None:
        """PIN_UPDATE: the next key is good as well, another is not."""
        present, following = KeyPair(), KeyPair()
        state = "rotating"

        def serve(peer) -> None:
            peer.send_raw(peer.session.out.seal(PIN_UPDATE, following.public))
            peer.end()
            peer.receive_all()

        listener = socket.create_server(("127.0.0.1", 0), backlog=8)
        name = f"127.0.0.1:{listener.getsockname()[1]}"
        keys = [present, following, present, KeyPair()]

        def run() -> None:
            for i, key in enumerate(keys):
                with contextlib.suppress(OSError, stcp1.Truncated):
                    sock, _ = listener.accept()
                    with sock:
                        peer = stcp1.serve_one(sock, TOFU, static=key, timeout=st.WAIT)
                        serve(peer) if i == 0 else (peer.end(), peer.receive_all())

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        codes = [self.run_pipe(name, b"", state=state)[0] for _ in keys]
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(st.WAIT)
        self.assertEqual(codes, [0, 0, 0, 3])
        lines = (self.state / state / "known_peers").read_text().splitlines()
        self.assertEqual([line.split()[1] for line in lines if line.startswith(name)],
                         [stcp1.format_key("slp1", present.public), stcp1.format_key("slp1", following.public)])

    def test_what_is_no_stcp_is_exit_9(self) -> None:
        for says in (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" + b" " * 200,
                     b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n" + bytes(200),
                     stcp1.head_step(TOFU, 2, version=2) + bytes(130)):
            listener = socket.create_server(("127.0.0.1", 0))
            with listener, st.Player(listener, says) as player:
                code, out, err = self.run_pipe(f"127.0.0.1:{listener.getsockname()[1]}", b"data")
                player.join()
            self.assertEqual((code, out), (9, b""), err)
            self.assertEqual(len(player.received), 90, "the client went on")


if __name__ == "__main__":
    harness.main()
