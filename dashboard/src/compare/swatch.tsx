import type { JSX } from "preact";
import { colorOf, dashOf } from "./colors";

/** The line that stands for a run in the curves. */
export function Swatch({ index }: { index: number }): JSX.Element {
  return (
    <svg class="swatch-line" viewBox="0 0 22 6" width="22" height="6" aria-hidden="true">
      <path
        d="M0 3h22"
        style={{ stroke: `var(${colorOf(index)})`, strokeWidth: 3, strokeDasharray: dashOf(index).join(" ") }}
      />
    </svg>
  );
}
