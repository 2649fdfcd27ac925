// Spec, attempts, log, and the family of treatments.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { getText, Refused } from "../api/client";
import { useLive } from "../api/live";
import type { Member, RunDetail } from "../api/types";
import { StatusBadge, VerdictBadge } from "../parts/badges";
import { isLive, label } from "../verdicts";
import { duration, flat, literal, moment } from "../words";

const LOG_LINES = 300;
const LOG_MS = 2000;

export function Family({ run, members }: { run: RunDetail; members: Member[] }): JSX.Element | null {
  if (members.length < 2) return null;
  return (
    <section id="family" class="card" aria-labelledby="family-title">
      <h2 id="family-title">Treatments</h2>
      <ul class="family">
        {members.map((member) => (
          <li key={member.id} style={{ paddingLeft: `${1.25 * member.depth}rem` }}>
            {member.id === run.id ? (
              <strong aria-current="true">{member.remedy ?? label(member)}</strong>
            ) : (
              <a href={`/runs/${member.id}`}>{member.remedy ?? label(member)}</a>
            )}{" "}
            <StatusBadge status={member.status} /> <VerdictBadge verdict={member.verdict} severity={member.severity} />
          </li>
        ))}
      </ul>
    </section>
  );
}

export function Spec({ run }: { run: RunDetail }): JSX.Element {
  return (
    <details class="card">
      <summary>
        <h2>Spec</h2>
      </summary>
      {!run.watched && (
        <p>
          <a class="roomy" href={`/new?run=${run.id}`}>
            Change it and queue another run
          </a>
        </p>
      )}
      <table class="spec">
        <tbody>
          {flat(run.spec).map(([path, value]) => (
            <tr key={path}>
              <th scope="row">
                <code>{path}</code>
              </th>
              <td>{value === null ? <span class="muted">none</span> : literal(value)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}

/** What the run has recorded, as files. */
export function Downloads({ run }: { run: RunDetail }): JSX.Element {
  return (
    <details class="card">
      <summary>
        <h2>Downloads</h2>
      </summary>
      <ul class="downloads">
        {downloadsOf(run).map(({ title, href, file }) => (
          <li key={file}>
            <a class="roomy" href={href} download={file}>
              {title}
            </a>{" "}
            <code class="muted">{file}</code>
          </li>
        ))}
      </ul>
    </details>
  );
}

interface Download {
  title: string;
  href: string;
  /** Name that the file is kept under. */
  file: string;
}

/** Those that there is something in. */
export function downloadsOf(run: Pick<RunDetail, "id" | "attempt" | "epochs_done">): Download[] {
  const of = `/v1/runs/${run.id}`;
  const always = [{ title: "The run, its spec and its attempts", href: of, file: `run-${run.id}.json` }];
  if (run.attempt > 0) always.push({ title: "The log", href: `${of}/log`, file: `run-${run.id}.log` });
  if (run.epochs_done === 0) return always;
  return [
    ...always,
    { title: "Losses, drawn", href: `${of}/figures/losses.svg`, file: `run-${run.id}-losses.svg` },
    { title: "Bins of the last epoch, drawn", href: `${of}/figures/ndb.svg`, file: `run-${run.id}-bins.svg` },
    {
      title: "Series of up to 5,000 points",
      href: `${of}/series?resolution=step&max_points=5000`,
      file: `run-${run.id}-series.json`,
    },
    { title: "Evaluations", href: `${of}/evaluations`, file: `run-${run.id}-evaluations.json` },
    { title: "Verdicts of each epoch", href: `${of}/diagnosis/history`, file: `run-${run.id}-verdicts.json` },
    {
      title: `Samples of epoch ${run.epochs_done}`,
      href: `${of}/samples/${run.epochs_done}`,
      file: `run-${run.id}-samples.png`,
    },
  ];
}

export function Attempts({ run }: { run: RunDetail }): JSX.Element {
  return (
    <details class="card">
      <summary>
        <h2>Attempts</h2>
      </summary>
      {run.attempts.length === 0 && <p class="hint">None yet.</p>}
      <ol class="attempts">
        {run.attempts.map((attempt) => (
          <li key={attempt.number}>
            <strong>{attempt.number}</strong>, {attempt.outcome}: {attempt.worker}
            {attempt.device !== null && ` on ${attempt.device}`}, from {moment(attempt.started_at)}
            {attempt.ended_at !== null &&
              ` for ${duration((Date.parse(attempt.ended_at) - Date.parse(attempt.started_at)) / 1000)}`}
            {attempt.resumed_from_epoch !== null && `; went on after epoch ${attempt.resumed_from_epoch}`}
            {attempt.error !== null && <span class="problem sub">{attempt.error}</span>}
          </li>
        ))}
      </ol>
    </details>
  );
}

export function Log({ run }: { run: RunDetail }): JSX.Element {
  const open = useSignal(false);
  return (
    <details class="card" onToggle={(event) => (open.value = event.currentTarget.open)}>
      <summary>
        <h2>Log</h2>
      </summary>
      {open.value && <LogText run={run} />}
    </details>
  );
}

function LogText({ run }: { run: RunDetail }): JSX.Element {
  const place = useRef<HTMLPreElement>(null);
  const live = useLive(
    `${run.id} ${run.status} ${run.attempt}`,
    () => getText("/v1/runs/{run_id}/log", { run_id: run.id }, { tail: LOG_LINES }),
    () => (isLive(run.status) ? LOG_MS : null),
  );
  const text = live.value.value;
  useEffect(() => {
    place.current?.scrollTo(0, place.current.scrollHeight);
  }, [text]);
  const { problem } = live;
  if (problem.value instanceof Refused && problem.value.status === 404)
    return <p class="hint">No attempt has begun.</p>;
  if (text === null) return <p class="hint">Loading the log …</p>;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is scrolled by keys
    <pre ref={place} class="log" tabIndex={0} role="log" aria-label={`The last ${LOG_LINES} lines of the log`}>
      {text || "(nothing yet)"}
    </pre>
  );
}
