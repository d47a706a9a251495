"""What `tools/bench` measures: contestants, the figures of their runs, the rows they meet in, and the goals."""

from dataclasses import dataclass

GROWTH_CONNECTIONS = (1, 1000)
GROWTH_BYTES = 1 << 30
LEAST_QUEUE_BYTES = 2 * 1500  # two packets: less is no queue


class Failure(Exception):
    """A contestant that did not do what its name says."""


@dataclass(frozen=True)
class Contestant:
    """A program and the settings that make it this contestant."""

    program: str
    arguments: tuple = ()
    environment: tuple = ()
    engine: str = ""  # what the engine's name must begin with
    fixed: float | None = None  # no program: this figure
    rival: "Contestant | None" = None  # takes the second place of each two pairs


@dataclass(frozen=True)
class Metric:
    """One figure of a run, from what its servers and clients reported; None: they do not tell."""

    unit: str
    value: object


def moved_bytes(servers, clients):
    received = sum(report["bytes"] for report in servers)
    sent = sum(report["bytes"] for report in clients)
    if received != sent:
        raise Failure(f"{sent} bytes were sent, {received} received")
    return received


def bytes_per_s(servers, clients):
    return moved_bytes(servers, clients) / max(report["seconds"] for report in servers)


def cpu_s_per_gb(servers, clients):
    if any("cpu_s" not in report for report in servers + clients):
        return None
    used = sum(report["cpu_s"] for report in servers + clients)
    return used / moved_bytes(servers, clients) * 1e9


def per_message(size):
    return Metric("1/s", lambda servers, clients: bytes_per_s(servers, clients) / size)


THROUGHPUT = Metric("B/s", bytes_per_s)
CPU = Metric("s/GB", cpu_s_per_gb)
ROUND_TRIP = Metric("s", lambda servers, clients: clients[0]["round_trip_s"])


@dataclass(frozen=True)
class Path:
    """What sealine-netsim puts between the two ends, both ways alike."""

    rate_mbit: float
    round_trip_ms: float
    loss: float = 0
    queue: float = 1  # of bandwidth times round trip

    @property
    def bytes_on_the_way(self):
        return int(self.rate_mbit * 1e6 / 8 * self.round_trip_ms / 1e3)

    def arguments(self, seed):
        return (
            f"rate_mbit={self.rate_mbit:g}",
            f"delay_ms={self.round_trip_ms / 2:g}",
            f"loss={self.loss:g}",
            f"queue_bytes={max(LEAST_QUEUE_BYTES, int(self.queue * self.bytes_on_the_way))}",
            f"seed={seed}",
        )


@dataclass(frozen=True)
class Row:
    """Contestants that do the same work; `views` are figures of the same runs under other names."""

    name: str
    contestants: dict
    arguments: tuple
    metric: Metric
    pairs: int = 1
    views: tuple = ()
    path: Path | None = None  # none: loopback
    rounds: int | None = None  # no more than that


@dataclass(frozen=True)
class Goal:
    row: str
    ours: str
    against: str
    fast: float | None = None
    any: float | None = None
    better: str = "higher"


def size_name(size):
    for unit, name in ((1 << 20, "m"), (1 << 10, "k")):
        if size % unit == 0:
            return f"{size // unit}{name}"
    return str(size)


def with_arguments(contestant, *arguments):
    return Contestant(
        contestant.program, contestant.arguments + arguments, contestant.environment, contestant.engine
    )


def growing(ours, matrix):
    """The contestants of a row of growth: each with few connections and with many."""
    contestants = {}
    for name, program in ours.items():
        for count in (1, 10, 100, 1000) if matrix else GROWTH_CONNECTIONS:
            label = name if count == max(GROWTH_CONNECTIONS) else f"{name}@{count}"
            contestants[label] = with_arguments(program, f"connections={count}")
    return contestants


def growth_goals(row, ours):
    first = min(GROWTH_CONNECTIONS)
    return [Goal(row, name, f"{name}@{first}", 1.2, 1.2, "lower") for name in ours]
