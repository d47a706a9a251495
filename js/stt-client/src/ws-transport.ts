import type { Bytes } from "./bytes.js";
import { SttError } from "./errors.js";

/** What carries a session: whole binary messages, in order. */
export interface Transport {
  send(message: Bytes): void;
  /** Bytes that were given to send() and are not on the wire. */
  readonly bufferedBytes: number;
  /** 1000, or 3000 to 4999: what a page may say. */
  close(code: number): void;
}

export interface TransportEvents {
  opened(): void;
  message(message: Bytes): void;
  /** Once, and nothing after it. `code` is the peer's; 1006 where it said nothing. */
  closed(code: number): void;
}

/** Dials; the events come later, never from within the call. */
export type Dial = (url: string, events: TransportEvents) => Transport;

const subprotocol = "stt.v1";
const abnormal = 1006;
const open = 1; // of readyState

/** The address of a server: `ws:` or `wss:`, a path of `/stt` unless it has one. Throws. */
export function serverUrl(text: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new SttError("bad_argument", "the address is no URL");
  }
  if (url.protocol !== "ws:" && url.protocol !== "wss:") {
    throw new SttError("bad_argument", "the address must begin with ws:// or wss://");
  }
  // A secret in a URL ends up in logs; WebSocket refuses a fragment anyway.
  if (url.username !== "" || url.password !== "" || url.hash !== "") {
    throw new SttError("bad_argument", "the address must hold no user, password or fragment");
  }
  if (url.pathname === "/") url.pathname = "/stt";
  return url.href;
}

/** The platform's WebSocket. */
export const dialWebSocket: Dial = (url, events) => {
  const socket = new WebSocket(url, subprotocol);
  socket.binaryType = "arraybuffer";
  let isOver = false;
  const end = (code: number): void => {
    if (isOver) return;
    isOver = true;
    events.closed(code);
  };
  socket.onopen = () => events.opened();
  socket.onmessage = (event: MessageEvent<unknown>) => {
    if (isOver) return;
    if (event.data instanceof ArrayBuffer) {
      events.message(new Uint8Array(event.data));
    } else {
      socket.close(3001); // text is nothing of ours
      end(abnormal);
    }
  };
  socket.onclose = (event) => end(event.code);
  return {
    send: (message) => {
      if (socket.readyState === open) socket.send(message);
    },
    get bufferedBytes() {
      return socket.bufferedAmount;
    },
    close: (code) => socket.close(code),
  };
};
