/** Simulated clusters: the promises hold in every schedule. Many more are among the long tests. */

import assert from "node:assert/strict";
import { simulate } from "./schedule.ts";
import { testSchedules } from "./schedules.ts";

testSchedules(["default", "operator"], { from: 1, to: 60 });
testSchedules(["default", "clock", "operator"], { from: 1, to: 20 });

Deno.test("simulation: a seed gives the same schedule every time", async () => {
  const once = await simulate({ seed: "7", faults: ["default"], trace: true });
  const again = await simulate({ seed: "7", faults: ["default"], trace: true });
  assert.ok(once.trace.length > 100, `it tells of ${once.trace.length} things`);
  assert.deepEqual(again, once);
});
