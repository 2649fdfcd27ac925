// The one epoch that the whole page shows: by keys, by the slider, by a click into a curve.
import { computed, signal } from "@preact/signals";
import { address, refine } from "../address";

/** The last epoch that the run has recorded. */
export const lastEpoch = signal(0);
/** What was chosen; null follows the run. */
const chosen = signal<number | null>(null);
export const playing = signal(false);
/** The epoch that is shown, from 1; 0 before the first. */
export const epoch = computed(() => Math.min(chosen.value ?? lastEpoch.value, lastEpoch.value));
export const follows = computed(() => chosen.value === null || chosen.value >= lastEpoch.value);

export function begin(): void {
  const given = Number(address.value.query["epoch"]);
  chosen.value = Number.isInteger(given) && given >= 1 ? given : null;
  lastEpoch.value = 0;
  playing.value = false;
}

let writing: ReturnType<typeof setTimeout> | undefined;

export function show(wanted: number): void {
  const within = Math.max(1, Math.min(lastEpoch.value, Math.round(wanted)));
  chosen.value = within >= lastEpoch.value ? null : within;
  clearTimeout(writing);
  writing = setTimeout(() => refine({ epoch: chosen.value === null ? null : String(chosen.value) }), 300);
}

export function play(on: boolean): void {
  if (on && epoch.value >= lastEpoch.value) show(1);
  playing.value = on;
}

/** Whether the key moved the cursor. */
export function press(key: string, shift: boolean): boolean {
  const far = shift ? 10 : 1;
  if (key === "ArrowLeft") show(epoch.value - far);
  else if (key === "ArrowRight") show(epoch.value + far);
  else if (key === "Home") show(1);
  else if (key === "End") show(lastEpoch.value);
  else if (key === " ") play(!playing.value);
  else return false;
  if (key !== " ") playing.value = false;
  return true;
}
