"""sealine stt over wss://, behind nginx with TLS and an authority made for the test. spec: websocket.md#wss"""

import datetime
import ipaddress
import os
import shutil
import socket
import subprocess

import cli_case
from cli_case import st

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID
except ImportError:
    x509 = None

NGINX = """daemon off; pid {folder}/pid; error_log stderr; worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;
    location /stt {{
      proxy_pass http://{behind}; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade"; proxy_set_header Host $host:$server_port; proxy_buffering off;
    }}
  }}
}}
"""


class Authority:
    """A certificate authority of one test; its certificate is in `file`."""

    def __init__(self, folder):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authority {os.urandom(4).hex()}")])
        self.file = folder / f"{os.urandom(4).hex()}.pem"
        made = self.sign(self.name, self.key.public_key(), x509.BasicConstraints(ca=True, path_length=0))
        self.file.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def sign(self, subject, public_key, *extensions):
        now = datetime.datetime.now(datetime.timezone.utc)
        hour = datetime.timedelta(hours=1)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(public_key)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - hour).not_valid_after(now + hour)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, folder, *names) -> None:
        """server.pem and server.key in `folder`, for these names."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a server")])
        made = self.sign(subject, key.public_key(), x509.SubjectAlternativeName(list(names)))
        (folder / "server.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        (folder / "server.key").write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


class Behind(cli_case.CliCase):
    def setUp(self) -> None:
        super().setUp()
        self.nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin")
        if self.nginx is None:
            self.skipTest("no nginx")
        if x509 is None:
            self.skipTest("no python3-cryptography")
        self.seed = self.secret("seed")
        self.authority = Authority(self.dir)
        self.server = self.listener("stt", "listen", "ws://127.0.0.1:0", "--seed-file", self.seed, "--echo")

    def front(self, *names) -> int:
        """A port where nginx takes TLS for these names, and forwards to our listener."""
        folder = st.temporary_directory(self)
        self.authority.issue(folder, *names)
        for _ in range(5):  # somebody else may have taken the port meanwhile
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            if self.start_nginx(folder, port).poll() is None:
                return port
        return self.fail("nginx does not listen")

    def start_nginx(self, folder, port: int) -> subprocess.Popen:
        """A process that listens, or has ended."""
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, port=port, behind=self.server.name))
        process = subprocess.Popen([self.nginx, "-p", str(folder), "-e", "stderr", "-c", str(config)],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait, st.WAIT)
        self.addCleanup(process.terminate)

        def is_settled() -> bool:
            with socket.socket() as probe:
                return process.poll() is not None or probe.connect_ex(("127.0.0.1", port)) == 0

        st.wait_until(is_settled, what="nginx")
        return process

    def connect(self, url: str, *flags, data: bytes = b"", authority: Authority | None = None) -> cli_case.Done:
        trusted = {"SSL_CERT_FILE": str((authority or self.authority).file), "SSL_CERT_DIR": "/nonexistent"}
        return self.run_sealine("stt", "connect", url, "--seed-file", self.seed, "-4", *flags, data=data,
                                state=self.dir / "client", env=trusted)

    def test_echo_through_tls(self) -> None:
        port = self.front(x509.DNSName("localhost"))
        for size in (0, 1, 3_000_001):
            data = os.urandom(size)
            done = self.assert_exit(0, self.connect(f"wss://localhost:{port}", data=data))
            self.assertTrue(done.out == data, size)
        self.assertIn("(seed), STT/1 WebSocket over TLS, AES-256-GCM", done.err)

    def test_an_address_that_the_certificate_has(self) -> None:
        port = self.front(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        done = self.assert_exit(0, self.connect(f"wss://127.0.0.1:{port}/stt", data=b"hello"))
        self.assertEqual(b"hello", done.out)

    def test_an_authority_that_is_not_ours(self) -> None:
        port = self.front(x509.DNSName("localhost"))
        done = self.connect(f"wss://localhost:{port}", authority=Authority(self.dir))
        self.assert_error("A15", 3, done)
        self.assertIn("hint: SSL_CERT_FILE", done.err)

    def test_another_name(self) -> None:
        port = self.front(x509.DNSName("example.com"))
        self.assert_error("A16", 3, self.connect(f"wss://localhost:{port}"))

    def test_a_server_without_tls(self) -> None:
        done = self.assert_error("E20", 9, self.connect(f"wss://{self.server.name}"))
        self.assertIn("speaks ws://", done.err)

    def test_a_wrong_seed_is_still_seen(self) -> None:
        """TLS says who holds a certificate; the seed says who may talk."""
        port = self.front(x509.DNSName("localhost"))
        self.seed = self.secret("other")
        self.assert_error("A10", 3, self.connect(f"wss://localhost:{port}"))


class Listening(cli_case.CliCase):
    def test_is_the_business_of_a_proxy(self) -> None:
        done = self.run_sealine("stt", "listen", "wss://127.0.0.1:0", "--seed-file", self.secret("seed"))
        self.assert_error("U05", 2, done)
        self.assertIn("put a proxy with TLS, such as nginx, in front", done.err)


if __name__ == "__main__":
    st.main()
