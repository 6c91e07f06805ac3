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

Deno.test({
  name: "atMostEvery: a failure that comes when another was begun forgets nothing of that one",
  permissions,
  fn: async () => {
    let now = 0;
    const attempts: PromiseWithResolvers<string>[] = [];
    const make = () => {
      attempts.push(Promise.withResolvers());
      return attempts.at(-1)!.promise;
    };
    const produce = atMostEvery(1000, make, () => now);
    const slow = assert.rejects(produce(), /no/);
    now = 1000;
    const next = produce();
    attempts[0]!.reject(new Error("no"));
    await slow;
    const again = produce();
    assert.equal(attempts.length, 2, "made so often");
    attempts[1]!.resolve("yes");
    assert.deepEqual(await Promise.all([next, again]), ["yes", "yes"]);
  },
});
