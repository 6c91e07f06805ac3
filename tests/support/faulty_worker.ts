/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** A worker that does to its thread what the data of the task says, and else answers with the data. */

import type { Assignment } from "../../lib/tasks/executor.ts";

self.onmessage = ({ data: assignments }: MessageEvent<Assignment[]>) => {
  for (const { data } of assignments) {
    if (data === "hang") return;
    if (data === "close") return self.close();
    if (data === "die") throw new Error("out of order");
    self.postMessage([{ result: data }]);
  }
};
