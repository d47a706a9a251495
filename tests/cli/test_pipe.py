"""sealine pipe: who is at the other end, both directions, and how it ends."""

import contextlib
import json
import os
import pty
import re
import signal
import socket
import threading

import cli_case
from cli_case import st

DATA = os.urandom(300_000)


class Pipe(cli_case.CliCase):
    def exchange(self, *, server=(), client=(), up: bytes = b"up", down: bytes = b"down", name="client"):
        """One connection through a listener of its own: what both ends have said."""
        listener = self.listener("pipe", "-l", "127.0.0.1:0", *server, stdin="pipe")
        listener.write(down)
        listener.close_stdin()
        done = self.assert_exit(0, self.pipe_to(listener, *client, data=up, state=name))
        self.assertEqual(down, done.out)
        self.assertEqual(up, self.finish(listener))
        return done.err, listener.stderr

    def test_both_directions(self) -> None:
        self.exchange(up=DATA, down=DATA[::-1])
        self.exchange(up=b"", down=b"")

    def test_first_line_is_where_it_listens(self) -> None:
        listener = self.listener("pipe", "-l", "127.0.0.1:0")
        self.assertRegex(listener.stderr_lines[0], r"^sealine: listening on 127\.0\.0\.1:[1-9]\d*$")

    def test_first_and_second_contact(self) -> None:
        port = None
        for trust in ("new, pinned", "known"):
            listener = self.listener("pipe", "-l", f"127.0.0.1:{port or 0}")
            port = listener.port
            match = self.connected(self.assert_exit(0, self.pipe_to(listener, data=b"x")).err)
            self.assertEqual((trust, "NX", listener.name), (match["trust"], match["mode"], match["name"]))
            self.assertEqual(trust != "known", match["sas"] is not None)
            self.assertEqual(b"x", self.finish(listener))
            if match["sas"]:
                self.assertIn(f"sas {match['sas']}", listener.stderr)
            shown = self.run_sealine("key", "show", state=self.dir / "server").out.decode().split()[0]
            self.assertEqual(shown, match["key"])

    def changed_key(self, *flags) -> tuple:
        listener = self.listener("pipe", "-l", "127.0.0.1:0", "--keep")
        real = self.run_sealine("key", "show", state=self.dir / "server").out.decode().split()
        other = self.run_sealine("key", "show", state=self.dir / "other").out.decode().split()
        self.assert_exit(0, self.run_sealine("peers", "add", listener.name, other[0], state=self.dir / "client"))
        done = self.pipe_to(listener, *flags, data=b"the user's own bytes")
        self.assertEqual(b"", bytes(listener.output), "data were sent")
        return listener, done, real, other

    def test_changed_key_is_a_hard_stop(self) -> None:
        listener, done, real, other = self.changed_key()
        self.assert_error("A03", 3, done)
        self.assertIn(f"error[SL-A03]: the key of {listener.name} has changed (F7)\n", done.err)
        for key, fingerprint in (real, other):
            self.assertIn(key, done.err)
            self.assertIn(fingerprint, done.err)
        command = re.search(r"(?m)^hint: .*: sealine (peers forget \S+)$", done.err).group(1).split()
        self.assert_exit(0, self.run_sealine(*command, state=self.dir / "client"))
        self.assertIn("new, pinned", self.assert_exit(0, self.pipe_to(listener)).err)

    def test_hint_names_the_state_directory_that_was_given(self) -> None:
        listener, _, _, _ = self.changed_key()
        given = self.dir / "client"
        done = self.assert_error("A03", 3, self.pipe_to(listener, "--state-dir", given, state="elsewhere"))
        self.assertIn(f"sealine --state-dir {given} peers forget {listener.name}", done.err)

    def test_yes_does_not_help_against_a_changed_key(self) -> None:
        self.assert_error("A03", 3, self.changed_key("--yes", "--trust", "new")[1])

    def test_given_key(self) -> None:
        right = self.run_sealine("key", "show", state=self.dir / "server").out.decode().split()[0]
        wrong = self.run_sealine("key", "show", state=self.dir / "other").out.decode().split()[0]
        err, _ = self.exchange(client=("--peer-key", right))
        self.assertEqual("given", self.connected(err)["trust"])
        self.assertFalse((self.dir / "client" / "known_peers").exists())
        listener = self.listener("pipe", "-l", "127.0.0.1:0")
        done = self.pipe_to(listener, "--peer-key", wrong, data=b"secret")
        self.assert_error("A04", 3, done)
        self.assertIn(right, done.err)
        self.assertIn(wrong, done.err)

    def test_strangers(self) -> None:
        listener = self.listener("pipe", "-l", "127.0.0.1:0", "--keep")
        done = self.assert_error("A04", 6, self.pipe_to(listener, "--trust", "pinned"))
        self.assertIn("hint: sealine peers add", done.err)
        done = self.assert_error("A04", 2, self.pipe_to(listener, "--trust", "ask"))
        self.assertIn("--trust new", done.err)
        self.assert_exit(0, self.pipe_to(listener, "--trust", "ask", "--yes"))
        self.assert_exit(0, self.pipe_to(listener, "--trust", "pinned"))

    def test_asked_on_the_terminal(self) -> None:
        listener = self.listener("pipe", "-l", "127.0.0.1:0", "--keep")
        for answer, code in ((b"n\n", 6), (b"y\n", 0)):
            pid, terminal = pty.fork()
            if pid == 0:
                os.execve(st.SEALINE, ["sealine", "pipe", listener.name, "--trust", "ask", "--color", "never"],
                          st.environment(self.dir / "client"))
            said = b""
            while b"[y/N]" not in said:
                said += os.read(terminal, 4096)
            os.write(terminal, answer)
            if code == 0:
                while b"connected to" not in said:
                    said += os.read(terminal, 4096)
                os.write(terminal, b"\x04")
            with contextlib.suppress(OSError):
                while piece := os.read(terminal, 4096):
                    said += piece
            os.close(terminal)
            self.assertEqual(code, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said)
            self.assertRegex(said.decode(), rf"is new: {cli_case.KEY} {cli_case.FINGERPRINT}")

    def test_ipv4_client_of_a_listener_on_all_addresses(self) -> None:
        listener = st.sealine("pipe", "-l", "0", state=self.dir / "server")
        self.addCleanup(listener.kill)
        port = listener.wait_line(r"listening on \S+:(\d+)$").group(1)
        self.assert_exit(0, self.run_sealine("pipe", f"127.0.0.1:{port}", data=b"x", state=self.dir / "client"))
        self.assertEqual(b"x", self.finish(listener))
        self.assertTrue(self.connected(listener.stderr)["name"].startswith("127.0.0.1:"), listener.stderr)

    def test_shared_secret(self) -> None:
        key = self.secret("psk")
        client, server = self.exchange(server=("--psk-file", key), client=("--psk-file", key))
        for err in (client, server):
            match = self.connected(err)
            self.assertEqual(("psk", "NNpsk0", None, None), (match["trust"], match["mode"], match["key"], match["sas"]))

    def test_shared_secret_from_environment_and_standard_input(self) -> None:
        key = self.secret("psk")
        listener = self.listener("pipe", "-l", "127.0.0.1:0", "--keep", extra_env={"SEALINE_PSK_FILE": str(key)})
        self.assert_exit(0, self.pipe_to(listener, data=b"x", env={"SEALINE_PSK_FILE": str(key)}))
        self.assert_exit(0, self.pipe_to(listener, "--psk-file", "-", data=key.read_bytes()))
        self.assert_exit(4, self.pipe_to(listener, "--anonymous", env={"SEALINE_PSK_FILE": str(key)}))

    def test_wrong_shared_secret(self) -> None:
        listener = self.listener("pipe", "-l", "127.0.0.1:0", "--keep", "--psk-file", self.secret("right"))
        done = self.pipe_to(listener, "--psk-file", self.secret("wrong"), data=b"secret", timeout=20)
        self.assert_error("A10", 3, done)
        self.assert_error("E10", 4, self.pipe_to(listener))
        self.assert_exit(0, self.pipe_to(listener, "--psk-file", self.dir / "right", data=b"x"))
        listener.wait_line("SL-A01")

    def test_secret_file_rules(self) -> None:
        key = self.secret("psk")
        key.chmod(0o644)
        done = self.assert_error("U06", 2, self.run_sealine("pipe", "127.0.0.1:9", "--psk-file", key))
        self.assertIn("chmod 600", done.err)
        self.assert_error("U06", 2, self.run_sealine("pipe", "-l", "0", "--psk-file", key))
        self.assert_error("E07", 2, self.run_sealine("pipe", "127.0.0.1:9", "--psk-file", self.dir / "none"))

    def test_anonymous_says_so_each_time(self) -> None:
        client, server = self.exchange(server=("--anonymous",), client=("--anonymous", "--quiet"))
        self.assertIn("sealine: encrypted, peer not authenticated", client)
        self.assertIn("sealine: encrypted, peer not authenticated", server)
        self.assertEqual(("not authenticated", "NN"), (self.connected(server)["trust"], self.connected(server)["mode"]))
        self.assertIsNotNone(self.connected(server)["sas"])

    def test_anonymous_is_never_taken_unasked(self) -> None:
        listener = self.listener("pipe", "-l", "127.0.0.1:0", "--keep")
        self.assert_error("E10", 4, self.pipe_to(listener, "--anonymous"))

    def test_mutual(self) -> None:
        own = self.run_sealine("key", "show", state=self.dir / "client").out.decode().split()[0]
        client, server = self.exchange(server=("--mutual",), client=("--mutual",))
        self.assertEqual(("XX", "new, pinned"), (self.connected(client)["mode"], self.connected(client)["trust"]))
        self.assertEqual((own, "new, pinned"), (self.connected(server)["key"], self.connected(server)["trust"]))
        self.assertEqual(self.connected(client)["sas"], self.connected(server)["sas"])
        _, server = self.exchange(server=("--mutual",), client=("--mutual",))
        self.assertEqual("known", self.connected(server)["trust"])
        self.assertIn(own, (self.dir / "server" / "known_clients").read_text())

    def test_allow(self) -> None:
        friend = self.run_sealine("key", "show", state=self.dir / "friend").out.decode().split()[0]
        allow = self.dir / "allow"
        allow.write_text(f"# who may\n{friend} laptop\n")
        listener = self.listener("pipe", "-l", "127.0.0.1:0", "--keep", "--allow", allow)
        self.assert_error("A10", 3, self.pipe_to(listener, "--mutual", data=b"x", state="stranger"))
        self.assert_error("E10", 4, self.pipe_to(listener, data=b"x", state="stranger"))
        self.assert_exit(0, self.pipe_to(listener, "--mutual", data=b"x", state="friend"))
        listener.wait_line(rf"connected to \S+ {friend} \(given\), STCP/1 XX")
        self.assertEqual(0, listener.terminate())

    def test_identity_file(self) -> None:
        identity = self.secret("id", "--identity")
        own = self.run_sealine("key", "show", identity).out.decode().split()[0]
        _, server = self.exchange(client=("--mutual", "--identity", identity))
        self.assertEqual(own, self.connected(server)["key"])

    def test_reload_takes_new_keys(self) -> None:
        friend = self.run_sealine("key", "show", state=self.dir / "friend").out.decode().split()[0]
        allow = self.dir / "allow"
        allow.write_text("# nobody yet\n")
        listener = self.listener("pipe", "-l", "127.0.0.1:0", "--keep", "--allow", allow)
        self.assert_exit(3, self.pipe_to(listener, "--mutual", state="friend"))
        allow.write_text(f"{friend}\n")
        listener.process.send_signal(signal.SIGHUP)
        listener.wait_line("keys were read again")
        self.assert_exit(0, self.pipe_to(listener, "--mutual", state="friend"))


class Ends(cli_case.CliCase):
    def test_half_close_of_the_client(self) -> None:
        listener = self.listener("pipe", "-l", "127.0.0.1:0", stdin="pipe")
        client = self.program("pipe", listener.name, stdin="pipe")
        client.write(b"question")
        client.close_stdin()
        self.assertEqual(b"question", listener.wait_output(8))
        listener.write(b"answer")
        self.assertEqual(b"answer", client.wait_output(6))
        listener.close_stdin()
        self.finish(client)
        self.finish(listener)

    def test_half_close_of_the_listener(self) -> None:
        listener = self.listener("pipe", "-l", "127.0.0.1:0", stdin="null")
        client = self.program("pipe", listener.name, stdin="pipe")
        client.wait_line("connected to")
        client.write(b"late")
        self.assertEqual(b"late", listener.wait_output(4))
        client.close_stdin()
        self.finish(client)
        self.finish(listener)

    def test_reader_sees_the_peers_end_at_once(self) -> None:
        listener = self.listener("pipe", "-l", "127.0.0.1:0", stdin="null")
        read_end, write_end = os.pipe()
        client = self.program("pipe", listener.name, stdin="pipe", stdout=write_end)
        os.close(write_end)
        with os.fdopen(read_end, "rb") as reader:
            self.assertEqual(b"", reader.read())
        self.assertTrue(client.is_running())
        client.close_stdin()
        self.finish(client)
        self.finish(listener)

    def test_terminal_counts_as_done_when_the_peer_is(self) -> None:
        listener = self.listener("pipe", "-l", "127.0.0.1:0", stdin="null")
        ours, theirs = os.openpty()
        client = self.program("pipe", listener.name, stdin=theirs)
        os.close(theirs)
        self.finish(client)
        self.finish(listener)
        os.close(ours)

    def test_keep_serves_again_and_drains(self) -> None:
        listener = self.listener("pipe", "-l", "127.0.0.1:0", "--keep")
        for i in range(5):
            self.assert_exit(0, self.pipe_to(listener, data=b"%d" % i))
        self.assertEqual(b"01234", listener.wait_output(5))
        self.assertEqual(0, listener.terminate())

    def test_without_keep_one_is_served(self) -> None:
        listener = self.listener("pipe", "-l", "127.0.0.1:0")
        self.assert_exit(0, self.pipe_to(listener, data=b"x"))
        self.finish(listener)
        self.assert_error("E04", 4, self.pipe_to(listener))

    def test_failed_handshakes_never_end_a_listener(self) -> None:
        listener = self.listener("pipe", "-l", "127.0.0.1:0")
        for garbage in (b"", b"GET / HTTP/1.1\r\n\r\n", bytes(24), b"\xff" * 200, b"\x00" * 7 + b"\x42STCP\x01\x01"):
            with socket.create_connection(listener.address) as sock:
                sock.sendall(garbage)
                sock.shutdown(socket.SHUT_WR)
                self.assertEqual(b"", sock.recv(100))
        with socket.create_connection(listener.address) as sock:
            st.reset(sock)
        listener.wait_line("handshake failed")
        self.assert_exit(0, self.pipe_to(listener, data=b"still here"))
        self.assertEqual(b"still here", self.finish(listener))

    def test_log_forms(self) -> None:
        for form, check in (("json", json.loads), ("text", lambda line: self.assertRegex(line, r"^ts=\S+ level=warning msg="))):
            listener = self.listener("pipe", "-l", "127.0.0.1:0", "--log-format", form)
            with socket.create_connection(listener.address) as sock:
                sock.sendall(bytes(24))
                sock.recv(1)
            listener.wait_line("handshake failed")
            check(next(line for line in listener.stderr_lines if "handshake failed" in line))
            listener.kill()

    def cut(self, listener: st.Listener, after: int) -> int:
        """A proxy that ends both connections once so many bytes have come from the listener; its port."""
        proxy = socket.create_server(("127.0.0.1", 0))

        def run() -> None:
            with proxy, proxy.accept()[0] as client, socket.create_connection(listener.address) as server:
                def up() -> None:
                    try:
                        while piece := client.recv(65536):
                            server.sendall(piece)
                    except OSError:
                        pass
                threading.Thread(target=up, daemon=True).start()
                left = after
                while left > 0 and (piece := server.recv(min(left, 65536))):
                    client.sendall(piece)
                    left -= len(piece)
                client.shutdown(socket.SHUT_RDWR)
                server.shutdown(socket.SHUT_RDWR)

        threading.Thread(target=run, daemon=True).start()
        return proxy.getsockname()[1]

    def test_cut_connection_is_no_end(self) -> None:
        listener = self.listener("pipe", "-l", "127.0.0.1:0", "--keep", stdin="pipe")
        writer = threading.Thread(target=lambda: self.push(listener), daemon=True)
        writer.start()
        port = self.cut(listener, 300_000)
        client = self.program("pipe", f"127.0.0.1:{port}", stdin="null")
        self.assertEqual(7, client.wait(), client.stderr)
        self.assertIn("error[SL-P04]", client.stderr)
        self.assertTrue((DATA * 20).startswith(bytes(client.output)))
        self.assertGreater(len(client.output), 100_000)
        listener.wait_line(r"error\[SL-")
        self.assertTrue(listener.is_running())

    @staticmethod
    def push(program: st.Program) -> None:
        try:
            program.write(DATA * 20)
            program.close_stdin()
        except OSError:
            pass

    def test_nobody_there(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            port = sock.getsockname()[1]
        done = self.assert_error("E04", 4, self.run_sealine("pipe", f"127.0.0.1:{port}"))
        self.assertIn("hint: --retry", done.err)
        done = self.assert_error_after_retry(port)
        self.assertIn("error[SL-E11]", done.err)
        self.assert_error("E02", 4, self.run_sealine("pipe", "no-such-host.invalid:9000"))

    def assert_error_after_retry(self, port: int) -> cli_case.Done:
        return self.assert_exit(5, self.run_sealine("pipe", f"127.0.0.1:{port}", "--retry", "300ms"))

    def test_retry_waits_for_a_listener(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            port = sock.getsockname()[1]
        client = self.program("pipe", f"127.0.0.1:{port}", "--retry", "1m", stdin="null")
        client.wait_line("trying for")
        listener = self.listener("pipe", "-l", f"127.0.0.1:{port}", stdin="null")
        self.finish(client)
        self.finish(listener)

    def test_another_protocol_and_silence(self) -> None:
        for says, code in ((b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" * 5, 9), (b"", 4)):
            with socket.create_server(("127.0.0.1", 0)) as sock, st.Player(sock, says):
                done = self.run_sealine("pipe", f"127.0.0.1:{sock.getsockname()[1]}", "--handshake-timeout", "500ms",
                                        data=b"user data")
                self.assert_exit(code, done)
                self.assertEqual(b"", done.out)

    def test_reader_that_has_gone(self) -> None:
        listener = self.listener("pipe", "-l", "127.0.0.1:0", stdin="pipe")
        read_end, write_end = os.pipe()
        os.close(read_end)
        client = self.program("pipe", listener.name, stdin="null", stdout=write_end)
        os.close(write_end)
        self.push(listener)
        self.assertEqual(8, client.wait())
        self.assertNotIn("error", client.stderr)

    def test_full_disk(self) -> None:
        listener = self.listener("pipe", "-l", "127.0.0.1:0", stdin="pipe")
        with open("/dev/full", "wb") as full:
            client = self.program("pipe", listener.name, stdin="null", stdout=full)
        self.push(listener)
        self.assertEqual(8, client.wait())
        self.assertIn("error[SL-E07]", client.stderr)

    def test_signals(self) -> None:
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            listener = self.listener("pipe", "-l", "127.0.0.1:0", stdin="pipe")
            client = self.program("pipe", listener.name, stdin="pipe")
            client.wait_line("connected to")
            client.process.send_signal(number)
            self.assertEqual(code, client.wait(), client.stderr)
            listener.wait_line(r"error\[SL-P05\]")
            self.assertEqual(7, listener.wait())
            waiting = self.listener("pipe", "-l", "127.0.0.1:0")
            waiting.process.send_signal(number)
            self.assertEqual(code, waiting.wait(), waiting.stderr)

    def test_port_in_use_and_ipv6(self) -> None:
        listener = self.listener("pipe", "-l", "[::1]:0")
        self.assertTrue(listener.name.startswith("[::1]:"))
        self.assert_error("E01", 1, self.run_sealine("pipe", "-l", listener.name))
        self.assert_exit(0, self.pipe_to(listener, data=b"six"))
        self.assertEqual(b"six", self.finish(listener))

    def test_rate_and_padding(self) -> None:
        for flags in (("--pad", "256"), ("--pad", "padme"), ("--limit-rate", "2M")):
            listener = self.listener("pipe", "-l", "127.0.0.1:0")
            self.assert_exit(0, self.pipe_to(listener, *flags, data=DATA))
            self.assertEqual(DATA, self.finish(listener))


class Events(cli_case.CliCase):
    FIELDS = {"listening": {"address"}, "connected": {"peer", "key", "trust", "protocol", "mode", "crypto", "sas"},
              "notice": {"text"}, "error": {"code", "fault", "text", "hint"},
              "done": {"exit", "seconds", "bytes_in", "bytes_out"}}

    def check(self, text: str) -> list[dict]:
        events = [json.loads(line) for line in text.splitlines()]
        for event in events:
            self.assertEqual(["v", "t", "ts"], list(event)[:3])
            self.assertEqual(1, event["v"])
            self.assertRegex(event["ts"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertLessEqual(self.FIELDS[event["t"]], set(event))
        self.assertEqual("done", events[-1]["t"])
        self.assertEqual(1, [event["t"] for event in events].count("done"))
        return events

    def test_pipe(self) -> None:
        listener = st.sealine("pipe", "-l", "127.0.0.1:0", "--json", state=self.dir / "server")
        self.addCleanup(listener.kill)
        address = json.loads(listener.wait_line('"listening"').string)["address"]
        done = self.assert_exit(0, self.run_sealine("pipe", address, "--json", data=DATA, state=self.dir / "client"))
        self.assertEqual(b"", done.out)
        connected, end = self.check(done.err)
        self.assertEqual((address, "new, pinned", "STCP/1", "NX", "AES-256-GCM"),
                         tuple(connected[k] for k in ("peer", "trust", "protocol", "mode", "crypto")))
        self.assertEqual((0, len(DATA), 0), (end["exit"], end["bytes_out"], end["bytes_in"]))
        self.assertEqual(DATA, self.finish(listener))
        events = self.check(listener.stderr)
        self.assertEqual(["listening", "connected", "done"], [event["t"] for event in events])
        self.assertEqual(len(DATA), events[-1]["bytes_in"])
        self.assertEqual(connected["sas"], events[1]["sas"])

    def test_errors(self) -> None:
        listener = self.listener("pipe", "-l", "127.0.0.1:0", "--psk-file", self.secret("a"))
        done = self.assert_exit(3, self.pipe_to(listener, "--json", "--psk-file", self.secret("b")))
        error, end = self.check(done.err)
        self.assertEqual(("SL-A10", "authentication", 3), (error["code"], error["fault"], end["exit"]))

    def test_anonymous_is_a_notice(self) -> None:
        listener = self.listener("pipe", "-l", "127.0.0.1:0", "--anonymous")
        events = self.check(self.assert_exit(0, self.pipe_to(listener, "--json", "--anonymous")).err)
        self.assertEqual(["connected", "notice", "done"], [event["t"] for event in events])
        self.assertIsNone(events[0]["key"])


if __name__ == "__main__":
    cli_case.main()
