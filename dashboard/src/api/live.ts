// A value of the service that is asked for again and again, as long as somebody sees the page.
import { type Signal, signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { loggedIn, Refused } from "./client";
import { listen, type Stream } from "./events";

export interface Live<T> {
  /** The newest answer; null before the first. It stays while the service is silent. */
  value: Signal<T | null>;
  /** Why the last request failed; null where it did not. */
  problem: Signal<Error | null>;
  /** Asks at once, and waits for the answer. */
  refresh: () => Promise<void>;
}

const AFTER_ERROR_MS = 3000;
/** After an answer, before what events tell of is asked for. */
const REST_MS = 700;
/** While the service tells what changes. */
const TOLD_MS = 20_000;

/**
 * Asks by `load` now, when an event of the path `events` tells of a change, and after each `pause(answer)` ms; null ends
 * it. `key` names what is asked for.
 */
export function useLive<T>(
  key: string,
  load: () => Promise<T>,
  pause: (value: T) => number | null,
  events: string | null = null,
): Live<T> {
  const live = useMemo(() => start(load, pause, events), [key]);
  useEffect(() => live.watch(), [live]);
  return live;
}

function start<T>(
  load: () => Promise<T>,
  pause: (value: T) => number | null,
  events: string | null,
): Live<T> & { watch: () => () => void } {
  const value = signal<T | null>(null);
  const problem = signal<Error | null>(null);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let watched = false;
  let asked = 0;
  let stream: Stream | null = null;
  let busy = false;
  let told = false;

  async function refresh(): Promise<void> {
    clearTimeout(timer);
    const mine = ++asked;
    let next: number | null = AFTER_ERROR_MS;
    busy = true;
    told = false;
    try {
      const loaded = await load();
      if (mine !== asked) return; // a newer request is on its way
      value.value = loaded;
      problem.value = null;
      next = pause(loaded);
    } catch (error) {
      if (mine !== asked) return;
      problem.value = error as Error;
      if (error instanceof Refused && (error.status === 401 || error.status === 404)) next = null;
    }
    busy = false;
    if (!watched || next === null || document.hidden) return;
    const wait = told ? REST_MS : stream?.isOpen() ? Math.max(next, TOLD_MS) : next;
    timer = setTimeout(refresh, wait);
  }

  function hear(): void {
    if (told) return;
    told = true;
    if (busy) return;
    clearTimeout(timer);
    timer = setTimeout(refresh, REST_MS);
  }

  /** A browser has six connections to a service for all its windows: one that nobody sees gives its own back. */
  function open(): void {
    stream?.close();
    stream = events === null || document.hidden ? null : listen(events, hear);
  }

  function watch(): () => void {
    watched = true;
    const lookAgain = (): void => {
      clearTimeout(timer);
      open();
      if (!document.hidden && loggedIn.value !== false) void refresh();
    };
    open();
    document.addEventListener("visibilitychange", lookAgain);
    window.addEventListener("online", lookAgain);
    void refresh();
    return () => {
      watched = false;
      stream?.close();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", lookAgain);
      window.removeEventListener("online", lookAgain);
    };
  }

  return { value, problem, refresh, watch };
}
