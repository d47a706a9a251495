"""sealine key, peers, legacy: files and standard streams, no network."""

import os
import stat
import subprocess

import cli_case
from cli_case import FINGERPRINT, KEY, st


class Key(cli_case.CliCase):
    def mode(self, path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    def test_new_is_a_shared_secret_on_standard_output(self) -> None:
        done = self.assert_exit(0, self.run_sealine("key", "new"))
        self.assertRegex(done.out.decode(), r"\Asls1[a-z2-7]{56}\n\Z")
        self.assertEqual("", done.err)
        self.assertNotEqual(done.out, self.run_sealine("key", "new", "--psk").out)

    def test_new_identity(self) -> None:
        text = self.assert_exit(0, self.run_sealine("key", "new", "--identity")).out.decode()
        self.assertRegex(text, rf"\A#.*{KEY}.*\nslk1[a-z2-7]{{56}}\n\Z")

    def test_file_is_ours_alone_and_never_overwritten(self) -> None:
        path = self.dir / "k"
        done = self.assert_exit(0, self.run_sealine("key", "new", "-o", path))
        self.assertEqual(b"", done.out)
        self.assertNotIn("sls1", done.err)
        self.assertEqual(0o600, self.mode(path))
        before = path.read_bytes()
        done = self.assert_error("E07", 8, self.run_sealine("key", "new", "-o", path))
        self.assertIn("is there already", done.err)
        self.assertEqual(before, path.read_bytes())

    def test_redirected_file_becomes_ours_alone(self) -> None:
        path = self.dir / "k"
        with open(path, "wb") as out:
            os.fchmod(out.fileno(), 0o644)
            subprocess.run([st.SEALINE, "key", "new"], stdout=out, env=st.environment(self.state), check=True)
        self.assertEqual(0o600, self.mode(path))
        self.assertTrue(path.read_text().startswith("sls1"))

    def test_full_disk(self) -> None:
        with open("/dev/full", "wb") as full:
            done = subprocess.run([st.SEALINE, "key", "new"], stdout=full, stderr=subprocess.PIPE,
                                  env=st.environment(self.state), check=False)
        self.assertEqual(8, done.returncode, done.stderr)

    def test_show_makes_the_identity_once(self) -> None:
        first = self.assert_exit(0, self.run_sealine("key", "show")).out.decode()
        self.assertRegex(first, rf"\A{KEY} {FINGERPRINT}\n\Z")
        self.assertEqual(first, self.run_sealine("key", "show").out.decode())
        self.assertEqual(0o700, self.mode(self.state))
        self.assertEqual(0o600, self.mode(self.state / "identity"))
        self.assertEqual(first, self.run_sealine("key", "show", self.state / "identity").out.decode())

    def test_show_from_standard_input_and_of_each_kind(self) -> None:
        text = self.run_sealine("key", "new").out
        self.assertEqual(text, self.assert_exit(0, self.run_sealine("key", "show", "-", data=text)).out)
        raw = bytes(range(32))
        shown = self.assert_exit(0, self.run_sealine("key", "show", "-", data=raw)).out
        self.assertEqual(shown, self.run_sealine("key", "show", "-", data=raw.hex().encode() + b"\n").out)
        self.assertTrue(shown.startswith(b"sls1"))

    def test_show_qr(self) -> None:
        text = self.assert_exit(0, self.run_sealine("key", "show", "--qr")).out.decode()
        picture = text.splitlines()[1:]
        self.assertGreater(len(picture), 15)
        self.assertEqual(1, len({len(line) for line in picture}))
        self.assertLessEqual(set("".join(picture)), set("█▀▄ "))

    def test_file_open_to_others_is_refused_with_the_chmod(self) -> None:
        path = self.secret("k")
        path.chmod(0o640)
        done = self.assert_error("U06", 2, self.run_sealine("key", "show", path))
        self.assertIn("chmod 600", done.err)
        self.assertIn(str(path), done.err)

    def test_file_that_is_no_key(self) -> None:
        path = self.dir / "k"
        path.touch(0o600)
        for content in ("", "hello\n", "slp1" + "a" * 56 + "\n", self.run_sealine("key", "new").out.decode()[:-3]):
            path.write_text(content)
            self.assert_error("M06", 2, self.run_sealine("key", "show", path))
        self.assert_error("E07", 2, self.run_sealine("key", "show", self.dir / "missing"))

    def test_events_hold_no_secret(self) -> None:
        done = self.assert_exit(0, self.run_sealine("key", "new", "--json", "-o", self.dir / "k"))
        self.assertEqual(["key", "done"], [event["t"] for event in done.events()])
        done = self.assert_exit(0, self.run_sealine("key", "show", self.dir / "k", "--json"))
        self.assertNotIn(b"sls1", done.out)
        event = self.assert_exit(0, self.run_sealine("key", "show", "--json")).events()[0]
        self.assertRegex(event["key"], KEY)
        self.assertRegex(event["fingerprint"], FINGERPRINT)


class Peers(cli_case.CliCase):
    def setUp(self) -> None:
        super().setUp()
        self.key, self.other = (self.run_sealine("key", "show", state=self.dir / name).out.decode().split()[0]
                                for name in ("a", "b"))

    def test_life_of_a_peer(self) -> None:
        self.assertEqual(b"", self.assert_exit(0, self.run_sealine("peers", "list")).out)
        self.assert_exit(0, self.run_sealine("peers", "add", "Server.Example.:9000", self.key))
        listed = self.assert_exit(0, self.run_sealine("peers", "list")).out.decode()
        self.assertRegex(listed, rf"\Aserver\.example:9000 {self.key} \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ {FINGERPRINT}\n\Z")
        done = self.assert_error("U05", 2, self.run_sealine("peers", "add", "server.example:9000", self.other))
        self.assertIn(f"hint: sealine peers replace server.example:9000 {self.other}", done.err)
        self.assert_exit(0, self.run_sealine("peers", "replace", "server.example:9000", self.other))
        self.assertIn(self.other, self.run_sealine("peers", "list").out.decode())
        self.assertNotIn(self.key, self.run_sealine("peers", "list").out.decode())
        self.assert_exit(0, self.run_sealine("peers", "forget", "server.example:9000"))
        self.assertEqual(b"", self.run_sealine("peers", "list").out)
        self.assert_error("U05", 2, self.run_sealine("peers", "forget", "server.example:9000"))

    def test_other_lines_are_kept_byte_for_byte(self) -> None:
        self.state.mkdir(mode=0o700)
        file = self.state / "known_peers"
        text = f"# mine\n\n[::1]:1 {self.key} 2024-01-01T00:00:00Z with a name\n"
        file.write_text(text)
        self.assert_exit(0, self.run_sealine("peers", "add", "h:1", self.other))
        self.assertTrue(file.read_text().startswith(text))
        self.assert_exit(0, self.run_sealine("peers", "forget", "h:1"))
        self.assertEqual(text, file.read_text())

    def test_line_that_cannot_be_read(self) -> None:
        self.state.mkdir(mode=0o700)
        (self.state / "known_peers").write_text("# fine\nnot a line\n")
        done = self.assert_error("M06", 2, self.run_sealine("peers", "list"))
        self.assertIn("line 2", done.err)

    def test_names_and_keys_that_are_none(self) -> None:
        self.assert_error("U05", 2, self.run_sealine("peers", "add", "no-port", self.key))
        self.assert_error("M05", 2, self.run_sealine("peers", "add", "h:1", self.key[:-1] + "a" * (self.key[-1] != "a")
                                                     + "b" * (self.key[-1] == "a")))
        self.assert_error("M05", 2, self.run_sealine("peers", "add", "h:1", "slp1"))

    def test_events(self) -> None:
        self.run_sealine("peers", "add", "h:1", self.key)
        peer, end = self.assert_exit(0, self.run_sealine("peers", "list", "--json")).events()
        self.assertEqual(("peer", "h:1", self.key), (peer["t"], peer["peer"], peer["key"]))
        self.assertEqual("done", end["t"])


class Legacy(cli_case.CliCase):
    def key(self, content: bytes = b"0123456789abcdef", name: str = "key"):
        path = self.dir / name
        path.touch(0o600)
        path.write_bytes(content)
        return path

    def test_round_trip(self) -> None:
        data = os.urandom(300_000)
        for key in (os.urandom(16), os.urandom(24), os.urandom(32), os.urandom(16).hex().encode() + b"\n",
                    os.urandom(32).hex().encode()):
            for iv in ("16", "24", "32"):
                path = self.key(key)
                packets = self.assert_exit(0, self.run_sealine("legacy", "seal", "--key", path, "--iv", iv, data=data))
                self.assertGreater(len(packets.out), len(data))
                opened = self.assert_exit(0, self.run_sealine("legacy", "open", "--key", path, "--iv", iv, "--any-time",
                                                              data=packets.out))
                self.assertEqual(data, opened.out)

    def test_nothing_gives_nothing(self) -> None:
        sealed = self.assert_exit(0, self.run_sealine("legacy", "seal", "--key", self.key()))
        self.assertEqual(b"", sealed.out)
        self.assert_exit(0, self.run_sealine("legacy", "open", "--key", self.key()))

    def test_role_key_and_bytes_must_be_right(self) -> None:
        packets = self.run_sealine("legacy", "seal", "--key", self.key(), data=b"hello").out
        for flags, data in ((("--role", "server"), packets), ((), packets[:-1] + bytes([packets[-1] ^ 1])),
                            (("--key", self.key(b"x" * 16, "other")), packets)):
            flags = flags if "--key" in flags else ("--key", self.key(), *flags)
            self.assert_error("A12", 3, self.run_sealine("legacy", "open", "--any-time", *flags, data=data))

    def test_cut_stream_gives_a_true_beginning(self) -> None:
        data = os.urandom(200_000)
        packets = self.run_sealine("legacy", "seal", "--key", self.key(), data=data).out
        done = self.assert_exit(7, self.run_sealine("legacy", "open", "--any-time", "--key", self.key(), data=packets[:-5]))
        self.assertTrue(data.startswith(done.out))
        self.assertIn("SL-P04", done.err)

    def test_repeated_packet(self) -> None:
        packets = self.run_sealine("legacy", "seal", "--key", self.key(), data=b"once").out
        done = self.assert_exit(7, self.run_sealine("legacy", "open", "--any-time", "--key", self.key(), data=packets * 2))
        self.assertEqual(b"once", done.out)

    def test_raw_form_warns(self) -> None:
        done = self.run_sealine("legacy", "open", "--insecure-legacy-raw", "--key", self.key(), data=b"")
        self.assert_exit(0, done)
        self.assertIn("authenticates nothing", done.err)

    def test_key_file_rules(self) -> None:
        self.key().chmod(0o644)
        self.assert_error("U06", 2, self.run_sealine("legacy", "seal", "--key", self.dir / "key", data=b"x"))
        self.assert_error("M06", 2, self.run_sealine("legacy", "seal", "--key", self.key(b"short", "s"), data=b"x"))
        packets = self.assert_exit(0, self.run_sealine("legacy", "seal", env={"SEALINE_KEY_FILE": str(self.key(b"k" * 32, "e"))},
                                                       data=b"x"))
        self.assertTrue(packets.out)


if __name__ == "__main__":
    cli_case.main()
