import type { SttSession, SttStream } from "../js/stt-client/src/index.js";
import { byId, make } from "./dom.js";
import { decodeChat, encodeChat, maxChatBytes } from "./protocol.js";
import { clockText } from "./text.js";

type Speaker = "me" | "them";

/** The conversation, and the line that it is written in. */
export class Chat {
  readonly #log = byId("log");
  readonly #empty = byId("chat-empty");
  readonly #form = byId<HTMLFormElement>("composer");
  readonly #text = byId<HTMLTextAreaElement>("message");
  readonly #sendButton = byId<HTMLButtonElement>("send");
  readonly #onArrival: () => void;
  #writer: WritableStreamDefaultWriter<Uint8Array> | undefined;
  #last: { speaker: Speaker; group: HTMLElement } | undefined;

  constructor(onArrival: () => void, onFiles: (files: Iterable<File>) => void) {
    this.#onArrival = onArrival;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#send();
    });
    this.#text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      void this.#send();
    });
    this.#text.addEventListener("input", () => this.#fit());
    this.#text.addEventListener("paste", (event) => {
      const files = event.clipboardData?.files;
      if (files === undefined || files.length === 0) return;
      event.preventDefault();
      onFiles(files);
    });
  }

  /** Talks over a session until it ends. */
  async run(session: SttSession): Promise<void> {
    let stream: SttStream;
    try {
      stream = session.openStream({ mode: "unordered" });
    } catch {
      return; // over before it began
    }
    const writer = stream.writable.getWriter();
    writer.closed.catch(() => {}); // told by the session
    this.#writer = writer;
    this.#fit();
    const reader = stream.readable.getReader();
    try {
      for (let next = await reader.read(); !next.done; next = await reader.read()) {
        const text = decodeChat(next.value);
        if (text === undefined) continue;
        this.#say("them", text);
        this.#onArrival();
      }
    } catch {
      // the session says how it ended
    }
    if (this.#writer === writer) this.#writer = undefined;
    this.#fit();
  }

  /** A line about the conversation, not of it. */
  note(text: string): void {
    this.#last = undefined;
    this.#append(make("p", "event", text));
  }

  async #send(): Promise<void> {
    const text = this.#text.value.trim();
    const writer = this.#writer;
    if (text === "" || writer === undefined) return;
    const message = encodeChat(text);
    if (message.length > maxChatBytes) {
      this.note("That is too long for a message: send it as a file.");
      return;
    }
    this.#text.value = "";
    this.#fit();
    try {
      await writer.write(message);
      this.#say("me", text);
    } catch {
      this.#text.value = text; // nothing typed is lost
      this.#fit();
    }
  }

  // As many lines as there are, up to what the style allows.
  #fit(): void {
    this.#text.style.blockSize = "auto";
    this.#text.style.blockSize = `${this.#text.scrollHeight}px`;
    this.#sendButton.disabled = this.#writer === undefined || this.#text.value.trim() === "";
  }

  #say(speaker: Speaker, text: string): void {
    const now = new Date();
    const bubble = make("p", "bubble", text);
    if (this.#last?.speaker !== speaker) {
      const time = make("time", "time", clockText(now));
      time.dateTime = now.toISOString();
      const who = make("span", "who", speaker === "me" ? "You" : "Command line");
      const group = make("div", `group ${speaker}`, make("p", "byline", who, " ", time));
      this.#append(group);
      this.#last = { speaker, group };
    }
    this.#last.group.append(bubble);
    this.#scroll();
  }

  #append(element: HTMLElement): void {
    this.#empty.hidden = true;
    this.#log.append(element);
    this.#scroll();
  }

  #scroll(): void {
    this.#log.scrollTop = this.#log.scrollHeight;
  }
}
