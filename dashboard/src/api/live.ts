// A value of the service that is asked for again and again, as long as somebody sees the page.
import { type Signal, signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { loggedIn, Refused } from "./client";

export interface Live<T> {
  /** The newest answer; null before the first. It stays while the service is silent. */
  value: Signal<T | null>;
  /** Why the last request failed; null where it did not. */
  problem: Signal<Error | null>;
  /** Asks at once, and waits for the answer. */
  refresh: () => Promise<void>;
}

const AFTER_ERROR_MS = 3000;

/** Asks by `load` now and after each `pause(answer)` ms; null ends it. `key` names what is asked for. */
export function useLive<T>(key: string, load: () => Promise<T>, pause: (value: T) => number | null): Live<T> {
  const live = useMemo(() => start(load, pause), [key]);
  useEffect(() => live.watch(), [live]);
  return live;
}

function start<T>(load: () => Promise<T>, pause: (value: T) => number | null): Live<T> & { watch: () => () => void } {
  const value = signal<T | null>(null);
  const problem = signal<Error | null>(null);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let watched = false;
  let asked = 0;

  async function refresh(): Promise<void> {
    clearTimeout(timer);
    const mine = ++asked;
    let next: number | null = AFTER_ERROR_MS;
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
    if (watched && next !== null && !document.hidden) timer = setTimeout(refresh, next);
  }

  function watch(): () => void {
    watched = true;
    const lookAgain = (): void => {
      clearTimeout(timer);
      if (!document.hidden && loggedIn.value !== false) void refresh();
    };
    document.addEventListener("visibilitychange", lookAgain);
    window.addEventListener("online", lookAgain);
    void refresh();
    return () => {
      watched = false;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", lookAgain);
      window.removeEventListener("online", lookAgain);
    };
  }

  return { value, problem, refresh, watch };
}
