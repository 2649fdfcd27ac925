// Parallel coordinates: an axis for each field that varies and for some figures, a line a run.
import type { JSX } from "preact";
import type { ResultRow } from "../api/types";
import { nameOf, placeOf } from "../compare/groups";
import { axisOf } from "../compare/scatter";
import { figureTitle } from "../run/evaluations";
import { tone } from "../verdicts";

const WIDTH = 1000;
const HEIGHT = 300;
const TOP = 40;
const BOTTOM = 24;
const SIDE = 70;

interface Props {
  rows: ResultRow[];
  axes: string[];
}

export function Parallel({ rows, axes }: Props): JSX.Element | null {
  const drawn = axes.flatMap((name) => {
    const values = rows.map((row) => placeOf(row, name)).filter((value) => value !== null);
    return values.length === 0 ? [] : [{ name, axis: axisOf(values) }];
  });
  if (drawn.length < 2) return null;
  const x = (index: number): number => SIDE + (index / (drawn.length - 1)) * (WIDTH - 2 * SIDE);
  const y = (at: number): number => HEIGHT - BOTTOM - at * (HEIGHT - TOP - BOTTOM);
  const line = (row: ResultRow): string =>
    drawn
      .flatMap(({ name, axis }, index) => {
        const value = placeOf(row, name);
        return value === null ? [] : [`${x(index)},${y(axis.at(value)).toFixed(1)}`];
      })
      .join(" ");
  return (
    <section id="parallel" class="card" aria-labelledby="parallel-title">
      <div class="section-head">
        <h2 id="parallel-title">What led where</h2>
        <span class="hint">A line a run, through its fields and figures. Dashed: severely or moderately sick.</span>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is scrolled by keys */}
      <section class="scrolled" tabIndex={0} aria-label="Parallel coordinates">
        <svg
          class="parallel"
          viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
          role="img"
          aria-label={`${rows.length} runs over ${drawn.map(({ name }) => figureTitle(name)).join(", ")}; the table has the numbers`}
        >
          {rows.map((row) => (
            <polyline
              key={row.run_id}
              class={`parallel-line tone-${tone(row.verdict, row.severity)}`}
              points={line(row)}
            >
              <title>{`${nameOf(row)}: ${row.verdict ?? "no verdict"}`}</title>
            </polyline>
          ))}
          {drawn.map(({ name, axis }, index) => (
            <g key={name}>
              <line class="parallel-axis" x1={x(index)} x2={x(index)} y1={TOP} y2={HEIGHT - BOTTOM} />
              <text class="parallel-name" x={x(index)} y={16} text-anchor="middle">
                {short(figureTitle(name))}
              </text>
              {axis.ticks.map((tick) => (
                <text key={tick.text} x={x(index) + 7} y={y(tick.at) + 4}>
                  {tick.text}
                </text>
              ))}
            </g>
          ))}
        </svg>
      </section>
    </section>
  );
}

/** The field without its part. */
function short(name: string): string {
  return name.split(".").at(-1) ?? name;
}
