#!/usr/bin/python3
"""Code in a document is that of a file which the tests build and run.

A fenced block behind the line `<!-- example: PATH -->` holds the text of the file PATH.

    doc_examples.py           writes it there
    doc_examples.py --check   lists the blocks that differ, and fails if any does
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BLOCK = re.compile(r"(<!-- example: (\S+) -->\n+```\w*\n)(.*?)(^```$)", re.S | re.M)


def main():
    check = sys.argv[1:] == ["--check"]
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.md"],
                           cwd=ROOT, check=True, capture_output=True).stdout.decode().split("\0")
    differing = []
    for name in filter(None, names):
        path = os.path.join(ROOT, name)
        if not os.path.isfile(path):
            continue
        with open(path, encoding="utf-8") as file:
            text = file.read()

        def fill(match, name=name):
            source = os.path.join(ROOT, match[2])
            if not os.path.isfile(source):
                differing.append(f"{name}: {match[2]} is not there")
                return match[0]
            with open(source, encoding="utf-8") as file:
                code = file.read()
            if code != match[3]:
                differing.append(f"{name}: differs from {match[2]}; tools/fmt copies it")
            return match[1] + code + match[4]

        filled = BLOCK.sub(fill, text)
        if not check and filled != text:
            with open(path, "w", encoding="utf-8") as file:
                file.write(filled)
    if check:
        for line in differing:
            print(line)
        return 1 if differing else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
