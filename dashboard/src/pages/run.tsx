// One run: what is wrong with it, where that shows, and what to change.
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { fill, get, Refused } from "../api/client";
import { RUN_EVENTS } from "../api/events";
import { useLive } from "../api/live";
import type { RunDetail, Waiting } from "../api/types";
import { askedFor, StatusBadge } from "../parts/badges";
import { ProgressMeter } from "../parts/meters";
import { Empty, Failure, Loading } from "../parts/states";
import { Actions } from "../run/actions";
import { Bins } from "../run/bins";
import { begin, lastEpoch } from "../run/cursor";
import { CursorBar } from "../run/cursor_bar";
import { Curves } from "../run/curves";
import { Attempts, Downloads, Family, Log, Spec } from "../run/details";
import { Dispute } from "../run/dispute";
import { Evaluations } from "../run/evaluations";
import { FindingsInTime, Remedies } from "../run/findings";
import { Pictures } from "../run/pictures";
import { useRecords } from "../run/records";
import { Tags } from "../run/tags";
import { VerdictPanel } from "../run/verdict";
import { zoom } from "../run/zoom";
import { isLive, label, trainedFor } from "../verdicts";
import { ago, capital, duration } from "../words";

const LIVE_MS = 1500;
const OVER_MS = 15000;

export function RunPage({ id }: { id: string }): JSX.Element {
  const live = useLive(
    id,
    () => get("/v1/runs/{run_id}", { run_id: id }),
    (run) => (isLive(run.status) ? LIVE_MS : OVER_MS),
    fill(RUN_EVENTS, { run_id: id }),
  );
  useMemo(() => {
    begin();
    zoom.value = null;
  }, [id]);
  const run = live.value.value;
  const { problem } = live;
  useEffect(() => {
    if (run !== null) document.title = `${label(run)} · GAN Clinic`;
    return () => {
      document.title = "GAN Clinic";
    };
  }, [run?.name, run?.preset]);
  return (
    <main id="main" class="run" tabIndex={-1}>
      {run !== null && <Run run={run} refresh={() => void live.refresh()} />}
      {run === null && problem.value === null && <Loading what="the run" />}
      {run === null && problem.value !== null && <NoRun problem={problem.value} again={() => void live.refresh()} />}
    </main>
  );
}

function NoRun({ problem, again }: { problem: Error; again: () => void }): JSX.Element {
  if (problem instanceof Refused && problem.status === 404) {
    return (
      <Empty alone title="There is no such run">
        <p>
          It was deleted, or the address is wrong. <a href="/">To all runs</a>
        </p>
      </Empty>
    );
  }
  return <Failure alone what="The run" problem={problem} again={again} />;
}

function Run({ run, refresh }: { run: RunDetail; refresh: () => void }): JSX.Element {
  const recorded = useRecords(run);
  const records = recorded.value.value;
  const diagnoses = records?.diagnoses ?? [];
  const diagnosis = diagnoses.at(-1) ?? null;
  const samples = records?.samples ?? [];
  lastEpoch.value = Math.max(diagnosis?.epoch ?? 0, samples.at(-1)?.epoch ?? 0);
  const again = (): void => {
    recorded.refresh();
    refresh();
  };
  return (
    <>
      <Head run={run} done={again} />
      {records === null && recorded.problem.value !== null && (
        <Failure what="What the run has recorded" problem={recorded.problem.value} again={recorded.refresh} />
      )}
      {records === null && recorded.problem.value === null && <Loading what="what the run has recorded" />}
      {records !== null && (
        <>
          {lastEpoch.value > 0 && <CursorBar run={run} diagnoses={diagnoses} />}
          <div class="fold">
            <div class="fold-words">
              <VerdictPanel run={run} diagnosis={diagnosis} />
              {run.status === "queued" && <Waits run={run} />}
            </div>
            {lastEpoch.value > 0 && <Pictures run={run} samples={samples} />}
          </div>
          <Curves run={run} series={records.series} diagnoses={diagnoses} />
          <div class="halves">
            <Bins run={run} evaluations={records.evaluations} />
            <Evaluations evaluations={records.evaluations} />
          </div>
          <div class="halves">
            {diagnosis !== null && <Remedies run={run} diagnosis={diagnosis} done={again} />}
            <div class="stack">
              <FindingsInTime diagnoses={diagnoses} labels={records.labels} />
              <Family run={run} members={records.family} />
              {diagnosis !== null && (
                <Dispute run={run} diagnosis={diagnosis} labels={records.labels} done={recorded.refresh} />
              )}
            </div>
          </div>
        </>
      )}
      <Spec run={run} />
      <Attempts run={run} />
      <Log run={run} />
      <Downloads run={run} />
    </>
  );
}

function Head({ run, done }: { run: RunDetail; done: () => void }): JSX.Element {
  return (
    <div class="run-head">
      <div class="run-title">
        <h1>{label(run)}</h1>
        <p class="muted">
          {run.name !== null && run.preset !== null && `${run.preset} · `}
          <code>{run.id}</code> · {run.user}, {ago(run.created_at, Date.now())}
          {run.batch_id !== null && (
            <>
              {" "}
              · <a href={`/batches/${run.batch_id}`}>its batch</a>
            </>
          )}
          {run.attempts.length > 0 && ` · trained for ${duration(trainedFor(run.attempts, Date.now()))}`}
        </p>
        <Tags run={run} done={done} />
      </div>
      <div class="run-progress">
        <StatusBadge status={run.status} asked={askedFor(run)} />
        <ProgressMeter run={run} secondsLeft={null} />
      </div>
      <Actions run={run} done={done} />
    </div>
  );
}

/** Why a queued run has not begun. */
function Waits({ run }: { run: RunDetail }): JSX.Element | null {
  const live = useLive<Waiting>(
    `waiting ${run.id}`,
    () => get("/v1/runs/{run_id}/waiting", { run_id: run.id }),
    () => 5000,
  );
  const waiting = live.value.value;
  if (waiting === null) return null;
  return (
    <section class="card" aria-labelledby="waits-title">
      <h2 id="waits-title">Why it waits</h2>
      <ul class="reasons">
        {waiting.reasons.map((reason) => (
          <li key={reason.text}>{capital(reason.text)}</li>
        ))}
        {waiting.reasons.length === 0 && <li>A worker is about to take it.</li>}
      </ul>
      {waiting.starts_in_s !== null && (
        <p class="hint">It may begin in about {duration(waiting.starts_in_s.median)}.</p>
      )}
    </section>
  );
}
