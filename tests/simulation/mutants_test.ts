/**
 * Each mechanism that holds the promises is missed where it is taken out. Those that only a rare combination needs are in
 * scenarios_test.ts.
 */

import assert from "node:assert/strict";
import { MUTANTS } from "./mutants.ts";
import { simulate } from "./schedule.ts";

/** The seed by which each of these has been found at the latest; a change of the plans moves them. */
const MOST_SEEDS: Record<string, number> = {
  "no-fence": 20,
  "no-settling": 60,
  "short-settling": 100,
  "no-awaiting": 60,
  "no-repeats": 20,
  "no-validity": 40,
  "no-connection-check": 40,
  "no-time-check": 60,
  "two-turns": 20,
  "check-then-set": 20,
  "held-again": 100,
  "clock-of-redis": 40,
  "clock-back": 40,
  "ended-when-asked": 20,
  "epochs-back": 40,
};

for (const [name, most] of Object.entries(MOST_SEEDS)) {
  const mutant = MUTANTS[name]!;
  Deno.test(`simulation: a cluster without ${mutant.missing} is found out`, async () => {
    for (let seed = 1; seed <= most; seed++) {
      const { violations } = await simulate({ seed: String(seed), faults: [...mutant.faults], mutant });
      if (violations.some(({ promise }) => promise === mutant.promise)) return;
    }
    assert.fail(`"${name}" kept promise ${mutant.promise} in ${most} schedules`);
  });
}
