// Absolute byte limits, never lowered.                               spec: stt.md#credit
//
// Numbers, not big integers: a limit above 2^53 bytes is as good as none.

const most = Number.MAX_SAFE_INTEGER;

/** What the peer lets us send, of a stream or of the session. */
export class SendCredit {
  #limit: number;
  #used = 0;
  #saidBlockedAt = -1;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get left(): number {
    return this.#limit - this.#used;
  }

  get used(): number {
    return this.#used;
  }

  get limit(): number {
    return this.#limit;
  }

  raise(limit: bigint): void {
    const offered = limit > BigInt(most) ? most : Number(limit);
    this.#limit = Math.max(this.#limit, offered);
  }

  use(bytes: number): void {
    this.#used += bytes;
  }

  /** Whether to say BLOCKED: once for each limit. */
  takeBlocked(): boolean {
    if (this.#saidBlockedAt === this.#limit) return false;
    this.#saidBlockedAt = this.#limit;
    return true;
  }
}

/**
 * What we let the peer send. Grants as the application consumes, once half a window can be granted;
 * the window doubles where half of it is eaten in less than two round trips.
 */
export class ReceiveCredit {
  readonly #most: number;
  #window: number;
  #limit: number;
  #used = 0;
  #consumed = 0;
  #lastGrant: number | undefined;

  constructor(window: number, maxWindow: number) {
    this.#window = window;
    this.#most = maxWindow;
    this.#limit = window;
  }

  get left(): number {
    return this.#limit - this.#used;
  }

  get limit(): number {
    return this.#limit;
  }

  /** False: over the limit. */
  use(bytes: number): boolean {
    if (bytes > this.left) return false;
    this.#used += bytes;
    return true;
  }

  consume(bytes: number): void {
    this.#consumed = Math.min(this.#used, this.#consumed + bytes);
  }

  get isDue(): boolean {
    return this.#consumed + this.#window >= this.#limit + this.#window / 2;
  }

  /** What the next grant says. */
  get nextLimit(): number {
    return Math.max(this.#limit, this.#consumed + this.#window);
  }

  get window(): number {
    return this.#window;
  }

  /** To `window` at least, as far as it may become. */
  widen(window: number): void {
    this.#window = Math.max(this.#window, Math.min(window, this.#most));
  }

  /** The limit that the grant says: it is on its way, so it counts. */
  grant(now: number, roundTripMs: number): number {
    this.#limit = this.nextLimit;
    if (this.#lastGrant !== undefined && now - this.#lastGrant < 2 * roundTripMs) {
      this.#window = Math.min(2 * this.#window, this.#most);
    }
    this.#lastGrant = now;
    return this.#limit;
  }
}
