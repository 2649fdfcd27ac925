// Eight colours that every eye tells apart, with four strokes each.
const COLORS = 8;
const DASHES: number[][] = [[], [7, 4], [2, 3], [10, 3, 2, 3]];

/** CSS variable of the colour. */
export function colorOf(index: number): string {
  return `--c${index % COLORS}`;
}

export function dashOf(index: number): number[] {
  return DASHES[Math.floor(index / COLORS) % DASHES.length] ?? [];
}
