import { concat, type Bytes } from "./bytes.js";
import { messageCreditBytes, type StreamMode } from "./limits.js";

/** The next DATA frame of a stream. */
export interface Outgoing {
  readonly id: bigint;
  readonly offset: number;
  readonly bytes: Bytes;
  readonly fin: boolean;
  readonly messageEnd: boolean;
  readonly credit: number;
}

interface Message {
  readonly id: bigint;
  readonly bytes: Bytes;
  readonly deadline: number | undefined;
  sent: number;
  isBegun: boolean;
}

const nothing: Bytes = new Uint8Array(0);

/** Our direction of a stream: what was written, until it is sent. Written bytes are not copied. */
export class SendStream {
  readonly #mode: StreamMode;
  #state: "open" | "finishing" | "over" = "open";

  // mode ordered
  #chunks: Bytes[] = [];
  #waitingBytes = 0;
  #sentBytes = 0;

  // messages
  #messages: Message[] = [];
  #nextId = 0n;

  constructor(mode: StreamMode) {
    this.#mode = mode;
  }

  /** FIN or RESET is on its way. */
  get isOver(): boolean {
    return this.#state === "over";
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  get hasWaiting(): boolean {
    if (this.#state === "over") return false;
    return this.#state === "finishing" || this.#waitingBytes > 0 || this.#messages.length > 0;
  }

  get nextDeadline(): number | undefined {
    return this.#messages[0]?.deadline;
  }

  write(data: Bytes, deadline: number | undefined): void {
    if (this.#mode !== "ordered") {
      const id = this.#nextId++;
      this.#messages.push({ id, bytes: data, deadline, sent: 0, isBegun: false });
    } else if (data.length > 0) {
      this.#chunks.push(data);
      this.#waitingBytes += data.length;
    }
  }

  finish(): void {
    if (this.#state === "open") this.#state = "finishing";
  }

  reset(): void {
    this.#state = "over";
    this.#chunks = [];
    this.#messages = [];
    this.#waitingBytes = 0;
  }

  /** The next frame that room and credit allow. */
  next(room: number, credit: number): Outgoing | undefined {
    if (this.#state === "over") return undefined;
    return this.#mode === "ordered"
      ? this.#nextBytes(Math.min(room, credit))
      : this.#nextFragment(room, credit);
  }

  /** That frame is on its way. The bytes of the application that it took off. */
  sent(frame: Outgoing): number {
    if (frame.fin) this.#state = "over";
    if (this.#mode === "ordered") {
      this.#drop(frame.bytes.length);
      return frame.bytes.length;
    }
    const message = this.#messages[0];
    if (frame.fin || message === undefined) return 0;
    message.isBegun = true;
    message.sent += frame.bytes.length;
    if (frame.messageEnd) this.#messages.shift();
    return frame.bytes.length;
  }

  /** Gives up messages whose time is over: the id below which nothing will come, and their bytes. */
  expire(now: number): { upTo: bigint; bytes: number } | undefined {
    let given: { upTo: bigint; bytes: number } | undefined;
    for (let first = this.#messages[0]; first?.deadline !== undefined; first = this.#messages[0]) {
      if (first.deadline > now) break;
      const bytes = (given?.bytes ?? 0) + first.bytes.length - first.sent;
      given = { upTo: first.id + 1n, bytes };
      this.#messages.shift();
    }
    return given;
  }

  /** Whether credit alone is what is missing. */
  isBlocked(credit: number): boolean {
    if (this.#state === "over" || !this.#usesCredit) return false;
    if (this.#mode === "ordered") return this.#waitingBytes > 0 && credit === 0;
    const message = this.#messages[0];
    if (message === undefined) return false;
    return credit < this.#creditToBegin(message);
  }

  get #usesCredit(): boolean {
    return this.#mode === "ordered" || this.#mode === "unordered";
  }

  #nextBytes(most: number): Outgoing | undefined {
    const bytes = this.#peek(Math.min(most, this.#waitingBytes));
    const fin = this.#state === "finishing" && bytes.length === this.#waitingBytes;
    if (bytes.length === 0 && !fin) return undefined;
    const offset = this.#sentBytes;
    return { id: 0n, offset, bytes, fin, messageEnd: false, credit: bytes.length };
  }

  #peek(count: number): Bytes {
    const [first] = this.#chunks;
    if (count === 0 || first === undefined) return nothing;
    if (first.length >= count) return first.subarray(0, count);
    const parts: Bytes[] = [];
    let left = count;
    for (const chunk of this.#chunks) {
      parts.push(chunk.subarray(0, left));
      left -= Math.min(left, chunk.length);
      if (left === 0) break;
    }
    return concat(...parts);
  }

  #drop(count: number): void {
    this.#sentBytes += count;
    this.#waitingBytes -= count;
    let left = count;
    while (left > 0) {
      const first = this.#chunks[0]!;
      if (first.length > left) {
        this.#chunks[0] = first.subarray(left);
        return;
      }
      left -= first.length;
      this.#chunks.shift();
    }
  }

  #nextFragment(room: number, credit: number): Outgoing | undefined {
    const message = this.#messages[0];
    if (message === undefined) {
      if (this.#state !== "finishing") return undefined;
      const id = this.#nextId;
      return { id, offset: 0, bytes: nothing, fin: true, messageEnd: false, credit: 0 };
    }
    const cost = this.#creditToBegin(message);
    if (credit < cost) return undefined;
    const most = Math.min(room, message.bytes.length - message.sent);
    const bytes = message.bytes.subarray(message.sent, message.sent + most);
    const messageEnd = message.sent + most === message.bytes.length;
    // A message of mode unreliable is one frame or nothing.
    if (!messageEnd && (this.#mode === "unreliable" || bytes.length === 0)) return undefined;
    return {
      id: message.id,
      offset: message.sent,
      bytes,
      fin: false,
      messageEnd,
      credit: cost,
    };
  }

  // A message is begun only when all of it has credit, and takes it at once: only whole messages
  // can be read, and only reading gives credit back, so that many begun ones could wait for ever.
  #creditToBegin(message: Message): number {
    if (!this.#usesCredit || message.isBegun) return 0;
    return messageCreditBytes + message.bytes.length;
  }
}
