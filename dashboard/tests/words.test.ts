import assert from "node:assert/strict";
import { test } from "node:test";
import { duration, epochs, flat, literal, number, plural } from "../src/words";

test("numbers have no zero before the point, and as many digits as one reads", () => {
  const said = [0.984, 0.05, 0.048, 1, 52.24, 1234.5, 12_345_678, 0.00012, 0, -0.5, null, Number.NaN].map(number);
  assert.deepEqual(said, [".98", ".05", ".048", "1", "52.2", "1,235", "1.2e7", "1.2e-4", "0", "-.5", "–", "–"]);
});

test("durations have the unit that they are planned in", () => {
  const said = [0, 89, 90, 3599, 7500, 200_000].map(duration);
  assert.deepEqual(said, ["0 s", "89 s", "2 min", "1 h 00 min", "2 h 05 min", "2 d 7 h"]);
});

test("one is not plural", () => {
  assert.deepEqual(
    [plural(1, "run"), plural(2, "run"), epochs(3, 3), epochs(3, 5)],
    ["1 run", "2 runs", "epoch 3", "epochs 3–5"],
  );
});

test("a spec is flattened to dotted paths, and its lists stay whole", () => {
  const spec = { seed: 1, dataset: { name: "mnist", classes: [8] }, none: null };
  assert.deepEqual(flat(spec), [
    ["seed", 1],
    ["dataset.name", "mnist"],
    ["dataset.classes", [8]],
    ["none", null],
  ]);
  assert.deepEqual([literal([1, 2]), literal("a"), literal(undefined)], ["[1, 2]", "a", "–"]);
});
