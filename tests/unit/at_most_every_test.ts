import assert from "node:assert/strict";
import { atMostEvery } from "../../lib/service/at_most_every.ts";

const permissions = "none";

Deno.test({
  name: "atMostEvery: all who ask within the period are given the same, the first after it makes anew",
  permissions,
  fn: async () => {
    let [now, made] = [0, 0];
    const produce = atMostEvery(1000, () => Promise.resolve(++made), () => now);
    assert.deepEqual(await Promise.all([produce(), produce()]), [1, 1]);
    now = 999;
    assert.equal(await produce(), 1);
    now = 1000;
    assert.deepEqual(await Promise.all([produce(), produce()]), [2, 2]);
  },
});

Deno.test({
  name: "atMostEvery: a failure is told to all who wait for it, and is not kept",
  permissions,
  fn: async () => {
    let fails = true;
    const produce = atMostEvery(
      1000,
      () => fails ? Promise.reject(new Error("no")) : Promise.resolve("yes"),
      () => 0,
    );
    const waiting = [produce(), produce()];
    for (const one of waiting) await assert.rejects(one, /no/);
    fails = false;
    assert.equal(await produce(), "yes");
  },
});
