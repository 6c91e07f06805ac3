/** Each mechanism that holds the promises is missed where it is taken out. */

import assert from "node:assert/strict";
import { MUTANTS } from "./mutants.ts";
import { simulate } from "./schedule.ts";

/** Those that only a rare combination needs: the scenarios tell what happens without them. */
const RARE = [
  "no-witness",
  "no-replication-id",
  "held-again",
  "no-reckoning",
  "clock-of-redis",
  "early-places",
  "ended-unsettled",
];

/**
 * In so many schedules each of the others has to be found. Of a hundred schedules five or more find it, of the rarest of them, so
 * that other plans behind the same seeds find it too.
 */
const MOST_SEEDS = 200;

Deno.test("simulation: what only a rare combination needs has a story of its own", () => {
  const folder = new URL(".", import.meta.url);
  const stories = [...Deno.readDirSync(folder)].filter(({ name }) => /^scenarios_.*_test\.ts$/.test(name))
    .map(({ name }) => Deno.readTextFileSync(new URL(name, folder))).join("");
  assert.deepEqual(RARE.filter((name) => !stories.includes(`mutant: "${name}"`)), []);
});

for (const [name, mutant] of Object.entries(MUTANTS).filter(([name]) => !RARE.includes(name))) {
  Deno.test(`simulation: a cluster without ${mutant.missing} is found out`, async () => {
    for (let seed = 1; seed <= MOST_SEEDS; seed++) {
      const { violations } = await simulate({ seed: String(seed), faults: [...mutant.faults], mutant });
      if (violations.some(({ promise }) => promise === mutant.promise)) return;
    }
    assert.fail(`"${name}" kept promise ${mutant.promise} in ${MOST_SEEDS} schedules`);
  });
}
