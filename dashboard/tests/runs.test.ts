import assert from "node:assert/strict";
import { test } from "node:test";
import { fill, withQuery } from "../src/api/client";
import type { Run } from "../src/api/types";
import { arrange, merge } from "../src/pages/run_list";
import { progress, tone } from "../src/verdicts";

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

test("a run that is on two pages is listed once, as it is now", () => {
  const merged = merge([run("b", { status: "running" }), run("c")], [run("a"), run("b")]);
  assert.deepEqual(
    merged.map(({ id, status }) => [id, status]),
    [
      ["b", "running"],
      ["c", "succeeded"],
      ["a", "succeeded"],
    ],
  );
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
