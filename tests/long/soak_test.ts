/** A short soak: with connections that come and go and a stream of tasks, nothing grows. */

import assert from "node:assert/strict";
import { soak } from "../soak/run.ts";
import { unlessOlderRuntime } from "../support/program.ts";
import { useSeed } from "../support/seed.ts";

Deno.test({
  ...unlessOlderRuntime(
    "soak: memory, descriptors and keys stay where they are, and nobody is lost",
    "the base runtime grows with each socket",
  ),
  fn: async () => {
    const { failures, samples } = await soak({
      seed: useSeed("1"),
      durationMs: 60_000,
      connections: 1000,
      servers: 2,
      replacedPerS: 50,
      droppedPerS: 50,
      tasksPerS: 200,
      sampleMs: 2000,
      maxAway: 0.5, // a busy machine may be slow to let them come back
      memoryToleranceMiB: 100,
    });
    assert.deepEqual(failures, []);
    assert.ok(samples.at(-1)!.load.replaced > 0 && samples.at(-1)!.load.dropped > 0);
  },
});
