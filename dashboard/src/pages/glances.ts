// Losses, pictures and NDB of the runs that are seen: asked for once, and again where a run has gone on.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get } from "../api/client";
import type { Glance, Run } from "../api/types";

const MOST = 100;
const KEPT = 500;

export function useGlances(runs: Run[]): Map<string, Glance> {
  const known = useSignal(new Map<string, { of: string; glance: Glance }>());
  const wanted = runs.filter((run) => known.value.get(run.id)?.of !== state(run)).slice(0, MOST);
  const key = wanted.map((run) => `${run.id} ${state(run)}`).join();
  useEffect(() => {
    if (wanted.length === 0) return;
    let over = false;
    get("/v1/glances", {}, { run: wanted.map((run) => run.id) }).then(
      ({ items }) => {
        if (over) return;
        const all = new Map(known.value);
        const states = new Map(wanted.map((run) => [run.id, state(run)]));
        for (const glance of items) {
          all.delete(glance.run_id);
          all.set(glance.run_id, { of: states.get(glance.run_id) ?? "", glance });
        }
        known.value = new Map([...all].slice(-KEPT));
      },
      () => undefined, // the list itself says what is wrong
    );
    return () => {
      over = true;
    };
  }, [key]);
  return new Map([...known.value].map(([id, { glance }]) => [id, glance]));
}

/** Changes where a run has recorded something. */
function state(run: Run): string {
  return `${run.status} ${run.attempt} ${run.epochs_done}`;
}
