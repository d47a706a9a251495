import { hex, type Bytes } from "./bytes.js";
import { firstApplicationCode } from "./control.js";
import { SttError } from "./errors.js";
import {
  SessionHost,
  type DialOptions,
  type HostCommand,
  type HostEvent,
  type PlainError,
} from "./host.js";
import {
  lastStreamId,
  maxMessageBytes,
  maxStreamsOfPeer,
  usualLimits,
  usualStream,
  type StreamOptions,
} from "./limits.js";

/** Bytes that a stream holds before write() makes its caller wait. */
const sendBufferBytes = 262144;
/** Modes partial and unreliable: the oldest messages are dropped above it. */
const datagramQueueBytes = 262144;

export interface ConnectOptions extends DialOptions {
  /** The text of `sealine key new` (`sls1...`), 64 hex digits, or 32 bytes. Never sent. */
  readonly seed: string | Uint8Array;
  /** Runs the session there: `new Worker(new URL(".../worker.js"), { type: "module" })`. */
  readonly worker?: Worker;
  /** Stops the dial; a session that stands is closed by {@link SttSession.close}. */
  readonly signal?: AbortSignal;
}

/** How a session ended. */
export interface SessionClosed {
  /** 0: as agreed; 1 to 7: a fault; from 256 on the application's own. */
  readonly code: number;
  /** The peer's words: text from outside. */
  readonly reason: string;
  readonly byPeer: boolean;
  /** Undefined after a normal end. */
  readonly error: SttError | undefined;
}

type Post = (command: HostCommand) => void;

function revive(error: PlainError): SttError {
  return new SttError(error.code, error.message, error.detail);
}

/**
 * Dials a server (`ws://host:port/stt`) and proves the seed both ways. Resolves once the session
 * stands. Rejects with {@link SttError}: unsupported, bad_seed, bad_argument, unreachable,
 * refused (another seed), timeout, not_authentic, malformed, closed (aborted).
 */
export function connect(url: string, options: ConnectOptions): Promise<SttSession> {
  const { seed, worker, signal, ...dial } = options;
  return new Promise((resolve, reject) => {
    let session: SttSession | undefined;
    const handle = (event: HostEvent): void => {
      if (event.kind === "active") {
        session = new SttSession(post, event);
        resolve(session);
      } else if (event.kind === "failed") {
        worker?.terminate();
        reject(revive(event.error));
      } else {
        session?.handle(event);
        if (event.kind === "ended") setTimeout(() => worker?.terminate(), workerGraceMs);
      }
    };
    const post = worker === undefined ? localPort(handle) : workerPort(worker, handle, reject);
    const abort = (): void => {
      if (session === undefined) post({ kind: "close", code: 0, reason: "" });
    };
    if (signal?.aborted === true) {
      worker?.terminate();
      reject(new SttError("closed", "closed while dialling"));
      return;
    }
    signal?.addEventListener("abort", abort, { once: true });
    const bytes = typeof seed === "string" ? seed : new Uint8Array(seed);
    post({ kind: "connect", url, seed: bytes, options: dial });
  });
}

/** For the CLOSE and the closing handshake of the WebSocket. */
const workerGraceMs = 1000;

function localPort(handle: (event: HostEvent) => void): Post {
  const host = new SessionHost(handle);
  return (command) => host.handle(command);
}

function workerPort(
  worker: Worker,
  handle: (event: HostEvent) => void,
  reject: (error: SttError) => void,
): Post {
  worker.onmessage = (event: MessageEvent<HostEvent>) => handle(event.data);
  worker.onerror = () => {
    const message = "the session's worker failed";
    reject(new SttError("unsupported", message));
    const error = { code: "unsupported" as const, message, detail: 0 };
    handle({ kind: "ended", code: 7, reason: "", byPeer: false, error });
  };
  return (command) => worker.postMessage(command);
}

/** Many streams over one connection. Made by {@link connect}. */
export class SttSession {
  /** 16 hex digits, the same at both ends. Public. */
  readonly id: string;
  /** The server's node id, in hex. */
  readonly peer: string;
  readonly forwardSecrecy: boolean;
  /** Resolves when the session is over, however it ended; never rejects. */
  readonly closed: Promise<SessionClosed>;
  readonly #post: Post;
  readonly #streams = new Map<number, SttStream>();
  readonly #incoming: SttStream[] = [];
  #acceptors: ((stream: SttStream | undefined) => void)[] = [];
  #nextStream = 1;
  #openOfOurs = 0;
  #end: SessionClosed | undefined;
  #resolveClosed!: (end: SessionClosed) => void;

  /** @internal */
  constructor(post: Post, active: Extract<HostEvent, { kind: "active" }>) {
    this.#post = post;
    this.id = hex(active.sessionId);
    this.peer = hex(active.peer);
    this.forwardSecrecy = active.forwardSecrecy;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  /**
   * A new stream, at once: a byte stream unless the options say otherwise. The server hears of it
   * before anything is written. Throws `closed`; `limit` after 32,767 streams, or with 1,024 open.
   */
  openStream(options: Partial<StreamOptions> = {}): SttStream {
    if (this.#end !== undefined) throw new SttError("closed", "the session is over");
    if (this.#nextStream > lastStreamId || this.#openOfOurs >= maxStreamsOfPeer) {
      throw new SttError("limit", "no more streams: a new session is needed");
    }
    const id = this.#nextStream;
    this.#nextStream += 2;
    ++this.#openOfOurs;
    this.#post({ kind: "open", stream: id, options });
    return this.#add(id, { ...usualStream, ...options });
  }

  /** The next stream that the server opens; undefined once the session is over. */
  accept(): Promise<SttStream | undefined> {
    const waiting = this.#incoming.shift();
    if (waiting !== undefined) return Promise.resolve(waiting);
    if (this.#end !== undefined) return Promise.resolve(undefined);
    return new Promise((resolve) => this.#acceptors.push(resolve));
  }

  /** The streams that the server opens: `for await (const stream of session)`. */
  async *[Symbol.asyncIterator](): AsyncGenerator<SttStream, void, undefined> {
    for (let next = await this.accept(); next !== undefined; next = await this.accept()) {
      yield next;
    }
  }

  /**
   * Ends the session at once, for both. Code 0, or 256 to 65,535 with a meaning of your own; the
   * server is shown the reason. Throws `bad_argument`.
   */
  close(code = 0, reason = ""): void {
    if (code !== 0 && !(code >= firstApplicationCode && code <= 65535)) {
      throw new SttError("bad_argument", "a close code is 0, or 256 to 65535");
    }
    this.#post({ kind: "close", code, reason });
  }

  /** Waits for the streams to end, then closes with code 0. */
  drain(): Promise<SessionClosed> {
    this.#post({ kind: "drain" });
    return this.closed;
  }

  /** Asks for fresh keys in our direction; they also come by themselves. */
  rotate(): void {
    this.#post({ kind: "rotate" });
  }

  /** @internal */
  handle(event: Exclude<HostEvent, { kind: "active" | "failed" }>): void {
    if (event.kind === "ended") {
      const { code, reason, byPeer } = event;
      const error = event.error === undefined ? undefined : revive(event.error);
      this.#finish({ code, reason, byPeer, error });
    } else if (event.kind === "opened") {
      const stream = this.#add(event.stream, event.options);
      const acceptor = this.#acceptors.shift();
      if (acceptor !== undefined) acceptor(stream);
      else this.#incoming.push(stream);
    } else if (event.kind !== "rotated") {
      this.#streams.get(event.stream)?.handle(event);
      if (event.kind !== "closed" || !this.#streams.delete(event.stream)) return;
      if (event.stream % 2 === 1) --this.#openOfOurs;
    }
  }

  #add(id: number, options: StreamOptions): SttStream {
    const stream = new SttStream(this.#post, id, options);
    this.#streams.set(id, stream);
    return stream;
  }

  #finish(end: SessionClosed): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    const error = end.error ?? new SttError("closed", "the session is over");
    for (const stream of this.#streams.values()) stream.fail(error);
    this.#streams.clear();
    for (const acceptor of this.#acceptors) acceptor(undefined);
    this.#acceptors = [];
    this.#resolveClosed(end);
  }
}

type StreamEvent = Extract<
  HostEvent,
  { kind: "data" | "end" | "reset" | "stopped" | "sent" | "closed" }
>;

interface Waiting {
  readonly bytes: Bytes;
  readonly credit: number;
}

/**
 * Two directions under one number. In mode `ordered` both are byte streams; in the other modes each
 * chunk is one message, written and read whole.
 */
export class SttStream {
  readonly id: number;
  readonly options: StreamOptions;
  /**
   * What the peer writes; cancelling it tells the peer to stop. The peer gets credit for a chunk
   * when the next one is asked for, so a slow reader slows the sender and fills no memory.
   */
  readonly readable: ReadableStream<Bytes>;
  /** What we write: close() is the end of our direction, abort() gives it up. */
  readonly writable: WritableStream<Uint8Array>;
  readonly #post: Post;
  #queue: Waiting[] = [];
  #queuedBytes = 0;
  #end: "none" | "end" | SttError = "none";
  #creditDue = 0;
  #wakeReader: (() => void) | undefined;
  #unsentBytes = 0;
  #sendError: SttError | undefined;
  #wakeWriter: (() => void) | undefined;

  /** @internal */
  constructor(post: Post, id: number, options: StreamOptions) {
    this.#post = post;
    this.id = id;
    this.options = options;
    this.readable = new ReadableStream<Bytes>(
      {
        pull: (controller) => this.#pull(controller),
        cancel: (reason) => {
          this.#end = new SttError("closed", "the stream was cancelled");
          this.#post({ kind: "stop", stream: id, code: codeOf(reason) });
        },
      },
      { highWaterMark: 0 },
    );
    this.writable = new WritableStream<Uint8Array>({
      // abort() below is called only once a write that waits has ended: so end it
      start: (controller) => controller.signal.addEventListener("abort", () => this.#giveUp()),
      write: (chunk) => this.#write(chunk),
      close: () => this.#close(),
      abort: (reason) => this.#post({ kind: "reset", stream: id, code: codeOf(reason) }),
    });
  }

  /** Bytes that were written and are not sealed yet. */
  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  /** Gives our direction up, whoever holds the writer. */
  reset(code = 0): void {
    this.#giveUp();
    this.#post({ kind: "reset", stream: this.id, code });
  }

  /** Wants nothing of the stream: both directions end, with the code. */
  refuse(code = 0): void {
    this.reset(code);
    this.#post({ kind: "stop", stream: this.id, code });
  }

  /** @internal */
  handle(event: StreamEvent): void {
    switch (event.kind) {
      case "data":
        this.#queue.push({ bytes: event.bytes, credit: event.credit });
        this.#queuedBytes += event.bytes.length;
        this.#trim();
        break;
      case "end":
        if (this.#end === "none") this.#end = "end";
        break;
      case "reset":
        if (this.#end === "none") {
          this.#queue = [];
          this.#end = new SttError("stream_reset", "the peer gave the stream up", event.code);
        }
        break;
      case "stopped":
        this.#sendError ??= new SttError("stream_stopped", "the peer wants no more", event.code);
        break;
      case "sent":
        this.#unsentBytes -= event.bytes;
        break;
      case "closed":
        this.#sendError ??= new SttError("closed", "the stream is over");
        break;
    }
    this.#wake();
  }

  /** @internal The session is over. */
  fail(error: SttError): void {
    if (this.#end === "none") this.#end = error;
    this.#sendError ??= error;
    this.#wake();
  }

  #giveUp(): void {
    this.#sendError ??= new SttError("closed", "the stream was given up");
    this.#wake();
  }

  #wake(): void {
    this.#wakeReader?.();
    this.#wakeWriter?.();
  }

  // Modes without credit: whoever reads too slowly loses the oldest messages.
  #trim(): void {
    if (this.options.mode === "ordered" || this.options.mode === "unordered") return;
    while (this.#queuedBytes > datagramQueueBytes && this.#queue.length > 1) {
      this.#queuedBytes -= this.#queue.shift()!.bytes.length;
    }
  }

  async #pull(controller: ReadableStreamDefaultController<Bytes>): Promise<void> {
    // The chunk before was dealt with.
    if (this.#creditDue > 0) {
      this.#post({ kind: "consume", stream: this.id, credit: this.#creditDue });
      this.#creditDue = 0;
    }
    while (this.#queue.length === 0 && this.#end === "none") {
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
    }
    const next = this.#queue.shift();
    if (next !== undefined) {
      this.#queuedBytes -= next.bytes.length;
      this.#creditDue = next.credit;
      controller.enqueue(next.bytes);
    } else if (this.#end === "end") {
      controller.close();
    } else if (this.#end !== "none") {
      controller.error(this.#end);
    }
  }

  async #write(chunk: Uint8Array): Promise<void> {
    const { mode } = this.options;
    const most = mode === "unreliable" ? usualLimits.frameBytes - 64 : maxMessageBytes;
    if (mode !== "ordered" && chunk.length > most) {
      throw new SttError("limit", `a message of this stream has at most ${most} bytes`);
    }
    if (this.#sendError !== undefined) throw this.#sendError;
    this.#unsentBytes += chunk.length;
    this.#post({ kind: "write", stream: this.id, bytes: new Uint8Array(chunk) });
    await this.#waitUntilUnsent(sendBufferBytes);
  }

  async #close(): Promise<void> {
    if (this.#sendError !== undefined) throw this.#sendError;
    this.#post({ kind: "finish", stream: this.id });
    await this.#waitUntilUnsent(1);
  }

  async #waitUntilUnsent(below: number): Promise<void> {
    while (this.#unsentBytes >= below) {
      if (this.#sendError !== undefined) throw this.#sendError;
      await new Promise<void>((resolve) => {
        this.#wakeWriter = resolve;
      });
    }
  }
}

/** The code for RESET or STOP: a number that was given as the reason, else 0. */
function codeOf(reason: unknown): number {
  const isCode = typeof reason === "number" && Number.isInteger(reason);
  return isCode && reason >= 0 && reason <= 65535 ? reason : 0;
}
