// Findings in time, and what to change.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { go } from "../address";
import { post } from "../api/client";
import type { Diagnosis, Label, Remedy, RunDetail, Severity } from "../api/types";
import { ToneIcon } from "../parts/icons";
import { isLive, label as labelOf, tone } from "../verdicts";
import { capital, flat, literal } from "../words";
import { epoch, show } from "./cursor";

interface Course {
  name: string;
  severity: Severity;
  first: number;
  present: boolean;
  /** Severity after each epoch in which it held. */
  held: Map<number, Severity>;
}

/** What was found when; those that still hold first. */
export function coursesOf(diagnoses: Diagnosis[]): Course[] {
  const courses = new Map<string, Course>();
  for (const diagnosis of diagnoses) {
    for (const finding of diagnosis.findings) {
      const known = courses.get(finding.name) ?? {
        name: finding.name,
        severity: finding.severity,
        first: diagnosis.epoch,
        present: false,
        held: new Map(),
      };
      known.held.set(diagnosis.epoch, finding.severity);
      known.severity = finding.severity;
      courses.set(finding.name, known);
    }
  }
  const last = diagnoses.at(-1);
  for (const course of courses.values()) course.present = last !== undefined && course.held.has(last.epoch);
  return [...courses.values()].sort(
    (one, other) => Number(other.present) - Number(one.present) || one.first - other.first,
  );
}

export function FindingsInTime({ diagnoses, labels }: { diagnoses: Diagnosis[]; labels: Label[] }): JSX.Element | null {
  const courses = coursesOf(diagnoses);
  const last = diagnoses.at(-1)?.epoch ?? 0;
  if (courses.length === 0) return null;
  return (
    <section id="findings" class="card" aria-labelledby="findings-title">
      <h2 id="findings-title">Findings in time</h2>
      <ul class="courses">
        {courses.map((course) => {
          const disputed = labels.filter((label) => label.finding === course.name && !label.holds).length;
          const shown = tone(course.name, course.severity);
          return (
            <li key={course.name}>
              <span class={`course-name ${course.present ? `tone-${shown}` : "muted"}`}>
                <ToneIcon tone={shown} /> {course.name}
              </span>
              <button type="button" class="link course-words" onClick={() => show(course.first)}>
                first in epoch {course.first}
                {!course.present && `, gone since ${Math.max(...course.held.keys()) + 1}`}
              </button>
              <svg class="course" viewBox={`0 0 ${last} 10`} preserveAspectRatio="none" aria-hidden="true">
                <rect class="meter-rail" width={last} height="10" />
                {[...course.held].map(([when, severity]) => (
                  <rect
                    key={when}
                    class={`strip-${tone(course.name, severity)}`}
                    x={when - 1}
                    width="1"
                    y={severity === "severe" ? 0 : severity === "moderate" ? 3 : 6}
                    height="10"
                  />
                ))}
                <rect class="course-cursor" x={epoch.value - 1} width="1" height="10" />
              </svg>
              {disputed > 0 && <span class="muted">disputed by {disputed}</span>}
            </li>
          );
        })}
      </ul>
    </section>
  );
}

export function Remedies({
  run,
  diagnosis,
  done,
}: {
  run: RunDetail;
  diagnosis: Diagnosis;
  done: () => void;
}): JSX.Element | null {
  const remedies = chosenRemedies(diagnosis);
  const problem = useSignal("");
  const busy = useSignal(false);
  if (remedies.length === 0) return null;
  const over = !isLive(run.status);

  async function act(ask: () => Promise<void>): Promise<void> {
    busy.value = true;
    problem.value = "";
    try {
      await ask();
    } catch (error) {
      problem.value = (error as Error).message;
    }
    busy.value = false;
  }
  const treat = (): Promise<void> =>
    act(async () => {
      await post("/v1/runs/{run_id}/treatments", { run_id: run.id }, { max_tries: 3 });
      done();
    });
  const take = (remedy: Remedy): Promise<void> =>
    act(async () => {
      const name = `${labelOf(run)}, ${remedy.name}`.slice(0, 100);
      const made = await post("/v1/runs", {}, { spec: run.spec, set: remedy.patch, name } as never);
      go(`/runs/${made.id}`);
    });

  return (
    <section id="remedies" class="card" aria-labelledby="remedies-title">
      <div class="section-head">
        <h2 id="remedies-title">What to change</h2>
        <span class="spacer" />
        {!run.watched && (
          <button type="button" class="primary" disabled={!over || busy.value} onClick={() => void treat()}>
            Treat: try them one after the other
          </button>
        )}
      </div>
      {run.watched && <p class="hint">It is trained elsewhere: change this there.</p>}
      {!over && !run.watched && <p class="hint">A run can be treated once it is over.</p>}
      <p role="alert" class="problem">
        {problem.value}
      </p>
      <RemedyList run={run} remedies={remedies.slice(0, FIRST)} busy={busy.value} take={take} />
      {remedies.length > FIRST && (
        <details>
          <summary>{remedies.length - FIRST} more</summary>
          <RemedyList run={run} remedies={remedies.slice(FIRST)} busy={busy.value} take={take} />
        </details>
      )}
    </section>
  );
}

const FIRST = 3;

interface Chosen {
  remedy: Remedy;
  /** What it is against, and how often it healed that. */
  against: string[];
}

/** Each change once, in the order of findings. */
export function chosenRemedies(diagnosis: Pick<Diagnosis, "findings">): Chosen[] {
  const chosen = new Map<string, Chosen>();
  for (const finding of diagnosis.findings) {
    for (const remedy of finding.remedies) {
      const key = identity(remedy);
      const against = remedy.effect === "not measured" ? finding.name : `${finding.name}: ${remedy.effect}`;
      const known = chosen.get(key) ?? { remedy, against: [] };
      known.against.push(against);
      chosen.set(key, known);
    }
  }
  return [...chosen.values()];
}

/** Remedies with the same are one; of a run that is trained elsewhere none has a patch. */
function identity(remedy: Remedy): string {
  const patch = JSON.stringify(remedy.patch);
  return patch === "{}" ? remedy.reason : patch;
}

function RemedyList(props: {
  run: RunDetail;
  remedies: Chosen[];
  busy: boolean;
  take: (remedy: Remedy) => Promise<void>;
}): JSX.Element {
  return (
    <ol class="remedies">
      {props.remedies.map(({ remedy, against }) => (
        <li key={identity(remedy)}>
          <h3>{capital(remedy.reason)}</h3>
          <ul class="hint">
            {against.map((one) => (
              <li key={one}>Against {one}</li>
            ))}
          </ul>
          <Difference spec={props.run.spec} patch={remedy.patch} />
          {!props.run.watched && (
            <button type="button" disabled={props.busy} onClick={() => void props.take(remedy)}>
              Queue a run with this change
            </button>
          )}
        </li>
      ))}
    </ol>
  );
}

/** What a patch changes: old and new values; what it leaves as it is, is left out. */
export function Difference({ spec, patch }: { spec: unknown; patch: Record<string, unknown> }): JSX.Element {
  return (
    <table class="difference">
      <tbody>
        {changes(spec, patch).map(({ path, before, after }) => (
          <tr key={path}>
            <th scope="row">
              <code>{path}</code>
            </th>
            <td>
              <del>{before}</del> <span aria-hidden="true">→</span> <ins>{after}</ins>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export function changes(
  spec: unknown,
  patch: Record<string, unknown>,
): { path: string; before: string; after: string }[] {
  const now = new Map(flat(spec));
  const after = new Map<string, string>();
  for (const [path, value] of Object.entries(patch)) {
    const whole = now.has(path); // a part that the spec has none of is said on one line
    for (const [inner, one] of whole ? [[path, value] as const] : flat(value, path)) after.set(inner, literal(one));
  }
  return [...after]
    .map(([path, said]) => ({
      path,
      before: now.get(path) === null || !now.has(path) ? "none" : literal(now.get(path)),
      after: said,
    }))
    .filter(({ before, after }) => before !== after);
}
