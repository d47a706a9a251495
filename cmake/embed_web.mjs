// Compiles js/stt-client and web/ and writes them, with the page, its style and its icon, as one C++
// source: the table that src/cli/web_assets.hpp declares.
//
//   node embed_web.mjs SOURCE_DIR BUILD_DIR OUT.cpp
//
// BUILD_DIR holds node_modules with the compiler.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { argv, execPath, exit } from "node:process";

const [source, build, out] = argv.slice(2);
const site = join(build, "site");

function compile() {
  rmSync(site, { recursive: true, force: true });
  const compiler = join(build, "node_modules", "typescript", "bin", "tsc");
  const project = join(source, "web", "tsconfig.json");
  try {
    execFileSync(execPath, [compiler, "-p", project, "--outDir", site, "--removeComments"], {
      stdio: ["ignore", "pipe", "pipe"],
    });
  } catch (failure) {
    console.error(String(failure.stdout ?? "") + String(failure.stderr ?? failure.message));
    exit(1);
  }
}

function filesBelow(folder) {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

const types = {
  css: "text/css; charset=utf-8",
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
};

function asset(path, file) {
  const body = readFileSync(file);
  const type = types[file.split(".").at(-1)];
  return { path, type, body, etag: createHash("sha256").update(body).digest("hex").slice(0, 32) };
}

// Bytes as string literals of a length that every compiler takes; octal, so that no digit that
// follows belongs to an escape.
function literal(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 96) {
    let line = "";
    for (const byte of bytes.subarray(at, at + 96)) {
      const letter = String.fromCharCode(byte);
      const isPlain = byte >= 0x20 && byte < 0x7f && letter !== '"' && letter !== "\\" && letter !== "?";
      line += isPlain ? letter : `\\${byte.toString(8).padStart(3, "0")}`;
    }
    lines.push(`    "${line}"`);
  }
  return lines.length > 0 ? lines.join("\n") : '    ""';
}

compile();
const web = join(source, "web");
const assets = [
  asset("/", join(web, "index.html")),
  asset("/web/style.css", join(web, "style.css")),
  asset("/web/icon.svg", join(web, "icon.svg")),
  ...filesBelow(site)
    .filter((file) => file.endsWith(".js"))
    .map((file) => asset(`/${relative(site, file).replaceAll("\\", "/")}`, file)),
].sort((a, b) => (a.path < b.path ? -1 : 1));

const bodies = assets.map(({ body }, i) => `constexpr char kBody${i}[] =\n${literal(body)};\n`);
const rows = assets.map(({ path, type, body, etag }, i) => {
  const view = `std::string_view(kBody${i}, ${body.length})`;
  return `    {"${path}", "${type}", ${view}, "\\"${etag}\\""},\n`;
});
mkdirSync(dirname(out), { recursive: true });
writeFileSync(
  out,
  `// Made by cmake/embed_web.mjs of js/stt-client and web/.
#include "cli/web_assets.hpp"

#include <array>

namespace sealine::cli {
namespace {

${bodies.join("\n")}
constexpr std::array<WebAsset, ${assets.length}> kAssets{{
${rows.join("")}}};

}  // namespace

std::span<const WebAsset> web_assets() { return kAssets; }

}  // namespace sealine::cli
`,
);
