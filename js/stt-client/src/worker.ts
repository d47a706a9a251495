import { SessionHost, type HostCommand, type HostEvent } from "./host.js";

// A session in a worker of its own: `new Worker(url of this file, { type: "module" })`, handed to
// connect(). What it decrypts is moved to the page, not copied.

interface WorkerScope {
  postMessage(message: HostEvent, transfer: Transferable[]): void;
  onmessage: ((event: MessageEvent<HostCommand>) => void) | null;
}

const scope = globalThis as unknown as WorkerScope;
const host = new SessionHost((event) => {
  if (event.kind !== "data") {
    scope.postMessage(event, []);
    return;
  }
  // A run that is a small part of its memory is cut out, so that the rest is not moved along.
  const isMost = 2 * event.bytes.length >= event.bytes.buffer.byteLength;
  const bytes = isMost ? event.bytes : event.bytes.slice();
  scope.postMessage({ ...event, bytes }, [bytes.buffer]);
});
scope.onmessage = (event) => host.handle(event.data);
