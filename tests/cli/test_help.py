"""Help on one screen, explanations of every code, and a command line that is refused with reasons."""

import re

import cli_case

COMMANDS = ("send", "recv", "pipe", "tunnel", "msg", "stt", "web", "key", "peers", "legacy", "explain", "version", "help")
TOPICS = ("options", "trust", "exit-codes", "files", "events")


class Help(cli_case.CliCase):
    def assert_one_screen(self, text: str) -> None:
        lines = text.splitlines()
        self.assertLessEqual(len(lines), 24, text)
        for line in lines:
            self.assertLessEqual(len(line), 80, line)

    def test_front_page(self) -> None:
        done = self.assert_exit(0, self.run_sealine("help"))
        self.assert_one_screen(done.out.decode())
        for command in COMMANDS:
            self.assertIn(f"\n  {command} ", done.out.decode())
        self.assertEqual(done.out, self.run_sealine("--help").out)

    def test_nothing_at_all_is_a_usage_error_with_the_front_page(self) -> None:
        done = self.assert_exit(2, self.run_sealine())
        self.assertEqual(b"", done.out)
        self.assertIn("usage: sealine COMMAND", done.err)

    def test_each_command_and_topic_has_a_screen(self) -> None:
        for topic in COMMANDS + TOPICS:
            with self.subTest(topic):
                done = self.assert_exit(0, self.run_sealine("help", topic))
                self.assert_one_screen(done.out.decode())
                self.assertEqual("", done.err)
                self.assertNotIn(b"usage: sealine COMMAND", done.out)
                if topic in COMMANDS:
                    self.assertEqual(done.out, self.run_sealine(topic, "--help").out)
                    self.assertEqual(done.out, self.run_sealine("-h", topic).out)

    def test_examples_come_first(self) -> None:
        for command in COMMANDS:
            with self.subTest(command):
                lines = self.run_sealine(command, "--help").out.decode().splitlines()
                self.assertTrue(lines[0].startswith("sealine"), lines[0])
                examples = [line for line in lines[2:5] if "sealine" in line and line.startswith("  ")]
                self.assertEqual(3, len(examples), lines)
                self.assertEqual("", lines[5])

    def test_unknown_topic(self) -> None:
        self.assert_error("U05", 2, self.run_sealine("help", "nothing"))

    def test_version(self) -> None:
        done = self.assert_exit(0, self.run_sealine("version"))
        self.assertRegex(done.out.decode(), r"^sealine \d+\.\d+\.\d+\nSTCP/1\nSCP/1\nSTT/1\nSTX/1\n")
        self.assertEqual(done.out, self.run_sealine("--version").out)


class Explain(cli_case.CliCase):
    CODES = re.findall(r'"([AMPULE]\d\d)"', (cli_case.st.SOURCE / "src/base/errc.cpp").read_text())

    def test_every_code(self) -> None:
        self.assertGreater(len(self.CODES), 60)
        for code in self.CODES[::1 if cli_case.st.FULL else 7]:
            with self.subTest(code):
                done = self.assert_exit(0, self.run_sealine("explain", f"SL-{code}"))
                text = done.out.decode()
                self.assertTrue(text.startswith(f"SL-{code}: "), text)
                self.assertIn("\nTo do: ", text)

    def test_forms_of_a_code(self) -> None:
        whole = self.run_sealine("explain", "SL-A03").out
        for form in ("A03", "a03", "sl-a03"):
            self.assertEqual(whole, self.assert_exit(0, self.run_sealine("explain", form)).out)

    def test_fault_point_and_exit_code(self) -> None:
        self.assertIn(b"SL-A03", self.assert_exit(0, self.run_sealine("explain", "F7")).out)
        self.assertIn(b"authentication", self.assert_exit(0, self.run_sealine("explain", "3")).out)

    def test_no_such_code(self) -> None:
        for word in ("SL-Z99", "F16", "F0", "77", ""):
            self.assert_error("U05", 2, self.run_sealine("explain", word))


class Arguments(cli_case.CliCase):
    def test_what_is_refused(self) -> None:
        cases = (
            ("send", "x"), ("recv", "a", "b"), ("stt",), ("stt", "nonsense"), ("nonsense",), ("--nonsense",), ("pipe",),
            ("pipe", "-l", "9000", "host:1"), ("pipe", "host"), ("pipe", "host:0"), ("pipe", "host:70000"),
            ("pipe", "::1:9000"), ("pipe", "[::1:9000"), ("pipe", "ho st:9000"), ("pipe", ":9000"),
            ("pipe", "h:1", "--nonsense"), ("pipe", "h:1", "more"), ("pipe", "h:1", "--keep"),
            ("pipe", "h:1", "--trust", "maybe"), ("pipe", "h:1", "--pad", "3"), ("pipe", "h:1", "--retry", "soon"),
            ("pipe", "h:1", "--limit-rate", "0"), ("pipe", "h:1", "-4", "-6"), ("pipe", "h:1", "--color", "blue"),
            ("pipe", "h:1", "--handshake-timeout", "0"), ("pipe", "h:1", "--log-format", "xml"),
            ("tunnel",), ("tunnel", "--listen", "1"), ("tunnel", "--listen", "1", "--to", "2"),
            ("tunnel", "--listen", "stcp://:1", "--to", "stcp://h:2"),
            ("tunnel", "--listen", "stcp://:1", "--to", "h:0"), ("tunnel", "--listen", "http://:1", "--to", "h:2"),
            ("tunnel", "--listen", "unix:", "--to", "stcp://h:2"),
            ("tunnel", "--listen", "stcp://:0", "--to", "1", "--max-connections", "0"),
            ("key",), ("key", "new", "--psk", "--identity"), ("peers",),
            ("peers", "add"), ("peers", "add", "h:1"), ("peers", "forget"), ("legacy",), ("legacy", "seal"),
            ("legacy", "seal", "--key", "-"), ("legacy", "seal", "--iv", "12", "--key", "x"),
            ("legacy", "seal", "--any-time", "--key", "x"), ("legacy", "open", "--role", "both", "--key", "x"),
            ("explain",),
        )
        for argv in cases:
            with self.subTest(argv):
                self.assert_error("U05", 2, self.run_sealine(*argv))
        self.assertFalse(self.state.exists(), "something was made for a refused command")

    def test_unknown_command_is_named(self) -> None:
        done = self.assert_error("U05", 2, self.run_sealine("sned", "file", "host"))
        self.assertEqual("sealine: error[SL-U05]: unknown command 'sned'\nhint: sealine help lists them", done.err)

    def test_control_characters_are_not_echoed(self) -> None:
        done = self.assert_error("U05", 2, self.run_sealine("pipe", "a\x1b[31mb\u202e:1"))
        self.assertNotIn("\x1b", done.err)
        self.assertNotIn("\u202e", done.err)

    def test_contradictions(self) -> None:
        key = self.assert_exit(0, self.run_sealine("key", "show")).out.decode().split()[0]
        for flags in (("--anonymous", "--mutual"), ("--anonymous", "--psk-file", "x"), ("--mutual", "--psk-file", "x"),
                      ("--anonymous", "--peer-key", key), ("--psk-file", "x", "--trust", "pinned"),
                      ("--allow", "x"), ("--anonymous", "--identity", "x")):
            with self.subTest(flags):
                self.assert_error("U04", 2, self.run_sealine("pipe", "127.0.0.1:9", *flags))
        for flags in (("--peer-key", key), ("--anonymous", "--allow", "x")):
            with self.subTest(flags):
                self.assert_error("U04", 2, self.run_sealine("pipe", "-l", "0", *flags))

    def test_crypto_engine_that_is_none(self) -> None:
        self.assert_error("U04", 2, self.run_sealine("version", env={"SEALINE_CRYPTO": "rot13"}))

    def test_secret_in_arguments_is_refused_and_not_repeated(self) -> None:
        for kind in ("--psk", "--identity"):
            text = self.assert_exit(0, self.run_sealine("key", "new", kind)).out.decode()
            secret = re.search(r"^(s[lk][sk]1\w+)", text, re.M).group(1)
            for argv in (("pipe", "h:1", "--psk-file", secret), ("pipe", "h:1", f"--psk-file={secret.upper()}"),
                         ("key", "show", secret), ("key", "new", f"-o{secret}"), ("pipe", secret[:40], "x"),
                         ("pipe", "h:1", "--psk-file", "0123456789abcdef" * 4)):
                done = self.assert_error("U07", 2, self.run_sealine(*argv))
                self.assertNotIn(secret[4:20], done.err.lower())
                self.assertIn("hint: put it into a file", done.err)

    def test_error_as_event(self) -> None:
        done = self.assert_exit(2, self.run_sealine("pipe", "host", "--json"))
        error, end = done.events("err")
        self.assertEqual(("error", "SL-U05", "api_misuse"), (error["t"], error["code"], error["fault"]))
        self.assertEqual(("done", 2), (end["t"], end["exit"]))
        for argv in (("nonsense", "--json"), ("key", "new", "--json")):
            done = self.assert_exit(2, self.run_sealine(*argv))
            self.assertEqual(["error", "done"], [event["t"] for event in done.events()])

    def test_color(self) -> None:
        self.assertIn("\x1b[1;31merror", self.run_sealine("pipe", "h", "--color", "always").err)
        self.assertNotIn("\x1b", self.run_sealine("pipe", "h").err)


if __name__ == "__main__":
    cli_case.main()
