// Server-sent events: what has changed, so that nobody need ask. A browser comes again by itself where the stream broke.
import type { EventKind, GetPath } from "./types";

const KINDS = [
  "status",
  "progress",
  "epoch",
  "finding seen",
  "finding over",
  "treatment",
] as const satisfies readonly EventKind[];

export interface Stream {
  /** Whether the service tells what changes. */
  isOpen: () => boolean;
  close: () => void;
}

/** Calls `changed` for each event, and when the stream has begun: what came before that was not told. */
export function listen(path: string, changed: () => void): Stream {
  const source = new EventSource(path);
  source.addEventListener("open", changed);
  for (const kind of KINDS) source.addEventListener(kind, changed);
  return { isOpen: () => source.readyState === EventSource.OPEN, close: () => source.close() };
}

export const ALL_EVENTS: GetPath = "/v1/events";
export const RUN_EVENTS: GetPath = "/v1/runs/{run_id}/events";
