"""send and recv, and the same under the names stx-send and stx-recv: what a user types, sees, and finds on the disk."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from pathlib import Path

import cli_case
from cli_case import KEY, st

STX_SEND = st.binaries() / "stx-send"
STX_RECV = st.binaries() / "stx-recv"
MB = 1_000_000
OK = r"(?m)^sealine: ok  (?P<files>\d+) files?, \S+ \S?B in [\d.]+ m?s, \S+ \S?B/s"
PROVED = ", proved (SHA-256 tree)"


class TransferCase(cli_case.CliCase):
    def setUp(self) -> None:
        super().setUp()
        self.into = self.dir / "in"
        self.into.mkdir()

    def receiver(self, *options, state: str = "receiver", **rest) -> st.Listener:
        return self.listener("recv", "-l", "127.0.0.1:0", self.into, *options, state=state, **rest)

    def stx_recv(self, *options, key: Path, port: int = 0) -> st.Program:
        program = st.Program([STX_RECV, "--listen", f"127.0.0.1:{port}", "--out", self.into, "--key", key, *options],
                             env=st.environment(self.dir / "stx-recv"))
        self.addCleanup(program.kill)
        program.port = int(program.wait_line(r"listening on 127\.0\.0\.1:(\d+)").group(1))
        return program

    def send(self, *words, state: str = "sender", **rest) -> cli_case.Done:
        return self.run_sealine("send", *words, state=self.dir / state, **rest)

    def sending(self, *words, state: str = "sender", **rest) -> st.Program:
        return self.program("send", *words, state=state, **rest)

    def tool(self, program: Path, *argv, env: dict | None = None) -> cli_case.Done:
        done = subprocess.run([str(program), *map(str, argv)], capture_output=True, timeout=st.WAIT, check=False,
                              stdin=subprocess.DEVNULL, env=st.environment(self.dir / "tool", **(env or {})))
        return cli_case.Done(done.returncode, done.stdout, done.stderr.decode().rstrip("\n"))

    def file(self, name: str, data: bytes) -> Path:
        path = self.dir / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def folder(self) -> Path:
        root = self.dir / "out" / "photos"
        (root / "deep" / "empty").mkdir(parents=True)
        (root / "a.txt").write_bytes(b"alpha\n")
        (root / "nothing").write_bytes(b"")
        (root / "deep" / "b.bin").write_bytes(os.urandom(3 * MB))
        (root / "deep" / "b.bin").chmod(0o640)
        (root / "link").symlink_to("deep/b.bin")
        os.utime(root / "a.txt", ns=(1_500_000_000_123_456_789,) * 2)
        os.utime(root / "deep", ns=(1_400_000_000_000_000_000,) * 2)
        return root

    def tree(self, root: Path) -> dict:
        out = {}
        for path in sorted(root.rglob("*")):
            info = path.lstat()
            what = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
            times = None if path.is_symlink() else (info.st_mode, info.st_mtime_ns)
            out[str(path.relative_to(root))] = (times, what)
        return out

    def assert_ok(self, done: cli_case.Done, files: int | None = None) -> None:
        self.assert_exit(0, done)
        match = re.search(OK, done.err)
        self.assertIsNotNone(match, done.err)
        self.assertIn(PROVED, done.err)
        if files is not None:
            self.assertEqual(files, int(match["files"]), done.err)


class Folders(TransferCase):
    def test_a_folder_arrives_as_it_is_and_once(self) -> None:
        root, receiver = self.folder(), self.receiver()
        done = self.send(root, receiver.name)
        self.assert_ok(done)
        self.assertEqual(b"", done.out)
        self.assertEqual(self.tree(root), self.tree(self.into / "photos"))
        self.assertRegex(done.err, rf"(?m)^sealine: connected to {receiver.name} {KEY} \(new, pinned\), "
                                   r"STX/1 in STCP/1 XX, AES-256-GCM")
        receiver.wait_line(rf"connected to 127\.0\.0\.1:\d+ {KEY} \(.*\), STX/1 in STCP/1 XX")
        receiver.wait_line(r"127\.0\.0\.1:\d+: ok  \d+ files?.*proved \(SHA-256 tree\)")

        before = (self.into / "photos" / "deep" / "b.bin").stat().st_ino
        again = self.send(root, receiver.name)
        self.assert_ok(again)
        self.assertIn("(known)", again.err)
        self.assertIn("resumed at 100 % (", again.err)
        self.assertEqual(before, (self.into / "photos" / "deep" / "b.bin").stat().st_ino)
        self.assertEqual(0, receiver.terminate())
        receiver.assert_sound()

    def test_several_paths_and_excluded_ones(self) -> None:
        root, other, receiver = self.folder(), self.file("other", b"x"), self.receiver()
        self.assert_ok(self.send(root, other, receiver.name, "--exclude", "*.bin", "--exclude", "link"))
        self.assertEqual(b"x", (self.into / "other").read_bytes())
        self.assertFalse((self.into / "photos" / "deep" / "b.bin").exists())
        self.assertFalse((self.into / "photos" / "link").is_symlink())
        self.assertTrue((self.into / "photos" / "deep" / "empty").is_dir())

    def test_standard_input(self) -> None:
        data, receiver = os.urandom(2 * MB + 17), self.receiver()
        self.assert_ok(self.send("-", receiver.name, "--name", "dump", data=data), files=1)
        self.assertEqual(data, (self.into / "dump").read_bytes())

    def test_dry_run_connects_to_nobody(self) -> None:
        done = self.assert_exit(0, self.send(self.folder(), "127.0.0.1:1", "--dry-run"))
        self.assertIn("photos/deep/b.bin", done.out.decode())
        self.assertIn("would send ", done.err)
        self.assertFalse((self.dir / "sender").exists())

    def test_lanes_blocks_and_compression(self) -> None:
        data, receiver = b"sealine " * (1 << 20), self.receiver()
        path = self.file("big", data)
        self.assert_ok(self.send(path, receiver.name, "--lanes", "4", "--block", "64KiB", "--compress", "always"))
        self.assertEqual(data, (self.into / "big").read_bytes())


class Keys(TransferCase):
    def test_the_first_tools(self) -> None:
        key = self.secret("key")
        path, receiver = self.file("dump.sql", os.urandom(MB)), self.stx_recv(key=key)
        done = self.tool(STX_SEND, "127.0.0.1", receiver.port, path, "--key", key)
        self.assert_ok(done, files=1)
        self.assertRegex(done.err, r"connected to 127\.0\.0\.1:\d+ \(psk\), STX/1, AES-256-GCM")
        self.assertEqual(path.read_bytes(), (self.into / "dump.sql").read_bytes())
        self.assert_ok(self.tool(STX_SEND, "127.0.0.1", receiver.port, self.file("two", b"2"), "65536", "--key", key))
        self.assertEqual(0, receiver.terminate())

    def test_the_environment_names_the_key(self) -> None:
        key = self.secret("key")
        receiver = self.stx_recv(key=key)
        for number, env in enumerate(({"STX_KEY_FILE": str(key)}, {"SEALINE_KEY_FILE": str(key)},
                                      {"STX_KEY": key.read_text()})):
            done = self.tool(STX_SEND, "127.0.0.1", receiver.port, self.file(f"f{number}", b"x"), env=env)
            self.assert_ok(done)
            self.assertEqual("STX_KEY" in env, "every process of this user can read it" in done.err)
        self.assert_ok(self.send(self.file("g", b"x"), f"127.0.0.1:{receiver.port}", env={"STX_KEY_FILE": str(key)}))

    def test_a_wrong_key_is_exit_3_and_soon(self) -> None:
        receiver = self.stx_recv(key=self.secret("key"))
        begin = time.monotonic()
        done = self.tool(STX_SEND, "127.0.0.1", receiver.port, self.file("f", b"x"), "--key", self.secret("other"),
                         "--retry", "0s")
        self.assert_error("A10", 3, done)
        self.assertLess(time.monotonic() - begin, 20)
        self.assertEqual([], list(self.into.glob("f*")))

    def test_keys_that_may_not_be_used(self) -> None:
        open_key = self.secret("open")
        open_key.chmod(0o644)
        for words in (("127.0.0.1", "1", "f"), ("127.0.0.1", "1", "f", "--key", open_key),
                      ("127.0.0.1", "1", "f", "--key", self.dir / "none"),
                      ("127.0.0.1", "1", "f", "--key", self.file("bad", b"no key\n"))):
            with self.subTest(words=words[3:]):
                self.assertEqual(2, self.tool(STX_SEND, *words).code)
        self.assertEqual(2, self.tool(STX_RECV, "--listen", "0", "--out", self.into).code)
        self.assertEqual(2, self.tool(STX_SEND, "127.0.0.1", "1", "f", env={"STX_KEY": "sls1nonsense"}).code)

    def test_flags_of_both_forms_exclude_each_other(self) -> None:
        key = self.secret("key")
        self.assert_error("U04", 2, self.send("f", "h", "--key", key, "--trust", "new"))
        self.assert_error("U04", 2, self.send("f", "h", "--allow", key))
        self.assert_error("U04", 2, self.run_sealine("recv", self.into, "--key", key, "--allow", key))
        self.assert_error("U04", 2, self.run_sealine("recv", self.into, "--peer-key", "slp1"))

    def test_a_changed_key_is_a_hard_stop(self) -> None:
        path, receiver = self.file("f", b"x"), self.receiver()
        self.assert_ok(self.send(path, receiver.name))
        self.assertEqual(0, receiver.terminate())
        other = self.listener("recv", "-l", receiver.name, self.into, state="other")
        done = self.send(self.file("g", b"x"), other.name)
        self.assert_error("A03", 3, done)
        self.assertRegex(done.err, rf"(?m)^  pinned  {KEY}")
        self.assertRegex(done.err, rf"(?m)^  shown   {KEY}")
        self.assertIn("peers forget", done.err)
        self.assertFalse((self.into / "g").exists())


class Strangers(TransferCase):
    """--trust ask asks about senders of this machine too, so that no second one is needed."""

    def test_refused_where_nobody_can_be_asked(self) -> None:
        receiver = self.receiver("--trust", "ask")
        done = self.send(self.file("f", b"x"), receiver.name, "--retry", "0s")
        self.assertEqual(6, done.code, repr(done))
        receiver.wait_line(r"error\[SL-A04\]: 127\.0\.0\.1:\d+ is new and was refused")
        receiver.wait_line(r"hint: .*--yes.*--allow FILE.*--key FILE")
        self.assertFalse((self.into / "f").exists())

    def test_yes_allow_and_pinned(self) -> None:
        path = self.file("f", b"x")
        self.assert_ok(self.send(path, self.receiver("--trust", "ask", "--yes").name))
        shown = self.assert_exit(0, self.run_sealine("key", "show", state=self.dir / "sender")).out.decode()
        allow = self.file("friends", (re.search(KEY, shown).group() + " laptop\n").encode())
        (self.dir / "in2").mkdir()
        self.into = self.dir / "in2"
        self.assert_ok(self.send(path, self.receiver("--allow", allow, state="r2").name))
        self.into = self.dir / "in3"
        self.into.mkdir()
        for flags, state in ((("--allow", allow), "r3"), (("--trust", "pinned"), "r4")):
            done = self.send(path, self.receiver(*flags, state=state).name, "--retry", "0s", state="stranger")
            self.assertIn(done.code, (3, 6), repr(done))
        self.assertEqual([], [p for p in self.into.iterdir() if not p.name.startswith(".")])

    def ask(self, answer: bytes) -> tuple[int, str]:
        """A receiver on a terminal that is asked; gives the sender's exit code and what was on the terminal."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(st.SEALINE, [str(st.SEALINE), "recv", "-l", "127.0.0.1:0", str(self.into), "--trust", "ask"],
                      {**st.environment(self.dir / f"receiver-{answer!r}"), "TERM": "xterm"})
        screen = b""
        sender = None
        code = -1
        try:
            deadline = time.monotonic() + st.WAIT
            while time.monotonic() < deadline:
                if select.select([terminal], [], [], 0.05)[0]:
                    with contextlib.suppress(OSError):
                        screen += os.read(terminal, 4096)
                text = screen.decode("utf-8", "replace")
                if sender is None and (match := re.search(r"listening on (\S+:\d+)", text)):
                    sender = self.sending(self.file("asked", b"data"), match.group(1), "--retry", "0s",
                                          state=f"sender-{answer!r}")
                if answer and "take it? [Y/n]" in text:
                    os.write(terminal, answer)
                    answer = b""
                if sender is not None and not sender.is_running():
                    code = sender.wait()
                    break
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(terminal)
        return code, screen.decode("utf-8", "replace")

    def test_asked_on_the_terminal(self) -> None:
        code, screen = self.ask(b"y\n")
        self.assertRegex(screen, rf"127\.0\.0\.1:\d+ {KEY} \(new\) offers asked \(1 file, 4 B\)\. take it\? \[Y/n\]")
        self.assertEqual(0, code, screen)
        self.assertEqual(b"data", (self.into / "asked").read_bytes())

    def test_no_is_no(self) -> None:
        code, screen = self.ask(b"n\n")
        self.assertEqual(6, code, screen)
        self.assertFalse((self.into / "asked").exists())


class Conflicts(TransferCase):
    def test_the_receiver_decides(self) -> None:
        path = self.file("f", b"new")
        for policy, code, names in (("fail", 6, {"f": b"old"}), ("rename", 0, {"f": b"old", "f (1)": b"new"}),
                                    ("overwrite", 0, {"f": b"new"})):
            with self.subTest(policy):
                self.into = self.dir / policy
                self.into.mkdir()
                (self.into / "f").write_bytes(b"old")
                receiver = self.receiver("--on-conflict", policy, state=f"receiver-{policy}")
                done = self.assert_exit(code, self.send(path, receiver.name))
                found = {p.name: p.read_bytes() for p in self.into.iterdir() if not p.name.startswith(".stx-")}
                self.assertEqual(names, found)
                if code:
                    self.assertIn("'f' was not sent: ", done.err)
                    self.assertIn("1 left out by the receiver", done.err)

    def test_the_same_content_is_no_conflict(self) -> None:
        (self.into / "f").write_bytes(b"same")
        self.assert_ok(self.send(self.file("f", b"same"), self.receiver().name))

    def test_quota(self) -> None:
        receiver = self.receiver("--quota", "1M")
        done = self.send(self.file("large", bytes(2 * MB)), receiver.name)
        self.assertEqual(6, done.code, repr(done))
        self.assertFalse((self.into / "large").exists())

    def test_a_folder_for_each_sender(self) -> None:
        receiver = self.receiver("--per-sender")
        for state in ("one", "two"):
            self.assert_ok(self.send(self.file("f", state.encode()), receiver.name, state=state))
        found = [p for p in self.into.rglob("f") if p.is_file()]
        self.assertEqual({b"one", b"two"}, {p.read_bytes() for p in found})


class Events(TransferCase):
    def test_of_both_ends(self) -> None:
        path = self.file("f", os.urandom(MB))
        receiver = self.program("recv", "-l", "127.0.0.1:0", self.into, "--json", "--once", state="receiver")
        listening = json.loads(receiver.wait_output(1) and self.first_line(receiver))
        self.assertEqual("listening", listening["t"])
        done = self.assert_exit(0, self.send(path, listening["address"], "--json"))
        self.assertEqual("", done.err)
        events = done.events()
        for event in events:
            self.assertEqual(1, event["v"])
            self.assertRegex(event["ts"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        kinds = [event["t"] for event in events]
        self.assertEqual(("connected", "done"), (kinds[0], kinds[-1]))
        self.assertEqual(1, kinds.count("done"))
        connected = events[0]
        self.assertEqual(("STX/1", "XX", "AES-256-GCM"),
                         (connected["protocol"], connected["mode"], connected["crypto"]))
        self.assertRegex(connected["key"], KEY)
        files = [event for event in events if event["t"] == "file"]
        self.assertEqual([("f", MB, "done", 0)], [(e["name"], e["size"], e["state"], e["code"]) for e in files])
        last = events[-1]
        self.assertEqual((0, 1, 0, True, MB), (last["exit"], last["files"], last["resumed"], last["proved"],
                                                last["bytes_out"]))
        self.finish(receiver)
        theirs = [json.loads(line) for line in bytes(receiver.output).decode().splitlines()]
        self.assertEqual({"name": "f", "state": "done", "path": str(self.into / "f")},
                         {k: v for e in theirs if e["t"] == "file" for k, v in e.items()
                          if k in ("name", "state", "path")})
        self.assertEqual((0, 1), (theirs[-1]["exit"], theirs[-1]["files"]))

        again = self.send(path, "127.0.0.1:1", "--retry", "0s", "--json")
        self.assertEqual((4, 4), (again.code, again.events()[-1]["exit"]))
        self.assertEqual("error", again.events()[-2]["t"])

    def first_line(self, program: st.Program) -> str:
        st.wait_until(lambda: b"\n" in program.output, what="a line")
        return bytes(program.output).split(b"\n")[0].decode()

    def test_a_failed_file_has_a_code(self) -> None:
        (self.into / "f").write_bytes(b"old")
        done = self.send(self.file("f", b"new"), self.receiver().name, "--json")
        failed = [e for e in done.events() if e["t"] == "file"][0]
        self.assertEqual(("failed", 11, "SL-E16"), (failed["state"], failed["code"], failed["error"]))
        self.assertEqual(6, done.events()[-1]["exit"])


class Endings(TransferCase):
    def test_nobody_there(self) -> None:
        done = self.send(self.file("f", b"x"), "127.0.0.1:1", "--retry", "0s")
        self.assertEqual(4, done.code, repr(done))
        self.assertEqual(4, self.send(self.file("f", b"x"), "127.0.0.1:1", "--retry", "300ms").code)

    def test_nothing_to_send(self) -> None:
        self.assertEqual(8, self.send(self.dir / "none", self.receiver().name).code)

    def test_once_and_told_to_stop(self) -> None:
        receiver = self.receiver("--once")
        self.assert_ok(self.send(self.file("f", b"x"), receiver.name))
        self.finish(receiver)
        idle = self.receiver(state="idle")
        self.assertEqual(0, idle.terminate())
        interrupted = self.receiver(state="idle2")
        interrupted.process.send_signal(signal.SIGINT)
        self.finish(interrupted)

    def test_interrupted_and_resumed(self) -> None:
        data, receiver = os.urandom(24 * MB), self.receiver()
        path = self.file("big", data)
        sender = self.sending(path, receiver.name, "--limit-rate", "1M")
        part = self.into / ".big.stxpart"
        st.wait_until(lambda: part.exists() and part.stat().st_blocks * 512 > 2 * MB, what="some of the file")
        sender.process.send_signal(signal.SIGINT)
        self.assertEqual(130, sender.wait())
        resume = re.search(r"(?m)^sealine: stopped; .*: (sealine send .*)$", sender.stderr)
        self.assertIsNotNone(resume, sender.stderr)
        self.assertEqual(f"sealine send {path} {receiver.name} --limit-rate 1M", resume.group(1))
        self.assertFalse((self.into / "big").exists())
        listed = self.assert_exit(0, self.run_sealine("recv", "--list", self.into))
        self.assertRegex(listed.out.decode(), r"(?m)^part .* big$")
        done = self.send(path, receiver.name)
        self.assert_ok(done, files=1)
        self.assertRegex(done.err, r"resumed at \d+ % \(\S+ MB proved\)")
        self.assertEqual(data, (self.into / "big").read_bytes())
        self.assertEqual(b"", self.run_sealine("recv", "--list", self.into).out)

    def test_a_receiver_killed_and_started_again(self) -> None:
        key, data = self.secret("key"), os.urandom(16 * MB)
        receiver, path = self.stx_recv(key=key), self.file("big", data)
        sender = self.sending(path, f"127.0.0.1:{receiver.port}", "--key", key, "--limit-rate", "2M")
        part = self.into / ".big.stxpart"
        st.wait_until(lambda: part.exists() and part.stat().st_blocks * 512 > 2 * MB, what="some of the file")
        receiver.kill()
        sender.wait_line(r"trying for ")
        self.stx_recv(key=key, port=receiver.port)
        self.finish(sender)
        self.assertRegex(sender.stderr, OK)
        self.assertEqual(data, (self.into / "big").read_bytes())

    def test_list_and_discard(self) -> None:
        self.assertEqual((0, b""), (lambda d: (d.code, d.out))(self.run_sealine("recv", "--list", self.into)))
        done = self.assert_exit(0, self.run_sealine("recv", "--discard", self.into))
        self.assertIn("0 unfinished transfers deleted", done.err)


class Hooks(TransferCase):
    def test_each_finished_file(self) -> None:
        log = self.dir / "log"
        receiver = self.receiver("--once", "--hook", f'echo "$SEALINE_FILE" >> {log}; echo "key:$STX_KEY"',
                                 extra_env={"X": "y"})
        self.assert_ok(self.send(self.folder(), receiver.name))
        self.finish(receiver)
        names = {str(Path(line).relative_to(self.into)) for line in log.read_text().splitlines()}
        self.assertEqual({"photos/a.txt", "photos/nothing", "photos/deep/b.bin"}, names)
        self.assertEqual(b"", bytes(receiver.output))
        self.assertIn("key:", receiver.stderr)

    def test_a_failed_one_is_exit_1(self) -> None:
        receiver = self.receiver("--once", "--hook", "exit 3")
        self.assert_ok(self.send(self.file("f", b"x"), receiver.name))
        self.finish(receiver, 1)
        self.assertIn("ended with 3", receiver.stderr)


class Progress(TransferCase):
    def screen(self, *flags: str, env: dict | None = None) -> tuple[int, str]:
        """A sender whose standard error is a terminal."""
        receiver = self.receiver()
        path = self.file("photo\x1b[2J.raw", os.urandom(4 * MB))
        mine, theirs = pty.openpty()
        with subprocess.Popen([st.SEALINE, "send", path, receiver.name, "--limit-rate", "4M", *flags],
                              env={**st.environment(self.dir / "sender"), "TERM": "xterm", **(env or {})},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs) as process:
            os.close(theirs)
            text = b""
            with contextlib.suppress(OSError):
                while piece := os.read(mine, 4096):
                    text += piece
            os.close(mine)
            return process.wait(st.WAIT), text.decode("utf-8", "replace")

    def test_a_bar_on_a_terminal(self) -> None:
        code, text = self.screen()
        self.assertEqual(0, code, text)
        self.assertRegex(text, r"\r photo\\x1b\[2J\.raw +\d+%  \S+ \S?B/s")
        self.assertNotIn("\x1b[2J", text)
        self.assertIn("\r\x1b[K", text)
        self.assertRegex(text.splitlines()[-1], r"sealine: ok  1 file")

    def test_none_where_it_is_not_wanted(self) -> None:
        for flags, env in ((("--progress", "never"), {}), (("--quiet",), {}), ((), {"TERM": "dumb"})):
            with self.subTest(flags=flags, env=env):
                self.assertNotIn("%  ", self.screen(*flags, env=env)[1])

    def test_lines_of_json(self) -> None:
        receiver = self.receiver()
        done = self.send(self.file("f", os.urandom(4 * MB)), receiver.name, "--json", "--limit-rate", "2M")
        progress = [event for event in done.events() if event["t"] == "progress"]
        self.assertGreaterEqual(len(progress), 2)
        self.assertEqual(sorted(event["bytes"] for event in progress), [event["bytes"] for event in progress])


if __name__ == "__main__":
    cli_case.main()
