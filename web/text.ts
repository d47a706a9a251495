// Numbers in words, the same everywhere on the page.

const units = ["B", "KB", "MB", "GB", "TB"];

/** 1.4 MB: in thousands, as the command line says it. */
export function sizeText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    ++unit;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : 1;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

export function leftText(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds > 86400) return "";
  if (seconds < 1.5) return "1 s left";
  if (seconds < 90) return `${Math.round(seconds)} s left`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min left`;
  return `${Math.round(seconds / 3600)} h left`;
}

export function clockText(when: Date): string {
  return when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

// Characters that turn text around or cannot be seen: a name may not pretend to be another.
const misleading = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;

/** A file name from outside, fit to be shown and to be saved under. */
export function safeName(name: string): string {
  const last = name.split(/[/\\]/).at(-1) ?? "";
  const clean = last.replace(misleading, "\ufffd").slice(0, 200);
  return clean === "" || /^\.+$/.test(clean) ? "file" : clean;
}
