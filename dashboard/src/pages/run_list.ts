// The runs that match the filters: read page by page, the newest again and again.
import { type Signal, useSignal } from "@preact/signals";
import { get } from "../api/client";
import { ALL_EVENTS } from "../api/events";
import { useLive } from "../api/live";
import type { Run, RunQuery } from "../api/types";
import { isLive, label, worstFirst } from "../verdicts";

const PAGE = 100;
const LIVE_MS = 2000;
const QUIET_MS = 10000;

export interface RunList {
  /** Newest first; null before the first answer. */
  runs: Signal<Run[] | null>;
  /** Whether these are all. */
  complete: Signal<boolean>;
  problem: Signal<Error | null>;
  refresh: () => Promise<void>;
  /** Reads the next page. */
  more: () => void;
}

/** `all`: reads page after page, as an order other than by age needs. */
export function useRuns(filters: RunQuery, all: boolean): RunList {
  const key = JSON.stringify(filters);
  const older = useSignal<{ key: string; runs: Run[]; cursor: string | null; reading: boolean } | null>(null);
  const runs = useSignal<Run[] | null>(null);
  const complete = useSignal(false);
  const live = useLive(
    key,
    async () => {
      const page = await get("/v1/runs", {}, { ...filters, limit: PAGE });
      if (older.value?.key !== key) older.value = { key, runs: [], cursor: page.next_cursor, reading: false };
      older.value.runs = await asTheyAre(older.value.runs);
      runs.value = merge(page.items, older.value.runs);
      complete.value = older.value.cursor === null;
      return page.items;
    },
    (items) => (items.some((run) => isLive(run.status)) ? LIVE_MS : QUIET_MS),
    ALL_EVENTS,
  );

  async function more(): Promise<void> {
    const before = older.value;
    if (before === null || before.key !== key || before.cursor === null || before.reading) return;
    before.reading = true;
    try {
      const page = await get("/v1/runs", {}, { ...filters, limit: 200, cursor: before.cursor });
      if (older.value !== before) return;
      older.value = { key, runs: [...before.runs, ...page.items], cursor: page.next_cursor, reading: false };
      runs.value = merge(live.value.value ?? [], older.value.runs);
      complete.value = page.next_cursor === null;
    } catch {
      before.reading = false; // the next look at the newest page says what is wrong
    }
  }

  if (all && runs.value !== null && !complete.value) void more();
  return { runs, complete, problem: live.problem, refresh: live.refresh, more: () => void more() };
}

const MOST_OLDER = 20;

/** The same runs, of which those that are not over are asked for again. */
async function asTheyAre(runs: Run[]): Promise<Run[]> {
  const live = runs.filter((run) => isLive(run.status)).slice(0, MOST_OLDER);
  if (live.length === 0) return runs;
  const seen = await Promise.all(live.map((run) => get("/v1/runs/{run_id}", { run_id: run.id }).catch(() => run)));
  const now = new Map<string, Run>(seen.map((run) => [run.id, run]));
  return runs.map((run) => now.get(run.id) ?? run);
}

/** The newest as they are now, then the older ones; a run that has come between is there once. */
export function merge(newest: Run[], older: Run[]): Run[] {
  const known = new Set(newest.map((run) => run.id));
  return [...newest, ...older.filter((run) => !known.has(run.id))];
}

/** In the order that was asked for, and only those in whose name, preset or id the text stands. */
export function arrange(runs: Run[] | null, sort: string, search: string): Run[] {
  const wanted = search.trim().toLowerCase();
  const found = (runs ?? []).filter((run) => {
    return (
      wanted === "" || [label(run), run.preset, run.id, run.remedy].some((text) => text?.toLowerCase().includes(wanted))
    );
  });
  if (sort === "worst") return found.sort(worstFirst);
  return sort === "oldest" ? found.reverse() : found;
}
