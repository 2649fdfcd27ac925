// Each figure over the evaluated epochs, with the band in which real data lie.
import type { JSX } from "preact";
import type { Evaluation, Null } from "../api/types";
import { number } from "../words";
import { epoch, show } from "./cursor";
import { newest } from "./pictures";

/** The figures that are shown at once, and what they say, by which way is good. */
const FIGURES: Record<string, { title: string; says: string; good: "up" | "down" | "near" }> = {
  precision: { title: "Precision", says: "share of fakes that look real", good: "up" },
  coverage: { title: "Coverage", says: "share of the data that fakes reach", good: "up" },
  ndb_over_k: { title: "NDB/K", says: "share of bins that differ", good: "down" },
  missing_mass: { title: "Missing mass", says: "share of the data in bins left out", good: "down" },
  fake_distance: { title: "Distance between fakes", says: "to the nearest other fake", good: "near" },
  memorisation: { title: "Memorisation", says: "fakes nearer to training data than unseen reals are", good: "down" },
};
const MORE: Record<string, string> = {
  recall: "Recall",
  density: "Density",
  js: "Jensen–Shannon divergence, nats",
  near_duplicates: "Near duplicates",
  spread: "Spread",
  copies: "Copies",
  fid: "FID",
  kid: "KID",
  entropy: "Entropy of classes, nats",
  vendi: "Vendi score",
};
/** What people call a figure. */
export function figureTitle(name: string): string {
  return FIGURES[name]?.title ?? MORE[name] ?? name;
}

const WIDTH = 240;
const HEIGHT = 84;
const MARGIN = 6;

export function Evaluations({ evaluations }: { evaluations: Evaluation[] }): JSX.Element | null {
  const last = evaluations.at(-1);
  if (last === undefined) return null;
  const named = Object.keys(FIGURES).filter((name) => hasFigure(evaluations, name));
  const others = Object.keys(last.values).filter((name) => !(name in FIGURES) && hasFigure(evaluations, name));
  return (
    <section id="evaluations" class="card" aria-labelledby="evaluations-title">
      <div class="section-head">
        <h2 id="evaluations-title">Fakes against real data</h2>
        <span class="hint">
          {last.n_fake} fakes, {last.n_real} reals, in {last.space} · shaded: where real data lie
        </span>
      </div>
      <div class="figures">
        {named.map((name) => (
          <Figure
            key={name}
            name={name}
            title={FIGURES[name]?.title ?? name}
            says={FIGURES[name]?.says ?? ""}
            evaluations={evaluations}
          />
        ))}
      </div>
      {others.length > 0 && (
        <details>
          <summary>{others.length} more figures</summary>
          <div class="figures">
            {others.map((name) => (
              <Figure key={name} name={name} title={MORE[name] ?? name} says="" evaluations={evaluations} />
            ))}
          </div>
        </details>
      )}
    </section>
  );
}

function hasFigure(evaluations: Evaluation[], name: string): boolean {
  return evaluations.some((one) => typeof one.values[name] === "number");
}

function Figure(props: { name: string; title: string; says: string; evaluations: Evaluation[] }): JSX.Element {
  const { name, title, says, evaluations } = props;
  const points = evaluations.flatMap((one) =>
    typeof one.values[name] === "number" ? [{ epoch: one.epoch, value: one.values[name] as number }] : [],
  );
  const shown = newest(evaluations, epoch.value) ?? evaluations[0];
  const at = shown?.values[name] ?? null;
  const null_ = shown?.nulls[name] ?? null;
  const reach = [...points.map((point) => point.value), null_?.q05, null_?.q95].filter(
    (value): value is number => typeof value === "number",
  );
  const [low, high] = limits(reach);
  const last = Math.max(1, evaluations.at(-1)?.epoch ?? 1);
  const x = (when: number): number => MARGIN + (when / last) * (WIDTH - 2 * MARGIN);
  const y = (value: number): number => HEIGHT - 6 - ((value - low) / (high - low)) * (HEIGHT - 12);
  const reals = null_ === null || null_.mean === null ? "" : `; real data ${number(null_.mean)}`;
  const isBad = at !== null && null_ !== null && lies(at, null_, FIGURES[name]?.good);
  return (
    <figure class="figure">
      <figcaption>
        <h3>{title}</h3>
        <span class="figure-value">
          {number(at)}
          {null_ !== null && null_.mean !== null && <span class="muted"> real {number(null_.mean)}</span>}
        </span>
        <span class="muted sub">{says}</span>
      </figcaption>
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: the cursor's own keys do the same */}
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${title} ${number(at)} in epoch ${shown?.epoch ?? 0}${reals}`}
        onClick={(event) => {
          const box = event.currentTarget.getBoundingClientRect();
          show(Math.round(((event.clientX - box.left) / box.width) * last));
        }}
      >
        {null_ !== null && null_.q05 !== null && null_.q95 !== null && (
          <rect
            class="null-band"
            x="0"
            width={WIDTH}
            y={y(null_.q95)}
            height={Math.max(2, y(null_.q05) - y(null_.q95))}
          />
        )}
        <line class="figure-cursor" x1={x(epoch.value)} x2={x(epoch.value)} y1="0" y2={HEIGHT} />
        <polyline class="figure-line" points={points.map((point) => `${x(point.epoch)},${y(point.value)}`).join(" ")} />
        {at !== null && shown !== undefined && (
          <path class={isBad ? "figure-dot outside" : "figure-dot"} d={`M${x(shown.epoch)} ${y(at)}h.01`} />
        )}
      </svg>
    </figure>
  );
}

/** Whether the value lies beside the reals' band on the side that is bad. */
export function lies(at: number, of: Pick<Null, "q05" | "q95">, good: "up" | "down" | "near" | undefined): boolean {
  const below = of.q05 !== null && at < of.q05;
  const above = of.q95 !== null && at > of.q95;
  return (below && good !== "down" && good !== undefined) || (above && good !== "up" && good !== undefined);
}

/** Of the axis: what is there, with a little room. */
function limits(values: number[]): [number, number] {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  return [low - room, high + room];
}
