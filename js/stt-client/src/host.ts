import type { Bytes } from "./bytes.js";
import { maxCloseReasonBytes } from "./control.js";
import { WebCryptoEngine } from "./crypto-web.js";
import { asSttError, SttError, type SttErrorCode } from "./errors.js";
import { parseFrame, type FrameView } from "./frame.js";
import { Initiator, seedKey, type Established } from "./handshake.js";
import type { EpochKeys } from "./keys.js";
import type { Limits, Padding, StreamOptions } from "./limits.js";
import { parseSeed } from "./seed.js";
import { Session, type SessionEvent } from "./session.js";
import { dialWebSocket, serverUrl, type Dial, type Transport } from "./ws-transport.js";

/** What a dial may be told beside the address and the seed. */
export interface DialOptions {
  /** 10,000 unless said. */
  readonly handshakeTimeoutMs?: number;
  /** Whether to offer forward secrecy; true unless said. */
  readonly ephemeral?: boolean;
  readonly padding?: Padding;
  readonly limits?: Partial<Limits>;
}

/** An error that can be posted to another thread. */
export interface PlainError {
  readonly code: SttErrorCode;
  readonly message: string;
  readonly detail: number;
}

// All of these can be posted between threads: the session may live in a worker.
export type HostCommand =
  | {
      readonly kind: "connect";
      readonly url: string;
      readonly seed: string | Bytes;
      readonly options: DialOptions;
    }
  | { readonly kind: "open"; readonly stream: number; readonly options: Partial<StreamOptions> }
  | { readonly kind: "write"; readonly stream: number; readonly bytes: Bytes }
  | { readonly kind: "finish"; readonly stream: number }
  | { readonly kind: "reset" | "stop"; readonly stream: number; readonly code: number }
  | { readonly kind: "consume"; readonly stream: number; readonly credit: number }
  | { readonly kind: "close"; readonly code: number; readonly reason: string }
  | { readonly kind: "drain" }
  | { readonly kind: "rotate" };

export type HostEvent =
  | {
      readonly kind: "active";
      readonly sessionId: Bytes;
      readonly peer: Bytes;
      readonly forwardSecrecy: boolean;
    }
  | { readonly kind: "failed"; readonly error: PlainError } // no session came of it
  | {
      readonly kind: "ended";
      readonly code: number;
      readonly reason: string;
      readonly byPeer: boolean;
      readonly error: PlainError | undefined;
    }
  | Extract<
      SessionEvent,
      { kind: "opened" | "data" | "end" | "reset" | "stopped" | "sent" | "closed" | "rotated" }
    >;

/** Of frames that are being sealed at once; their order is kept. */
const sealedAtOnce = 8;
/** Of the socket's own buffer: nothing is sealed above it. */
const maxBufferedBytes = 4 * 2 ** 20;
const bufferPollMs = 4; // browsers have no event for it
const usualHandshakeTimeoutMs = 10_000;
const nodeIdBytes = 32;
const policyViolation = 1008; // what a responder closes a handshake with

function plain(error: SttError): PlainError {
  return { code: error.code, message: error.message, detail: error.detail };
}

/** The close code of the WebSocket after a CLOSE: pages may say 1000 and 3000 to 4999 alone. */
function webSocketCode(code: number): number {
  if (code === 0) return 1000;
  return code < 1000 ? 3000 + code : 3999;
}

/**
 * One dial and the session that came of it: joins the machines to WebCrypto, WebSocket and timers.
 * Lives in whatever thread makes it; speaks in commands and events alone.
 */
export class SessionHost {
  readonly #emit: (event: HostEvent) => void;
  readonly #dial: Dial;
  readonly #makeEngine: () => Promise<WebCryptoEngine>;
  #engine: WebCryptoEngine | undefined;
  #transport: Transport | undefined;
  #initiator: Initiator | undefined;
  #session: Session | undefined;
  #sendKeys: EpochKeys | undefined;
  #nextSendKeys: EpochKeys | undefined;
  #receiveKeys: EpochKeys | undefined;
  #nextReceiveKeys: EpochKeys | undefined;
  #isOver = false;
  #closeCode: number | undefined;
  #limits: DialOptions = {};
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAt = Infinity;
  // Each is a queue: what comes next waits for what came before.
  #intake: Promise<void> = Promise.resolve();
  #handled: Promise<void> = Promise.resolve();
  #sealed: Promise<void> = Promise.resolve();
  #sealing = 0;
  #prepared: { nonce: Bytes; privateKey: CryptoKey | undefined } | undefined;

  constructor(
    emit: (event: HostEvent) => void,
    dial: Dial = dialWebSocket,
    makeEngine: () => Promise<WebCryptoEngine> = () => WebCryptoEngine.create(),
  ) {
    this.#emit = emit;
    this.#dial = dial;
    this.#makeEngine = makeEngine;
  }

  handle(command: HostCommand): void {
    if (command.kind === "connect") {
      this.#connect(command.url, command.seed, command.options).catch((thrown: unknown) =>
        this.#fail(asSttError(thrown)),
      );
      return;
    }
    const session = this.#session;
    if (session === undefined) {
      if (command.kind === "close") this.#fail(new SttError("closed", "closed while dialling"));
      return;
    }
    try {
      this.#command(session, command);
    } catch (thrown) {
      // A command that crossed the end of its stream or session: the events have told of it.
      const error = asSttError(thrown);
      if (error.code !== "closed" && error.code !== "stream_stopped") throw error;
    }
    this.#flush();
  }

  #command(session: Session, command: Exclude<HostCommand, { kind: "connect" }>): void {
    switch (command.kind) {
      case "open":
        if (session.open(command.options) !== command.stream) {
          throw new SttError("bad_argument", "streams are opened in order");
        }
        session.announce(command.stream);
        break;
      case "write":
        session.write(command.stream, command.bytes, this.#now());
        break;
      case "finish":
        session.finish(command.stream);
        break;
      case "reset":
        session.reset(command.stream, command.code);
        break;
      case "stop":
        session.stop(command.stream, command.code);
        break;
      case "consume":
        session.consume(command.stream, command.credit);
        break;
      case "close":
        session.close(command.code, command.reason.slice(0, maxCloseReasonBytes));
        break;
      case "drain":
        session.drain();
        break;
      case "rotate":
        session.rotate();
        break;
    }
  }

  #now(): number {
    return performance.now();
  }

  // --- the dial

  async #connect(url: string, seed: string | Bytes, options: DialOptions): Promise<void> {
    this.#limits = options;
    const address = serverUrl(url);
    const engine = await this.#makeEngine();
    this.#engine = engine;
    const bytes = typeof seed === "string" ? await parseSeed(engine, seed) : seed.slice();
    if (bytes.length < nodeIdBytes) throw new SttError("bad_seed", "a seed has 32 bytes or more");
    // A node id of its own for each dial: nothing here listens, so it is never met again.
    const config = {
      seedKey: await seedKey(engine, bytes),
      nodeId: engine.random(nodeIdBytes),
      capabilities: ["websocket"],
      ephemeral: options.ephemeral ?? true,
    };
    if (this.#isOver) return;
    const initiator = new Initiator(engine, config);
    this.#initiator = initiator;
    const timeout = options.handshakeTimeoutMs ?? usualHandshakeTimeoutMs;
    this.#timer = setTimeout(() => this.#fail(this.#timeoutError()), timeout);
    let isOpen = false;
    this.#transport = this.#dial(address, {
      opened: () => {
        isOpen = true;
        this.#intake = this.#intake
          .then(async () => this.#send(await initiator.start(Date.now())))
          .catch((thrown: unknown) => this.#fail(asSttError(thrown)));
      },
      message: (message) => {
        this.#intake = this.#intake
          .then(() => this.#take(message))
          .catch((thrown: unknown) => this.#fault(asSttError(thrown)));
      },
      closed: (code) => {
        this.#intake = this.#intake
          .then(() => this.#handled)
          .then(() => this.#handleClosed(isOpen, code));
      },
    });
  }

  #timeoutError(): SttError {
    return new SttError("timeout", "the server did not finish the handshake in time");
  }

  #send(message: Bytes): void {
    if (!this.#isOver) this.#transport?.send(message);
  }

  #handleClosed(wasOpen: boolean, code: number): void {
    if (this.#session !== undefined) {
      this.#session.handleDisconnected();
      this.#flush();
    } else if (!wasOpen) {
      this.#fail(new SttError("unreachable", "the server cannot be reached, or refuses this page"));
    } else if (code === policyViolation) {
      this.#fail(
        new SttError("refused", "the server refused the handshake: it has another seed", code),
      );
    } else {
      this.#fail(new SttError("unreachable", "the server went away during the handshake", code));
    }
  }

  // No session came of it.
  #fail(error: SttError): void {
    if (this.#session !== undefined) {
      this.#fault(error);
      return;
    }
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#initiator = undefined;
    this.#transport?.close(error.code === "closed" ? 1000 : 3001);
    this.#emit({ kind: "failed", error: plain(error) });
  }

  #fault(error: SttError): void {
    if (this.#session === undefined) {
      this.#fail(error);
      return;
    }
    this.#session.handleFault(error);
    this.#flush();
  }

  // --- what came

  async #take(message: Bytes): Promise<void> {
    let rest = message;
    while (rest.length > 0 && !this.#isOver) {
      let frame: FrameView;
      try {
        frame = parseFrame(rest);
      } catch (thrown) {
        await this.#handled; // what came before it stands
        throw thrown;
      }
      rest = rest.subarray(frame.frameBytes);
      if (this.#session === undefined) await this.#handshakeStep(frame);
      else this.#open(this.#session, frame);
    }
  }

  async #handshakeStep(frame: FrameView): Promise<void> {
    const initiator = this.#initiator;
    if (initiator === undefined) throw new SttError("protocol", "a frame before any question");
    const step = await initiator.handle(frame);
    if (this.#isOver) return;
    if (step.kind === "send") this.#send(step.message);
    else this.#begin(step.established);
  }

  #begin(established: Established): void {
    clearTimeout(this.#timer);
    this.#initiator = undefined;
    const { sessionId, forwardSecrecy, peer } = established;
    const { padding, limits } = this.#limits;
    const config = {
      role: "initiator" as const,
      sessionId,
      forwardSecrecy,
      ...(padding === undefined ? {} : { padding }),
      ...(limits === undefined ? {} : { limits }),
    };
    this.#sendKeys = established.initiatorKeys;
    this.#receiveKeys = established.responderKeys;
    this.#session = new Session(config, this.#now());
    this.#session.ping(1n, this.#now()); // the round trip, by which windows grow
    this.#emit({ kind: "active", sessionId, peer, forwardSecrecy });
    this.#flush();
  }

  // Frames are opened side by side and handled in order.
  #open(session: Session, frame: FrameView): void {
    const fault = session.admit(frame.head);
    const opened = fault === undefined ? this.#keysOf(frame.head.epoch).open(frame) : undefined;
    this.#handled = this.#handled
      .then(async () => {
        const plaintext = await opened;
        if (fault !== undefined) throw fault;
        if (plaintext === undefined) throw new SttError("not_authentic", "a frame was altered");
        const error = session.handleFrame(frame.head, plaintext, this.#now());
        if (error !== undefined) throw error;
        this.#flush();
      })
      .catch((thrown: unknown) => this.#fault(asSttError(thrown)));
  }

  #keysOf(epoch: number): EpochKeys {
    if (this.#nextReceiveKeys?.epoch === epoch) {
      this.#receiveKeys = this.#nextReceiveKeys;
      this.#nextReceiveKeys = undefined;
    }
    return this.#receiveKeys!;
  }

  // --- what goes

  #flush(): void {
    const session = this.#session;
    if (session === undefined) return;
    this.#drainEvents(session);
    while (this.#sealing < sealedAtOnce && (this.#hasRoom() || session.isClosing)) {
      const frame = session.pollFrame(this.#now());
      this.#drainEvents(session);
      if (frame === undefined) break;
      if (frame.head.epoch === this.#nextSendKeys?.epoch) {
        this.#sendKeys = this.#nextSendKeys;
        this.#nextSendKeys = undefined;
      }
      ++this.#sealing;
      const sealed = this.#sendKeys!.seal(frame.head, frame.plaintext);
      this.#sealed = this.#sealed.then(async () => {
        this.#transport?.send(await sealed);
        --this.#sealing;
        this.#flush();
      });
    }
    this.#arm(session);
    if (this.#closeCode !== undefined && !session.isClosing && this.#sealing === 0) {
      this.#transport?.close(this.#closeCode);
      this.#closeCode = undefined;
    }
  }

  #hasRoom(): boolean {
    return (this.#transport?.bufferedBytes ?? 0) <= maxBufferedBytes;
  }

  #arm(session: Session): void {
    let at = session.pollTimeout() ?? Infinity;
    if (!this.#hasRoom() && !this.#isOver) at = Math.min(at, this.#now() + bufferPollMs);
    if (at === this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    if (at === Infinity) return;
    this.#timer = setTimeout(
      () => {
        this.#timerAt = Infinity;
        session.handleTimeout(this.#now());
        this.#flush();
      },
      Math.max(0, at - this.#now()),
    );
  }

  #drainEvents(session: Session): void {
    for (let event = session.pollEvent(); event !== undefined; event = session.pollEvent()) {
      switch (event.kind) {
        case "prepare_rotation":
          this.#run(this.#prepareRotation(session, event.withEphemeral));
          break;
        case "answer_rotation":
          this.#run(
            this.#answerRotation(session, event.question.nonce, event.question.ephemeral),
          );
          break;
        case "finish_rotation":
          this.#run(this.#finishRotation(session, event.answer.ephemeral));
          break;
        case "ended": {
          const { code, reason, byPeer, error } = event.end;
          this.#finish(code);
          const last = error === undefined ? undefined : plain(error);
          this.#emit({ kind: "ended", code, reason, byPeer, error: last });
          break;
        }
        default:
          this.#emit(event);
      }
    }
  }

  // The connection is closed behind the CLOSE frame, if there is one: by the flush under way.
  #finish(code: number): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#closeCode = webSocketCode(code);
  }

  // --- rotations

  #run(step: Promise<void>): void {
    step.then(() => this.#flush()).catch((thrown: unknown) => this.#fault(asSttError(thrown)));
  }

  async #prepareRotation(session: Session, withEphemeral: boolean): Promise<void> {
    const engine = this.#engine!;
    const pair = withEphemeral ? await engine.generateKeyPair() : undefined;
    const nonce = engine.random(32);
    this.#prepared = { nonce, privateKey: pair?.privateKey };
    session.rotationPrepared(nonce, pair?.publicKey);
  }

  async #finishRotation(session: Session, theirs: Bytes | undefined): Promise<void> {
    const { nonce, privateKey } = this.#prepared!;
    this.#prepared = undefined;
    const shared = await this.#agree(privateKey, theirs);
    if (shared === undefined) {
      session.rotationFailed();
      return;
    }
    this.#nextSendKeys = await this.#sendKeys!.next(nonce, shared);
    session.rotationFinished();
  }

  async #answerRotation(
    session: Session,
    nonce: Bytes,
    theirs: Bytes | undefined,
  ): Promise<void> {
    const pair = theirs === undefined ? undefined : await this.#engine!.generateKeyPair();
    const shared = await this.#agree(pair?.privateKey, theirs);
    if (shared === undefined) {
      session.rotationFailed();
      return;
    }
    this.#nextReceiveKeys = await this.#receiveKeys!.next(nonce, shared);
    session.rotationAnswered(pair?.publicKey);
  }

  async #agree(ours: CryptoKey | undefined, theirs: Bytes | undefined): Promise<Bytes | undefined> {
    if (ours === undefined || theirs === undefined) return new Uint8Array(0);
    return this.#engine!.x25519(ours, theirs);
  }
}
