import type { SttSession, SttStream } from "../js/stt-client/src/index.js";
import { announce, byId, icon, make } from "./dom.js";
import { leftText, sizeText } from "./text.js";
import { Transfer } from "./transfers.js";

const redrawMs = 150;

/** The list of files, both ways, and the places to put one. */
export class Files {
  readonly #list = byId<HTMLUListElement>("transfers");
  readonly #empty = byId("files-empty");
  readonly #input = byId<HTMLInputElement>("file-input");
  readonly #zone = byId<HTMLButtonElement>("dropzone");
  readonly #attach = byId<HTMLButtonElement>("attach");
  readonly #overlay = byId("overlay");
  readonly #transfers = new Set<Transfer>();
  readonly #onArrival: () => void;
  #session: SttSession | undefined;
  #dragDepth = 0;

  constructor(onArrival: () => void) {
    this.#onArrival = onArrival;
    this.#zone.addEventListener("click", () => this.#input.click());
    this.#attach.addEventListener("click", () => this.#input.click());
    this.#input.addEventListener("change", () => {
      this.sendAll(this.#input.files ?? []);
      this.#input.value = "";
    });
    window.addEventListener("dragenter", (event) => this.#drag(event, 1));
    window.addEventListener("dragleave", (event) => this.#drag(event, -1));
    window.addEventListener("dragover", (event) => event.preventDefault());
    window.addEventListener("drop", (event) => this.#drop(event));
    window.addEventListener("beforeunload", (event) => {
      if ([...this.#transfers].some((transfer) => !transfer.isOver)) event.preventDefault();
    });
  }

  /** The session of what is sent from now on; undefined: none. */
  use(session: SttSession | undefined): void {
    this.#session = session;
    this.#zone.disabled = session === undefined;
    this.#attach.disabled = session === undefined;
  }

  sendAll(files: Iterable<File>): void {
    for (const file of files) this.#send(file);
  }

  receive(stream: SttStream): void {
    void Transfer.receive(stream, (transfer) => {
      this.#show(transfer);
      this.#onArrival();
      announce(`Receiving ${transfer.name}, ${sizeText(transfer.size)}`);
    });
  }

  #send(file: File): void {
    const session = this.#session;
    if (session === undefined) return;
    const transfer = new Transfer("out", file.name, file.size);
    this.#show(transfer);
    void transfer.send(session, file);
  }

  #drag(event: DragEvent, step: number): void {
    if (event.dataTransfer?.types.includes("Files") !== true) return;
    event.preventDefault();
    this.#dragDepth += step;
    this.#overlay.hidden = this.#dragDepth <= 0 || this.#session === undefined;
  }

  #drop(event: DragEvent): void {
    event.preventDefault();
    this.#dragDepth = 0;
    this.#overlay.hidden = true;
    const items = [...(event.dataTransfer?.items ?? [])];
    const isFolder = (item: DataTransferItem): boolean =>
      item.webkitGetAsEntry()?.isDirectory === true;
    if (items.some(isFolder)) announce("Folders cannot be sent from a browser");
    this.sendAll(
      items
        .filter((item) => item.kind === "file" && !isFolder(item))
        .flatMap((item) => item.getAsFile() ?? []),
    );
  }

  #show(transfer: Transfer): void {
    this.#transfers.add(transfer);
    this.#empty.hidden = true;
    const row = new Row(transfer, () => {
      row.element.remove();
      this.#transfers.delete(transfer);
      if (transfer.source !== undefined) this.#send(transfer.source);
    });
    this.#list.prepend(row.element);
  }
}

/** One file as it is shown. */
class Row {
  readonly element: HTMLLIElement;
  readonly #transfer: Transfer;
  readonly #again: () => void;
  readonly #bar = document.createElement("progress");
  readonly #note = make("p", "note");
  readonly #actions = make("div", "actions");
  readonly #badge = make("span", "badge");
  #shownPhase = "";
  #drawn = 0;
  #waits = false;
  #url: string | undefined;

  constructor(transfer: Transfer, again: () => void) {
    this.#transfer = transfer;
    this.#again = again;
    const name = make("span", "name", transfer.name);
    name.title = transfer.name;
    const way = make("span", "hidden-text", transfer.direction === "in" ? "Received" : "Sent");
    this.#bar.max = Math.max(1, transfer.size);
    this.#bar.setAttribute("aria-label", `Progress of ${transfer.name}`);
    this.#badge.append(icon(transfer.direction === "in" ? "down" : "up"));
    const body = make("div", "body", make("p", "title", way, name), this.#bar, this.#note);
    this.element = make("li", "transfer", this.#badge, body, this.#actions);
    transfer.onChange = () => this.#schedule();
    this.#draw();
  }

  // Every chunk is a change; the eye wants a few a second.
  #schedule(): void {
    if (this.#transfer.phase !== this.#shownPhase) {
      this.#draw();
    } else if (!this.#waits) {
      this.#waits = true;
      const wait = Math.max(0, this.#drawn + redrawMs - performance.now());
      setTimeout(() => {
        this.#waits = false;
        this.#draw();
      }, wait);
    }
  }

  #draw(): void {
    const { phase, moved } = this.#transfer;
    this.#drawn = performance.now();
    this.#bar.value = phase === "done" ? this.#bar.max : moved;
    this.#note.textContent = this.#text();
    if (phase === this.#shownPhase) return;
    this.#shownPhase = phase;
    this.element.dataset["phase"] = phase;
    this.element.dataset["direction"] = this.#transfer.direction;
    this.#bar.hidden = phase !== "moving" && phase !== "proving";
    if (phase === "done") this.#badge.replaceChildren(icon("check"));
    if (phase === "failed") this.#badge.replaceChildren(icon("alert"));
    this.#actions.replaceChildren(...this.#buttons());
    this.#tell();
  }

  #text(): string {
    const { phase, size, moved, rate, direction, problem } = this.#transfer;
    switch (phase) {
      case "moving": {
        const share = size > 0 ? Math.floor((100 * moved) / size) : 100;
        const parts = [`${share}%`, `${sizeText(moved)} of ${sizeText(size)}`];
        if (moved > 0) parts.push(`${sizeText(rate)}/s`, leftText((size - moved) / rate));
        return parts.filter((part) => part !== "").join(" · ");
      }
      case "proving":
        return `${sizeText(size)} · comparing SHA-256…`;
      case "done":
        return direction === "in"
          ? `${sizeText(size)} · received, SHA-256 proved`
          : `${sizeText(size)} · delivered, SHA-256 proved`;
      case "failed":
        return problem;
      case "cancelled":
        return "Cancelled";
    }
  }

  #tell(): void {
    const { phase, name, direction, problem } = this.#transfer;
    if (phase === "done") announce(`${name} ${direction === "in" ? "received" : "delivered"}`);
    if (phase === "failed") announce(`${name}: ${problem}`);
  }

  #buttons(): HTMLElement[] {
    const { phase, name, content, source } = this.#transfer;
    if (phase === "moving" || phase === "proving") {
      const cancel = make("button", "icon-button", icon("close"));
      cancel.type = "button";
      cancel.setAttribute("aria-label", `Cancel ${name}`);
      cancel.addEventListener("click", () => this.#transfer.cancel());
      return [cancel];
    }
    if (phase === "done" && content !== undefined) {
      this.#url ??= URL.createObjectURL(content);
      const save = make("a", "small-button", icon("save"), "Save");
      save.href = this.#url;
      save.download = name;
      save.setAttribute("aria-label", `Save ${name}`);
      return [save];
    }
    if ((phase === "failed" || phase === "cancelled") && source !== undefined) {
      const again = make("button", "small-button", "Send again");
      again.type = "button";
      again.setAttribute("aria-label", `Send ${name} again`);
      again.addEventListener("click", this.#again);
      return [again];
    }
    return [];
  }
}
