// Names of the API's types, as lists: one that is missing is a type error, and so is one too many.
import type { Label, Status, Verdict } from "./api/types";

/** The names in the order of the record, which has to hold each of them. */
export function namesOf<T extends string>(all: Record<T, true>): readonly T[] {
  return Object.keys(all) as T[];
}

export const STATUSES = namesOf<Status>({
  queued: true,
  running: true,
  paused: true,
  succeeded: true,
  failed: true,
  cancelled: true,
  halted: true,
});

export const VERDICTS = namesOf<Verdict>({
  healthy: true,
  "still learning": true,
  divergence: true,
  "convergence failure": true,
  "exploding gradients": true,
  "vanishing gradients": true,
  "mode collapse": true,
  memorisation: true,
  oscillation: true,
  "deceptive loss": true,
  stalled: true,
  undetermined: true,
});

/** What a person can say of a run. */
export const LABEL_FINDINGS = namesOf<Label["finding"]>({
  healthy: true,
  divergence: true,
  "convergence failure: both losses vanish": true,
  "convergence failure: discriminator wins": true,
  "convergence failure: discriminator inert": true,
  "exploding gradients": true,
  "vanishing gradients": true,
  "convergence failure: no equilibrium": true,
  "mode collapse": true,
  memorisation: true,
  oscillation: true,
  "deceptive loss": true,
  stalled: true,
  "slow convergence": true,
});
