import type { JSX } from "preact";
import type { Null, Run } from "../api/types";
import { progress } from "../verdicts";
import { duration, number } from "../words";

/** NDB/K in [0, 1]: a bar, over the band in which real data lie. */
export function NdbMeter({ value, of }: { value: number | null; of: Null | null }): JSX.Element {
  if (value === null) return <span class="muted">–</span>;
  const reals = of === null || of.mean === null ? "" : `; real data ${number(of.mean)}`;
  return (
    <span class="ndb" role="img" aria-label={`NDB/K ${number(value)}${reals}`}>
      <span class="ndb-value">{number(value)}</span>
      <svg viewBox="0 0 100 12" width="100" height="12" preserveAspectRatio="none" aria-hidden="true">
        <rect class="meter-rail" x="0" y="3" width="100" height="6" />
        <rect class="meter-bar" x="0" y="3" width={100 * value} height="6" />
        {of !== null && of.q95 !== null && (
          <rect
            class="meter-null"
            x={100 * (of.q05 ?? 0)}
            y="0"
            width={Math.max(2, 100 * (of.q95 - (of.q05 ?? 0)))}
            height="12"
          />
        )}
      </svg>
    </span>
  );
}

/** How far a run is, and how long it may take yet. */
export function ProgressMeter({ run, secondsLeft }: { run: Run; secondsLeft: number | null }): JSX.Element {
  const done = progress(run);
  const left = run.status === "running" && secondsLeft !== null ? ` · ${duration(secondsLeft)} left` : "";
  const text = `${run.epochs_done} / ${run.epochs_total}${left}`;
  return (
    <span class="progress">
      <svg viewBox="0 0 100 4" width="100" height="4" preserveAspectRatio="none" aria-hidden="true">
        <rect class="meter-rail" width="100" height="4" />
        <rect class="meter-done" width={100 * done} height="4" />
      </svg>
      <span class="progress-text">
        <span class="sr">Epoch </span>
        {text}
      </span>
    </span>
  );
}
