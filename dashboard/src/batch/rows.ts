// Rows of a batch: their order, and how far all of them are.

import type { ResultRow, Run, Status } from "../api/types";
import { placeOf } from "../compare/groups";
import { isLive, progress } from "../verdicts";

/** By that axis; falling with a `-` before it. Rows without a value come last. */
export function inOrderOf(rows: readonly ResultRow[], sort: string): ResultRow[] {
  if (sort === "") return [...rows];
  const axis = sort.replace(/^-/, "");
  const sign = sort.startsWith("-") ? -1 : 1;
  const worth = (row: ResultRow): number | string | null => (axis === "verdict" ? row.verdict : placeOf(row, axis));
  return [...rows].sort((one, other) => {
    const [a, b] = [worth(one), worth(other)];
    if (a === null || b === null) return Number(a === null) - Number(b === null);
    if (typeof a === "number" && typeof b === "number") return sign * (a - b);
    return sign * String(a).localeCompare(String(b));
  });
}

export interface Progress {
  /** Share of all steps that are made, in [0, 1]; what is over without its last step counts as done. */
  done: number;
  counts: [Status, number][];
  /** Epochs that halted runs were not trained for. */
  saved: number;
}

export function progressOf(runs: readonly Run[]): Progress {
  const counts = new Map<Status, number>();
  for (const run of runs) counts.set(run.status, (counts.get(run.status) ?? 0) + 1);
  const done = runs.reduce((sum, run) => sum + (isLive(run.status) ? progress(run) : 1), 0);
  const saved = runs
    .filter((run) => run.status === "halted")
    .reduce((sum, run) => sum + run.epochs_total - run.epochs_done, 0);
  return { done: runs.length === 0 ? 0 : done / runs.length, counts: [...counts], saved };
}
