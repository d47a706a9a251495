"""The whole table, and how it is played over an end."""

import unittest

import frame_cases
import runner
import text_cases
from handshake_cases import ANSWERS, REQUESTS

FRAMES = {**frame_cases.CASES, **text_cases.CASES}
REQUEST_ROWS = {f"11.{n}": row for n, row in enumerate(REQUESTS, 1)}
ANSWER_ROWS = {f"12.{n}": row for n, row in enumerate(ANSWERS, 1)}
LONG = 10.0  # bounds a wait
SHORT = 0.2  # for rows of which it is known that nothing comes


class ConformanceCase(unittest.TestCase):
    longMessage = True
    maxDiff = None

    def end(self, kind, command):
        try:
            end = kind(command(), LONG, command is runner.ours)
        except runner.Skip as missing:
            self.skipTest(str(missing))
        self.addCleanup(end.close)
        return end

    def check(self, end, rows: dict, play, known: dict) -> None:
        """Plays the rows; exactly those of `known` go wrong."""
        wrong = {}
        for number, row in rows.items():
            end.patience = SHORT if row.what in known else LONG
            found = play(end, row)
            if found:
                wrong[row.what] = f"{number} {row.what} (RFC 6455, {row.section}): {found}"
        self.assertEqual([text for what, text in wrong.items() if what not in known], [],
                         f"{len(wrong)} of {len(rows)} rows")
        self.assertEqual([what for what in known if what not in wrong], [], "listed, and no difference")
