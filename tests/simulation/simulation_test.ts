/** Simulated clusters: the promises hold in every schedule. */

import assert from "node:assert/strict";
import type { FaultSet } from "./plan.ts";
import { simulate } from "./schedule.ts";

/** What goes wrong, and in how many schedules; `deno task simulate` runs as many as one likes. */
const SCHEDULES: [faults: FaultSet[], count: number][] = [
  [["default", "operator"], 200],
  [["default", "clock", "operator"], 40],
];

for (const [faults, count] of SCHEDULES) {
  Deno.test(`simulation: in ${count} schedules of faults (${faults}) the cluster keeps its promises`, async () => {
    for (let seed = 1; seed <= count; seed++) {
      const { violations, plan } = await simulate({ seed: String(seed), faults });
      assert.deepEqual(violations, [], `deno task simulate --seeds ${seed} --faults ${faults}\n${plan}`);
    }
  });
}

Deno.test("simulation: a seed gives the same schedule every time", async () => {
  const once = await simulate({ seed: "7", faults: ["default"] });
  const again = await simulate({ seed: "7", faults: ["default"] });
  assert.deepEqual([again.events, again.counts], [once.events, once.counts]);
});
