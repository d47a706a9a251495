"""The transcripts beside this file, typed again: `$ command`, its lines on standard output (`1> `) and error (`2> `), and
`exit N`. Each transcript has one fresh state directory."""

import shlex
from pathlib import Path

import cli_case

HERE = Path(__file__).resolve().parent


class Transcripts(cli_case.CliCase):
    def play(self, path: Path) -> int:
        cases, argv, wanted = 0, [], {"1> ": [], "2> ": []}
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if not line or line.startswith("#"):
                continue
            if line.startswith("$ sealine "):
                argv, wanted = shlex.split(line)[2:], {"1> ": [], "2> ": []}
            elif line.startswith("exit "):
                with self.subTest(f"{path.name}:{number}"):
                    done = self.run_sealine(*argv)
                    self.assertEqual(wanted["1> "], done.out.decode().splitlines())
                    self.assertEqual(wanted["2> "], done.err.splitlines())
                    self.assertEqual(int(line[5:]), done.code)
                cases += 1
            else:
                wanted[(line[:2] + " ")].append(line[3:])
        return cases

    def test_each(self) -> None:
        for path in sorted(HERE.glob("*.txt")):
            count = self.play(path)
            self.assertGreater(count, 0)
            print(f"  {path.name}: {count} commands", flush=True)


if __name__ == "__main__":
    cli_case.main()
