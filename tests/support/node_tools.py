"""Tests that run on Node.js: where it is, what the lockfiles name, and what `node --test` said."""

import hashlib
import os
import re
import shutil
import subprocess
import unittest
from pathlib import Path

import sealine_test as st

OLDEST = 20


def require_node() -> str:
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        raise unittest.SkipTest("no Node.js with npm")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=st.WAIT, check=True).stdout
    if int(version.lstrip("v").split(".")[0]) < OLDEST:
        raise unittest.SkipTest(f"Node.js is {version.strip()}, {OLDEST} is needed")
    return node


def build_folder() -> Path:
    """The build folder of the binaries under test: nothing is installed into the source."""
    return st.binaries().parent


def require_modules(source: Path, name: str) -> Path:
    """A folder beside the binaries whose node_modules is what the lockfile in `source` names."""
    folder = build_folder() / "node" / name
    lock = (source / "package-lock.json").read_bytes()
    stamp = folder / "node_modules" / ".sealine"
    wanted = hashlib.sha256(lock).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("package.json", "package-lock.json"):
        shutil.copyfile(source / file, folder / file)
    done = npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1",
               "--fetch-timeout=20000", folder=folder)
    if done.returncode != 0:
        raise unittest.SkipTest("npm could not fetch what package-lock.json names: " + done.stderr[-300:])
    stamp.write_text(wanted, encoding="ascii")
    return folder


def npm(*argv: str, folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run(["npm", *argv], cwd=folder, capture_output=True, text=True, timeout=180, check=False)


def run_tests(node: str, *files: Path, limit: float, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    """`node --test` of these files, as TAP."""
    argv = [node, "--test", "--test-reporter=tap", f"--test-timeout={int(limit * 1000)}", *map(str, files)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=limit + st.WAIT, check=False,
                          env={**os.environ, **(env or {})})


def verdicts(tap: str) -> dict[str, bool]:
    """What became of each test, by its name."""
    found = re.findall(r"^ *(not ok|ok) \d+ - (.+?)(?: # .*)?$", tap, re.M)
    return {name: verdict == "ok" for verdict, name in found}
