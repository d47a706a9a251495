#!/usr/bin/python3
"""Counts test cases for tools/test: what ran, failed and was skipped, by name.

    results.py ctest JUNIT GTEST_DIR OUT     a run of ctest, with the JSON files of GoogleTest
    results.py lines LOG OUT                 lines `ok NAME`, `not ok NAME`, `skip NAME: WHY`
    results.py table DIR STEP...             the table, what was skipped and what failed; last line
                                             the sum; exit code 1 if anything failed
A result file is {"passed": n, "failed": [names], "skipped": [[name, why]], "vectors": [lines],
"ran": [bare names of tests], "seconds": s}. Where all steps with tests are in the table, each test that
docs/security.md names must be among those that ran (or were skipped by name).
"""
import json
import os
import re
import sys
import xml.etree.ElementTree as ElementTree

TAIL_LINES = 60
STEPS_WITH_TESTS = {"tests", "simulation", "attacks", "whole"}


def empty():
    return {"passed": 0, "failed": [], "skipped": [], "vectors": [], "ran": [], "seconds": 0.0}


def from_gtest(program, report, text, result):
    for suite in report.get("testsuites", []):
        for case in suite.get("testsuite", []):
            name = f"{program}: {suite['name']}.{case['name']}"
            # Instances and types stand before and behind the name that is in the source.
            result["ran"] += [f"{part}.{case['name'].split('/')[0]}" for part in suite["name"].split("/")]
            if case.get("value_param"):
                name += f" ({case['value_param'][:60]})"
            if case.get("failures"):
                result["failed"].append(name)
            elif case.get("result") == "SKIPPED":
                # The reports of GoogleTest 1.12 do not say why; what it printed does.
                full_name = re.escape(f"{suite['name']}.{case['name']}")
                why = re.search(rf"^\[ RUN +\] {full_name}\n.*?: Skipped\n(.*?)\n\n?\[", text, re.M | re.S)
                result["skipped"].append([name, " ".join(why[1].split()) if why else "says nothing"])
            elif case.get("status") == "RUN":
                result["passed"] += 1


def from_unittest(program, text, result):
    """Python's unittest with -v. False if the text is not of that kind."""
    ran = re.findall(r"^Ran (\d+) tests? in", text, re.M)
    if not ran:
        return False
    counts = dict(re.findall(r"(\w+)=(\d+)", " ".join(re.findall(r"^(?:OK|FAILED) \((.*)\)$", text, re.M))))
    failed = re.findall(r"^(?:FAIL|ERROR): (.+)$", text, re.M)
    skipped = []
    name = "?"
    for line in text.splitlines():
        start = re.match(r"(\w+) \(([\w.]+)\)", line)
        if start:
            name = start[1]
        reason = re.search(r"(?:^|\.\.\. .*?)skipped (['\"])(.*)\1$", line)
        if reason:
            skipped.append([f"{program}: {name}", reason[2]])
    skip_count = int(counts.get("skipped", 0))
    # What a test printed may have torn its line apart; the number is right all the same.
    skipped = skipped[:skip_count] + [[f"{program}: a case", "see the log"]] * (skip_count - len(skipped))
    result["ran"] += sorted(set(re.findall(r"\b(test_\w+)\b", text)))
    result["failed"] += [f"{program}: {name}" for name in failed]
    result["skipped"] += skipped
    not_passed = len({" ".join(name.split()[:2]) for name in failed})
    result["passed"] += max(0, sum(map(int, ran)) - not_passed - skip_count)
    return True


def from_lines(program, text, result):
    """Lines `ok ...`, `not ok ...`, `skip NAME: WHY`. False if there is none."""
    prefix = f"{program}: " if program else ""
    found = False
    for line in text.splitlines():
        match = re.match(r"(ok|not ok|skip)\s+(.*)", line)
        if not match:
            continue
        found = True
        kind, rest = match.groups()
        if kind == "skip" or re.search(r"# skip\b", rest, re.I):
            name, _, why = re.sub(r"# skip\b:?", ":", rest, flags=re.I).partition(":")
            result["skipped"].append([prefix + name.strip(), why.strip()])
        elif kind == "ok":
            result["passed"] += 1
        else:
            result["failed"].append(prefix + rest)
    return found


def read_ctest(junit, gtest_dir):
    result = empty()
    if not os.path.exists(junit):
        result["failed"].append("ctest wrote no report")
        return result
    for case in ElementTree.parse(junit).getroot().iter("testcase"):
        name = case.get("name")
        text = case.findtext("system-out") or ""
        absent = "Unable to find executable" in text  # ctest calls that "not run"
        failed = case.get("status") == "fail" or case.find("failure") is not None or absent
        skipped = case.find("skipped") is not None or case.get("status") in ("notrun", "disabled")
        result["vectors"] += re.findall(r"^VECTORS .*$", text, re.M)
        before = len(result["failed"])
        report = os.path.join(gtest_dir, name + ".json")
        if os.path.exists(report):
            with open(report, encoding="utf-8") as file:
                from_gtest(name, json.load(file), text, result)
        elif from_unittest(name, text, result):
            pass
        elif skipped and not failed:
            why = [line for line in text.splitlines() if line.strip()]
            result["skipped"].append([name, why[-1].strip() if why else "says nothing"])
            continue
        elif not from_lines(name, text, result) and not failed:
            result["passed"] += 1
        if failed and len(result["failed"]) == before:
            result["failed"].append(f"{name}: ended badly")
        if failed:
            print(f"---- {name} failed; the end of what it said:")
            for line in text.splitlines()[-TAIL_LINES:]:
                print(f"    {line}")
    return result


def claims_without_a_run(ran):
    """What the claims of docs/security.md name and nothing ran."""
    path = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "security.md")
    with open(path, encoding="utf-8") as file:
        rows = re.findall(r"^\| (\d+) \| .+? \| .+? \| (.+?) \|$", file.read(), re.M)
    return [f"claim {row} names {name}, which did not run" for row, shown in rows
            for name in re.findall(r"`([^`]+)`", shown) if "/" not in name and name not in ran]


def table(directory, steps):
    total = empty()
    rows = []
    for step in steps:
        path = os.path.join(directory, step + ".json")
        if not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as file:
            result = json.load(file)
        ran = result["passed"] + len(result["failed"])
        verdict = "FAILED" if result["failed"] else "ok"
        rows.append((step, str(ran), str(len(result["skipped"])), f"{result['seconds']:.0f}", verdict))
        total["passed"] += result["passed"]
        total["failed"] += [f"{step}: {name}" for name in result["failed"]]
        total["skipped"] += [[f"{step}: {name}", why] for name, why in result["skipped"]]
        total["vectors"] += [line for line in result["vectors"] if line not in total["vectors"]]
        total["ran"] += result["ran"]
    if STEPS_WITH_TESTS <= set(steps):
        ran = set(total["ran"])
        for missing in claims_without_a_run(ran):
            total["failed"].append(missing)
        total["passed"] += not any(name.startswith("claim ") for name in total["failed"])
    print()
    print(f"{'step':<14}{'cases':>9}{'skipped':>9}{'seconds':>9}")
    for step, ran, skipped, seconds, verdict in rows:
        print(f"{step:<14}{ran:>9}{skipped:>9}{seconds:>9}  {verdict}")
    if total["vectors"]:
        print()
        for line in total["vectors"]:
            print(line)
    if total["skipped"]:
        print()
        for name, why in total["skipped"]:
            print(f"SKIPPED {name}: {why}")
    if total["failed"]:
        print()
        for name in total["failed"]:
            print(f"FAILED {name}")
    print()
    print(f"{total['passed']} passed, {len(total['failed'])} failed, {len(total['skipped'])} skipped")
    return 1 if total["failed"] else 0


def main():
    command, *rest = sys.argv[1:]
    if command == "table":
        return table(rest[0], rest[1:])
    if command == "ctest":
        result = read_ctest(rest[0], rest[1])
    elif command == "lines":
        result = empty()
        with open(rest[0], encoding="utf-8", errors="replace") as file:
            text = file.read()
        from_lines("", text, result)
        result["vectors"] += re.findall(r"^VECTORS .*$", text, re.M)
    else:
        sys.exit(__doc__)
    # A step may consist of several runs: they add up.
    out = rest[-1]
    if os.path.exists(out):
        with open(out, encoding="utf-8") as file:
            earlier = json.load(file)
        result["passed"] += earlier["passed"]
        for key in ("failed", "skipped", "vectors", "ran"):
            result[key] = earlier[key] + result[key]
    with open(out, "w", encoding="utf-8") as file:
        json.dump(result, file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
