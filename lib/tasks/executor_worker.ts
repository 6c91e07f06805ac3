/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/**
 * The thread that does the work of tasks, one after another as executor.ts hands them over.
 *
 * What a task throws is the outcome of that task. An error that escapes ends the thread, and executor.ts takes another.
 */

import { CATALOG } from "./catalog.ts";
import type { Outcome } from "./queue.ts";
import type { Assignment, FromWorker } from "./workers.ts";

self.onmessage = ({ ports }: MessageEvent) => {
  const port = ports[0]!;
  const say = (words: FromWorker) => port.postMessage(words);
  port.onmessage = ({ data: assignment }: MessageEvent<Assignment>) => say(execute(assignment));
  say("ready");
};
self.postMessage?.("up"); // there is nobody to tell where `deno test --doc` loads this module

function execute({ name, data }: Assignment): Outcome {
  try {
    const kind = CATALOG.get(name);
    if (!kind) throw new Error(`no task is named ${name}`);
    return { result: kind.run(data) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}
