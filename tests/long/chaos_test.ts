/** Short chaos runs, with access configured and impostors among the clients, and the proof that they can fail: servers that are broken on purpose. */

import assert from "node:assert/strict";
import { check } from "../chaos/checker.ts";
import { run, type RunOptions } from "../chaos/run.ts";
import { SABOTAGE_KINDS } from "../chaos/sabotage.ts";
import { unlessOlderRuntime } from "../support/program.ts";
import { useSeed } from "../support/seed.ts";

const OPTIONS: RunOptions = {
  seed: "1",
  durationMs: 1, // a single round
  leaseMs: 2000,
  servers: 3,
  transport: "node",
  visitors: 200,
  clients: 30,
};

/** How often servers that are broken are tried: on a busy machine there may be no time for it to show at first. */
const MAX_RUNS = 5;

/** Other tests run beside these, and a server that gets no time cuts nobody. */
const OTHERS_MS = 10_000;

Deno.test({
  ...unlessOlderRuntime("chaos: the cluster keeps its promises", "frozen peers are not cut there"),
  fn: async () => {
    const options = { ...OPTIONS, seed: useSeed("7"), leaseMs: 3000 };
    const { violations, turnedAway } = check(await run(options), { ...options, othersMs: OTHERS_MS });
    assert.deepEqual(violations, []);
    assert.ok(turnedAway > 0, "no impostor came");
  },
});

for (
  const [topology, what, seed] of [
    ["sentinel", "primaries that Sentinels watch fail over", "5"],
    ["cluster", "the shard of a cluster fails over", "1"],
  ] as const
) {
  Deno.test({
    ...unlessOlderRuntime(`chaos: and keeps them when ${what}`, "frozen peers are not cut there"),
    fn: async () => {
      const options = { ...OPTIONS, seed: useSeed(seed), leaseMs: 8000, topology };
      const { violations } = check(await run(options), { ...options, othersMs: OTHERS_MS });
      assert.deepEqual(violations, []);
    },
  });
}

for (const sabotage of SABOTAGE_KINDS) {
  Deno.test(`chaos: servers with the sabotage "${sabotage}" are found to break promise 1`, async () => {
    const longest: number[] = [];
    while (Math.max(0, ...longest) <= 100) {
      assert.ok(longest.length < MAX_RUNS, `longest overlaps, ms: ${longest.map(Math.round).join(", ")}`);
      const options = { ...OPTIONS, seed: useSeed(String(longest.length + 1)), sabotage };
      const { violations } = check(await run(options), { ...options, othersMs: OTHERS_MS });
      const overlaps = violations.filter(({ promise }) => promise === 1).map(({ overlapMs }) => overlapMs!);
      longest.push(Math.max(0, ...overlaps));
    }
  });
}
