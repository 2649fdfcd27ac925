import assert from "node:assert/strict";
import { test } from "node:test";
import type { Run } from "../src/api/types";
import { hours, inOrder } from "../src/pages/server";

test("the queue stands in the order in which one owner's runs are claimed", () => {
  const run = (id: string, priority: number, minute: number): Run =>
    ({ id, priority, created_at: new Date(60_000 * minute).toISOString() }) as Run;
  const runs = [run("new", 0, 9), run("old", 0, 1), run("urgent", 5, 8)];
  assert.deepEqual(
    inOrder(runs).map(({ id }) => id),
    ["urgent", "old", "new"],
  );
});

test("use is told in hours, and a little of it in less", () => {
  assert.deepEqual([0, 40, 5400, 360_000].map(hours), ["0 s", "40 s", "1.5 h", "100 h"]);
});
