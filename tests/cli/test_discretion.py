"""No run of any test shows a secret: what looks for that in all of them finds one that is shown."""

import base64

from cli_case import CliCase, main, st


class Discretion(CliCase):
    def setUp(self) -> None:
        super().setUp()
        self.key = self.secret("key")
        self.text = self.key.read_text().split()[-1]
        self.value = base64.b32decode(self.text[4:].upper())[:32]

    def program_that_prints(self, text: str) -> st.Program:
        program = st.Program(["/usr/bin/env", "printf", "%s %s", text, str(self.key)], env=st.environment(self.state))
        self.addCleanup(program.kill)
        return program

    def test_a_shown_secret_is_found_in_every_form(self) -> None:
        for text in (self.text, self.text.upper(), self.text[4:30], self.value.hex(), self.value.hex().upper(),
                     base64.b64encode(self.value).decode()):
            with self.subTest(text=text[:4]), self.assertRaisesRegex(AssertionError, "showed a secret"):
                self.program_that_prints(f"key={text}").wait()

    def test_other_texts_are_none(self) -> None:
        for text in (self.text[:4], self.value[::-1].hex(), "slp1" + "a" * 56):
            self.assertEqual(0, self.program_that_prints(text).wait())

    def test_an_identity_is_a_secret_too(self) -> None:
        self.secret("state-key", "--identity")
        self.state.mkdir(mode=0o700, exist_ok=True)
        text = (self.dir / "state-key").read_text()
        (self.state / "identity").write_text(text)
        with self.assertRaisesRegex(AssertionError, "showed a secret"):
            self.program_that_prints(text.split()[-1]).wait()


if __name__ == "__main__":
    main()
