// What stands where there is nothing to show: loading, empty, refused.
import type { ComponentChildren, JSX } from "preact";
import { Unreachable } from "../api/client";

export function Loading({ what }: { what: string }): JSX.Element {
  return (
    <p class="state" role="status">
      Loading {what} …
    </p>
  );
}

/** `alone`: it is all that the page shows. */
export function Empty(props: { title: string; alone?: boolean; children?: ComponentChildren }): JSX.Element {
  const { title, alone, children } = props;
  return (
    <div class="state">
      {alone ? <h1>{title}</h1> : <h2>{title}</h2>}
      {children}
    </div>
  );
}

export function Failure(props: { what: string; problem: Error; again: () => void; alone?: boolean }): JSX.Element {
  const { what, problem, again, alone } = props;
  const silent = problem instanceof Unreachable;
  const title = silent ? "The service does not answer" : `${what} cannot be shown`;
  return (
    <div class="state" role="alert">
      {alone ? <h1>{title}</h1> : <h2>{title}</h2>}
      <p>{silent ? "It is asked again every few seconds." : problem.message}</p>
      <button type="button" onClick={again}>
        Try again
      </button>
    </div>
  );
}
