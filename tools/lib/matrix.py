#!/usr/bin/python3
"""STT over UDP on real sockets, over the 144 paths of its matrix: for tools/test --full.

    matrix.py KEPT SOURCES [ROW...]     all paths, or these rows of `tools/bench stt-udp`

One line a criterion: `ok NAME`, `not ok NAME`, `skip NAME: WHY`; they count, not the exit code. The
criteria are the goals that tools/lib/bench_udp.py has whatever the machine: what is used of a path
without losses, and with 1 % of them; two flows beside each other; ours beside QUIC. What was measured
is kept in the folder KEPT with SOURCES, a name of what was measured, so that an interrupted run goes on
where it was.

Each figure is of one run, and what else the machine does has its part in it: a row that misses a
criterion is measured a second time, and what holds then holds. Where nobody uses a path as the
criterion wants, the kernel's TCP neither, the machine does not carry it, and it is skipped.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import bench_udp

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = ROOT / "build" / "release" / "bin"
TOGETHER = ("stt-udp.fair", "stt-udp.beside-tcp")
ATTEMPTS = 2
OK, NOT_OK, SKIP = "ok", "not ok", "skip"
NOBODY = "nobody does here"


def measure(row):
    """What tools/bench says of a row."""
    command = [ROOT / "tools" / "bench", "stt-udp", "--matrix", "--json", "--bin", PROGRAMS, "--row", row]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    lines = done.stdout.splitlines()
    return json.loads(lines[-1]) if lines else {"rows": [], "ratios": []}


def nobody_reaches(result, ratio):
    """Whether the goal of a part of the rate is beyond all contestants."""
    if ratio["against"] != "rate":
        return False
    figures = {row["contestant"]: row["median"] for row in result["rows"] if "median" in row}
    best = max(figure for name, figure in figures.items() if name != "rate")
    return best < ratio["goal_any"] * figures["rate"]


def verdicts(row, result):
    """{name of a criterion: (OK, NOT_OK or SKIP, what to say)}"""
    found = {}
    for ratio in result["ratios"]:
        if ratio["goal_any"] is None:
            continue
        sign = ">=" if ratio["better"] == "higher" else "<="
        name = f"{ratio['row']} {ratio['ours']} / {ratio['against']} {sign} {ratio['goal_any']:g}"
        why = ratio.get("skipped", "")
        if why:
            found[name] = (NOT_OK if "failed: " in why else SKIP, why)
        elif not ratio["met"] and nobody_reaches(result, ratio):
            found[name] = (SKIP, f"{NOBODY}, ours {ratio['any']:.3g}")
        else:
            found[name] = (OK if ratio["met"] else NOT_OK, f"{ratio['any']:.3g}")
    return found or {row: (NOT_OK, "tools/bench says nothing of it")}


def best_of(row, result, earlier):
    """The verdicts on a row, with those of an earlier attempt where they are better."""
    found = verdicts(row, result)
    for name, verdict in earlier.items():
        if verdict[0] == OK or name not in found:
            found[name] = verdict
    return found


def any_failed(found):
    return any(kind == NOT_OK for kind, _ in found.values())


def judge(row, file, sources):
    """The verdicts on a row, from its file where that is of these sources and all of it held."""
    if file.exists():
        kept = json.loads(file.read_text())
        if kept["sources"] == sources and not any_failed(kept["verdicts"]):
            return kept["verdicts"]
    found = {}
    for _ in range(ATTEMPTS):
        found = best_of(row, measure(row), found)
        if not any(kind == NOT_OK or why.startswith(NOBODY) for kind, why in found.values()):
            break
    whole = file.with_suffix(".new")
    whole.write_text(json.dumps({"sources": sources, "verdicts": found}))
    whole.replace(file)
    return found


def main():
    kept, sources, *rows = sys.argv[1:]
    if os.geteuid() != 0:
        print("skip matrix of STT over UDP: sealine-netsim must be root")
        return 0
    rows = rows or [*TOGETHER, *map(bench_udp.cell_name, bench_udp.all_cells())]
    folder = Path(kept)
    folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        for name, (kind, figure) in judge(row, folder / f"{row}.json", sources).items():
            print(f"{kind} {name}: {figure}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
