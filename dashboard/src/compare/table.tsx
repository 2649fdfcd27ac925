// A row a run: its colour, its verdict over time, and only what differs in the specs.
import type { Signal } from "@preact/signals";
import type { JSX } from "preact";
import type { Compared, JudgedEpochs, ResultRow } from "../api/types";
import { StatusBadge, VerdictBadge } from "../parts/badges";
import { epoch, lastEpoch } from "../run/cursor";
import { type Tone, tone } from "../verdicts";
import { duration, number, percent } from "../words";
import { fieldText, nameOf } from "./groups";
import { Swatch } from "./swatch";

const HEIGHTS: Record<Tone, number> = { severe: 100, moderate: 70, mild: 40, healthy: 22, unknown: 10 };

interface Props {
  compared: Compared;
  indices: Map<string, number>;
  picked: Signal<string | null>;
  drop: (id: string) => void;
}

export function RunsBeside({ compared, indices, picked, drop }: Props): JSX.Element {
  const { varied, items } = compared;
  return (
    <section id="differences" class="card" aria-labelledby="differences-title">
      <div class="section-head">
        <h2 id="differences-title">Verdicts, and what differs</h2>
        <span class="hint">
          {varied.length === 0 ? "The specs are equal." : "Only fields that differ. "}
          The higher a strip, the worse.
        </span>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is scrolled by keys */}
      <section class="scrolled" tabIndex={0} aria-label="Runs and what differs">
        <table class="beside-table">
          <thead>
            <tr>
              <th scope="col">Run</th>
              <th scope="col">At the cursor's epoch</th>
              <th scope="col">Verdict over epochs</th>
              <th scope="col" class="num">
                NDB/K
              </th>
              {varied.map((field) => (
                <th key={field} scope="col">
                  <code>{field}</code>
                </th>
              ))}
              <th scope="col" class="num">
                Trained
              </th>
              <th scope="col">
                <span class="sr">Leave out</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {items.map((row) => (
              <Row
                key={row.run_id}
                row={row}
                varied={varied}
                judged={compared.verdicts?.[row.run_id] ?? []}
                index={indices.get(row.run_id) ?? 0}
                picked={picked}
                drop={items.length > 1 ? drop : null}
              />
            ))}
          </tbody>
        </table>
      </section>
    </section>
  );
}

function Row(props: {
  row: ResultRow;
  varied: string[];
  judged: JudgedEpochs[];
  index: number;
  picked: Signal<string | null>;
  drop: ((id: string) => void) | null;
}): JSX.Element {
  const { row, varied, judged, index, picked, drop } = props;
  const at = epoch.value;
  const then = judged.find((span) => span.first_epoch <= at && at <= span.last_epoch) ?? judged.at(-1) ?? null;
  const isPicked = picked.value === row.run_id;
  return (
    <tr class={isPicked ? "picked" : ""}>
      <th scope="row">
        <span class="beside-name">
          <button
            type="button"
            class="quiet pick"
            aria-pressed={isPicked}
            aria-label={`Have ${nameOf(row)} stand out`}
            onClick={() => {
              picked.value = isPicked ? null : row.run_id;
            }}
          >
            <Swatch index={index} />
          </button>
          <a href={`/runs/${row.run_id}`}>{nameOf(row)}</a>
          {row.status !== "succeeded" && <StatusBadge status={row.status} />}
        </span>
      </th>
      <td>
        <VerdictBadge verdict={then?.verdict ?? null} severity={then?.severity ?? null} />
      </td>
      <td>
        <Strip judged={judged} />
      </td>
      <td class="num">{number(row.values["ndb_over_k"])}</td>
      {varied.map((field) => (
        <td key={field}>{fieldText(row, field)}</td>
      ))}
      <td class="num">{duration(row.seconds)}</td>
      <td>
        {drop !== null && (
          <button type="button" class="quiet" aria-label={`Leave ${nameOf(row)} out`} onClick={() => drop(row.run_id)}>
            ✕
          </button>
        )}
      </td>
    </tr>
  );
}

function Strip({ judged }: { judged: JudgedEpochs[] }): JSX.Element {
  const total = Math.max(1, lastEpoch.value);
  const sick = judged
    .filter((span) => ["severe", "moderate"].includes(tone(span.verdict, span.severity)))
    .reduce((sum, span) => sum + span.last_epoch - span.first_epoch + 1, 0);
  const of = judged.reduce((sum, span) => sum + span.last_epoch - span.first_epoch + 1, 0);
  return (
    <svg
      class="beside-strip"
      viewBox={`0 0 ${total} 100`}
      preserveAspectRatio="none"
      role="img"
      aria-label={of === 0 ? "No epoch was judged" : `Sick in ${percent(sick / of)} of ${of} epochs`}
    >
      <rect class="meter-rail" width={total} height="100" />
      {judged.map((span) => {
        const shown = tone(span.verdict, span.severity);
        const height = HEIGHTS[shown];
        return (
          <rect
            key={span.first_epoch}
            class={`strip-${shown}`}
            x={span.first_epoch - 1}
            y={100 - height}
            width={span.last_epoch - span.first_epoch + 1}
            height={height}
          />
        );
      })}
      <rect class="course-cursor" x={epoch.value - 1} width="1" height="100" />
    </svg>
  );
}
