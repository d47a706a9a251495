import { be, compare, concat, fromBe, Reader, textOf, utf8, type Bytes } from "./bytes.js";
import { SttError } from "./errors.js";

// The tagged values of STT/1: one value, one encoding.               spec: stt.md#tlv

export const Tag = {
  null: 0x00,
  no: 0x01,
  yes: 0x02,
  i8: 0x10,
  i16: 0x11,
  i32: 0x12,
  i64: 0x13,
  u8: 0x14,
  u16: 0x15,
  u32: 0x16,
  u64: 0x17,
  f32: 0x20,
  f64: 0x21,
  bytes: 0x30,
  text: 0x31,
  list: 0x40,
  dict: 0x41,
} as const;

export type NumberTag = "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64";

/** A value with its tag: decoding keeps it, so that a decoded value encodes to the same bytes. */
export type Tlv =
  | { readonly t: "null" }
  | { readonly t: "bool"; readonly v: boolean }
  | { readonly t: NumberTag; readonly v: bigint }
  | { readonly t: "f32" | "f64"; readonly bits: bigint }
  | { readonly t: "bytes"; readonly v: Bytes }
  | { readonly t: "text"; readonly v: string }
  | { readonly t: "list"; readonly v: readonly Tlv[] }
  | { readonly t: "dict"; readonly v: ReadonlyMap<string, Tlv> };

/** Containers around a container. */
export const maxDepth = 16;
/** Values of one input; the keys of dicts count. */
export const maxValues = 65536;

const minMemberBytes = 6; // an empty key (5) and a value (1)
const notANumber = 0x7ff8000000000000n;

const numberBytes: Record<NumberTag, number> = {
  i8: 1,
  i16: 2,
  i32: 4,
  i64: 8,
  u8: 1,
  u16: 2,
  u32: 4,
  u64: 8,
};
const numberTags = Object.keys(numberBytes) as NumberTag[];

export function u8(value: number): Tlv {
  return { t: "u8", v: BigInt(value) };
}

export function u16(value: number): Tlv {
  return { t: "u16", v: BigInt(value) };
}

export function u32(value: number): Tlv {
  return { t: "u32", v: BigInt(value) };
}

export function u64(value: bigint | number): Tlv {
  return { t: "u64", v: BigInt(value) };
}

/** A plain integer: the smallest signed type that holds it, u64 above 2^63 - 1. */
export function integer(value: bigint | number): Tlv {
  const v = BigInt(value);
  if (v < -(1n << 63n) || v >= 1n << 64n) {
    throw new SttError("bad_argument", "an integer of TLV has 64 bits");
  }
  const fits = (bits: bigint): boolean => v >= -(1n << (bits - 1n)) && v < 1n << (bits - 1n);
  if (fits(8n)) return { t: "i8", v };
  if (fits(16n)) return { t: "i16", v };
  if (fits(32n)) return { t: "i32", v };
  return fits(64n) ? { t: "i64", v } : { t: "u64", v };
}

/** A float64; every NaN is the same one. */
export function float(value: number): Tlv {
  if (Number.isNaN(value)) return { t: "f64", bits: notANumber };
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return { t: "f64", bits: view.getBigUint64(0) };
}

export function bytes(value: Bytes): Tlv {
  return { t: "bytes", v: value };
}

export function text(value: string): Tlv {
  return { t: "text", v: value };
}

export function list(...items: readonly Tlv[]): Tlv {
  return { t: "list", v: items };
}

export function dict(members: Readonly<Record<string, Tlv>>): Tlv {
  return { t: "dict", v: new Map(Object.entries(members)) };
}

export function encode(value: Tlv): Bytes {
  const parts: Bytes[] = [];
  put(value, parts);
  return concat(...parts);
}

function put(value: Tlv, out: Bytes[]): void {
  switch (value.t) {
    case "null":
      out.push(be(Tag.null, 1));
      break;
    case "bool":
      out.push(be(value.v ? Tag.yes : Tag.no, 1));
      break;
    case "f32":
    case "f64":
      out.push(be(Tag[value.t], 1), be(value.bits, value.t === "f32" ? 4 : 8));
      break;
    case "bytes":
      putRun(Tag.bytes, value.v, out);
      break;
    case "text":
      putRun(Tag.text, utf8(value.v), out);
      break;
    case "list":
      out.push(be(Tag.list, 1), be(value.v.length, 4));
      for (const item of value.v) put(item, out);
      break;
    case "dict": {
      // By their bytes in UTF-8: not the order in which JavaScript compares strings.
      const members = Array.from(value.v, ([key, member]) => ({ key: utf8(key), member }));
      members.sort((a, b) => compare(a.key, b.key));
      out.push(be(Tag.dict, 1), be(members.length, 4));
      for (const { key, member } of members) {
        putRun(Tag.text, key, out);
        put(member, out);
      }
      break;
    }
    default:
      out.push(be(Tag[value.t], 1), be(BigInt.asUintN(64, value.v), numberBytes[value.t]));
  }
}

function putRun(tag: number, run: Bytes, out: Bytes[]): void {
  out.push(be(tag, 1), be(run.length, 4), run);
}

/** Strict: every rule of the format. Throws `malformed`, its detail the offset. */
export function decode(input: Bytes): Tlv {
  const decoder = new Decoder(new Reader(input));
  const value = decoder.value(0);
  decoder.reader.finish();
  return value;
}

class Decoder {
  readonly reader: Reader;
  #values = 0;

  constructor(reader: Reader) {
    this.reader = reader;
  }

  value(depth: number): Tlv {
    const start = this.reader.offset;
    const tag = this.reader.u8();
    const number = numberTags.find((name) => Tag[name] === tag);
    if (number !== undefined) {
      this.#count(start);
      return this.#number(number);
    }
    switch (tag) {
      case Tag.null:
        this.#count(start);
        return { t: "null" };
      case Tag.no:
      case Tag.yes:
        this.#count(start);
        return { t: "bool", v: tag === Tag.yes };
      case Tag.f32:
      case Tag.f64: {
        this.#count(start);
        const bits = fromBe(this.reader.bytes(tag === Tag.f32 ? 4 : 8));
        return { t: tag === Tag.f32 ? "f32" : "f64", bits };
      }
      case Tag.bytes:
        this.#count(start);
        return { t: "bytes", v: this.reader.bytes(this.reader.u32()) };
      case Tag.text:
        this.#count(start);
        return { t: "text", v: this.#text() };
      case Tag.list:
      case Tag.dict:
        this.#count(start);
        if (depth >= maxDepth) throw this.reader.fault("nested too deep", start);
        return tag === Tag.list ? this.#list(depth) : this.#dict(depth);
      default:
        throw this.reader.fault("unknown tag", start);
    }
  }

  #count(start: number): void {
    if (++this.#values > maxValues) throw this.reader.fault("too many values", start);
  }

  #number(t: NumberTag): Tlv {
    const bits = fromBe(this.reader.bytes(numberBytes[t]));
    return { t, v: t.startsWith("i") ? BigInt.asIntN(8 * numberBytes[t], bits) : bits };
  }

  #text(): string {
    const length = this.reader.u32();
    const start = this.reader.offset;
    const run = textOf(this.reader.bytes(length));
    if (run === undefined) throw this.reader.fault("invalid UTF-8", start);
    return run;
  }

  // Never more values than the bytes that are left can hold, so that a count costs nothing.
  #counted(leastBytes: number): number {
    const start = this.reader.offset;
    const count = this.reader.u32();
    if (count > this.reader.remaining / leastBytes) {
      throw this.reader.fault("count over the bytes left", start);
    }
    return count;
  }

  #list(depth: number): Tlv {
    const items: Tlv[] = [];
    for (let left = this.#counted(1); left > 0; --left) items.push(this.value(depth + 1));
    return { t: "list", v: items };
  }

  #dict(depth: number): Tlv {
    const members = new Map<string, Tlv>();
    let last: Bytes | undefined;
    for (let left = this.#counted(minMemberBytes); left > 0; --left) {
      const start = this.reader.offset;
      if (this.reader.u8() !== Tag.text) throw this.reader.fault("a key that is no string", start);
      this.#count(start);
      const key = this.reader.bytes(this.reader.u32());
      const name = textOf(key);
      if (name === undefined) throw this.reader.fault("invalid UTF-8", start);
      if (last !== undefined && compare(last, key) >= 0) {
        throw this.reader.fault("unsorted key", start);
      }
      last = key;
      members.set(name, this.value(depth + 1));
    }
    return { t: "dict", v: members };
  }
}
