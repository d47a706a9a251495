import type { Bytes } from "./bytes.js";
import { SttError } from "./errors.js";
import { FrameType } from "./frame.js";
import * as tlv from "./tlv.js";

// The messages of CONTROL and STREAM_CONTROL frames.                  spec: stt.md#control

/** Why a session ended; from 256 on the application's own. */
export const CloseCode = {
  normal: 0,
  protocol: 1,
  flow: 2,
  stream: 3,
  keys: 4,
  limit: 5,
  idle: 6,
  internal: 7,
} as const;

export const firstApplicationCode = 256;
export const maxCloseReasonBytes = 1024;

export interface Rotate {
  readonly kind: "rotate";
  readonly epoch: number;
  readonly nonce: Bytes;
  readonly ephemeral: Bytes | undefined;
}

export interface Rotated {
  readonly kind: "rotated";
  readonly epoch: number;
  readonly ephemeral: Bytes | undefined;
}

export type SessionMessage =
  | { readonly kind: "ping" | "pong"; readonly nonce: bigint }
  | { readonly kind: "session_credit"; readonly limit: bigint }
  | Rotate
  | Rotated
  | { readonly kind: "close"; readonly code: number; readonly reason: string };

export type StreamMessage =
  | { readonly kind: "credit"; readonly limit: bigint }
  | { readonly kind: "blocked"; readonly at: bigint }
  | { readonly kind: "reset"; readonly code: number; readonly finalSize: bigint }
  | { readonly kind: "stop"; readonly code: number }
  | { readonly kind: "abandon"; readonly upTo: bigint };

export type ControlMessage = SessionMessage | StreamMessage;

type Type = typeof FrameType.control | typeof FrameType.streamControl;

/** The body of a frame. */
export function encodeControl(messages: readonly ControlMessage[]): Bytes {
  return tlv.encode(tlv.list(...messages.map((message) => tlv.list(...argumentsOf(message)))));
}

function argumentsOf(message: ControlMessage): tlv.Tlv[] {
  switch (message.kind) {
    case "ping":
      return [tlv.u8(1), tlv.u64(message.nonce)];
    case "pong":
      return [tlv.u8(2), tlv.u64(message.nonce)];
    case "session_credit":
      return [tlv.u8(4), tlv.u64(message.limit)];
    case "rotate":
      return [
        tlv.u8(5),
        tlv.u32(message.epoch),
        tlv.bytes(message.nonce),
        keyOrNull(message.ephemeral),
      ];
    case "rotated":
      return [tlv.u8(14), tlv.u32(message.epoch), keyOrNull(message.ephemeral)];
    case "close":
      return [tlv.u8(6), tlv.u16(message.code), tlv.text(message.reason)];
    case "credit":
      return [tlv.u8(2), tlv.u64(message.limit)];
    case "blocked":
      return [tlv.u8(3), tlv.u64(message.at)];
    case "reset":
      return [tlv.u8(4), tlv.u16(message.code), tlv.u64(message.finalSize)];
    case "stop":
      return [tlv.u8(5), tlv.u16(message.code)];
    case "abandon":
      return [tlv.u8(6), tlv.u64(message.upTo)];
  }
}

function keyOrNull(key: Bytes | undefined): tlv.Tlv {
  return key === undefined ? { t: "null" } : tlv.bytes(key);
}

function broken(): never {
  throw new SttError("protocol", "a control message that breaks the rules");
}

/**
 * The messages of a frame; unknown and reserved codes are left out, and so are those that mean
 * nothing on WebSocket. Whatever is wrong with the shape is one fault, `protocol`: only the peer
 * can have sealed it.
 */
export function parseControl(type: Type, body: Bytes): ControlMessage[] {
  let value: tlv.Tlv;
  try {
    value = tlv.decode(body);
  } catch {
    return broken();
  }
  if (value.t !== "list" || value.v.length === 0) broken();
  const messages: ControlMessage[] = [];
  for (const item of value.v) {
    const [code, ...rest] = item.t === "list" ? item.v : [];
    if (code?.t !== "u8") broken();
    const taken = new Arguments(rest);
    const message =
      type === FrameType.control
        ? sessionMessage(Number(code.v), taken)
        : streamMessage(Number(code.v), taken);
    if (message !== undefined) messages.push(message);
  }
  return messages;
}

/** The arguments of one known message, with exactly the tags printed. */
class Arguments {
  readonly #values: readonly tlv.Tlv[];
  #next = 0;

  constructor(values: readonly tlv.Tlv[]) {
    this.#values = values;
  }

  /** Must be called first: how many there are is part of the shape. */
  exactly(count: number): this {
    return this.#values.length === count ? this : broken();
  }

  number(tag: "u16" | "u32" | "u64"): bigint {
    const value = this.#values[this.#next++];
    return value?.t === tag ? value.v : broken();
  }

  text(): string {
    const value = this.#values[this.#next++];
    return value?.t === "text" ? value.v : broken();
  }

  bytes(count: number): Bytes {
    const value = this.#values[this.#next++];
    return value?.t === "bytes" && value.v.length === count ? value.v.slice() : broken();
  }

  keyOrNull(): Bytes | undefined {
    if (this.#values[this.#next]?.t !== "null") return this.bytes(32);
    ++this.#next;
    return undefined;
  }
}

function sessionMessage(code: number, args: Arguments): SessionMessage | undefined {
  switch (code) {
    case 1:
    case 2:
      return { kind: code === 1 ? "ping" : "pong", nonce: args.exactly(1).number("u64") };
    case 3: // ACK: a WebSocket acknowledges by itself
      return broken();
    case 4:
      return { kind: "session_credit", limit: args.exactly(1).number("u64") };
    case 5: {
      args.exactly(3);
      const epoch = Number(args.number("u32"));
      return { kind: "rotate", epoch, nonce: args.bytes(32), ephemeral: args.keyOrNull() };
    }
    case 6: {
      args.exactly(2);
      const reason = Number(args.number("u16"));
      return { kind: "close", code: reason, reason: args.text() };
    }
    case 7: // PATH_CHALLENGE and PATH_RESPONSE: there is one path
    case 8:
      args.exactly(1).bytes(16);
      return undefined;
    case 12: // ACK_FREQ
      args.exactly(2).number("u16");
      args.number("u32");
      return undefined;
    case 14: {
      args.exactly(2);
      const epoch = Number(args.number("u32"));
      return { kind: "rotated", epoch, ephemeral: args.keyOrNull() };
    }
    default:
      return undefined;
  }
}

function streamMessage(code: number, args: Arguments): StreamMessage | undefined {
  switch (code) {
    case 2:
      return { kind: "credit", limit: args.exactly(1).number("u64") };
    case 3:
      return { kind: "blocked", at: args.exactly(1).number("u64") };
    case 4: {
      args.exactly(2);
      const reason = Number(args.number("u16"));
      return { kind: "reset", code: reason, finalSize: args.number("u64") };
    }
    case 5:
      return { kind: "stop", code: Number(args.exactly(1).number("u16")) };
    case 6:
      return { kind: "abandon", upTo: args.exactly(1).number("u64") };
    default:
      return undefined;
  }
}

/** What a code of CLOSE means, in words for people. */
export function closeText(code: number): string {
  switch (code) {
    case CloseCode.normal:
      return "closed";
    case CloseCode.protocol:
      return "the protocol was broken";
    case CloseCode.flow:
      return "more was sent than credit allowed";
    case CloseCode.stream:
      return "a stream's rules were broken";
    case CloseCode.keys:
      return "the rotation of keys failed";
    case CloseCode.limit:
      return "a limit was reached";
    case CloseCode.idle:
      return "nothing was heard for too long";
    case CloseCode.internal:
      return "the other end failed";
    default:
      return `closed with code ${code}`;
  }
}
