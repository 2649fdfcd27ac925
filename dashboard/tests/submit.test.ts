import assert from "node:assert/strict";
import { test } from "node:test";
import { countOf, fieldOf, fieldsOf, meant, several } from "../src/submit/fields";

test("a field of a spec is a number, a word, a choice or a document, and none is empty", () => {
  const spec = { seed: 1, dataset: { name: "mnist", crop: false, classes: [8] }, penalty: null };
  assert.deepEqual(
    fieldsOf(spec).map(({ field, kind, text }) => [field, kind, text]),
    [
      ["seed", "number", "1"],
      ["dataset.name", "text", "mnist"],
      ["dataset.crop", "choice", "false"],
      ["dataset.classes", "json", "[8]"],
      ["penalty", "json", ""],
    ],
  );
});

test("what is typed is meant as people write it", () => {
  assert.deepEqual(["2e-4", "[1, 2]", " ", "adam", "true"].map(meant), [0.0002, [1, 2], null, "adam", true]);
});

test("values of a sweep stand between commas, and those of a list stay together", () => {
  assert.deepEqual(several('1, 2e-4, [3, 4], {"name": "bce", "a": 1},'), [1, 0.0002, [3, 4], { name: "bce", a: 1 }]);
  assert.equal(countOf({ a: [1, 2], b: [1, 2, 3] }, 2), 12);
  assert.equal(countOf({}, 1), 1);
});

test("a refusal is shown at the field that it names, or that holds what it names", () => {
  const fields = ["training.epochs", "dataset.classes", "seed"];
  assert.equal(fieldOf("training.epochs", fields), "training.epochs");
  assert.equal(fieldOf("runs[3].training.epochs", fields), "training.epochs");
  assert.equal(fieldOf("dataset.classes[1]", fields), "dataset.classes");
  assert.equal(fieldOf("training.batch_size", fields), null);
});
