"""Runs the two examples against each other: a folder, and the same again."""
import os
import pathlib
import subprocess
import tempfile
import unittest

PROGRAM = os.environ["SEALINE_EXAMPLE"]
RECEIVER = os.path.join(os.path.dirname(PROGRAM), "example_receive_files")
LIMIT = 60  # seconds that no run comes near


class Example(unittest.TestCase):
    def send(self, port, environment, *paths):
        return subprocess.run(
            [PROGRAM, *paths, "127.0.0.1", port],
            capture_output=True, text=True, timeout=LIMIT, env=environment,
        )

    def test_a_folder_arrives_and_is_not_sent_twice(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "photos" / "2024").mkdir(parents=True)
            (root / "photos" / "one.jpg").write_bytes(os.urandom(700_000))
            (root / "photos" / "2024" / "two.jpg").write_bytes(os.urandom(1000))
            environment = dict(os.environ, SEALINE_STATE_DIR=folder + "/state")
            with subprocess.Popen(
                [RECEIVER, folder + "/in"], stdout=subprocess.PIPE, text=True, env=environment
            ) as receiver:
                try:
                    port = receiver.stdout.readline().strip()
                    first = self.send(port, environment, folder + "/photos")
                    self.assertEqual(first.returncode, 0, first.stderr)
                    self.assertIn("2 files in their place, 701000 bytes sent, 0 found", first.stdout)
                    for name in "one.jpg", "2024/two.jpg":
                        self.assertEqual(
                            (root / "in" / "photos" / name).read_bytes(),
                            (root / "photos" / name).read_bytes(),
                        )
                    again = self.send(port, environment, folder + "/photos")
                    self.assertEqual(again.returncode, 0, again.stderr)
                    self.assertIn("0 bytes sent, 701000 found", again.stdout)
                finally:
                    receiver.kill()


if __name__ == "__main__":
    unittest.main()
