// The cursor over the epochs, on a strip of the verdicts after each.
import { useSignalEffect } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import type { Diagnosis, RunDetail } from "../api/types";
import { PlayIcon } from "../parts/icons";
import { type Tone, tone } from "../verdicts";
import { capital } from "../words";
import { epoch, follows, lastEpoch, play, playing, press, show } from "./cursor";

const FRAME_MS = 250;

export function CursorBar({ run, diagnoses }: { run: RunDetail; diagnoses: Diagnosis[] }): JSX.Element {
  const now = diagnoses.find((one) => one.epoch === epoch.value);
  const said = now === undefined ? "" : `${capital(now.verdict)}${now.severity === "none" ? "" : `, ${now.severity}`}`;
  return (
    <Cursor
      total={run.epochs_total}
      said={`${follows.value ? "" : "then: "}${said}`}
      valueText={`Epoch ${epoch.value}: ${said}`}
      tone={tone(now?.verdict ?? null, now?.severity ?? null)}
      strip={<Strip diagnoses={diagnoses} total={Math.max(lastEpoch.value, 1)} />}
    />
  );
}

interface CursorProps {
  /** Epochs that there will be. */
  total: number;
  /** What holds in the epoch. */
  said: string;
  valueText: string;
  tone: Tone;
  strip: JSX.Element | null;
}

/** The one epoch of the page: a slider, keys and a button that plays. */
export function Cursor(props: CursorProps): JSX.Element {
  useKeys();
  useSignalEffect(() => {
    if (!playing.value) return;
    const timer = setInterval(() => {
      if (epoch.value >= lastEpoch.value) playing.value = false;
      else show(epoch.value + 1);
    }, FRAME_MS);
    return () => clearInterval(timer);
  });
  const last = lastEpoch.value;
  return (
    <div class="cursor-bar card">
      <button
        type="button"
        class="play"
        disabled={last < 2}
        aria-pressed={playing.value}
        aria-label={playing.value ? "Pause" : "Play the epochs"}
        onClick={() => play(!playing.value)}
      >
        <PlayIcon playing={playing.value} />
      </button>
      <span class="cursor-epoch">
        <span class="muted">Epoch</span> <strong>{epoch.value}</strong> <span class="muted">/ {props.total}</span>
      </span>
      <div class="track">
        {props.strip}
        <input
          class="cursor-range"
          type="range"
          min={Math.min(1, last)}
          max={Math.max(last, 1)}
          value={epoch.value}
          disabled={last < 2}
          aria-label="Epoch that the page shows"
          aria-valuetext={props.valueText}
          onInput={(event) => {
            playing.value = false;
            show(event.currentTarget.valueAsNumber);
          }}
        />
      </div>
      {props.said !== "" && <span class={`cursor-verdict tone-${props.tone}`}>{props.said}</span>}
      <span class="hint keys">
        <kbd>←</kbd> <kbd>→</kbd> <kbd>space</kbd>
      </span>
    </div>
  );
}

const STRIPES: Record<Tone, string> = { severe: "100", moderate: "70", mild: "40", healthy: "22", unknown: "10" };

/** One cell an epoch; the worse, the higher. */
function Strip({ diagnoses, total }: { diagnoses: Diagnosis[]; total: number }): JSX.Element {
  return (
    <svg class="strip" viewBox={`0 0 ${total} 100`} preserveAspectRatio="none" aria-hidden="true">
      {spans(diagnoses).map((span) => {
        const height = Number(STRIPES[span.tone]);
        return (
          <rect
            key={span.first}
            class={`strip-${span.tone}`}
            x={span.first - 1}
            y={100 - height}
            width={span.last - span.first + 1}
            height={height}
          />
        );
      })}
    </svg>
  );
}

interface Span {
  first: number;
  last: number;
  tone: Tone;
}

/** Neighbouring epochs of one tone, together. */
export function spans(diagnoses: Pick<Diagnosis, "epoch" | "verdict" | "severity">[]): Span[] {
  const made: Span[] = [];
  for (const { epoch, verdict, severity } of diagnoses) {
    const before = made.at(-1);
    const now = tone(verdict, severity);
    if (before !== undefined && before.tone === now && before.last === epoch - 1) before.last = epoch;
    else made.push({ first: epoch, last: epoch, tone: now });
  }
  return made;
}

function useKeys(): void {
  useEffect(() => {
    const listen = (event: KeyboardEvent): void => {
      const at = event.target instanceof HTMLElement ? event.target : document.body;
      const typing = at.closest("input:not(.cursor-range), select, textarea, dialog, [contenteditable], pre") !== null;
      const pressing = event.key === " " && at.closest("button, a, summary") !== null;
      if (typing || pressing || event.ctrlKey || event.metaKey || event.altKey) return;
      if (press(event.key, event.shiftKey)) event.preventDefault();
    };
    addEventListener("keydown", listen);
    return () => removeEventListener("keydown", listen);
  }, []);
}
