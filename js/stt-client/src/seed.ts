import { concat, constantTimeEqual, utf8, type Bytes } from "./bytes.js";
import type { WebCryptoEngine } from "./crypto-web.js";
import { SttError } from "./errors.js";

// The text form of a shared secret.                                  spec: stcp.md#key-texts

export const seedBytes = 32;
const checksumBytes = 3;
const prefix = "sls1";
const textChars = 60;
const hexChars = 2 * seedBytes;

function refuse(why: string): never {
  throw new SttError("bad_seed", why);
}

/** The value of an RFC 4648 base32 letter, in either case; else undefined. */
function letterValue(letter: number): number | undefined {
  if (letter >= 0x61 && letter <= 0x7a) return letter - 0x61;
  if (letter >= 0x41 && letter <= 0x5a) return letter - 0x41;
  return letter >= 0x32 && letter <= 0x37 ? letter - 0x32 + 26 : undefined;
}

/** Base32 without padding and without spare bits: 8 letters for 5 bytes. */
export function base32Decode(text: string): Bytes | undefined {
  const out = new Uint8Array(Math.floor((text.length * 5) / 8));
  let buffer = 0;
  let bits = 0;
  let used = 0;
  for (let i = 0; i < text.length; ++i) {
    const value = letterValue(text.charCodeAt(i));
    if (value === undefined) return undefined;
    buffer = ((buffer << 5) | value) & 0xffff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      out[used++] = buffer >> bits;
    }
  }
  return bits >= 5 || (buffer & ((1 << bits) - 1)) !== 0 ? undefined : out;
}

/**
 * The 32 bytes of a seed's text: `sls1` and 56 letters, or 64 hex digits. Spaces around it do not
 * matter. Throws `bad_seed`; the message never repeats the text.
 */
export async function parseSeed(engine: WebCryptoEngine, text: string): Promise<Bytes> {
  const trimmed = text.trim();
  if (trimmed.length === hexChars && /^[0-9a-fA-F]*$/.test(trimmed)) {
    const digits = trimmed.match(/../g) ?? [];
    return new Uint8Array(digits.map((pair) => Number.parseInt(pair, 16)));
  }
  const start = trimmed.slice(0, prefix.length).toLowerCase();
  if (start === "slk1" || start === "slp1") {
    refuse("this is an identity or a public key; a seed begins with sls1");
  }
  if (start !== prefix) refuse("a seed begins with sls1");
  if (trimmed.length !== textChars) {
    refuse(`a seed has ${textChars} characters, this has ${trimmed.length}`);
  }
  const payload = base32Decode(trimmed.slice(prefix.length));
  if (payload === undefined) refuse("the seed has a character that no seed has");
  const seed = payload.slice(0, seedBytes);
  const checksum = await engine.sha256(concat(utf8(prefix), seed));
  if (!constantTimeEqual(checksum.subarray(0, checksumBytes), payload.subarray(seedBytes))) {
    refuse("the seed's checksum does not match: a character was mistyped");
  }
  payload.fill(0);
  return seed;
}
