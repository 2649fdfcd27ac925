import assert from "node:assert/strict";
import { test } from "node:test";
import { fill, withQuery } from "../src/api/client";
import type { Run } from "../src/api/types";
import { arrange, type KnownRuns, knownRuns, needsAll } from "../src/pages/run_list";
import { progress, tone, trainedFor } from "../src/verdicts";

function run(id: string, changes: Partial<Run> = {}): Run {
  const made = { id, name: null, preset: null, remedy: null, verdict: null, severity: null, status: "succeeded" };
  return { ...made, created_at: "2026-01-01T00:00:00Z", ...changes } as unknown as Run;
}

test("the worst runs come first, of equals those that are still trained", () => {
  const runs = [
    run("healthy", { verdict: "healthy", severity: "none" }),
    run("moderate", { verdict: "stalled", severity: "moderate" }),
    run("over", { verdict: "mode collapse", severity: "severe" }),
    run("waits"),
    run("trained", { verdict: "divergence", severity: "severe", status: "running" }),
  ];
  const order = arrange(runs, "worst", "").map(({ id }) => id);
  assert.deepEqual(order, ["trained", "over", "moderate", "waits", "healthy"]);
});

test("a mild finding goes with a healthy verdict, and undetermined is not healthy", () => {
  assert.equal(tone("healthy", "mild"), "mild");
  assert.equal(tone("undetermined", "none"), "unknown");
  assert.equal(tone(null, null), "unknown");
  assert.equal(tone("mode collapse", "severe"), "severe");
});

test("every order but by age, and every search, is over all runs", () => {
  const asked = [needsAll("newest", " "), needsAll("oldest", ""), needsAll("worst", ""), needsAll("newest", "a")];
  assert.deepEqual(asked, [false, true, true, true]);
});

test("a search looks into names, presets, ids and remedies", () => {
  const runs = [
    run("a1", { name: "Eights" }),
    run("b2", { preset: "digit8-stable" }),
    run("c3", { remedy: "larger latent" }),
  ];
  const found = (text: string): string[] => arrange(runs, "newest", text).map(({ id }) => id);
  assert.deepEqual(
    [found(" eight"), found("STABLE"), found("c3"), found("latent"), found("x")],
    [["a1"], ["b2"], ["c3"], ["c3"], []],
  );
});

/** A service that lists these runs, newest first, in pages as long as they are asked for. */
function service(runs: Run[], matches: (run: Run) => boolean = () => true): KnownRuns {
  return knownRuns({
    page: async (limit, cursor) => {
      const first = cursor === null ? 0 : runs.findIndex((one) => one.id === cursor) + 1;
      const items = runs.slice(first, first + limit);
      return { items, next_cursor: first + limit < runs.length ? (items.at(-1)?.id ?? null) : null };
    },
    one: async (id) => runs.find((one) => one.id === id) ?? null,
    matches,
  });
}

function many(count: number): Run[] {
  return Array.from({ length: count }, (_, index) => run(`r${count - index}`));
}

function ids({ runs }: KnownRuns): string[] {
  return (runs.value ?? []).map(({ id }) => id);
}

test("runs that new ones push off the first page stay in the list", async () => {
  const there = many(150);
  const list = service(there);
  await list.renew();
  await list.more();
  assert.equal(ids(list).length, 150);
  there.unshift(...Array.from({ length: 130 }, (_, index) => run(`new${130 - index}`)));
  await list.renew();
  assert.deepEqual(
    ids(list),
    there.map(({ id }) => id),
  );
});

test("a run that is deleted leaves the list, on whatever page it was", async () => {
  const there = many(150);
  const waits = run("r10", { status: "queued" });
  there[140] = waits;
  const list = service(there);
  await list.renew();
  await list.more();
  there.splice(140, 1);
  there.splice(5, 1);
  await list.renew();
  assert.deepEqual(
    ids(list),
    there.map(({ id }) => id),
  );
});

test("a run that the filter lets through no more leaves the list", async () => {
  const there = many(150).map((one) => ({ ...one, status: "running" }) as Run);
  const list = service(there, ({ status }) => status === "running");
  await list.renew();
  await list.more();
  const over = there.findIndex(({ id }) => id === "r20");
  there[over] = { ...(there[over] as Run), status: "succeeded" };
  for (let look = 0; look < 3; look++) await list.renew(); // twenty of the older ones are looked at each time
  assert.equal(ids(list).includes("r20"), false);
  assert.equal(ids(list).length, 149);
});

test("progress counts steps, and never passes the end", () => {
  const of = (changes: Partial<Run>): number =>
    progress(run("x", { steps_per_epoch: 10, epochs_total: 4, epochs_done: 1, step: 15, ...changes }));
  assert.deepEqual([of({}), of({ step: 0 }), of({ step: 99 }), of({ epochs_total: 0 })], [15 / 40, 10 / 40, 1, 0]);
});

test("what stands in an address is escaped", () => {
  assert.equal(fill("/v1/runs/{run_id}/x", { run_id: "../<script>" }), "/v1/runs/..%2F%3Cscript%3E/x");
  assert.equal(
    withQuery("/v1/runs", { status: null, user: "", name: "a&b", run: ["1", "2"] }),
    "/v1/runs?name=a%26b&run=1&run=2",
  );
});

test("the time between attempts is not trained", () => {
  const at = (minute: number): string => new Date(60_000 * minute).toISOString();
  const attempts = [
    { started_at: at(0), ended_at: at(10) },
    { started_at: at(600), ended_at: null },
  ];
  assert.equal(trainedFor(attempts, 60_000 * 605), 15 * 60);
  assert.equal(trainedFor([], 0), 0);
});
