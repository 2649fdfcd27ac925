import type { JSX } from "preact";
import { get } from "../api/client";
import { useLive } from "../api/live";
import { plural } from "../words";

const LOOK_MS = 5000;

/** Which workers are free, and how many runs wait. */
export function Queue(): JSX.Element | null {
  const live = useLive(
    "queue",
    async () => {
      const [workers, queued, running] = await Promise.all([
        get("/v1/workers"),
        get("/v1/runs", {}, { status: "queued", limit: 200 }),
        get("/v1/runs", {}, { status: "running", limit: 200 }),
      ]);
      return {
        workers: workers.items.filter((worker) => worker.is_alive),
        queued: queued,
        running: running.items.length,
      };
    },
    () => LOOK_MS,
  );
  const seen = live.value.value;
  if (seen === null) return null;
  const free = seen.workers.filter((worker) => worker.run_id === null && !worker.is_drained).length;
  const waiting = `${seen.queued.items.length}${seen.queued.next_cursor === null ? "" : "+"}`;
  return (
    <p class="queue">
      {seen.workers.length === 0 ? (
        <strong class="tone-moderate">No worker is alive: nothing is trained</strong>
      ) : (
        <span>
          {free} of {plural(seen.workers.length, "worker")} free
        </span>
      )}
      <span>{seen.running} running</span>
      <span>{waiting} queued</span>
    </p>
  );
}
