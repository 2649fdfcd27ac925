// Losses, accuracies and gradient norms of every step, on one axis of epochs.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { get } from "../api/client";
import type { Diagnosis, RunDetail, Series } from "../api/types";
import { tone } from "../verdicts";
import { type Band, Chart, hasNegative, type Line, type Mark } from "./chart";
import { zoom } from "./zoom";

const REAL_DASH: number[] = [];
const FAKE_DASH = [6, 4];
const POINTS = 1000;
/** Losses of healthy runs with a cross-entropy, as the articles have them; other objectives have no such levels. */
const HEALTHY_D: Band = { from: 0.5, to: 0.8, label: "healthy D: .5 to .8" };
const HEALTHY_G: Band = { from: 0.5, to: 2, label: "healthy G: .5 to 2" };
const HEALTHY_ACCURACY: Band = { from: 0.5, to: 0.8, label: "healthy: .5 to .8" };

export function Curves({
  run,
  series,
  diagnoses,
}: {
  run: RunDetail;
  series: Series;
  diagnoses: Diagnosis[];
}): JSX.Element | null {
  const shown = useZoomed(run, series);
  const x = useMemo(() => places(shown), [shown]);
  const marks = useMemo(() => marksOf(diagnoses), [diagnoses]);
  const lines = useMemo(() => linesOf(shown), [shown]);
  if (series.steps.length === 0) return null;
  const negative = hasNegative(lines.losses);
  const isBce = (run.spec["objective"] as { name?: string }).name === "bce";
  const common = { x, marks, epochs: run.epochs_done };
  return (
    <section id="curves" class="curves card" aria-labelledby="curves-title">
      <div class="section-head">
        <h2 id="curves-title">Curves</h2>
        <span class="hint">Click: go to the epoch. Drag: zoom in{zoom.value === null ? "." : "; "}</span>
        {zoom.value !== null && (
          <button type="button" class="link" onClick={() => (zoom.value = null)}>
            show all epochs
          </button>
        )}
      </div>
      <div class="charts">
        <Chart
          {...common}
          title="Losses"
          unit={negative ? "linear axis, as some are below 0" : `${isBce ? "nats, " : ""}log axis`}
          lines={lines.losses}
          log={!negative}
          bands={isBce ? [HEALTHY_G, { ...HEALTHY_D, label: "" }] : []}
        />
        <Chart
          {...common}
          title="Discriminator's accuracy"
          unit="share of samples told"
          lines={lines.accuracies}
          log={false}
          limits={[-0.02, 1.02]}
          bands={isBce ? [HEALTHY_ACCURACY] : []}
        />
        <Chart
          {...common}
          title="Gradient norms"
          unit="whole network, log axis"
          lines={lines.gradients}
          log
          bands={[]}
        />
      </div>
    </section>
  );
}

/** Finer points where only a part of the epochs is shown. */
function useZoomed(run: RunDetail, series: Series): Series {
  const finer = useSignal<{ key: string; series: Series } | null>(null);
  const range = zoom.value;
  const key = range === null ? "" : `${run.id} ${range} ${run.epochs_done}`;
  useEffect(() => {
    if (range === null) return;
    const [first, last] = range.map((at) => Math.round(at * run.steps_per_epoch)) as [number, number];
    const query = {
      resolution: "step",
      first_step: Math.max(1, first),
      last_step: Math.max(1, last),
      max_points: POINTS,
    } as const;
    get("/v1/runs/{run_id}/series", { run_id: run.id }, query).then(
      (found) => {
        finer.value = { key, series: found };
      },
      () => undefined, // the coarse points stay
    );
  }, [key]);
  return finer.value !== null && finer.value.key === key ? finer.value.series : series;
}

/** Each point in the middle of its steps, in epochs. */
export function places({ steps, steps_per_epoch }: Pick<Series, "steps" | "steps_per_epoch">): number[] {
  return steps.map((step, index) => {
    const width = (steps[index + 1] ?? step + 1) - step;
    return (step - 1 + width / 2) / steps_per_epoch;
  });
}

/** A mark where each finding was first seen; those that were seen together share one. */
export function marksOf(diagnoses: Diagnosis[]): Mark[] {
  const last = diagnoses.at(-1);
  const marks = new Map<number, Mark>();
  for (const finding of last?.findings ?? []) {
    const severe = tone(finding.name, finding.severity) === "severe";
    const before = marks.get(finding.first_epoch);
    if (before === undefined)
      marks.set(finding.first_epoch, {
        epoch: finding.first_epoch,
        label: finding.name.replace("convergence failure: ", ""),
        severe,
      });
    else
      marks.set(finding.first_epoch, {
        ...before,
        label: before.label.replace(/( \+ \d+)?$/, (more) => ` + ${Number(more.slice(3) || 0) + 1}`),
        severe: before.severe || severe,
      });
  }
  return [...marks.values()];
}

interface Lines {
  losses: Line[];
  accuracies: Line[];
  gradients: Line[];
}

function linesOf({ columns }: Series): Lines {
  const line = (name: string, label: string, color: string, dash: number[]): Line[] => {
    const column = columns[name];
    if (column === undefined || column.mean.every((value) => value === null)) return [];
    return [{ label, color, dash, values: column.mean, low: column.min, high: column.max }];
  };
  return {
    losses: [...line("d_loss", "discriminator", "--d", REAL_DASH), ...line("g_loss", "generator", "--g", FAKE_DASH)],
    accuracies: [
      ...line("d_acc_real", "on reals", "--d", REAL_DASH),
      ...line("d_acc_fake", "on fakes", "--g", FAKE_DASH),
    ],
    gradients: [
      ...line("d_grad_norm", "discriminator", "--d", REAL_DASH),
      ...line("g_grad_norm", "generator", "--g", FAKE_DASH),
    ],
  };
}
