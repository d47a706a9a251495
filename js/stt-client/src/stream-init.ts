import { concat, Reader, varint, type Bytes } from "./bytes.js";
import { CloseCode } from "./control.js";
import { streamModes, type StreamOptions } from "./limits.js";
import { StreamFault } from "./receive-stream.js";

// `mode u8 | prio u8 | deadline_ms varint` at the front of a body.    spec: stt.md#streams

export function encodeInit({ mode, priority, deadlineMs }: StreamOptions): Bytes {
  return concat(new Uint8Array([streamModes.indexOf(mode), priority]), varint(deadlineMs));
}

/** The parameters, and the rest of the body. Throws {@link StreamFault}. */
export function takeInit(body: Bytes): [StreamOptions, Bytes] {
  try {
    const reader = new Reader(body);
    const mode = streamModes[reader.u8()];
    const priority = reader.u8();
    const deadline = reader.varint();
    if (mode !== undefined && deadline <= 0xffffffffn) {
      return [{ mode, priority, deadlineMs: Number(deadline) }, reader.rest()];
    }
  } catch {
    // said below: whatever is wrong with them is one fault
  }
  throw new StreamFault(CloseCode.protocol);
}
