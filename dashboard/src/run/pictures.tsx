// The samples of the cursor's epoch, beside real ones.
import { type Signal, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import type { RunDetail, Sample } from "../api/types";
import { epoch } from "./cursor";

const AHEAD = 20;

export function Pictures({ run, samples }: { run: RunDetail; samples: Sample[] }): JSX.Element {
  const realsMissing = useSignal(false);
  /** The epoch that the samples are wiped over; null shows one alone. */
  const other = useSignal<number | null>(null);
  const shown = useMemo(() => newest(samples, epoch.value), [samples, epoch.value]);
  usePrefetched(samples, shown);
  const count = (run.spec["samples"] as { count: number }).count;
  return (
    <section id="pictures" class="pictures card" aria-labelledby="pictures-title">
      <h2 id="pictures-title">Samples</h2>
      <div class="picture-pair">
        <figure>
          {shown === null ? (
            <div class="no-picture" />
          ) : (
            <Fakes samples={samples} shown={shown} count={count} other={other.value} />
          )}
          <figcaption>
            {shown === null ? "Fakes: none yet" : <>Fakes, epoch {shown.epoch}</>}
            {samples.length > 1 && <Beside samples={samples} other={other} />}
          </figcaption>
        </figure>
        {!realsMissing.value && (
          <figure>
            <img
              src={`/v1/runs/${run.id}/reals?${run.attempt}-${Math.min(1, run.epochs_done)}`}
              alt={`As many real samples of ${dataset(run)}`}
              onError={() => {
                realsMissing.value = run.epochs_done > 0;
              }}
            />
            <figcaption>Real, {dataset(run)}</figcaption>
          </figure>
        )}
      </div>
    </section>
  );
}

/** The epoch's fakes; with another epoch's beneath them, and a handle that wipes between the two. */
function Fakes(props: { samples: Sample[]; shown: Sample; count: number; other: number | null }): JSX.Element {
  const { samples, shown, count } = props;
  const share = useSignal(50);
  const before = props.other === null ? null : newest(samples, props.other);
  const image = <img src={address(shown)} alt={`${count} samples of the generator after epoch ${shown.epoch}`} />;
  if (before === null) return image;
  return (
    <div class="wipe">
      <img src={address(before)} alt={`The same after epoch ${before.epoch}`} />
      <div class="wipe-top" style={{ clipPath: `inset(0 0 0 ${share.value}%)` }}>
        {image}
      </div>
      <span class="wipe-line" style={{ left: `${share.value}%` }} aria-hidden="true" />
      <input
        type="range"
        min="0"
        max="100"
        value={share.value}
        aria-label={`Left of here epoch ${before.epoch}, right of here epoch ${shown.epoch}`}
        onInput={(event) => {
          share.value = event.currentTarget.valueAsNumber;
        }}
      />
    </div>
  );
}

function Beside({ samples, other }: { samples: Sample[]; other: Signal<number | null> }): JSX.Element {
  return (
    <label class="beside">
      against{" "}
      <select
        value={other.value ?? ""}
        onChange={({ currentTarget: { value } }) => {
          other.value = value === "" ? null : Number(value);
        }}
      >
        <option value="">no other epoch</option>
        {samples.map(({ epoch }) => (
          <option key={epoch} value={epoch}>
            epoch {epoch}
          </option>
        ))}
      </select>
    </label>
  );
}

function dataset(run: RunDetail): string {
  const { name } = run.spec["dataset"] as { name?: string };
  return name ?? "the data set";
}

function address(sample: Sample): string {
  return `${sample.href}?${sample.sha256.slice(0, 12)}`;
}

/** The picture of that epoch, or of the last one before it that has any. */
export function newest<T extends { epoch: number }>(items: T[], at: number): T | null {
  return items.findLast((item) => item.epoch <= at) ?? null;
}

/** Loads and decodes the pictures around the one that is shown, so that the cursor never waits. */
function usePrefetched(samples: Sample[], shown: Sample | null): void {
  useEffect(() => {
    const at = shown === null ? -1 : samples.indexOf(shown);
    const near = samples.slice(Math.max(0, at - AHEAD), at + AHEAD);
    const kept = near.map((sample) => {
      const image = new Image();
      image.src = address(sample);
      void image.decode().catch(() => undefined);
      return image;
    });
    return () => void kept.length;
  }, [samples, shown]);
}
