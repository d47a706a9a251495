"""The contestants of `tools/bench stx`: programs that carry files, each with a server of its own on loopback.

A run starts the server, takes the time of the client from its start to its end, and stops the server. Both ends are
measured by sealine-bench-run with all their processes: CPU seconds, and the peak memory of the largest process. No end
is bound to a core: those of ssh and rsync are several processes, and ours has threads.
"""

import contextlib
import filecmp
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench_model import Failure

FILE_BYTES = 2 << 30
TEXT_BYTES = 512 << 20
SMALL_FILES = 10_000
SMALL_BYTES = 4096
SMALL_FOLDERS = 100
RUN_TIMEOUT_S = 120
READY_TIMEOUT_S = 10
POOL_BYTES = 64 << 20
AES = "aes256-gcm@openssh.com"  # as we seal; faster than OpenSSH's default too


@dataclass(frozen=True)
class FileContestant:
    """How the client is called (FileRunner.client_<kind>) behind which server (Servers.<kind>)."""

    kind: str
    server: str = ""
    options: tuple = ()
    environment: tuple = ()
    engine: str = ""  # what the engine's name must begin with
    needs: tuple = ()  # programs
    fixed = None


def ssh_contestant(kind, *options):
    return FileContestant(kind, "sshd", options, needs=("ssh", "sshd", "ssh-keygen", kind))


def ours(engine, *options):
    return FileContestant("stx", "stx", options, (("SEALINE_CRYPTO", engine),), engine)


STX = {"stx": ours("ipsec-mb"), "stx-openssl": ours("openssl")}
CP = FileContestant("cp", needs=("cp",))
HTTPS = FileContestant("https", "nginx", needs=("nginx", "curl", "openssl"))
SCP = ssh_contestant("scp")
SFTP = ssh_contestant("sftp")
RSYNC = ssh_contestant("rsync")
FILE = {**STX, "https": HTTPS, "scp": SCP, "sftp": SFTP, "rsync": RSYNC, "cp": CP}
SMALL = {**STX, "scp": SCP, "rsync": RSYNC, "cp": CP}
TEXT = {
    **STX,
    "stx-zstd": ours("ipsec-mb", "--compress", "always"),
    "https": HTTPS,
    "scp": SCP,
    "scp-C": ssh_contestant("scp", "-C"),
    "rsync": RSYNC,
    "rsync-z": ssh_contestant("rsync", "-z", "--zc=zstd"),
}


def find_program(name):
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, what):
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.005)
    raise Failure(f"{what} is not ready after {READY_TIMEOUT_S} s")


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Work:
    """What is carried: a file or a folder, made once."""

    def __init__(self, place, name):
        self.source = place / name
        self.files = 1
        if name == "file":
            self.bytes = FILE_BYTES
            with self.source.open("wb") as out:
                for _ in range(FILE_BYTES // POOL_BYTES):
                    out.write(os.urandom(POOL_BYTES))
        elif name == "text":
            self.bytes = TEXT_BYTES
            self.write_text()
        elif name == "small":
            self.files = SMALL_FILES
            self.bytes = SMALL_FILES * SMALL_BYTES
            for index in range(SMALL_FILES):
                folder = self.source / f"{index % SMALL_FOLDERS:02}"
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{index:05}").write_bytes(os.urandom(SMALL_BYTES))
        else:
            raise ValueError(name)

    def write_text(self):
        """Lines as a server's log has them: about a fifth after zstd."""
        rng = random.Random(7)
        words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(3, 9))) for _ in range(500)]
        lines = []
        for number in range(150_000):
            text = " ".join(rng.choices(words, k=8))
            lines.append(f"2026-11-{number % 30 + 1:02} {rng.random():.6f} [{rng.randint(1, 9999)}] {text}\n")
        block = "".join(lines).encode()[: 8 << 20]
        with self.source.open("wb") as out:
            for index in range(TEXT_BYTES // len(block) + 1):
                shift = index * 4099 % len(block)
                out.write((block[shift:] + block[:shift])[: TEXT_BYTES - out.tell()])

    def is_equal(self, target):
        there = target / self.source.name
        if self.source.is_dir():
            found = {path.relative_to(there): path for path in there.rglob("*") if path.is_file()}
            return len(found) == self.files and all(
                filecmp.cmp(self.source / name, path, shallow=False) for name, path in found.items()
            )
        return subprocess.run(["cmp", "-s", self.source, there]).returncode == 0

    def is_whole(self, target):
        there = target / self.source.name
        if self.source.is_dir():
            return sum(len(files) for _, _, files in os.walk(there)) == self.files
        return there.exists() and there.stat().st_size == self.bytes


class FileRunner:
    """Runs clients against their servers, and sees to it that none outlives the run."""

    def __init__(self, programs, cores):
        self.programs = programs
        self.cores = cores
        self.folder = None
        self.works = {}
        self.checked = set()
        self.alive = []

    # --- what tools/bench asks of a runner

    def missing(self, contestant):
        for name in ("run", "link"):
            if not (self.programs / f"sealine-bench-{name}").exists():
                return f"sealine-bench-{name} was not built"
        if contestant.kind == "stx" and not (self.programs / "sealine").exists():
            return "sealine was not built"
        for program in contestant.needs:
            if find_program(program) is None:
                return f"{program} is not installed"
        return ""

    def engine(self):
        return self.engine_with(os.environ)

    def engine_with(self, environment):
        command = [self.programs / "sealine", "version", "--json"]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=30)
        return json.loads(done.stdout.splitlines()[0])["engine"]

    def link_ns(self):
        near, far = self.cores
        command = [self.programs / "sealine-bench-link", f"near={near}", f"far={far}"]
        return float(subprocess.run(command, check=True, capture_output=True, timeout=30).stdout)

    def run(self, row, contestant, _index):
        work = self.work(row.arguments[0])
        target = self.place() / "target"
        shutil.rmtree(target, ignore_errors=True)  # only now: pages are used again before the system gives them back
        target.mkdir()
        try:
            serve = getattr(self, f"serve_{contestant.server}", None)
            server = serve(contestant, work, target) if serve else None
            client = self.start(self.client(contestant, work, target, server), contestant)
            report = self.finish(client)
            server_report = {"cpu_s": 0.0, "memory_bytes": 0} if server is None else self.end_server(server[0])
        finally:
            self.stop()
        if not work.is_whole(target):
            raise Failure("the copy is not whole")
        if (contestant, row.arguments) not in self.checked and not work.is_equal(target):
            raise Failure("the copy differs")
        self.checked.add((contestant, row.arguments))
        report |= {"bytes": work.bytes, "files": work.files}
        return [server_report], [report]

    def stop(self):
        for process in self.alive:
            process.kill()
            process.wait()
        self.alive.clear()

    def close(self):
        self.stop()
        if self.folder is not None:
            self.folder.cleanup()

    # --- the place

    def place(self):
        if self.folder is None:
            shared = Path("/dev/shm")
            has_room = shared.is_dir() and shutil.disk_usage(shared).free > 3 * FILE_BYTES
            self.folder = tempfile.TemporaryDirectory(prefix="sealine-bench.", dir=shared if has_room else None)
        return Path(self.folder.name)

    def work(self, name):
        if name not in self.works:
            for other in self.works.values():  # one at a time: memory is dear
                shutil.rmtree(other.source, ignore_errors=True)
                other.source.unlink(missing_ok=True)
            self.works = {name: Work(self.place(), name)}
        return self.works[name]

    # --- processes

    def start(self, command, contestant=None, **settings):
        report = self.place() / f"report.{len(self.alive)}"
        report.unlink(missing_ok=True)
        errors = (self.place() / f"errors.{len(self.alive)}").open("w+b")
        environment = dict(os.environ, SEALINE_STATE_DIR=str(self.place() / "state"))
        environment |= dict(contestant.environment) if contestant else {}
        run = [self.programs / "sealine-bench-run", f"report={report}", "--", *command]
        settings = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL} | settings
        process = subprocess.Popen(run, stderr=errors, env=environment, **settings)
        process.report, process.errors = report, errors
        self.alive.append(process)
        return process

    def finish(self, process, codes=(0,)):
        try:
            code = process.wait(timeout=RUN_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise Failure(f"no end after {RUN_TIMEOUT_S} s: {self.words(process)}") from None
        if code not in codes:
            raise Failure(f"exit code {code}: {self.words(process)}")
        return json.loads(process.report.read_text())

    def end_server(self, process):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        return self.finish(process, codes=(0, 128 + signal.SIGTERM, 255))

    @staticmethod
    def words(process):
        return os.pread(process.errors.fileno(), 1 << 16, 0).decode(errors="replace").strip()[-300:]

    def key(self):
        return self.place() / "key"

    # --- servers: (process, port)

    def serve_stx(self, contestant, _work, target):
        name = self.engine_with({**os.environ, **dict(contestant.environment)})
        if not name.startswith(contestant.engine):
            raise Failure(f"not to be had: wanted the engine {contestant.engine}, the program runs on {name}")
        if not self.key().exists():
            command = [self.programs / "sealine", "key", "new", "-o", self.key()]
            subprocess.run(command, check=True, capture_output=True, timeout=30)
        command = [self.programs / "sealine", "recv", "-l", "127.0.0.1:0", target, "--key", self.key(), "--once"]
        process = self.start(command, contestant)

        def port():
            return re.search(r"listening on 127\.0\.0\.1:(\d+)", self.words(process))

        wait_until(port, "sealine recv")
        return process, int(port().group(1))

    def serve_sshd(self, _contestant, _work, _target):
        place = self.place() / "ssh"
        if not place.exists():
            place.mkdir(mode=0o700)
            for name in ("host", "user"):
                command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / name]
                subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        port = free_port()
        public = (place / "host.pub").read_text()
        (place / "known").write_text(f"[127.0.0.1]:{port} {public}")
        (place / "config").write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {place}/host\n"
            f"AuthorizedKeysFile {place}/user.pub\nPidFile none\nStrictModes no\nUsePAM no\n"
            "PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n"
        )
        with contextlib.suppress(OSError):
            Path("/run/sshd").mkdir(exist_ok=True)  # where sshd parts with its privileges
        process = self.start([find_program("sshd"), "-D", "-e", "-f", place / "config"])
        wait_until(lambda: is_listening(port), "sshd")
        return process, port

    def serve_nginx(self, _contestant, work, _target):
        place = self.place() / "nginx"
        if not place.exists():
            place.mkdir()
            command = [
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", place / "key.pem", "-out", place / "cert.pem", "-days", "3", "-subj", "/CN=localhost",
                "-addext", "subjectAltName=IP:127.0.0.1",
            ]  # fmt: skip
            subprocess.run(command, check=True, capture_output=True)
        port = free_port()
        temporary = " ".join(
            f"{name}_temp_path {place}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (place / "config").write_text(
            f"daemon off; worker_processes 1; pid {place}/pid; error_log {place}/errors;"
            f"{' user root;' if os.geteuid() == 0 else ''}\n"
            "events { worker_connections 256; }\n"
            f"http {{ access_log off; sendfile on; {temporary}\n"
            f" server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {place}/cert.pem;"
            f" ssl_certificate_key {place}/key.pem; ssl_protocols TLSv1.3; root {work.source.parent}; }} }}\n"
        )
        command = [find_program("nginx"), "-e", place / "errors", "-c", place / "config"]
        process = self.start(command)
        wait_until(lambda: is_listening(port), "nginx")
        return process, port

    # --- clients

    def client(self, contestant, work, target, server):
        port = server[1] if server else 0
        source, options = work.source, contestant.options
        ssh = [
            "-F", "none", "-i", f"{self.place()}/ssh/user", "-o", f"UserKnownHostsFile={self.place()}/ssh/known",
            "-o", "LogLevel=ERROR", "-c", AES,
        ]  # fmt: skip
        recursive = ["-r"] if source.is_dir() else []
        match contestant.kind:
            case "stx":
                key = ["--key", self.key()]
                return [self.programs / "sealine", "send", source, f"127.0.0.1:{port}", *key, *options]
            case "scp":
                return ["scp", "-q", *recursive, *options, *ssh, "-P", str(port), source, f"127.0.0.1:{target}/"]
            case "sftp":
                (self.place() / "batch").write_text(f"put {source} {target}/{source.name}\n")
                return ["sftp", "-q", *ssh, "-P", str(port), "-b", f"{self.place()}/batch", "127.0.0.1"]
            case "rsync":
                shell = " ".join(["ssh", *ssh, "-p", str(port)])
                return ["rsync", "-a", "-W", "--inplace", *options, "-e", shell, source, f"127.0.0.1:{target}/"]
            case "https":
                address = f"https://127.0.0.1:{port}/{source.name}"
                certificate = f"{self.place()}/nginx/cert.pem"
                return ["curl", "-sSf", "--tlsv1.3", "--cacert", certificate, "-o", target / source.name, address]
            case "cp":
                return ["cp", *recursive, source, f"{target}/"]
        raise ValueError(contestant.kind)
