import assert from "node:assert/strict";
import { concat, utf8, varint, type Bytes } from "../src/bytes.js";
import type { WebCryptoEngine } from "../src/crypto-web.js";
import { encodeHeader, FrameType, isHandshake, parseFrame, type FrameHead } from "../src/frame.js";
import { seedKey } from "../src/handshake.js";
import { EpochKeys } from "../src/keys.js";
import { Session, type SessionEvent } from "../src/session.js";
import * as tlv from "../src/tlv.js";

const nothing: Bytes = new Uint8Array(0);

/**
 * The side that is dialled, as far as a test needs it: its handshake is written from the document
 * once more, so that the client's is not compared with itself.
 */
export class Peer {
  readonly events: SessionEvent[] = [];
  session: Session | undefined;
  /** Set where the peer must not answer a rotation. */
  onEvent: (event: SessionEvent) => void = () => {};
  readonly #engine: WebCryptoEngine;
  readonly #seed: Bytes;
  readonly #send: (message: Bytes) => void;
  readonly #close: (code: number) => void;
  #finish: ((proof: Map<string, tlv.Tlv>) => Promise<void>) | undefined;
  #receive!: EpochKeys;
  #transmit!: EpochKeys;
  #queue: Promise<void> = Promise.resolve();

  constructor(
    engine: WebCryptoEngine,
    seed: Bytes,
    send: (message: Bytes) => void,
    close: (code: number) => void,
  ) {
    this.#engine = engine;
    this.#seed = seed;
    this.#send = send;
    this.#close = close;
  }

  message(bytes: Bytes): void {
    this.#queue = this.#queue.then(() => this.#take(bytes)).catch(() => this.#close(1002));
  }

  /** All that came so far is handled, and what it led to is sent. */
  async settled(): Promise<void> {
    await this.#queue;
  }

  /** Sends what waits; one at a time, so that frames keep their order. */
  flush(): Promise<void> {
    this.#flushed = this.#flushed.then(() => this.#sendAll(this.session!));
    return this.#flushed;
  }

  #flushed: Promise<void> = Promise.resolve();

  async #sendAll(session: Session): Promise<void> {
    for (;;) {
      let frame = session.pollFrame(performance.now());
      await this.#drain(session);
      frame ??= session.pollFrame(performance.now()); // a rotation that was just prepared
      if (frame === undefined) return;
      if (frame.head.epoch > this.#transmit.epoch) this.#transmit = this.#nextTransmit!;
      this.#send(await this.#transmit.seal(frame.head, frame.plaintext));
    }
  }

  #nextTransmit: EpochKeys | undefined;
  #nextReceive: EpochKeys | undefined;
  #asked: { nonce: Bytes; privateKey: CryptoKey } | undefined;

  async #drain(session: Session): Promise<void> {
    const engine = this.#engine;
    for (let event = session.pollEvent(); event !== undefined; event = session.pollEvent()) {
      this.events.push(event);
      if (event.kind === "answer_rotation") {
        const pair = await engine.generateKeyPair();
        const shared = await engine.x25519(pair.privateKey, event.question.ephemeral!);
        this.#nextReceive = await this.#receive.next(event.question.nonce, shared!);
        session.rotationAnswered(pair.publicKey);
      } else if (event.kind === "prepare_rotation") {
        const pair = await engine.generateKeyPair();
        this.#asked = { nonce: engine.random(32), privateKey: pair.privateKey };
        session.rotationPrepared(this.#asked.nonce, pair.publicKey);
      } else if (event.kind === "finish_rotation") {
        const { nonce, privateKey } = this.#asked!;
        const shared = await engine.x25519(privateKey, event.answer.ephemeral!);
        this.#nextTransmit = await this.#transmit.next(nonce, shared!);
        session.rotationFinished();
      }
      this.onEvent(event);
    }
  }

  async #take(message: Bytes): Promise<void> {
    for (let rest = message; rest.length > 0; ) {
      const frame = parseFrame(rest);
      rest = rest.subarray(frame.frameBytes);
      if (isHandshake(frame.head.type)) {
        const start = frame.payload.indexOf(0x41, 1);
        const value = tlv.decode(frame.payload.subarray(start));
        assert(value.t === "dict");
        if (this.#finish === undefined) await this.#hello(frame.head.sessionId, new Map(value.v));
        else await this.#finish(new Map(value.v));
        continue;
      }
      const session = this.session!;
      assert.equal(session.admit(frame.head), undefined);
      if (frame.head.epoch > this.#receive.epoch) this.#receive = this.#nextReceive!;
      const plaintext = await this.#receive.open(frame);
      assert(plaintext !== undefined);
      assert.equal(session.handleFrame(frame.head, plaintext, performance.now()), undefined);
      await this.flush();
    }
  }

  #frame(type: FrameHead["type"], sessionId: Bytes, fields: Record<string, tlv.Tlv>): Bytes {
    const message = tlv.encode(tlv.dict(fields));
    const payload = concat(varint(0), varint(message.length), message);
    const head = { type, sessionId, stream: 0, number: 0n, flags: 0, epoch: 0 };
    return concat(encodeHeader(head, payload.length), payload, varint(0));
  }

  async #hello(handshakeId: Bytes, hello: Map<string, tlv.Tlv>): Promise<void> {
    const engine = this.#engine;
    const prk0 = await seedKey(engine, this.#seed.slice());
    const bytes = (from: Map<string, tlv.Tlv>, name: string): Bytes => {
      const value = from.get(name);
      assert(value?.t === "bytes");
      return value.v.slice();
    };
    const bare = new Map(hello);
    bare.delete("commitment");
    const helloKey = await engine.deriveKey(prk0, "stt1 hello", nothing);
    const expected = await engine.hmac(helloKey, tlv.encode({ t: "dict", v: bare }));
    if (Buffer.compare(expected, bytes(hello, "commitment")) !== 0) {
      this.#close(1008);
      return;
    }
    const timestamp = hello.get("timestamp");
    assert(timestamp?.t === "u64");

    const nodeI = bytes(hello, "node_id");
    const nonceI = bytes(hello, "nonce");
    const nodeR = engine.random(32);
    const nonceR = engine.random(32);
    const pair = await engine.generateKeyPair();
    const shared = await engine.x25519(pair.privateKey, bytes(hello, "eph"));
    const start = {
      type: tlv.text("RESPONSE"),
      node_id: tlv.bytes(nodeR),
      nonce: tlv.bytes(nonceR),
      eph: tlv.bytes(pair.publicKey),
    };
    const helloBytes = tlv.encode({ t: "dict", v: hello });
    const th2 = await engine.sha256(utf8("STT1"), helloBytes, tlv.encode(tlv.dict(start)));
    const kh = await engine.hmacKey(await engine.hmac(prk0, shared!));
    const sessionId = nonceI.slice(0, 8).map((b, i) => b ^ nonceR[i]! ^ nodeI[i]! ^ nodeR[i]!);
    const salt = engine.random(32);
    const challengeKey = await engine.deriveAead(
      await engine.deriveKey(kh, "stt1 chal R", th2),
      "stt1 seal",
      salt,
    );
    const challenge = await engine.seal(
      challengeKey,
      new Uint8Array(12),
      th2,
      concat(nonceI, nonceR),
    );
    const response = {
      ...start,
      challenge: tlv.bytes(challenge),
      metadata: tlv.bytes(concat(new Uint8Array([1]), salt)),
    };
    this.#send(this.#frame(FrameType.handshake, handshakeId, response));
    this.#finish = async (proof) => {
      const metadata = bytes(proof, "metadata");
      const proofKey = await engine.deriveAead(
        await engine.deriveKey(kh, "stt1 proof I", th2),
        "stt1 seal",
        metadata.slice(1),
      );
      const opened = await engine.open(proofKey, new Uint8Array(12), th2, bytes(proof, "proof"));
      assert.deepEqual(opened, sessionId);
      const context = tlv.encode(
        tlv.dict({
          nonce_a: tlv.bytes(nonceI),
          nonce_b: tlv.bytes(nonceR),
          timestamp,
          node_a: tlv.bytes(nodeI),
          node_b: tlv.bytes(nodeR),
          purpose: tlv.text("session_key"),
        }),
      );
      const key = await engine.deriveKey(kh, "stt1 session", await engine.sha256(context, th2));
      const root = (label: string): Promise<CryptoKey> => engine.deriveKey(key, label, th2);
      this.#receive = await EpochKeys.create(engine, 0, await root("stt1 i2r"));
      this.#transmit = await EpochKeys.create(engine, 0, await root("stt1 r2i"));
      this.session = new Session(
        { role: "responder", sessionId, forwardSecrecy: true },
        performance.now(),
      );
      const finalKey = await engine.deriveKey(kh, "stt1 final R", th2);
      const confirm = await engine.hmac(finalKey, sessionId);
      const final = { type: tlv.text("FINAL"), session_id: tlv.bytes(sessionId) };
      const fields = { ...final, confirm: tlv.bytes(confirm) };
      this.#send(this.#frame(FrameType.auth, sessionId, fields));
    };
  }
}
