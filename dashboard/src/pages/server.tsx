// The machine: who trains what where, who waits and why, and who has used how much.
import type { JSX } from "preact";
import { useTitle } from "../address";
import { get } from "../api/client";
import { ALL_EVENTS } from "../api/events";
import { useLive } from "../api/live";
import type { Gpu, Run, RunQuery, Share, Waiting, Worker } from "../api/types";
import { StatusIcon } from "../parts/icons";
import { ProgressMeter } from "../parts/meters";
import { Failure, Loading } from "../parts/states";
import { label } from "../verdicts";
import { ago, capital, duration, number, percent, plural } from "../words";

const LOOK_MS = 5000;
/** Of so many queued runs is said why they wait. */
const EXPLAINED = 12;
const MOST_PAGES = 10;
const GB = 1e9;

interface Seen {
  workers: Worker[];
  running: Run[];
  queued: Run[];
  more: boolean;
  waiting: Map<string, Waiting>;
  shares: Share[];
}

async function look(): Promise<Seen> {
  const [workers, running, queued, shares] = await Promise.all([
    get("/v1/workers"),
    get("/v1/runs", {}, { status: "running", limit: 200 }),
    allQueued(),
    get("/v1/shares"),
  ]);
  const first = inOrder(queued.items).slice(0, EXPLAINED);
  const why = await Promise.all(
    first.map((run) => get("/v1/runs/{run_id}/waiting", { run_id: run.id }).catch(() => null)),
  );
  return {
    workers: workers.items,
    running: running.items,
    queued: inOrder(queued.items),
    more: queued.more,
    waiting: new Map(why.flatMap((each) => (each === null ? [] : [[each.run_id, each]]))),
    shares: shares.items,
  };
}

/** Every queued run, newest first, for the oldest is the next; of a queue of thousands the newest, and that there are more. */
async function allQueued(): Promise<{ items: Run[]; more: boolean }> {
  const items: Run[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const query: RunQuery = { status: "queued", limit: 200, ...(cursor === null ? {} : { cursor }) };
    const found = await get("/v1/runs", {}, query);
    items.push(...found.items);
    cursor = found.next_cursor;
    if (cursor === null) return { items, more: false };
  }
  return { items, more: true };
}

/** Higher priority first, of equals the oldest. */
export function inOrder(runs: readonly Run[]): Run[] {
  return [...runs].sort(
    (one, other) => other.priority - one.priority || Date.parse(one.created_at) - Date.parse(other.created_at),
  );
}

export function ServerPage(): JSX.Element {
  useTitle("Server");
  const live = useLive("server", look, () => LOOK_MS, ALL_EVENTS);
  const seen = live.value.value;
  const { problem } = live;
  return (
    <main id="main" class="server" tabIndex={-1}>
      <h1>Server</h1>
      {seen === null && problem.value === null && <Loading what="the workers and the queue" />}
      {seen === null && problem.value !== null && (
        <Failure what="The server" problem={problem.value} again={() => void live.refresh()} />
      )}
      {seen !== null && (
        <>
          <Workers workers={seen.workers} running={seen.running} />
          <div class="halves">
            <QueueOf seen={seen} />
            <Shares shares={seen.shares} />
          </div>
        </>
      )}
    </main>
  );
}

function Workers({ workers, running }: { workers: Worker[]; running: Run[] }): JSX.Element {
  const alive = workers.filter((worker) => worker.is_alive);
  const gone = workers.length - alive.length;
  const runs = new Map(running.map((run) => [run.id, run]));
  const free = alive.filter((worker) => worker.run_id === null && !worker.is_drained).length;
  return (
    <section aria-labelledby="workers-title">
      <div class="section-head">
        <h2 id="workers-title">Workers</h2>
        <span class="hint">
          {alive.length === 0 ? "" : `${free} of ${alive.length} free`}
          {gone > 0 && ` · ${plural(gone, "worker")} not heard of for 30 s`}
        </span>
      </div>
      {alive.length === 0 && (
        <p class="card tone-moderate">
          <strong>No worker is alive: nothing is trained.</strong> <code>ganclinic up</code> starts one beside the
          service.
        </p>
      )}
      <ul class="workers">
        {alive.map((worker) => (
          <WorkerCard key={worker.name} worker={worker} run={runs.get(worker.run_id ?? "") ?? null} />
        ))}
      </ul>
    </section>
  );
}

function WorkerCard({ worker, run }: { worker: Worker; run: Run | null }): JSX.Element {
  return (
    <li class="card">
      <h3>{worker.name}</h3>
      <p class="muted sub">
        {worker.is_drained && "drained: claims nothing more · "}
        {worker.labels.length > 0 && `${worker.labels.join(", ")} · `}
        started {ago(worker.started_at, Date.now())}
      </p>
      {run !== null ? (
        <div class="worker-run">
          <a href={`/runs/${run.id}`}>
            <StatusIcon status="running" /> {label(run)}
          </a>
          <span class="muted">{run.user}</span>
          <ProgressMeter run={run} secondsLeft={null} />
        </div>
      ) : (
        <p class={worker.obstacle === null ? "tone-healthy" : "tone-moderate"}>
          {worker.run_id !== null
            ? "Compares or judges samples"
            : (worker.obstacle ?? (worker.is_drained ? "Idle" : "Free"))}
        </p>
      )}
      {(worker.gpus ?? []).map((gpu) => (
        <GpuMeter key={gpu.number} gpu={gpu} />
      ))}
    </li>
  );
}

function GpuMeter({ gpu }: { gpu: Gpu }): JSX.Element {
  const memory = gpu.memory_used / gpu.memory_total;
  return (
    <div class="gpu">
      <span>
        GPU {gpu.number} <span class="muted">{gpu.name}</span>
      </span>
      <ShareBar title="computes" share={gpu.utilisation} said={percent(gpu.utilisation)} />
      <ShareBar
        title="memory"
        share={memory}
        said={`${number(gpu.memory_used / GB)} of ${number(gpu.memory_total / GB)} GB`}
      />
    </div>
  );
}

function ShareBar({ title, share, said }: { title: string; share: number; said: string }): JSX.Element {
  return (
    <span class="share">
      <span class="muted">{title}</span>
      <svg viewBox="0 0 100 6" width="100" height="6" preserveAspectRatio="none" aria-hidden="true">
        <rect class="meter-rail" width="100" height="6" />
        <rect class="meter-done" width={100 * Math.min(1, share)} height="6" />
      </svg>
      <span>{said}</span>
    </span>
  );
}

function QueueOf({ seen }: { seen: Seen }): JSX.Element {
  const { queued, more, waiting } = seen;
  return (
    <section class="card" aria-labelledby="queue-title">
      <div class="section-head">
        <h2 id="queue-title">Queue</h2>
        <span class="hint">
          {queued.length === 0 ? "" : `${queued.length}${more ? "+" : ""} waiting, by priority, then age`}
        </span>
      </div>
      {queued.length === 0 && <p class="muted">Nothing waits.</p>}
      <ol class="queued">
        {queued.slice(0, EXPLAINED).map((run) => {
          const why = waiting.get(run.id);
          return (
            <li key={run.id}>
              <a href={`/runs/${run.id}`}>{label(run)}</a> <span class="muted">{run.user}</span>
              {run.priority !== 0 && <span class="muted"> · priority {run.priority}</span>}
              {why?.starts_in_s != null && (
                <span class="muted"> · begins in about {duration(why.starts_in_s.median)}</span>
              )}
              <span class="sub">
                {why === undefined
                  ? ""
                  : why.reasons.length === 0
                    ? "A worker is about to take it."
                    : why.reasons.map((reason) => capital(reason.text)).join(". ")}
              </span>
            </li>
          );
        })}
      </ol>
      {queued.length > EXPLAINED && (
        <p>
          <a href="/?status=queued">All that wait</a>
        </p>
      )}
    </section>
  );
}

function Shares({ shares }: { shares: Share[] }): JSX.Element {
  const most = Math.max(1, ...shares.map((share) => share.week_device_seconds));
  const rows = shares.slice(0, 30);
  return (
    <section class="card" aria-labelledby="shares-title">
      <div class="section-head">
        <h2 id="shares-title">Use of the week, and fair share</h2>
        <span class="hint">
          of devices, in hours; of equal priority, the next run is that of whoever has used least
        </span>
      </div>
      {rows.length === 0 && <p class="muted">Nobody has submitted a run yet.</p>}
      {rows.length > 0 && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is scrolled by keys
        <section class="scrolled" tabIndex={0} aria-label="Use of each user">
          <table class="beside-table">
            <thead>
              <tr>
                <th scope="col">User</th>
                <th scope="col">7 days</th>
                <th scope="col" class="num">
                  <abbr title="Device hours that count for the fair share: each has half its weight after 24 hours">
                    Counts
                  </abbr>
                </th>
                <th scope="col" class="num">
                  Running
                </th>
                <th scope="col" class="num">
                  Queued
                </th>
                <th scope="col">Turn</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((share) => (
                <tr key={`${share.team} ${share.user}`}>
                  <th scope="row">
                    {share.user}
                    {share.team !== null && <span class="muted"> · {share.team}</span>}
                    {share.weight !== 1 && <span class="muted"> · weight {number(share.weight)}</span>}
                  </th>
                  <td>
                    <span class="use">
                      <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
                        <rect class="meter-bar" width={(100 * share.week_device_seconds) / most} height="8" />
                      </svg>
                      {hours(share.week_device_seconds)}
                    </span>
                  </td>
                  <td class="num">{hours(share.device_seconds)}</td>
                  <td class="num">{share.running}</td>
                  <td class="num">{share.queued}</td>
                  <td>{share.turn === null ? "–" : share.turn === 1 ? "next" : share.turn}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
    </section>
  );
}

/** `1.5 h`, and of less than a tenth of an hour minutes or seconds. */
export function hours(seconds: number): string {
  return seconds < 360 ? duration(seconds) : `${number(seconds / 3600)} h`;
}
