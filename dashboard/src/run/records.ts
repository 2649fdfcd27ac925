// All that a run has recorded, asked for again when it has recorded more.
import { type Signal, signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { get } from "../api/client";
import type { Diagnosis, Evaluation, Label, Member, RunDetail, Sample, Series } from "../api/types";

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

async function load(id: string): Promise<Records> {
  const run = { run_id: id };
  const [diagnoses, evaluations, samples, series, labels, family] = await Promise.all([
    get("/v1/runs/{run_id}/diagnosis/history", run),
    get("/v1/runs/{run_id}/evaluations", run),
    get("/v1/runs/{run_id}/samples", run),
    get("/v1/runs/{run_id}/series", run, { resolution: "step", max_points: POINTS }),
    get("/v1/runs/{run_id}/labels", run),
    get("/v1/runs/{run_id}/family", run),
  ]);
  return {
    diagnoses: diagnoses.items,
    evaluations: evaluations.items,
    samples: samples.items,
    series,
    labels: labels.items,
    family: family.items,
  };
}

export interface Recorded {
  value: Signal<Records | null>;
  problem: Signal<Error | null>;
  refresh: () => void;
}

/** Those of the run; null before the first answer. */
export function useRecords(run: RunDetail): Recorded {
  const recorded = useMemo(() => keep(run.id), [run.id]);
  useEffect(() => recorded.refresh(), [recorded, run.epochs_done, run.status, run.attempt]);
  useEffect(() => recorded.end, [recorded]);
  return recorded;
}

function keep(id: string): Recorded & { end: () => void } {
  const value = signal<Records | null>(null);
  const problem = signal<Error | null>(null);
  let busy = false;
  let again = false;
  let ended = false;

  async function refresh(): Promise<void> {
    again = true;
    if (busy) return;
    busy = true;
    while (again && !ended) {
      again = false;
      const begun = performance.now();
      try {
        value.value = await load(id);
        problem.value = null;
      } catch (error) {
        problem.value = error as Error;
        again = true;
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
    end: () => {
      ended = true;
    },
  };
}
