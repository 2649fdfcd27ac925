// Shapes: each severity and each status has its own, so that colour is never all that tells them apart.
import type { JSX } from "preact";
import type { Status } from "../api/types";
import type { Tone } from "../verdicts";

function Shape({ children, size = 16 }: { children: JSX.Element | JSX.Element[]; size?: number }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 16 16" width={size} height={size} aria-hidden="true">
      {children}
    </svg>
  );
}

export function Mark(): JSX.Element {
  return (
    <svg class="mark" viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
      <rect width="32" height="32" rx="7" class="mark-paper" />
      <path d="M4 18h5l3-9 5 15 4-10 2 4h5" class="mark-line" />
    </svg>
  );
}

const TONES: Record<Tone, JSX.Element> = {
  severe: (
    <>
      <path d="M5 0h6l5 5v6l-5 5H5l-5-5V5z" fill="currentColor" />
      <path d="M7 3h2v6H7zM7 11h2v2H7z" class="paper" />
    </>
  ),
  moderate: (
    <>
      <path d="M8 1l8 14H0z" fill="currentColor" />
      <path d="M7.1 6h1.8v4.6H7.1zM7.1 11.6h1.8v1.8H7.1z" class="paper" />
    </>
  ),
  mild: (
    <>
      <circle cx="8" cy="8" r="7" fill="none" stroke="currentColor" stroke-width="2" />
      <path d="M7 7h2v5H7zM7 4h2v2H7z" fill="currentColor" />
    </>
  ),
  healthy: (
    <path
      d="M2 8.5l4 4 8-9"
      fill="none"
      stroke="currentColor"
      stroke-width="2.6"
      stroke-linecap="round"
      stroke-linejoin="round"
    />
  ),
  unknown: (
    <circle cx="8" cy="8" r="6.5" fill="none" stroke="currentColor" stroke-width="2" stroke-dasharray="2.6 2.6" />
  ),
};

export function ToneIcon({ tone, size = 16 }: { tone: Tone; size?: number }): JSX.Element {
  return <Shape size={size}>{TONES[tone]}</Shape>;
}

const STATUSES: Record<Status, JSX.Element> = {
  queued: <circle cx="8" cy="8" r="5" fill="none" stroke="currentColor" stroke-width="2" />,
  running: <path d="M4 2l10 6-10 6z" fill="currentColor" />,
  paused: <path d="M3 2h4v12H3zM9 2h4v12H9z" fill="currentColor" />,
  succeeded: <path d="M2 8.5l4 4 8-9" fill="none" stroke="currentColor" stroke-width="2.4" />,
  failed: <path d="M3 3l10 10M13 3L3 13" stroke="currentColor" stroke-width="2.6" />,
  cancelled: <path d="M2 8h12" stroke="currentColor" stroke-width="2.6" />,
  halted: <path d="M3 3h10v10H3z" fill="currentColor" />,
};

export function StatusIcon({ status }: { status: Status }): JSX.Element {
  return <Shape size={12}>{STATUSES[status]}</Shape>;
}

export function PlayIcon({ playing }: { playing: boolean }): JSX.Element {
  return <Shape>{STATUSES[playing ? "paused" : "running"]}</Shape>;
}
