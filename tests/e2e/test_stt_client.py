"""js/stt-client: its own tests, and its package as a stranger would use it.

Skipped by name without Node.js 20, or without the registry (for the TypeScript compiler, once, into the build folder).
"""

import json
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

import node_tools  # noqa: E402
import sealine_test as st  # noqa: E402

CLIENT = st.SOURCE / "js" / "stt-client"
USER = """import { connect, SttError, tlv, type SttSession } from "stt-client";
export async function talk(url: string, seed: string): Promise<number> {
  const session: SttSession = await connect(url, { seed, padding: "full" });
  const stream = session.openStream({ mode: "unordered" });
  await stream.writable.getWriter().write(tlv.encode(tlv.text("hello")));
  const end = await session.closed;
  if (end.error instanceof SttError && end.error.code === "truncated") return 1;
  return end.code;
}
"""


class SttClient(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.node = node_tools.require_node()
        cls.modules = node_tools.require_modules(CLIENT, "stt-client")

    def compile(self, *argv: str, folder: Path) -> None:
        compiler = self.modules / "node_modules" / "typescript" / "bin" / "tsc"
        done = subprocess.run([self.node, str(compiler), *argv], cwd=folder, capture_output=True, text=True,
                              timeout=180, check=False)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)

    def test_codecs_handshake_and_sessions(self) -> None:
        out = st.temporary_directory(self)
        self.compile("-p", str(CLIENT / "tsconfig.test.json"), "--outDir", str(out), "--typeRoots",
                     str(self.modules / "node_modules" / "@types"), folder=CLIENT)
        shutil.copyfile(CLIENT / "package.json", out / "package.json")
        vectors = st.own_vectors("stt.json")
        assert vectors is not None
        done = node_tools.run_tests(self.node, *sorted((out / "test").glob("*.test.js")), limit=120.0,
                                    env={"STT_VECTORS": str(vectors)})
        verdicts = node_tools.verdicts(done.stdout)
        self.assertEqual(0, done.returncode, done.stdout[-6000:] + done.stderr)
        self.assertGreater(len(verdicts), 55)
        self.assertNotIn(False, verdicts.values())

    def test_a_package_that_a_stranger_installs(self) -> None:
        work = st.temporary_directory(self)
        package = work / "package"
        package.mkdir()
        for name in ("package.json", "README.md", "tsconfig.json"):
            shutil.copyfile(CLIENT / name, package / name)
        shutil.copytree(CLIENT / "src", package / "src")
        self.compile("-p", ".", folder=package)
        packed = node_tools.npm("pack", "--json", folder=package)
        self.assertEqual(0, packed.returncode, packed.stderr)
        listed = json.loads(packed.stdout)[0]
        names = {file["path"] for file in listed["files"]}
        self.assertTrue({"package.json", "README.md", "dist/index.js", "dist/index.d.ts", "dist/worker.js"} <= names)
        self.assertFalse([name for name in names if name.startswith(("src/", "test/")) or "node_modules" in name])

        user = work / "user"
        user.mkdir()
        (user / "package.json").write_text('{"name":"user","private":true,"type":"module"}', encoding="ascii")
        (user / "use.ts").write_text(USER, encoding="ascii")
        installed = node_tools.npm("install", "--offline", "--ignore-scripts", "--no-audit", "--no-fund",
                                   str(package / listed["filename"]), folder=user)
        self.assertEqual(0, installed.returncode, installed.stderr)
        self.assertEqual(["stt-client"], [p.name for p in (user / "node_modules").iterdir() if p.name[0] != "."])
        self.compile("--noEmit", "--strict", "--target", "ES2022", "--module", "NodeNext", "use.ts",
                     folder=user)
        code = "import('stt-client').then((m) => console.log(Object.keys(m).sort().join()))"
        ran = subprocess.run([self.node, "-e", code], cwd=user, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual("SttError,SttSession,SttStream,connect,tlv", ran.stdout.strip(), ran.stderr)


if __name__ == "__main__":
    st.main()
