// WebSocket over TLS 1.3 by Node.js and its package `ws`, with a certificate that the client verifies
// (AES-256-GCM, X25519, ECDSA P-256). tools/bench runs it as a contestant: the arguments, the lines on
// stdin and stdout and the work are those of support/program.hpp and support/workload.hpp.
// Settings as the manual of ws names them: no deflate, no limit on a message, binary messages, one
// write each; a mask without a cryptographic generator. The sender keeps at most a MiB waiting.
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:https";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";

const { WebSocket, WebSocketServer } = createRequire(import.meta.url)("ws");

const WARM_UP_BYTES = 4 << 20;
const WARM_UP_ROUNDS = 500;
const WAITING_BYTES = 1 << 20;
const TLS = { minVersion: "TLSv1.3", ciphers: "TLS_AES_256_GCM_SHA384", ecdhCurve: "X25519" };
const SETTINGS = { perMessageDeflate: false, maxPayload: 0, skipUTF8Validation: true };

const options = Object.fromEntries(process.argv.slice(2).map((word) => word.split("=", 2)));
const work = options.work ?? "bulk";
const size = Math.max(Number(options.size ?? 65536), 16);
const seconds = Number(options.seconds ?? 0.5);

const now = () => Number(process.hrtime.bigint()) / 1e9;

function cpu() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

class Stopwatch {
  began = now();
  used = cpu();

  report(bytes) {
    return { bytes, seconds: now() - this.began, cpu_s: cpu() - this.used };
  }
}

function certificate() {
  const folder = mkdtempSync(join(tmpdir(), "sealine-bench-"));
  try {
    const [key, cert] = [join(folder, "key"), join(folder, "cert")];
    const words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost";
    execFileSync("openssl", [...words.split(" "), "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
      { stdio: "ignore" });
    return { key: readFileSync(key), cert: readFileSync(cert, "utf8") };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

// One message after another; an empty one is the end of a direction.
class Channel {
  waiting = [];
  wanted = null;

  constructor(socket) {
    this.socket = socket;
    socket._socket.setNoDelay(true);
    socket.on("message", (bytes) => {
      if (this.wanted) this.wanted(bytes);
      else this.waiting.push(bytes);
    });
  }

  read() {
    if (this.waiting.length > 0) return Promise.resolve(this.waiting.shift());
    return new Promise((resolve) => {
      this.wanted = (bytes) => {
        this.wanted = null;
        resolve(bytes);
      };
    });
  }

  // Every message, without a promise for each.
  readAll(received) {
    return new Promise((resolve) => {
      const take = (bytes) => {
        if (bytes.length > 0) return received(bytes);
        this.wanted = null;
        resolve();
      };
      this.wanted = take;
      for (const bytes of this.waiting.splice(0)) take(bytes);
    });
  }

  async write(bytes) {
    if (this.socket.bufferedAmount < WAITING_BYTES) return this.socket.send(bytes);
    await new Promise((resolve) => this.socket.send(bytes, resolve));
  }
}

async function send(channel) {
  const message = randomBytes(size);
  const sum = createHash("sha256");
  for (let left = WARM_UP_BYTES; left > 0; left -= size) {
    const piece = message.subarray(0, Math.min(left, size));
    sum.update(piece);
    await channel.write(piece);
  }
  if (!(await channel.read()).equals(sum.digest())) throw new Error("the receiver has other bytes than were sent");
  const watch = new Stopwatch();
  const end = now() + seconds;
  let sent = 0;
  do {
    for (let i = 0; i < 64; ++i) {
      if (channel.socket.bufferedAmount < WAITING_BYTES) channel.socket.send(message);
      else await channel.write(message);
      sent += size;
    }
  } while (now() < end);
  await channel.write(Buffer.alloc(0));
  if (Number((await channel.read()).readBigUInt64LE()) !== sent) throw new Error("not everything arrived");
  return watch.report(sent);
}

async function receive(channel) {
  const sum = createHash("sha256");
  for (let left = WARM_UP_BYTES; left > 0; ) {
    const piece = await channel.read();
    sum.update(piece);
    left -= piece.length;
  }
  await channel.write(sum.digest());
  const watch = new Stopwatch();
  let received = 0;
  await channel.readAll((bytes) => {
    received += bytes.length;
  });
  const report = watch.report(received);
  const answer = Buffer.alloc(8);
  answer.writeBigUInt64LE(BigInt(received));
  await channel.write(answer);
  return report;
}

async function ask(channel) {
  const message = randomBytes(size);
  const times = [];
  let end = 0;
  for (let round = 0; end === 0 || now() < end; ++round) {
    const began = now();
    channel.socket.send(message);
    const answer = await channel.read();
    if (!answer.equals(message)) throw new Error("the answer differs from the question");
    if (end !== 0) times.push(now() - began);
    else if (round === WARM_UP_ROUNDS) end = now() + seconds;
  }
  await channel.write(Buffer.alloc(0));
  times.sort((a, b) => a - b);
  return { count: times.length, round_trip_s: times[Math.floor(times.length / 2)] };
}

async function echo(channel) {
  let count = 0;
  await channel.readAll((bytes) => {
    channel.socket.send(bytes);
    ++count;
  });
  return { count };
}

async function serve() {
  const { key, cert } = certificate();
  const https = createServer({ key, cert, ...TLS });
  const server = new WebSocketServer({ server: https, ...SETTINGS });
  https.listen(0, "127.0.0.1");
  await once(https, "listening");
  console.log(JSON.stringify({ port: https.address().port, certificate: cert }));
  const [socket] = await once(server, "connection");
  const channel = new Channel(socket);
  const report = await (work === "round-trips" ? echo : receive)(channel);
  await once(socket, "close");
  https.close();
  return report;
}

async function request() {
  const hello = JSON.parse(await text(process.stdin));
  const socket = new WebSocket(`wss://localhost:${hello.port}/`, {
    ...SETTINGS, ...TLS, ca: hello.certificate, family: 4, generateMask: (mask) => mask.fill(0x5a),
  });
  await once(socket, "open");
  const report = await (work === "round-trips" ? ask : send)(new Channel(socket));
  socket.close();
  return report;
}

console.log(JSON.stringify(await (options.role === "server" ? serve : request)()));
