// A spec as fields of a form: what each holds as text, and what a text means.
import { flat } from "../words";

export type Given =
  | { field: string; kind: "text" | "number" | "json"; text: string }
  | { field: string; kind: "choice"; text: string };

/** Each value of the spec, in its order. */
export function fieldsOf(spec: unknown): Given[] {
  return flat(spec).map(([field, value]) => {
    if (typeof value === "boolean") return { field, kind: "choice", text: String(value) };
    if (typeof value === "number") return { field, kind: "number", text: String(value) };
    if (typeof value === "string") return { field, kind: "text", text: value };
    return { field, kind: "json", text: value === null ? "" : JSON.stringify(value) };
  });
}

/** What was typed, as a value of the spec: a number, a list, a part, a word; nothing is null. */
export function meant(text: string): unknown {
  const typed = text.trim();
  if (typed === "") return null;
  try {
    return JSON.parse(typed) as unknown;
  } catch {
    return typed;
  }
}

/** The values between commas; those of a list or a part are not taken apart. */
export function several(text: string): unknown[] {
  const parts: string[] = [];
  let depth = 0;
  let part = "";
  for (const letter of text) {
    if ("[{".includes(letter)) depth++;
    if ("]}".includes(letter)) depth--;
    if (letter === "," && depth === 0) {
      parts.push(part);
      part = "";
    } else part += letter;
  }
  return [...parts, part].filter((one) => one.trim() !== "").map(meant);
}

/** How many runs that gives. */
export function countOf(vary: Record<string, unknown[]>, seeds: number): number {
  return Object.values(vary).reduce((product, values) => product * values.length, 1) * Math.max(1, seeds);
}

/** The field that a refusal is shown at: that of the form which it names, or which holds it. */
export function fieldOf(problem: string, fields: readonly string[]): string | null {
  const path = problem.replace(/^(runs\[\d+\]\.|sweep\.|base\.|vary\.|set\.)+/, "");
  const known = fields.filter(
    (field) => field === path || path.startsWith(`${field}.`) || path.startsWith(`${field}[`),
  );
  return known.sort((one, other) => other.length - one.length)[0] ?? null;
}
