import assert from "node:assert/strict";
import { test } from "node:test";
import { listOf } from "../src/findings/address";

test("a finding leads to the runs with its verdict, and to none where no verdict names it", () => {
  assert.equal(listOf("convergence failure: discriminator wins"), "/?verdict=convergence%20failure");
  assert.equal(listOf("mode collapse"), "/?verdict=mode%20collapse");
  assert.equal(listOf("slow convergence"), null);
  assert.equal(listOf("healthy"), null);
});
