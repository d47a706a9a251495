export { connect, SttSession, SttStream, type ConnectOptions, type SessionClosed } from "./client.js";
export { SttError, type SttErrorCode } from "./errors.js";
export type { DialOptions } from "./host.js";
export type { Limits, Padding, StreamMode, StreamOptions } from "./limits.js";
export * as tlv from "./tlv.js";
