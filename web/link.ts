import { connect, SttError, type SttSession } from "../js/stt-client/src/index.js";

export type LinkState =
  | { readonly kind: "offline" } // no seed, or told to stop
  | { readonly kind: "connecting"; readonly attempt: number }
  | { readonly kind: "online"; readonly session: SttSession }
  | { readonly kind: "waiting"; readonly until: number; readonly why: string };

const firstWaitMs = 500;
const longestWaitMs = 10_000;

/** Errors that another try cannot mend: the user has to. */
const final = new Set(["refused", "bad_seed", "unsupported", "not_authentic", "bad_argument"]);

/** Why there is no session, to whoever sits before the page. */
function explainDial(error: SttError): string {
  switch (error.code) {
    case "refused":
    case "not_authentic":
      return "Wrong seed: the server does not accept it. Check it against the seed that “sealine web” was started with.";
    case "bad_seed":
    case "unsupported":
      return `${sentence(error.message)}.`;
    case "timeout":
      return "The server answers too slowly.";
    case "unreachable":
      return "The server cannot be reached. Is “sealine web” still running?";
    default:
      return `${sentence(error.message)}.`;
  }
}

/** Why a session is over. */
function explainEnd(error: SttError | undefined): string {
  if (error === undefined) return "The server said goodbye.";
  if (error.code === "truncated") return "The connection was lost.";
  if (error.code === "idle") return "The server fell silent.";
  return `The session was ended: ${error.message}.`;
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Keeps a session up: dials again, by itself, for as long as the seed is right. */
export class Link {
  readonly #url: string;
  readonly #onState: (state: LinkState) => void;
  readonly #onRefused: (message: string) => void;
  #seed: string | undefined;
  #session: SttSession | undefined;
  #attempt = 0;
  #timer: number | undefined;
  #dial: AbortController | undefined;

  constructor(
    url: string,
    onState: (state: LinkState) => void,
    onRefused: (message: string) => void,
  ) {
    this.#url = url;
    this.#onState = onState;
    this.#onRefused = onRefused;
    window.addEventListener("online", () => this.retryNow());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.retryNow();
    });
  }

  start(seed: string): void {
    this.stop();
    this.#seed = seed;
    void this.#connect();
  }

  /** Closes what there is; the seed is forgotten. */
  stop(): void {
    this.#seed = undefined;
    this.#attempt = 0;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#dial?.abort();
    this.#session?.close();
    this.#session = undefined;
    this.#onState({ kind: "offline" });
  }

  /** Ends a wait between two tries. */
  retryNow(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    void this.#connect();
  }

  async #connect(): Promise<void> {
    const seed = this.#seed;
    if (seed === undefined) return;
    this.#timer = undefined;
    this.#onState({ kind: "connecting", attempt: this.#attempt });
    const dial = new AbortController();
    this.#dial = dial;
    try {
      const worker = new Worker(new URL("../js/stt-client/src/worker.js", import.meta.url), {
        type: "module",
      });
      const session = await connect(this.#url, { seed, worker, signal: dial.signal });
      if (dial.signal.aborted) {
        session.close();
        return;
      }
      this.#attempt = 0;
      this.#session = session;
      this.#onState({ kind: "online", session });
      const end = await session.closed;
      if (this.#session !== session) return;
      this.#session = undefined;
      this.#wait(explainEnd(end.error));
    } catch (thrown) {
      if (dial.signal.aborted) return;
      const error =
        thrown instanceof SttError ? thrown : new SttError("protocol", "the page itself failed");
      if (final.has(error.code)) {
        this.stop();
        this.#onRefused(explainDial(error));
      } else {
        this.#wait(explainDial(error));
      }
    }
  }

  #wait(why: string): void {
    if (this.#seed === undefined) return;
    const most = Math.min(longestWaitMs, firstWaitMs * 2 ** this.#attempt);
    const wait = most * (0.75 + 0.5 * Math.random()); // many pages do not come back as one
    ++this.#attempt;
    this.#timer = window.setTimeout(() => void this.#connect(), wait);
    this.#onState({ kind: "waiting", until: Date.now() + wait, why });
  }
}
