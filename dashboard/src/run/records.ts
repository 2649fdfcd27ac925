// All that a run has recorded, asked for again when it has recorded more.
import { type Signal, signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { get } from "../api/client";
import type { Attempt, Diagnosis, Evaluation, Label, Member, RunDetail, Sample, Series } from "../api/types";

export interface Records {
  /** After each epoch, in order. */
  diagnoses: Diagnosis[];
  /** From that of the untrained generator, epoch 0. */
  evaluations: Evaluation[];
  samples: Sample[];
  series: Series;
  labels: Label[];
  family: Member[];
}

const POINTS = 1000;
/** So many times as long as an answer took is waited before the next is asked for. */
const REST = 5;

/** What has come since `known`, which is null where all is to be read. */
async function load(id: string, known: Records | null): Promise<Records> {
  const run = { run_id: id };
  const since = (items: { epoch: number }[] | undefined): { since: number } => ({ since: items?.at(-1)?.epoch ?? -1 });
  const steps = known !== null && isWhole(known.series) ? known.series.steps.length : 0;
  const [diagnoses, evaluations, samples, series, labels, family] = await Promise.all([
    get("/v1/runs/{run_id}/diagnosis/history", run, since(known?.diagnoses)),
    get("/v1/runs/{run_id}/evaluations", run, since(known?.evaluations)),
    get("/v1/runs/{run_id}/samples", run, since(known?.samples)),
    get("/v1/runs/{run_id}/series", run, { resolution: "step", max_points: POINTS, since: steps }),
    get("/v1/runs/{run_id}/labels", run),
    get("/v1/runs/{run_id}/family", run),
  ]);
  return {
    diagnoses: [...(known?.diagnoses ?? []), ...diagnoses.items],
    evaluations: [...(known?.evaluations ?? []), ...evaluations.items],
    samples: [...(known?.samples ?? []), ...samples.items],
    series: steps > 0 && known !== null ? joined(known.series, series) : series,
    labels: labels.items,
    family: family.items,
  };
}

/**
 * Names the beginning of the attempt. It says its device once it has forgotten the epochs behind the one where it goes
 * on, which it makes again: what was read before that may differ from what is there now.
 */
export function beginningOf({
  attempt,
  attempts,
}: {
  attempt: number;
  attempts: readonly Pick<Attempt, "device">[];
}): string {
  return `${attempt} ${attempts.at(-1)?.device ?? "has not begun"}`;
}

/** Whether each point is one step, and there is room for more: new ones are then put behind. */
export function isWhole({ steps }: Pick<Series, "steps">): boolean {
  return steps.length > 0 && steps.length < POINTS / 2 && steps.at(-1) === steps.length;
}

/** The points of both, the later ones behind. */
export function joined(before: Series, after: Series): Series {
  const columns: Series["columns"] = {};
  for (const [name, column] of Object.entries(before.columns)) {
    const more = after.columns[name] ?? { mean: [], min: [], max: [] };
    columns[name] = {
      mean: [...column.mean, ...more.mean],
      min: [...column.min, ...more.min],
      max: [...column.max, ...more.max],
    };
  }
  return { ...after, steps: [...before.steps, ...after.steps], epochs: [...before.epochs, ...after.epochs], columns };
}

export interface Recorded {
  value: Signal<Records | null>;
  problem: Signal<Error | null>;
  refresh: () => void;
}

/** Those of the run; null before the first answer. */
export function useRecords(run: RunDetail): Recorded {
  const recorded = useMemo(() => keep(run.id), [run.id]);
  // A resumed run makes epochs again, and one that is over may be judged anew: all is read then.
  useEffect(() => recorded.reload(), [recorded, run.status, beginningOf(run)]);
  useEffect(() => recorded.refresh(), [recorded, run.epochs_done]);
  useEffect(() => recorded.end, [recorded]);
  return recorded;
}

function keep(id: string): Recorded & { reload: () => void; end: () => void } {
  const value = signal<Records | null>(null);
  const problem = signal<Error | null>(null);
  let busy = false;
  let again = false;
  let whole = true;
  let ended = false;

  async function refresh(): Promise<void> {
    again = true;
    if (busy) return;
    busy = true;
    while (again && !ended) {
      again = false;
      const begun = performance.now();
      const known = whole ? null : value.value;
      whole = false;
      try {
        value.value = await load(id, known);
        problem.value = null;
      } catch (error) {
        problem.value = error as Error;
        again = true;
        whole ||= known === null;
      }
      const took = performance.now() - begun;
      await new Promise((resolve) => setTimeout(resolve, problem.value === null ? REST * took : 3000));
    }
    busy = false;
  }

  return {
    value,
    problem,
    refresh: () => void refresh(),
    reload: () => {
      whole = true;
      void refresh();
    },
    end: () => {
      ended = true;
    },
  };
}
