import assert from "node:assert/strict";
import { test } from "node:test";
import { concat, varint, type Bytes } from "../src/bytes.js";
import { CloseCode, encodeControl } from "../src/control.js";
import { WebCryptoEngine } from "../src/crypto-web.js";
import { SttError } from "../src/errors.js";
import { FrameType, parseFrame, type FrameHead } from "../src/frame.js";
import type { Limits, Padding } from "../src/limits.js";
import { Session, type OutgoingFrame, type SessionEnd, type SessionEvent } from "../src/session.js";
import { fromHex, goldenKeys, vectors } from "./support.js";

const sessionId = fromHex("0102030405060708");

interface End {
  readonly session: Session;
  readonly events: SessionEvent[];
  readonly sent: OutgoingFrame[];
}

/** Two ends whose frames need no keys: whatever one gives the other gets. Time is a number. */
class Pair {
  readonly i: End;
  readonly r: End;
  now = 0;
  rotations = true;

  constructor(config: { limits?: Partial<Limits>; padding?: Padding; forwardSecrecy?: boolean } = {}) {
    const end = (role: "initiator" | "responder"): End => {
      const how = { role, sessionId, forwardSecrecy: true, ...config };
      return { session: new Session(how, 0), events: [], sent: [] };
    };
    this.i = end("initiator");
    this.r = end("responder");
  }

  /** Until nothing waits at either end. */
  run(): void {
    for (let moved = true; moved; ) {
      moved = this.#pump(this.i, this.r) || this.#pump(this.r, this.i);
    }
  }

  #pump(from: End, to: End): boolean {
    let moved = false;
    for (let frame = this.next(from); frame !== undefined; frame = this.next(from)) {
      moved = true;
      assert.equal(give(to.session, frame, this.now), undefined);
      this.collect(to);
    }
    return moved;
  }

  next(from: End): OutgoingFrame | undefined {
    let frame = from.session.pollFrame(this.now);
    this.collect(from);
    frame ??= from.session.pollFrame(this.now); // a rotation that was just prepared
    this.collect(from);
    if (frame !== undefined) from.sent.push(frame);
    return frame;
  }

  collect(end: End): void {
    const { session } = end;
    for (let event = session.pollEvent(); event !== undefined; event = session.pollEvent()) {
      end.events.push(event);
      if (!this.rotations) continue;
      const key = session.forwardSecrecy ? new Uint8Array(32).fill(7) : undefined;
      if (event.kind === "prepare_rotation") {
        session.rotationPrepared(new Uint8Array(32), key);
      } else if (event.kind === "answer_rotation") {
        session.rotationAnswered(key);
      } else if (event.kind === "finish_rotation") {
        session.rotationFinished();
      }
    }
  }

  data(end: End, stream: number): Bytes[] {
    const chunks: Bytes[] = [];
    for (const event of end.events) {
      if (event.kind === "data" && event.stream === stream) chunks.push(event.bytes);
    }
    return chunks;
  }

  of<K extends SessionEvent["kind"]>(end: End, kind: K): Extract<SessionEvent, { kind: K }>[] {
    return end.events.filter((e): e is Extract<SessionEvent, { kind: K }> => e.kind === kind);
  }

  /** The application at `end` is done with all that it was given. */
  consumeAll(end: End): void {
    for (const event of end.events) {
      if (event.kind === "data") end.session.consume(event.stream, event.credit);
    }
    end.events.length = 0;
  }

  endOf(end: End): SessionEnd {
    return this.of(end, "ended")[0]!.end;
  }
}

function give(to: Session, frame: OutgoingFrame, now: number): SttError | undefined {
  return to.admit(frame.head) ?? to.handleFrame(frame.head, frame.plaintext.slice(), now);
}

function bytesOf(length: number, seed = 1): Bytes {
  const out = new Uint8Array(length);
  for (let i = 0; i < length; ++i) out[i] = (i * 7 + seed) & 0xff;
  return out;
}

/** A peer that says what it likes: frames with running numbers. */
class Rogue {
  readonly session: Session;
  #number = 0n;

  constructor(role: "initiator" | "responder" = "responder", limits: Partial<Limits> = {}) {
    this.session = new Session({ role, sessionId, forwardSecrecy: true, limits }, 0);
  }

  say(type: FrameHead["type"], stream: number, flags: number, body: Bytes): SttError | undefined {
    const head = { type, sessionId, stream, number: this.#number++, flags, epoch: 0 };
    return this.session.admit(head) ?? this.session.handleFrame(head, body, 0);
  }

  data(stream: number, flags: number, ...body: (Bytes | number)[]): SttError | undefined {
    const parts = body.map((part) => (typeof part === "number" ? new Uint8Array([part]) : part));
    return this.say(FrameType.data, stream, flags, concat(...parts));
  }

  events(): SessionEvent[] {
    const all: SessionEvent[] = [];
    for (let e = this.session.pollEvent(); e !== undefined; e = this.session.pollEvent()) all.push(e);
    return all;
  }

  closeCode(): number | undefined {
    const ended = this.events().find((e) => e.kind === "ended");
    return ended?.kind === "ended" ? ended.end.code : undefined;
  }
}

const init = (mode: number): Bytes => new Uint8Array([mode, 128, 0]);

// SPEC stt.md#streams
test("a bulk stream arrives whole, ends clean and is forgotten", () => {
  const pair = new Pair();
  const whole = bytesOf(1_000_000);
  const id = pair.i.session.open();
  assert.equal(id, 1);
  pair.i.session.write(id, whole, 0);
  pair.i.session.finish(id);
  const got: Bytes[] = [];
  for (let round = 0; round < 50; ++round) {
    pair.run();
    got.push(...pair.data(pair.r, id));
    if (pair.of(pair.r, "end").length > 0) break;
    pair.consumeAll(pair.r);
  }
  assert.deepEqual(concat(...got), whole);
  assert.equal(pair.of(pair.r, "end").length, 1);
  pair.r.session.finish(id);
  pair.run();
  assert.equal(pair.of(pair.i, "closed").length, 1);
  assert.equal(pair.of(pair.r, "closed").length, 1);
  assert.equal(pair.of(pair.i, "sent").reduce((sum, e) => sum + e.bytes, 0), whole.length);
});

test("both sides open, write both ways, and ids keep their parity", () => {
  const pair = new Pair();
  const ours = pair.i.session.open({ mode: "unordered", priority: 3 });
  const theirs = pair.r.session.open();
  pair.i.session.write(ours, bytesOf(5), 0);
  pair.r.session.write(theirs, bytesOf(6), 0);
  pair.run();
  assert.deepEqual([ours, theirs], [1, 2]);
  const opened = pair.of(pair.r, "opened")[0]!;
  assert.deepEqual(opened.options, { mode: "unordered", priority: 3, deadlineMs: 0 });
  pair.r.session.write(ours, bytesOf(7), 0);
  pair.i.session.write(theirs, bytesOf(8), 0);
  pair.run();
  assert.deepEqual(pair.data(pair.i, ours), [bytesOf(7)]);
  assert.deepEqual(pair.data(pair.r, theirs), [bytesOf(8)]);
});

test("messages keep their bounds in every mode of messages, empty and largest ones too", () => {
  for (const mode of ["unordered", "partial", "unreliable"] as const) {
    const pair = new Pair();
    const id = pair.i.session.open({ mode });
    const sizes = mode === "unreliable" ? [0, 1, 60000] : [0, 1, 65536, 131072];
    for (const size of sizes) pair.i.session.write(id, bytesOf(size), 0);
    assert.throws(
      () => pair.i.session.write(id, bytesOf(131073), 0),
      (error: SttError) => error.code === "limit",
    );
    pair.i.session.finish(id);
    pair.run();
    assert.deepEqual(
      pair.data(pair.r, id).map((message) => message.length),
      sizes,
    );
    assert.equal(pair.of(pair.r, "end").length, 1, mode);
  }
});

// SPEC stt.md#reliability
test("bytes and fragments in any order are put together, with overlaps", () => {
  const rogue = new Rogue();
  const whole = bytesOf(100);
  const at = (from: number, to: number): Bytes => concat(varint(from), whole.subarray(from, to));
  rogue.data(1, 2, init(0), at(60, 80));
  rogue.data(1, 0, at(20, 30));
  rogue.data(1, 0, at(10, 70));
  rogue.data(1, 4, at(90, 100));
  rogue.data(1, 0, at(75, 95));
  assert.equal(rogue.events().filter((e) => e.kind === "data").length, 0);
  rogue.data(1, 0, at(0, 10));
  const events = rogue.events();
  const chunks = events.flatMap((e) => (e.kind === "data" ? [e.bytes] : []));
  assert.deepEqual(concat(...chunks), whole);
  assert.equal(events.at(-1)?.kind, "end");

  const messages = new Rogue();
  const piece = (id: number, from: number, to: number): Bytes =>
    concat(varint(id), varint(from), whole.subarray(from, to));
  messages.data(1, 2 | 8, init(1), piece(1, 50, 100)); // the end of the second first
  messages.data(1, 8, piece(0, 0, 100));
  messages.data(1, 0, piece(1, 0, 60));
  const got = messages.events().flatMap((e) => (e.kind === "data" ? [e.bytes] : []));
  assert.deepEqual(got, [whole, whole]);
});

// SPEC stt.md#credit
test("a stalled reader holds one stream and no other; credit comes with consuming", () => {
  const pair = new Pair();
  const stalled = pair.i.session.open();
  const other = pair.i.session.open();
  pair.i.session.write(stalled, bytesOf(600_000), 0);
  pair.i.session.write(other, bytesOf(1000), 0);
  pair.run();
  const got = (): number => pair.data(pair.r, stalled).reduce((sum, b) => sum + b.length, 0);
  assert.equal(got(), 262144);
  assert.equal(concat(...pair.data(pair.r, other)).length, 1000);
  assert(pair.i.sent.some((f) => f.head.type === FrameType.streamControl), "BLOCKED was said");
  pair.run();
  assert.equal(got(), 262144);
  pair.r.session.consume(stalled, 131071);
  pair.run();
  assert.equal(got(), 262144, "less than half a window is not granted");
  pair.r.session.consume(stalled, 1);
  pair.run();
  assert.equal(got(), 262144 + 131072);
});

test("credit of the session is shared by its streams and outlives them", () => {
  const pair = new Pair();
  const ids = [0, 1, 2, 3, 4, 5].map(() => pair.i.session.open());
  for (const id of ids) pair.i.session.write(id, bytesOf(262144), 0);
  pair.run();
  const got = (): number => pair.of(pair.r, "data").reduce((sum, e) => sum + e.bytes.length, 0);
  assert.equal(got(), 1048576);
  pair.r.session.stop(ids[0]!, 300); // what nobody will read comes back
  pair.consumeAll(pair.r);
  pair.run();
  assert(got() > 400_000, String(got()));
});

test("empty messages use credit too", () => {
  const pair = new Pair({ limits: { streamWindowBytes: 16000 } });
  const id = pair.i.session.open({ mode: "unordered" });
  for (let n = 0; n < 1100; ++n) pair.i.session.write(id, new Uint8Array(0), 0);
  pair.run();
  assert.equal(pair.data(pair.r, id).length, 1000);
});

test("windows double where half of one is eaten within two round trips", () => {
  const pair = new Pair();
  pair.i.session.ping(5n, 0);
  pair.r.session.ping(6n, 0);
  pair.now = 100; // what was said at 0 arrives now
  pair.run();
  assert.equal(pair.r.session.roundTripMs, 100);
  const id = pair.i.session.open();
  pair.i.session.write(id, bytesOf(8 << 20), 0);
  let largest = 0;
  for (let round = 0; round < 40; ++round) {
    pair.now += 1;
    pair.run();
    const flight = pair.data(pair.r, id).reduce((sum, b) => sum + b.length, 0);
    largest = Math.max(largest, flight);
    pair.consumeAll(pair.r);
  }
  assert(largest >= 1 << 20, String(largest));
});

test("a stream that stalls with a wide window holds no other", () => {
  for (const rounds of [2, 4, 6, 8, 10]) {
    const pair = new Pair();
    pair.r.session.ping(6n, 0);
    pair.now = 100;
    pair.run();
    const stalled = pair.i.session.open();
    pair.i.session.write(stalled, bytesOf(24 << 20), 0);
    for (let round = 0; round < rounds; ++round) {
      pair.now += 1;
      pair.run();
      pair.consumeAll(pair.r);
    }
    const other = pair.i.session.open();
    pair.i.session.write(other, bytesOf(1 << 20), 0);
    const got = (): number => pair.data(pair.r, other).reduce((sum, b) => sum + b.length, 0);
    for (let round = 0, consumed = 0; round < 40; ++round, consumed = got()) {
      pair.now += 1000;
      pair.run();
      if (got() > consumed) pair.r.session.consume(other, got() - consumed);
    }
    assert.equal(got(), 1 << 20, `${rounds} rounds`);
  }
});

test("priorities come before turns, and equals take turns", () => {
  const pair = new Pair();
  const low = pair.i.session.open({ priority: 200 });
  const a = pair.i.session.open();
  const b = pair.i.session.open();
  const high = pair.i.session.open({ priority: 0 });
  for (const id of [low, a, b, high]) pair.i.session.write(id, bytesOf(200_000), 0);
  const order: number[] = [];
  for (let f = pair.next(pair.i); f !== undefined; f = pair.next(pair.i)) {
    if (f.head.type === FrameType.data) order.push(f.head.stream);
  }
  assert.deepEqual(order, [
    ...[high, high, high, high],
    ...[a, b, a, b, a, b, a, b],
    ...[low, low, low, low],
  ]);
});

test("RESET and STOP end one direction, with their codes and their credit", () => {
  const pair = new Pair();
  const id = pair.i.session.open();
  pair.i.session.write(id, bytesOf(1000), 0);
  pair.run();
  pair.i.session.reset(id, 300);
  pair.r.session.stop(id, 301); // crosses it
  pair.run();
  assert.deepEqual(pair.of(pair.r, "reset"), [{ kind: "reset", stream: id, code: 300 }]);
  pair.i.session.stop(id, 302);
  pair.run();
  assert.deepEqual(pair.of(pair.r, "stopped"), [{ kind: "stopped", stream: id, code: 302 }]);
  assert.deepEqual(pair.of(pair.i, "reset"), [{ kind: "reset", stream: id, code: 302 }]);
  assert.equal(pair.of(pair.i, "closed").length, 1);
  assert.equal(pair.of(pair.r, "closed").length, 1);
  assert.throws(() => pair.i.session.write(id, bytesOf(1), 0), SttError);
});

test("a thousand and more streams one after another; 1,024 at once, the next is a fault", () => {
  const pair = new Pair();
  for (let n = 0; n < 1200; ++n) {
    const id = pair.i.session.open();
    pair.i.session.finish(id);
    pair.run();
    pair.r.session.finish(id);
    pair.run();
  }
  assert.equal(pair.of(pair.i, "closed").length, 1200);
  for (let n = 0; n < 1024; ++n) pair.i.session.open();
  assert.throws(() => pair.i.session.open(), (error: SttError) => error.code === "limit");

  const rogue = new Rogue();
  for (let n = 0; n < 1025; ++n) rogue.data(2 * n + 1, 2, init(0), 0);
  assert.equal(rogue.closeCode(), CloseCode.limit);
});

// SPEC stt.md#rotation
test("keys rotate by bytes, frames, time and on request, each direction by itself", () => {
  const cases: [Partial<Limits>, (pair: Pair, id: number) => void][] = [
    [{ rotateBytes: 1000 }, (pair, id) => pair.i.session.write(id, bytesOf(400), pair.now)],
    [{ rotateFrames: 4 }, (pair, id) => pair.i.session.write(id, bytesOf(1), pair.now)],
    [
      { rotateAfterMs: 1000, idleTimeoutMs: 1e9, pingAfterMs: 0 },
      (pair, id) => {
        pair.now += 300;
        pair.i.session.write(id, bytesOf(1), pair.now);
      },
    ],
    [
      {},
      (pair, id) => {
        pair.i.session.rotate();
        pair.i.session.write(id, bytesOf(1), pair.now);
      },
    ],
  ];
  for (const [limits, step] of cases) {
    for (const forwardSecrecy of [true, false]) {
      const pair = new Pair({ limits, forwardSecrecy });
      const id = pair.i.session.open();
      for (let n = 0; n < 10; ++n) {
        step(pair, id);
        pair.run();
        pair.run();
      }
      assert(pair.i.session.sendEpoch >= 2, `${JSON.stringify(limits)} ${pair.i.session.sendEpoch}`);
      const epochs = pair.i.sent.map((frame) => frame.head.epoch);
      assert.deepEqual(epochs, [...epochs].sort((a, b) => a - b));
      assert.equal(pair.of(pair.r, "ended").length, 0);
    }
  }
});

test("without an answer to ROTATE no DATA goes beyond twice a threshold, and the session ends", () => {
  const pair = new Pair({ limits: { rotateFrames: 10 } });
  const id = pair.i.session.open({ mode: "unordered" });
  pair.collect(pair.i);
  pair.rotations = false; // ephemerals never get ready
  for (let n = 0; n < 100; ++n) pair.i.session.write(id, bytesOf(1), 0);
  pair.run();
  assert(pair.data(pair.r, id).length <= 20);
  pair.now = 30_000;
  pair.i.session.handleTimeout(pair.now);
  pair.run();
  assert.equal(pair.endOf(pair.i).code, CloseCode.keys);
  assert.equal(pair.endOf(pair.r).code, CloseCode.keys);
  assert.equal(pair.endOf(pair.r).byPeer, true);
});

test("the old epoch is over with the first frame of the new one", () => {
  const pair = new Pair();
  pair.i.session.rotate();
  const id = pair.i.session.open();
  pair.i.session.write(id, bytesOf(1), 0);
  pair.run();
  pair.i.session.write(id, bytesOf(1), 0);
  pair.run();
  assert.equal(pair.r.session.receiveEpoch, 1);
  const last = pair.i.sent.at(-1)!;
  const head = { ...last.head, number: last.head.number + 1n, epoch: 0 };
  assert.equal(pair.r.session.admit(head)?.code, "protocol");
});

// SPEC stt.md#close
test("CLOSE says why, and nothing follows it", () => {
  const pair = new Pair();
  const id = pair.i.session.open();
  pair.i.session.close(300, "ä".repeat(2000));
  pair.i.session.close(301, "again");
  assert.throws(() => pair.i.session.write(id, bytesOf(1), 0), SttError);
  const frame = pair.i.session.pollFrame(0)!;
  assert.equal(frame.isLast, true);
  assert.equal(pair.i.session.pollFrame(0), undefined);
  give(pair.r.session, frame, 0);
  pair.collect(pair.r);
  const end = pair.endOf(pair.r);
  assert.equal(end.code, 300);
  assert.equal(end.byPeer, true);
  assert(end.reason.startsWith("ää") && end.reason.length <= 512);
  assert.equal(pair.r.session.pollFrame(0), undefined);
  assert.throws(() => pair.r.session.open(), SttError);
});

test("drain waits for its streams", () => {
  const pair = new Pair();
  const id = pair.i.session.open();
  pair.i.session.write(id, bytesOf(10), 0);
  pair.i.session.finish(id);
  pair.i.session.drain();
  pair.run();
  assert.equal(pair.of(pair.i, "ended").length, 0);
  pair.r.session.finish(id);
  pair.run();
  assert.equal(pair.endOf(pair.i).code, 0);
  assert.equal(pair.endOf(pair.r).code, 0);
});

test("silence ends a session, pings keep it, and a lost connection is no clean end", () => {
  const pair = new Pair();
  assert.equal(pair.i.session.pollTimeout(), 20_000);
  for (pair.now = 20_000; pair.now <= 200_000; pair.now += 20_000) {
    pair.i.session.handleTimeout(pair.now);
    pair.run();
    pair.collect(pair.i);
  }
  assert.equal(pair.of(pair.i, "ended").length, 0);
  const silent = new Pair({ limits: { pingAfterMs: 0 } });
  assert.equal(silent.i.session.pollTimeout(), 60_000);
  silent.i.session.handleTimeout(60_000);
  silent.collect(silent.i);
  assert.equal(silent.endOf(silent.i).code, CloseCode.idle);
  pair.r.session.handleDisconnected();
  pair.collect(pair.r);
  assert.equal(pair.endOf(pair.r).error?.code, "truncated");
});

// SPEC stt.md#padding
test("padded frames have few sizes, and the content is the same", () => {
  for (const padding of [128, 256, 512, 1024, "full"] as const) {
    const pair = new Pair({ padding });
    const id = pair.i.session.open();
    const messages = pair.i.session.open({ mode: "unordered" });
    pair.i.session.rotate();
    for (const size of [1, 100, 70_000]) {
      pair.i.session.write(id, bytesOf(size), 0);
      pair.i.session.write(messages, bytesOf(size), 0);
    }
    pair.i.session.reset(pair.i.session.open(), 65535);
    pair.run();
    pair.i.session.close(300, "r".repeat(1000));
    pair.run();
    assert.equal(concat(...pair.data(pair.r, id)).length, 70_101);
    assert.deepEqual(
      pair.data(pair.r, messages).map((message) => message.length),
      [1, 100, 70_000],
    );
    assert.equal(pair.endOf(pair.r).code, 300);
    const sizes = new Set(pair.i.sent.map((frame) => frame.plaintext.length + 16));
    for (const size of sizes) {
      const isPower = padding === "full" && size >= 128 && (size & (size - 1)) === 0;
      assert(size === padding || isPower, `${padding}: ${size}`);
    }
  }
});

test("a deadline that passes is given up, and the peer is told", () => {
  const pair = new Pair({ limits: { rotateFrames: 2 } });
  pair.rotations = false;
  const id = pair.i.session.open({ mode: "partial", deadlineMs: 50 });
  for (let n = 0; n < 10; ++n) pair.i.session.write(id, bytesOf(1), 0);
  pair.run(); // stops at twice the threshold
  const before = pair.data(pair.r, id).length;
  assert(before < 10);
  assert.equal(pair.i.session.pollTimeout(), 50);
  pair.now = 50;
  pair.i.session.handleTimeout(50);
  pair.i.session.finish(id);
  pair.run();
  assert.equal(pair.data(pair.r, id).length, before);
  const sent = pair.of(pair.i, "sent").reduce((sum, e) => sum + e.bytes, 0);
  assert.equal(sent, 10, "what was given up is off the books");
});

test("incomplete messages without credit take bounded memory", () => {
  const rogue = new Rogue();
  rogue.data(1, 2, init(2), varint(0), varint(131071), 1);
  for (let id = 1; id < 400; ++id) rogue.data(1, 0, varint(id), varint(131071), 1);
  assert.equal(rogue.closeCode(), undefined);
  rogue.data(1, 8, varint(399), varint(0), bytesOf(131072));
  const messages = rogue.events().filter((e) => e.kind === "data");
  assert(messages.length <= 1);
});

// SPEC stt.md#frames
test("golden bad frames: dropped ones are close 1002, the others CLOSE with their code", async () => {
  const engine = await WebCryptoEngine.create();
  let checked = 0;
  for (const v of vectors["bad_frames"]) {
    const session = new Session(
      {
        role: "responder",
        sessionId: fromHex(vectors["handshakes"][0].session_id),
        forwardSecrecy: true,
      },
      0,
    );
    const keys = await goldenKeys(engine, "I2R", 0);
    const receive = async (message: Bytes): Promise<SttError | undefined> => {
      for (let rest = message; rest.length > 0 && !session.isOver; ) {
        const frame = parseFrame(rest);
        rest = rest.subarray(frame.frameBytes);
        const refused = session.admit(frame.head);
        if (refused !== undefined) return refused;
        const plaintext = await keys.open(frame);
        if (plaintext === undefined) return new SttError("not_authentic", "tag");
        const error = session.handleFrame(frame.head, plaintext, 0);
        if (error !== undefined) return error;
      }
      return undefined;
    };
    for (const first of v.first) assert.equal(await receive(fromHex(first)), undefined);
    let fault: unknown;
    try {
      fault = await receive(fromHex(v.hex));
    } catch (thrown) {
      fault = thrown;
    }
    assert.equal(fault !== undefined, v.udp === "drop", `${v.name}: ${String(fault)}`);
    let end: SessionEnd | undefined;
    for (let e = session.pollEvent(); e !== undefined; e = session.pollEvent()) {
      if (e.kind === "ended") end = e.end;
      // Keys are outside: an all-zero secret is found there.
      if (e.kind === "answer_rotation") {
        const pair = await engine.generateKeyPair();
        const shared = await engine.x25519(pair.privateKey, e.question.ephemeral!);
        assert.equal(shared, undefined, v.name);
        session.rotationFailed();
      }
    }
    if (v.udp === "close") assert.equal(end?.code, v.close, v.name);
    ++checked;
  }
  assert.equal(checked, 57);
});

test("ACK is a fault on WebSocket, whatever its ranges", () => {
  for (const { body } of vectors["ack"].good) {
    const rogue = new Rogue();
    rogue.say(FrameType.control, 0, 0, fromHex(body));
    assert.equal(rogue.closeCode(), CloseCode.protocol);
  }
});

test("unknown codes are passed over, and known ones are strict", () => {
  const unknown = fromHex("4000000002" + "40000000021409" + "1001" + "4000000001" + "14c8");
  const rogue = new Rogue();
  assert.equal(rogue.say(FrameType.control, 0, 0, unknown), undefined);
  assert.equal(rogue.closeCode(), undefined);
  const wrongRole = fromHex("4000000001" + "4000000002" + "1401" + "1601020304"); // PING of u32
  rogue.say(FrameType.control, 0, 0, wrongRole);
  assert.equal(rogue.closeCode(), CloseCode.protocol);
});

test("frames of closed streams are read over; replays, gaps and other sessions are not", () => {
  const rogue = new Rogue();
  rogue.data(1, 2 | 4, init(0), 0);
  rogue.session.finish(1);
  while (rogue.session.pollFrame(0) !== undefined);
  assert.equal(rogue.data(1, 0, 0), undefined);
  assert.equal(rogue.closeCode(), undefined);
  const head = { type: FrameType.data, sessionId, stream: 1, number: 0n, flags: 0, epoch: 0 };
  for (const change of [{}, { number: 9n }, { number: 2n, sessionId: fromHex("00".repeat(8)) }]) {
    assert.equal(rogue.session.admit({ ...head, ...change })?.code, "protocol");
  }
  const body = encodeControl([{ kind: "credit", limit: 1n }]);
  assert.equal(rogue.say(FrameType.streamControl, 1, 0, body), undefined);
});
