// The samples of every run at one epoch.
import type { Signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Compared } from "../api/types";
import { epoch, lastEpoch } from "../run/cursor";
import { nameOf, pictureAt } from "./groups";
import { Swatch } from "./swatch";

/** Epochs on both sides of the cursor whose pictures are loaded and decoded ahead. */
const AHEAD = 12;
const MOST_KEPT = 2500;

interface Props {
  compared: Compared;
  indices: Map<string, number>;
  picked: Signal<string | null>;
}

export function Gallery({ compared, indices, picked }: Props): JSX.Element | null {
  const samples = compared.samples ?? {};
  usePrefetched(samples, epoch.value);
  if (!Object.values(samples).some((epochs) => epochs.length > 0)) return null;
  return (
    <section id="gallery" class="card" aria-labelledby="gallery-title">
      <h2 id="gallery-title">Samples, epoch {epoch.value}</h2>
      <div class="gallery">
        {compared.items.map((row) => {
          const at = pictureAt(samples[row.run_id] ?? [], epoch.value);
          return (
            <figure key={row.run_id} class={picked.value === row.run_id ? "picked" : ""}>
              {at === null ? (
                <div class="no-picture">none yet</div>
              ) : (
                <img src={picture(row.run_id, at)} alt={`Samples of ${nameOf(row)} after epoch ${at}`} />
              )}
              <figcaption>
                <Swatch index={indices.get(row.run_id) ?? 0} /> {nameOf(row)}
                {at !== null && at !== epoch.value && <span class="muted"> epoch {at}</span>}
              </figcaption>
            </figure>
          );
        })}
      </div>
    </section>
  );
}

function picture(id: string, at: number): string {
  return `/v1/runs/${id}/samples/${at}`;
}

/** The nearest epochs first, of every run. */
export function nearFirst(at: number, last: number): number[] {
  const near = Array.from(
    { length: 2 * AHEAD + 1 },
    (_, index) => at + (index % 2 === 0 ? -1 : 1) * Math.ceil(index / 2),
  );
  return near.filter((one) => one >= 1 && one <= last);
}

/** Keeps decoded pictures around the cursor, so that it never waits for one. */
function usePrefetched(samples: Record<string, readonly number[]>, at: number): void {
  const kept = useRef(new Map<string, HTMLImageElement>());
  useEffect(() => {
    for (const one of nearFirst(at, lastEpoch.value)) {
      for (const [id, epochs] of Object.entries(samples)) {
        const found = pictureAt(epochs, one);
        const src = found === null ? null : picture(id, found);
        if (src === null || kept.current.has(src)) continue;
        const image = new Image();
        image.src = src;
        void image.decode().catch(() => kept.current.delete(src));
        kept.current.set(src, image);
      }
    }
    for (const src of [...kept.current.keys()].slice(0, Math.max(0, kept.current.size - MOST_KEPT)))
      kept.current.delete(src);
  }, [samples, at]);
}
