/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/**
 * The thread that executes tasks, one after another as executor.ts hands them over.
 *
 * What a task throws is the outcome of that task. An error that escapes ends the thread, and executor.ts takes another.
 */

import { CATALOG } from "./catalog.ts";
import type { Outcome } from "./queue.ts";
import type { Assignment, FromWorker } from "./workers.ts";

/** Outcomes are sent together, which saves a third of what an echo costs; but none is kept back for longer than this. */
const MAX_KEPT_BACK_MS = 0.5;

self.onmessage = ({ ports }: MessageEvent) => {
  const port = ports[0]!;
  const say = (words: FromWorker) => port.postMessage(words);
  port.onmessage = ({ data: assignments }: MessageEvent<Assignment[]>) => {
    let outcomes: Outcome[] = [];
    let sentAtMs = performance.now();
    for (const assignment of assignments) {
      outcomes.push(execute(assignment));
      if (performance.now() - sentAtMs < MAX_KEPT_BACK_MS) continue;
      say(outcomes);
      outcomes = [];
      sentAtMs = performance.now();
    }
    if (outcomes.length > 0) say(outcomes);
  };
  say("ready");
};
self.postMessage("up");

function execute({ name, data }: Assignment): Outcome {
  try {
    const kind = CATALOG.get(name);
    if (!kind) throw new Error(`no task is named ${name}`);
    return { result: kind.run(data) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}
