"""The page of `sealine web` in Chromium: chat, files, a server that dies, wrong seeds, foreign origins.

The cases stand in web/page.test.mjs; each is a test here. Skipped by name without Node.js 20, Chromium, the registry
(for playwright-core, once, into the build folder), or a command that was built without its page.
"""

import re
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

import node_tools  # noqa: E402
import sealine_test as st  # noqa: E402

HERE = Path(__file__).resolve().parent / "web"
CASES = re.findall(r'^test\("(\w+)"', (HERE / "page.test.mjs").read_text(encoding="utf-8"), re.M)
LIMIT = 240.0


def has_page() -> bool:
    done = subprocess.run([str(st.SEALINE), "web", "--listen", "127.0.0.1:0", "--seed-file", "/nonexistent"],
                          capture_output=True, text=True, timeout=st.WAIT, check=False, stdin=subprocess.DEVNULL)
    return "without its page" not in done.stderr


class WebBrowser(unittest.TestCase):
    verdicts: dict[str, bool] = {}
    output = ""

    @classmethod
    def setUpClass(cls) -> None:
        st.require_binary()
        node = node_tools.require_node()
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        if chromium is None:
            raise unittest.SkipTest("no Chromium")
        if not has_page():
            raise unittest.SkipTest("sealine was built without its page")
        modules = node_tools.require_modules(HERE, "web-e2e")
        done = node_tools.run_tests(node, HERE / "page.test.mjs", limit=LIMIT, env={
            "SEALINE": str(st.SEALINE), "CHROMIUM": chromium, "WEB_MODULES": str(modules)})
        cls.output = done.stdout + done.stderr
        cls.verdicts = node_tools.verdicts(done.stdout)


def _case(name: str):
    def run(self: WebBrowser) -> None:
        self.assertTrue(self.verdicts.get(name, False), f"{name}\n{self.output[-6000:]}")
    return run


for _name in CASES:
    setattr(WebBrowser, f"test_{_name}", _case(_name))

if __name__ == "__main__":
    st.main()
