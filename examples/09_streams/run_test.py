"""Runs the example: three answers over one session."""
import os
import subprocess
import unittest

PROGRAM = os.environ["SEALINE_EXAMPLE"]
LIMIT = 60  # seconds that no run comes near


class Example(unittest.TestCase):
    def test_three_answers(self):
        done = subprocess.run([PROGRAM], capture_output=True, text=True, timeout=LIMIT)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(
            done.stdout.splitlines(),
            ["connected (seed), STT/1 WebSocket, AES-256-GCM", "ONE", "TWO", "THREE"],
        )


if __name__ == "__main__":
    unittest.main()
