import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Bytes } from "../src/bytes.js";
import { WebCryptoEngine, type KeyPair } from "../src/crypto-web.js";
import { EpochKeys } from "../src/keys.js";

const file =
  process.env["STT_VECTORS"] ?? join(process.cwd(), "../../tests/vectors/sealine/stt.json");

/** The golden vectors, made by an independent implementation; the C++ tests read the same file. */
export const vectors = JSON.parse(readFileSync(file, "utf8")) as Record<string, any>;

export function fromHex(text: string): Bytes {
  return new Uint8Array(Buffer.from(text, "hex"));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

// RFC 8410: what stands before the 32 bytes of a private X25519 key.
const pkcs8Start = fromHex("302e020100300506032b656e04220420");

/** The real cryptography with chosen randomness, and with a look at every key that it makes. */
export class FixedEngine extends WebCryptoEngine {
  readonly randoms: Bytes[] = [];
  readonly hmacKeys: string[] = [];

  static async with(randoms: readonly string[]): Promise<FixedEngine> {
    const engine = new FixedEngine();
    await engine.check();
    engine.randoms.push(...randoms.map(fromHex));
    return engine;
  }

  override async check(): Promise<void> {}

  override random(count: number): Bytes {
    const next = this.randoms.shift();
    if (next === undefined) return super.random(count);
    if (next.length !== count) throw new Error(`asked for ${count} random bytes, not ${next.length}`);
    return next;
  }

  override async generateKeyPair(): Promise<KeyPair> {
    return keyPairOf(this.random(32));
  }

  override async hmacKey(raw: Bytes): Promise<CryptoKey> {
    this.hmacKeys.push(toHex(raw));
    return super.hmacKey(raw);
  }
}

export async function keyPairOf(secret: Bytes): Promise<KeyPair> {
  const { subtle } = globalThis.crypto;
  const bytes = Buffer.concat([pkcs8Start, secret]);
  const key = await subtle.importKey("pkcs8", bytes, "X25519", true, ["deriveBits"]);
  const { x } = await subtle.exportKey("jwk", key);
  return { privateKey: key, publicKey: new Uint8Array(Buffer.from(x!, "base64url")) };
}

/** The keys of a direction and epoch of the vectors. */
export async function goldenKeys(
  engine: WebCryptoEngine,
  direction: string,
  epoch: number,
): Promise<EpochKeys> {
  const row = vectors["stream_keys"].find((v: any) => v.dir === direction && v.epoch === epoch);
  return EpochKeys.create(engine, epoch, await engine.hmacKey(fromHex(row.root)));
}

/** A copy of plain data that shares nothing, as a socket would make. */
export function wire(bytes: Bytes): Bytes {
  return bytes.slice();
}
