/** A short chaos run, and the proof that it can fail: servers that are broken on purpose. */

import assert from "node:assert/strict";
import { check } from "../chaos/checker.ts";
import { run, type RunOptions } from "../chaos/run.ts";
import { unlessOlderRuntime } from "../support/program.ts";
import { useSeed } from "../support/seed.ts";

const OPTIONS: RunOptions = {
  seed: "1",
  durationMs: 1, // a single round
  leaseMs: 2000,
  servers: 3,
  visitors: 200,
  clients: 30,
};

Deno.test({
  ...unlessOlderRuntime("chaos: the cluster keeps its promises", "frozen peers are not cut there"),
  fn: async () => {
    const options = { ...OPTIONS, seed: useSeed("7"), leaseMs: 3000 };
    const { violations } = check(await run(options), options);
    assert.deepEqual(violations, []);
  },
});

for (const sabotage of ["check-then-set", "no-fencing", "no-wait"]) {
  Deno.test(`chaos: servers with the sabotage "${sabotage}" are found to break promise 1`, async () => {
    const { violations } = check(await run({ ...OPTIONS, seed: useSeed("1"), sabotage }), OPTIONS);
    const overlaps = violations.filter(({ promise }) => promise === 1).map(({ overlapMs }) => overlapMs!);
    assert.ok(Math.max(0, ...overlaps) > 100, `overlaps, ms: ${overlaps.map(Math.round).join(", ")}`);
  });
}
