import { tlv } from "../js/stt-client/src/index.js";

// What the page and `sealine web` say on their streams. Chat: one stream of whole messages, each a
// value {t:"chat", text}. A file: a byte stream of its own: BE32 n, n bytes of
// {t:"file", name, size u64}, the content, FIN; the receiver answers {t:"done", sha256}, FIN.

export type Bytes = Uint8Array<ArrayBuffer>;

/** RESET and STOP of a file that is not wanted, or of which nothing came. */
export const refusedCode = 256;
export const failedCode = 257;

export const maxHeadBytes = 8192;
export const maxChatBytes = 65536;

export interface FileHead {
  readonly name: string;
  readonly size: number;
}

export function encodeChat(text: string): Bytes {
  return tlv.encode(tlv.dict({ t: tlv.text("chat"), text: tlv.text(text) }));
}

/** Undefined for whatever is no chat. */
export function decodeChat(message: Bytes): string | undefined {
  const text = member(message, "chat", "text");
  return text?.t === "text" ? text.v : undefined;
}

/** With its length before it. */
export function encodeFileHead(head: FileHead): Bytes {
  const value = tlv.encode(
    tlv.dict({ t: tlv.text("file"), name: tlv.text(head.name), size: tlv.u64(head.size) }),
  );
  const out = new Uint8Array(4 + value.length);
  new DataView(out.buffer).setUint32(0, value.length);
  out.set(value, 4);
  return out;
}

/** Without its length. */
export function decodeFileHead(value: Bytes): FileHead | undefined {
  const name = member(value, "file", "name");
  const size = member(value, "file", "size");
  if (name?.t !== "text" || size?.t !== "u64" || size.v > BigInt(Number.MAX_SAFE_INTEGER)) {
    return undefined;
  }
  return { name: name.v, size: Number(size.v) };
}

export function encodeDone(sha256: Bytes): Bytes {
  return tlv.encode(tlv.dict({ t: tlv.text("done"), sha256: tlv.bytes(sha256) }));
}

export function decodeDone(value: Bytes): Bytes | undefined {
  const hash = member(value, "done", "sha256");
  return hash?.t === "bytes" && hash.v.length === 32 ? hash.v : undefined;
}

function member(value: Bytes, type: string, name: string): tlv.Tlv | undefined {
  try {
    const decoded = tlv.decode(value);
    if (decoded.t !== "dict") return undefined;
    const said = decoded.v.get("t");
    return said?.t === "text" && said.v === type ? decoded.v.get(name) : undefined;
  } catch {
    return undefined;
  }
}

/** Reads a byte stream in pieces of the reader's choice. */
export class ByteSource {
  readonly #reader: ReadableStreamDefaultReader<Bytes>;
  #left: Bytes = new Uint8Array(0);

  constructor(stream: ReadableStream<Bytes>) {
    this.#reader = stream.getReader();
  }

  /** What came; undefined at the end. */
  async next(): Promise<Bytes | undefined> {
    if (this.#left.length > 0) {
      const left = this.#left;
      this.#left = new Uint8Array(0);
      return left;
    }
    const { done, value } = await this.#reader.read();
    return done ? undefined : value;
  }

  /** Throws where the stream ends before. */
  async exactly(count: number): Promise<Bytes> {
    const out = new Uint8Array(count);
    for (let used = 0; used < count; ) {
      const chunk = await this.next();
      if (chunk === undefined) throw new Error("the stream ended early");
      const taken = Math.min(chunk.length, count - used);
      out.set(chunk.subarray(0, taken), used);
      used += taken;
      this.#left = chunk.subarray(taken);
    }
    return out;
  }

  /** All that comes; throws above `most`. */
  async rest(most: number): Promise<Bytes> {
    let out: Bytes = new Uint8Array(0);
    for (let chunk = await this.next(); chunk !== undefined; chunk = await this.next()) {
      if (out.length + chunk.length > most) throw new Error("the answer is too long");
      const longer = new Uint8Array(out.length + chunk.length);
      longer.set(out);
      longer.set(chunk, out.length);
      out = longer;
    }
    return out;
  }

  async cancel(code: number): Promise<void> {
    await this.#reader.cancel(code).catch(() => {});
  }
}
