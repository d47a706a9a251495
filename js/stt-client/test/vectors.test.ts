import assert from "node:assert/strict";
import { test } from "node:test";
import { Reader, varint, type Bytes } from "../src/bytes.js";
import { encodeControl, parseControl, type ControlMessage } from "../src/control.js";
import { WebCryptoEngine } from "../src/crypto-web.js";
import { SttError } from "../src/errors.js";
import { FrameType, parseFrame } from "../src/frame.js";
import { seedKey } from "../src/handshake.js";
import { withoutPadding } from "../src/padding.js";
import * as tlv from "../src/tlv.js";
import { FixedEngine, fromHex, goldenKeys, keyPairOf, toHex, vectors } from "./support.js";

function errorOf(run: () => unknown): SttError {
  try {
    run();
  } catch (thrown) {
    assert(thrown instanceof SttError, String(thrown));
    return thrown;
  }
  assert.fail("nothing was thrown");
}

// SPEC stt.md#tlv
test("varints both ways, and the bad ones refused", () => {
  for (const { value, hex } of vectors["varint"].good) {
    const reader = new Reader(fromHex(hex));
    assert.equal(reader.varint(), BigInt(value));
    reader.finish();
    assert.equal(toHex(varint(BigInt(value))), hex);
  }
  for (const { hex, reason } of vectors["varint"].bad) {
    const error = errorOf(() => {
      const reader = new Reader(fromHex(hex));
      reader.varint();
      reader.finish();
    });
    assert.equal(error.code, "malformed", reason);
  }
  assert.equal(vectors["varint"].good.length, 23);
  assert.equal(vectors["varint"].bad.length, 11);
});

function made(v: any): tlv.Tlv {
  switch (v.t) {
    case "null":
      return { t: "null" };
    case "bool":
      return { t: "bool", v: v.v };
    case "int":
      return tlv.integer(BigInt(v.v));
    case "float":
      return tlv.float(Number(v.v));
    case "f32":
    case "f64":
      return { t: v.t, bits: BigInt(`0x${v.bits}`) };
    case "bytes":
      return tlv.bytes(fromHex(v.v));
    case "str":
    case "text":
      return tlv.text(v.v);
    case "list":
      return tlv.list(...v.v.map(made));
    case "dict":
      return { t: "dict", v: new Map(v.v.map(([key, value]: [string, any]) => [key, made(value)])) };
    default:
      return { t: v.t, v: BigInt(v.v) };
  }
}

test("TLV values encode and decode to the same bytes", () => {
  for (const { value, hex } of vectors["tlv"].good) {
    assert.equal(toHex(tlv.encode(tlv.decode(fromHex(hex)))), hex);
    assert.equal(toHex(tlv.encode(made(value))), hex, JSON.stringify(value).slice(0, 200));
  }
  assert.equal(vectors["tlv"].good.length, 43);
});

test("TLV faults are found at their offset", () => {
  for (const { hex, reason, offset } of vectors["tlv"].bad) {
    const error = errorOf(() => tlv.decode(fromHex(hex)));
    assert.equal(error.code, "malformed", reason);
    assert.equal(error.detail, offset, reason);
  }
  assert.equal(vectors["tlv"].bad.length, 35);
});

test("labels and STC1's calls that a session uses", async () => {
  const engine = await FixedEngine.with([]);
  for (const { key, label, ctx, n, out } of vectors["labels"]) {
    const secret = await engine.hmacKey(fromHex(key));
    assert.equal(toHex(await engine.derive(secret, label, fromHex(ctx), n)), out);
  }
  const [first] = vectors["stc1"];
  await seedKey(engine, fromHex(first.seed));
  assert.equal(engine.hmacKeys.at(-1), first.out);
});

// SPEC stt.md#protection
test("frames seal and open, in every epoch, of both directions", async () => {
  const engine = await WebCryptoEngine.create();
  for (const v of vectors["frames"]) {
    const keys = await goldenKeys(engine, v.dir, v.epoch);
    const frame = parseFrame(fromHex(v.frame));
    assert.equal(frame.frameBytes, v.frame.length / 2);
    assert.equal(frame.head.type, v.type);
    assert.equal(frame.head.stream, v.stream);
    assert.equal(frame.head.flags, v.flags);
    assert.equal(frame.head.epoch, v.epoch);
    assert.equal(frame.head.number, BigInt(v.pn));
    assert.equal(toHex(await keys.seal(frame.head, fromHex(v.plaintext))), v.frame);
    const opened = await keys.open(frame);
    assert(opened !== undefined);
    assert.equal(toHex(opened), v.plaintext);
    assert.equal(toHex(withoutPadding(v.flags, opened)), v.body);
  }
  assert.equal(vectors["frames"].length, 60);
});

test("every bit of a frame is bound", async () => {
  const engine = await WebCryptoEngine.create();
  const keys = await goldenKeys(engine, "I2R", 0);
  const good = fromHex(vectors["frames"][0].frame);
  for (let bit = 0; bit < 8 * good.length; ++bit) {
    const changed = good.slice();
    changed[bit >> 3]! ^= 1 << (bit & 7);
    let opened: Bytes | undefined;
    try {
      const frame = parseFrame(changed);
      // Another session is a matter of the session, the length one of what follows.
      opened = frame.frameBytes === good.length ? await keys.open(frame) : undefined;
    } catch (thrown) {
      assert(thrown instanceof SttError);
    }
    assert.equal(opened, undefined, `bit ${bit}`);
  }
});

test("heads that are wrong without any key are refused", () => {
  const headFaults = new Set([
    "header truncated",
    "magic",
    "type",
    "stream id",
    "varint not minimal",
    "packet number",
    "flags",
    "payload length",
    "varint truncated",
    "meta",
    "meta length",
  ]);
  let checked = 0;
  for (const v of vectors["bad_frames"]) {
    if (!headFaults.has(v.reason)) continue;
    const error = errorOf(() => {
      let rest = fromHex(v.hex);
      while (rest.length > 0) rest = rest.subarray(parseFrame(rest).frameBytes);
    });
    assert.equal(error.code, "malformed", v.name);
    ++checked;
  }
  assert(checked >= 20, String(checked));
});

// SPEC stt.md#rotation
test("rotations give the next epoch's keys, and their messages are as printed", async () => {
  for (const v of vectors["rotation"]) {
    const engine = await FixedEngine.with([]);
    const row = vectors["stream_keys"].find(
      (keys: any) => keys.dir === v.dir && keys.epoch === v.epoch - 1,
    );
    assert.equal(row.root, v.old);
    if (v.x !== "") {
      const ours = await keyPairOf(fromHex(v.eph_private));
      assert.equal(toHex(ours.publicKey), v.eph);
      const shared = await engine.x25519(ours.privateKey, fromHex(v.answer_eph));
      assert.equal(toHex(shared!), v.x);
    }
    const keys = await goldenKeys(engine, v.dir, v.epoch - 1);
    await keys.next(fromHex(v.nonce), fromHex(v.x));
    assert.equal(engine.hmacKeys.at(-1), v.new);
    for (const name of ["rotate", "rotated"]) {
      const messages = parseControl(FrameType.control, fromHex(v[name]));
      assert.equal(messages[0]?.kind, name);
      assert.equal(toHex(encodeControl(messages)), v[name]);
    }
  }
});

// SPEC stt.md#control
test("control messages of the golden frames encode to their bytes again", () => {
  const known = (body: string): boolean => !/40000000[0-9a-f]{2}14(01|02|04|05|06|0e)/.test(body);
  let same = 0;
  for (const v of vectors["frames"]) {
    if (v.type === FrameType.data || (v.flags & 2) !== 0) continue;
    let messages: ControlMessage[];
    try {
      messages = parseControl(v.type, fromHex(v.body));
    } catch {
      // ACK is a fault on WebSocket: the code 3 of CONTROL
      assert.equal(v.type, FrameType.control, v.body);
      assert.match(v.body, /140317/);
      continue;
    }
    if (messages.length > 0 && !known(v.body) && toHex(encodeControl(messages)) === v.body) ++same;
  }
  assert(same >= 20, String(same));
});
