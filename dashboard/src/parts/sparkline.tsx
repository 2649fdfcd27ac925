import type { JSX } from "preact";
import { number } from "../words";

const WIDTH = 132;
const HEIGHT = 36;
const MARGIN = 2;

type Values = readonly (number | null)[];

/** Losses over epochs, on a log axis where none is below 0: the discriminator's solid, the generator's dashed, a dot at the newest. */
export function Sparkline({ epochs, d, g }: { epochs: readonly number[]; d: Values; g: Values }): JSX.Element {
  const x = scaleX(epochs);
  const y = scaleY([...d, ...g]);
  if (y === null) {
    const diverged = epochs.length > 0;
    return <span class="muted">{diverged ? "not finite" : "–"}</span>;
  }
  const said = `Discriminator's loss ${number(d.at(-1))}, generator's ${number(g.at(-1))} in epoch ${epochs.at(-1)}`;
  return (
    <svg
      class="sparkline"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      width={WIDTH}
      height={HEIGHT}
      role="img"
      aria-label={said}
    >
      <path class="line-d" d={path(epochs, d, x, y)} />
      <path class="line-g" d={path(epochs, g, x, y)} />
      <Dot kind="d" epochs={epochs} values={d} x={x} y={y} />
      <Dot kind="g" epochs={epochs} values={g} x={x} y={y} />
    </svg>
  );
}

type Scale = (value: number) => number;

function scaleX(epochs: readonly number[]): Scale {
  const last = epochs.at(-1) ?? 1;
  const span = Math.max(1, last - 1);
  return (epoch) => MARGIN + ((epoch - 1) / span) * (WIDTH - 2 * MARGIN - 2);
}

export function scaleY(values: Values): Scale | null {
  const finite = values.filter((value): value is number => value !== null);
  if (finite.length === 0) return null;
  const linear = finite.some((value) => value < 0); // as of a Wasserstein or a hinge loss
  const on = (value: number): number => (linear ? value : Math.log(Math.max(value, 1e-9)));
  // Healthy losses of a cross-entropy lie between .3 and 3: quiet lines look quiet.
  const usual = linear ? [] : [0.3, 3];
  const shown = finite.filter((value) => linear || value > 0);
  const low = on(Math.min(...usual, ...shown));
  const high = on(Math.max(...usual, ...shown));
  return (value) => HEIGHT - MARGIN - ((Math.max(low, on(value)) - low) / (high - low || 1)) * (HEIGHT - 2 * MARGIN);
}

/** A line that breaks where a value is missing or not finite. */
export function path(epochs: readonly number[], values: Values, x: Scale, y: Scale): string {
  let pen = "M";
  let drawn = "";
  values.forEach((value, index) => {
    if (value === null) {
      pen = "M";
      return;
    }
    drawn += `${pen}${x(epochs[index] ?? 0).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = "L";
  });
  return drawn;
}

function Dot(props: {
  kind: "d" | "g";
  epochs: readonly number[];
  values: Values;
  x: Scale;
  y: Scale;
}): JSX.Element | null {
  const last = props.values.at(-1);
  if (last === null || last === undefined) return null;
  return <circle class={`dot-${props.kind}`} cx={props.x(props.epochs.at(-1) ?? 0)} cy={props.y(last)} r="2.2" />;
}
