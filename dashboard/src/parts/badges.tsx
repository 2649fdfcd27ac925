import type { JSX } from "preact";
import type { Run, Severity, Status } from "../api/types";
import { tone } from "../verdicts";
import { capital } from "../words";
import { StatusIcon, ToneIcon } from "./icons";

export function StatusBadge({ status, asked }: { status: Status; asked?: string | null }): JSX.Element {
  return (
    <span class={`status status-${status}`}>
      <StatusIcon status={status} /> {asked ?? status}
    </span>
  );
}

/** What a run is about to become, where that was asked for. */
export function askedFor(run: Run): string | null {
  if (run.status !== "running") return null;
  if (run.cancel_requested) return "cancelling";
  if (run.pause_requested) return "pausing";
  return run.gives_way_to === null ? null : "gives way";
}

export function VerdictBadge({
  verdict,
  severity,
}: {
  verdict: string | null;
  severity: Severity | null;
}): JSX.Element {
  const shown = tone(verdict, severity);
  return (
    <span class={`verdict tone-${shown}`}>
      <ToneIcon tone={shown} />
      {verdict === null ? <span class="no-verdict">no verdict</span> : <span>{capital(verdict)}</span>}
    </span>
  );
}
