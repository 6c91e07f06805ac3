/** What is planned for a chaos run. */

import assert from "node:assert/strict";
import { planRounds, subjectOf, TOPOLOGIES, type Topology } from "../chaos/plan.ts";

function plan(topology: Topology) {
  return planRounds({ seed: "1", durationMs: 3_600_000, leaseMs: 3000, servers: 3, crowds: 2, topology });
}

function kindsOf(topology: Topology): Set<string> {
  return new Set(plan(topology).flat().map(({ fault }) => fault));
}

Deno.test("planRounds: a cluster fails over in every way it has, and what it has not is left alone", () => {
  assert.deepEqual(
    [...kindsOf("cluster")].filter((fault) => fault.startsWith("redis")).sort(),
    [
      "redis-failover-death",
      "redis-failover-force",
      "redis-failover-stop",
      "redis-flush",
      "redis-migrate",
      "redis-migrate-death",
    ],
  );
  for (const fault of ["redis-migrate", "redis-migrate-death", "redis-failover-force"]) {
    for (const topology of ["single", "sentinel"] as const) assert.ok(!kindsOf(topology).has(fault), fault);
  }
});

Deno.test("planRounds: nothing is the subject of two faults at a time", () => {
  for (const topology of TOPOLOGIES) {
    const rounds = plan(topology);
    assert.ok(
      rounds.flat().length > 10,
      `${topology}: ${rounds.flat().length} faults in ${rounds.length} rounds`,
    );
    for (const round of rounds) {
      for (const faults of Map.groupBy(round, subjectOf).values()) {
        for (const [i, { atMs }] of faults.entries()) {
          const before = faults[i - 1];
          assert.ok(!before || before.atMs + before.durationMs <= atMs, JSON.stringify(faults));
        }
      }
    }
  }
});
