import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { concat, type Bytes } from "../src/bytes.js";
import { WebCryptoEngine } from "../src/crypto-web.js";
import { connect, SttError, type SttSession } from "../src/index.js";
import { Peer } from "./peer.js";
import type { SessionEvent } from "../src/session.js";
import { fromHex, wire } from "./support.js";

const seed = fromHex("00112233445566778899aabbccddeeff".repeat(2));
const usualUrl = "ws://127.0.0.1:1/";

/** The WebSocket of a platform, with a server at its other end that lives in this file. */
class FakeSocket {
  static readonly OPEN = 1;
  static last: FakeSocket;
  static server: (socket: FakeSocket) => void;
  readonly url: string;
  readonly protocol: string;
  readyState = 0;
  binaryType = "blob";
  bufferedAmount = 0;
  closedWith: number | undefined;
  readonly gone: Promise<void>;
  #resolveGone!: () => void;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  peer: Peer | undefined;

  constructor(url: string, protocol: string) {
    this.url = url;
    this.protocol = protocol;
    this.gone = new Promise((resolve) => {
      this.#resolveGone = resolve;
    });
    FakeSocket.last = this;
    queueMicrotask(() => FakeSocket.server(this));
  }

  open(): void {
    this.readyState = FakeSocket.OPEN;
    this.onopen?.();
  }

  receive(bytes: Bytes): void {
    queueMicrotask(() => this.onmessage?.({ data: wire(bytes).buffer }));
  }

  drop(code: number): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.#resolveGone();
    setTimeout(() => this.onclose?.({ code }));
  }

  send(bytes: Bytes): void {
    assert.equal(this.readyState, FakeSocket.OPEN);
    this.peer?.message(wire(bytes));
  }

  close(code: number): void {
    if (this.readyState === 3) return;
    assert(code === 1000 || (code >= 3000 && code <= 4999), String(code));
    this.closedWith = code;
    this.drop(code);
  }
}

let engine: WebCryptoEngine;
const original = globalThis.WebSocket;
const sessions: SttSession[] = [];

beforeEach(async () => {
  engine = await WebCryptoEngine.create();
  globalThis.WebSocket = FakeSocket as unknown as typeof WebSocket;
  FakeSocket.server = (socket) => {
    socket.peer = new Peer(
      engine,
      seed,
      (message) => socket.receive(message),
      (code) => socket.drop(code),
    );
    socket.open();
  };
});

afterEach(() => {
  for (const session of sessions.splice(0)) session.close(); // nothing outlives a test
  globalThis.WebSocket = original;
});

async function codeOf(dial: Promise<unknown>): Promise<string> {
  try {
    await dial;
  } catch (thrown) {
    assert(thrown instanceof SttError, String(thrown));
    return thrown.code;
  }
  return assert.fail("it went well");
}

function bytesOf(length: number): Bytes {
  const out = new Uint8Array(length);
  for (let i = 0; i < length; ++i) out[i] = (i * 31) & 0xff;
  return out;
}

async function all(readable: ReadableStream<Bytes>): Promise<Bytes> {
  const chunks: Bytes[] = [];
  for await (const chunk of readable) chunks.push(chunk);
  return concat(...chunks);
}

function peerOf(): Peer {
  return FakeSocket.last.peer!;
}

/** Until the peer's session has said `kind`, of a stream where one is named. */
function said(peer: Peer, kind: string, stream?: number): Promise<void> {
  const fits = (event: SessionEvent): boolean =>
    event.kind === kind && (stream === undefined || ("stream" in event && event.stream === stream));
  return new Promise((resolve) => {
    if (peer.events.some(fits)) resolve();
    peer.onEvent = (event) => {
      if (fits(event)) resolve();
    };
  });
}

/** The peer sends everything back and ends when the other end does. */
function echo(peer: Peer): void {
  peer.onEvent = (event) => {
    if (event.kind === "data") {
      peer.session!.write(event.stream, event.bytes, performance.now());
      peer.session!.consume(event.stream, event.credit);
    } else if (event.kind === "end") {
      peer.session!.finish(event.stream);
    }
  };
}

async function connected(): Promise<SttSession> {
  const session = await connect(usualUrl, { seed });
  sessions.push(session);
  return session;
}

test("a session over WebSocket: bytes there and back, and a clean end", async () => {
  const session = await connected();
  assert.equal(FakeSocket.last.url, "ws://127.0.0.1:1/stt");
  assert.equal(FakeSocket.last.protocol, "stt.v1");
  assert.equal(session.forwardSecrecy, true);
  assert.match(session.id, /^[0-9a-f]{16}$/);
  echo(peerOf());
  const stream = session.openStream();
  const whole = bytesOf(1_000_000);
  const writer = stream.writable.getWriter();
  const back = all(stream.readable);
  for (let at = 0; at < whole.length; at += 100_000) {
    await writer.write(whole.subarray(at, at + 100_000));
  }
  await writer.close();
  assert.deepEqual(await back, whole);
  const end = await session.drain();
  assert.deepEqual([end.code, end.error], [0, undefined]);
  await FakeSocket.last.gone;
  assert.equal(FakeSocket.last.closedWith, 1000);
});

test("messages, and streams that the server opens", async () => {
  const session = await connected();
  const peer = peerOf();
  const id = peer.session!.open({ mode: "unordered" });
  peer.session!.write(id, bytesOf(10), 0);
  peer.session!.write(id, bytesOf(0), 0);
  peer.session!.write(id, bytesOf(100_000), 0);
  peer.session!.finish(id);
  await peer.flush();
  const stream = await session.accept();
  assert.equal(stream?.id, 2);
  const sizes: number[] = [];
  for await (const message of stream!.readable) sizes.push(message.length);
  assert.deepEqual(sizes, [10, 0, 100_000]);
  const writer = stream!.writable.getWriter();
  await assert.rejects(writer.write(bytesOf(131073)), (e: SttError) => e.code === "limit");
  session.close();
  assert.equal(await session.accept(), undefined);
});

test("what is not read is not asked for: a slow reader stops the sender", async () => {
  const session = await connected();
  const peer = peerOf();
  const id = peer.session!.open();
  peer.session!.write(id, bytesOf(2_000_000), 0);
  await peer.flush();
  const stream = (await session.accept())!;
  const reader = stream.readable.getReader();
  const sent = (): number =>
    peer.events.reduce((sum, e) => sum + (e.kind === "sent" ? e.bytes : 0), 0);
  await reader.read();
  await peer.settled();
  assert.equal(sent(), 262144);
  for (let got = 0; got < 262144; ) got += (await reader.read()).value!.length;
  await reader.read().then(() => peer.settled());
  assert(sent() > 262144, String(sent()));
  session.close();
});

test("keys rotate under way, in both directions, and nothing is lost", async () => {
  const session = await connected();
  const peer = peerOf();
  echo(peer);
  const stream = session.openStream();
  const writer = stream.writable.getWriter();
  const reader = stream.readable.getReader();
  for (let round = 0; round < 6; ++round) {
    session.rotate();
    peer.session!.rotate();
    await writer.write(bytesOf(1000));
    let got = 0;
    while (got < 1000) got += (await reader.read()).value!.length;
  }
  assert(peer.session!.receiveEpoch >= 1, String(peer.session!.receiveEpoch));
  assert(peer.session!.sendEpoch >= 1, String(peer.session!.sendEpoch));
  session.close();
  assert.equal((await session.closed).code, 0);
});

test("the server hears of a stream before anything is written to it", async () => {
  const session = await connected();
  const peer = peerOf();
  const stream = session.openStream({ mode: "unordered", priority: 7 });
  await said(peer, "opened", stream.id);
  const opened = peer.events.find((event) => event.kind === "opened");
  assert(opened?.kind === "opened");
  assert.deepEqual(opened.options, { mode: "unordered", priority: 7, deadlineMs: 0 });
  peer.session!.write(stream.id, bytesOf(3), performance.now());
  await peer.flush();
  assert.deepEqual((await stream.readable.getReader().read()).value, bytesOf(3));
});

test("cancelling and aborting reach the peer with their codes", async () => {
  const session = await connected();
  const peer = peerOf();
  const stream = session.openStream();
  const writer = stream.writable.getWriter();
  await writer.write(bytesOf(5));
  await writer.abort(300);
  await stream.readable.cancel(301);
  await said(peer, "stopped");
  const codes = peer.events.flatMap((e) =>
    e.kind === "reset" || e.kind === "stopped" ? [[e.kind, e.code]] : [],
  );
  assert.deepEqual(codes, [
    ["reset", 300],
    ["stopped", 301],
  ]);

  const other = session.openStream();
  const otherWriter = other.writable.getWriter();
  await otherWriter.write(bytesOf(1));
  await said(peer, "opened", other.id);
  peer.session!.stop(other.id, 400);
  peer.session!.reset(other.id, 401);
  await peer.flush();
  const read = other.readable.getReader().read();
  await assert.rejects(read, (e: SttError) => e.code === "stream_reset" && e.detail === 401);
  await assert.rejects(
    otherWriter.write(bytesOf(1)),
    (e: SttError) => e.code === "stream_stopped" && e.detail === 400,
  );
  session.close();
});

test("giving up ends a write that waits for credit", async () => {
  const session = await connected();
  const aborted = session.openStream();
  const writer = aborted.writable.getWriter();
  const first = writer.write(bytesOf(1_000_000)).catch((e: SttError) => e.code);
  await said(peerOf(), "data", aborted.id);
  await writer.abort(300);
  assert.equal(await first, "closed");
  const stream = session.openStream();
  const second = stream.writable.getWriter().write(bytesOf(1_000_000));
  stream.reset(300);
  await assert.rejects(second, (e: SttError) => e.code === "closed");
});

test("the peer's CLOSE ends streams and session with its code", async () => {
  const session = await connected();
  const peer = peerOf();
  const stream = session.openStream();
  const read = stream.readable.getReader().read();
  peer.session!.close(300, "enough");
  await peer.flush();
  const end = await session.closed;
  assert.deepEqual([end.code, end.reason, end.byPeer], [300, "enough", true]);
  await assert.rejects(read, (e: SttError) => e.code === "aborted" && e.detail === 300);
  assert.throws(() => session.openStream(), (e: SttError) => e.code === "closed");
  await FakeSocket.last.gone;
  assert.equal(FakeSocket.last.closedWith, 3300);
});

test("close codes are 0 or the application's own", async () => {
  const session = await connected();
  for (const code of [1, 255, 65536, -1]) {
    assert.throws(() => session.close(code), (e: SttError) => e.code === "bad_argument");
  }
  session.close(256, "done");
  const end = await session.closed;
  assert.deepEqual([end.code, end.byPeer], [256, false]);
  await said(peerOf(), "ended");
});

// SPEC stt.md#frames
test("an altered, repeated or foreign frame ends the session at once", async () => {
  const alterations: ((frame: Bytes, socket: FakeSocket) => void)[] = [
    (frame, socket) => {
      frame[frame.length - 5]! ^= 1;
      socket.receive(frame);
    },
    (frame, socket) => {
      socket.receive(frame);
      socket.receive(frame);
    },
    (frame, socket) => {
      frame[5]! ^= 1;
      socket.receive(frame);
    },
    (frame, socket) => socket.receive(concat(frame, new Uint8Array([0x53]))),
    (_, socket) => socket.receive(new Uint8Array([1, 2, 3])),
    (_, socket) => socket.onmessage?.({ data: "text" }),
  ];
  for (const alter of alterations) {
    FakeSocket.server = (socket) => {
      let sent = 0;
      socket.peer = new Peer(
        engine,
        seed,
        // RESPONSE and FINAL pass, what follows does not
        (message) => (++sent <= 2 ? socket.receive(message) : alter(message, socket)),
        (code) => socket.drop(code),
      );
      socket.open();
    };
    const session = await connected();
    const end = await session.closed; // of the answer to the first PING
    assert(end.error !== undefined);
    assert(["not_authentic", "protocol", "malformed", "truncated"].includes(end.error.code));
    await FakeSocket.last.gone;
    assert.equal(FakeSocket.last.closedWith, 3001);
  }
});

test("a connection that is lost is no clean end", async () => {
  const session = await connected();
  FakeSocket.last.drop(1006);
  const end = await session.closed;
  assert.deepEqual([end.byPeer, end.error?.code], [true, "truncated"]);
});

test("a dial that cannot come to anything says why", async () => {
  const other = new Uint8Array(32);
  assert.equal(await codeOf(connect(usualUrl, { seed: other })), "refused");
  assert.equal(await codeOf(connect(usualUrl, { seed: "sls1nonsense" })), "bad_seed");
  assert.equal(await codeOf(connect(usualUrl, { seed: new Uint8Array(31) })), "bad_seed");
  for (const url of ["http://a/", "nonsense", "ws://user@a/", "ws://a/#sls1"]) {
    assert.equal(await codeOf(connect(url, { seed })), "bad_argument");
  }
  FakeSocket.server = (socket) => socket.drop(1006);
  assert.equal(await codeOf(connect(usualUrl, { seed })), "unreachable");
  FakeSocket.server = (socket) => {
    socket.open();
    socket.drop(1006);
  };
  assert.equal(await codeOf(connect(usualUrl, { seed })), "unreachable");
  FakeSocket.server = (socket) => socket.open(); // and never a word
  const impatient = { seed, handshakeTimeoutMs: 20 };
  assert.equal(await codeOf(connect(usualUrl, impatient)), "timeout");
  assert.equal(FakeSocket.last.closedWith, 3001);
  const abort = new AbortController();
  const dial = connect(usualUrl, { seed, signal: abort.signal });
  setTimeout(() => abort.abort());
  assert.equal(await codeOf(dial), "closed");
});

test("a server that does not know the seed is not believed", async () => {
  const other = new Uint8Array(32).fill(9);
  FakeSocket.server = (socket) => {
    const peer = new Peer(
      engine,
      seed,
      (message) => {
        // A RESPONSE under another seed: one flipped bit of the challenge.
        message[message.length - 200]! ^= 1;
        socket.receive(message);
      },
      (code) => socket.drop(code),
    );
    socket.peer = peer;
    socket.open();
  };
  assert.notEqual(await codeOf(connect(usualUrl, { seed })), "refused");
  assert.equal(await codeOf(connect(usualUrl, { seed: other })), "refused");
});

test("nothing more is sealed while the socket's buffer is full", async () => {
  const session = await connected();
  const peer = peerOf();
  let isFull = true;
  let looks = 0;
  const lookedAgain = new Promise<void>((resolve) => {
    Object.defineProperty(FakeSocket.last, "bufferedAmount", {
      get: () => {
        if (++looks === 5) resolve();
        return isFull ? 5 << 20 : 0;
      },
    });
  });
  const stream = session.openStream();
  void stream.writable.getWriter().write(bytesOf(1000)).catch(() => {});
  await lookedAgain;
  await peer.settled();
  assert(!peer.events.some((e) => e.kind === "opened"));
  isFull = false;
  await said(peer, "data", stream.id);
});

test("a browser without X25519 or a secure page is told so", async () => {
  const subtle = Object.getOwnPropertyDescriptor(globalThis, "crypto")!;
  Object.defineProperty(globalThis, "crypto", { value: {}, configurable: true });
  try {
    assert.equal(await codeOf(connect(usualUrl, { seed })), "unsupported");
  } finally {
    Object.defineProperty(globalThis, "crypto", subtle);
  }
});
