// What all charts show together: a part of the epochs, and the place under the pointer.
import { signal } from "@preact/signals";

/** First and last epoch of what was chosen; null shows all. */
export const zoom = signal<[number, number] | null>(null);
/** In epochs; null where the pointer is elsewhere. */
export const hovered = signal<number | null>(null);
