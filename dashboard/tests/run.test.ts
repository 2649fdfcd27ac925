import assert from "node:assert/strict";
import { test } from "node:test";
import type { Diagnosis, Series } from "../src/api/types";
import { scaleY } from "../src/parts/sparkline";
import { kindOf } from "../src/run/bins";
import { hasNegative, smooth } from "../src/run/chart";
import { spans } from "../src/run/cursor_bar";
import { marksOf, places } from "../src/run/curves";
import { downloadsOf } from "../src/run/details";
import { lies } from "../src/run/evaluations";
import { changes, chosenRemedies, coursesOf } from "../src/run/findings";
import { newest } from "../src/run/pictures";
import { beginningOf, isWhole, joined } from "../src/run/records";
import { tagsOf } from "../src/run/tags";

type Severity = Diagnosis["severity"];

function diagnosis(epoch: number, findings: Record<string, [Severity, number]>): Diagnosis {
  const found = Object.entries(findings).map(([name, [severity, first_epoch]]) => ({ name, severity, first_epoch }));
  const [first] = found;
  return {
    epoch,
    verdict: first?.name ?? "healthy",
    severity: first?.severity ?? "none",
    findings: found,
  } as unknown as Diagnosis;
}

test("neighbouring epochs of one tone are one span", () => {
  const diagnoses = [
    diagnosis(1, {}),
    diagnosis(2, {}),
    diagnosis(3, { stalled: ["severe", 3] }),
    diagnosis(5, { stalled: ["severe", 3] }),
  ];
  assert.deepEqual(spans(diagnoses), [
    { first: 1, last: 2, tone: "healthy" },
    { first: 3, last: 3, tone: "severe" },
    { first: 5, last: 5, tone: "severe" },
  ]);
});

test("a finding that is over is told apart from one that holds", () => {
  const diagnoses = [diagnosis(1, { stalled: ["mild", 1] }), diagnosis(2, { "mode collapse": ["severe", 2] })];
  const told = coursesOf(diagnoses).map(({ name, first, present }) => [name, first, present]);
  assert.deepEqual(told, [
    ["mode collapse", 2, true],
    ["stalled", 1, false],
  ]);
});

test("findings of one epoch share a mark", () => {
  const diagnoses = [
    diagnosis(4, { "mode collapse": ["severe", 2], stalled: ["moderate", 2], oscillation: ["moderate", 3] }),
  ];
  assert.deepEqual(marksOf(diagnoses), [
    { epoch: 2, label: "mode collapse + 1", severe: true },
    { epoch: 3, label: "oscillation", severe: false },
  ]);
});

test("a point stands in the middle of its steps, in epochs", () => {
  assert.deepEqual(places({ steps: [1, 3, 5], steps_per_epoch: 2 }), [0.5, 1.5, 2.25]);
});

test("a smooth line begins at the first value, follows the level and has the same gaps", () => {
  const values = [...Array<number>(300).fill(2), null, ...Array<number>(300).fill(5)];
  const line = smooth(values);
  assert.equal(line[0], 2);
  assert.equal(line[300], null);
  assert.ok(Math.abs((line[301] ?? 0) - 5) < 1e-9);
  assert.ok(Math.abs((line.at(-1) ?? 0) - 5) < 1e-9);
});

test("losses below 0 are drawn at their own height, not at the foot of a log axis", () => {
  const line = (...values: (number | null)[]) => ({ values, low: values });
  assert.equal(hasNegative([line(1, null, 0.5), line(2, -0.1)]), true);
  assert.equal(hasNegative([line(1, null, 0)]), false);
  const y = scaleY([-4, -2, 0, null]);
  const [deep, middle, top] = [-4, -2, 0].map((value) => y?.(value) ?? 0) as [number, number, number];
  assert.ok(deep > middle && middle > top);
  assert.ok(Math.abs(deep - middle - (middle - top)) < 1e-9);
});

test("a bin is left out, filled too little or too much, or as the data", () => {
  const kinds = [
    { different: true, missing: true, z: -9 },
    { different: true, missing: false, z: -3 },
    { different: true, missing: false, z: 3 },
    { different: false, missing: false, z: 1 },
  ].map(kindOf);
  assert.deepEqual(kinds, ["missing", "few", "many", "same"]);
});

test("a figure is bad only on its bad side of the reals", () => {
  const band = { q05: 0.4, q95: 0.6 };
  assert.deepEqual(
    [lies(0.2, band, "up"), lies(0.9, band, "up"), lies(0.9, band, "down"), lies(0.2, band, "down")],
    [true, false, true, false],
  );
  assert.deepEqual(
    [lies(0.2, band, "near"), lies(0.5, band, "near"), lies(0.9, band, undefined)],
    [true, false, false],
  );
});

test("what an epoch did not record is shown of the last one before that did", () => {
  const items = [{ epoch: 2 }, { epoch: 4 }];
  assert.deepEqual([newest(items, 3), newest(items, 4), newest(items, 1)], [{ epoch: 2 }, { epoch: 4 }, null]);
});

test("a change is told by what it changes alone", () => {
  const spec = { seed: 1, optimizer: { name: "adam", learning_rate: 0.5 }, discriminator_optimizer: null };
  const patch = {
    optimizer: { name: "adam", learning_rate: 0.001 },
    seed: 1,
    discriminator_optimizer: { name: "sgd", clip: null },
  };
  assert.deepEqual(changes(spec, patch), [
    { path: "optimizer.learning_rate", before: "0.5", after: "0.001" },
    { path: "discriminator_optimizer", before: "none", after: "name sgd" },
  ]);
});

test("a remedy of two findings is shown once", () => {
  const remedy = { name: "r", reason: "why", patch: { a: 1 }, effect: "not measured" };
  const findings = [
    { name: "mode collapse", remedies: [remedy] },
    { name: "stalled", remedies: [{ ...remedy, effect: "healed 2 of 3" }] },
  ] as unknown as Diagnosis["findings"];
  assert.deepEqual(
    chosenRemedies({ findings }).map(({ against }) => against),
    [["mode collapse", "stalled: healed 2 of 3"]],
  );
});

test("new steps are put behind the known ones, and thinned ones are read anew", () => {
  const of = (steps: number[]): Series => {
    const values = steps.map((step) => step / 10);
    return {
      resolution: "step",
      steps_per_epoch: 2,
      steps,
      epochs: steps,
      columns: { d_loss: { mean: values, min: values, max: values } },
    };
  };
  const whole = joined(of([1, 2]), of([3]));
  assert.deepEqual(
    [whole.steps, whole.columns["d_loss"]?.mean],
    [
      [1, 2, 3],
      [0.1, 0.2, 0.3],
    ],
  );
  assert.deepEqual([isWhole(of([1, 2])), isWhole(of([1, 3])), isWhole(of([]))], [true, false, false]);
});

test("all is read anew once an attempt has forgotten the epochs that it makes again", () => {
  const first = { device: "cpu" };
  const [before, claimed, begun] = [[first], [first, { device: null }], [first, { device: "cpu" }]].map((attempts) =>
    beginningOf({ attempt: attempts.length, attempts }),
  );
  assert.notEqual(claimed, before);
  assert.notEqual(begun, claimed);
});

test("only what is there is offered to be downloaded", () => {
  const of = (attempt: number, epochs_done: number): string[] =>
    downloadsOf({ id: "a", attempt, epochs_done }).map(({ href }) => href.replace("/v1/runs/a", ""));
  assert.deepEqual(of(0, 0), [""]);
  assert.deepEqual(of(1, 0), ["", "/log"]);
  assert.ok(of(1, 3).includes("/samples/3"));
});

test("tags are words, each once", () => {
  assert.deepEqual(tagsOf(" a, b  a\n"), ["a", "b"]);
});
