import { SttError } from "./errors.js";

/** Bytes as WebCrypto takes them: never over shared memory. */
export type Bytes = Uint8Array<ArrayBuffer>;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function utf8(text: string): Bytes {
  return encoder.encode(text) as Bytes;
}

/** The text of strict UTF-8: no surrogates, no overlong forms; else undefined. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

export function concat(...parts: readonly Uint8Array[]): Bytes {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** `bytes` over memory of its own. */
export function copyOf(bytes: Uint8Array): Bytes {
  return new Uint8Array(bytes);
}

/** Whether two runs are the same, in a time that depends on their lengths alone. */
export function constantTimeEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; ++i) difference |= a[i]! ^ b[i]!;
  return difference === 0;
}

/** -1, 0 or 1: the order of unsigned bytes. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; ++i) {
    if (a[i] !== b[i]) return a[i]! < b[i]! ? -1 : 1;
  }
  return Math.sign(a.length - b.length);
}

/** `value` as `size` bytes, the highest first. */
export function be(value: bigint | number, size: number): Bytes {
  let left = BigInt(value);
  const out = new Uint8Array(size);
  for (let i = size - 1; i >= 0; --i) {
    out[i] = Number(left & 0xffn);
    left >>= 8n;
  }
  return out;
}

export function fromBe(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value;
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Reads from the front of a run; every bound is checked here and nowhere else.
 *
 * A failed read throws `malformed` with its offset and leaves the reader where it was.
 */
export class Reader {
  readonly #bytes: Bytes;
  #offset = 0;

  constructor(bytes: Bytes) {
    this.#bytes = bytes;
  }

  get offset(): number {
    return this.#offset;
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  /** A view, not a copy. */
  bytes(count: number): Bytes {
    if (count > this.remaining) throw this.fault("truncated", this.#offset);
    const start = this.#offset;
    this.#offset += count;
    return this.#bytes.subarray(start, this.#offset);
  }

  rest(): Bytes {
    return this.bytes(this.remaining);
  }

  u8(): number {
    return this.bytes(1)[0]!;
  }

  u32(): number {
    const at = this.bytes(4);
    return ((at[0]! << 24) | (at[1]! << 16) | (at[2]! << 8) | at[3]!) >>> 0;
  }

  /** Unsigned LEB128 in its shortest form, 64 bits. */
  varint(): bigint {
    const start = this.#offset;
    // Up to 28 bits without a big integer: nearly every number of a frame.
    let small = 0;
    for (let i = 0; i < 4; ++i) {
      if (start + i >= this.#bytes.length) throw this.fault("varint truncated", start);
      const byte = this.#bytes[start + i]!;
      small |= (byte & 0x7f) << (7 * i);
      if (byte < 0x80) {
        if (byte === 0 && i > 0) throw this.fault("varint not minimal", start);
        this.#offset = start + i + 1;
        return BigInt(small);
      }
    }
    let value = BigInt(small);
    for (let i = 4; i < 10; ++i) {
      if (start + i >= this.#bytes.length) throw this.fault("varint truncated", start);
      const byte = this.#bytes[start + i]!;
      if (i === 9 && byte > 1) throw this.fault("varint over 64 bits", start);
      value |= BigInt(byte & 0x7f) << BigInt(7 * i);
      if (byte < 0x80) {
        if (byte === 0) throw this.fault("varint not minimal", start);
        this.#offset = start + i + 1;
        return value;
      }
    }
    throw this.fault("varint over 64 bits", start);
  }

  finish(): void {
    if (this.remaining > 0) throw this.fault("trailing bytes", this.#offset);
  }

  fault(reason: string, offset: number): SttError {
    return new SttError("malformed", `${reason} at ${offset}`, offset);
  }
}

/** The shortest LEB128 of a number below 2^64. */
export function varint(value: bigint | number): Bytes {
  const out: number[] = [];
  let left = BigInt(value);
  do {
    const low = Number(left & 0x7fn);
    left >>= 7n;
    out.push(left > 0n ? low | 0x80 : low);
  } while (left > 0n);
  return new Uint8Array(out);
}
