"""Runs the example's server and client against each other."""
import os
import subprocess
import tempfile
import unittest

PROGRAM = os.environ["SEALINE_EXAMPLE"]
LIMIT = 60  # seconds that no run comes near


class Example(unittest.TestCase):
    def test_client_gets_its_answer(self):
        with tempfile.TemporaryDirectory() as folder:
            environment = dict(os.environ, SEALINE_STATE_DIR=folder + "/state")
            with subprocess.Popen(
                [PROGRAM, "serve"], stdout=subprocess.PIPE, text=True, env=environment
            ) as server:
                try:
                    port = server.stdout.readline().strip()
                    client = subprocess.run(
                        [PROGRAM, "127.0.0.1", port],
                        capture_output=True, text=True, timeout=LIMIT, env=environment,
                    )
                    self.assertEqual(client.returncode, 0, client.stderr)
                    self.assertIn("got: Hello, secure world!", client.stdout)
                    self.assertIn("127.0.0.1:" + port, open(folder + "/state/known_peers").read())
                finally:
                    server.kill()


if __name__ == "__main__":
    unittest.main()
