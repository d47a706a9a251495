import { be, type Bytes } from "./bytes.js";
import { SttError } from "./errors.js";
import { Flag, minPayloadBytes } from "./frame.js";
import type { Padding } from "./limits.js";

// A PADDED plaintext ends with 0^p | BE16 p.                          spec: stt.md#padding

const tailBytes = 2;
const smallestFull = 128;
const largestFull = 65536;

/** The most plaintext that a frame takes, its padding not counted. */
export function plaintextLimit(padding: Padding, frameBytes: number): number {
  if (padding === "none") return frameBytes;
  return (padding === "full" ? largestFull : padding) - minPayloadBytes - tailBytes;
}

export function paddedPlaintext(padding: Padding, body: Bytes): Bytes {
  if (padding === "none") return body;
  const least = body.length + tailBytes + minPayloadBytes;
  let payload: number;
  if (padding === "full") {
    payload = smallestFull;
    while (payload < least) payload *= 2;
  } else {
    payload = padding;
  }
  if (payload < least) throw new SttError("limit", "a frame over its padded size");
  const out = new Uint8Array(payload - minPayloadBytes);
  out.set(body);
  out.set(be(payload - least, tailBytes), out.length - tailBytes);
  return out;
}

/** Throws `protocol`; what the filling holds is not looked at. */
export function withoutPadding(flags: number, plaintext: Bytes): Bytes {
  if ((flags & Flag.padded) === 0) return plaintext;
  const [high, low] = plaintext.subarray(-tailBytes);
  const padding = high === undefined || low === undefined ? Infinity : high * 256 + low;
  if (padding + tailBytes > plaintext.length) throw new SttError("protocol", "padding over a frame");
  return plaintext.subarray(0, plaintext.length - padding - tailBytes);
}
