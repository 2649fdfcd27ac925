// What severities look like, and which runs are worst. Each has a shape and a word besides its colour.
import type { Attempt, Run, Severity, Status } from "./api/types";

export type Tone = "severe" | "moderate" | "mild" | "healthy" | "unknown";

/** How a verdict is shown; a mild finding goes with a healthy verdict. */
export function tone(verdict: string | null, severity: Severity | null): Tone {
  if (severity === "severe" || severity === "moderate") return severity;
  if (verdict === null || verdict === "undetermined" || verdict === "still learning") return "unknown";
  return severity === "mild" ? "mild" : "healthy";
}

const RANK: Record<Tone, number> = { severe: 4, moderate: 3, mild: 2, unknown: 1, healthy: 0 };

/** Orders runs: the worst first, of equals those that are still trained, then the newest. */
export function worstFirst(one: Run, other: Run): number {
  const ranks = RANK[tone(other.verdict, other.severity)] - RANK[tone(one.verdict, one.severity)];
  if (ranks !== 0) return ranks;
  const live = Number(isLive(other.status)) - Number(isLive(one.status));
  return live !== 0 ? live : Date.parse(other.created_at) - Date.parse(one.created_at);
}

export function isLive(status: Status): boolean {
  return status === "running" || status === "queued" || status === "paused";
}

export function label(run: { name: string | null; preset: string | null; id: string }): string {
  return run.name ?? run.preset ?? run.id;
}

/** In [0, 1], by steps. */
export function progress(run: Run): number {
  const total = run.steps_per_epoch * run.epochs_total;
  const done = Math.max(run.step, run.epochs_done * run.steps_per_epoch);
  return total === 0 ? 0 : Math.min(1, done / total);
}

/** Seconds in which some attempt was under way; what a run waits or is paused for does not count. */
export function trainedFor(attempts: readonly Pick<Attempt, "started_at" | "ended_at">[], now: number): number {
  const spans = attempts.map(
    ({ started_at, ended_at }) => (ended_at === null ? now : Date.parse(ended_at)) - Date.parse(started_at),
  );
  return spans.reduce((sum, span) => sum + Math.max(0, span), 0) / 1000;
}
