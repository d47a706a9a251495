"""RFC 6455, row by row: our server and our client."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent)]

import conformance  # noqa: E402
import runner  # noqa: E402
from conformance import ANSWER_ROWS, FRAMES, REQUEST_ROWS  # noqa: E402


class Conformance(conformance.ConformanceCase):
    def test_there_are_enough_rows(self) -> None:
        self.assertGreaterEqual(len(FRAMES) + len(REQUEST_ROWS) + len(ANSWER_ROWS), 250)
        for rows in (FRAMES, REQUEST_ROWS, ANSWER_ROWS):
            names = [row.what for row in rows.values()]
            self.assertEqual(len(names), len(set(names)), "each row has a name of its own")

    def test_our_server_takes_frames_as_the_rfc_says(self) -> None:
        self.check(self.end(runner.ServerUnderTest, runner.ours), FRAMES, runner.play, {})

    def test_our_client_takes_frames_as_the_rfc_says(self) -> None:
        self.check(self.end(runner.ClientUnderTest, runner.ours), FRAMES, runner.play, {})

    def test_our_server_answers_requests_as_the_rfc_says(self) -> None:
        self.check(self.end(runner.ServerUnderTest, runner.ours), REQUEST_ROWS, runner.ask, {})

    def test_our_client_takes_answers_as_the_rfc_says(self) -> None:
        self.check(self.end(runner.ClientUnderTest, runner.ours), ANSWER_ROWS, runner.answer, {})


if __name__ == "__main__":
    runner.st.main()
