"""The figures of tools/coverage, out of what `llvm-cov export` writes.

A branch is one way out of a condition or a case. Not counted, as no test can take them: the way of
SEALINE_ASSERT that ends the process, the way past a switch that names every enumerator (the
compiler sees to that), and what the compiler itself writes for `= default`.
"""

import argparse
import collections
import functools
import json
import pathlib
import re
import sys

LINES_WANTED = 95.0
BRANCHES_WANTED = 90.0
UNGATED_LAYERS = ("io", "cli")
ROOT = pathlib.Path(__file__).resolve().parents[2]
LAYER = re.compile(r"/(?:src|include/sealine)/([a-z]+)/")
EXPANSION, CASE_OR_CONDITION = 1, 4


@functools.cache
def source(path):
    return dict(enumerate(pathlib.Path(path).read_text(encoding="utf-8").splitlines(), 1))


def is_no_choice(path, line, column):
    text = source(path).get(line, "")  # nothing, if the file was changed since
    before, after = text[: column - 1], text[column - 1 :]
    return after.startswith("SEALINE_ASSERT(") or before.endswith("switch (") or text.endswith("= default;")


def written_at(function, file_id, line, column):
    """Where the reader finds it: a region inside a macro stands where the macro is used."""
    inner = None
    while True:
        use = next((r for r in function["regions"] if r[7] == EXPANSION and r[6] == file_id), None)
        if use is None:
            return (function["filenames"][file_id], line, column), inner
        inner = inner or (line, column)
        file_id, line, column = use[5], use[0], use[1]


def branches_of(functions):
    """{path: {(line, column, where in a macro): [times true, times false]}}, of all copies of a template."""
    found = collections.defaultdict(lambda: collections.defaultdict(lambda: [0, 0]))
    for function in functions:
        for line, column, _, _, taken, not_taken, file_id, _, kind in function["branches"]:
            place, inner = written_at(function, file_id, line, column)
            if kind != CASE_OR_CONDITION or not LAYER.search(place[0]) or is_no_choice(*place):
                continue
            counts = found[place[0]][(*place[1:], inner)]
            counts[0] += taken
            counts[1] += not_taken
    return found


def lines_of(segments):
    """{line: times run} of the lines that hold code; the rule is llvm-cov's own."""
    by_line = collections.defaultdict(list)
    for line, _, count, has_count, is_entry, is_gap in segments:
        by_line[line].append((count, has_count, is_entry, is_gap))
    lines, around = {}, (0, False, False, False)
    for line in range(min(by_line), max(by_line) + 1) if by_line else ():
        here = by_line.get(line, [])
        starts = [count for count, has_count, is_entry, is_gap in here if has_count and is_entry and not is_gap]
        skipped = bool(here) and not here[0][1] and here[0][2]
        entered = any(has_count and is_entry for _, has_count, is_entry, _ in here)
        if entered or (not skipped and (around[1] or starts)):
            lines[line] = max([around[0], *starts])
        if here:
            around = here[-1]
    return lines


def missing_ways(counts):
    taken, not_taken = counts
    if not taken and not not_taken:
        return "neither true nor false"
    return "never true" if not taken else "never false"


def show_missing(path, lines, branches):
    notes = collections.defaultdict(list)
    for line, count in lines.items():
        if count == 0:
            notes[line].append("not run")
    for (line, _, _), counts in sorted(branches.items(), key=lambda branch: branch[0][:2]):
        if 0 in counts and lines.get(line) != 0:
            notes[line].append(missing_ways(counts))
    if notes:
        print(path.removeprefix(f"{ROOT}/"))
    for line in sorted(notes):
        print(f"{line:>6}  {', '.join(dict.fromkeys(notes[line])):<24}{source(path).get(line, '')}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("export", type=pathlib.Path)
    parser.add_argument("--gate", action="store_true")
    parser.add_argument("--files", nargs="*", default=[], type=pathlib.Path)
    args = parser.parse_args()
    data = json.loads(args.export.read_text(encoding="utf-8"))["data"][0]
    branches = branches_of(data["functions"])
    lines = {f["filename"]: lines_of(f["segments"]) for f in data["files"] if LAYER.search(f["filename"])}
    measured = (args.export.parent / "measured").stat().st_mtime
    if changed := [path for path in lines if pathlib.Path(path).stat().st_mtime > measured]:
        print("changed since it was measured:", *(path.removeprefix(f"{ROOT}/") for path in sorted(changed)))
    if args.files:
        for asked in args.files:
            for path in sorted(path for path in lines if pathlib.Path(path).is_relative_to(asked.resolve())):
                show_missing(path, lines[path], branches.get(path, {}))
        return 0

    layers = collections.defaultdict(lambda: [0, 0, 0, 0])
    for path in lines:
        row = layers[LAYER.search(path)[1]]
        row[0] += sum(count > 0 for count in lines[path].values())
        row[1] += len(lines[path])
        row[2] += sum(count > 0 for counts in branches[path].values() for count in counts)
        row[3] += 2 * len(branches[path])
    low = []
    print(f"{'layer':<12}{'lines':>8}{'not run':>12}   {'branches':>8}{'not taken':>12}")
    for layer, (run, of_lines, taken, of_branches) in sorted(layers.items()):
        line_rate = 100 * run / max(1, of_lines)
        branch_rate = 100 * taken / of_branches if of_branches else 100.0
        print(
            f"{layer:<12}{line_rate:>6.1f} %{of_lines - run:>5} of{of_lines:>5}"
            f"   {branch_rate:>6.1f} %{of_branches - taken:>5} of{of_branches:>5}"
        )
        if layer not in UNGATED_LAYERS and (line_rate < LINES_WANTED or branch_rate < BRANCHES_WANTED):
            low.append(layer)
    if low:
        print(f"below {LINES_WANTED:.0f} % of lines or {BRANCHES_WANTED:.0f} % of branches: {' '.join(low)}")
    return 1 if low and args.gate else 0


sys.exit(main())
