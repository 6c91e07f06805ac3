import assert from "node:assert/strict";
import type { FaultSet } from "./plan.ts";
import { simulate } from "./schedule.ts";

/** A test that the promises hold in schedules of some faults; `deno task simulate` runs as many as one likes. */
export function testSchedules(faults: FaultSet[], seeds: { from: number; to: number }): void {
  const { from, to } = seeds;
  Deno.test(`simulation: in the schedules ${from} to ${to} of faults (${faults}) the cluster keeps its promises`, async () => {
    for (let seed = from; seed <= to; seed++) {
      const { violations, plan } = await simulate({ seed: String(seed), faults });
      assert.deepEqual(violations, [], `deno task simulate --seeds ${seed} --faults ${faults}\n${plan}`);
    }
  });
}
