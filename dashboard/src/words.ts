// Numbers, times and findings as people read them: the same words as on the command line.

export const MISSING = "–";

/** `.98`, `12.3`, `1,234`, `1.2e-5`: three significant digits, and no zero before the point. */
export function number(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 1e6)) return value.toExponential(1).replace("+", "").replace(".0e", "e");
  if (size >= 1000) return Math.round(value).toLocaleString("en");
  const text = Number(value.toPrecision(size < 1 ? 2 : 3)).toString();
  return text.replace(/^(-?)0\./, "$1.");
}

/** `97 %` of a share in [0, 1]. */
export function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}

/** `8 s`, `3 min`, `2 h 05 min`, `3 d 4 h`. */
export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** `just now`, `3 min ago`. */
export function ago(time: string, now: number): string {
  const seconds = (now - Date.parse(time)) / 1000;
  return seconds < 10 ? "just now" : `${duration(seconds)} ago`;
}

export function clock(time: number | string): string {
  return new Date(time).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}

export function moment(time: string): string {
  const options = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" } as const;
  return new Date(time).toLocaleString("en-GB", options);
}

/** `epoch 8`, `epochs 8–10`. */
export function epochs(first: number, last: number): string {
  return first === last ? `epoch ${last}` : `epochs ${first}–${last}`;
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Dotted paths and values of a nested document. */
export function flat(document: unknown, prefix = ""): [string, unknown][] {
  if (document === null || typeof document !== "object" || Array.isArray(document)) return [[prefix, document]];
  return Object.entries(document).flatMap(([name, value]) => flat(value, prefix ? `${prefix}.${name}` : name));
}

/** A value of a spec on one line. */
export function literal(value: unknown): string {
  if (value === undefined) return MISSING;
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return JSON.stringify(value).replaceAll(",", ", ");
  return flat(value)
    .filter(([, one]) => one !== null)
    .map(([name, one]) => `${name} ${literal(one)}`)
    .join(", ");
}
