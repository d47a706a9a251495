import type { Bytes } from "./protocol.js";

/** Where an incoming file grows: on disk where the browser has a private file system, else in memory. */
export interface Sink {
  write(chunk: Bytes): Promise<void>;
  /** The whole file. */
  finish(): Promise<Blob>;
  discard(): Promise<void>;
}

const folderName = "incoming";
const staleMs = 24 * 3600_000;

export async function openSink(): Promise<Sink> {
  try {
    return await openDiskSink();
  } catch {
    return memorySink();
  }
}

async function openFolder(): Promise<FileSystemDirectoryHandle> {
  const root = await navigator.storage.getDirectory();
  return root.getDirectoryHandle(folderName, { create: true });
}

async function openDiskSink(): Promise<Sink> {
  const folder = await openFolder();
  const name = crypto.randomUUID();
  const handle = await folder.getFileHandle(name, { create: true });
  const file = await handle.createWritable();
  return {
    write: (chunk) => file.write(chunk),
    finish: async () => {
      await file.close();
      return handle.getFile();
    },
    discard: async () => {
      await file.abort().catch(() => {});
      await folder.removeEntry(name).catch(() => {});
    },
  };
}

function memorySink(): Sink {
  let parts: Bytes[] = [];
  return {
    write: (chunk) => {
      parts.push(chunk.slice());
      return Promise.resolve();
    },
    finish: () => Promise.resolve(new Blob(parts)),
    discard: () => {
      parts = [];
      return Promise.resolve();
    },
  };
}

/** Removes what earlier pages left; those of other tabs are younger. */
export async function removeStaleFiles(): Promise<void> {
  try {
    const folder = await openFolder();
    const entries = (
      folder as unknown as { values(): AsyncIterable<FileSystemHandle> }
    ).values();
    for await (const entry of entries) {
      if (entry.kind !== "file") continue;
      const file = await (entry as FileSystemFileHandle).getFile();
      if (Date.now() - file.lastModified > staleMs) await folder.removeEntry(entry.name);
    }
  } catch {
    // without such a file system there is nothing to remove
  }
}
