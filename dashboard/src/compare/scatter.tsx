// Any field of the specs, or figure, against any other: a point a run.
import { type Signal, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import type { Compared, ResultRow } from "../api/types";
import { figureTitle } from "../run/evaluations";
import { tone } from "../verdicts";
import { number } from "../words";
import { colorOf } from "./colors";
import { axesOf, nameOf, placeOf } from "./groups";

const WIDTH = 560;
const HEIGHT = 320;
const LEFT = 52;
const BOTTOM = 34;
const TOP = 14;
const RIGHT = 14;
const MOST_RATIO = 50; // numbers that differ by more are shown on a log axis

export interface Axis {
  at: (value: number | string) => number;
  ticks: { at: number; text: string }[];
  log: boolean;
}

/** From 0 to 1 over what is there. */
export function axisOf(values: (number | string)[]): Axis {
  const words = [...new Set(values)];
  if (values.some((value) => typeof value === "string")) {
    const at = (value: number | string): number => (words.indexOf(value) + 0.5) / words.length;
    return { at, ticks: words.map((word) => ({ at: at(word), text: String(word) })), log: false };
  }
  const numbers = values as number[];
  const least = Math.min(...numbers);
  const most = Math.max(...numbers);
  const log = least > 0 && most / least > MOST_RATIO;
  const on = (value: number): number => (log ? Math.log(value) : value);
  const span = on(most) - on(least);
  const at = (value: number | string): number =>
    span === 0 ? 0.5 : 0.04 + 0.92 * ((on(value as number) - on(least)) / span);
  const shown = least === most ? [least] : [least, log ? Math.sqrt(least * most) : (least + most) / 2, most];
  return { at, ticks: shown.map((value) => ({ at: at(value), text: number(value) })), log };
}

interface Props {
  compared: Compared;
  indices: Map<string, number>;
  picked: Signal<string | null>;
}

export function Scatter({ compared, indices, picked }: Props): JSX.Element | null {
  const axes = axesOf(compared);
  const x = useSignal<string | null>(null);
  const y = useSignal<string | null>(null);
  const first = x.value ?? compared.varied.find((field) => field !== "seed") ?? "seconds";
  const second = y.value ?? (axes.includes("ndb_over_k") ? "ndb_over_k" : "epochs_done");
  return (
    <section id="scatter" class="card" aria-labelledby="scatter-title">
      <div class="section-head">
        <h2 id="scatter-title">Field against figure</h2>
        <Choice title="Across" axes={axes} chosen={first} choose={(axis) => (x.value = axis)} />
        <Choice title="Up" axes={axes} chosen={second} choose={(axis) => (y.value = axis)} />
      </div>
      <Points items={compared.items} x={first} y={second} indices={indices} picked={picked} />
    </section>
  );
}

function Choice(props: { title: string; axes: string[]; chosen: string; choose: (axis: string) => void }): JSX.Element {
  return (
    <label>
      {props.title}{" "}
      <select value={props.chosen} onChange={(event) => props.choose(event.currentTarget.value)}>
        {props.axes.map((axis) => (
          <option key={axis} value={axis}>
            {figureTitle(axis)}
          </option>
        ))}
      </select>
    </label>
  );
}

function Points(props: {
  items: ResultRow[];
  x: string;
  y: string;
  indices: Map<string, number>;
  picked: Signal<string | null>;
}): JSX.Element {
  const placed = props.items.flatMap((row) => {
    const [x, y] = [placeOf(row, props.x), placeOf(row, props.y)];
    return x === null || y === null ? [] : [{ row, x, y }];
  });
  if (placed.length === 0) return <p class="hint">No run has both yet.</p>;
  const across = axisOf(placed.map((point) => point.x));
  const up = axisOf(placed.map((point) => point.y));
  const left = (at: number): number => LEFT + at * (WIDTH - LEFT - RIGHT);
  const top = (at: number): number => HEIGHT - BOTTOM - at * (HEIGHT - BOTTOM - TOP);
  return (
    <>
      <svg class="scatter" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={said(placed, props)}>
        {up.ticks.map((tick) => (
          <g key={tick.text}>
            <line class="scatter-grid" x1={LEFT} x2={WIDTH - RIGHT} y1={top(tick.at)} y2={top(tick.at)} />
            <text x={LEFT - 8} y={top(tick.at) + 4} text-anchor="end">
              {tick.text}
            </text>
          </g>
        ))}
        {across.ticks.map((tick) => (
          <text key={tick.text} x={left(tick.at)} y={HEIGHT - BOTTOM + 20} text-anchor="middle">
            {tick.text}
          </text>
        ))}
        {placed.map(({ row, x, y }) => (
          <circle
            key={row.run_id}
            class={props.picked.value === row.run_id ? "point picked" : "point"}
            cx={left(across.at(x))}
            cy={top(up.at(y))}
            r={tone(row.verdict, row.severity) === "severe" ? 7 : 5}
            style={{ fill: `var(${colorOf(props.indices.get(row.run_id) ?? 0)})` }}
          >
            <title>{`${nameOf(row)}: ${word(x)}, ${word(y)}; ${row.verdict ?? "no verdict"}`}</title>
          </circle>
        ))}
      </svg>
      <p class="hint">
        Across {figureTitle(props.x)}
        {across.log && " (log)"}, up {figureTitle(props.y)}
        {up.log && " (log)"}. Large: severely sick.
        {placed.length < props.items.length && ` ${props.items.length - placed.length} without a value.`}
      </p>
    </>
  );
}

function word(value: number | string): string {
  return typeof value === "number" ? number(value) : value;
}

function said(placed: { row: ResultRow; x: number | string; y: number | string }[], of: { x: string; y: string }) {
  const points = placed.slice(0, 20).map(({ row, x, y }) => `${nameOf(row)} ${word(x)}, ${word(y)}`);
  return `${of.y} over ${of.x}: ${points.join("; ")}`;
}
