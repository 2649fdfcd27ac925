import assert from "node:assert/strict";
import { test } from "node:test";
import type { ResultRow, Run, Status } from "../src/api/types";
import { inOrderOf, progressOf } from "../src/batch/rows";

function row(run_id: string, lr: number, ndb: number | null): ResultRow {
  return { run_id, spec: { lr }, values: { ndb_over_k: ndb }, verdict: null } as unknown as ResultRow;
}

test("rows are sorted by a field or a figure both ways, and those without it come last", () => {
  const rows = [row("a", 0.1, 0.5), row("b", 0.01, null), row("c", 1, 0.2)];
  const order = (sort: string): string =>
    inOrderOf(rows, sort)
      .map((one) => one.run_id)
      .join("");
  assert.deepEqual(["", "lr", "-lr", "ndb_over_k", "-ndb_over_k"].map(order), ["abc", "bac", "cab", "cab", "acb"]);
});

test("a batch is as far as its runs, and says what halting saved", () => {
  const run = (status: Status, epochs_done: number): Run =>
    ({ status, epochs_done, epochs_total: 10, steps_per_epoch: 5, step: 0 }) as Run;
  const { done, counts, saved } = progressOf([run("running", 5), run("halted", 3), run("queued", 0), run("halted", 4)]);
  assert.equal(done, 2.5 / 4);
  assert.deepEqual(counts, [
    ["running", 1],
    ["halted", 2],
    ["queued", 1],
  ]);
  assert.equal(saved, 13);
  assert.equal(progressOf([]).done, 0);
});
