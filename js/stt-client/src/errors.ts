/** What went wrong, for programs; the message of an {@link SttError} says it to people. */
export type SttErrorCode =
  | "unsupported" // this browser lacks something, or the page is no secure context
  | "bad_seed" // the text is no seed
  | "bad_argument" // a call that can never be right
  | "unreachable" // nobody answered at the address
  | "refused" // the peer closed before its first sealed answer: another seed, most likely
  | "timeout" // the handshake took too long
  | "malformed" // bytes that are not of the protocol
  | "not_authentic" // a tag or MAC is wrong
  | "protocol" // the peer broke a rule behind a valid tag
  | "truncated" // the connection ended without CLOSE
  | "idle" // nothing was heard for too long
  | "closed" // the session or stream is over
  | "aborted" // the peer closed with a code of its own
  | "stream_reset" // the peer gave its direction up
  | "stream_stopped" // the peer wants no more of ours
  | "limit"; // a limit of ours or the peer's

/** Every error of this library. Nothing in it is secret. */
export class SttError extends Error {
  readonly code: SttErrorCode;
  /** The code of a RESET, STOP or CLOSE; the offset of malformed bytes; else 0. */
  readonly detail: number;

  constructor(code: SttErrorCode, message: string, detail = 0) {
    super(message);
    this.name = "SttError";
    this.code = code;
    this.detail = detail;
  }
}

/** Any thrown thing as an {@link SttError}: other ones are faults of this library. */
export function asSttError(thrown: unknown): SttError {
  if (thrown instanceof SttError) return thrown;
  return new SttError("protocol", thrown instanceof Error ? thrown.message : String(thrown));
}
