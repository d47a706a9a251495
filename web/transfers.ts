import { SttError, type SttSession, type SttStream } from "../js/stt-client/src/index.js";
import {
  ByteSource,
  decodeDone,
  decodeFileHead,
  encodeDone,
  encodeFileHead,
  failedCode,
  maxHeadBytes,
  refusedCode,
  type Bytes,
} from "./protocol.js";
import { openSink, type Sink } from "./storage.js";
import { safeName, sizeText } from "./text.js";

/**
 * WebCrypto hashes what is in memory as a whole and nothing in pieces, and a hash of our own would
 * be one nobody vetted: so this is the largest file that the page can prove.
 */
export const maxFileBytes = 2 ** 30;

export type Phase = "moving" | "proving" | "done" | "failed" | "cancelled";

/** One file on its way, in either direction. Tells whoever shows it after every change. */
export class Transfer {
  readonly direction: "in" | "out";
  name: string;
  size: number;
  moved = 0;
  phase: Phase = "moving";
  /** What went wrong, in a sentence. */
  problem = "";
  readonly began = performance.now();
  /** An incoming file that is whole. */
  content: Blob | undefined;
  /** An outgoing one, for another try. */
  source: File | undefined;
  onChange: () => void = () => {};
  #stream: SttStream | undefined;
  #input: ByteSource | undefined;

  constructor(direction: "in" | "out", name: string, size: number) {
    this.direction = direction;
    this.name = name;
    this.size = size;
  }

  get isOver(): boolean {
    return this.phase !== "moving" && this.phase !== "proving";
  }

  /** Bytes a second since it began. */
  get rate(): number {
    const seconds = (performance.now() - this.began) / 1000;
    return seconds > 0 ? this.moved / seconds : 0;
  }

  cancel(): void {
    if (this.isOver) return;
    this.#end("cancelled");
    void this.#input?.cancel(refusedCode);
    this.#abandon(refusedCode);
  }

  /** Sends a file and waits for the proof of the other end. */
  async send(session: SttSession, file: File): Promise<void> {
    this.source = file;
    if (file.size > maxFileBytes) {
      this.#fail(tooLarge(file.size));
      return;
    }
    try {
      const stream = session.openStream();
      this.#stream = stream;
      const input = new ByteSource(stream.readable);
      this.#input = input;
      const writer = stream.writable.getWriter();
      writer.closed.catch(() => {}); // told by the writes
      await writer.write(encodeFileHead({ name: file.name, size: file.size }));
      const content = (file.stream() as ReadableStream<Bytes>).getReader();
      let read = 0;
      for (let next = await content.read(); !next.done; next = await content.read()) {
        if (this.isOver) return;
        await writer.write(next.value);
        read += next.value.length;
        this.#progress(Math.max(0, read - stream.unsentBytes));
      }
      if (read !== file.size) throw new Error("the file changed while it was read");
      await writer.close();
      this.#progress(read);
      this.#change("proving");
      const ours = await digest(file);
      const theirs = decodeDone(await input.rest(maxHeadBytes));
      if (this.isOver) return;
      if (theirs === undefined) throw new Error("the other end did not confirm the file");
      if (!same(ours, theirs)) throw new Error("the other end got something else: SHA-256 differs");
      this.#end("done");
    } catch (thrown) {
      this.#failWith(thrown);
    }
  }

  /** Takes a file that the other end sends; `onHead` is called once its name is known. */
  static async receive(stream: SttStream, onHead: (transfer: Transfer) => void): Promise<void> {
    const input = new ByteSource(stream.readable);
    const transfer = new Transfer("in", "file", 0);
    transfer.#stream = stream;
    transfer.#input = input;
    let sink: Sink | undefined;
    try {
      const length = new DataView((await input.exactly(4)).buffer).getUint32(0);
      if (length > maxHeadBytes) throw new Error("the file's head is too long");
      const head = decodeFileHead(await input.exactly(length));
      if (head === undefined) throw new Error("this is no file");
      transfer.name = safeName(head.name);
      transfer.size = head.size;
      onHead(transfer);
      if (head.size > maxFileBytes) throw new Error(tooLarge(head.size));
      sink = await openSink();
      await transfer.#fill(input, sink);
      if (transfer.isOver) {
        await sink.discard();
        return;
      }
      transfer.#change("proving");
      const content = await sink.finish();
      const hash = await digest(content);
      const writer = stream.writable.getWriter();
      await writer.write(encodeDone(hash));
      await writer.close();
      transfer.content = content;
      transfer.#end("done");
    } catch (thrown) {
      await sink?.discard();
      transfer.#failWith(thrown);
    }
  }

  async #fill(input: ByteSource, sink: Sink): Promise<void> {
    for (let chunk = await input.next(); chunk !== undefined; chunk = await input.next()) {
      if (this.isOver) return;
      if (chunk.length > this.size - this.moved) throw new Error("more came than was announced");
      await sink.write(chunk); // credit for the next chunk comes after this
      this.#progress(this.moved + chunk.length);
    }
    if (this.moved !== this.size && !this.isOver) throw new Error("less came than was announced");
  }

  #progress(moved: number): void {
    this.moved = moved;
    this.onChange();
  }

  #change(phase: Phase): void {
    if (this.isOver) return;
    this.phase = phase;
    this.onChange();
  }

  #end(phase: "done" | "cancelled"): void {
    this.#change(phase);
  }

  #fail(problem: string): void {
    this.problem = problem;
    this.#change("failed");
  }

  #failWith(thrown: unknown): void {
    if (this.isOver) return;
    this.#fail(problemOf(thrown, this.direction));
    void this.#input?.cancel(failedCode);
    this.#abandon(failedCode);
  }

  #abandon(code: number): void {
    const writable = this.#stream?.writable;
    if (writable === undefined) return;
    // A writer may hold it: then its lock is in the way, and the session has the last word.
    if (!writable.locked) void writable.abort(code).catch(() => {});
    else this.#stream?.reset(code);
  }
}

function tooLarge(size: number): string {
  return `${sizeText(size)} is more than a browser can prove: ${sizeText(maxFileBytes)} at most. “sealine send” takes files of any size.`;
}

function problemOf(thrown: unknown, direction: "in" | "out"): string {
  if (thrown instanceof SttError) {
    switch (thrown.code) {
      case "stream_reset":
      case "stream_stopped":
        return direction === "out"
          ? "The other end did not take the file."
          : "The other end gave up sending.";
      default:
        return "The connection was lost on the way.";
    }
  }
  if (thrown instanceof DOMException && thrown.name === "NotReadableError") {
    return "The file cannot be read: it was moved, changed, or is a folder.";
  }
  if (thrown instanceof DOMException && thrown.name === "QuotaExceededError") {
    return "There is no room for the file on this device.";
  }
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

async function digest(content: Blob): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", await content.arrayBuffer()));
}

function same(a: Bytes, b: Bytes): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
