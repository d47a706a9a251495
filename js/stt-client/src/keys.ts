import { be, concat, varint, type Bytes } from "./bytes.js";
import type { WebCryptoEngine } from "./crypto-web.js";
import { encodeHeader, encodeMeta, minPayloadBytes, type FrameHead, type FrameView } from "./frame.js";

const keptStreamKeys = 256;
const nonceBytes = 12;

/** The keys of one direction in one epoch, one for each stream.      spec: stt.md#protection */
export class EpochKeys {
  readonly epoch: number;
  readonly #engine: WebCryptoEngine;
  readonly #root: CryptoKey;
  readonly #iv: Bytes;
  readonly #streams = new Map<number, Promise<CryptoKey>>();

  /** `root` is K[d,e]. */
  static async create(engine: WebCryptoEngine, epoch: number, root: CryptoKey): Promise<EpochKeys> {
    const iv = await engine.derive(root, "stc1 iv", new Uint8Array(0), nonceBytes);
    return new EpochKeys(engine, epoch, root, iv);
  }

  private constructor(engine: WebCryptoEngine, epoch: number, root: CryptoKey, iv: Bytes) {
    this.#engine = engine;
    this.epoch = epoch;
    this.#root = root;
    this.#iv = iv;
  }

  /** The keys of the next epoch; `shared` is the rotation's Diffie-Hellman, empty without one. */
  async next(nonce: Bytes, shared: Bytes): Promise<EpochKeys> {
    const engine = this.#engine;
    const extracted = await engine.hmacKey(await engine.hmac(this.#root, shared));
    const root = await engine.deriveKey(extracted, "stc1 rotate", nonce);
    return EpochKeys.create(engine, this.epoch + 1, root);
  }

  /** The whole frame. `head.epoch` is ours. */
  async seal(head: FrameHead, plaintext: Bytes): Promise<Bytes> {
    const header = encodeHeader(head, plaintext.length + minPayloadBytes);
    const meta = encodeMeta(head);
    const key = await this.#keyOf(head.stream);
    const aad = concat(header, meta);
    const payload = await this.#engine.seal(key, this.#nonceOf(head.number), aad, plaintext);
    return concat(header, payload, varint(meta.length), meta);
  }

  /** Undefined where the tag is wrong. */
  async open(frame: FrameView): Promise<Bytes | undefined> {
    const key = await this.#keyOf(frame.head.stream);
    const aad = concat(frame.header, frame.meta);
    return this.#engine.open(key, this.#nonceOf(frame.head.number), aad, frame.payload);
  }

  #keyOf(stream: number): Promise<CryptoKey> {
    const known = this.#streams.get(stream);
    if (known !== undefined) return known;
    if (this.#streams.size >= keptStreamKeys) {
      const [oldest] = this.#streams.keys();
      this.#streams.delete(oldest!);
    }
    const made = this.#engine.deriveAead(this.#root, "stc1 stream", be(stream, 4));
    this.#streams.set(stream, made);
    return made;
  }

  #nonceOf(number: bigint): Bytes {
    const nonce = this.#iv.slice();
    be(number, 8).forEach((byte, i) => {
      nonce[4 + i]! ^= byte;
    });
    return nonce;
  }
}
