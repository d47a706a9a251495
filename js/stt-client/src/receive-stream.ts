import { copyOf, Reader, type Bytes } from "./bytes.js";
import { CloseCode } from "./control.js";
import { SttError } from "./errors.js";
import { Flag } from "./frame.js";
import {
  maxGaps,
  maxMessageBytes,
  messageCreditBytes,
  messageIdWindow,
  type StreamMode,
} from "./limits.js";

/** Modes without credit: what is incomplete is given up, the oldest first, above it. */
const maxIncompleteBytes = 262144;
const assemblyBytes = 256; // what an incomplete message costs beside its bytes

/** A DATA frame behind its INIT parameters. */
export interface DataBody {
  readonly id: bigint; // of the message; 0 in mode ordered
  readonly offset: bigint; // of the stream, or of the fragment in its message
  readonly bytes: Bytes;
  readonly fin: boolean;
  readonly messageEnd: boolean;
}

/** Throws `protocol`. */
export function parseData(mode: StreamMode, flags: number, body: Bytes): DataBody {
  const reader = new Reader(body);
  const fin = (flags & Flag.fin) !== 0;
  const messageEnd = (flags & Flag.messageEnd) !== 0;
  if (mode === "ordered" && messageEnd) throw new SttError("protocol", "MSG_END on a byte stream");
  try {
    const id = mode === "ordered" ? 0n : reader.varint();
    return { id, offset: reader.varint(), bytes: reader.rest(), fin, messageEnd };
  } catch {
    throw new SttError("protocol", "a DATA frame that breaks the rules");
  }
}

/** Bytes, or a whole message, for the application; `credit` is due once it has consumed them. */
export interface Delivery {
  readonly bytes: Bytes;
  readonly credit: number;
}

/** Ends the session with a CLOSE of this code. */
export class StreamFault {
  readonly closeCode: number;

  constructor(closeCode: number) {
    this.closeCode = closeCode;
  }
}

interface Piece {
  readonly begin: number;
  readonly bytes: Bytes;
}

interface Assembly {
  bytes: Bytes;
  /** Sorted runs that are there, [begin, end). */
  there: { begin: number; end: number }[];
  size: number | undefined;
  highest: number;
}

/**
 * The peer's direction of a stream: what came, put together, until it is delivered.
 *
 * Nothing is kept for more than the credit that the caller allows. Faults are thrown as
 * {@link StreamFault}.
 */
export class ReceiveStream {
  readonly #mode: StreamMode;
  #ending: "none" | "fin" | "reset" = "none";
  #stopped = false;
  #used = 0;
  #accounted = 0; // of used: handed out, or given back
  #ready: Delivery[] = [];

  // mode ordered
  #contiguous = 0;
  #highest = 0;
  #finalSize = 0;
  #pieces: Piece[] = []; // beyond the first gap, sorted, without overlap

  // messages
  readonly #open = new Map<bigint, Assembly>();
  readonly #done = new Set<bigint>(); // complete, at or above #oldest
  #oldest = 0n; // all below are complete, or given up
  #next = 0n; // one above the newest id
  #finalCount = 0n;

  constructor(mode: StreamMode) {
    this.#mode = mode;
  }

  get isReset(): boolean {
    return this.#ending === "reset";
  }

  /** All that the peer will ever send is known to be here. */
  get hasAll(): boolean {
    if (this.#ending === "reset") return true;
    if (this.#ending === "none") return false;
    if (this.#mode === "ordered") return this.#stopped || this.#contiguous === this.#finalSize;
    return this.#mode === "unreliable" || this.#oldest >= this.#finalCount;
  }

  get isStopped(): boolean {
    return this.#stopped;
  }

  /** What is ready to be read, once. */
  take(): Delivery[] {
    const ready = this.#ready;
    this.#ready = [];
    for (const delivery of ready) this.#accounted += delivery.credit;
    return ready;
  }

  /** Credit of bytes that nobody will read, since the last call. */
  takeGivenBack(): number {
    if (!this.#stopped) return 0;
    const bytes = this.#used - this.#accounted;
    this.#accounted = this.#used;
    return bytes;
  }

  /** The credit that the frame uses. */
  add(data: DataBody, allowed: number): number {
    if (this.#ending === "reset") return 0;
    return this.#mode === "ordered"
      ? this.#addBytes(data, allowed)
      : this.#addFragment(data, allowed);
  }

  /** RESET: nothing more is read; `finalSize` counts as used. */
  reset(finalSize: bigint, allowed: number): number {
    if (this.#ending === "reset") return 0;
    const differs =
      this.#mode === "ordered" &&
      this.#ending === "fin" &&
      finalSize !== BigInt(this.#finalSize);
    if (finalSize < BigInt(this.#used) || differs) throw new StreamFault(CloseCode.stream);
    const credit = this.#use(Number(finalSize) - this.#used, allowed);
    this.#ending = "reset";
    this.stop();
    return credit;
  }

  /** Nobody wants more of it. */
  stop(): void {
    this.#stopped = true;
    this.#ready = [];
    this.#pieces = [];
    for (const message of this.#open.values()) message.bytes = new Uint8Array(0);
  }

  /** Mode partial: what is below and not complete never will be. */
  abandon(upTo: bigint): void {
    if (this.#mode !== "partial") return;
    this.#forgetBelow(upTo);
    this.#next = this.#next > this.#oldest ? this.#next : this.#oldest;
    this.#advanceOldest();
  }

  #use(credit: number, allowed: number): number {
    if (credit > allowed) throw new StreamFault(CloseCode.flow);
    this.#used += credit;
    return credit;
  }

  #addBytes(data: DataBody, allowed: number): number {
    // An offset that no credit can reach is a fault, before it loses precision as a number.
    const isFar = data.offset > BigInt(Number.MAX_SAFE_INTEGER - data.bytes.length);
    if (isFar && this.#ending !== "fin") throw new StreamFault(CloseCode.flow);
    const begin = Number(data.offset);
    const end = begin + data.bytes.length;
    if (this.#ending === "fin" && (end > this.#finalSize || (data.fin && end !== this.#finalSize))) {
      throw new StreamFault(CloseCode.stream);
    }
    if (data.fin && end < this.#highest) throw new StreamFault(CloseCode.stream);
    if (begin > this.#contiguous && this.#pieces.length >= maxGaps) return 0; // as if never come
    let credit = 0;
    if (end > this.#highest) {
      credit = this.#use(end - this.#highest, allowed);
      this.#highest = end;
    }
    if (data.fin) {
      this.#ending = "fin";
      this.#finalSize = end;
    }
    if (!this.#stopped && end > this.#contiguous && end > begin) this.#place(begin, data.bytes);
    return credit;
  }

  #place(begin: number, bytes: Bytes): void {
    if (begin > this.#contiguous) {
      this.#keep(begin, bytes);
      return;
    }
    this.#deliver(bytes.subarray(this.#contiguous - begin));
    for (let next = this.#pieces[0]; next !== undefined; next = this.#pieces[0]) {
      if (next.begin > this.#contiguous) break;
      this.#pieces.shift();
      const known = this.#contiguous - next.begin;
      if (known < next.bytes.length) this.#deliver(next.bytes.subarray(known));
    }
  }

  #deliver(bytes: Bytes): void {
    this.#contiguous += bytes.length;
    this.#ready.push({ bytes, credit: bytes.length });
  }

  // Keeps the parts of a run that fill gaps between the pieces that are there.
  #keep(begin: number, bytes: Bytes): void {
    const end = begin + bytes.length;
    const merged: Piece[] = [];
    let at = begin;
    const gap = (until: number): void => {
      if (until > at) {
        merged.push({ begin: at, bytes: copyOf(bytes.subarray(at - begin, until - begin)) });
      }
    };
    for (const piece of this.#pieces) {
      if (piece.begin > at) gap(Math.min(piece.begin, end));
      merged.push(piece);
      at = Math.max(at, piece.begin + piece.bytes.length);
    }
    gap(end);
    this.#pieces = merged.sort((a, b) => a.begin - b.begin);
  }

  #addMessageEnd(data: DataBody): number {
    const isBare = data.bytes.length === 0 && !data.messageEnd && data.offset === 0n;
    const isOther = this.#ending === "fin" && data.id !== this.#finalCount;
    if (!isBare || data.id < this.#next || isOther) throw new StreamFault(CloseCode.stream);
    this.#ending = "fin";
    this.#finalCount = data.id;
    return 0;
  }

  #addFragment(data: DataBody, allowed: number): number {
    if (data.fin) return this.#addMessageEnd(data);
    if (data.offset > BigInt(maxMessageBytes - data.bytes.length)) {
      throw new StreamFault(CloseCode.limit);
    }
    const begin = Number(data.offset);
    const end = begin + data.bytes.length;
    if (this.#ending === "fin" && data.id >= this.#finalCount) {
      throw new StreamFault(CloseCode.stream);
    }
    if (this.#mode === "unreliable" && (!data.messageEnd || begin !== 0)) {
      throw new StreamFault(CloseCode.protocol);
    }
    if (data.id === (1n << 64n) - 1n) throw new StreamFault(CloseCode.stream);
    if (this.#mode === "unordered") {
      if (data.id >= this.#oldest + messageIdWindow) throw new StreamFault(CloseCode.stream);
    } else {
      if (data.id + messageIdWindow < this.#next) return 0;
      this.#slideWindow(data.id);
    }
    if (data.id < this.#oldest || this.#done.has(data.id)) return 0;

    const message = this.#open.get(data.id);
    const highest = message?.highest ?? 0;
    if (message?.size !== undefined) {
      const differs = data.messageEnd && end !== message.size;
      if (end > message.size || differs) throw new StreamFault(CloseCode.stream);
    }
    if (message !== undefined && message.there.length >= maxGaps) return 0;
    if (data.messageEnd && end < highest) throw new StreamFault(CloseCode.stream);
    let credit = 0;
    if (this.#mode === "unordered") {
      const fixed = message === undefined ? messageCreditBytes : 0;
      credit = this.#use(fixed + Math.max(0, end - highest), allowed);
    }
    if (data.id >= this.#next) this.#next = data.id + 1n;
    this.#store(data, begin, end);
    return credit;
  }

  // Modes partial and unreliable: the window slides with the newest id; what falls out is over.
  #slideWindow(id: bigint): void {
    if (id >= this.#next) this.#next = id + 1n;
    const low = this.#next - messageIdWindow;
    if (low > this.#oldest) this.#forgetBelow(low);
  }

  #forgetBelow(low: bigint): void {
    if (low <= this.#oldest) return;
    for (const id of this.#open.keys()) if (id < low) this.#open.delete(id);
    for (const id of this.#done) if (id < low) this.#done.delete(id);
    this.#oldest = low;
  }

  #store(data: DataBody, begin: number, end: number): void {
    let message = this.#open.get(data.id);
    if (message === undefined) {
      if (data.messageEnd && begin === 0) {
        this.#complete(data.id, copyOf(data.bytes)); // the usual one: a message in one frame
        return;
      }
      message = { bytes: new Uint8Array(0), there: [], size: undefined, highest: 0 };
      this.#open.set(data.id, message);
    }
    message.highest = Math.max(message.highest, end);
    if (data.messageEnd) message.size = end;
    if (!this.#stopped) {
      if (message.bytes.length < end) {
        const larger = new Uint8Array(Math.min(maxMessageBytes, Math.max(end, 2 * begin)));
        larger.set(message.bytes);
        message.bytes = larger;
      }
      message.bytes.set(data.bytes, begin);
    }
    message.there = withRun(message.there, begin, end);
    const [first] = message.there;
    const isWhole = message.size === 0 || (first?.begin === 0 && first.end === message.size);
    if (message.size !== undefined && isWhole) {
      this.#open.delete(data.id);
      this.#complete(data.id, message.bytes.subarray(0, message.size));
    }
    this.#trimOpen();
  }

  // No credit bounds what is incomplete in mode partial.
  #trimOpen(): void {
    if (this.#mode !== "partial") return;
    let held = 0;
    for (const message of this.#open.values()) held += assemblyBytes + message.bytes.length;
    while (held > maxIncompleteBytes && this.#open.size > 1) {
      let oldest: bigint | undefined;
      for (const id of this.#open.keys()) if (oldest === undefined || id < oldest) oldest = id;
      held -= assemblyBytes + this.#open.get(oldest!)!.bytes.length;
      this.#open.delete(oldest!);
      this.#done.add(oldest!);
    }
    this.#advanceOldest();
  }

  #complete(id: bigint, bytes: Bytes): void {
    this.#done.add(id);
    this.#advanceOldest();
    if (this.#stopped) return;
    const credit = this.#mode === "unordered" ? bytes.length + messageCreditBytes : 0;
    this.#ready.push({ bytes, credit });
  }

  #advanceOldest(): void {
    while (this.#done.delete(this.#oldest)) ++this.#oldest;
  }
}

/** `runs` and one more, joined where they touch. */
function withRun(
  runs: readonly { begin: number; end: number }[],
  begin: number,
  end: number,
): { begin: number; end: number }[] {
  const joined: { begin: number; end: number }[] = [];
  let run = { begin, end };
  for (const other of runs) {
    if (other.end < run.begin || other.begin > run.end) {
      joined.push(other);
    } else {
      run = { begin: Math.min(run.begin, other.begin), end: Math.max(run.end, other.end) };
    }
  }
  joined.push(run);
  return joined.sort((a, b) => a.begin - b.begin);
}
