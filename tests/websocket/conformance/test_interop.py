"""Our WebSocket with others' at the far end, both ways, straight and behind nginx."""

import shutil
import socket
import subprocess
import sys
import unittest
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent)]

import runner  # noqa: E402
from handshake_cases import ORIGIN, REQUEST  # noqa: E402
from runner import st  # noqa: E402

NGINX = """daemon off; pid {folder}/pid; error_log stderr; worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location /stt {{
      proxy_pass http://127.0.0.1:{behind}; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade"; proxy_set_header Host $host:$server_port; proxy_buffering off;
    }}
  }}
}}
"""


class Interop(unittest.TestCase):
    longMessage = True

    def command(self, find) -> list[str]:
        try:
            return find()
        except runner.Skip as missing:
            self.skipTest(str(missing))

    def listen(self, find) -> int:
        end = runner.ServerUnderTest(self.command(find), st.WAIT, find is runner.ours)
        self.addCleanup(end.close)
        return end.port

    def send(self, find, port: int) -> None:
        done = subprocess.run([*self.command(find), "send", str(port)], check=False, timeout=st.WAIT, capture_output=True,
                              text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def nginx(self, behind: int) -> int:
        """A port where nginx forwards to `behind`."""
        program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
        if program is None:
            self.skipTest("no nginx")
        for _ in range(5):  # somebody else may have taken the port meanwhile
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            process = self.start_nginx(program, port, behind)
            if process.poll() is None:
                return port
        return self.fail("nginx does not listen")

    def start_nginx(self, program: str, port: int, behind: int) -> subprocess.Popen:
        """A process that listens, or has ended."""
        folder = st.temporary_directory(self)
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, port=port, behind=behind))
        process = subprocess.Popen([program, "-p", str(folder), "-e", "stderr", "-c", str(config)],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait, st.WAIT)
        self.addCleanup(process.terminate)

        def is_settled() -> bool:
            with socket.socket() as probe:
                return process.poll() is not None or probe.connect_ex(("127.0.0.1", port)) == 0

        st.wait_until(is_settled, what="nginx")
        return process

    def test_our_client_with_our_server(self) -> None:
        self.send(runner.ours, self.listen(runner.ours))

    def test_our_client_with_node_ws(self) -> None:
        self.send(runner.ours, self.listen(runner.node_ws))

    def test_our_client_with_python_websockets(self) -> None:
        self.send(runner.ours, self.listen(runner.python_websockets))

    def test_node_ws_with_our_server(self) -> None:
        self.send(runner.node_ws, self.listen(runner.ours))

    def test_python_websockets_with_our_server(self) -> None:
        self.send(runner.python_websockets, self.listen(runner.ours))

    def test_behind_nginx(self) -> None:
        port = self.nginx(self.listen(runner.ours))
        self.send(runner.ours, port)
        for other in (runner.node_ws, runner.python_websockets):
            with self.subTest(other.__name__):
                self.send(other, port)

    def test_a_foreign_origin_is_refused_behind_nginx(self) -> None:
        port = self.nginx(self.listen(runner.ours))
        for origin, status in ((f"http://127.0.0.1:{port}", "101"), ("http://evil.example", "403"), ("null", "403")):
            with self.subTest(origin), socket.create_connection(("127.0.0.1", port), timeout=st.WAIT) as sock:
                sock.sendall(REQUEST.having("Host", f"127.0.0.1:{port}").plus(ORIGIN, origin).encode())
                head, _ = runner.read_head(sock)
                self.assertEqual(head.split(" ")[1], status)


if __name__ == "__main__":
    st.main()
