// Runs that were made together: how far they are, and what came of each beside what varies.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { address, refine, useTitle } from "../address";
import { fill, get, Refused } from "../api/client";
import { BATCH_EVENTS } from "../api/events";
import { useLive } from "../api/live";
import type { Batch, BatchResults, ResultRow } from "../api/types";
import { Parallel } from "../batch/parallel";
import { inOrderOf, progressOf } from "../batch/rows";
import { fieldText, nameOf } from "../compare/groups";
import { StatusBadge, VerdictBadge } from "../parts/badges";
import { StatusIcon } from "../parts/icons";
import { Empty, Failure, Loading } from "../parts/states";
import { figureTitle } from "../run/evaluations";
import { isLive } from "../verdicts";
import { ago, duration, number, percent, plural } from "../words";
import { comparisonOf, MOST_COMPARED } from "./chosen";

const LIVE_MS = 4000;
const QUIET_MS = 30_000;
const ROWS = 200;
/** The figures that are shown first, as far as a run has them. */
const FIGURES = ["ndb_over_k", "precision", "coverage", "missing_mass", "fid"];
const MOST_FIGURES = 3;

export function BatchPage({ id }: { id: string }): JSX.Element {
  const live = useLive(
    `batch ${id}`,
    async () => {
      const [batch, results] = await Promise.all([
        get("/v1/batches/{batch_id}", { batch_id: id }),
        get("/v1/batches/{batch_id}/results", { batch_id: id }),
      ]);
      return { batch, results };
    },
    ({ batch }) => (batch.runs.some((run) => isLive(run.status)) ? LIVE_MS : QUIET_MS),
    fill(BATCH_EVENTS, { batch_id: id }),
  );
  const seen = live.value.value;
  const { problem } = live;
  useTitle(seen?.batch.name ?? "Batch");
  const gone = problem.value instanceof Refused && problem.value.status === 404;
  return (
    <main id="main" class="run batch" tabIndex={-1}>
      {seen !== null && <Shown batch={seen.batch} results={seen.results} />}
      {seen === null && problem.value === null && <Loading what="the batch" />}
      {seen === null && gone && (
        <Empty alone title="There is no such batch">
          <p>
            The address is wrong. <a href="/">To all runs</a>
          </p>
        </Empty>
      )}
      {seen === null && problem.value !== null && !gone && (
        <Failure alone what="The batch" problem={problem.value} again={() => void live.refresh()} />
      )}
    </main>
  );
}

function Shown({ batch, results }: { batch: Batch; results: BatchResults }): JSX.Element {
  const { done, counts, saved } = progressOf(batch.runs);
  const ids = batch.runs.map((run) => run.id);
  const named = FIGURES.filter((name) => results.figures.includes(name));
  const figures = [...named, ...results.figures.filter((name) => !FIGURES.includes(name))].slice(0, MOST_FIGURES);
  const sick = results.items.filter((row) => row.severity === "severe" || row.severity === "moderate").length;
  return (
    <>
      <div class="headline">
        <h1>{batch.name ?? "Batch"}</h1>
        <span class="muted">
          <code>{batch.id}</code> · {plural(batch.runs.length, "run")}, {ago(batch.created_at, Date.now())}
        </span>
        <span class="spacer" />
        <a href={comparisonOf(ids)}>Compare{ids.length > MOST_COMPARED ? ` the first ${MOST_COMPARED}` : " them"}</a>
        <a href={`/v1/batches/${batch.id}/results?format=csv`} download={`batch-${batch.id}.csv`}>
          Table as CSV
        </a>
      </div>
      <section class="card batch-progress" aria-label="Progress">
        <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
          <rect class="meter-rail" width="100" height="8" />
          <rect class="meter-done" width={100 * done} height="8" />
        </svg>
        <p role="status">
          <strong>{percent(done)}</strong> done
          {counts.map(([status, count]) => (
            <span key={status} class={`status-${status}`}>
              {" "}
              · <StatusIcon status={status} /> {count} {status}
            </span>
          ))}
          {sick > 0 && <span class="tone-severe"> · {sick} sick</span>}
          {saved > 0 && <span> · halting saved {plural(saved, "epoch")}</span>}
        </p>
      </section>
      <Parallel rows={results.items} axes={[...results.varied, ...figures]} />
      <Results results={results} figures={figures} />
    </>
  );
}

function Results({ results, figures }: { results: BatchResults; figures: string[] }): JSX.Element {
  const sort = address.value.query["sort"] ?? "";
  const all = useSignal(false);
  const rows = inOrderOf(results.items, sort);
  const shown = all.value ? rows : rows.slice(0, ROWS);
  return (
    <section id="results" class="card" aria-labelledby="results-title">
      <div class="section-head">
        <h2 id="results-title">Results</h2>
        <span class="hint">
          {results.varied.length === 0 ? "The specs are equal." : "Only fields that vary. Press a title to sort by it."}
        </span>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is scrolled by keys */}
      <section class="scrolled" tabIndex={0} aria-label="Results of each run">
        <table class="beside-table">
          <thead>
            <tr>
              <th scope="col">Run</th>
              <Head axis="verdict" title="Verdict" sort={sort} />
              {results.varied.map((field) => (
                <Head key={field} axis={field} title={field} sort={sort} />
              ))}
              {figures.map((name) => (
                <Head key={name} axis={name} title={figureTitle(name)} sort={sort} />
              ))}
              <Head axis="epochs_done" title="Epochs" sort={sort} />
              <Head axis="seconds" title="Trained" sort={sort} />
            </tr>
          </thead>
          <tbody>
            {shown.map((row) => (
              <Row key={row.run_id} row={row} varied={results.varied} figures={figures} />
            ))}
          </tbody>
        </table>
      </section>
      {rows.length > shown.length && (
        <button type="button" class="link" onClick={() => (all.value = true)}>
          Show all {rows.length.toLocaleString("en")}
        </button>
      )}
    </section>
  );
}

function Head({ axis, title, sort }: { axis: string; title: string; sort: string }): JSX.Element {
  const rising = sort === axis;
  const falling = sort === `-${axis}`;
  return (
    <th scope="col" aria-sort={rising ? "ascending" : falling ? "descending" : "none"}>
      <button
        type="button"
        class="quiet sort"
        onClick={() => refine({ sort: rising ? `-${axis}` : falling ? null : axis })}
      >
        {title}
        <span aria-hidden="true">{rising ? " ▲" : falling ? " ▼" : ""}</span>
      </button>
    </th>
  );
}

function Row({ row, varied, figures }: { row: ResultRow; varied: string[]; figures: string[] }): JSX.Element {
  return (
    <tr>
      <th scope="row">
        <span class="beside-name">
          <a href={`/runs/${row.run_id}`}>{nameOf(row)}</a>
          {row.status !== "succeeded" && <StatusBadge status={row.status} />}
        </span>
      </th>
      <td>
        <VerdictBadge verdict={row.verdict} severity={row.severity} />
      </td>
      {varied.map((field) => (
        <td key={field}>{fieldText(row, field)}</td>
      ))}
      {figures.map((name) => (
        <td key={name}>
          {number(row.values[name])}
          {row.nulls[name] != null && <span class="muted"> real {number(row.nulls[name])}</span>}
        </td>
      ))}
      <td>{row.epochs_done}</td>
      <td>{duration(row.seconds)}</td>
    </tr>
  );
}
