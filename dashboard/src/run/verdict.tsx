// What is wrong, in one sentence, with the evidence for it; each piece leads to the place that shows it.
import type { JSX } from "preact";
import type { Diagnosis, Evidence, Finding, RunDetail } from "../api/types";
import { ToneIcon } from "../parts/icons";
import { tone } from "../verdicts";
import { capital, epochs, number, percent } from "../words";
import { show } from "./cursor";

const PLACES = { losses: "curves", samples: "pictures", ndb: "bins" } as const;
const PLACE_WORDS = { losses: "in the curves", samples: "in the samples", ndb: "in the bins" } as const;

const COMPARISONS: Record<Evidence["comparison"], string> = { "<": "<", "<=": "≤", ">": ">", ">=": "≥" };
const SIGNALS: Record<string, string> = {
  d_loss: "Discriminator's loss",
  g_loss: "Generator's loss",
  d_loss_real: "Discriminator's loss on reals",
  d_loss_fake: "Discriminator's loss on fakes",
  d_acc_real: "Accuracy on reals",
  d_acc_fake: "Accuracy on fakes",
};

export function VerdictPanel({ run, diagnosis }: { run: RunDetail; diagnosis: Diagnosis | null }): JSX.Element {
  const shown = tone(diagnosis?.verdict ?? null, diagnosis?.severity ?? null);
  const [first, ...others] = diagnosis?.findings ?? [];
  return (
    <section class={`verdict-panel card panel-${shown}`} aria-labelledby="verdict">
      <h2 id="verdict" class={`tone-${shown}`}>
        <ToneIcon tone={shown} size={30} />
        <span>{headline(run, diagnosis)}</span>
      </h2>
      {diagnosis !== null && <p class="reason">{first?.summary ?? `${capital(diagnosis.reason)}.`}</p>}
      {diagnosis === null && <p class="reason">{nothingYet(run)}</p>}
      {run.error !== null && <p class="problem">{run.error}</p>}
      {first !== undefined && <FindingEvidence finding={first} />}
      {others.length > 0 && (
        <ul class="others">
          {others.map((finding) => (
            <li key={finding.name}>
              <details>
                <summary>
                  <span class={`verdict tone-${tone(finding.name, finding.severity)}`}>
                    <ToneIcon tone={tone(finding.name, finding.severity)} /> also {finding.name}, {finding.severity}
                  </span>
                </summary>
                <p>{finding.summary}</p>
                <FindingEvidence finding={finding} />
              </details>
            </li>
          ))}
        </ul>
      )}
      {diagnosis !== null && diagnosis.missing.length > 0 && (
        <p class="hint">Not recorded, and so not judged: {diagnosis.missing.join(", ")}.</p>
      )}
    </section>
  );
}

function headline(run: RunDetail, diagnosis: Diagnosis | null): string {
  if (diagnosis === null) return run.status === "failed" ? "Failed before a verdict" : "No verdict yet";
  const first = diagnosis.findings[0];
  if (first === undefined || first.severity === "mild") return capital(diagnosis.verdict);
  return `${capital(first.name)}, ${first.severity}`;
}

function nothingYet(run: RunDetail): string {
  if (run.status === "queued") return "The run waits. Its first verdict comes with its first epoch.";
  if (run.status === "running") return "The first verdict comes with the first epoch.";
  return "The run has recorded no epoch.";
}

function FindingEvidence({ finding }: { finding: Finding }): JSX.Element {
  const sure = `${percent(finding.confidence)} sure (${percent(finding.confidence_low)} to ${percent(finding.confidence_high)})`;
  return (
    <>
      <ul class="evidence">
        {finding.evidence.map((evidence) => (
          <EvidenceRow key={`${evidence.signal} ${evidence.first_epoch}`} evidence={evidence} />
        ))}
      </ul>
      <p class="hint">
        First seen in epoch {finding.first_epoch} · {finding.confidence === 1 ? "beyond doubt" : sure}
        {finding.check && <> · {finding.check}</>}
      </p>
    </>
  );
}

function EvidenceRow({ evidence }: { evidence: Evidence }): JSX.Element {
  const { picture } = evidence;
  return (
    <li>
      <a
        href={`#${PLACES[picture]}`}
        onClick={() => {
          show(evidence.last_epoch);
          point(PLACES[picture]);
        }}
      >
        <span class="signal">{SIGNALS[evidence.signal] ?? capital(evidence.signal)}</span>
        <span class="measured">
          <strong>{evidence.value === null ? "not finite" : number(evidence.value)}</strong>
          <span class="muted">
            {" "}
            {COMPARISONS[evidence.comparison]} {number(evidence.threshold)}
          </span>
        </span>
        <span class="muted where">
          {epochs(evidence.first_epoch, evidence.last_epoch)}, <span class="lead">{PLACE_WORDS[picture]}</span>
        </span>
      </a>
    </li>
  );
}

/** Has the place that shows the evidence stand out for a moment. */
function point(id: string): void {
  const place = document.getElementById(id);
  place?.classList.remove("pointed");
  requestAnimationFrame(() => place?.classList.add("pointed"));
}
