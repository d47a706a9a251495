import type { Bytes } from "./bytes.js";
import type { Rotate, Rotated } from "./control.js";
import type { SttError } from "./errors.js";
import type { FrameHead } from "./frame.js";
import type { Limits, Padding, StreamOptions } from "./limits.js";

// What a session is made of, and what comes out of it.

export type Role = "initiator" | "responder";

export interface SessionConfig {
  readonly role: Role;
  readonly sessionId: Bytes;
  readonly forwardSecrecy: boolean;
  readonly padding?: Padding;
  readonly limits?: Partial<Limits>;
}

/** How a session ended. */
export interface SessionEnd {
  readonly code: number;
  /** The peer's words where it closed: quote them before they are shown. */
  readonly reason: string;
  readonly byPeer: boolean;
  /** What exactly, where it was no normal end. */
  readonly error: SttError | undefined;
}

export type SessionEvent =
  | { readonly kind: "opened"; readonly stream: number; readonly options: StreamOptions }
  | {
      readonly kind: "data"; // of a byte stream, or a whole message
      readonly stream: number;
      readonly bytes: Bytes;
      readonly credit: number; // for consume(), once the application is done with them
    }
  | { readonly kind: "end"; readonly stream: number } // the peer's FIN
  | { readonly kind: "reset"; readonly stream: number; readonly code: number }
  | { readonly kind: "stopped"; readonly stream: number; readonly code: number }
  | { readonly kind: "sent"; readonly stream: number; readonly bytes: number }
  | { readonly kind: "closed"; readonly stream: number } // both directions are over
  // Keys are made outside, where promises are: each of these is answered by a call.
  | { readonly kind: "prepare_rotation"; readonly withEphemeral: boolean } // rotationPrepared
  | { readonly kind: "answer_rotation"; readonly question: Rotate } // rotationAnswered
  | { readonly kind: "finish_rotation"; readonly answer: Rotated } // rotationFinished
  | { readonly kind: "rotated"; readonly sender: Role; readonly epoch: number }
  | { readonly kind: "ended"; readonly end: SessionEnd };

/** A frame to be sealed and sent, in this order. */
export interface OutgoingFrame {
  readonly head: FrameHead;
  readonly plaintext: Bytes;
  /** The last one: CLOSE. The connection follows. */
  readonly isLast: boolean;
}
