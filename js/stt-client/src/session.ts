import { concat, constantTimeEqual, varint, type Bytes } from "./bytes.js";
import {
  CloseCode,
  closeText,
  encodeControl,
  maxCloseReasonBytes,
  parseControl,
  type ControlMessage,
  type SessionMessage,
  type StreamMessage,
} from "./control.js";
import { ReceiveCredit, SendCredit } from "./credit.js";
import { SttError } from "./errors.js";
import { Flag, FrameType, isHandshake, maxPacketNumber, type FrameHead } from "./frame.js";
import {
  lastStreamId,
  maxMessageBytes,
  maxStreamsOfPeer,
  usualLimits,
  usualStream,
  type Limits,
  type Padding,
  type StreamOptions,
} from "./limits.js";
import { encodeInit, takeInit } from "./stream-init.js";
import { paddedPlaintext, plaintextLimit, withoutPadding } from "./padding.js";
import { parseData, ReceiveStream, StreamFault } from "./receive-stream.js";
import { ReceiveRotation, SendRotation } from "./rotation.js";
import { Schedule } from "./schedule.js";
import { SendStream, type Outgoing } from "./send-stream.js";
import type { OutgoingFrame, Role, SessionConfig, SessionEnd, SessionEvent } from "./session-events.js";

export type { OutgoingFrame, Role, SessionConfig, SessionEnd, SessionEvent } from "./session-events.js";

interface Stream {
  readonly id: number;
  readonly options: StreamOptions;
  readonly sending: SendStream;
  readonly receiving: ReceiveStream;
  readonly sendCredit: SendCredit;
  readonly receiveCredit: ReceiveCredit;
  readonly due: StreamMessage[];
  creditDue: boolean;
  needsInit: boolean;
  endSaid: boolean;
  deficit: number;
}

/** Of one frame: with INIT and CREDIT they fit into the smallest padded one. */
const maxStreamMessages = 4;
const streamWindows = 4; // in the session's window, as at the beginning
const initAndPrefixBytes = 2 + 5 + 10 + 10;

/**
 * Many streams over one handshake: an STT/1 session on WebSocket, without socket, clock, promise or
 * key. It takes frames that were opened and gives frames to be sealed.      spec: stt.md
 *
 * For each frame that came, in order: {@link admit} its head, open it, {@link handleFrame}. After
 * any input or command: {@link pollFrame} until it gives nothing, then {@link pollEvent} until it
 * gives nothing, then {@link pollTimeout}. Times are milliseconds of one clock that never goes back.
 */
export class Session {
  readonly role: Role;
  readonly id: Bytes;
  readonly forwardSecrecy: boolean;
  readonly #limits: Limits;
  readonly #padding: Padding;
  readonly #sending: SendRotation;
  readonly #receiving: ReceiveRotation;
  readonly #sendCredit: SendCredit;
  readonly #receiveCredit: ReceiveCredit;
  readonly #streams = new Map<number, Stream>();
  readonly #seenOfPeer = new Set<number>();
  readonly #schedule = new Schedule();
  #state: "active" | "closing" | "closed" = "active";
  #closing: { code: number; reason: string } | undefined;
  #draining = false;
  #events: SessionEvent[] = [];
  #nextAdmitted = 0n;
  #nextSent = 0n;
  #nextOwn: number;
  #openOfOurs = 0;
  #openOfPeer = 0;
  #controlDue: SessionMessage[] = [];
  #streamsDue: number[] = [];
  #pongDue: bigint | undefined;
  #ping: { nonce: bigint; at: number } | undefined;
  #roundTripMs = 0;
  #sessionCreditDue = false;
  #lastHeard: number;
  #lastPinged: number;

  constructor(config: SessionConfig, now: number) {
    const limits = { ...usualLimits, ...config.limits };
    this.role = config.role;
    this.id = config.sessionId;
    this.forwardSecrecy = config.forwardSecrecy;
    this.#limits = limits;
    this.#padding = config.padding ?? "none";
    this.#sending = new SendRotation(limits, config.forwardSecrecy, now);
    this.#receiving = new ReceiveRotation(config.forwardSecrecy);
    this.#sendCredit = new SendCredit(limits.sessionWindowBytes);
    this.#receiveCredit = new ReceiveCredit(
      limits.sessionWindowBytes,
      limits.maxSessionWindowBytes,
    );
    this.#nextOwn = config.role === "initiator" ? 1 : 2;
    this.#lastHeard = now;
    this.#lastPinged = now;
  }

  // --- inputs

  /**
   * Checks the head of the next frame, before it is opened. An error means close 1002 and the end:
   * {@link handleFault} it.
   */
  admit(head: FrameHead): SttError | undefined {
    if (isHandshake(head.type)) return new SttError("protocol", "a handshake frame in a session");
    if (!constantTimeEqual(head.sessionId, this.id)) {
      return new SttError("protocol", "a frame of another session");
    }
    if (head.number !== this.#nextAdmitted) {
      return new SttError("protocol", "a frame out of its place: repeated, reordered or left out");
    }
    const epoch = this.#receiving.admit(head.epoch);
    if (epoch === undefined) return new SttError("protocol", "a frame of an unknown key epoch");
    if (epoch === "new") {
      this.#events.push({ kind: "rotated", sender: this.#otherRole, epoch: head.epoch });
    }
    ++this.#nextAdmitted;
    return undefined;
  }

  /** A frame that was admitted and whose tag verified. An error: as of {@link admit}. */
  handleFrame(head: FrameHead, plaintext: Bytes, now: number): SttError | undefined {
    if (this.isOver) return undefined;
    this.#lastHeard = now;
    try {
      return this.#handle(head, withoutPadding(head.flags, plaintext), now);
    } catch (thrown) {
      this.#endByFault(thrown);
      return undefined;
    }
  }

  /** A fault from before a tag verified: the session is over, without a word to the peer. */
  handleFault(error: SttError): void {
    this.#end({ code: CloseCode.protocol, reason: "", byPeer: false, error }, "closed");
  }

  /** The connection is gone without CLOSE. */
  handleDisconnected(): void {
    const error = new SttError("truncated", "the connection ended without the peer's goodbye");
    this.#end({ code: CloseCode.internal, reason: "", byPeer: true, error }, "closed");
    this.#closing = undefined;
    this.#state = "closed";
  }

  handleTimeout(now: number): void {
    if (this.isOver) return;
    const { idleTimeoutMs, pingAfterMs } = this.#limits;
    if (now - this.#lastHeard >= idleTimeoutMs) {
      this.#fail(CloseCode.idle, new SttError("idle", "nothing was heard for too long"));
      return;
    }
    if (this.#sending.hasTimedOut(now)) {
      this.#fail(CloseCode.keys, new SttError("idle", "the peer did not answer to a rotation"));
      return;
    }
    const quiet = Math.max(this.#lastHeard, this.#lastPinged);
    if (pingAfterMs > 0 && now - quiet >= pingAfterMs) this.ping(BigInt(Math.trunc(now)), now);
    for (const stream of this.#streams.values()) {
      const given = stream.sending.expire(now);
      if (given === undefined) continue;
      this.#say(stream, { kind: "abandon", upTo: given.upTo });
      this.#events.push({ kind: "sent", stream: stream.id, bytes: given.bytes });
    }
  }

  /** The answer to prepare_rotation. */
  rotationPrepared(nonce: Bytes, ephemeral: Bytes | undefined): void {
    if (!this.isOver) this.#controlDue.push(this.#sending.prepared(nonce, ephemeral));
  }

  /** The answer to answer_rotation, once the next keys are there. */
  rotationAnswered(ephemeral: Bytes | undefined): void {
    if (!this.isOver) this.#controlDue.push(this.#receiving.answered(ephemeral));
  }

  /** The answer to finish_rotation, once the next keys are there. */
  rotationFinished(): void {
    this.#sending.derived();
  }

  /** The peer's ephemeral was of small order. */
  rotationFailed(): void {
    this.#fail(CloseCode.keys, new SttError("protocol", "a rotation with an all-zero secret"));
  }

  // --- commands

  /** The new stream's id. Throws `closed`, `limit`. */
  open(options: Partial<StreamOptions> = {}): number {
    if (this.isOver || this.#draining) throw new SttError("closed", "the session is over");
    if (this.#nextOwn > lastStreamId || this.#openOfOurs >= maxStreamsOfPeer) {
      throw new SttError("limit", "no more streams: a new session is needed");
    }
    const id = this.#nextOwn;
    this.#nextOwn += 2;
    const stream = this.#add(id, { ...usualStream, ...options });
    stream.needsInit = true;
    return id;
  }

  /** Tells the peer of a stream of ours before anything is written to it. */
  announce(id: number): void {
    const stream = this.#need(id);
    if (!stream.needsInit || stream.creditDue) return;
    stream.creditDue = true; // the credit that it has says nothing new, and carries INIT
    this.#streamsDue.push(id);
  }

  /**
   * Takes all of `data`, which is not copied; in the message modes it is one message. How much
   * waits is told by `sent` events: whoever writes faster than them fills memory.
   * Throws `closed`, `limit`, `stream_stopped`.
   */
  write(id: number, data: Bytes, now: number): void {
    const stream = this.#need(id);
    if (stream.sending.isOver) throw new SttError("stream_stopped", "the peer wants no more");
    if (!stream.sending.isOpen) throw new SttError("closed", "the stream's end was written");
    const { mode, deadlineMs } = stream.options;
    const most = mode === "unreliable" ? this.#unreliableBytes : maxMessageBytes;
    if (mode !== "ordered" && data.length > most) {
      throw new SttError("limit", `a message of this stream has at most ${most} bytes`);
    }
    const hasDeadline = mode === "partial" && deadlineMs > 0;
    stream.sending.write(data, hasDeadline ? now + deadlineMs : undefined);
    this.#wake(stream);
  }

  /** FIN after all that was written. */
  finish(id: number): void {
    const stream = this.#need(id);
    stream.sending.finish();
    this.#wake(stream);
  }

  /** Gives up our direction: what was not sent is dropped. */
  reset(id: number, code: number): void {
    const stream = this.#need(id);
    if (stream.sending.isOver) return;
    this.#resetSending(stream, code);
  }

  /** Wants no more of the peer's direction; what is undelivered is dropped. */
  stop(id: number, code: number): void {
    const stream = this.#need(id);
    if (!stream.receiving.hasAll) this.#say(stream, { kind: "stop", code });
    stream.receiving.stop();
    this.#giveBack(stream);
    this.#forgetIfOver(stream);
  }

  /** The application is done with delivered bytes: `credit` of their data event. */
  consume(id: number, credit: number): void {
    const stream = this.#streams.get(id);
    if (credit === 0 || this.isOver) return;
    this.#consumed(stream, credit);
  }

  /** Waits for the streams to end, then CLOSE{0}. */
  drain(): void {
    this.#draining = true;
    this.#closeIfDrained();
  }

  /** CLOSE at once; code 0, or 256 and above. `reason` is shown to the peer. */
  close(code: number, reason: string): void {
    this.#end({ code, reason: shortened(reason), byPeer: false, error: undefined }, "closing");
  }

  /** Fresh keys for our direction. */
  rotate(): void {
    this.#sending.request();
  }

  ping(nonce: bigint, now: number): void {
    this.#ping = { nonce, at: now };
    this.#lastPinged = now;
    this.#controlDue = this.#controlDue.filter((message) => message.kind !== "ping");
    this.#controlDue.push({ kind: "ping", nonce });
  }

  // --- outputs

  /** The next frame, if one waits and may be sent. */
  pollFrame(now: number): OutgoingFrame | undefined {
    if (this.#closing !== undefined) return this.#closeFrame(now);
    if (this.isOver) return undefined;
    if (this.#sending.takeDue(now)) {
      this.#events.push({ kind: "prepare_rotation", withEphemeral: this.forwardSecrecy });
    }
    return this.#controlFrame(now) ?? this.#streamControlFrame(now) ?? this.#dataFrame(now);
  }

  pollEvent(): SessionEvent | undefined {
    return this.#events.shift();
  }

  pollTimeout(): number | undefined {
    if (this.isOver) return undefined;
    const { idleTimeoutMs, pingAfterMs } = this.#limits;
    let next = this.#lastHeard + idleTimeoutMs;
    const ping = Math.max(this.#lastHeard, this.#lastPinged) + pingAfterMs;
    if (pingAfterMs > 0) next = Math.min(next, ping);
    next = Math.min(next, this.#sending.pollTimeout() ?? next);
    for (const { sending } of this.#streams.values()) {
      next = Math.min(next, sending.nextDeadline ?? next);
    }
    return next;
  }

  // --- getters

  get isOver(): boolean {
    return this.#state !== "active";
  }

  /** Our CLOSE waits to be sent. */
  get isClosing(): boolean {
    return this.#closing !== undefined;
  }

  get sendEpoch(): number {
    return this.#sending.epoch;
  }

  get receiveEpoch(): number {
    return this.#receiving.epoch;
  }

  get roundTripMs(): number {
    return this.#roundTripMs;
  }

  // --- what came

  #handle(head: FrameHead, plaintext: Bytes, now: number): SttError | undefined {
    if (head.type === FrameType.control) {
      for (const message of parseControl(head.type, plaintext)) {
        if (!this.isOver) this.#handleSessionMessage(message as SessionMessage, now);
      }
      return undefined;
    }
    const found = this.#streamOf(head, plaintext);
    if (found instanceof SttError) return found;
    const { stream, body } = found;
    if (stream === undefined) return undefined; // closed: read over
    if (head.type === FrameType.data) {
      this.#handleData(stream, head.flags, body);
      return undefined;
    }
    for (const message of parseControl(FrameType.streamControl, body)) {
      if (!this.isOver && this.#streams.has(stream.id)) {
        this.#handleStreamMessage(stream, message as StreamMessage);
      }
    }
    return undefined;
  }

  #streamOf(
    head: FrameHead,
    body: Bytes,
  ): { stream: Stream | undefined; body: Bytes } | SttError {
    const hasInit = (head.flags & Flag.init) !== 0;
    const ours = this.#isOurs(head.stream);
    const wasOpened = ours ? head.stream < this.#nextOwn : this.#seenOfPeer.has(head.stream);
    if (ours && (hasInit || !wasOpened)) throw new StreamFault(CloseCode.stream);
    if (!wasOpened && !hasInit) {
      return new SttError("protocol", "a frame of a stream that was never opened");
    }
    let rest = body;
    let options = usualStream;
    if (hasInit) [options, rest] = takeInit(body);
    if (!wasOpened) {
      if (this.#openOfPeer >= maxStreamsOfPeer) throw new StreamFault(CloseCode.limit);
      this.#seenOfPeer.add(head.stream);
      this.#add(head.stream, options);
      this.#events.push({ kind: "opened", stream: head.stream, options });
    }
    return { stream: this.#streams.get(head.stream), body: rest };
  }

  #handleData(stream: Stream, flags: number, body: Bytes): void {
    const data = parseData(stream.options.mode, flags, body);
    const allowed = Math.min(stream.receiveCredit.left, this.#receiveCredit.left);
    this.#useCredit(stream, stream.receiving.add(data, allowed));
    for (const { bytes, credit } of stream.receiving.take()) {
      this.#events.push({ kind: "data", stream: stream.id, bytes, credit });
    }
    this.#giveBack(stream);
    if (stream.receiving.hasAll && !stream.receiving.isStopped) this.#sayEnd(stream);
    this.#forgetIfOver(stream);
  }

  #sayEnd(stream: Stream): void {
    if (stream.endSaid) return;
    stream.endSaid = true;
    this.#events.push({ kind: "end", stream: stream.id });
  }

  #useCredit(stream: Stream, credit: number): void {
    if (!stream.receiveCredit.use(credit) || !this.#receiveCredit.use(credit)) {
      throw new StreamFault(CloseCode.flow);
    }
  }

  #giveBack(stream: Stream): void {
    const bytes = stream.receiving.takeGivenBack();
    if (bytes > 0) this.#consumed(stream, bytes);
  }

  #consumed(stream: Stream | undefined, credit: number): void {
    this.#receiveCredit.consume(credit);
    this.#sessionCreditDue ||= this.#receiveCredit.isDue;
    if (stream === undefined) return;
    stream.receiveCredit.consume(credit);
    if (!stream.creditDue && !stream.receiving.hasAll && stream.receiveCredit.isDue) {
      stream.creditDue = true;
      this.#streamsDue.push(stream.id);
    }
  }

  #handleSessionMessage(message: SessionMessage, now: number): void {
    switch (message.kind) {
      case "ping":
        this.#pongDue = message.nonce; // of several only the newest is answered
        break;
      case "pong":
        if (this.#ping?.nonce !== message.nonce) break;
        this.#roundTripMs = now - this.#ping.at;
        this.#ping = undefined;
        break;
      case "session_credit":
        this.#sendCredit.raise(message.limit);
        for (const stream of this.#streams.values()) this.#wake(stream);
        break;
      case "rotate": {
        const answer = this.#receiving.handleRotate(message);
        if (answer === "make") this.#events.push({ kind: "answer_rotation", question: message });
        else if (answer !== undefined) this.#controlDue.push(answer);
        break;
      }
      case "rotated":
        if (this.#sending.handleRotated(message)) {
          this.#events.push({ kind: "finish_rotation", answer: message });
        }
        break;
      case "close": {
        const { code, reason } = message;
        const error =
          code === 0 ? undefined : new SttError("aborted", closeText(code), code);
        this.#end({ code, reason, byPeer: true, error }, "closed");
        break;
      }
    }
  }

  #handleStreamMessage(stream: Stream, message: StreamMessage): void {
    switch (message.kind) {
      case "credit":
        stream.sendCredit.raise(message.limit);
        this.#wake(stream);
        break;
      case "blocked":
        if (BigInt(stream.receiveCredit.nextLimit) > message.at && !stream.creditDue) {
          stream.creditDue = true;
          this.#streamsDue.push(stream.id);
        }
        break;
      case "reset": {
        const allowed = Math.min(stream.receiveCredit.left, this.#receiveCredit.left);
        const hadAll = stream.receiving.hasAll;
        this.#useCredit(stream, stream.receiving.reset(message.finalSize, allowed));
        this.#giveBack(stream);
        if (!hadAll) {
          this.#events.push({ kind: "reset", stream: stream.id, code: message.code });
        }
        this.#forgetIfOver(stream);
        break;
      }
      case "stop":
        if (stream.sending.isOver) break;
        this.#resetSending(stream, message.code);
        this.#events.push({ kind: "stopped", stream: stream.id, code: message.code });
        break;
      case "abandon":
        stream.receiving.abandon(message.upTo);
        if (stream.receiving.hasAll) this.#sayEnd(stream);
        break;
    }
  }

  // --- what goes

  #closeFrame(now: number): OutgoingFrame {
    const { code, reason } = this.#closing!;
    this.#closing = undefined;
    this.#state = "closed";
    let body = encodeControl([{ kind: "close", code, reason }]);
    if (body.length > plaintextLimit(this.#padding, this.#limits.frameBytes)) {
      body = encodeControl([{ kind: "close", code, reason: "" }]);
    }
    return { ...this.#frame(FrameType.control, 0, 0, body, now), isLast: true };
  }

  #controlFrame(now: number): OutgoingFrame | undefined {
    // A rotation of ours or an answer comes first, so that it always fits.
    const messages: ControlMessage[] = this.#controlDue.splice(0, 1);
    if (messages.length === 0 && this.#pongDue !== undefined) {
      messages.push({ kind: "pong", nonce: this.#pongDue });
      this.#pongDue = undefined;
    }
    if (messages.length === 0 && this.#sessionCreditDue) {
      this.#sessionCreditDue = false;
      const limit = BigInt(this.#receiveCredit.grant(now, this.#roundTripMs));
      messages.push({ kind: "session_credit", limit });
    }
    if (messages.length === 0) return undefined;
    return this.#frame(FrameType.control, 0, 0, encodeControl(messages), now);
  }

  #streamControlFrame(now: number): OutgoingFrame | undefined {
    for (let id = this.#streamsDue.shift(); id !== undefined; id = this.#streamsDue.shift()) {
      const stream = this.#streams.get(id);
      if (stream === undefined) continue;
      const messages: ControlMessage[] = stream.due.splice(0, maxStreamMessages);
      if (stream.due.length > 0) this.#streamsDue.push(id);
      if (stream.creditDue) {
        stream.creditDue = false;
        const limit = BigInt(stream.receiveCredit.grant(now, this.#roundTripMs));
        messages.push({ kind: "credit", limit });
        // What one stream holds unread must leave the others enough that a grant becomes due again.
        this.#receiveCredit.widen(streamWindows * stream.receiveCredit.window);
        this.#sessionCreditDue ||= this.#receiveCredit.isDue;
      }
      if (messages.length === 0) continue;
      const flags = stream.needsInit ? Flag.init : 0;
      const body = concat(this.#initOf(stream), encodeControl(messages));
      const frame = this.#frame(FrameType.streamControl, id, flags, body, now);
      this.#forgetIfOver(stream);
      return frame;
    }
    return undefined;
  }

  #dataFrame(now: number): OutgoingFrame | undefined {
    if (this.#sending.mustStop(now)) return undefined;
    for (let stream = this.#nextTurn(); stream !== undefined; stream = this.#nextTurn()) {
      const frame = this.#dataOf(stream, now);
      if (frame !== undefined) return frame;
      // Nothing that credit allows: woken again by CREDIT.
      const left = stream.sendCredit.left;
      if (stream.sending.isBlocked(left) && stream.sendCredit.takeBlocked()) {
        this.#say(stream, { kind: "blocked", at: BigInt(stream.sendCredit.limit) });
      }
      this.#endTurn(stream, false);
      if (stream.due.length > 0) return this.#streamControlFrame(now);
    }
    return undefined;
  }

  #dataOf(stream: Stream, now: number): OutgoingFrame | undefined {
    const isOrdered = stream.options.mode === "ordered";
    const most = plaintextLimit(this.#padding, this.#limits.frameBytes) - initAndPrefixBytes;
    if (stream.deficit <= 0) stream.deficit = most; // a full frame, or several small ones
    const room = isOrdered ? Math.min(most, stream.deficit) : most;
    const next = stream.sending.next(room, Math.min(stream.sendCredit.left, this.#sendCredit.left));
    if (next === undefined) return undefined;

    let flags = stream.needsInit ? Flag.init : 0;
    if (next.fin) flags |= Flag.fin;
    if (next.messageEnd) flags |= Flag.messageEnd;
    const id = isOrdered ? new Uint8Array(0) : varint(next.id);
    const body = concat(this.#initOf(stream), id, varint(next.offset), next.bytes);
    const frame = this.#frame(FrameType.data, stream.id, flags, body, now);
    this.#account(stream, next);
    return frame;
  }

  #account(stream: Stream, next: Outgoing): void {
    stream.sendCredit.use(next.credit);
    this.#sendCredit.use(next.credit);
    stream.deficit -= Math.max(1, next.bytes.length);
    const bytes = stream.sending.sent(next);
    if (bytes > 0) this.#events.push({ kind: "sent", stream: stream.id, bytes });
    const goesOn = stream.sending.hasWaiting;
    if (stream.deficit <= 0 || !goesOn) this.#endTurn(stream, goesOn);
    this.#forgetIfOver(stream);
  }

  #initOf(stream: Stream): Bytes {
    if (!stream.needsInit) return new Uint8Array(0);
    stream.needsInit = false;
    return encodeInit(stream.options);
  }

  #frame(
    type: FrameHead["type"],
    stream: number,
    flags: number,
    body: Bytes,
    now: number,
  ): OutgoingFrame {
    if (this.#sending.advance(now)) {
      this.#events.push({ kind: "rotated", sender: this.role, epoch: this.#sending.epoch });
    }
    const padded = this.#padding === "none" ? 0 : Flag.padded;
    const number = this.#nextSent++;
    if (number > maxPacketNumber) throw new SttError("limit", "no more packet numbers");
    const plaintext = paddedPlaintext(this.#padding, body);
    this.#sending.count(body.length);
    const epoch = this.#sending.epoch;
    // REL and ACK_NOW are 0 on WebSocket.
    const head = { type, sessionId: this.id, stream, number, flags: flags | padded, epoch };
    return { head, plaintext, isLast: false };
  }

  #nextTurn(): Stream | undefined {
    const id = this.#schedule.next((each) => this.#streams.get(each)?.sending.hasWaiting === true);
    return id === undefined ? undefined : this.#streams.get(id);
  }

  #endTurn(stream: Stream, goesOn: boolean): void {
    stream.deficit = 0;
    this.#schedule.endTurn(stream.id, stream.options.priority, goesOn);
  }

  #wake(stream: Stream): void {
    if (stream.sending.hasWaiting) this.#schedule.wake(stream.id, stream.options.priority);
  }

  // --- streams and the end

  #add(id: number, options: StreamOptions): Stream {
    const { streamWindowBytes, maxStreamWindowBytes } = this.#limits;
    const stream = {
      id,
      options,
      sending: new SendStream(options.mode),
      receiving: new ReceiveStream(options.mode),
      sendCredit: new SendCredit(streamWindowBytes),
      receiveCredit: new ReceiveCredit(streamWindowBytes, maxStreamWindowBytes),
      due: [],
      creditDue: false,
      needsInit: false,
      endSaid: false,
      deficit: 0,
    };
    if (this.#isOurs(id)) ++this.#openOfOurs;
    else ++this.#openOfPeer;
    this.#streams.set(id, stream);
    return stream;
  }

  #need(id: number): Stream {
    if (this.isOver) throw new SttError("closed", "the session is over");
    const stream = this.#streams.get(id);
    if (stream === undefined) throw new SttError("closed", "the stream is over");
    return stream;
  }

  #isOurs(id: number): boolean {
    return (id % 2 === 1) === (this.role === "initiator");
  }

  get #otherRole(): Role {
    return this.role === "initiator" ? "responder" : "initiator";
  }

  get #unreliableBytes(): number {
    return plaintextLimit(this.#padding, this.#limits.frameBytes) - initAndPrefixBytes;
  }

  #say(stream: Stream, message: StreamMessage): void {
    stream.due.push(message);
    this.#streamsDue.push(stream.id);
  }

  #resetSending(stream: Stream, code: number): void {
    stream.sending.reset();
    this.#say(stream, { kind: "reset", code, finalSize: BigInt(stream.sendCredit.used) });
  }

  #forgetIfOver(stream: Stream): void {
    const { receiving, sending } = stream;
    if (!sending.isOver || !receiving.hasAll) return;
    if (stream.due.length > 0 || stream.needsInit || !this.#streams.delete(stream.id)) return;
    if (this.#isOurs(stream.id)) --this.#openOfOurs;
    else --this.#openOfPeer;
    this.#events.push({ kind: "closed", stream: stream.id });
    this.#closeIfDrained();
  }

  #closeIfDrained(): void {
    if (this.#draining && this.#streams.size === 0) this.close(0, "");
  }

  #fail(code: number, error: SttError): void {
    this.#end({ code, reason: "", byPeer: false, error }, "closing");
  }

  #endByFault(thrown: unknown): void {
    if (thrown instanceof StreamFault) {
      this.#fail(thrown.closeCode, new SttError("protocol", closeText(thrown.closeCode)));
    } else if (thrown instanceof SttError) {
      this.#fail(CloseCode.protocol, thrown);
    } else {
      throw thrown;
    }
  }

  // Nothing is sent after the peer's CLOSE; ours goes out before anything else.
  #end(end: SessionEnd, state: "closing" | "closed"): void {
    if (this.isOver) return;
    this.#state = state;
    if (state === "closing") this.#closing = { code: end.code, reason: end.reason };
    this.#events.push({ kind: "ended", end });
  }
}

function shortened(reason: string): string {
  let text = reason;
  while (new TextEncoder().encode(text).length > maxCloseReasonBytes) {
    text = text.slice(0, Math.floor(text.length / 2));
  }
  return text;
}
