"""Each claim of the papers has its row in docs/security.md, and each row names tests that there are."""

import re
import unittest

import cli_case
from cli_case import st

ROW = re.compile(r"^\| (\d+) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
CLAIMS = 40


def rows() -> list[tuple[int, str]]:
    text = (st.SOURCE / "docs" / "security.md").read_text()
    return [(int(n), shown) for n, _, _, shown in ROW.findall(text)]


def names(kind: str, pattern: str) -> set[str]:
    """What `pattern` captures in the files of the tests."""
    found = set()
    for path in sorted((st.SOURCE / "tests").rglob(kind)):
        found.update(".".join(match) if isinstance(match, tuple) else match
                     for match in re.findall(pattern, path.read_text(), re.MULTILINE))
    return found


class Claims(unittest.TestCase):
    def test_each_has_its_row(self) -> None:
        self.assertEqual(list(range(1, CLAIMS + 1)), [n for n, _ in rows()])

    def test_each_row_names_tests_that_there_are(self) -> None:
        compiled = names("*_test.cpp", r"^(?:TYPED_)?TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)")
        scripts = names("test_*.py", r"^ +def (test_\w+)\(")
        self.assertGreater(len(compiled), 500)
        self.assertGreater(len(scripts), 200)
        for n, shown in rows():
            named = re.findall(r"`([^`]+)`", shown)
            with self.subTest(row=n):
                self.assertTrue(named)
            for name in named:
                with self.subTest(row=n, name=name):
                    if "/" in name:
                        self.assertTrue((st.SOURCE / name).is_file())
                    else:
                        self.assertTrue(name in compiled or name in scripts, name)


if __name__ == "__main__":
    cli_case.main()
