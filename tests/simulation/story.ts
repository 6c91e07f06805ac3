/** Stories that tests tell of simulated clusters. */

import assert from "node:assert/strict";
import { MUTANTS } from "./mutants.ts";
import { Scenario } from "./scenario.ts";

/** The same story twice: as it should end, and as it ends in a cluster that lacks a mechanism. */
export function testStory(
  story: string,
  { rightly, mutant, wrongly }: { rightly: string; mutant: string; wrongly: string },
  body: (scenario: Scenario, right: boolean) => Promise<void>,
): void {
  Deno.test(`simulation, ${story}: ${rightly}`, async () => {
    const scenario = new Scenario();
    await body(scenario, true);
    await scenario.rests();
  });
  Deno.test(`simulation, ${story}: without ${MUTANTS[mutant]!.missing} ${wrongly}`, async () => {
    await body(new Scenario({ mutant: MUTANTS[mutant] }), false);
  });
}

/** Right without a violation, wrong with one of promise 1. */
export function assertOverlap(scenario: Scenario, right: boolean): void {
  assert.equal(scenario.violations.length > 0, !right, scenario.violations.join("\n"));
  if (!right) assert.match(scenario.violations[0]!, /^promise 1/);
}
