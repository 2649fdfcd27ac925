import assert from "node:assert/strict";
import { test } from "node:test";
import type { ResultRow } from "../src/api/types";
import { nearFirst } from "../src/compare/gallery";
import { axesOf, bandOf, coursesOf, indicesOf, pictureAt, placeOf } from "../src/compare/groups";
import { axisOf } from "../src/compare/scatter";

function row(run_id: string, spec: Record<string, unknown>, values: Record<string, number | null> = {}): ResultRow {
  return {
    run_id,
    name: null,
    spec,
    values,
    seconds: 3,
    epochs_done: 2,
    first_epoch_seen: null,
  } as unknown as ResultRow;
}

const ROWS = [row("a", { lr: 0.1, seed: 1 }), row("b", { lr: 0.1, seed: 2 }), row("c", { lr: 0.5, seed: 1 })];

test("runs with the same value of the field are one line: their mean, from the least to the greatest", () => {
  const of = { a: [1, 3, null], b: [3, null, null], c: [7] };
  assert.deepEqual([...indicesOf(ROWS, "lr").values()], [0, 0, 1]);
  const [group, alone] = coursesOf(ROWS, "lr", of);
  assert.equal(group?.label, "0.1 (2)");
  assert.deepEqual(
    [group?.values, group?.low, group?.high],
    [
      [2, 3, null],
      [1, 3, null],
      [3, 3, null],
    ],
  );
  assert.deepEqual([alone?.label, alone?.values, alone?.low], ["0.5 (1)", [7], []]);
});

test("without a field each run is a line of its own, even where it has no values", () => {
  assert.deepEqual(
    coursesOf(ROWS, "", { a: [1] }).map(({ key, index, values }) => [key, index, values]),
    [
      ["a", 0, [1]],
      ["b", 1, []],
      ["c", 2, []],
    ],
  );
  assert.deepEqual(bandOf([]), { values: [], low: [], high: [] });
});

test("an axis is a field that differs, a figure, or what came of the run", () => {
  const one = row("a", { lr: 0.1, family: "mlp", betas: [0, 1] }, { ndb_over_k: null, js: 0.2 });
  assert.deepEqual(axesOf({ varied: ["lr"], items: [one] }).slice(0, 3), ["lr", "ndb_over_k", "js"]);
  const places = ["lr", "family", "betas", "js", "ndb_over_k", "seconds", "first_epoch_seen", "gone"].map((axis) =>
    placeOf(one, axis),
  );
  assert.deepEqual(places, [0.1, "mlp", "[0, 1]", 0.2, null, 3, null, null]);
});

test("numbers that differ by far are on a log axis, and words have places of their own", () => {
  const rates = axisOf([0.0001, 0.01, 1]);
  assert.ok(rates.log);
  assert.ok(Math.abs(rates.at(0.01) - 0.5) < 1e-9);
  assert.equal(axisOf([1, 2]).log, false);
  assert.deepEqual(
    axisOf(["a", "b"]).ticks.map(({ at }) => at),
    [0.25, 0.75],
  );
  assert.equal(axisOf([2, 2]).at(2), 0.5); // equal numbers stand in the middle
});

test("the nearest epochs are loaded first, and an epoch without a picture shows the one before", () => {
  assert.deepEqual(nearFirst(1, 3), [1, 2, 3]);
  assert.deepEqual(nearFirst(5, 9).slice(0, 3), [5, 6, 4]);
  assert.deepEqual([pictureAt([2, 4], 3), pictureAt([2, 4], 1)], [2, null]);
});
