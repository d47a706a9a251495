import { constantTimeEqual, type Bytes } from "./bytes.js";
import { CloseCode, type Rotate, type Rotated } from "./control.js";
import type { Limits } from "./limits.js";
import { StreamFault } from "./receive-stream.js";

// Each direction has its epochs. Keys are made outside: here is only when, and what is said.
//                                                                     spec: stt.md#rotation

function refuse(): never {
  throw new StreamFault(CloseCode.keys);
}

type SendState =
  | { readonly at: "quiet" }
  | { readonly at: "preparing" } // the ephemeral is being made
  | { readonly at: "asked"; readonly message: Rotate } // ROTATE is out, or about to be
  | { readonly at: "deriving"; readonly message: Rotate } // ROTATED came
  | { readonly at: "ready" }; // the next epoch's keys are there

/**
 * The sender's side: ROTATE at half of a threshold, the next epoch from the whole on once ROTATED
 * came, no DATA at twice of it until it does.
 */
export class SendRotation {
  readonly #limits: Limits;
  readonly #withEphemeral: boolean;
  #state: SendState = { at: "quiet" };
  #epoch = 0;
  #begun: number;
  #bytes = 0;
  #frames = 0;
  #requested = false;
  #stoppedAt: number | undefined;

  constructor(limits: Limits, withEphemeral: boolean, now: number) {
    this.#limits = limits;
    this.#withEphemeral = withEphemeral;
    this.#begun = now;
  }

  get epoch(): number {
    return this.#epoch;
  }

  get isUnderWay(): boolean {
    return this.#state.at !== "quiet";
  }

  request(): void {
    this.#requested = true;
  }

  count(plaintextBytes: number): void {
    this.#bytes += plaintextBytes;
    ++this.#frames;
  }

  /** Switches epochs when it is time. True: it has. */
  advance(now: number): boolean {
    if (this.#state.at !== "ready" || (this.#halves(now) < 2 && !this.#requested)) return false;
    this.#state = { at: "quiet" };
    ++this.#epoch;
    this.#begun = now;
    this.#bytes = 0;
    this.#frames = 0;
    this.#requested = false;
    return true;
  }

  /** Whether ROTATE is to be prepared now: its nonce and ephemeral come by {@link prepared}. */
  takeDue(now: number): boolean {
    if (this.#state.at !== "quiet" || (this.#halves(now) < 1 && !this.#requested)) return false;
    this.#state = { at: "preparing" };
    return true;
  }

  prepared(nonce: Bytes, ephemeral: Bytes | undefined): Rotate {
    const message: Rotate = { kind: "rotate", epoch: this.#epoch + 1, nonce, ephemeral };
    this.#state = { at: "asked", message };
    return message;
  }

  /** ROTATED came: true where the next keys are to be made of it. Throws {@link StreamFault}. */
  handleRotated(message: Rotated): boolean {
    if (this.#state.at === "asked") {
      const isOther = message.epoch !== this.#state.message.epoch;
      if (isOther || (message.ephemeral !== undefined) !== this.#withEphemeral) refuse();
      this.#state = { at: "deriving", message: this.#state.message };
      return true;
    }
    // The answer to a rotation that is over may come again; one to none at all may not.
    const made = this.#state.at === "deriving" || this.#state.at === "ready";
    const last = made ? this.#epoch + 1 : this.#epoch;
    if (message.epoch !== last || last === 0) refuse();
    return false;
  }

  derived(): void {
    if (this.#state.at === "deriving") this.#state = { at: "ready" };
  }

  /** No DATA until ROTATED comes. */
  mustStop(now: number): boolean {
    const waits = this.#state.at === "preparing" || this.#state.at === "asked";
    const stop = (waits || this.#state.at === "deriving") && this.#halves(now) >= 4;
    if (!stop) this.#stoppedAt = undefined;
    else this.#stoppedAt ??= now;
    return stop;
  }

  hasTimedOut(now: number): boolean {
    return (
      this.#stoppedAt !== undefined && now >= this.#stoppedAt + this.#limits.rotationTimeoutMs
    );
  }

  pollTimeout(): number | undefined {
    if (this.#stoppedAt !== undefined) return this.#stoppedAt + this.#limits.rotationTimeoutMs;
    if (this.#state.at === "ready") return this.#begun + this.#limits.rotateAfterMs;
    if (this.#state.at === "quiet") return this.#begun + this.#limits.rotateAfterMs / 2;
    return undefined;
  }

  // How far into the epoch we are, in units of half a threshold.
  #halves(now: number): number {
    const of = (value: number, limit: number): number =>
      Math.min(4, Math.floor(value / Math.max(1, limit / 2)));
    return Math.max(
      of(this.#bytes, this.#limits.rotateBytes),
      of(this.#frames, this.#limits.rotateFrames),
      of(now - this.#begun, this.#limits.rotateAfterMs),
    );
  }
}

type ReceiveState =
  | { readonly at: "quiet" }
  | { readonly at: "answering" } // the ephemeral and the next keys are being made
  | { readonly at: "ready" };

/** The receiver's side: answers, and takes frames of the old and the new epoch. */
export class ReceiveRotation {
  readonly #withEphemeral: boolean;
  #state: ReceiveState = { at: "quiet" };
  #epoch = 0;
  #question: Rotate | undefined;
  #answer: Rotated | undefined;

  constructor(withEphemeral: boolean) {
    this.#withEphemeral = withEphemeral;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** Whether to make an answer, or the one there was again, or nothing as yet. */
  handleRotate(message: Rotate): "make" | Rotated | undefined {
    if (this.#question !== undefined && sameRotate(this.#question, message)) return this.#answer;
    const isNext = this.#state.at === "quiet" && message.epoch === this.#epoch + 1;
    if (!isNext || (message.ephemeral !== undefined) !== this.#withEphemeral) refuse();
    this.#question = message;
    this.#answer = undefined;
    this.#state = { at: "answering" };
    return "make";
  }

  answered(ephemeral: Bytes | undefined): Rotated {
    const answer: Rotated = { kind: "rotated", epoch: this.#epoch + 1, ephemeral };
    this.#answer = answer;
    this.#state = { at: "ready" };
    return answer;
  }

  /** Whether a frame may be of this epoch; the first of a new one ends the old. */
  admit(epoch: number): "known" | "new" | undefined {
    if (epoch === this.#epoch) return "known";
    if (this.#state.at !== "ready" || epoch !== this.#epoch + 1) return undefined;
    this.#state = { at: "quiet" };
    this.#epoch = epoch;
    return "new";
  }
}

function sameRotate(a: Rotate, b: Rotate): boolean {
  if (a.epoch !== b.epoch || !constantTimeEqual(a.nonce, b.nonce)) return false;
  if (a.ephemeral === undefined || b.ephemeral === undefined) return a.ephemeral === b.ephemeral;
  return constantTimeEqual(a.ephemeral, b.ephemeral);
}
