import { concat, constantTimeEqual, copyOf, Reader, utf8, varint, type Bytes } from "./bytes.js";
import type { KeyPair, WebCryptoEngine } from "./crypto-web.js";
import { SttError } from "./errors.js";
import { encodeHeader, FrameType, type FrameView } from "./frame.js";
import { EpochKeys } from "./keys.js";
import * as tlv from "./tlv.js";

// HELLO, (RETRY, HELLO,) RESPONSE, AUTH_PROOF, FINAL: the side that dials, over WebSocket.
//                                                                    spec: stt.md#handshake

const suite = 1;
const maxTlvBytes = 4096;
const nodeBytes = 32;
const nonceBytes = 32;
const cookieBytes = 16;
const challengeBytes = 80;
const metadataBytes = 33;
const saltBytes = 32;
const confirmBytes = 32;
const sessionIdBytes = 8;
const sealNonce = new Uint8Array(12);
const nothing: Bytes = new Uint8Array(0);

/** A finished handshake: what a session begins with. */
export interface Established {
  readonly sessionId: Bytes;
  /** K[I2R,0] */
  readonly initiatorKeys: EpochKeys;
  /** K[R2I,0] */
  readonly responderKeys: EpochKeys;
  readonly forwardSecrecy: boolean;
  /** The responder's node id. */
  readonly peer: Bytes;
}

export interface HandshakeConfig {
  /** PRK0 of the seed: {@link seedKey}. */
  readonly seedKey: CryptoKey;
  readonly nodeId: Bytes;
  readonly capabilities?: readonly string[];
  /** Whether to offer forward secrecy; true unless said. */
  readonly ephemeral?: boolean;
}

/** What a frame led to: bytes to send, or the end. */
export type Step =
  | { readonly kind: "send"; readonly message: Bytes }
  | { readonly kind: "done"; readonly established: Established };

/** PRK0 = HKDF-Extract("STC1", seed). `seed` is wiped. */
export async function seedKey(engine: WebCryptoEngine, seed: Bytes): Promise<CryptoKey> {
  const key = await engine.hmacKey(await engine.hmac(await engine.hmacKey(utf8("STC1")), seed));
  seed.fill(0);
  return key;
}

interface Hello {
  readonly nodeId: Bytes;
  readonly nonce: Bytes;
  readonly timestamp: bigint;
  readonly capabilities: readonly string[];
  readonly ephemeral: Bytes | undefined;
  readonly cookie: Bytes | undefined;
  readonly commitment: Bytes | undefined;
}

interface Response {
  readonly nodeId: Bytes;
  readonly nonce: Bytes;
  readonly ephemeral: Bytes | undefined;
  readonly challenge: Bytes;
  readonly metadata: Bytes;
}

interface Keys {
  readonly sessionId: Bytes;
  readonly kh: CryptoKey;
  readonly th2: Bytes;
  readonly nonces: Bytes;
  readonly context: Bytes;
}

/** What the dial waits for; each state holds what it still needs and nothing more. */
type State =
  | { readonly at: "start" }
  | {
      readonly at: "response";
      readonly hellos: readonly Hello[]; // one, or two after a RETRY
      readonly ephemeral: KeyPair | undefined;
    }
  | { readonly at: "final"; readonly keys: Keys; readonly peer: Bytes; readonly secret: boolean }
  | { readonly at: "over" };

/**
 * One dial. Over WebSocket any fault ends it: every method throws, and nothing can follow.
 * Errors: malformed, not_authentic, protocol.
 */
export class Initiator {
  readonly #engine: WebCryptoEngine;
  readonly #config: HandshakeConfig;
  readonly #handshakeId: Bytes;
  #state: State = { at: "start" };

  constructor(engine: WebCryptoEngine, config: HandshakeConfig) {
    this.#engine = engine;
    this.#config = config;
    this.#handshakeId = engine.random(sessionIdBytes);
  }

  /** The first message. */
  async start(unixMs: number): Promise<Bytes> {
    const ephemeral =
      this.#config.ephemeral === false ? undefined : await this.#engine.generateKeyPair();
    const hello = await this.#commit({
      nodeId: this.#config.nodeId,
      nonce: this.#engine.random(nonceBytes),
      timestamp: BigInt(unixMs),
      capabilities: this.#config.capabilities ?? [],
      ephemeral: ephemeral?.publicKey,
      cookie: undefined,
      commitment: undefined,
    });
    this.#state = { at: "response", hellos: [hello], ephemeral };
    return this.#framed(FrameType.handshake, this.#handshakeId, encodeHello(hello));
  }

  async handle(frame: FrameView): Promise<Step> {
    const state = this.#state;
    this.#state = { at: "over" }; // until this step has succeeded
    const payload = payloadOf(frame);
    const ofDial =
      frame.head.type === FrameType.handshake &&
      constantTimeEqual(frame.head.sessionId, this.#handshakeId);
    if (state.at === "response" && ofDial) {
      const fields = new Fields(payload);
      if (fields.type === "RETRY") return this.#handleRetry(state, fields);
      return this.#handleResponse(state, fields);
    }
    if (
      state.at === "final" &&
      frame.head.type === FrameType.auth &&
      constantTimeEqual(frame.head.sessionId, state.keys.sessionId)
    ) {
      return this.#handleFinal(state, new Fields(payload));
    }
    throw new SttError("protocol", "a handshake message that nobody waits for");
  }

  async #handleRetry(state: State & { at: "response" }, fields: Fields): Promise<Step> {
    const cookie = fields.bytes("cookie", cookieBytes);
    fields.finish();
    const [first, second] = state.hellos;
    if (first === undefined || second !== undefined) {
      throw new SttError("protocol", "the server asked for another try twice");
    }
    // A new nonce: the old HELLO may be in the responder's memory meanwhile.
    const nonce = this.#engine.random(nonceBytes);
    const again = await this.#commit({ ...first, cookie, nonce, commitment: undefined });
    this.#state = { ...state, hellos: [first, again] };
    const message = this.#framed(FrameType.handshake, this.#handshakeId, encodeHello(again));
    return { kind: "send", message };
  }

  async #handleResponse(state: State & { at: "response" }, fields: Fields): Promise<Step> {
    const response = parseResponse(fields);
    if (constantTimeEqual(response.nodeId, this.#config.nodeId)) {
      throw new SttError("not_authentic", "the answer is a reflection of our own");
    }
    if ((response.ephemeral === undefined) !== (state.ephemeral === undefined)) {
      throw new SttError("malformed", "an ephemeral key is missing, or was not asked for");
    }
    let shared: Bytes = nothing;
    if (state.ephemeral !== undefined && response.ephemeral !== undefined) {
      const agreed = await this.#engine.x25519(state.ephemeral.privateKey, response.ephemeral);
      if (agreed === undefined) throw new SttError("not_authentic", "an all-zero shared secret");
      shared = agreed;
    }
    // A RESPONSE to the first HELLO is good to the end of the dial: an injected RETRY stops nothing.
    for (const hello of state.hellos) {
      const keys = await this.#schedule(hello, response, shared);
      if (!(await this.#opensChallenge(keys, response))) continue;
      shared.fill(0);
      const proof = await this.#seal(keys, "stt1 proof I", keys.sessionId);
      this.#state = {
        at: "final",
        keys,
        peer: response.nodeId,
        secret: state.ephemeral !== undefined,
      };
      const message = this.#framed(
        FrameType.auth,
        keys.sessionId,
        tlv.encode(
          tlv.dict({
            type: tlv.text("AUTH_PROOF"),
            session_id: tlv.bytes(keys.sessionId),
            proof: tlv.bytes(proof.ciphertext),
            metadata: tlv.bytes(proof.metadata),
          }),
        ),
      );
      return { kind: "send", message };
    }
    throw new SttError("not_authentic", "the server does not know the seed");
  }

  async #handleFinal(state: State & { at: "final" }, fields: Fields): Promise<Step> {
    fields.expect("FINAL");
    const named = fields.bytes("session_id", sessionIdBytes);
    const confirm = fields.bytes("confirm", confirmBytes);
    fields.finish();
    const { kh, th2, sessionId, context } = state.keys;
    const engine = this.#engine;
    const key = await engine.deriveKey(kh, "stt1 final R", th2);
    const expected = await engine.hmac(key, sessionId);
    if (!constantTimeEqual(expected, confirm) || !constantTimeEqual(named, sessionId)) {
      throw new SttError("not_authentic", "the server's last handshake message is not authentic");
    }
    const hash = await engine.sha256(context, th2);
    const session = await engine.deriveKey(kh, "stt1 session", hash);
    const root = (label: string): Promise<CryptoKey> => engine.deriveKey(session, label, th2);
    const established = {
      sessionId,
      initiatorKeys: await EpochKeys.create(engine, 0, await root("stt1 i2r")),
      responderKeys: await EpochKeys.create(engine, 0, await root("stt1 r2i")),
      forwardSecrecy: state.secret,
      peer: state.peer,
    };
    return { kind: "done", established };
  }

  async #commit(hello: Hello): Promise<Hello> {
    const key = await this.#engine.deriveKey(this.#config.seedKey, "stt1 hello", nothing);
    return { ...hello, commitment: await this.#engine.hmac(key, encodeHello(hello)) };
  }

  async #schedule(hello: Hello, response: Response, shared: Bytes): Promise<Keys> {
    const engine = this.#engine;
    const sessionId = new Uint8Array(sessionIdBytes);
    for (let i = 0; i < sessionIdBytes; ++i) {
      sessionId[i] =
        hello.nonce[i]! ^ response.nonce[i]! ^ hello.nodeId[i]! ^ response.nodeId[i]!;
    }
    const th2 = await engine.sha256(
      concat(utf8("STT1"), encodeHello(hello), encodeResponseStart(response)),
    );
    const context = tlv.encode(
      tlv.dict({
        nonce_a: tlv.bytes(hello.nonce),
        nonce_b: tlv.bytes(response.nonce),
        timestamp: tlv.u64(hello.timestamp),
        node_a: tlv.bytes(hello.nodeId),
        node_b: tlv.bytes(response.nodeId),
        purpose: tlv.text("session_key"),
      }),
    );
    const kh = await engine.hmacKey(await engine.hmac(this.#config.seedKey, shared));
    return { sessionId, kh, th2, nonces: concat(hello.nonce, response.nonce), context };
  }

  // Seal(L(Kh, label, th2), "stt1 seal", th2, data): one message under one key.  spec: stt.md#stc1
  async #sealKey(keys: Keys, label: string, salt: Bytes): Promise<CryptoKey> {
    const key = await this.#engine.deriveKey(keys.kh, label, keys.th2);
    return this.#engine.deriveAead(key, "stt1 seal", salt);
  }

  async #seal(
    keys: Keys,
    label: string,
    data: Bytes,
  ): Promise<{ ciphertext: Bytes; metadata: Bytes }> {
    const salt = this.#engine.random(saltBytes);
    const key = await this.#sealKey(keys, label, salt);
    return {
      ciphertext: await this.#engine.seal(key, sealNonce, keys.th2, data),
      metadata: concat(new Uint8Array([1]), salt),
    };
  }

  async #opensChallenge(keys: Keys, response: Response): Promise<boolean> {
    if (response.metadata[0] !== 1) return false;
    const key = await this.#sealKey(keys, "stt1 chal R", response.metadata.subarray(1));
    const opened = await this.#engine.open(key, sealNonce, keys.th2, response.challenge);
    return opened !== undefined && constantTimeEqual(opened, keys.nonces);
  }

  #framed(type: FrameType, sessionId: Bytes, message: Bytes): Bytes {
    const payload = concat(varint(0), varint(message.length), message);
    const head = { type, sessionId, stream: 0, number: 0n, flags: 0, epoch: 0 };
    return concat(encodeHeader(head, payload.length), payload, varint(0));
  }
}

/** `offset varint | total varint | TLV`: in suite 1 a message is one piece. */
function payloadOf(frame: FrameView): Bytes {
  const reader = new Reader(frame.payload);
  const offset = reader.varint();
  const total = reader.varint();
  if (offset !== 0n || total !== BigInt(reader.remaining) || total > BigInt(maxTlvBytes)) {
    throw new SttError("malformed", "a handshake message in pieces");
  }
  return reader.rest();
}

/** Takes the fields of a message: each with exactly its tag and length, and none unknown. */
class Fields {
  readonly type: string;
  readonly #members: ReadonlyMap<string, tlv.Tlv>;
  #taken = 1; // the type

  constructor(payload: Bytes) {
    const value = tlv.decode(payload);
    const type = value.t === "dict" ? value.v.get("type") : undefined;
    if (value.t !== "dict" || type?.t !== "text") {
      throw new SttError("malformed", "a handshake message without a type");
    }
    this.#members = value.v;
    this.type = type.v;
  }

  expect(type: string): void {
    if (this.type !== type) throw new SttError("malformed", `a handshake message other than ${type}`);
  }

  has(name: string): boolean {
    return this.#members.has(name);
  }

  bytes(name: string, count: number): Bytes {
    const field = this.#members.get(name);
    if (field?.t !== "bytes" || field.v.length !== count) {
      throw new SttError("malformed", `handshake field ${name}`);
    }
    ++this.#taken;
    return copyOf(field.v);
  }

  finish(): void {
    if (this.#taken !== this.#members.size) throw new SttError("malformed", "unknown fields");
  }
}

function encodeHello(hello: Hello): Bytes {
  const members: Record<string, tlv.Tlv> = {
    type: tlv.text("HELLO"),
    suite: tlv.u8(suite),
    node_id: tlv.bytes(hello.nodeId),
    nonce: tlv.bytes(hello.nonce),
    timestamp: tlv.u64(hello.timestamp),
    capabilities: tlv.list(...hello.capabilities.map(tlv.text)),
  };
  if (hello.ephemeral !== undefined) members["eph"] = tlv.bytes(hello.ephemeral);
  if (hello.cookie !== undefined) members["cookie"] = tlv.bytes(hello.cookie);
  if (hello.commitment !== undefined) members["commitment"] = tlv.bytes(hello.commitment);
  return tlv.encode(tlv.dict(members));
}

function parseResponse(fields: Fields): Response {
  fields.expect("RESPONSE");
  const response = {
    nodeId: fields.bytes("node_id", nodeBytes),
    nonce: fields.bytes("nonce", nonceBytes),
    ephemeral: fields.has("eph") ? fields.bytes("eph", 32) : undefined,
    challenge: fields.bytes("challenge", challengeBytes),
    metadata: fields.bytes("metadata", metadataBytes),
  };
  fields.finish();
  return response;
}

/** ctx(RESPONSE without challenge, metadata) */
function encodeResponseStart(response: Response): Bytes {
  const members: Record<string, tlv.Tlv> = {
    type: tlv.text("RESPONSE"),
    node_id: tlv.bytes(response.nodeId),
    nonce: tlv.bytes(response.nonce),
  };
  if (response.ephemeral !== undefined) members["eph"] = tlv.bytes(response.ephemeral);
  return tlv.encode(tlv.dict(members));
}
