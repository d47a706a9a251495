"""sealine msg: lines as messages, who is at the other end, commands, receipts, and how it ends."""

import base64
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

LINES = b"".join(b"line %d of some\n" % i for i in range(3000))


class MsgCase(cli_case.CliCase):
    def msg_to(self, listener: st.Listener, *flags, data: bytes = b"", state: str = "client", **rest) -> cli_case.Done:
        return self.run_sealine("msg", listener.name, *flags, data=data, state=self.dir / state, **rest)

    def echo(self, *flags, command: str = "cat", **rest) -> st.Listener:
        return self.listener("msg", "-l", "127.0.0.1:0", "--exec", command, *flags, **rest)

    def exchange(self, *, server=(), client=(), up: bytes = b"up\n", down: bytes = b"down\n", name="client"):
        """One channel through a listener of its own: what both ends have said."""
        listener = self.listener("msg", "-l", "127.0.0.1:0", *server, stdin="pipe")
        listener.write(down)
        listener.close_stdin()
        done = self.assert_exit(0, self.msg_to(listener, *client, data=up, state=name))
        self.assertEqual(down, done.out)
        self.assertEqual(up, self.finish(listener))
        return done.err, listener.stderr

    def connected(self, text: str) -> re.Match:
        lines = [line for line in text.splitlines() if line.startswith("sealine: connected to ")]
        self.assertEqual(1, len(lines), text)
        match = re.fullmatch(
            rf"sealine: connected to (?P<name>\S+) (?:(?P<key>{cli_case.KEY}) )?\((?P<trust>[a-z, ]+)\), SCP/1 "
            r"(?P<mode>NN|IK|XX|NNpsk0|IKpsk2), AES-256-GCM", lines[0])
        self.assertIsNotNone(match, lines[0])
        return match

    def key_of(self, state: str) -> str:
        return self.run_sealine("key", "show", state=self.dir / state).out.decode().split()[0]


class Lines(MsgCase):
    def test_both_directions(self) -> None:
        self.exchange(up=LINES, down=LINES[::-1][1:] + b"\n")
        self.exchange(up=b"", down=b"")

    def test_lines_are_kept_as_they_are(self) -> None:
        odd = b"\n\n \r\n\x00\xff\xfe\n\ttab\n" + "grüße".encode() + b"\n" + bytes(range(11, 256)) + b"\n"
        self.exchange(up=odd, down=odd)

    def test_what_stands_behind_the_last_line_feed_is_a_message(self) -> None:
        listener = self.echo(command="tr a-z A-Z")
        self.assertEqual(b"ONE\nTWO\n", self.assert_exit(0, self.msg_to(listener, data=b"one\ntwo")).out)
        self.assertEqual(b"\n", self.assert_exit(0, self.msg_to(listener, data=b"\n")).out)
        self.assertEqual(b"", self.assert_exit(0, self.msg_to(listener, data=b"")).out)

    def test_long_lines(self) -> None:
        listener = self.echo()
        for size in (65535, 65536, 65537, 1_500_000, 16 << 20):
            line = os.urandom(size).replace(b"\n", b"\r") + b"\n"
            done = self.assert_exit(0, self.msg_to(listener, data=line))
            self.assertTrue(done.out == line, size)

    def test_line_over_the_limit(self) -> None:
        listener = self.echo()
        done = self.msg_to(listener, data=b"short\n" + bytes((16 << 20) + 1) + b"\nnever\n")
        self.assert_exit(6, done)
        self.assertIn("error[SL-L10]: line 2 of standard input is longer than a message may be", done.err)
        self.assertIn(done.out, (b"short\n", b""))  # its echo may still be on its way
        self.assertEqual(b"x\n", self.assert_exit(0, self.msg_to(listener, data=b"x\n")).out)

    def test_end_of_one_direction_leaves_the_other(self) -> None:
        listener = self.listener("msg", "-l", "127.0.0.1:0", stdin="pipe")
        client = self.program("msg", listener.name, stdin="pipe")
        client.write(b"question\n")
        client.close_stdin()
        self.assertEqual(b"question\n", listener.wait_output(9))
        listener.write(b"answer\n")
        self.assertEqual(b"answer\n", client.wait_output(7))
        listener.close_stdin()
        self.finish(client)
        self.finish(listener)

    def test_half_close_of_the_listener(self) -> None:
        listener = self.listener("msg", "-l", "127.0.0.1:0", stdin="null")
        client = self.program("msg", listener.name, stdin="pipe")
        client.wait_line("connected to")
        client.write(b"late\n")
        self.assertEqual(b"late\n", listener.wait_output(5))
        client.close_stdin()
        self.finish(client)
        self.finish(listener)

    def test_who_types_is_told_that_the_peer_has_ended(self) -> None:
        listener = self.listener("msg", "-l", "127.0.0.1:0", stdin="null")
        keyboard, terminal = pty.openpty()
        with os.fdopen(terminal, "rb") as stdin, os.fdopen(keyboard, "wb", buffering=0) as typing:
            client = self.program("msg", listener.name, stdin=stdin)
            client.wait_line(rf"^sealine: {re.escape(listener.name)} has ended; end your input \(Ctrl-D\) too$")
            typing.write(b"last words\n\x04")
            self.finish(client)
        self.assertEqual(b"last words\n", self.finish(listener))

    def test_one_channel_is_served_and_others_are_refused(self) -> None:
        listener = self.listener("msg", "-l", "127.0.0.1:0", stdin="null")
        first = self.program("msg", listener.name, stdin="pipe")
        first.wait_line("connected to")
        second = self.msg_to(listener, data=b"me too\n", state="second")
        self.assert_exit(6, second)
        self.assertEqual(b"", second.out)
        first.write(b"still here\n")
        first.close_stdin()
        self.finish(first)
        self.assertEqual(b"still here\n", self.finish(listener))

    def test_rate_and_padding(self) -> None:
        for flags in (("--pad", "256"), ("--pad", "padme"), ("--pad", "none"), ("--limit-rate", "1M")):
            with self.subTest(flags):
                self.exchange(client=flags, server=flags, up=LINES, down=LINES)


class WhoIsThere(MsgCase):
    def test_first_and_second_contact(self) -> None:
        port = 0
        for trust in ("new, pinned", "known"):
            listener = self.listener("msg", "-l", f"127.0.0.1:{port}", stdin="null")
            port = listener.port
            match = self.connected(self.assert_exit(0, self.msg_to(listener, data=b"x\n")).err)
            self.assertEqual((trust, "XX", listener.name), (match["trust"], match["mode"], match["name"]))
            self.assertEqual(b"x\n", self.finish(listener))
            at_server = self.connected(listener.stderr)
            self.assertEqual((trust, "XX"), (at_server["trust"], at_server["mode"]))
            self.assertEqual((self.key_of("server"), self.key_of("client")), (match["key"], at_server["key"]))

    def test_changed_key_is_a_hard_stop(self) -> None:
        listener = self.echo()
        self.assert_exit(0, self.run_sealine("peers", "add", listener.name, self.key_of("other"),
                                             state=self.dir / "client"))
        done = self.msg_to(listener, data=b"the user's own words\n")
        self.assert_error("A03", 3, done)
        self.assertIn(self.key_of("server"), done.err)
        self.assertIn("peers forget", done.err)

    def test_given_key(self) -> None:
        right, wrong = self.key_of("server"), self.key_of("other")
        client, server = self.exchange(client=("--peer-key", right))
        match = self.connected(client)
        self.assertEqual(("given", "IK"), (match["trust"], match["mode"]))
        self.assertEqual("IK", self.connected(server)["mode"])
        self.assertFalse((self.dir / "client" / "known_peers").exists())
        done = self.msg_to(self.echo(), "--peer-key", wrong, data=b"secret\n")
        self.assert_error("A10", 3, done)
        self.assert_error("M05", 2, self.run_sealine("msg", "127.0.0.1:9", "--peer-key", right[:-1] + "a"))

    def test_shared_secret(self) -> None:
        key = self.secret("psk")
        client, server = self.exchange(server=("--psk-file", key), client=("--psk-file", key))
        for err in (client, server):
            match = self.connected(err)
            self.assertEqual(("psk", "NNpsk0", None), (match["trust"], match["mode"], match["key"]))

    def test_shared_secret_and_key(self) -> None:
        key, right = self.secret("psk"), self.key_of("server")
        client, server = self.exchange(server=("--psk-file", key), client=("--psk-file", key, "--peer-key", right))
        self.assertEqual(("IKpsk2", right), (self.connected(client)["mode"], self.connected(client)["key"]))
        self.assertEqual(("IKpsk2", self.key_of("client")),
                         (self.connected(server)["mode"], self.connected(server)["key"]))

    def test_wrong_shared_secret(self) -> None:
        right, wrong = self.secret("right"), self.secret("wrong")
        listener = self.echo("--psk-file", right)
        self.assert_error("A10", 3, self.msg_to(listener, "--psk-file", wrong, data=b"secret\n", timeout=20))
        self.assert_error("A10", 3, self.msg_to(listener, "--psk-file", wrong, "--peer-key", self.key_of("server")))
        self.assert_error("E10", 4, self.msg_to(listener))
        self.assert_exit(0, self.msg_to(listener, "--psk-file", right, data=b"x\n"))

    def test_many_shared_secrets(self) -> None:
        paths = [self.secret(f"psk{i}") for i in range(3)]
        many = self.dir / "many"
        many.touch(0o600)
        many.write_text("".join(path.read_text() for path in paths))
        listener = self.echo("--psk-file", many)
        for path in paths:
            self.assertEqual(b"x\n", self.assert_exit(0, self.msg_to(listener, "--psk-file", path, data=b"x\n")).out)
        self.assert_exit(3, self.msg_to(listener, "--psk-file", self.secret("none-of-them")))

    def test_anonymous_says_so_each_time(self) -> None:
        client, server = self.exchange(server=("--anonymous",), client=("--anonymous", "--quiet"))
        self.assertIn("sealine: encrypted, peer not authenticated", client)
        self.assertIn("sealine: encrypted, peer not authenticated", server)
        self.assertEqual(("not authenticated", "NN"), (self.connected(server)["trust"], self.connected(server)["mode"]))

    def test_anonymous_is_never_taken_unasked(self) -> None:
        self.assert_error("E10", 4, self.msg_to(self.echo(), "--anonymous"))

    def test_strangers(self) -> None:
        listener = self.echo()
        done = self.assert_error("A04", 6, self.msg_to(listener, "--trust", "pinned"))
        self.assertIn("hint: sealine peers add", done.err)
        self.assert_error("A04", 2, self.msg_to(listener, "--trust", "ask"))
        self.assert_exit(0, self.msg_to(listener, "--trust", "ask", "--yes"))
        self.assert_exit(0, self.msg_to(listener, "--trust", "pinned"))

    def test_allow(self) -> None:
        allow = self.dir / "allow"
        allow.write_text(f"# who may\n{self.key_of('friend')} laptop\n")
        listener = self.echo("--allow", allow)
        self.assert_error("A10", 3, self.msg_to(listener, data=b"x\n", state="stranger"))
        self.assert_error("A10", 3, self.msg_to(listener, "--reconnect", data=b"x\n", state="stranger"))
        self.assertEqual(b"x\n", self.assert_exit(0, self.msg_to(listener, data=b"x\n", state="friend")).out)
        listener.wait_line(rf"connected to \S+ {self.key_of('friend')} \(given\), SCP/1 XX")
        listener.wait_line("SL-A04")
        self.assertEqual(0, listener.terminate())

    def test_allow_beside_a_shared_secret(self) -> None:
        key, right = self.secret("psk"), self.key_of("server")
        allow = self.dir / "allow"
        allow.write_text(f"{self.key_of('friend')}\n")
        listener = self.echo("--allow", allow, "--psk-file", key)
        both = ("--psk-file", key, "--peer-key", right)
        self.assert_exit(0, self.msg_to(listener, *both, data=b"x\n", state="friend"))
        self.assert_exit(3, self.msg_to(listener, *both, data=b"x\n", state="stranger"))
        self.assert_exit(3, self.msg_to(listener, "--psk-file", key, data=b"x\n", state="friend"))

    def test_identity_file(self) -> None:
        identity = self.secret("id", "--identity")
        own = self.run_sealine("key", "show", identity).out.decode().split()[0]
        _, server = self.exchange(client=("--identity", identity))
        self.assertEqual(own, self.connected(server)["key"])

    def test_reload_takes_new_keys(self) -> None:
        allow = self.dir / "allow"
        allow.write_text("# nobody yet\n")
        listener = self.echo("--allow", allow)
        self.assert_exit(3, self.msg_to(listener, state="friend"))
        allow.write_text(f"{self.key_of('friend')}\n")
        listener.process.send_signal(signal.SIGHUP)
        listener.wait_line("keys were read again")
        self.assert_exit(0, self.msg_to(listener, state="friend"))

    def test_flags_that_exclude_each_other(self) -> None:
        key = self.key_of("server")
        for flags in (("--anonymous", "--psk-file", "x"), ("--anonymous", "--peer-key", key),
                      ("--anonymous", "--trust", "new"), ("--anonymous", "--identity", "x"), ("--allow", "x"),
                      ("--psk-file", "x", "--trust", "pinned"), ("--psk-file", "x", "--identity", "y")):
            with self.subTest(flags):
                self.assert_error("U04", 2, self.run_sealine("msg", "127.0.0.1:9", *flags))
        for flags in (("--peer-key", key), ("--anonymous", "--allow", "x"), ("--psk-file", "x", "--trust", "ask")):
            with self.subTest(flags):
                self.assert_error("U04", 2, self.run_sealine("msg", "-l", "0", *flags))
        self.assert_error("U05", 2, self.run_sealine("msg", "127.0.0.1:9", "--mutual"))

    def test_secret_file_rules(self) -> None:
        key = self.secret("psk")
        key.chmod(0o644)
        self.assert_error("U06", 2, self.run_sealine("msg", "127.0.0.1:9", "--psk-file", key))
        self.assert_error("U06", 2, self.run_sealine("msg", "-l", "0", "--psk-file", key))
        many = self.dir / "many"
        many.touch(0o600)
        many.write_text("".join(f"{i:064x}\n" for i in range(1, 66)))
        self.assert_error("U04", 2, self.run_sealine("msg", "-l", "0", "--psk-file", many))


class Commands(MsgCase):
    def test_each_channel_has_its_own(self) -> None:
        listener = self.echo(command="echo $$; cat")
        clients = [self.program("msg", listener.name, stdin="pipe", state=f"c{i}") for i in range(5)]
        for i, client in enumerate(clients):
            client.write(b"%d\n" % i)
        for client in clients:
            client.close_stdin()
        said = [self.finish(client).splitlines() for client in clients]
        self.assertEqual([b"%d" % i for i in range(5)], [lines[1] for lines in said])
        self.assertEqual(5, len({lines[0] for lines in said}))
        self.assertEqual(0, listener.terminate())

    def test_end_follows_the_client_and_the_command(self) -> None:
        listener = self.echo(command="sort")
        self.assertEqual(b"a\nb\nc\n", self.assert_exit(0, self.msg_to(listener, data=b"c\na\nb\n")).out)
        # It has ended long before the client has.
        listener = self.echo(command="head -n 1")
        done = self.assert_exit(0, self.msg_to(listener, data=LINES))
        self.assertEqual(LINES.splitlines(True)[0], done.out)

    def test_command_that_reads_nothing(self) -> None:
        listener = self.echo(command="exec <&-; echo done")
        self.assertEqual(b"done\n", self.assert_exit(0, self.msg_to(listener, data=LINES * 20)).out)

    def test_command_of_the_client(self) -> None:
        listener = self.listener("msg", "-l", "127.0.0.1:0", stdin="pipe")
        client = self.program("msg", listener.name, "--exec", "tr a-z A-Z")
        listener.write(b"question\n")
        listener.close_stdin()
        self.assertEqual(b"QUESTION\n", self.finish(listener))
        self.assertEqual(b"", self.finish(client))

    def test_command_that_fails(self) -> None:
        listener = self.echo(command="echo so far; exit 3")
        done = self.msg_to(listener, data=b"x\n")
        self.assert_exit(1, done)
        self.assertIn("error[SL-P08]", done.err)
        self.assertEqual(b"so far\n", done.out)
        listener.wait_line("command failed.*status.*3")
        self.assertEqual(0, listener.terminate())
        plain = self.listener("msg", "-l", "127.0.0.1:0", stdin="null")
        done = self.msg_to(plain, "--exec", "exit 3")
        self.assert_error("E12", 1, done)
        self.assertEqual(1, plain.wait())

    def test_command_has_no_descriptor_of_ours(self) -> None:
        listener = self.echo(command="ls /proc/self/fd | wc -l")
        with contextlib.ExitStack() as stack:
            for _ in range(5):
                stack.enter_context(socket.create_connection(listener.address))
            done = self.assert_exit(0, self.msg_to(listener))
        self.assertEqual(4, int(done.out))  # 0, 1, 2 and the directory itself

    def test_command_ends_with_its_channel(self) -> None:
        listener = self.echo(command="echo $$; exec sleep 1000")
        client = self.program("msg", listener.name, stdin="pipe")
        st.wait_until(lambda: client.output.endswith(b"\n"), what="the command's number")
        number = int(client.output)
        client.kill()
        st.wait_until(lambda: not os.path.exists(f"/proc/{number}"), what="the command has ended")
        self.assertEqual(0, listener.terminate())

    def test_commands_end_with_a_listener_that_is_killed(self) -> None:
        listener = self.echo(command="echo $$; exec sleep 1000")
        client = self.program("msg", listener.name, stdin="pipe")
        st.wait_until(lambda: client.output.endswith(b"\n"), what="the command's number")
        number = int(client.output)
        listener.kill()
        st.wait_until(lambda: not os.path.exists(f"/proc/{number}"), what="the command has ended")
        self.assertEqual(7, client.wait(), client.stderr)

    def test_drain(self) -> None:
        listener = self.echo()
        client = self.program("msg", listener.name, stdin="pipe")
        client.write(b"one\n")
        client.wait_output(4)
        listener.process.send_signal(signal.SIGTERM)
        listener.wait_line("draining 1 channels")
        self.assert_exit(4, self.run_sealine("msg", listener.name, state=self.dir / "late"))
        client.write(b"two\n")
        client.close_stdin()
        self.assertEqual(b"one\ntwo\n", self.finish(client))
        self.assertEqual(0, listener.wait(), listener.stderr)

    def test_second_signal_ends_at_once(self) -> None:
        listener = self.echo()
        client = self.program("msg", listener.name, stdin="pipe")
        client.write(b"one\n")
        client.wait_output(4)  # now the listener has the channel too
        listener.process.send_signal(signal.SIGTERM)
        listener.wait_line("draining")
        listener.process.send_signal(signal.SIGTERM)
        self.assertEqual(143, listener.wait(), listener.stderr)
        self.assertEqual(6, client.wait(), client.stderr)
        self.assertIn("SL-P07", client.stderr)


class HowItEnds(MsgCase):
    def test_nobody_there(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            port = sock.getsockname()[1]
        self.assert_error("E04", 4, self.run_sealine("msg", f"127.0.0.1:{port}"))
        self.assert_exit(5, self.run_sealine("msg", f"127.0.0.1:{port}", "--retry", "300ms"))
        self.assert_error("E02", 4, self.run_sealine("msg", "no-such-host.invalid:9000"))

    def test_retry_waits_for_a_listener(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            port = sock.getsockname()[1]
        client = self.program("msg", f"127.0.0.1:{port}", "--retry", "1m", stdin="null")
        client.wait_line("trying for")
        listener = self.listener("msg", "-l", f"127.0.0.1:{port}", stdin="null")
        self.finish(client)
        self.finish(listener)

    def test_another_protocol_and_silence(self) -> None:
        for says, codes in ((b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" * 5, (9,)), (b"", (4,))):
            with socket.create_server(("127.0.0.1", 0)) as sock, st.Player(sock, says):
                done = self.run_sealine("msg", f"127.0.0.1:{sock.getsockname()[1]}", "--handshake-timeout", "500ms",
                                        data=b"user data\n")
                self.assertIn(done.code, codes, done.err)
                self.assertEqual(b"", done.out)

    def test_pipe_and_msg_do_not_meet(self) -> None:
        pipe = self.listener("pipe", "-l", "127.0.0.1:0", "--keep")
        self.assertIn(self.msg_to(pipe, data=b"x\n").code, (4, 9))
        msg = self.echo()
        self.assertIn(self.run_sealine("pipe", msg.name, data=b"x", state=self.dir / "p").code, (4, 9))
        self.assertEqual(b"", bytes(pipe.output))
        self.assert_exit(0, self.msg_to(msg, data=b"x\n"))

    def test_failed_handshakes_never_end_a_listener(self) -> None:
        listener = self.listener("msg", "-l", "127.0.0.1:0", stdin="null")
        for garbage in (b"", b"GET / HTTP/1.1\r\n\r\n", bytes(24), b"\xff" * 200, b"\x01\x01" + bytes(11) + b"\x24"):
            with socket.create_connection(listener.address) as sock:
                sock.sendall(garbage)
                sock.shutdown(socket.SHUT_WR)
                self.assertEqual(b"", sock.recv(100))
        listener.wait_line("handshake failed")
        self.assert_exit(0, self.msg_to(listener, data=b"still here\n"))
        self.assertEqual(b"still here\n", self.finish(listener))

    def test_reader_that_has_gone(self) -> None:
        for flags in ((), ("--json",)):
            listener = self.echo(command="yes")
            read_end, write_end = os.pipe()
            client = self.program("msg", listener.name, *flags, stdin="pipe", stdout=write_end)
            os.close(write_end)
            self.assertTrue(os.read(read_end, 100))
            os.close(read_end)
            self.assertEqual(8, client.wait(), client.stderr)
            self.assertNotIn("error", client.stderr)
            self.assertEqual(0, listener.terminate())

    def test_full_disk(self) -> None:
        listener = self.echo(command="yes")
        with open("/dev/full", "wb") as full:
            client = self.program("msg", listener.name, stdin="pipe", stdout=full)
        self.assertEqual(8, client.wait(), client.stderr)
        self.assertIn("error[SL-E07]", client.stderr)

    def test_signals(self) -> None:
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            listener = self.listener("msg", "-l", "127.0.0.1:0", stdin="pipe")
            client = self.program("msg", listener.name, stdin="pipe")
            client.wait_line("connected to")
            client.process.send_signal(number)
            self.assertEqual(code, client.wait(), client.stderr)
            self.assertEqual(6, listener.wait(), listener.stderr)
            self.assertIn("SL-P07", listener.stderr)
            waiting = self.listener("msg", "-l", "127.0.0.1:0")
            waiting.process.send_signal(number)
            self.assertEqual(code, waiting.wait(), waiting.stderr)

    def test_idle_timeout(self) -> None:
        listener = self.listener("msg", "-l", "127.0.0.1:0", "--idle-timeout", "300ms", stdin="pipe")
        client = self.program("msg", listener.name, stdin="pipe")
        client.wait_line("connected to")
        self.assertEqual(6, listener.wait(), listener.stderr)
        self.assertEqual(6, client.wait(), client.stderr)
        for program in (listener, client):
            self.assertIn("SL-L04", program.stderr)

    def test_max_rate(self) -> None:
        listener = self.echo("--max-rate", "20")
        done = self.msg_to(listener, data=LINES)
        self.assert_exit(6, done)
        self.assertIn("error[SL-L11]", done.err)
        self.assertRegex(done.err, r"(?m)^  \d+ of \d+ messages have their receipt, \d+ of unknown fate$")
        self.assert_exit(0, self.msg_to(listener, data=b"calmly\n"))

    def test_status(self) -> None:
        listener = self.echo()
        client = self.program("msg", listener.name, stdin="pipe")
        client.write(b"one\n")
        client.wait_output(4)
        listener.process.send_signal(signal.SIGUSR1)
        listener.wait_line("1 channels, 1 messages in, 1 out")
        client.close_stdin()
        self.finish(client)

    def test_port_in_use_and_ipv6(self) -> None:
        listener = self.listener("msg", "-l", "[::1]:0", stdin="null")
        self.assertTrue(listener.name.startswith("[::1]:"))
        self.assert_error("E01", 1, self.run_sealine("msg", "-l", listener.name))
        self.assert_exit(0, self.msg_to(listener, data=b"six\n"))
        self.assertEqual(b"six\n", self.finish(listener))
        four = self.listener("msg", "-4", "-l", "0", stdin="null")
        self.assertIn("0.0.0.0", four.stderr_lines[0])
        self.assert_exit(4, self.run_sealine("msg", "-6", f"127.0.0.1:{four.port}"))

    def test_command_lines_that_are_refused(self) -> None:
        for argv in ((), ("-l", "9000", "host:1"), ("host",), ("host:0",), ("h:1", "more"), ("h:1", "--exec", ""),
                     ("h:1", "--rotate-bytes", "0"), ("h:1", "--rotate-bytes", "much"), ("h:1", "--rotate-after", "0"),
                     ("h:1", "--max-rate", "0"), ("h:1", "--max-rate", "-1"), ("h:1", "--keep"),
                     ("h:1", "--pad", "3"), ("h:1", "--trust", "maybe")):
            with self.subTest(argv):
                self.assert_error("U05", 2, self.run_sealine("msg", *argv))


class Receipts(MsgCase):
    def test_receipts_for_people(self) -> None:
        listener = self.echo()
        done = self.assert_exit(0, self.msg_to(listener, "--receipts", data=b"a\nb\nc\n"))
        numbers = re.findall(r"(?m)^sealine: receipt (\d+), after [\d.]+ ms$", done.err)
        self.assertEqual(["0", "1", "2"], numbers)
        done = self.assert_exit(0, self.msg_to(listener, data=b"a\nb\nc\n"))
        self.assertNotIn("receipt", done.err)

    def test_listener_shows_them_too(self) -> None:
        _, server = self.exchange(server=("--receipts",), down=b"x\ny\n")
        self.assertEqual(2, len(re.findall("receipt", server)))


class Events(MsgCase):
    FIELDS = {"listening": {"address"}, "connected": {"peer", "key", "trust", "protocol", "mode", "crypto", "sas"},
              "message": {"seq", "dir", "size"}, "receipt": {"seq", "seconds"}, "notice": {"text"},
              "error": {"code", "fault", "text", "hint"},
              "done": {"exit", "seconds", "bytes_in", "bytes_out", "messages_in", "messages_out", "receipts", "unknown"}}

    def check(self, text: bytes) -> list[dict]:
        events = [json.loads(line) for line in text.splitlines()]
        for event in events:
            self.assertEqual(["v", "t", "ts"], list(event)[:3])
            self.assertLessEqual(self.FIELDS[event["t"]], set(event))
        self.assertEqual("done", events[-1]["t"])
        self.assertEqual(1, [event["t"] for event in events].count("done"))
        return events

    def of(self, events: list[dict], kind: str) -> list[dict]:
        return [event for event in events if event["t"] == kind]

    def test_messages_and_receipts(self) -> None:
        listener = st.sealine("msg", "-l", "127.0.0.1:0", "--json", state=self.dir / "server", stdin="pipe")
        self.addCleanup(listener.kill)
        st.wait_until(lambda: listener.output.endswith(b"\n"), what="the first event")
        first = json.loads(listener.output)
        self.assertEqual("listening", first["t"])
        listener.write(b"answer\n")
        listener.close_stdin()
        odd = b"\xff\x00odd"
        done = self.assert_exit(0, self.run_sealine("msg", first["address"], "--json", data=b"text\n" + odd + b"\n",
                                                    state=self.dir / "client"))
        self.assertEqual("", done.err)
        events = self.check(done.out)
        (connected,) = self.of(events, "connected")
        self.assertEqual((first["address"], "new, pinned", "SCP/1", "XX", "AES-256-GCM", None),
                         tuple(connected[k] for k in ("peer", "trust", "protocol", "mode", "crypto", "sas")))
        messages = self.of(events, "message")
        sent = [m for m in messages if m["dir"] == "out"]
        self.assertEqual([(0, 4, "text"), (1, len(odd), None)], [(m["seq"], m["size"], m.get("text")) for m in sent])
        self.assertEqual(odd, base64.b64decode(sent[1]["b64"]))
        self.assertEqual([(0, "answer")], [(m["seq"], m["text"]) for m in messages if m["dir"] == "in"])
        receipts = self.of(events, "receipt")
        self.assertEqual([0, 1], [r["seq"] for r in receipts])
        self.assertTrue(all(0 <= r["seconds"] < 60 for r in receipts))
        end = events[-1]
        self.assertEqual((0, 6, 4 + len(odd), 1, 2, 2, 0), tuple(end[k] for k in (
            "exit", "bytes_in", "bytes_out", "messages_in", "messages_out", "receipts", "unknown")))
        self.assertEqual(0, listener.wait(), listener.stderr)
        self.assertEqual("", listener.stderr)
        at_server = self.check(bytes(listener.output))
        self.assertEqual(2, at_server[-1]["messages_in"])

    def test_many(self) -> None:
        listener = self.echo()
        data = b"".join(b"%d\n" % i for i in range(5000))
        events = self.check(self.assert_exit(0, self.msg_to(listener, "--json", data=data)).out)
        for direction in ("in", "out"):
            texts = [m["text"] for m in self.of(events, "message") if m["dir"] == direction]
            self.assertEqual([str(i) for i in range(5000)], texts)
        self.assertEqual(list(range(5000)), [r["seq"] for r in self.of(events, "receipt")])

    def test_reader_that_is_slow_keeps_every_event(self) -> None:
        listener = self.echo()
        read_end, write_end = os.pipe()
        client = self.program("msg", listener.name, "--json", stdin="pipe", stdout=write_end)
        os.close(write_end)
        data = b"".join(b"%d %s\n" % (i, b"x" * 2000) for i in range(1500))
        feeder = threading.Thread(target=lambda: (client.write(data), client.close_stdin()))
        feeder.start()
        # Nothing is read until the channel has stood for a while behind a full pipe.
        listener.process.send_signal(signal.SIGUSR1)
        listener.wait_line("channels")
        with os.fdopen(read_end, "rb") as reader:
            events = self.check(reader.read())
        feeder.join()
        self.assertEqual(0, client.wait())
        self.assertEqual(3000, len(self.of(events, "message")))

    def test_command_with_events(self) -> None:
        listener = st.sealine("msg", "-l", "127.0.0.1:0", "--json", "--exec", "tr a-z A-Z", state=self.dir / "server")
        self.addCleanup(listener.kill)
        st.wait_until(lambda: listener.output.endswith(b"\n"), what="the first event")
        address = json.loads(listener.output)["address"]
        done = self.assert_exit(0, self.run_sealine("msg", address, data=b"word\n", state=self.dir / "client"))
        self.assertEqual(b"WORD\n", done.out)
        self.assertEqual(0, listener.terminate())
        events = self.check(bytes(listener.output))
        self.assertEqual([("in", "word"), ("out", "WORD")], [(m["dir"], m["text"]) for m in self.of(events, "message")])

    def test_errors(self) -> None:
        listener = self.echo("--psk-file", self.secret("a"))
        done = self.assert_exit(3, self.msg_to(listener, "--json", "--psk-file", self.secret("b")))
        error, end = self.check(done.out)
        self.assertEqual(("SL-A10", "authentication", 3), (error["code"], error["fault"], end["exit"]))
        self.assertEqual("", done.err)

    def test_anonymous_is_a_notice(self) -> None:
        listener = self.echo("--anonymous")
        events = self.check(self.assert_exit(0, self.msg_to(listener, "--json", "--anonymous")).out)
        self.assertEqual(["connected", "notice", "done"], [event["t"] for event in events])


if __name__ == "__main__":
    cli_case.main()
