import assert from "node:assert/strict";
import { test } from "node:test";
import { concat, varint, type Bytes } from "../src/bytes.js";
import { SttError } from "../src/errors.js";
import { encodeHeader, FrameType, parseFrame } from "../src/frame.js";
import { Initiator, seedKey, type Step } from "../src/handshake.js";
import { parseSeed } from "../src/seed.js";
import * as tlv from "../src/tlv.js";
import { FixedEngine, fromHex, toHex, vectors } from "./support.js";

const golden = vectors["handshakes"].find((v: any) => v.name === "ws eph");

interface Dial {
  readonly engine: FixedEngine;
  readonly initiator: Initiator;
}

async function dialOf(v: any, changed: Record<string, unknown> = {}): Promise<Dial> {
  const engine = await FixedEngine.with(v.random_i);
  const initiator = new Initiator(engine, {
    seedKey: await seedKey(engine, fromHex(v.seed)),
    nodeId: fromHex(v.node_i),
    capabilities: ["udp", "websocket", "streaming"],
    ephemeral: v.random_i_order.includes("eph"),
    ...changed,
  });
  return { engine, initiator };
}

function frameOf(v: any, what: string): Bytes {
  return fromHex(v.frames.find((frame: any) => frame.what === what).hex);
}

async function codeOf(step: Promise<Step>): Promise<string> {
  try {
    await step;
  } catch (thrown) {
    assert(thrown instanceof SttError, String(thrown));
    return thrown.code;
  }
  return assert.fail("the step went well");
}

/** A handshake frame with other fields in its message. */
function remade(frame: Bytes, change: (fields: Map<string, tlv.Tlv>) => void): Bytes {
  const view = parseFrame(frame);
  const start = view.payload.indexOf(0x41, 1); // behind `offset varint | total varint`
  const value = tlv.decode(view.payload.subarray(start));
  assert(value.t === "dict");
  const fields = new Map(value.v);
  change(fields);
  const message = tlv.encode({ t: "dict", v: fields });
  const payload = concat(varint(0), varint(message.length), message);
  return concat(encodeHeader(view.head, payload.length), payload, varint(0));
}

// SPEC stt.md#handshake
test("the golden transcript over WebSocket, byte for byte", async () => {
  const { engine, initiator } = await dialOf(golden);
  const [hello, response, proof, final] = golden.frames;
  assert.equal(toHex(await initiator.start(Number(golden.timestamp))), hello.hex);

  const answer = await initiator.handle(parseFrame(fromHex(response.hex)));
  assert(answer.kind === "send");
  assert.equal(toHex(answer.message), proof.hex);
  assert(engine.hmacKeys.includes(golden.kh));

  const done = await initiator.handle(parseFrame(fromHex(final.hex)));
  assert(done.kind === "done");
  assert.equal(toHex(done.established.sessionId), golden.session_id);
  assert.equal(toHex(done.established.peer), golden.node_r);
  assert.equal(done.established.forwardSecrecy, true);
  for (const key of [golden.session_key, golden.k_i2r_0, golden.k_r2i_0]) {
    assert(engine.hmacKeys.includes(key));
  }
  // The keys are those of the golden frames.
  const first = vectors["frames"].find((v: any) => v.dir === "I2R" && v.epoch === 0);
  if (golden.k_i2r_0 === vectors["stream_keys"][0].root) {
    const head = parseFrame(fromHex(first.frame)).head;
    const sealed = await done.established.initiatorKeys.seal(head, fromHex(first.plaintext));
    assert.equal(toHex(sealed), first.frame);
  }
});

test("a RETRY costs a new nonce and nothing else", async () => {
  const v = vectors["handshakes"].find((row: any) => row.name === "udp retry");
  const { initiator } = await dialOf(v);
  const hello = parseFrame(await initiator.start(Number(v.timestamp)));
  const retry = frameOf(v, "RETRY");
  assert.deepEqual(hello.head.sessionId, parseFrame(retry).head.sessionId);
  const again = await initiator.handle(parseFrame(retry));
  assert(again.kind === "send");
  const fields = (bytes: Bytes): Map<string, tlv.Tlv> => {
    let found = new Map<string, tlv.Tlv>();
    remade(bytes, (all) => {
      found = new Map(all);
    });
    return found;
  };
  const second = fields(again.message);
  const cookie = second.get("cookie");
  assert(cookie?.t === "bytes");
  assert.equal(toHex(cookie.v), toHex(cookieOf(retry)));
  const nonce = second.get("nonce");
  assert(nonce?.t === "bytes");
  assert.equal(toHex(nonce.v), v.random_i[3]);

  // Once for a dial.
  assert.equal(await codeOf(initiator.handle(parseFrame(retry))), "protocol");
});

function cookieOf(retry: Bytes): Bytes {
  let cookie: tlv.Tlv | undefined;
  remade(retry, (fields) => {
    cookie = fields.get("cookie");
  });
  assert(cookie?.t === "bytes");
  return cookie.v;
}

test("a dial without an ephemeral says so, and takes none", async () => {
  const { initiator } = await dialOf(golden, { ephemeral: false });
  const engine = await FixedEngine.with([]);
  assert(engine);
  const sent = await initiator.start(1).catch((thrown: unknown) => String(thrown));
  // The fixed randomness is that of a dial with one: 32 bytes as well, so nothing is short.
  assert(sent instanceof Uint8Array);
  remade(sent, (fields) => assert(!fields.has("eph")));
});

test("an answer that is wrong in any way ends the dial", async (t) => {
  const start = async (): Promise<Initiator> => {
    const { initiator } = await dialOf(golden);
    await initiator.start(Number(golden.timestamp));
    return initiator;
  };
  const response = frameOf(golden, "RESPONSE");
  const final = frameOf(golden, "FINAL");

  await t.test("another seed", async () => {
    const { initiator } = await dialOf({ ...golden, seed: "11".repeat(32) });
    await initiator.start(Number(golden.timestamp));
    assert.equal(await codeOf(initiator.handle(parseFrame(response))), "not_authentic");
    assert.equal(await codeOf(initiator.handle(parseFrame(response))), "protocol");
  });
  await t.test("our own node", async () => {
    const own = remade(response, (fields) => {
      fields.set("node_id", tlv.bytes(fromHex(golden.node_i)));
    });
    assert.equal(await codeOf((await start()).handle(parseFrame(own))), "not_authentic");
  });
  await t.test("an ephemeral of small order", async () => {
    const zero = remade(response, (fields) => {
      fields.set("eph", tlv.bytes(new Uint8Array(32)));
    });
    assert.equal(await codeOf((await start()).handle(parseFrame(zero))), "not_authentic");
  });
  await t.test("no ephemeral", async () => {
    const none = remade(response, (fields) => fields.delete("eph"));
    assert.equal(await codeOf((await start()).handle(parseFrame(none))), "malformed");
  });
  await t.test("a field that is unknown, missing, of another tag or length", async () => {
    const changes: ((fields: Map<string, tlv.Tlv>) => void)[] = [
      (fields) => fields.set("more", tlv.u8(1)),
      (fields) => fields.delete("nonce"),
      (fields) => fields.set("nonce", tlv.text("nonce")),
      (fields) => fields.set("nonce", tlv.bytes(new Uint8Array(31))),
      (fields) => fields.set("type", tlv.text("FINAL")),
    ];
    for (const change of changes) {
      const frame = parseFrame(remade(response, change));
      assert.equal(await codeOf((await start()).handle(frame)), "malformed");
    }
  });
  await t.test("a message in pieces", async () => {
    const { head, payload } = parseFrame(response);
    for (const changed of [concat(varint(1), payload.subarray(1)), payload.subarray(0, -1)]) {
      const bytes = concat(encodeHeader(head, changed.length), changed, varint(0));
      assert.equal(await codeOf((await start()).handle(parseFrame(bytes))), "malformed");
    }
  });
  await t.test("FINAL before RESPONSE, and a forged one after it", async () => {
    assert.equal(await codeOf((await start()).handle(parseFrame(final))), "protocol");
    const initiator = await start();
    await initiator.handle(parseFrame(response));
    const forged = remade(final, (fields) => {
      fields.set("confirm", tlv.bytes(new Uint8Array(32)));
    });
    assert.equal(await codeOf(initiator.handle(parseFrame(forged))), "not_authentic");
  });
  await t.test("a RESPONSE of another dial", async () => {
    const { head, payload } = parseFrame(response);
    const other = { ...head, sessionId: new Uint8Array(8) };
    const bytes = concat(encodeHeader(other, payload.length), payload, varint(0));
    assert.equal(await codeOf((await start()).handle(parseFrame(bytes))), "protocol");
  });
  await t.test("any flipped bit of the message", async () => {
    for (let byte = 0; byte < response.length; byte += 7) {
      const changed = response.slice();
      changed[byte]! ^= 0x10;
      const initiator = await start();
      const step = (async () => initiator.handle(parseFrame(changed)))();
      await codeOf(step);
    }
  });
});

test("session frames belong to no handshake", async () => {
  const { initiator } = await dialOf(golden);
  await initiator.start(1);
  const data = parseFrame(fromHex(vectors["frames"][0].frame));
  assert.equal(data.head.type, FrameType.data);
  await assert.rejects(initiator.handle(data), SttError);
});

// SPEC stcp.md#key-texts
test("seed texts: both forms, either case, and what is wrong said without repeating it", async () => {
  const engine = await FixedEngine.with([]);
  const bytes = fromHex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
  const text = await textOf(engine, bytes);
  assert.equal(text.length, 60);
  for (const form of [text, text.toUpperCase(), `  ${text}\n`, toHex(bytes)]) {
    assert.equal(toHex(await parseSeed(engine, form)), toHex(bytes));
  }
  const swapped = text.slice(0, 20) + (text[20] === "a" ? "b" : "a") + text.slice(21);
  const wrong = [
    "",
    text.slice(0, 59),
    `${text}a`,
    swapped,
    `slk1${text.slice(4)}`,
    `slp1${text.slice(4)}`,
    text.replace(/.$/, "1"),
    toHex(bytes).slice(2),
    `${toHex(bytes).slice(2)}zz`,
  ];
  for (const form of wrong) {
    await assert.rejects(parseSeed(engine, form), (error: SttError) => {
      assert.equal(error.code, "bad_seed", form);
      if (form.length > 10) assert(!error.message.includes(form.slice(4, 14)), error.message);
      return true;
    });
  }
});

async function textOf(engine: FixedEngine, seed: Bytes): Promise<string> {
  const sum = await engine.sha256(Buffer.from("sls1"), seed);
  const letters = "abcdefghijklmnopqrstuvwxyz234567";
  let bits = "";
  for (const byte of concat(seed, sum.subarray(0, 3))) bits += byte.toString(2).padStart(8, "0");
  return `sls1${bits.replace(/.{5}/g, (five) => letters[Number.parseInt(five, 2)]!)}`;
}
