import { be, concat, Reader, varint, type Bytes } from "./bytes.js";

// The head of every frame.                                          spec: stt.md#frames
//
//   Magic 2 | Type 1 | SessionID 8 | StreamID varint | Sequence varint | Flags 1 | PayLen varint |
//   Payload | MetaLen varint | Meta

export const FrameType = {
  handshake: 1,
  data: 2,
  control: 3,
  streamControl: 4,
  auth: 5,
} as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

export const Flag = {
  reliable: 0x01, // UDP alone
  init: 0x02, // the stream's parameters come first
  fin: 0x04,
  messageEnd: 0x08,
  ackNow: 0x10, // UDP alone
  padded: 0x20,
} as const;

const reservedFlags = 0xc0;

export const minPayloadBytes = 16; // a tag
export const maxPayloadBytes = 131072;
export const maxHandshakePayloadBytes = 4096 + 20;
export const maxPacketNumber = (1n << 62n) - 1n;
const maxEpoch = 0xffffffffn;
const maxStream = 65535n;

export interface FrameHead {
  readonly type: FrameType;
  /** 8 bytes. */
  readonly sessionId: Bytes;
  readonly stream: number;
  /** Sequence: the packet number. */
  readonly number: bigint;
  readonly flags: number;
  /** Meta of a session frame; a frame of the handshake has none. */
  readonly epoch: number;
}

/** One frame of a message, found but not opened: views of the message. */
export interface FrameView {
  readonly head: FrameHead;
  /** Magic .. PayLen, as sent. */
  readonly header: Bytes;
  /** Ciphertext and tag; of the handshake, plaintext. */
  readonly payload: Bytes;
  readonly meta: Bytes;
  readonly frameBytes: number;
}

export function isHandshake(type: FrameType): boolean {
  return type === FrameType.handshake || type === FrameType.auth;
}

/**
 * The frame at the front of `message`. Every rule of the head that can be checked without a key is.
 * Throws `malformed`.
 */
export function parseFrame(message: Bytes): FrameView {
  const reader = new Reader(message);
  const refuse = (what: string): never => {
    throw reader.fault(what, reader.offset);
  };
  const magic = reader.bytes(2);
  if (magic[0] !== 0x53 || magic[1] !== 0x54) refuse("magic");
  const type = reader.u8() as FrameType;
  if (type < FrameType.handshake || type > FrameType.auth) refuse("type");
  const sessionId = reader.bytes(8);
  const stream = reader.varint();
  if (stream > maxStream) refuse("stream id");
  const number = reader.varint();
  if (number > maxPacketNumber) refuse("packet number");
  const flags = reader.u8();

  const handshake = isHandshake(type);
  if (handshake) {
    if (stream !== 0n || number !== 0n || flags !== 0) refuse("handshake header");
  } else {
    if ((type === FrameType.control) !== (stream === 0n)) refuse("stream id");
    let forbidden = reservedFlags;
    if (type !== FrameType.data) forbidden |= Flag.fin | Flag.messageEnd;
    if (type === FrameType.control) forbidden |= Flag.init;
    if ((flags & forbidden) !== 0) refuse("flags");
  }

  const length = Number(reader.varint());
  const least = handshake ? 0 : minPayloadBytes;
  const most = handshake ? maxHandshakePayloadBytes : maxPayloadBytes;
  if (length < least || length > most || length > reader.remaining) refuse("payload length");
  const header = message.subarray(0, reader.offset);
  const payload = reader.bytes(length);

  const metaLength = Number(reader.varint());
  if (metaLength > reader.remaining) refuse("meta length");
  if (handshake && metaLength !== 0) refuse("meta");
  const meta = reader.bytes(metaLength);
  let epoch = 0n;
  if (!handshake) {
    const inside = new Reader(meta);
    epoch = inside.varint();
    inside.finish();
    if (epoch > maxEpoch) refuse("epoch");
  }
  return {
    head: { type, sessionId, stream: Number(stream), number, flags, epoch: Number(epoch) },
    header,
    payload,
    meta,
    frameBytes: reader.offset,
  };
}

/** Magic .. PayLen. */
export function encodeHeader(head: FrameHead, payloadBytes: number): Bytes {
  return concat(
    new Uint8Array([0x53, 0x54, head.type]),
    head.sessionId,
    varint(head.stream),
    varint(head.number),
    be(head.flags, 1),
    varint(payloadBytes),
  );
}

/** Meta without its length: the epoch of a session frame. */
export function encodeMeta(head: FrameHead): Bytes {
  return isHandshake(head.type) ? new Uint8Array(0) : varint(head.epoch);
}
