// Runs side by side as lines: one each, or the mean of each group with what lies between its least and greatest.
import type { Compared, ResultRow } from "../api/types";
import { literal } from "../words";

type Values = readonly (number | null)[];

export interface Course {
  key: string;
  label: string;
  /** Its place among the colours. */
  index: number;
  values: Values;
  low: Values;
  high: Values;
}

const NO_VALUES: Values = [];

/** What a run is called where it stands beside others. */
export function nameOf(row: Pick<ResultRow, "name" | "run_id">): string {
  return row.name ?? row.run_id.slice(0, 8);
}

/** A field of the spec as a text; runs with the same text are of one group. */
export function fieldText(row: Pick<ResultRow, "spec">, field: string): string {
  return literal(row.spec[field]);
}

/** Place of each run's colour: its own, or that of all with the same value of the field. */
export function indicesOf(items: readonly ResultRow[], field: string): Map<string, number> {
  const seen = new Map<string, number>();
  return new Map(
    items.map((row) => {
      const key = field === "" ? row.run_id : fieldText(row, field);
      const index = seen.get(key) ?? seen.size;
      seen.set(key, index);
      return [row.run_id, index];
    }),
  );
}

/** A line for each run, or where a field is given for each of its values. */
export function coursesOf(
  items: readonly ResultRow[],
  field: string,
  of: Readonly<Record<string, Values>> | undefined,
): Course[] {
  const indices = indicesOf(items, field);
  const groups = new Map<number, ResultRow[]>();
  for (const row of items) {
    const index = indices.get(row.run_id) ?? 0;
    groups.set(index, [...(groups.get(index) ?? []), row]);
  }
  return [...groups].map(([index, rows]) => {
    const [first] = rows as [ResultRow];
    const lines = rows.map((row) => of?.[row.run_id] ?? NO_VALUES);
    const spread = rows.length === 1 ? { values: lines[0] ?? [], low: [], high: [] } : bandOf(lines);
    if (field === "") return { key: first.run_id, label: nameOf(first), index, ...spread };
    const value = fieldText(first, field);
    return { key: value, label: `${value} (${rows.length})`, index, ...spread };
  });
}

/** At each place the mean of those that have a value there, the least and the greatest. */
export function bandOf(lines: readonly Values[]): { values: Values; low: Values; high: Values } {
  const length = Math.max(0, ...lines.map((line) => line.length));
  const columns = Array.from({ length }, (_, at) =>
    lines.map((line) => line[at]).filter((value): value is number => typeof value === "number"),
  );
  const each = (pick: (values: number[]) => number): Values =>
    columns.map((values) => (values.length === 0 ? null : pick(values)));
  return {
    values: each((values) => values.reduce((sum, value) => sum + value, 0) / values.length),
    low: each((values) => Math.min(...values)),
    high: each((values) => Math.max(...values)),
  };
}

/** What an axis of the scatter can show: numbers of the spec, then what came of the run. */
export function axesOf({ varied, items }: Pick<Compared, "varied" | "items">): string[] {
  const figures = items.flatMap((row) => Object.keys(row.values));
  return [...new Set([...varied, ...figures, "seconds", "epochs_done", "first_epoch_seen"])];
}

/** The run's place on that axis; null where it has none. Words are no numbers: they have places of their own. */
export function placeOf(row: ResultRow, axis: string): number | string | null {
  const value =
    axis in row.spec
      ? row.spec[axis]
      : axis in row.values
        ? row.values[axis]
        : axis === "seconds" || axis === "epochs_done" || axis === "first_epoch_seen"
          ? row[axis]
          : null;
  if (value === null || value === undefined) return null;
  return typeof value === "number" ? value : literal(value);
}

/** The last of the epochs that is not behind `at`; null where there is none. */
export function pictureAt(epochs: readonly number[], at: number): number | null {
  return epochs.findLast((epoch) => epoch <= at) ?? null;
}
