// Server-sent events: what has changed, so that nobody need ask.
import type { GetPath } from "./types";

export interface Stream {
  /** Whether the service tells what changes. */
  isOpen: () => boolean;
  close: () => void;
}

export interface Patience {
  /** After so long without a word the connection is taken for broken. */
  silence_ms: number;
  retry_ms: number;
}

/** The service says every 15 s that it is still here. */
const PATIENCE: Patience = { silence_ms: 40_000, retry_ms: 1500 };

/**
 * Calls `changed` for each event, and when the stream has begun: what came before that was not told.
 *
 * An EventSource does not show the comments by which the service says that it is still here, and waits for ever at a
 * connection whose other end has vanished. This one is let go after a silence, and opened again.
 */
export function listen(path: string, changed: () => void, patience: Patience = PATIENCE): Stream {
  let open = false;
  let closed = false;
  let connection = new AbortController();

  async function follow(): Promise<void> {
    let watch: ReturnType<typeof setTimeout> | undefined;
    const heard = (): void => {
      clearTimeout(watch);
      watch = setTimeout(() => connection.abort(), patience.silence_ms);
    };
    connection = new AbortController();
    try {
      heard();
      const answer = await fetch(path, {
        credentials: "same-origin",
        cache: "no-store",
        headers: { Accept: "text/event-stream" },
        signal: connection.signal,
      });
      if (!answer.ok || answer.body === null) return;
      open = true;
      changed();
      const reader = answer.body.getReader();
      const decoder = new TextDecoder();
      let rest = "";
      for (let read = await reader.read(); !read.done; read = await reader.read()) {
        heard();
        const lines = (rest + decoder.decode(read.value, { stream: true })).split("\n");
        rest = lines.pop() ?? "";
        if (lines.some((line) => line.startsWith("event:"))) changed();
      }
    } catch {
      // it is opened again, and the page's own requests say what is wrong
    } finally {
      clearTimeout(watch);
      open = false;
    }
  }

  async function keepOn(): Promise<void> {
    while (!closed) {
      await follow();
      if (!closed) await new Promise((resolve) => setTimeout(resolve, patience.retry_ms));
    }
  }

  void keepOn();
  return {
    isOpen: () => open,
    close: () => {
      closed = true;
      connection.abort();
    },
  };
}

export const ALL_EVENTS: GetPath = "/v1/events";
export const RUN_EVENTS: GetPath = "/v1/runs/{run_id}/events";
export const BATCH_EVENTS: GetPath = "/v1/batches/{batch_id}/events";
