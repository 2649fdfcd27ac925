// One chart of lines over epochs, drawn by uPlot: raw values faint, a smooth line on top, what is healthy shaded.
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { number } from "../words";
import { epoch, playing, show } from "./cursor";
import { hovered, zoom } from "./zoom";

export interface Line {
  label: string;
  /** CSS variable of its colour. */
  color: string;
  dash?: number[];
  values: readonly (number | null)[];
  /** Of what each point stands for, where that is more than one step. */
  low: readonly (number | null)[];
  high: readonly (number | null)[];
  /** How it stands among others; by default as usual. */
  stress?: "usual" | "strong" | "faint";
}

export interface Band {
  from: number;
  to: number;
  label: string;
}

export interface Mark {
  epoch: number;
  label: string;
  severe: boolean;
}

export interface ChartProps {
  /** In epochs: 1.5 is the middle of the second. */
  x: readonly number[];
  lines: Line[];
  log: boolean;
  /** Limits of a linear axis. */
  limits?: [number, number];
  bands: Band[];
  marks: Mark[];
  epochs: number;
  title: string;
  unit: string;
  /** Which lines have their value said; by default all. */
  legend?: "all" | "strong";
}

const HEIGHT_PX = 246;
const SMALLEST = 1e-6; // on a log axis: what is zero or less is drawn here
const NARROWEST_ZOOM_PX = 8;

export function Chart(props: ChartProps): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const shownLines = props.lines.map((line) => `${line.label} ${line.color} ${line.stress ?? ""}`).join();

  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const draw = (): void => {
      plot.current?.destroy();
      plot.current = new uPlot(options(latest, element.clientWidth), columns(latest.current), element);
    };
    draw();
    scheme.addEventListener("change", draw);
    const resized = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height: HEIGHT_PX }));
    resized.observe(element);
    const unwatch = [
      epoch.subscribe(() => plot.current?.redraw(false, false)),
      zoom.subscribe(() => fit(plot.current, latest.current)),
    ];
    return () => {
      scheme.removeEventListener("change", draw);
      resized.disconnect();
      for (const end of unwatch) end();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shownLines, props.log]);

  useEffect(() => {
    plot.current?.setData(columns(props), false);
    fit(plot.current, props);
  }, [props.x, props.lines, props.marks]);

  return (
    <figure class="chart">
      <figcaption>
        <h3>{props.title}</h3>
        <span class="muted">{props.unit}</span>
        <Legend {...props} />
      </figcaption>
      <div
        ref={place}
        class="plot"
        role="img"
        aria-label={`${props.title} over ${props.epochs} epochs. ${described(props)}`}
      />
    </figure>
  );
}

/** The values under the pointer, else at the end of the cursor's epoch. */
function Legend({ x, lines: all, legend }: ChartProps): JSX.Element {
  const lines = legend === "strong" ? all.filter((line) => line.stress === "strong") : all;
  const at = hovered.value ?? epoch.value;
  const index = x.findLastIndex((one) => one <= at);
  return (
    <span class="chart-legend">
      {lines.map((line) => (
        <span key={line.label}>
          <svg viewBox="0 0 18 6" width="18" height="6" aria-hidden="true">
            <path
              d="M0 3h18"
              style={{ stroke: `var(${line.color})`, strokeWidth: 2, strokeDasharray: line.dash?.join(" ") ?? "" }}
            />
          </svg>
          {line.label} <strong>{number(index < 0 ? null : smooth(line.values)[index])}</strong>
        </span>
      ))}
    </span>
  );
}

const MOST_SAID = 20;

function described({ lines }: ChartProps): string {
  return lines
    .slice(0, MOST_SAID)
    .map((line) => `${line.label}: ${number(smooth(line.values).at(-1))} at the end`)
    .join("; ");
}

const smoothed = new WeakMap<readonly (number | null)[], (number | null)[]>();

/** An exponential mean over a hundredth of the points, not begun from zero; where a value is missing, it begins anew. */
export function smooth(values: readonly (number | null)[]): (number | null)[] {
  const known = smoothed.get(values);
  if (known !== undefined) return known;
  const share = 1 / Math.max(1, values.length / 100);
  let mean = 0;
  let weight = 0;
  const made = values.map((value) => {
    if (value === null) {
      mean = 0;
      weight = 0;
      return null;
    }
    mean += share * (value - mean);
    weight += share * (1 - weight);
    return mean / weight;
  });
  smoothed.set(values, made);
  return made;
}

/** Whether a log axis has no place for some value. */
export function hasNegative(lines: readonly Pick<Line, "values" | "low">[]): boolean {
  return lines.some(({ values, low }) => [...values, ...low].some((value) => value !== null && value < 0));
}

function onAxis(log: boolean, values: readonly (number | null)[]): (number | null)[] {
  return log ? values.map((value) => (value === null ? null : Math.max(value, SMALLEST))) : [...values];
}

/** x, then for each line the smooth one and the raw one. */
function columns({ x, lines, log }: ChartProps): uPlot.AlignedData {
  return [
    [...x],
    ...lines.flatMap((line) => [onAxis(log, line.values), onAxis(log, smooth(line.values))]),
  ] as uPlot.AlignedData;
}

function fit(plot: uPlot | null, { epochs }: ChartProps): void {
  const [min, max] = zoom.value ?? [0, Math.max(1, epochs)];
  plot?.setScale("x", { min, max });
}

function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function options(latest: { current: ChartProps }, width: number): uPlot.Options {
  const { lines, log, limits } = latest.current;
  const font = "12px system-ui, sans-serif";
  const axis = { stroke: color("--muted"), font, grid: { stroke: color("--line"), width: 1 }, ticks: { show: false } };
  return {
    width: Math.max(width, 50),
    height: HEIGHT_PX,
    legend: { show: false },
    padding: [28, 8, 0, 0],
    cursor: {
      sync: { key: "run" },
      drag: { x: true, y: false, setScale: false },
      points: { show: false },
      bind: {
        dblclick: () => () => {
          zoom.value = null;
          return null;
        },
      },
    },
    scales: {
      x: { time: false },
      y: log ? { distr: 3 } : limits === undefined ? {} : { range: limits },
    },
    axes: [
      {
        ...axis,
        size: 28,
        gap: 4,
        label: "epoch",
        labelSize: 16,
        labelFont: font,
        incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000],
      },
      {
        ...axis,
        ...(log ? { grid: { ...axis.grid, filter: decades } } : {}),
        size: 46,
        gap: 4,
        values: (_, ticks) =>
          ticks.map((tick) =>
            tick === null ? "" : Math.abs(tick) >= 1e4 ? tick.toExponential().replace("+", "") : number(tick),
          ),
      },
    ],
    series: [
      {},
      ...lines.flatMap((line) => [
        { stroke: `${color(line.color)}55`, width: 1, spanGaps: false, points: { show: false } },
        {
          stroke: line.stress === "faint" ? `${color(line.color)}40` : color(line.color),
          width: line.stress === "strong" ? 3.5 : 2,
          dash: line.dash ?? [],
          spanGaps: false,
          points: { show: false },
        },
      ]),
    ],
    hooks: {
      drawClear: [(plot) => drawBelow(plot, latest.current)],
      draw: [(plot) => drawMarks(plot, latest.current)],
      setCursor: [
        (plot) => {
          const { left } = plot.cursor;
          hovered.value = left === undefined || left === null || left < 0 ? null : plot.posToVal(left, "x");
        },
      ],
      setSelect: [(plot) => choose(plot)],
      ready: [
        (plot) => {
          let pressedAt = 0;
          plot.over.addEventListener("mousedown", (event) => {
            pressedAt = event.clientX;
          });
          plot.over.addEventListener("click", (event) => {
            if (Math.abs(event.clientX - pressedAt) >= NARROWEST_ZOOM_PX || plot.cursor.left === undefined) return;
            playing.value = false;
            show(Math.ceil(plot.posToVal(plot.cursor.left, "x")));
          });
        },
      ],
    },
  };
}

/** Of a log axis that spans many decades only these have a line. */
function decades(_: uPlot, splits: number[]): (number | null)[] {
  const [least, most] = [splits[0] ?? 1, splits.at(-1) ?? 1];
  if (most / least < 1000) return splits;
  return splits.map((split) => (Math.abs(Math.log10(split) % 1) < 1e-9 ? split : null));
}

function choose(plot: uPlot): void {
  const { left, width } = plot.select;
  if (width >= NARROWEST_ZOOM_PX) zoom.value = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
  if (width > 0) plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
}

function drawBelow(plot: uPlot, { bands, lines, x, log }: ChartProps): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  const from = plot.valToPos(epoch.value - 1, "x", true);
  ctx.fillStyle = color("--sunken");
  ctx.fillRect(from, bbox.top, plot.valToPos(epoch.value, "x", true) - from, bbox.height);
  for (const band of bands) {
    const top = plot.valToPos(band.to, "y", true);
    ctx.fillStyle = color("--band");
    ctx.fillRect(bbox.left, top, bbox.width, plot.valToPos(band.from, "y", true) - top);
  }
  for (const line of lines) drawReach(plot, x, onAxis(log, line.low), onAxis(log, line.high), color(line.color));
  ctx.restore();
}

/** From the least to the greatest value that a point stands for. */
function drawReach(
  plot: uPlot,
  x: readonly number[],
  low: (number | null)[],
  high: (number | null)[],
  stroke: string,
): void {
  const { ctx } = plot;
  ctx.fillStyle = `${stroke}26`;
  const width = Math.max(1, plot.bbox.width / Math.max(1, x.length));
  x.forEach((at, index) => {
    const [least, most] = [low[index], high[index]];
    if (least === null || least === undefined || most === null || most === undefined || least === most) return;
    const top = plot.valToPos(most, "y", true);
    ctx.fillRect(plot.valToPos(at, "x", true) - width / 2, top, width, plot.valToPos(least, "y", true) - top);
  });
}

function drawMarks(plot: uPlot, { marks, bands }: ChartProps): void {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  for (const band of bands) {
    const top = plot.valToPos(band.to, "y", true);
    if (top < bbox.top || top > bbox.top + bbox.height) continue;
    ctx.textAlign = "right";
    ctx.lineWidth = 4 * ratio;
    ctx.lineJoin = "round";
    ctx.strokeStyle = color("--card");
    ctx.strokeText(band.label, bbox.left + bbox.width - 4 * ratio, top + 12 * ratio);
    ctx.fillStyle = color("--healthy");
    ctx.fillText(band.label, bbox.left + bbox.width - 4 * ratio, top + 12 * ratio);
  }
  ctx.textAlign = "left";
  const ends = [0, 0]; // of the labels in each of two rows
  ctx.setLineDash([4 * ratio, 3 * ratio]);
  for (const mark of marks) {
    const at = plot.valToPos(mark.epoch - 1, "x", true);
    if (at < bbox.left || at > bbox.left + bbox.width) continue;
    ctx.strokeStyle = color(mark.severe ? "--severe" : "--moderate");
    ctx.fillStyle = ctx.strokeStyle;
    ctx.lineWidth = 1.5 * ratio;
    ctx.beginPath();
    ctx.moveTo(at, bbox.top);
    ctx.lineTo(at, bbox.top + bbox.height);
    ctx.stroke();
    const { width } = ctx.measureText(mark.label);
    const from = Math.min(at - ratio, bbox.left + bbox.width - width); // a late one ends where the chart does
    const row = ends.findIndex((end) => end < from);
    if (row < 0) continue;
    ctx.fillText(mark.label, from, bbox.top - (4 + 13 * row) * ratio);
    ends[row] = from + width + 8 * ratio;
  }
  ctx.restore();
}
