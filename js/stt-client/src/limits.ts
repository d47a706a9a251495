/** Reliability is a property of a stream, of both its directions.     spec: stt.md#reliability */
export type StreamMode =
  | "ordered" // a byte stream
  | "unordered" // whole messages as they complete
  | "partial" // messages that are given up at their deadline
  | "unreliable"; // messages of one frame, never sent twice

export const streamModes: readonly StreamMode[] = [
  "ordered",
  "unordered",
  "partial",
  "unreliable",
];

export interface StreamOptions {
  readonly mode: StreamMode;
  /** 0 first, 128 usual, 255 last. */
  readonly priority: number;
  /** Mode partial: milliseconds until a message is given up; 0: never. */
  readonly deadlineMs: number;
}

export const usualStream: StreamOptions = { mode: "ordered", priority: 128, deadlineMs: 0 };

/**
 * What hides the size of frames: nothing, a fixed payload in bytes, or the next 128 * 2^k.
 *                                                                    spec: stt.md#padding
 */
export type Padding = "none" | 128 | 256 | 512 | 1024 | "full";

export const maxStreamsOfPeer = 1024; // open at once
export const maxMessageBytes = 131072; // modes unordered, partial, unreliable
export const messageIdWindow = 16384n;
export const maxGaps = 1024; // of a stream's received data
export const messageCreditBytes = 16; // what a message costs beside its bytes
export const lastStreamId = 65535;

/** Every limit of a session, in one place; bytes and milliseconds.    spec: stt.md#credit */
export interface Limits {
  readonly streamWindowBytes: number;
  readonly sessionWindowBytes: number;
  readonly maxStreamWindowBytes: number;
  readonly maxSessionWindowBytes: number;
  /** Rotation, whichever first; begun at half, needed at the whole, DATA stops at twice. */
  readonly rotateBytes: number;
  readonly rotateFrames: number;
  readonly rotateAfterMs: number;
  readonly rotationTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** Of silence; 0: never. */
  readonly pingAfterMs: number;
  /** Plaintext of a DATA frame at most. */
  readonly frameBytes: number;
}

export const usualLimits: Limits = {
  streamWindowBytes: 262144,
  sessionWindowBytes: 1048576,
  maxStreamWindowBytes: 16 * 2 ** 20,
  maxSessionWindowBytes: 64 * 2 ** 20,
  rotateBytes: 1e9,
  rotateFrames: 100000,
  rotateAfterMs: 3600_000,
  rotationTimeoutMs: 30_000,
  idleTimeoutMs: 60_000,
  pingAfterMs: 20_000,
  frameBytes: 65536,
};
