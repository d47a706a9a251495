import { be, concat, utf8, type Bytes } from "./bytes.js";
import { SttError } from "./errors.js";

// The only file that touches `crypto.subtle`. No primitive is written by hand: HKDF-Expand and the
// labels are made of its HMAC, since the HKDF of WebCrypto cannot leave Extract out.

export interface KeyPair {
  readonly publicKey: Bytes;
  /** Not extractable. */
  readonly privateKey: CryptoKey;
}

const hmacSha256 = { name: "HMAC", hash: "SHA-256" } as const;
const blockBytes = 32;
const tagBits = 128;

/** AES-GCM, HMAC, SHA-256 and X25519 of the platform. Keys leave it only as `CryptoKey`. */
export class WebCryptoEngine {
  /** Throws `unsupported`, naming what is missing. */
  static async create(): Promise<WebCryptoEngine> {
    const engine = new this();
    await engine.check();
    return engine;
  }

  protected constructor() {}

  async check(): Promise<void> {
    if (globalThis.crypto?.subtle === undefined) {
      throw new SttError(
        "unsupported",
        "the browser gives its cryptography to secure pages alone: open this page from " +
          "http://127.0.0.1, http://localhost or an https address",
      );
    }
    try {
      await this.generateKeyPair();
    } catch {
      throw new SttError("unsupported", "this browser has no X25519: a newer version is needed");
    }
  }

  random(count: number): Bytes {
    return crypto.getRandomValues(new Uint8Array(count));
  }

  async sha256(...parts: readonly Uint8Array[]): Promise<Bytes> {
    return new Uint8Array(await crypto.subtle.digest("SHA-256", concat(...parts)));
  }

  /** A key for {@link hmac}; `raw` is wiped. */
  async hmacKey(raw: Bytes): Promise<CryptoKey> {
    const key = await crypto.subtle.importKey("raw", raw, hmacSha256, false, ["sign"]);
    raw.fill(0);
    return key;
  }

  async hmac(key: CryptoKey, ...parts: readonly Uint8Array[]): Promise<Bytes> {
    return new Uint8Array(await crypto.subtle.sign("HMAC", key, concat(...parts)));
  }

  /** L(key, label, ctx, n): HKDF-Expand over lengths, label and context. spec: stcp.md#labels */
  async derive(key: CryptoKey, label: string, context: Bytes, count: number): Promise<Bytes> {
    const name = utf8(label);
    const info = concat(be(count, 2), be(name.length, 1), name, be(context.length, 1), context);
    const out = new Uint8Array(count);
    let block: Bytes = new Uint8Array(0);
    for (let at = 0, counter = 1; at < count; at += blockBytes, ++counter) {
      block = await this.hmac(key, block, info, be(counter, 1));
      out.set(block.subarray(0, count - at), at);
    }
    block.fill(0);
    return out;
  }

  async deriveKey(key: CryptoKey, label: string, context: Bytes): Promise<CryptoKey> {
    return this.hmacKey(await this.derive(key, label, context, blockBytes));
  }

  async deriveAead(key: CryptoKey, label: string, context: Bytes): Promise<CryptoKey> {
    const raw = await this.derive(key, label, context, blockBytes);
    const made = await crypto.subtle.importKey("raw", raw, "AES-GCM", false, [
      "encrypt",
      "decrypt",
    ]);
    raw.fill(0);
    return made;
  }

  /** Ciphertext and tag. */
  async seal(key: CryptoKey, nonce: Bytes, aad: Bytes, plaintext: Bytes): Promise<Bytes> {
    const how = { name: "AES-GCM", iv: nonce, additionalData: aad, tagLength: tagBits };
    return new Uint8Array(await crypto.subtle.encrypt(how, key, plaintext));
  }

  /** Undefined where the tag is wrong. */
  async open(
    key: CryptoKey,
    nonce: Bytes,
    aad: Bytes,
    ciphertext: Bytes,
  ): Promise<Bytes | undefined> {
    const how = { name: "AES-GCM", iv: nonce, additionalData: aad, tagLength: tagBits };
    try {
      return new Uint8Array(await crypto.subtle.decrypt(how, key, ciphertext));
    } catch {
      return undefined;
    }
  }

  async generateKeyPair(): Promise<KeyPair> {
    const pair = (await crypto.subtle.generateKey({ name: "X25519" }, false, [
      "deriveBits",
    ])) as CryptoKeyPair;
    const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
    return { publicKey, privateKey: pair.privateKey };
  }

  /** Undefined for a public key of small order. */
  async x25519(privateKey: CryptoKey, theirs: Bytes): Promise<Bytes | undefined> {
    try {
      const publicKey = await crypto.subtle.importKey("raw", theirs, "X25519", true, []);
      const how = { name: "X25519", public: publicKey };
      const shared = new Uint8Array(await crypto.subtle.deriveBits(how, privateKey, 256));
      return shared.every((byte) => byte === 0) ? undefined : shared;
    } catch {
      return undefined;
    }
  }
}
