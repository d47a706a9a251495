"""Man pages without a warning, completions that their shells can read, and no option that one of them forgets."""

import re
import shutil
import subprocess
import unittest

import cli_case
from cli_case import st

MAN = st.SOURCE / "docs" / "man"
COMPLETIONS = st.SOURCE / "completions"
COMMANDS = ("send", "recv", "pipe", "tunnel", "msg", "stt", "web", "key", "peers", "legacy", "explain", "version", "help")


def have(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise unittest.SkipTest(f"no {program}")
    return path


class ManPages(unittest.TestCase):
    def pages(self) -> list:
        found = sorted(MAN.glob("*.[0-9]"))
        self.assertIn("sealine.1", [page.name for page in found])
        self.assertIn("sealine-known-peers.5", [page.name for page in found])
        return found

    def test_mandoc(self) -> None:
        mandoc = have("mandoc")
        for page in self.pages():
            done = subprocess.run([mandoc, "-Tlint", "-Wwarning", page], capture_output=True, text=True, check=False)
            self.assertEqual((0, ""), (done.returncode, done.stdout))

    def test_groff(self) -> None:
        groff = have("groff")
        for page in self.pages():
            done = subprocess.run([groff, "-mdoc", "-ww", "-z", "-Tutf8", page], capture_output=True, text=True,
                                  check=False)
            self.assertEqual((0, "", ""), (done.returncode, done.stdout, done.stderr), page.name)


class Completions(unittest.TestCase):
    def check(self, shell: str, name: str) -> None:
        done = subprocess.run([have(shell), "-n", COMPLETIONS / name], capture_output=True, text=True, check=False)
        self.assertEqual((0, ""), (done.returncode, done.stderr))

    def test_bash(self) -> None:
        self.check("bash", "sealine.bash")

    def test_zsh(self) -> None:
        self.check("zsh", "_sealine")

    def test_fish(self) -> None:
        self.check("fish", "sealine.fish")

    def complete(self, *words: str) -> set[str]:
        """What bash would offer for the last word."""
        script = (f"source '{COMPLETIONS / 'sealine.bash'}'; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _sealine; "
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run([have("bash"), "--norc", "-c", script, "bash", "sealine", *words], capture_output=True,
                              text=True, check=True, env=st.environment("/nonexistent"))
        return set(done.stdout.split())

    def test_bash_offers_commands_and_options(self) -> None:
        self.assertLessEqual(set(COMMANDS), self.complete(""))
        self.assertEqual({"tunnel"}, self.complete("tu"))
        self.assertEqual({"--psk-file"}, self.complete("pipe", "--psk"))
        self.assertEqual({"ask"}, self.complete("pipe", "--trust", "a"))
        self.assertEqual({"forget"}, self.complete("--json", "peers", "f"))
        self.assertLessEqual({"--any-time", "--key"}, self.complete("legacy", "open", "--"))


class Options(cli_case.CliCase):
    def options(self) -> set[str]:
        texts = [self.run_sealine("help", topic).out.decode() for topic in (*COMMANDS, "options")]
        return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", "\n".join(texts)))

    def test_every_option_is_in_the_manual_and_in_each_completion(self) -> None:
        options = self.options()
        self.assertGreater(len(options), 30)
        manual = (MAN / "sealine.1").read_text()
        for option in sorted(options):
            with self.subTest(option):
                self.assertRegex(manual, r"\\-" + option[2:] + r"(?![\w-])")
                for name in ("sealine.bash", "_sealine"):
                    self.assertRegex((COMPLETIONS / name).read_text(), option + r"(?![\w-])")
                self.assertRegex((COMPLETIONS / "sealine.fish").read_text(), r"-l " + option[2:] + r"(?![\w-])")

    def test_every_exit_code_is_in_the_manual(self) -> None:
        manual = (MAN / "sealine.1").read_text()
        for code in (*range(10), 130, 143):
            self.assertRegex(manual, rf"(?m)^\.It .*\b{code}\b")


if __name__ == "__main__":
    cli_case.main()
