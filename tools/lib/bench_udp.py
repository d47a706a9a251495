"""The rows of `tools/bench stt-udp`: STT over UDP against QUIC (ngtcp2; msquic where it is installed), TLS 1.3 and TCP.

On loopback every datagram has 1472 bytes. Over a path (sealine-netsim) a run sends without end, and what arrives in a
while counts, once the beginning is over."""

import re
import socket
import subprocess

from bench_model import (
    CPU,
    GROWTH_BYTES,
    ROUND_TRIP,
    THROUGHPUT,
    Contestant,
    Failure,
    Goal,
    Metric,
    Path,
    Row,
    growing,
    growth_goals,
    with_arguments,
)

IPSEC_MB = (("SEALINE_CRYPTO", "ipsec-mb"),)
STT = Contestant("stt", ("udp=1",), IPSEC_MB, "ipsec-mb")
STT_OPENSSL = Contestant("stt", ("udp=1",), (("SEALINE_CRYPTO", "openssl"),), "openssl")
QUIC = Contestant("quic")
MSQUIC = Contestant("msquic")
TLS13 = Contestant("tls13")
TCP = Contestant("tcp")
OURS = {"stt": STT, "stt-openssl": STT_OPENSSL}

WAN = Path(200, 50, 0.01, 2)
SHARED = Path(50, 20)  # by two flows
RATES_MBIT = (10, 100, 1000)
ROUND_TRIPS_MS = (2, 20, 100, 300)
LOSSES = (0, 0.001, 0.01, 0.03)
QUEUES = (0.25, 1, 4)
ALWAYS = (Path(100, 20), Path(100, 20, 0.01))  # of the matrix, without --matrix too
SECNETPERF = "secnetperf"  # msquic's own program for such figures
SECNETPERF_S = 1
LEAST_WINDOW_BYTES = 4 << 20
WRITE_BYTES = 16 << 10  # one that waits long for a slow path holds up nothing


def datagrams_per_s(servers, _clients):
    if any("datagrams" not in report for report in servers):
        return None
    return sum(report["datagrams"] for report in servers) / max(report["seconds"] for report in servers)


def goodput(servers, _clients):
    return sum(report["bytes"] / report["seconds"] for report in servers)


def share(servers, _clients):
    """The first flow's beside the second's."""
    ours, theirs = (report["bytes"] / report["seconds"] for report in servers)
    return ours / theirs


def jain(servers, _clients):
    """1: all flows get the same; 1/n: one gets all."""
    rates = [report["bytes"] / report["seconds"] for report in servers]
    return sum(rates) ** 2 / (len(rates) * sum(rate * rate for rate in rates))


def run_msquic(cores):
    """Bulk on loopback; it tells neither CPU time nor datagrams."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serve = ["taskset", "-c", str(cores[1]), SECNETPERF, f"-bind:127.0.0.1:{port}", "-exec:maxtput"]
    ask = ["taskset", "-c", str(cores[0]), SECNETPERF, "-target:127.0.0.1", f"-port:{port}", "-exec:maxtput",
           f"-upload:{SECNETPERF_S}s", "-ptput:1"]  # fmt: skip
    server = subprocess.Popen(serve, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        server.stdout.readline()  # it says that it has started
        client = subprocess.run(ask, capture_output=True, text=True, timeout=30)
    except subprocess.TimeoutExpired:
        raise Failure(f"{SECNETPERF} did not end") from None
    finally:
        server.kill()
        server.communicate()
    result = re.search(r"Result: .*?(\d+) bytes @ (\d+) kbps", client.stdout)
    if client.returncode != 0 or result is None:
        raise Failure(f"{SECNETPERF}: {(client.stdout + client.stderr).strip()[-200:]}")
    report = {"bytes": int(result[1]), "seconds": int(result[1]) * 8 / (int(result[2]) * 1e3)}
    return [report], [report]


def over(path, contestant, congestion):
    """The contestant with a congestion control, and room for what the path holds."""
    arguments = [f"cc={congestion}"]
    if contestant.program != "tcp":
        arguments.append(f"window={max(LEAST_WINDOW_BYTES, int(2 * (1 + path.queue) * path.bytes_on_the_way))}")
    return with_arguments(contestant, *arguments)


def path_arguments(settle_s, time_s):
    return ("work=path", f"size={WRITE_BYTES}", f"settle={settle_s:g}", f"seconds={time_s:g}")


def cell_name(path):
    loss = f"{path.loss * 100:g}pct".replace(".", "_") if path.loss else "0"
    queue = f"{path.queue:g}bdp".replace(".", "_")
    return f"stt-udp.path.{path.rate_mbit:g}m.{path.round_trip_ms:g}ms.{loss}.{queue}"


def cell_row(path):
    settle_s = max(1, 20 * path.round_trip_ms / 1e3)
    contestants = {
        "stt": over(path, STT, "cubic"),
        "stt-bbr": over(path, STT, "bbr"),
        "quic": over(path, QUIC, "cubic"),
        "quic-bbr": over(path, QUIC, "bbr"),
        "tcp": over(path, TCP, "cubic"),
        "tcp-bbr": over(path, TCP, "bbr"),
        "rate": Contestant("", fixed=path.rate_mbit * 1e6 / 8),
    }
    arguments = path_arguments(settle_s, 2 * settle_s)
    return Row(cell_name(path), contestants, arguments, Metric("B/s", goodput), path=path, rounds=1)


def cell_goals(path):
    name = cell_name(path)
    goals = [
        Goal(name, "stt", "quic", None, 0.9),
        Goal(name, "stt-bbr", "quic-bbr", None, 0.9),
        Goal(name, "stt", "tcp"),
        Goal(name, "stt-bbr", "tcp-bbr"),
    ]
    if path.loss == 0:
        goals.append(Goal(name, "stt", "rate", None, 0.9))
    if path.loss <= 0.01:
        goals.append(Goal(name, "stt-bbr", "rate", None, 0.9 if path.loss == 0 else 0.8))
    return goals


def all_cells():
    return [
        Path(rate, round_trip, loss, queue)
        for rate in RATES_MBIT
        for round_trip in ROUND_TRIPS_MS
        for loss in LOSSES
        for queue in QUEUES
    ]


def stt_udp_rows(matrix):
    rows = []
    views = (("stt-udp.datagrams", Metric("1/s", datagrams_per_s)), ("stt-udp.cpu", CPU))
    everyone = {**OURS, "quic": QUIC, "msquic": MSQUIC, "tls13": TLS13}
    rows.append(Row("stt-udp.bulk", everyone, ("work=bulk", f"size={64 << 10}"), THROUGHPUT, views=views))

    contestants = {**OURS, "quic": QUIC, "tcp": TCP, "tls13": TLS13}
    rows.append(Row("stt-udp.rtt.64", contestants, ("work=round-trips", "size=64"), ROUND_TRIP))

    sessions = {name: with_arguments(program, "session=1") for name, program in OURS.items()}
    arguments = ("work=growth", f"bytes={GROWTH_BYTES}")
    rows.append(Row("stt-udp.growth", growing(sessions, matrix), arguments, CPU))

    contestants = {
        "stt-bbr": over(WAN, STT, "bbr"),
        "stt": over(WAN, STT, "cubic"),
        "quic-bbr": over(WAN, QUIC, "bbr"),
        "quic-bbr2": over(WAN, QUIC, "bbr2"),
        "tcp-bbr": over(WAN, TCP, "bbr"),
    }
    rows.append(Row("stt-udp.wan", contestants, path_arguments(1, 4), Metric("B/s", goodput), path=WAN))

    # Two flows at once, from the same beginning.
    arguments = path_arguments(5, 10)
    contestants = {
        "stt": over(SHARED, STT, "cubic"),
        "tcp": over(SHARED, TCP, "cubic"),
        "equal": Contestant("", fixed=1.0),
    }
    rows.append(Row("stt-udp.fair", contestants, arguments, Metric("ratio", jain), 2, path=SHARED, rounds=2))
    beside = over(SHARED, STT, "cubic")
    rival = over(SHARED, TCP, "cubic")
    contestants = {
        "stt": Contestant(beside.program, beside.arguments, beside.environment, beside.engine, rival=rival),
        "equal": Contestant("", fixed=1.0),
    }
    rows.append(Row("stt-udp.beside-tcp", contestants, arguments, Metric("ratio", share), 2, path=SHARED, rounds=2))

    rows += [cell_row(path) for path in (all_cells() if matrix else ALWAYS)]
    return rows


def stt_udp_goals():
    goals = [
        Goal("stt-udp.bulk", "stt", "quic", 2.5, 2),
        Goal("stt-udp.bulk", "stt-openssl", "quic", None, 1.2),
        Goal("stt-udp.bulk", "stt", "msquic"),
        Goal("stt-udp.bulk", "stt", "tls13", 1.6, 1.2),
        Goal("stt-udp.datagrams", "stt", "quic"),
        Goal("stt-udp.cpu", "stt", "quic", better="lower"),
        Goal("stt-udp.cpu", "stt", "tls13", better="lower"),
        Goal("stt-udp.rtt.64", "stt", "quic", 0.5, 0.5, "lower"),
        Goal("stt-udp.rtt.64", "stt", "tcp", 2, 2, "lower"),
        Goal("stt-udp.wan", "stt-bbr", "tcp-bbr", 1.0, 1.0),
        Goal("stt-udp.wan", "stt-bbr", "quic-bbr", 1.35, 1.35),
        Goal("stt-udp.wan", "stt-bbr", "quic-bbr2"),
        Goal("stt-udp.fair", "stt", "equal", None, 0.95),
        Goal("stt-udp.beside-tcp", "stt", "equal", None, 0.5),
        Goal("stt-udp.beside-tcp", "stt", "equal", None, 2, "lower"),
    ]
    for path in all_cells():
        goals += cell_goals(path)
    return goals + growth_goals("stt-udp.growth", OURS)
