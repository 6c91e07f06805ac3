/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/**
 * The thread that executes tasks, one after another as executor.ts hands them over.
 *
 * What a task throws is the outcome of that task. An error that escapes ends the thread, and executor.ts starts another.
 */

import { CATALOG } from "./catalog.ts";
import type { Assignment } from "./executor.ts";
import type { Outcome } from "./queue.ts";

self.onmessage = async ({ data: assignments }: MessageEvent<Assignment[]>) => {
  for (const assignment of assignments) {
    const { delayMs } = assignment;
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    self.postMessage(execute(assignment));
  }
};

function execute({ name, data }: Assignment): Outcome {
  try {
    const kind = CATALOG.get(name);
    if (!kind) throw new Error(`no task is named ${name}`);
    return { result: kind.run(data) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}
