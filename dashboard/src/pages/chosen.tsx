// The runs that are chosen in lists, to be compared.
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { go } from "../address";
import { plural } from "../words";

export const MOST_COMPARED = 100;
export const chosen = signal<ReadonlySet<string>>(new Set());

export function choose(id: string, on: boolean): void {
  const now = new Set(chosen.value);
  if (on) now.add(id);
  else now.delete(id);
  chosen.value = now;
}

/** The address of the comparison of these runs. */
export function comparisonOf(ids: Iterable<string>): string {
  return `/compare?runs=${[...ids].slice(0, MOST_COMPARED).join(",")}`;
}

/** A box to choose one run. */
export function Choose({ id, label }: { id: string; label: string }): JSX.Element {
  return (
    <label class="choose">
      <span class="sr">Choose {label} to compare</span>
      <input
        type="checkbox"
        checked={chosen.value.has(id)}
        onChange={(event) => choose(id, event.currentTarget.checked)}
      />
    </label>
  );
}

/** What can be done with the chosen runs; nothing where none is. */
export function ChosenBar(): JSX.Element | null {
  const count = chosen.value.size;
  if (count === 0) return null;
  return (
    <section class="chosen-bar card" aria-label="Chosen runs">
      <span role="status">
        {plural(count, "run")} chosen
        {count > MOST_COMPARED && `; at most ${MOST_COMPARED} are compared`}
      </span>
      <button
        type="button"
        class="primary"
        disabled={count < 2}
        onClick={() => {
          const to = comparisonOf(chosen.value);
          go(to);
        }}
      >
        Compare
      </button>
      <button type="button" class="quiet" onClick={() => (chosen.value = new Set())}>
        Choose none
      </button>
    </section>
  );
}
