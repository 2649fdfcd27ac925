// The runs that match the filters: the newest read again and again, older ones page by page, and each one kept.
import { type Signal, signal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { get, Refused } from "../api/client";
import { ALL_EVENTS } from "../api/events";
import { useLive } from "../api/live";
import type { Run, RunPage, RunQuery } from "../api/types";
import { isLive, label, worstFirst } from "../verdicts";

const PAGE = 100;
const OLDER_PAGE = 200;
const LIVE_MS = 2000;
const QUIET_MS = 10000;
/** Runs beyond the newest page that are asked for one by one with each look. */
const MOST_OLDER = 20;

/** What is asked of the service. */
export interface Source {
  /** The page behind the cursor, newest first; null: the first. */
  page: (limit: number, cursor: string | null) => Promise<RunPage>;
  /** Null where the run is there no more. */
  one: (id: string) => Promise<Run | null>;
  /** Whether the filters still let the run through. */
  matches: (run: Run) => boolean;
}

export interface KnownRuns {
  /** Newest first; null before the first answer. */
  runs: Signal<Run[] | null>;
  /** Whether these are all. */
  complete: Signal<boolean>;
  /** Reads what is new, and the known ones that are not over. */
  renew: () => Promise<Run[]>;
  /** Reads the next page of older ones. */
  more: () => Promise<void>;
}

export function knownRuns(source: Source): KnownRuns {
  const runs = signal<Run[] | null>(null);
  const complete = signal(false);
  let cursor: string | null = null;
  let reading = false;
  let turn = 0;

  async function renew(): Promise<Run[]> {
    const known = new Set(runs.value?.map((run) => run.id));
    const read: Run[] = [];
    let next: string | null = null;
    do {
      const page = await source.page(PAGE, next);
      read.push(...page.items);
      next = page.next_cursor;
    } while (next !== null && known.size > 0 && !read.some((run) => known.has(run.id)));
    const older = await asTheyAre(behind(runs.value ?? [], read, next === null));
    // More may have been read meanwhile: what stands behind is taken as it is now.
    const rest = behind(runs.value ?? [], read, next === null).flatMap((run) => {
      const now = older.get(run.id);
      return now === undefined ? [run] : now === null || !source.matches(now) ? [] : [now];
    });
    if (rest.length === 0) cursor = next;
    complete.value = cursor === null;
    runs.value = [...read, ...rest];
    return read;
  }

  /** Those that are not over, a few at a time, as they are now; null: there no more. */
  async function asTheyAre(older: Run[]): Promise<Map<string, Run | null>> {
    const live = older.filter((run) => isLive(run.status));
    const first = live.length === 0 ? 0 : turn % live.length;
    const asked = [...live.slice(first), ...live.slice(0, first)].slice(0, MOST_OLDER);
    turn = first + asked.length;
    const seen = await Promise.all(asked.map((run) => source.one(run.id).catch(() => run)));
    return new Map(asked.map((run, index) => [run.id, seen[index] ?? null]));
  }

  async function more(): Promise<void> {
    const before = cursor;
    if (reading || before === null) return;
    reading = true;
    try {
      const page = await source.page(OLDER_PAGE, before);
      if (cursor !== before) return; // the newest page has reached further meanwhile
      const known = new Set(runs.value?.map((run) => run.id));
      cursor = page.next_cursor;
      complete.value = cursor === null;
      runs.value = [...(runs.value ?? []), ...page.items.filter((run) => !known.has(run.id))];
    } catch {
      // the next look at the newest page says what is wrong
    } finally {
      reading = false;
    }
  }

  return { runs, complete, renew, more };
}

/** The known runs that are older than all that were read. One that is younger and was not among them is gone. */
function behind(known: Run[], read: Run[], isAll: boolean): Run[] {
  if (isAll) return [];
  const now = new Set(read.map((run) => run.id));
  return known.slice(known.findLastIndex((run) => now.has(run.id)) + 1);
}

export interface RunList extends KnownRuns {
  problem: Signal<Error | null>;
  refresh: () => Promise<void>;
}

/** `all`: reads page after page, as an order other than by age and a search need. */
export function useRuns(filters: RunQuery, all: boolean): RunList {
  const key = JSON.stringify(filters);
  const known = useMemo(() => knownRuns(sourceOf(filters)), [key]);
  const live = useLive(
    key,
    known.renew,
    (items) => (items.some((run) => isLive(run.status)) ? LIVE_MS : QUIET_MS),
    ALL_EVENTS,
  );
  if (all && known.runs.value !== null && !known.complete.value) void known.more();
  return { ...known, problem: live.problem, refresh: live.refresh };
}

function sourceOf(filters: RunQuery): Source {
  return {
    page: (limit, cursor) => get("/v1/runs", {}, { ...filters, limit, ...(cursor === null ? {} : { cursor }) }),
    one: (id) =>
      get("/v1/runs/{run_id}", { run_id: id }).catch((error: unknown) => {
        if (error instanceof Refused && error.status === 404) return null;
        throw error;
      }),
    matches: (run) =>
      (!filters.status || run.status === filters.status) && (!filters.verdict || run.verdict === filters.verdict),
  };
}

/** Whether the order or the search needs every run: the service lists the newest first, and searches nothing. */
export function needsAll(sort: string, search: string): boolean {
  return sort !== "newest" || search.trim() !== "";
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
