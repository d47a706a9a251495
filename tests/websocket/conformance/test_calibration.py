"""The table itself, over implementations that others wrote: Node's ws and python3-websockets. What they treat otherwise is
listed in differences.py with the sentence of the RFC. A quick run plays every fourth row."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent)]

import conformance  # noqa: E402
import runner  # noqa: E402
from differences import DIFFERENCES  # noqa: E402


def everyones(rows: dict) -> dict:
    """Without what the RFC leaves open."""
    chosen = {number: row for number, row in rows.items() if not row.ours_alone}
    step = 1 if runner.st.FULL else 4
    return dict(list(chosen.items())[::step])


class Calibration(conformance.ConformanceCase):
    def calibrate(self, command, known: dict) -> None:
        frames, requests, answers = conformance.FRAMES, conformance.REQUEST_ROWS, conformance.ANSWER_ROWS
        # One after the other: a client that waits for its answer gives up.
        for kind, first, second in (
                (runner.ServerUnderTest, ("server", frames, runner.play), ("requests", requests, runner.ask)),
                (runner.ClientUnderTest, ("client", frames, runner.play), ("answers", answers, runner.answer))):
            end = self.end(kind, command)
            for what, rows, play in (first, second):
                with self.subTest(what):
                    chosen = everyones(rows)
                    names = {row.what for row in chosen.values()}
                    self.check(end, chosen, play, {w: why for w, why in known[what].items() if w in names})
            end.close()

    def test_node_ws_agrees(self) -> None:
        self.calibrate(runner.node_ws, DIFFERENCES["ws"])

    def test_python_websockets_agrees(self) -> None:
        self.calibrate(runner.python_websockets, DIFFERENCES["websockets"])


if __name__ == "__main__":
    runner.st.main()
