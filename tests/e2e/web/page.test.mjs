// The page of `sealine web` in a real browser, against the real command.
//
//   SEALINE        the command            CHROMIUM   the browser
//   WEB_MODULES    a folder whose node_modules holds playwright-core
//   WEB_PICTURES   a folder for pictures of the page; without it none are taken
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { createReadStream, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { env } from "node:process";
import { after, before, test } from "node:test";

const { chromium } = createRequire(join(env.WEB_MODULES, "package.json"))("playwright-core");
const wait = 60_000; // bounds a wait, measures nothing
const work = mkdtempSync(join(tmpdir(), "sealine-web-"));
const profile = join(work, "profile");
const landing = join(work, "landing");
const seedFile = join(work, "seed");
const fileBytes = 50_000_000;
let context;
let server;
let seed;

/** `sealine web`, and what it says. */
class Server {
  static async start(port = 0, seeds = seedFile) {
    const made = new Server();
    const argv = ["web", "--listen", `127.0.0.1:${port}`, "--seed-file", seeds, "--dir", landing];
    made.process = spawn(env.SEALINE, argv, {
      env: { ...env, SEALINE_STATE_DIR: join(work, "state"), NO_COLOR: "1" },
    });
    made.process.stdout.on("data", (bytes) => made.#heard(bytes, "out"));
    made.process.stderr.on("data", (bytes) => made.#heard(bytes, "err"));
    const line = await made.says(/listening on 127\.0\.0\.1:(\d+)/, "err");
    made.port = Number(line[1]);
    return made;
  }

  out = "";
  err = "";
  #waiting = [];

  get url() {
    return `http://127.0.0.1:${this.port}/`;
  }

  #heard(bytes, where) {
    this[where] += bytes;
    this.#waiting = this.#waiting.filter((look) => !look());
  }

  /** Until standard output or error has it. */
  says(pattern, where = "out") {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`not said: ${pattern}\n${this.out}\n${this.err}`)),
        wait,
      );
      const look = () => {
        const found = pattern.exec(this[where]);
        if (found === null) return false;
        clearTimeout(timer);
        resolve(found);
        return true;
      };
      if (!look()) this.#waiting.push(look);
    });
  }

  type(line) {
    this.process.stdin.write(`${line}\n`);
  }

  async stop(signal = "SIGKILL") {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const gone = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.kill(signal);
    await gone;
  }
}

function sha256(path) {
  return new Promise((resolve, reject) => {
    const hash = createHash("sha256");
    createReadStream(path)
      .on("data", (bytes) => hash.update(bytes))
      .on("error", reject)
      .on("end", () => resolve(hash.digest("hex")));
  });
}

/** A page, and what went wrong in it that nobody sees. */
async function openPage(url = server.url, how = {}) {
  const page = await context.newPage();
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(String(error)));
  page.on("console", (message) => {
    if (/Content Security|Refused to/.test(message.text())) page.faults.push(message.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(server.url) && !request.url().startsWith("blob:")) {
      page.faults.push(`asked elsewhere: ${request.url()}`);
    }
  });
  page.setDefaultTimeout(wait);
  if (how.size !== undefined) await page.setViewportSize(how.size);
  if (how.scheme !== undefined) await page.emulateMedia({ colorScheme: how.scheme });
  await page.goto(url);
  return page;
}

async function enter(page, text = seed) {
  await page.getByLabel("Seed", { exact: true }).fill(text);
  await page.keyboard.press("Enter");
  await page.locator("body[data-link=online]").waitFor();
}

async function say(page, text) {
  await page.getByLabel("Message").fill(text);
  await page.keyboard.press("Enter");
}

async function leave(page) {
  assert.deepEqual(page.faults, []);
  await page.close();
}

before(async () => {
  mkdirSync(landing, { recursive: true });
  execFileSync(env.SEALINE, ["key", "new", "--psk", "-o", seedFile]);
  seed = execFileSync("cat", [seedFile], { encoding: "utf8" }).match(/sls1[a-z2-7]{56}/)[0];
  server = await Server.start();
  context = await chromium.launchPersistentContext(profile, {
    executablePath: env.CHROMIUM,
    headless: true,
    acceptDownloads: true,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
});

after(async () => {
  await context?.close();
  await server?.stop();
  rmSync(work, { recursive: true, force: true });
});

test("chat_goes_both_ways", async () => {
  const page = await openPage();
  await enter(page);
  await say(page, "from the page: äöü 🦭");
  await server.says(/from the page: äöü 🦭\n/);
  server.type("from the command line <b>not bold</b>");
  await page.getByText("from the command line <b>not bold</b>").waitFor();
  await page.getByText("from the page: äöü 🦭").waitFor();
  // Shift and Enter is a new line, of the same message.
  await page.getByLabel("Message").fill("one");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("two");
  await page.keyboard.press("Enter");
  await server.says(/one\ntwo\n/);
  await leave(page);
});

test("a_seed_behind_the_hash_connects_and_leaves_the_address", async () => {
  const page = await openPage(`${server.url}#${seed}`);
  await page.locator("body[data-link=online]").waitFor();
  assert.equal(page.url(), server.url);
  await page.reload(); // the tab remembers it
  await page.locator("body[data-link=online]").waitFor();
  await page.locator("#pill").click();
  await page.getByRole("button", { name: "Disconnect" }).click();
  await page.getByLabel("Seed", { exact: true }).waitFor();
  await page.reload();
  await page.getByLabel("Seed", { exact: true }).waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length + localStorage.length), 0);
  await leave(page);
});

test("a_wrong_seed_is_a_visible_error", async () => {
  const other = join(work, "other");
  execFileSync(env.SEALINE, ["key", "new", "--psk", "-o", other]);
  const wrong = execFileSync("cat", [other], { encoding: "utf8" }).match(/sls1[a-z2-7]{56}/)[0];
  const page = await openPage();
  await page.getByLabel("Seed", { exact: true }).fill(wrong);
  await page.keyboard.press("Enter");
  await page.getByRole("alert").filter({ hasText: "Wrong seed" }).waitFor();
  for (const [text, said] of [
    ["sls1nonsense", "60 characters"],
    [`${seed.slice(0, 30)}${seed[30] === "a" ? "b" : "a"}${seed.slice(31)}`, "mistyped"],
    ["", "Type or paste"],
  ]) {
    await page.getByLabel("Seed", { exact: true }).fill(text);
    await page.keyboard.press("Enter");
    await page.getByRole("alert").filter({ hasText: said }).waitFor();
  }
  await enter(page); // and the right one after all
  await leave(page);
});

test("fifty_megabytes_both_ways_with_their_hash", async () => {
  const page = await openPage();
  await enter(page);
  const up = join(work, "up.bin");
  writeFileSync(up, randomBytes(fileBytes));
  await page.locator("#file-input").setInputFiles(up);
  const sent = page.locator("li.transfer", { hasText: "up.bin" });
  await sent.filter({ hasText: "delivered, SHA-256 proved" }).waitFor();
  assert.deepEqual(readdirSync(landing), ["up.bin"]);
  assert.equal(await sha256(join(landing, "up.bin")), await sha256(up));

  const down = join(work, "down.bin");
  writeFileSync(down, randomBytes(fileBytes));
  server.type(`/send ${down}`);
  const got = page.locator("li.transfer", { hasText: "down.bin" });
  await got.filter({ hasText: "received, SHA-256 proved" }).waitFor();
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    got.getByRole("link", { name: "Save down.bin" }).click(),
  ]);
  assert.equal(download.suggestedFilename(), "down.bin");
  assert.equal(await sha256(await download.path()), await sha256(down));
  await server.says(/sent .*down\.bin.* proved/, "err");
  await leave(page);
});

test("empty_and_many_files", async () => {
  const page = await openPage();
  await enter(page);
  const paths = Array.from({ length: 12 }, (_, i) => {
    const path = join(work, `many ${i}.txt`);
    writeFileSync(path, "x".repeat(i * 1000)); // the first is empty
    return path;
  });
  await page.locator("#file-input").setInputFiles(paths);
  await page.locator("li.transfer[data-phase=done]").nth(11).waitFor();
  const landed = readdirSync(landing).filter((name) => name.startsWith("many"));
  assert.equal(landed.length, 12);
  for (const path of paths) server.type(`/send ${path}`);
  await page.locator("li.transfer[data-phase=done]").nth(23).waitFor();
  await leave(page);
});

test("a_second_tab_is_a_second_session", async () => {
  const first = await openPage();
  await enter(first);
  const second = await openPage();
  await enter(second);
  server.type("to both of you");
  await first.getByText("to both of you").waitFor();
  await second.getByText("to both of you").waitFor();
  await leave(first);
  await say(second, "still here");
  await server.says(/still here\n/);
  await leave(second);
});

test("the_server_dies_and_comes_back_and_so_does_the_page", async () => {
  const page = await openPage();
  await enter(page);
  const { port } = server;
  await server.stop("SIGKILL");
  await page.locator("#banner").waitFor();
  await page.getByText("Trying again").waitFor();
  assert.equal(await page.locator("#send").isDisabled(), true);
  server = await Server.start(port);
  await page.locator("body[data-link=online]").waitFor();
  await page.getByText("Back, in a new session").waitFor();
  await say(page, "after the storm");
  await server.says(/after the storm\n/);
  await leave(page);
});

test("a_file_that_is_cut_off_says_so_and_can_be_sent_again", async () => {
  const page = await openPage();
  await enter(page);
  const path = join(work, "cut.bin");
  writeFileSync(path, randomBytes(fileBytes));
  await page.locator("#file-input").setInputFiles(path);
  const row = page.locator("li.transfer", { hasText: "cut.bin" });
  await row.waitFor();
  const { port } = server;
  await server.stop("SIGKILL");
  await row.filter({ hasText: "connection was lost" }).waitFor();
  server = await Server.start(port);
  await page.locator("body[data-link=online]").waitFor();
  await row.getByRole("button", { name: "again" }).click();
  await page.locator("li.transfer[data-phase=done]", { hasText: "cut.bin" }).waitFor();
  assert.equal(await sha256(join(landing, "cut.bin")), await sha256(path));
  await leave(page);
});

test("a_foreign_origin_is_refused", async () => {
  const foreign = createServer((_, response) => response.end("<!doctype html><title>x</title>"));
  await new Promise((resolve) => foreign.listen(0, "127.0.0.1", resolve));
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${foreign.address().port}/`);
  const code = await page.evaluate(
    (url) =>
      new Promise((resolve) => {
        const socket = new WebSocket(url, "stt.v1");
        socket.onopen = () => resolve("open");
        socket.onclose = (event) => resolve(event.code);
      }),
    `ws://127.0.0.1:${server.port}/stt`,
  );
  assert.equal(code, 1006);
  await page.close();
  foreign.close();

  const answer = await new Promise((resolve, reject) => {
    const socket = connect(server.port, "127.0.0.1", () => {
      socket.write(
        `GET /stt HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nUpgrade: websocket\r\n` +
          "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nOrigin: http://evil.example\r\n" +
          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
      );
    });
    socket.once("data", (bytes) => resolve(String(bytes)));
    socket.once("error", reject);
  });
  assert.match(answer, /^HTTP\/1\.1 403 /);
});

test("the_page_is_usable_by_keyboard_and_fits_a_phone", async () => {
  for (const scheme of ["light", "dark"]) {
    for (const width of [1280, 390]) {
      const size = { width, height: width === 390 ? 844 : 800 };
      const page = await openPage(server.url, { size, scheme });
      await page.getByLabel("Seed", { exact: true }).fill("sls1nonsense");
      await page.keyboard.press("Enter");
      await page.getByRole("alert").filter({ hasText: "characters" }).waitFor();
      await picture(page, `gate-${scheme}-${width}`);
      await enter(page);
      await say(page, "The build is green. Sending the notes over now.");
      server.type("Thanks! Here are the figures:");
      await page.getByText("Here are the figures").waitFor();
      server.type("all 312 photos are on the disk, and the second copy is at home already");
      await page.getByText("all 312 photos").waitFor();
      await say(page, "Good.\nSee you on Monday.");
      const path = join(work, "release notes.pdf");
      writeFileSync(path, randomBytes(2_400_000));
      await page.locator("#file-input").setInputFiles(path);
      await page.locator("li.transfer[data-phase=done]").waitFor({ state: "attached" });
      const shown = await page.evaluate(
        () => document.documentElement.scrollWidth <= window.innerWidth,
      );
      assert.equal(shown, true, "nothing hangs over the edge");
      await picture(page, `chat-${scheme}-${width}`);
      if (width === 390) {
        await page.locator("#tab-chat").focus();
        await page.keyboard.press("ArrowRight");
        await page.locator("#dropzone").waitFor();
        await picture(page, `files-${scheme}-${width}`);
      } else {
        await page.locator("#pill").focus();
        await page.keyboard.press("Enter");
        await page.getByText("Forward secrecy").waitFor();
        await picture(page, `facts-${scheme}-${width}`);
        await page.keyboard.press("Escape");
      }
      await leave(page);
    }
  }
});

async function picture(page, name) {
  if (env.WEB_PICTURES === undefined) return;
  await page.screenshot({ path: join(env.WEB_PICTURES, `${name}.png`) });
}
