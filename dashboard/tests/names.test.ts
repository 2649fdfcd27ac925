import assert from "node:assert/strict";
import { test } from "node:test";
import type { Status } from "../src/api/types";
import { LABEL_FINDINGS, namesOf, STATUSES } from "../src/names";

test("a list holds every name of its type; the compiler refuses one that does not", () => {
  // @ts-expect-error: five statuses are missing
  assert.deepEqual(namesOf<Status>({ queued: true, running: true }), ["queued", "running"]);
  assert.deepEqual(namesOf<"a" | "b">({ b: true, a: true }), ["b", "a"]);
  assert.equal(STATUSES.length, 7);
  assert.ok(LABEL_FINDINGS.includes("slow convergence"));
});
